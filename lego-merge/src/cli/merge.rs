//! `lego-merge merge`.

use std::collections::BTreeMap;
use std::io::{Write, stdout};
use std::path::PathBuf;
use std::time::Instant;

use anyhow::{Context, ensure};
use clap::ValueEnum;
use comfy_table::{Table, presets};
use serde_json::json;

use super::console::{modules_bar, peak_memory_bytes, say};
use crate::adapter::Adapter;
use crate::merge::{
    Average, Cat, Dare, Density, Lego, Linear, MagnitudePrune, MajoritySign, MergeConfig, MergeReport,
    Reweighting, Svd, TaskArithmetic, Ties, merge_to_folder,
};

/// Method names of `--method`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Method {
    /// LoRA-LEGO: cluster the ranks of all adapters, one merged rank a cluster
    Lego,
    /// Add the factors A and B apart (holds cross terms)
    Linear,
    /// Put all ranks side by side: the exact weighted sum
    Cat,
    /// The best approximation of the weighted sum at a rank
    Svd,
    /// The weighted sum times --lambda: exact, or its best approximation with --rank
    TaskArithmetic,
    /// The mean of the factors A and of the factors B
    Average,
    /// TIES on the factors: trim to --density, elect a sign, average what agrees
    Ties,
    /// DARE on the factors: keep --density at random and rescale, then as linear
    DareLinear,
    /// DARE on the factors: keep --density at random and rescale, then as ties
    DareTies,
    /// Trim the factors to --density, then as linear
    MagnitudePrune,
}

impl Method {
    fn prunes(self) -> bool {
        matches!(self, Self::Ties | Self::DareLinear | Self::DareTies | Self::MagnitudePrune)
    }

    fn elects(self) -> bool {
        matches!(self, Self::Ties | Self::DareTies)
    }
}

/// How `--majority-sign` elects.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Majority {
    /// The sign of the values' sum
    Total,
    /// The sign that more values have
    Frequency,
}

#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// Adapters: PEFT folders with adapter_config.json and adapter_model.safetensors
    #[arg(required = true, value_name = "ADAPTER")]
    adapters: Vec<PathBuf>,
    /// Folder to write
    #[arg(short, long, value_name = "DIR")]
    out: PathBuf,
    /// How to merge
    #[arg(long, value_enum, default_value = "lego")]
    method: Method,
    /// Rank of the result for lego (its k), svd [default: the largest source rank] and task-arithmetic [default: exact]
    #[arg(long, value_name = "K")]
    rank: Option<usize>,
    /// One weight an adapter, such as 1,0.5 or 1,-1 [default: 1 each]
    #[arg(long, value_delimiter = ',', allow_hyphen_values = true, value_name = "W,…")]
    weights: Option<Vec<f64>>,
    /// The share of values that is kept: for ties, dare-linear, dare-ties and magnitude-prune, which need it
    #[arg(long, value_name = "D")]
    density: Option<f64>,
    /// How ties and dare-ties elect a sign [default: total]
    #[arg(long, value_enum, value_name = "RULE")]
    majority_sign: Option<Majority>,
    /// A factor on the whole result, for every method
    #[arg(long, default_value_t = 1.0, allow_hyphen_values = true, value_name = "L")]
    lambda: f64,
    /// Seed of the clustering and of random pruning
    #[arg(long, default_value_t = 0)]
    seed: u64,
    /// lego: keep centroids as they are instead of rescaling them to their members' mean norm
    #[arg(long)]
    no_parameter_reweighting: bool,
    /// lego: leave out the factor √(r/k)
    #[arg(long)]
    no_output_reweighting: bool,
    /// Replace an adapter that is there already
    #[arg(long)]
    force: bool,
    /// Print the report as JSON
    #[arg(long)]
    json: bool,
}

