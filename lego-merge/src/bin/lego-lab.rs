//! `lego-lab`: trains and scores what merging is measured on; see [`lego_merge::lab`].

use std::process::ExitCode;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    lego_merge::lab::run()
}
