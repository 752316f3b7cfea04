//! The command `shapesplat`.

mod cli;

use std::process::ExitCode;

use grouping_core::command::{FreedPages, freed_pages};

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    freed_pages(FreedPages::Returned);
    cli::run()
}
