//! The command line: parse, one call of the library, print. stdout carries the result only.

mod console;
mod inspect;
mod merge;
mod prune;

use std::io::ErrorKind;
use std::process::ExitCode;

use clap::{Parser, Subcommand};

/// Merge LoRA adapters by their ranks.
#[derive(Debug, Parser)]
#[command(version, about, after_help = "Exit status: 0 done, 2 wrong usage or failure.")]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Merge adapters (PEFT folders) into one
    Merge(merge::Args),
    /// Write one adapter at smaller ranks
    Prune(prune::Args),
    /// Show ranks, scales, norms and spectra, and how the ranks cluster
    Inspect(inspect::Args),
}

/// Parses the process's arguments and runs the command.
///
/// Exit status: 0 done (also when the reader of the output goes away), 2 wrong usage or failure.
pub fn run() -> ExitCode {
    let result = match Cli::parse().command {
        Command::Merge(args) => merge::run(&args),
        Command::Prune(args) => prune::run(&args),
        Command::Inspect(args) => inspect::run(&args),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) if is_broken_pipe(&error) => ExitCode::SUCCESS,
        Err(error) => {
            console::say(format_args!("error: {error:#}"));
            ExitCode::from(2)
        }
    }
}

fn is_broken_pipe(error: &anyhow::Error) -> bool {
    error.downcast_ref::<std::io::Error>().is_some_and(|e| e.kind() == ErrorKind::BrokenPipe)
}
