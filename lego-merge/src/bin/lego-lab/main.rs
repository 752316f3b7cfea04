//! `lego-lab`: the experiment bed of merging. It trains a small decoder on a procedural corpus and one adapter a task, and
//! scores them.
//!
//! The bed is a *length shift*: the base knows 24 string tasks at lengths 5 and 6 and only partly at length 8; adapters are trained,
//! and all scores are taken, at length 8. A seed covers everything: the base, the adapters, and the held-out strings.
//! Each command parses, makes one call and sets an exit code. Everything on stdout is lines of JSON.

mod bed;
mod corpus;
mod peft;
mod score;
mod task;

use std::io::Write;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context, Result};
use clap::{Args, Parser, Subcommand};
use grouping_core::command::{self, Flags};
use grouping_core::files::output::Existing;
use grouping_core::train::{JsonLines, TrainingRun};
use serde_json::json;

use bed::{AdaptSettings, BaseSettings, Start, train_adapter, train_base};
use score::{ScoreSettings, score};
use task::Task;

/// The tasks that adapters are trained for by default.
const ADAPTER_TASKS: [&str; 7] = ["rev", "sort", "inc", "comp", "swapp", "rotr", "runmax"];

/// A bed for merging adapters: trains a small decoder on 24 string tasks and LoRA adapters over it, and scores them.
///
/// Defaults are the smoke scale. Results and progress are lines of JSON on stdout. Exit codes: 0 done, 2 usage or failure.
#[derive(Debug, Parser)]
#[command(name = "lego-lab", version, args_override_self = true)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Train the base and write it as a Hugging Face Llama folder.
    Base(BaseArgs),
    /// Train one adapter over a base and write it as a PEFT folder.
    Adapt(AdaptArgs),
    /// Score a base, alone or with an adapter, on held-out strings.
    Score(ScoreArgs),
    /// List the tasks.
    Tasks,
}

#[derive(Debug, Args)]
struct RunArgs {
    /// Seed of weights and batches.
    #[arg(long, default_value_t = 0)]
    seed: u64,
    /// Folder to write; checkpoints lie in OUT.partial meanwhile, and an interrupted run goes on from them.
    #[arg(long)]
    out: PathBuf,
    /// Replace OUT where it exists, and discard checkpoints of another run.
    #[arg(long)]
    force: bool,
    /// Number of threads; another number gives other bytes.
    #[arg(long, default_value_t = 2)]
    threads: usize,
    /// Seconds between checkpoints.
    #[arg(long, default_value_t = 10)]
    checkpoint_secs: u64,
}

#[derive(Debug, Args)]
struct BaseArgs {
    #[command(flatten)]
    run: RunArgs,
    /// Width of the decoder.
    #[arg(long, default_value_t = 96)]
    hidden: usize,
    /// Number of layers.
    #[arg(long, default_value_t = 3)]
    layers: usize,
    /// Number of heads.
    #[arg(long, default_value_t = 4)]
    heads: usize,
    /// Width of the feed-forward network.
    #[arg(long, default_value_t = 256)]
    ffn: usize,
    /// Number of steps.
    #[arg(long, default_value_t = 1000)]
    steps: usize,
    /// Rows in a batch.
    #[arg(long, default_value_t = 128)]
    batch: usize,
    /// The highest learning rate.
    #[arg(long, default_value_t = 3e-3)]
    lr: f64,
    /// The share of batches of length 8.
    #[arg(long, default_value_t = 0.08)]
    long_share: f64,
}

#[derive(Debug, Args)]
struct AdaptArgs {
    #[command(flatten)]
    run: RunArgs,
    /// Folder of the base.
    #[arg(long)]
    base: PathBuf,
    /// The task to learn.
    #[arg(long, value_parser = parse_task)]
    task: Task,
    /// The rank r.
    #[arg(long, default_value_t = 8)]
    rank: usize,
    /// The numerator of the scale, alpha / rank.
    #[arg(long, default_value_t = 16.0)]
    alpha: f64,
    /// Projections that get an update.
    #[arg(long, value_delimiter = ',', default_value = "q_proj,v_proj,down_proj")]
    targets: Vec<String>,
    /// Number of steps.
    #[arg(long, default_value_t = 150)]
    steps: usize,
    /// Rows in a batch.
    #[arg(long, default_value_t = 64)]
    batch: usize,
    /// The highest learning rate.
    #[arg(long, default_value_t = 1e-3)]
    lr: f64,
    /// Start every task of a seed from the same A.
    #[arg(long)]
    shared_init: bool,
}

