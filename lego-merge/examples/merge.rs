//! Merges PEFT folders from Rust: `cargo run --example merge -- ADAPTER… OUTPUT`.

use std::path::PathBuf;

use lego_merge::adapter::Adapter;
use lego_merge::merge::{Lego, MergeConfig, merge_to_folder};

fn main() -> anyhow::Result<()> {
    let mut paths: Vec<PathBuf> = std::env::args_os().skip(1).map(PathBuf::from).collect();
    let output = paths.pop().filter(|_| !paths.is_empty());
    let output = output.ok_or_else(|| anyhow::anyhow!("usage: merge ADAPTER… OUTPUT"))?;
    let adapters = paths.iter().map(Adapter::read).collect::<Result<Vec<_>, _>>()?;
    let config = MergeConfig::new(Lego::default()).with_seed(7);
    let report = merge_to_folder(&adapters, &config, &output, false, |_| ())?;
    anyhow::ensure!(!report.modules.is_empty(), "an adapter has at least one module");
    Ok(())
}
