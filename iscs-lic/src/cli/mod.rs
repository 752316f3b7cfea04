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
mod selftest;
mod verify;

use std::process::ExitCode;

use clap::{Parser, Subcommand};
use grouping_core::command::{self, Completions, Flags};

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
    /// Print a script that completes this command in a shell
    Completions(Completions),
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
        Command::Completions(args) => args.print::<Cli>().map(|()| ExitCode::SUCCESS),
    })
}