#[derive(Debug, Args)]
struct ScoreArgs {
    /// Folder of the base.
    #[arg(long)]
    base: PathBuf,
    /// PEFT folder of an adapter.
    #[arg(long)]
    adapter: Option<PathBuf>,
    /// Seed of the held-out strings: that of the base and its adapters.
    #[arg(long, default_value_t = 0)]
    seed: u64,
    /// Tasks to score.
    #[arg(long, value_delimiter = ',', value_parser = parse_task, default_values = ADAPTER_TASKS)]
    tasks: Vec<Task>,
    /// Tasks whose mean on the validation split chooses the scale.
    #[arg(long, value_delimiter = ',', value_parser = parse_task, default_values = ADAPTER_TASKS)]
    tune_tasks: Vec<Task>,
    /// Strings a task and split.
    #[arg(long, default_value_t = 256)]
    examples: usize,
    /// Scales to choose from, as 0.3,0.5,1; without it, nothing is tuned.
    #[arg(long, value_delimiter = ',', value_parser = parse_scale)]
    grid: Vec<f64>,
    /// Number of threads; the scores do not depend on it.
    #[arg(long, default_value_t = 2)]
    threads: usize,
}

fn parse_task(name: &str) -> std::result::Result<Task, String> {
    Task::named(name).ok_or_else(|| {
        let names: Vec<&str> = Task::all().map(Task::name).collect();
        format!("expected one of {}", names.join(", "))
    })
}

fn parse_scale(text: &str) -> std::result::Result<f64, String> {
    let scale: f64 = text.parse().map_err(|_| "expected a number".to_owned())?;
    if scale.is_finite() { Ok(scale) } else { Err("expected a finite number".into()) }
}

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    let flags = Flags {
        renamed: &[("batch_size", "batch"), ("learning_rate", "lr")],
        wrapped: |cause| cause.downcast_ref::<lego_merge::Error>().and_then(lego_merge::Error::core),
        is_of_settings: |cause| matches!(cause.downcast_ref(), Some(lego_merge::Error::Conflict { .. })),
    };
    command::run(flags, |cli: Cli| execute(cli.command))
}

fn execute(command: Command) -> Result<()> {
    let mut lines = JsonLines::new(std::io::stdout());
    match command {
        Command::Base(args) => {
            train_base(&args.settings(), &mut lines)?;
        }
        Command::Adapt(args) => {
            train_adapter(&args.settings(), &mut lines)?;
        }
        Command::Score(args) => {
            score(&args.settings(), &mut lines)?;
        }
        Command::Tasks => return list_tasks(),
    }
    lines.finish().context("standard output")?;
    Ok(())
}

fn list_tasks() -> Result<()> {
    let mut out = std::io::stdout().lock();
    for task in Task::all() {
        let line = json!({
            "event": "task",
            "name": task.name(),
            "meaning": task.meaning(),
            "adapter": ADAPTER_TASKS.contains(&task.name()),
        });
        writeln!(out, "{line}")?;
    }
    Ok(())
}

impl RunArgs {
    fn settings(self, n_steps: usize, batch_size: usize, learning_rate: f64) -> TrainingRun {
        let existing = Existing::replaced_if(self.force);
        TrainingRun {
            n_steps,
            batch_size,
            learning_rate,
            n_threads: self.threads,
            out: self.out,
            checkpoint_interval: Duration::from_secs(self.checkpoint_secs),
            existing,
        }
    }
}

impl BaseArgs {
    fn settings(self) -> BaseSettings {
        BaseSettings {
            seed: self.run.seed,
            run: self.run.settings(self.steps, self.batch, self.lr),
            hidden_size: self.hidden,
            n_layers: self.layers,
            n_heads: self.heads,
            ffn_size: self.ffn,
            long_share: self.long_share,
        }
    }
}

impl AdaptArgs {
    fn settings(self) -> AdaptSettings {
        AdaptSettings {
            seed: self.run.seed,
            run: self.run.settings(self.steps, self.batch, self.lr),
            base: self.base,
            task: self.task,
            rank: self.rank,
            alpha: self.alpha,
            targets: self.targets,
            start: if self.shared_init { Start::Shared } else { Start::PerTask },
        }
    }
}

impl ScoreArgs {
    fn settings(self) -> ScoreSettings {
        ScoreSettings {
            base: self.base,
            adapter: self.adapter,
            seed: self.seed,
            tasks: self.tasks,
            tune_tasks: self.tune_tasks,
            n_examples: self.examples,
            grid: self.grid,
            n_threads: self.threads,
        }
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
