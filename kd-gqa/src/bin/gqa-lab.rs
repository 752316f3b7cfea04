//! The command `gqa-lab`: the experiment bed.

use std::process::ExitCode;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    kd_gqa::lab::run()
}
