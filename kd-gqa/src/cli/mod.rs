//! The command line: parse, one call of the library, print. stdout carries the result only.

mod account;
mod allocate;
mod allocation;
mod classify;
mod convert;
mod eval;
mod generate;
mod images;
mod inspect;

use std::process::ExitCode;

use clap::{Parser, Subcommand};
use grouping_core::command::{self, Completions, Flags};

/// Turn multi-head attention into grouped-query attention, run it, and count what is saved.
#[derive(Debug, Parser)]
#[command(version, about, after_help = "Exit status: 0 done, 2 wrong usage or failure.")]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Turn key norms into groups of query heads
    Allocate(allocate::Args),
    /// Write a checkpoint with fewer key/value heads
    Convert(convert::Args),
    /// Count what grouping saves: parameters, multiply-accumulates, cache
    Account(account::Args),
    /// Measure a vision transformer on a folder of images
    Eval(eval::Args),
    /// Classify images
    Classify(classify::Args),
    /// Show key norms, what they would allocate, and how far apart heads are
    Inspect(inspect::Args),
    Generate(generate::Args),
    /// Print a script that completes this command in a shell
    Completions(Completions),
}

/// How the library's errors are shown.
const FLAGS: Flags = Flags {
    renamed: &[("batch_size", "batch-sizes"), ("sizes", "ragged")],
    wrapped: |cause| cause.downcast_ref::<kd_gqa::Error>().and_then(kd_gqa::Error::core),
    is_of_settings: |_| false,
};

/// Parses the process's arguments and runs the command.
pub(crate) fn run() -> ExitCode {
    command::run(FLAGS, |cli: Cli| match cli.command {
        Command::Allocate(args) => allocate::run(&args),
        Command::Convert(args) => convert::run(&args),
        Command::Account(args) => account::run(&args),
        Command::Eval(args) => eval::run(&args),
        Command::Classify(args) => classify::run(&args),
        Command::Inspect(args) => inspect::run(&args),
        Command::Generate(args) => generate::run(&args),
        Command::Completions(args) => args.print::<Cli>(),
    })
}
