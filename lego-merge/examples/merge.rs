//! Merges PEFT folders from Rust: `cargo run --example merge -- ADAPTER… OUTPUT`.

use std::path::PathBuf;

use lego_merge::adapter::{Adapter, Output};
use lego_merge::merge::{Lego, MergeConfig, Plan, merge_to};

fn main() -> anyhow::Result<()> {
    let mut paths: Vec<PathBuf> = std::env::args_os().skip(1).map(PathBuf::from).collect();
    let output = paths.pop().filter(|_| !paths.is_empty());
    let output = output.ok_or_else(|| anyhow::anyhow!("usage: merge ADAPTER… OUTPUT"))?;
    let adapters = paths.iter().map(Adapter::read).collect::<Result<Vec<_>, _>>()?;
    let config = MergeConfig::new(Lego::default()).with_seed(7);
    let report = merge_to(&Plan::new(&adapters, &config)?, &Output::new(output), |_| ())?;
    anyhow::ensure!(!report.modules.is_empty(), "an adapter has at least one module");
    Ok(())
}
