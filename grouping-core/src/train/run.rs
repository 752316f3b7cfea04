//! A training run that ends in an output: its settings are checked first, checkpoints lie beside the output meanwhile, and they
//! go when the output is written.
//!
//! A run that was interrupted goes on from its checkpoints and ends with the same bytes.

use std::path::PathBuf;
use std::time::Duration;

use burn::module::Module;

use super::event::Observer;
use super::optimizer::AdamWSettings;
use super::schedule::WarmupCosine;
use super::trainer::{CheckpointPolicy, Objective, Outcome, TrainConfig, Trainer};
use crate::files::output::Existing;
use crate::{Error, Result};

/// What every training of an output needs to know.
#[derive(Debug, Clone, PartialEq)]
pub struct TrainingRun {
    /// The output; `<out>.partial` holds checkpoints meanwhile.
    pub out: PathBuf,
    /// What to do with an output, or with checkpoints that are damaged or of another run.
    pub existing: Existing,
    /// Number of steps.
    pub n_steps: usize,
    /// Rows in a batch, a multiple of the number of threads.
    pub batch_size: usize,
    /// The highest learning rate.
    pub learning_rate: f64,
    /// Number of threads; another number gives other bytes.
    pub n_threads: usize,
    /// The longest time of training that a kill can cost.
    pub checkpoint_interval: Duration,
}

impl TrainingRun {
    /// Whether the settings fit each other and the output may be written; for before anything is read or computed.
    ///
    /// # Errors
    /// [`Error::Setting`], and [`Error::Exists`] for an output that is not to be replaced.
    pub fn check(&self) -> Result<()> {
        if self.n_threads == 0 {
            return Err(Error::setting("n_threads", "at least 1", 0));
        }
        if self.batch_size == 0 || !self.batch_size.is_multiple_of(self.n_threads) {
            let expected = format!("a multiple of `n_threads` {}", self.n_threads);
            return Err(Error::setting("batch_size", expected, self.batch_size));
        }
        if !self.learning_rate.is_finite() || self.learning_rate <= 0.0 {
            return Err(Error::setting("learning_rate", "a number above zero", self.learning_rate));
        }
        self.existing.check(&self.out)
    }

    /// The training: a warm-up of a twentieth of the steps (from 5 to `most_warmup_steps`), half a cosine down to 2 % of the
    /// peak, and gradients of norm 1 at most. `seed` is that of the batches.
    pub fn config(&self, adamw: AdamWSettings, most_warmup_steps: usize, seed: u64) -> TrainConfig {
        let n_warmup_steps = (self.n_steps / 20).max(5).min(most_warmup_steps).min(self.n_steps);
        let schedule = WarmupCosine::new(self.learning_rate, self.n_steps)
            .with_n_warmup_steps(n_warmup_steps)
            .with_final_share(0.02);
        TrainConfig::new(schedule, adamw.with_max_grad_norm(Some(1.0)))
            .with_seed(seed)
            .with_n_threads(self.n_threads)
            .with_n_steps_per_report(25)
    }

    /// Trains `module`, from checkpoints where there are some, and hands it to `write` when all steps are done.
    ///
    /// `description` says what else makes the run the one that it is; see [`CheckpointPolicy`].
    ///
    /// # Errors
    /// Those of [`Trainer::run`] and of `write`; [`Error::OtherRun`] and [`Error::FileField`] only where checkpoints are not to be replaced.
    pub fn train<M: Module + Sync, E: From<Error>>(
        &self,
        module: M,
        config: TrainConfig,
        objective: &impl Objective<M>,
        description: String,
        observer: &mut impl Observer,
        write: impl FnOnce(M) -> std::result::Result<(), E>,
    ) -> std::result::Result<Outcome, E> {
        let policy =
            CheckpointPolicy { dir: self.partial(), interval: self.checkpoint_interval, description };
        let mut trainer = Trainer::new(module.clone(), config.clone())?;
        let outcome = match trainer.run(objective, Some(&policy), observer) {
            Err(Error::OtherRun { .. } | Error::FileField { .. }) if self.existing == Existing::Replace => {
                self.remove_partial()?;
                trainer = Trainer::new(module, config)?;
                trainer.run(objective, Some(&policy), observer)?
            }
            outcome => outcome?,
        };
        if outcome == Outcome::Finished {
            write(trainer.into_module())?;
            self.remove_partial()?;
        }
        Ok(outcome)
    }

    fn partial(&self) -> PathBuf {
        let mut path = self.out.clone().into_os_string();
        path.push(".partial");
        path.into()
    }

    fn remove_partial(&self) -> Result<()> {
        let partial = self.partial();
        match std::fs::remove_dir_all(&partial) {
            Err(e) if e.kind() != std::io::ErrorKind::NotFound => Err(Error::file(&partial, "remove")(e)),
            _ => Ok(()),
        }
    }
}
