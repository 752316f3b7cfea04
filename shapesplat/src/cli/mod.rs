//! The command line: parse, one call of the library, print. stdout carries the result only.

mod convert;
mod edit;
mod inspect;
mod mesh;
mod synth;
mod view;

use std::process::ExitCode;

use clap::{Parser, Subcommand};
use grouping_core::command::{self, Completions, Flags};

/// Gaussian splats and meshes: convert, edit, inspect, see.
#[derive(Debug, Parser)]
#[command(version, about, after_help = "Exit status: 0 done, 1 a negative answer, 2 wrong usage or failure.")]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Convert splats from one format to another
    Convert(convert::Args),
    /// Show what a splat file holds
    Inspect(inspect::Args),
    /// See a scene in the browser
    View(view::Args),
    /// Inspect a mesh, or draw points on it
    Mesh(mesh::Args),
    /// Make a folder of labelled meshes with textures, of ten classes
    Synth(synth::Args),
    /// Print a script that completes this command in a shell
    Completions(Completions),
}

/// How the library's errors are shown.
const FLAGS: Flags = Flags {
    renamed: &[],
    wrapped: |cause| cause.downcast_ref::<shapesplat::Error>().and_then(shapesplat::Error::core),
    is_of_settings: |_| false,
};

/// Parses the process's arguments and runs the command.
pub(crate) fn run() -> ExitCode {
    command::run(FLAGS, |cli: Cli| match cli.command {
        Command::Convert(args) => convert::run(&args).map(|()| ExitCode::SUCCESS),
        Command::Inspect(args) => inspect::run(&args).map(|()| ExitCode::SUCCESS),
        Command::View(args) => view::run(&args).map(|()| ExitCode::SUCCESS),
        Command::Mesh(args) => mesh::run(&args).map(|()| ExitCode::SUCCESS),
        Command::Synth(args) => synth::run(&args).map(|()| ExitCode::SUCCESS),
        Command::Completions(args) => args.print::<Cli>().map(|()| ExitCode::SUCCESS),
    })
}
