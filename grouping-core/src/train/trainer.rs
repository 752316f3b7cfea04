//! The training loop.
//!
//! Step t takes its batches from a ChaCha8 generator seeded by (seed, t) and its learning rate from the schedule, so a run that
//! was killed and resumed ends with the same bytes as one that was not. The number of threads is part of the run: it decides in which
//! order floating-point sums are taken.

use std::ops::ControlFlow;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use burn::config::Config;
use burn::module::Module;
use burn::tensor::Tensor;
use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;

use super::checkpoint;
use super::event::{Event, Observer};
use super::optimizer::{AdamWSettings, Optimizer};
use super::schedule::WarmupCosine;
use super::shards::Threads;
use crate::Error;
use crate::seed::derive_seed;

/// What is minimised.
pub trait Objective<M>: Sync {
    /// What one thread works on in one step.
    type Batch: Sync;

    /// The batches of `step`, one for each of `n_shards` threads, all of one size; nothing but the arguments may enter.
    fn batches(&self, step: usize, n_shards: usize, rng: &mut ChaCha8Rng) -> Vec<Self::Batch>;

    /// The mean loss `[1]` of `model` over `batch`.
    fn loss(&self, model: &M, batch: &Self::Batch) -> Tensor<1>;
}

/// A training run.
#[derive(Config, Debug, PartialEq)]
pub struct TrainConfig {
    /// Learning rates and the number of steps.
    pub schedule: WarmupCosine,
    /// The optimiser.
    pub adamw: AdamWSettings,
    /// Seed of the batches.
    #[config(default = 0)]
    pub seed: u64,
    /// Number of threads, each with its share of the batch.
    #[config(default = 1)]
    pub n_threads: usize,
    /// The loss is reported every so many steps, and at the last.
    #[config(default = 50)]
    pub n_steps_per_report: usize,
}

/// Where and how often checkpoints are written.
#[derive(Debug, Clone, PartialEq)]
pub struct CheckpointPolicy {
    /// The folder of the checkpoints.
    pub dir: PathBuf,
    /// The longest time of training between two of them.
    pub interval: Duration,
    /// Text that must be equal for a run to be resumed, beside the [`TrainConfig`]: data, base model, and the like.
    pub description: String,
}

/// How a run ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Outcome {
    /// All steps are done.
    Finished,
    /// The observer asked to stop; the state is in the checkpoint, where there is one.
    Stopped,
}

/// A module under training.
pub struct Trainer<M> {
    /// Taken out for the time of a step.
    module: Option<M>,
    optimizer: Optimizer,
    config: TrainConfig,
    step: usize,
    threads: Threads,
}

impl<M: Module + Sync> Trainer<M> {
    /// Starts to train `module`, whose trainable parameters lie on a device with autodiff.
    ///
    /// # Errors
    /// [`Error::Threads`] when threads cannot be started.
    pub fn new(module: M, config: TrainConfig) -> crate::Result<Self> {
        let optimizer = Optimizer::new(&config.adamw);
        let threads = Threads::new(config.n_threads)?;
        Ok(Self { module: Some(module), optimizer, config, step: 0, threads })
    }

    /// The module.
    pub fn module(&self) -> &M {
        self.module.as_ref().expect("a step puts the module back")
    }

    /// The module, at the end.
    pub fn into_module(self) -> M {
        self.module.expect("a step puts the module back")
    }

    /// The number of steps done.
    pub fn n_steps_done(&self) -> usize {
        self.step
    }

    /// Takes one step and returns the loss before it.
    ///
    /// # Errors
    /// [`Error::Diverged`] when the loss is NaN or infinite; the module is then as before.
    pub fn step(&mut self, objective: &impl Objective<M>) -> crate::Result<f64> {
        let mut rng = ChaCha8Rng::seed_from_u64(derive_seed(self.config.seed, self.step as u64));
        let batches = objective.batches(self.step, self.threads.len(), &mut rng);
        let loss = |module: &M, batch: &_| objective.loss(module, batch);
        let (value, gradients) = self.threads.gradient(self.module(), &batches, &loss);
        if !value.is_finite() {
            return Err(Error::Diverged { step: self.step, loss: value });
        }
        let rate = self.config.schedule.learning_rate(self.step);
        let module = self.module.take().expect("a step puts the module back");
        self.module = Some(self.optimizer.step(module, gradients, rate));
        self.step += 1;
        Ok(value)
    }

    /// Resumes from the latest checkpoint where there is one, and trains to the end of the schedule.
    ///
    /// # Errors
    /// [`Error::Diverged`], or an error in reading or writing checkpoints: [`Error::OtherRun`] where one is of another run,
    /// [`Error::FileField`] where one is damaged, and [`Error::Io`] from the system.
    pub fn run(
        &mut self,
        objective: &impl Objective<M>,
        checkpoints: Option<&CheckpointPolicy>,
        observer: &mut impl Observer,
    ) -> crate::Result<Outcome> {
        let total = self.config.schedule.n_steps;
        let run = checkpoints.map(|policy| format!("{:?}; {}", self.config, policy.description));
        if let (Some(policy), Some(run)) = (checkpoints, &run) {
            let module = self.module.take().expect("a step puts the module back");
            let (module, found) = checkpoint::load(&policy.dir, run, module, &mut self.optimizer)?;
            self.module = Some(module);
            if let Some((path, step)) = found {
                self.step = step;
                if observer.on_event(&Event::Resumed { step, path }).is_break() {
                    return Ok(Outcome::Stopped);
                }
            }
        }
        let mut last_save = Instant::now();
        while self.step < total {
            let value = self.step(objective)?;
            let mut flow = ControlFlow::Continue(());
            if self.step.is_multiple_of(self.config.n_steps_per_report.max(1)) || self.step == total {
                flow = observer.on_event(&Event::metric("loss", value, [("step", self.step)]));
                if flow.is_continue() {
                    flow = observer.on_event(&Event::Progress { done: self.step, total, unit: "step" });
                }
            }
            if let (Some(policy), Some(run)) = (checkpoints, &run) {
                let due = last_save.elapsed() >= policy.interval && self.step < total;
                if due || flow.is_break() {
                    let path = checkpoint::save(&policy.dir, self.step, run, self.module(), &self.optimizer)?;
                    last_save = Instant::now();
                    if flow.is_continue() {
                        flow = observer.on_event(&Event::Checkpoint { step: self.step, path });
                    }
                }
            }
            if flow.is_break() {
                return Ok(Outcome::Stopped);
            }
        }
        Ok(Outcome::Finished)
    }
}
