//! Training with exact resume, on several threads, deterministic for a given number of threads.
//!
//! A [`Trainer`] owns a module, its AdamW moments and a step counter. What a step reads (learning rate, batches) is a function of
//! the configuration and of the step alone, so that a checkpoint of these three continues bit for bit.

mod checkpoint;
mod event;
mod optimizer;
mod run;
mod schedule;
mod shards;
mod trainer;

pub use event::{Event, JsonLines, Observer};
pub use optimizer::AdamWSettings;
pub use run::TrainingRun;
pub use schedule::WarmupCosine;
pub use trainer::{CheckpointPolicy, Objective, Outcome, TrainConfig, Trainer};
