//! The command line of `gqa-lab`: parse, one call, exit code. Everything it prints on stdout is lines of JSON.

use std::io::Write;
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Result;
use clap::{Args, Parser, Subcommand};

use super::images;

/// A bed for experiments with grouped attention.
///
/// Results and progress are lines of JSON on stdout. Exit codes: 0 done, 2 usage or failure.
#[derive(Debug, Parser)]
#[command(name = "gqa-lab", version, args_override_self = true)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Write procedural images of ten classes, a folder a class.
    Images(ImageArgs),
}

#[derive(Debug, Args)]
struct ImageArgs {
    /// Folder to write.
    #[arg(long)]
    out: PathBuf,
    /// Images a class.
    #[arg(long, default_value_t = 10)]
    n_per_class: usize,
    /// Index of the first: ranges that do not meet share no image.
    #[arg(long, default_value_t = 0)]
    first: usize,
    /// Seed of the images.
    #[arg(long, default_value_t = 0)]
    seed: u64,
}

/// Runs `gqa-lab` with the arguments of the process.
pub fn run() -> ExitCode {
    match execute(Cli::parse().command) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            // Nothing is left to tell when stderr is closed, too.
            let _ = writeln!(std::io::stderr(), "error: {error:#}");
            ExitCode::from(2)
        }
    }
}

fn execute(command: Command) -> Result<()> {
    match command {
        Command::Images(args) => Ok(images::write(&args.out, args.n_per_class, args.first, args.seed)?),
    }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    #[test]
    fn the_command_line_is_consistent() {
        super::Cli::command().debug_assert();
    }
}
