//! `gqa-lab`: the experiment bed of grouped attention. It draws procedural images, trains a small vision transformer on
//! them, and scores the transformer before and after conversion.
//!
//! Each command parses, makes one call and sets an exit code. Everything on stdout is lines of JSON.

mod bed;
mod cifar;
mod images;
mod score;

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context, Result};
use clap::{Args, Parser, Subcommand};
use grouping_core::command::{self, Flags};
use grouping_core::files::output::Existing;
use grouping_core::train::{JsonLines, TrainingRun};

use bed::{BATCH, BedSettings};
use cifar::Shares;
use kd_gqa::allocation::{AllocationConfig, Fidelity, Method};
use kd_gqa::convert::{Align, ConvertConfig, Grouping, Pool};
use score::{Variant, choose, score};

/// A bed for experiments with grouped attention: a small vision transformer, images, and scores of what conversion leaves.
///
/// Defaults are the smoke scale. Results and progress are lines of JSON on stdout. Exit codes: 0 done, 2 usage or failure.
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
    /// Make a bed: a model, and images to calibrate, choose and test.
    Bed(BedArgs),
    /// Score a bed's model, whole or converted.
    Score(ScoreArgs),
    /// Report the test scores of the variant that is best on validation images.
    Choose(ChooseArgs),
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

#[derive(Debug, Clone, Copy, clap::ValueEnum)]
enum Kind {
    /// A model trained here on procedural images.
    Procedural,
    /// The CIFAR-10 model and images of $GROUPING_DATA.
    Cifar10,
}

#[derive(Debug, Args)]
struct BedArgs {
    /// Which bed.
    kind: Kind,
    /// Folder to write; checkpoints lie in OUT.partial meanwhile, and an interrupted training goes on from them.
    #[arg(long)]
    out: PathBuf,
    /// Seed of weights, batches and images.
    #[arg(long, default_value_t = 0)]
    seed: u64,
    /// Steps of training.
    #[arg(long, default_value_t = 700)]
    steps: usize,
    /// Images that calibrate.
    #[arg(long, default_value_t = 500)]
    calibration: usize,
    /// Images that choose.
    #[arg(long, default_value_t = 500)]
    validation: usize,
    /// Images that test.
    #[arg(long, default_value_t = 500)]
    test: usize,
    /// Number of threads; another number gives other bytes.
    #[arg(long, default_value_t = 2)]
    threads: usize,
}

#[derive(Debug, Clone, Copy, clap::ValueEnum)]
enum PoolName {
    /// The mean.
    Mean,
    /// The first head.
    First,
    /// Weighted by activations.
    Weighted,
}

#[derive(Debug, Args)]
struct ScoreArgs {
    /// Folder of the bed.
    bed: PathBuf,
    /// Folder to write.
    #[arg(long)]
    out: PathBuf,
    /// Seed of searches and of intervals.
    #[arg(long, default_value_t = 0)]
    seed: u64,
    /// Key/value heads after conversion [default: the model as it is].
    #[arg(long)]
    kv_heads: Option<usize>,
    /// Which heads share one.
    #[arg(long, value_enum, default_value = "neighbour")]
    grouping: Grouping,
    /// Whether they are turned towards each other first.
    #[arg(long, value_enum, default_value = "none")]
    align: Align,
    /// How one comes of several.
    #[arg(long, value_enum, default_value = "mean")]
    pool: PoolName,
    /// Groups by key norms.
    #[arg(long, value_enum)]
    allocation: Option<Method>,
    /// Whose arithmetic.
    #[arg(long, value_enum, default_value = "robust")]
    fidelity: Fidelity,
}

#[derive(Debug, Args)]
struct ChooseArgs {
    /// Outputs of `score`.
    #[arg(required = true)]
    outs: Vec<PathBuf>,
}

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    let flags = Flags {
        renamed: &[],
        wrapped: |cause| cause.downcast_ref::<kd_gqa::Error>().and_then(kd_gqa::Error::core),
        is_of_settings: |_| false,
    };
    command::run(flags, |cli: Cli| execute(cli.command))
}

fn execute(command: Command) -> Result<()> {
    let mut lines = JsonLines::new(std::io::stdout());
    match command {
        Command::Images(args) => {
            images::write(&args.out, &(args.first..args.first + args.n_per_class), args.seed)?;
        }
        Command::Bed(args) => match args.kind {
            Kind::Procedural => {
                bed::procedural(&args.settings(), &mut lines)?;
            }
            Kind::Cifar10 => bed::cifar10(&args.settings())?,
        },
        Command::Score(args) => score(&args.bed, &args.variant(), args.seed, &args.out, &mut lines)?,
        Command::Choose(args) => choose(&args.outs, &mut lines)?,
    }
    lines.finish().context("standard output")?;
    Ok(())
}

impl BedArgs {
    fn settings(self) -> BedSettings {
        BedSettings {
            seed: self.seed,
            n_images: Shares { calibration: self.calibration, validation: self.validation, test: self.test },
            run: TrainingRun {
                out: self.out,
                existing: Existing::Refuse,
                n_steps: self.steps,
                batch_size: BATCH,
                learning_rate: 2e-3,
                n_threads: self.threads,
                checkpoint_interval: Duration::from_secs(10),
            },
        }
    }
}

impl ScoreArgs {
    fn variant(&self) -> Variant {
        let pool = match self.pool {
            PoolName::Mean => Pool::Mean,
            PoolName::First => Pool::First,
            PoolName::Weighted => Pool::Activations,
        };
        let convert = self.kv_heads.map(|n_kv_heads| {
            ConvertConfig::new(n_kv_heads)
                .with_grouping(self.grouping)
                .with_align(self.align)
                .with_pool(pool)
                .with_seed(self.seed)
        });
        let allocation =
            self.allocation.map(|method| AllocationConfig::new(method).with_fidelity(self.fidelity));
        Variant { convert, allocation }
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
