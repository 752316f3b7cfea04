//! `kd-gqa allocate`.

use std::io::{Write, stdout};
use std::path::PathBuf;

use grouping_core::command::table;
use serde_json::{Value, json};

use super::allocation::FidelityArgs;
use kd_gqa::Groups;
use kd_gqa::allocation::{Lanes, Method, NormsFile};

#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// Key norms, a layer a row: {"norms": [[…], …], "cache": [[…], …]}; no cache counts as zeros
    #[arg(long, value_name = "FILE.json")]
    norms: PathBuf,
    /// Number of query heads, 1 to 64
    #[arg(long, value_name = "H")]
    heads: usize,
    /// How norms become groups
    #[arg(long, value_enum)]
    method: Method,
    #[command(flatten)]
    share: FidelityArgs,
    /// Seed of the random repairs of official and paper DGQA
    #[arg(long, value_name = "S", default_value_t = 0)]
    seed: u64,
    /// Lanes of the f32 sum of official and paper: 8 as torch has on AVX2 and AVX-512, or 16
    #[arg(long, value_name = "LANES", default_value = "8", value_parser = ["8", "16"])]
    simd: String,
    /// Print the groups as JSON
    #[arg(long)]
    json: bool,
}

pub(super) fn run(args: &Args) -> anyhow::Result<()> {
    let lanes = if args.simd == "16" { Lanes::Sixteen } else { Lanes::Eight };
    let config = args.share.config(args.method, args.seed)?.with_lanes(lanes);
    let groups = NormsFile::read(&args.norms, args.heads)?.allocate(&config)?;
    if args.json { print_json(&groups) } else { print_table(&groups) }
}

fn print_json(groups: &[Groups]) -> anyhow::Result<()> {
    let layers: Vec<Value> = groups.iter().map(|groups| json!({ "groups": groups })).collect();
    Ok(writeln!(stdout(), "{}", json!({ "layers": layers }))?)
}

fn print_table(groups: &[Groups]) -> anyhow::Result<()> {
    let mut table = table(["layer", "query heads of each key/value head", "unused"]);
    for (layer, groups) in groups.iter().enumerate() {
        let sizes: Vec<String> = groups.sizes().iter().map(usize::to_string).collect();
        let unused = groups.sizes().iter().filter(|&&size| size == 0).count();
        table.add_row([layer.to_string(), sizes.join(" "), unused.to_string()]);
    }
    Ok(writeln!(stdout(), "{table}")?)
}
