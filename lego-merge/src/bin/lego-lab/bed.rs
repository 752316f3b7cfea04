//! Training the base and its adapters.
//!
//! The base learns all tasks with equal weight, mostly at short lengths; an adapter learns one task at the long length, as updates of
//! low rank over the frozen base (digest §3.4b, "length shift").

use std::fs::File;
use std::io::{BufReader, Read};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail, ensure};
use burn::module::Module;
use burn::tensor::{Device, Tensor};
use grouping_core::files::output::Existing;
use grouping_core::kernels::cross_entropy;
use grouping_core::nn::{Decoder, DecoderConfig, Initializer, LowRank, read_llama, write_llama};
use grouping_core::seed::derive_seed;
use grouping_core::train::{AdamWSettings, Objective, Observer, Outcome, TrainingRun};
use rand::RngExt;
use rand_chacha::ChaCha8Rng;

use crate::corpus::{
    ADAPTER_BATCHES, ADAPTER_WEIGHTS, BASE_BATCHES, BASE_WEIGHTS, ExampleTensors, Examples, LONG, SHORT,
    VOCAB_SIZE,
};
use crate::peft;
use crate::task::Task;

/// Warm-ups are no longer.
const MOST_WARMUP_STEPS: usize = 50;

/// The base model.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct BaseSettings {
    /// Seed of weights and batches.
    pub(crate) seed: u64,
    /// Steps, output.
    pub(crate) run: TrainingRun,
    /// Width of the decoder.
    pub(crate) hidden_size: usize,
    /// Number of layers.
    pub(crate) n_layers: usize,
    /// Number of heads.
    pub(crate) n_heads: usize,
    /// Width of the feed-forward network.
    pub(crate) ffn_size: usize,
    /// The share of batches of the long length.
    pub(crate) long_share: f64,
}

/// One adapter.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct AdaptSettings {
    /// Seed of weights and batches.
    pub(crate) seed: u64,
    /// Steps, output.
    pub(crate) run: TrainingRun,
    /// The folder of the base.
    pub(crate) base: PathBuf,
    /// The task to learn.
    pub(crate) task: Task,
    /// The rank r.
    pub(crate) rank: usize,
    /// α; updates are scaled by α/r.
    pub(crate) alpha: f64,
    /// Last names of the projections that get an update, as `q_proj`.
    pub(crate) targets: Vec<String>,
    /// Where the first values of A come from.
    pub(crate) start: Start,
}

/// The first values of an adapter's A.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub(crate) enum Start {
    /// Each task has its own.
    PerTask,
    /// All tasks of a seed have the same.
    Shared,
}

/// Trains a base and writes it as a Hugging Face folder.
///
/// # Errors
/// When settings do not fit, training diverges, or files cannot be read or written.
pub(crate) fn train_base(settings: &BaseSettings, observer: &mut impl Observer) -> Result<Outcome> {
    let run = &settings.run;
    run.check()?;
    ensure!(settings.n_heads > 0, "--heads: expected at least 1, found 0");
    let head_dim = settings.hidden_size / settings.n_heads;
    ensure!(
        head_dim * settings.n_heads == settings.hidden_size && head_dim.is_multiple_of(2) && head_dim > 0,
        "--hidden: expected an even multiple of --heads {}, found {}",
        settings.n_heads,
        settings.hidden_size
    );
    ensure!(settings.n_layers > 0 && settings.ffn_size > 0, "--layers, --ffn: expected at least 1");
    ensure!(
        (0.0..=1.0).contains(&settings.long_share),
        "--long-share: expected 0 to 1, found {}",
        settings.long_share
    );
    let config = DecoderConfig::new(
        VOCAB_SIZE,
        settings.hidden_size,
        settings.n_layers,
        settings.n_heads,
        settings.ffn_size,
    )
    .with_rope_theta(1000.0)
    .with_max_positions(64);
    let device = Device::flex().autodiff();
    let decoder = config.init(derive_seed(settings.seed, BASE_WEIGHTS), &device);
    let adamw = AdamWSettings::new().with_beta_2(0.98).with_weight_decay(0.01);
    let train =
        run.config(adamw, MOST_WARMUP_STEPS, derive_seed(derive_seed(settings.seed, BASE_BATCHES), 0));
    let corpus = AllTasks { n_rows: run.batch_size, long_share: settings.long_share, device };
    let description =
        format!("base, {config:?}, {} rows, long share {}", run.batch_size, settings.long_share);
    run.train(decoder, train, &corpus, description, observer, |decoder| {
        Ok(write_llama(&decoder, &run.out, run.existing)?)
    })
}

