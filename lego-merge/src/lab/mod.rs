//! The experiment bed: a small decoder on an embedded procedural corpus, one adapter a task, and their scores.
//!
//! The bed is a *length shift*: the base knows 24 string tasks at lengths 5 and 6 and only partly at length 8; adapters are trained, and
//! all scores are taken, at length 8. A seed covers everything: the base, the adapters, and the held-out strings.
//! The binary `lego-lab` is [`run`]; each of its commands is one function here.

mod bed;
mod command;
mod corpus;
mod peft;
mod score;
mod task;

pub use bed::{AdaptSettings, BaseSettings, RunSettings, Start, train_adapter, train_base};
pub use command::run;
pub use corpus::{ExampleTensors, Examples, LONG, SHORT, Split, VOCAB_SIZE};
pub use score::{ScoreSettings, score};
pub use task::Task;
