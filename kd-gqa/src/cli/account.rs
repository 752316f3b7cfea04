//! `kd-gqa account`.

use std::io::{Write, stdout};
use std::path::PathBuf;

use grouping_core::command::{CellAlignment, table};

use super::images::VitArgs;
use kd_gqa::account::{Account, AccountConfig, Cost, ModelShape, account};

#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// A checkpoint that `convert` reads
    #[arg(value_name = "CKPT")]
    checkpoint: PathBuf,
    /// Key/value heads after grouping
    #[arg(long, value_name = "G")]
    kv_heads: usize,
    /// Tokens in the cache
    #[arg(long, value_name = "N", default_value_t = 4096)]
    context: usize,
    /// Sequences side by side
    #[arg(long, value_name = "B", default_value_t = 1)]
    batch: usize,
    /// Bytes of a value in the cache
    #[arg(long, value_name = "BYTES", default_value_t = 2)]
    value_bytes: usize,
    // Of these, only the heads change what is counted.
    #[command(flatten)]
    vit: VitArgs,
    /// Print one JSON object
    #[arg(long)]
    json: bool,
}

pub(super) fn run(args: &Args) -> anyhow::Result<()> {
    let shape = ModelShape::of(&args.vit.open(&args.checkpoint)?)?;
    let after = vec![args.kv_heads; shape.n_kv_heads.len()];
    let config = AccountConfig::new(args.context).with_batch(args.batch).with_value_bytes(args.value_bytes);
    print(&account(&shape, &after, config)?, args.json)
}

/// Prints the account to stdout: one JSON object on one line, or a table.
fn print(account: &Account, json: bool) -> anyhow::Result<()> {
    let text = if json { serde_json::to_string(account)? } else { shown(account) };
    Ok(writeln!(stdout(), "{text}")?)
}

/// The account as a table: a row for each run of equal layers, the rest of the model, and the whole.
fn shown(account: &Account) -> String {
    let unit = if account.has_cache { "MACs a token" } else { "MACs an image" };
    let header = ["layers", "kv heads", "parameters", "", unit, "", "cache", ""];
    let mut table = table(header);
    for column in 2..header.len() {
        if let Some(column) = table.column_mut(column) {
            column.set_cell_alignment(CellAlignment::Right);
        }
    }
    let mut row = |name: String, heads: String, before: Cost, after: Cost| {
        let mut cells = vec![name, heads];
        let counts = [(before.parameters, after.parameters), (before.macs, after.macs)];
        for (before, after) in counts {
            cells.extend([count(before), count(after)]);
        }
        if account.has_cache {
            cells.extend([bytes(before.cache_bytes), bytes(after.cache_bytes)]);
        } else {
            cells.extend(["none".into(), "none".into()]);
        }
        table.add_row(cells);
    };
    let mut start = 0;
    for run in account.layers.chunk_by(|a, b| a == b) {
        let (end, layer) = (start + run.len(), &run[0]);
        let name = if run.len() == 1 { start.to_string() } else { format!("{start}–{}, each", end - 1) };
        let [before, after] = layer.n_kv_heads;
        row(name, format!("{before} → {after} of {}", account.n_heads), layer.before, layer.after);
        start = end;
    }
    row("embedding, head".into(), String::new(), account.outside, account.outside);
    row("all".into(), String::new(), account.before, account.after);
    let note = if account.has_cache {
        let config = &account.config;
        format!(
            "cache: {} tokens, batch {}, {} bytes a value",
            config.context, config.batch, config.value_bytes
        )
    } else {
        "a vision transformer keeps no key/value cache: grouping saves only parameters and MACs".into()
    };
    format!("{table}\n{note}")
}

/// `22,050,664`.
fn count(n: u64) -> String {
    let digits = n.to_string();
    let groups: Vec<&str> = digits
        .as_bytes()
        .rchunks(3)
        .rev()
        .map(|group| std::str::from_utf8(group).unwrap_or_default())
        .collect();
    groups.join(",")
}

/// Decimal multiples: `2.147 GB`.
fn bytes(n: u64) -> String {
    match n {
        0..1_000 => format!("{n} B"),
        1_000..1_000_000 => format!("{:.3} kB", n as f64 / 1e3),
        1_000_000..1_000_000_000 => format!("{:.3} MB", n as f64 / 1e6),
        _ => format!("{:.3} GB", n as f64 / 1e9),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tables_show_layers_counts_and_bytes() {
        let llama = ModelShape::llama(32, 4096, 32, 11008, 32000);
        let text = shown(&account(&llama, &[8; 32], AccountConfig::new(4096)).expect("counted"));
        for part in ["0–31, each", "32 → 8 of 32", "6,738,415,616", "2.147 GB", "536.871 MB"] {
            assert!(text.contains(part), "`{part}` is missing:\n{text}");
        }
        let small = ModelShape::vit(12, 384, 6, 224, 16, 1000);
        let text = shown(&account(&small, &[3; 12], AccountConfig::new(1)).expect("counted"));
        assert!(text.contains("no key/value cache") && text.contains("22,050,664"), "{text}");
    }
}