/// Trains an adapter over a base and writes it as a PEFT folder.
///
/// # Errors
/// When settings do not fit the base, training diverges, or files cannot be read or written.
pub(crate) fn train_adapter(settings: &AdaptSettings, observer: &mut impl Observer) -> Result<Outcome> {
    let run = &settings.run;
    run.check()?;
    ensure!(settings.rank > 0, "--rank: expected at least 1, found 0");
    ensure!(settings.alpha.is_finite(), "--alpha: expected a finite number, found {}", settings.alpha);
    let device = Device::flex().autodiff();
    let mut decoder = read_base(&settings.base, &device)?.no_grad();
    let stream = match settings.start {
        Start::PerTask => 1 + settings.task.idx() as u64,
        Start::Shared => 0,
    };
    let seed = derive_seed(derive_seed(settings.seed, ADAPTER_WEIGHTS), stream);
    let mut init = Initializer::new(seed, &device);
    let scale = settings.alpha / settings.rank as f64;
    for target in &settings.targets {
        let mut found = false;
        for (name, projection) in decoder.projections_mut() {
            if name.rsplit('.').next() == Some(target) {
                found = true;
                projection.low_rank = Some(LowRank::new(projection.dims(), settings.rank, scale, &mut init));
            }
        }
        if !found {
            bail!("--targets: expected names of projections as q_proj, found {target:?}");
        }
    }
    let adamw = AdamWSettings::new().with_weight_decay(0.0);
    let seed = derive_seed(derive_seed(settings.seed, ADAPTER_BATCHES), settings.task.idx() as u64);
    let train = run.config(adamw, MOST_WARMUP_STEPS, seed);
    let corpus = OneTask { task: settings.task, n_rows: run.batch_size, device };
    let model = settings.base.join("model.safetensors");
    let base = fingerprint(&model).with_context(|| format!("{}", model.display()))?;
    let description = format!(
        "adapter, task {}, rank {}, alpha {}, targets {:?}, start {:?}, {} rows, base {:016x}",
        settings.task.name(),
        settings.rank,
        settings.alpha,
        settings.targets,
        settings.start,
        run.batch_size,
        base
    );
    run.train(decoder, train, &corpus, description, observer, |decoder| {
        let adapter = peft::adapter_of(&decoder, settings)?;
        Ok(adapter.write(&run.out, run.existing == Existing::Replace)?)
    })
}

/// Reads a base that was written by [`train_base`].
pub(crate) fn read_base(dir: &Path, device: &Device) -> Result<Decoder> {
    let decoder = read_llama(dir, device)?;
    let found = decoder.config().vocab_size;
    ensure!(
        found == VOCAB_SIZE,
        "{}: `vocab_size`: expected the {VOCAB_SIZE} symbols of this corpus, found {found}",
        dir.display()
    );
    Ok(decoder)
}

/// FNV-1a of a file, to tell whether a base is still the one that training started over.
fn fingerprint(path: &Path) -> std::io::Result<u64> {
    BufReader::new(File::open(path)?).bytes().try_fold(0xcbf2_9ce4_8422_2325, |hash: u64, byte| {
        Ok((hash ^ u64::from(byte?)).wrapping_mul(0x0100_0000_01b3))
    })
}

/// All tasks with equal weight, a batch of one length at a time.
struct AllTasks {
    n_rows: usize,
    long_share: f64,
    device: Device,
}

impl AllTasks {
    fn length(&self, step: usize, rng: &mut ChaCha8Rng) -> usize {
        let n_long = |steps: usize| (steps as f64 * self.long_share).floor();
        if n_long(step + 1) > n_long(step) {
            LONG
        } else if rng.random_range(0..3) == 0 {
            SHORT[1]
        } else {
            SHORT[0]
        }
    }
}

impl Objective<Decoder> for AllTasks {
    type Batch = ExampleTensors;

    fn batches(&self, step: usize, n_shards: usize, rng: &mut ChaCha8Rng) -> Vec<ExampleTensors> {
        let length = self.length(step, rng);
        let all: Vec<Task> = Task::all().collect();
        let tasks: Vec<Task> = (0..self.n_rows).map(|_| all[rng.random_range(0..all.len())]).collect();
        shards(&Examples::random(tasks, length, rng), n_shards, &self.device)
    }

    fn loss(&self, model: &Decoder, batch: &ExampleTensors) -> Tensor<1> {
        answer_loss(model, batch)
    }
}

/// One task at the long length.
struct OneTask {
    task: Task,
    n_rows: usize,
    device: Device,
}

impl Objective<Decoder> for OneTask {
    type Batch = ExampleTensors;

    fn batches(&self, _step: usize, n_shards: usize, rng: &mut ChaCha8Rng) -> Vec<ExampleTensors> {
        let examples = Examples::random(std::iter::repeat_n(self.task, self.n_rows), LONG, rng);
        shards(&examples, n_shards, &self.device)
    }

    fn loss(&self, model: &Decoder, batch: &ExampleTensors) -> Tensor<1> {
        answer_loss(model, batch)
    }
}

fn shards(examples: &Examples, n_shards: usize, device: &Device) -> Vec<ExampleTensors> {
    let n = examples.n_rows() / n_shards;
    (0..n_shards).map(|shard| examples.tensors(shard * n, n, device)).collect()
}

fn answer_loss(model: &Decoder, batch: &ExampleTensors) -> Tensor<1> {
    cross_entropy(model.logits_at(batch.tokens.clone(), batch.places.clone()), batch.answers.clone())
}
