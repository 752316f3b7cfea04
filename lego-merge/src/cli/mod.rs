//! The command line: parse, one call of the library, print. stdout carries the result only.

mod compare;
mod completions;
mod console;
mod convert;
mod disagreement;
mod inspect;
mod merge;
mod output;
mod plot;
mod prune;
mod recipe;
mod selection;
mod sources;
mod verify;

use std::io::ErrorKind;
use std::process::ExitCode;

use clap::{Parser, Subcommand};

/// Merge LoRA adapters by their ranks.
#[derive(Debug, Parser)]
#[command(
    version,
    about,
    after_help = "Exit status: 0 done, 1 verify found a difference, 2 wrong usage or failure."
)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Merge adapters into one
    Merge(merge::Args),
    /// Write one adapter in another format or type
    Convert(convert::Args),
    /// Compare adapters pair by pair: cosines, subspaces, interference, shared clusters
    Compare(compare::Args),
    /// Write one adapter at smaller ranks
    Prune(prune::Args),
    /// Show ranks, scales, norms and spectra, and how the ranks cluster
    Inspect(inspect::Args),
    /// Merge as a file says: adapters, content hashes, methods by module
    Recipe(recipe::Args),
    /// Compute a merge again and compare it with an adapter: exit status 1 when it differs
    Verify(verify::Args),
    /// Print a script that completes this command in a shell
    Completions(completions::Args),
}

/// Parses the process's arguments and runs the command.
///
/// Exit status: 0 done (also when the reader of the output goes away), 1 a negative answer, 2 wrong usage or failure.
pub(crate) fn run() -> ExitCode {
    let done = |()| ExitCode::SUCCESS;
    let result = match Cli::parse().command {
        Command::Merge(args) => merge::run(&args).map(done),
        Command::Prune(args) => prune::run(&args).map(done),
        Command::Convert(args) => convert::run(&args).map(done),
        Command::Compare(args) => compare::run(&args).map(done),
        Command::Inspect(args) => inspect::run(&args).map(done),
        Command::Recipe(args) => recipe::run(&args).map(done),
        Command::Verify(args) => verify::run(&args),
        Command::Completions(args) => completions::run(&args).map(done),
    };
    match result {
        Ok(status) => status,
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
