//! The command line: parse, one call of the library, print. stdout carries the result only.

mod convert;
mod edit;
mod inspect;
mod mesh;
mod synth;
mod view;

use std::path::{Path, PathBuf};
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

/// Refuses an output of another kind than its extension says, and one that is an input of the command.
fn check_output(output: &Path, extension: &str, inputs: &[&PathBuf]) -> anyhow::Result<()> {
    let found = output.extension().map(|extension| extension.to_string_lossy().to_lowercase());
    anyhow::ensure!(
        found.as_deref() == Some(extension),
        "{}: expected an output that ends in .{extension}",
        output.display()
    );
    not_an_input(output, inputs)
}

/// Refuses an output that is an input of the command.
fn not_an_input(output: &Path, inputs: &[&PathBuf]) -> anyhow::Result<()> {
    let Ok(place) = output.canonicalize() else { return Ok(()) };
    let is_same = |input: &&PathBuf| input.canonicalize().is_ok_and(|input| input == place);
    anyhow::ensure!(
        !inputs.iter().any(is_same),
        "{}: expected another output than the input",
        output.display()
    );
    Ok(())
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
