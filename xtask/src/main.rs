//! `cargo xtask`: experiments, reports, benches and checks of this workspace.
//!
//! It depends on no crate of the workspace: it runs their release binaries and reads the JSON lines that they print.
//!
//! Exit codes: 0 all within tolerance; 1 it ran, but an outcome is out of tolerance; 2 anything that did not run.

mod bench;
mod cargo;
mod console;
mod experiment;
mod list;
mod report;
mod repro;
#[cfg(test)]
#[path = "../../grouping-core/src/testing/refusal.rs"]
#[allow(unreachable_pub, reason = "public in grouping-core")]
mod testing;
mod tidy;

use std::io::Write;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::atomic::Ordering;

use anyhow::{Context, Result};
use clap::{Parser, Subcommand};

use experiment::run::INTERRUPTED;
use experiment::spec::Scale;

/// Experiments, benches and checks of this workspace.
#[derive(Parser)]
#[command(name = "cargo xtask", bin_name = "cargo xtask")]
struct Cli {
    /// The workspace [default: the one that this belongs to]
    #[arg(long, global = true, hide = true)]
    root: Option<PathBuf>,
    #[command(subcommand)]
    command: Task,
}

#[derive(Subcommand)]
enum Task {
    /// Run experiments and report; what has run is not run again, and what was interrupted goes on
    Repro {
        /// A crate, or crate/name; all experiments when absent
        experiment: Option<String>,
        /// How much to run
        #[arg(long, value_enum, default_value = "smoke")]
        scale: Scale,
        /// Cores to keep busy [default: all]
        #[arg(long)]
        jobs: Option<usize>,
    },
    /// Make all reports again from the metrics that are there
    Report {
        /// Also copy the tables and plots that READMEs show into the repository
        #[arg(long)]
        publish: bool,
    },
    /// List the experiments with their claims and scales
    List,
    /// Run benches, and with --reference the same work in Python, in one go
    Bench(bench::Wanted),
    /// Check the rules that compilers do not
    Tidy,
}

fn main() -> ExitCode {
    match run() {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::from(1),
        Err(error) if is_broken_pipe(&error) => ExitCode::SUCCESS,
        Err(error) => {
            let _ = writeln!(std::io::stderr(), "error: {error:#}");
            ExitCode::from(2)
        }
    }
}

fn run() -> Result<bool> {
    let cli = Cli::parse();
    let root = match cli.root {
        Some(root) => root.canonicalize().with_context(|| format!("no folder {}", root.display()))?,
        None => cargo::root()?,
    };
    match cli.command {
        Task::Repro { experiment, scale, jobs } => {
            ctrlc::set_handler(|| INTERRUPTED.store(true, Ordering::Relaxed))
                .context("cannot catch Ctrl-C")?;
            let jobs = jobs.unwrap_or_else(|| std::thread::available_parallelism().map_or(1, usize::from));
            repro::repro(&root, experiment.as_deref(), scale, jobs)
        }
        Task::Report { publish } => {
            repro::report_again(&root)?;
            if publish {
                let published = report::publish::publish(&root)?;
                for path in published.written {
                    writeln!(std::io::stdout(), "published {}", path.display())?;
                }
                for path in published.left {
                    writeln!(std::io::stdout(), "left as it is, without results here: {}", path.display())?;
                }
            }
            Ok(true)
        }
        Task::List => list::list(&root).map(|()| true),
        Task::Bench(wanted) => bench::bench(&root, &wanted),
        Task::Tidy => tidy::tidy(&root),
    }
}

fn is_broken_pipe(error: &anyhow::Error) -> bool {
    let broken = |io: &std::io::Error| io.kind() == std::io::ErrorKind::BrokenPipe;
    error.chain().any(|cause| cause.downcast_ref().is_some_and(broken))
}
