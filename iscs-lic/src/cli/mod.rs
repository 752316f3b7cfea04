//! The command line: parse, one call of the library, print. stdout carries the result only.

mod analyze;
mod channel_plots;
mod channel_report;
mod coded;
mod compare;
mod decode;
mod encode;
mod eval;
mod info;
mod model;
mod plan;
mod prune;
mod reorder;
mod selftest;
mod verify;

use std::path::Path;
use std::process::ExitCode;

use clap::{Parser, Subcommand};
use grouping_core::command::{self, Completions, Flags};
use iscs_lic::checkpoint::Checkpoint;

/// Learned image codecs: encode and decode pictures, the same on every machine.
#[derive(Debug, Parser)]
#[command(version, about, after_help = "Exit status: 0 done, 1 a negative answer, 2 wrong usage or failure.")]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Encode a picture
    Encode(encode::Args),
    /// Decode a picture
    Decode(decode::Args),
    /// Show what a coded picture or a checkpoint is
    Info(info::Args),
    /// Check that a file is whole and decodes to the same picture
    Verify(verify::Args),
    /// Check that this machine decodes integer modes as every other does
    Selftest(selftest::Args),
    /// Measure a codec on pictures: rate, PSNR, MS-SSIM, time
    Eval(eval::Args),
    /// Compare rate–distortion curves: BD-rate and BD-PSNR
    Compare(compare::Args),
    /// Show which latent channels matter, by a checkpoint's parameters or by pictures
    Analyze(analyze::Args),
    /// Plan the order of latent channels, their slices, and which slices wait for which
    Plan(plan::Args),
    /// Fold the order of a plan into a checkpoint, or undo it
    Reorder(reorder::Args),
    /// Write a smaller checkpoint, of the salient latent channels alone
    Prune(prune::Args),
    /// Print a script that completes this command in a shell
    Completions(Completions),
}

/// The checkpoint in a file, or the one that is built in.
fn checkpoint(path: Option<&Path>) -> anyhow::Result<Checkpoint> {
    Ok(path.map_or_else(Checkpoint::default_model, Checkpoint::open)?)
}

/// An error of a plan's fields, with the name of its file.
fn of_plan(path: &Path) -> impl Fn(iscs_lic::Error) -> anyhow::Error {
    move |error| match error {
        iscs_lic::Error::Container { .. } => anyhow::Error::from(error).context(path.display().to_string()),
        other => other.into(),
    }
}

/// How the library's errors are shown.
const FLAGS: Flags = Flags {
    renamed: &[],
    wrapped: |cause| cause.downcast_ref::<iscs_lic::Error>().and_then(iscs_lic::Error::core),
    is_of_settings: |_| false,
};

/// Parses the process's arguments and runs the command.
pub(crate) fn run() -> ExitCode {
    command::run(FLAGS, |cli: Cli| match cli.command {
        Command::Encode(args) => encode::run(&args).map(|()| ExitCode::SUCCESS),
        Command::Decode(args) => decode::run(&args),
        Command::Info(args) => info::run(&args).map(|()| ExitCode::SUCCESS),
        Command::Verify(args) => verify::run(&args),
        Command::Selftest(args) => selftest::run(&args),
        Command::Eval(args) => eval::run(&args),
        Command::Compare(args) => compare::run(&args),
        Command::Analyze(args) => analyze::run(&args).map(|()| ExitCode::SUCCESS),
        Command::Plan(args) => plan::run(&args).map(|()| ExitCode::SUCCESS),
        Command::Reorder(args) => reorder::run(&args).map(|()| ExitCode::SUCCESS),
        Command::Prune(args) => prune::run(&args).map(|()| ExitCode::SUCCESS),
        Command::Completions(args) => args.print::<Cli>().map(|()| ExitCode::SUCCESS),
    })
}
