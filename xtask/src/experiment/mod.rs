//! Experiments: from a TOML file to cached outputs, metrics and verdicts.

pub(crate) mod cache;
pub(crate) mod expect;
pub(crate) mod matrix;
pub(crate) mod metrics;
pub(crate) mod plan;
pub(crate) mod process;
pub(crate) mod run;
pub(crate) mod select;
pub(crate) mod spec;
pub(crate) mod template;
