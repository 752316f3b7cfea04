//! The command line: parse, one call of the library, print. stdout carries the result only.

mod compare;
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

use std::process::ExitCode;

use clap::{Parser, Subcommand};
use grouping_core::command::{self, Completions, Flags};

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
    Completions(Completions),
}

/// How the library's errors are shown.
const FLAGS: Flags = Flags {
    renamed: &[("format", "to")],
    wrapped: |cause| cause.downcast_ref::<lego_merge::Error>().and_then(lego_merge::Error::core),
    is_of_settings: |cause| matches!(cause.downcast_ref(), Some(lego_merge::Error::Conflict { .. })),
};

/// Parses the process's arguments and runs the command; `verify` alone may end with the exit code 1.
pub(crate) fn run() -> ExitCode {
    let done = |()| ExitCode::SUCCESS;
    command::run(FLAGS, |cli: Cli| match cli.command {
        Command::Merge(args) => merge::run(&args).map(done),
        Command::Prune(args) => prune::run(&args).map(done),
        Command::Convert(args) => convert::run(&args).map(done),
        Command::Compare(args) => compare::run(&args).map(done),
        Command::Inspect(args) => inspect::run(&args).map(done),
        Command::Recipe(args) => recipe::run(&args).map(done),
        Command::Verify(args) => verify::run(&args),
        Command::Completions(args) => args.print::<Cli>().map(done),
    })
}