impl Args {
    fn config(&self) -> anyhow::Result<MergeConfig> {
        let method = self.method.to_possible_value().map_or_else(String::new, |v| v.get_name().into());
        let reweighting_off = self.no_parameter_reweighting || self.no_output_reweighting;
        ensure!(
            self.method == Method::Lego || !reweighting_off,
            "--no-parameter-reweighting and --no-output-reweighting belong to --method lego"
        );
        ensure!(
            self.method.prunes() || self.density.is_none(),
            "--density: {method} keeps all values; expected no density"
        );
        ensure!(
            self.method.elects() || self.majority_sign.is_none(),
            "--majority-sign belongs to --method ties and dare-ties"
        );
        let density = || -> anyhow::Result<Density> {
            let share = self
                .density
                .with_context(|| format!("--density: --method {method} needs it, such as 0.5"))?;
            Ok(Density::new(share)?)
        };
        let majority = match self.majority_sign {
            None | Some(Majority::Total) => MajoritySign::Total,
            Some(Majority::Frequency) => MajoritySign::Frequency,
        };
        let mut config = match self.method {
            Method::Lego => MergeConfig::new(self.lego()),
            Method::Linear => MergeConfig::new(Linear),
            Method::Cat => MergeConfig::new(Cat),
            Method::Svd => MergeConfig::new(Svd),
            Method::TaskArithmetic => MergeConfig::new(TaskArithmetic),
            Method::Average => MergeConfig::new(Average),
            Method::Ties => MergeConfig::new(Ties::new(density()?).with_majority_sign(majority)),
            Method::DareLinear => MergeConfig::new(Dare::linear(density()?)),
            Method::DareTies => MergeConfig::new(Dare::ties(density()?, majority)),
            Method::MagnitudePrune => MergeConfig::new(MagnitudePrune::new(density()?)),
        };
        if let Some(weights) = &self.weights {
            config = config.with_weights(weights.clone());
        }
        if let Some(rank) = self.rank {
            config = config.with_rank(rank);
        }
        Ok(config.with_lambda(self.lambda).with_seed(self.seed))
    }

    fn lego(&self) -> Lego {
        let switch = |off| if off { Reweighting::Off } else { Reweighting::On };
        Lego::default()
            .with_parameter_reweighting(switch(self.no_parameter_reweighting))
            .with_output_reweighting(switch(self.no_output_reweighting))
    }
}

pub(super) fn run(args: &Args) -> anyhow::Result<()> {
    let start = Instant::now();
    let config = args.config()?;
    if args.density.is_some_and(|share| share >= 1.0) {
        say(format_args!("warning: --density {}: nothing is pruned", args.density.unwrap_or_default()));
    }
    let adapters = args.adapters.iter().map(Adapter::read).collect::<Result<Vec<_>, _>>()?;
    for adapter in &adapters {
        for warning in adapter.warnings() {
            say(format_args!("warning: {}: {warning}", adapter.path().display()));
        }
    }
    let mut names: Vec<&str> = adapters.iter().flat_map(|a| a.modules()).map(|m| m.name.as_str()).collect();
    names.sort_unstable();
    names.dedup();
    let bar = modules_bar(names.len());
    let report = merge_to_folder(&adapters, &config, &args.out, args.force, |_| bar.inc(1));
    bar.finish_and_clear();
    let report = report?;
    let secs = start.elapsed().as_secs_f64();
    if args.json { print_json(args, &report, secs) } else { print_summary(args, &report, secs) }
}

fn print_json(args: &Args, report: &MergeReport, secs: f64) -> anyhow::Result<()> {
    let mut value = json!(report);
    value["event"] = "merged".into();
    value["out"] = args.out.display().to_string().into();
    value["relative_distance"] = report.relative_distance().into();
    value["wall_secs"] = secs.into();
    value["peak_memory_bytes"] = peak_memory_bytes().into();
    Ok(writeln!(stdout(), "{value}")?)
}

fn print_summary(args: &Args, report: &MergeReport, secs: f64) -> anyhow::Result<()> {
    let mut by_rank: BTreeMap<(usize, &[usize]), usize> = BTreeMap::new();
    for module in &report.modules {
        *by_rank.entry((module.rank, &module.source_ranks)).or_default() += 1;
    }
    let mut table = Table::new();
    table.load_style(presets::NOTHING).set_header(["modules", "source ranks", "rank"]);
    for ((rank, sources), count) in by_rank {
        let sources = sources.iter().map(usize::to_string).collect::<Vec<_>>().join(" + ");
        table.add_row([count.to_string(), sources, rank.to_string()]);
    }
    let mut out = stdout();
    writeln!(out, "{table}")?;
    let lambda = if report.lambda == 1.0 { String::new() } else { format!(", λ {}", report.lambda) };
    writeln!(out, "method {}, weights {:?}{lambda}", report.method, report.weights)?;
    if !report.heads.is_empty() {
        writeln!(out, "heads carried: {}", report.heads.join(", "))?;
    }
    writeln!(out, "distance to the weighted sum: {:.2e} of its norm", report.relative_distance())?;
    let memory =
        peak_memory_bytes().map_or_else(String::new, |b| format!(", peak memory {:.0} MB", b as f64 / 1e6));
    writeln!(out, "{} written in {secs:.2} s{memory}", args.out.display())?;
    Ok(())
}
