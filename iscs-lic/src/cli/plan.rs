//! `iscs-lic plan`.

use std::io::{Write, stdout};
use std::path::PathBuf;

use grouping_core::command::{CellAlignment, Table, check_output, table};
use grouping_core::files::output::Existing;
use iscs_lic::channels::{Core, Preset};
use iscs_lic::checkpoint::Checkpoint;
use iscs_lic::plan::{
    Grouping, Objective, Plan, PlanConfig, PlanReport, Planned, Schedule, Scores, Slicing, plan, plan_by,
};
use serde_json::json;

#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// A checkpoint of CompressAI (.pth, .pth.tar, .safetensors); without it the small model that is built in
    #[arg(value_name = "MODEL")]
    model: Option<PathBuf>,
    /// The plan to write; without it only what it means is shown
    #[arg(short, long, value_name = "PLAN.json")]
    output: Option<PathBuf>,
    /// What the plan is made for; it decides mode and schedule where they are not given
    #[arg(long, value_enum, default_value_t = ObjectiveName::Progressive)]
    objective: ObjectiveName,
    /// What scores the channels
    #[arg(long, value_enum, default_value_t = PresetName::EntropyHead)]
    preset: PresetName,
    /// Scores from a file instead: what `analyze --json` prints, or a JSON object with an array `scores`
    #[arg(long, value_name = "FILE.json", conflicts_with = "preset")]
    scores: Option<PathBuf>,
    /// How many channels are salient: share=P of all, those deviations=K above the mean, or those with mass=P of the sum of scores. The core grows to the edge of a slice
    #[arg(long, value_name = "RULE", default_value = "share=0.25")]
    core: Core,
    /// How channels are shared out among slices [default: by the objective]
    #[arg(long, value_enum)]
    mode: Option<Mode>,
    /// Which earlier slices a slice sees [default: by the objective]
    #[arg(long, value_enum)]
    schedule: Option<ScheduleName>,
    /// Channels of each slice, as 8,8,16,32
    #[arg(long, value_name = "WIDTHS", value_delimiter = ',', conflicts_with = "n_slices")]
    slices: Option<Vec<usize>>,
    /// The number of slices [default: ten even ones, else three for the core and four for the others]
    #[arg(long, value_name = "N")]
    n_slices: Option<usize>,
    /// Replace a plan that exists
    #[arg(long)]
    force: bool,
    /// Print what the plan means as one JSON object
    #[arg(long)]
    json: bool,
}

/// A score that follows from parameters alone.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub(super) enum PresetName {
    /// Variance of the weights that write a channel, and magnitude of its bias: what the paper's abstract names
    Literal,
    /// Variance of the weights that give a channel's scale
    EntropyHead,
    /// Both
    Combined,
    /// Both, by rank
    Rank,
}

impl PresetName {
    pub(super) fn preset(self) -> Preset {
        match self {
            Self::Literal => Preset::Literal,
            Self::EntropyHead => Preset::EntropyHead,
            Self::Combined => Preset::Combined,
            Self::Rank => Preset::Rank,
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum ObjectiveName {
    /// Few bits: mode correlation-spread, schedule serial
    Rate,
    /// A good picture from the first bytes: mode uneven, schedule core-parallel
    Progressive,
    /// A short chain of slices: mode even, schedule core-parallel
    Parallelism,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum Mode {
    /// Slices of one width, in order
    Even,
    /// A core in slices that double, the others in even ones, in order
    Uneven,
    /// Correlated channels in different slices, which can see each other
    CorrelationSpread,
    /// Channels that resemble the same one of the core in one slice
    CorrelationCluster,
    /// The slices of the model itself, channels ordered inside of each: what can be folded into a channel-conditional model
    Model,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum ScheduleName {
    /// A slice sees all before it
    Serial,
    /// Auxiliary slices see the core alone, and are decoded side by side
    CoreParallel,
}

pub(super) fn run(args: &Args) -> anyhow::Result<()> {
    let existing = Existing::replaced_if(args.force);
    if let Some(output) = &args.output {
        existing.check(output)?;
        let inputs: Vec<&PathBuf> = args.model.iter().chain(&args.scores).collect();
        check_output(output, "json", &inputs)?;
    }
    let checkpoint = super::checkpoint(args.model.as_deref())?;
    let config = config(args);
    let Planned { plan, report } = match &args.scores {
        None => plan(&checkpoint, &config)?,
        Some(path) => {
            let Scores { name, values } = Scores::read(path, &checkpoint)?;
            plan_by(&checkpoint, &name, &values, &config)?
        }
    };
    if let Some(output) = &args.output {
        plan.write(output, existing)?;
    }
    if args.json {
        let mut value = json!(report);
        value["output"] = json!(args.output);
        value["objective"] = json!(plan.objective().name());
        value["mode"] = json!(plan.grouping().name());
        value["preset"] = json!(plan.preset());
        return Ok(writeln!(stdout(), "{value}")?);
    }
    print(args, &checkpoint, &plan, &report)
}

fn config(args: &Args) -> PlanConfig {
    let objective = match args.objective {
        ObjectiveName::Rate => Objective::Rate,
        ObjectiveName::Progressive => Objective::Progressive,
        ObjectiveName::Parallelism => Objective::Parallelism,
    };
    let grouping = args.mode.map(|mode| match mode {
        Mode::Even => Grouping::Even,
        Mode::Uneven => Grouping::Uneven,
        Mode::CorrelationSpread => Grouping::CorrelationSpread,
        Mode::CorrelationCluster => Grouping::CorrelationCluster,
        Mode::Model => Grouping::Model,
    });
    let schedule = args.schedule.map(|schedule| match schedule {
        ScheduleName::Serial => Schedule::Serial,
        ScheduleName::CoreParallel => Schedule::CoreParallel,
    });
    let slicing = match (&args.slices, args.n_slices) {
        (Some(widths), _) => Slicing::Widths(widths.clone()),
        (None, Some(n)) => Slicing::Count(n),
        (None, None) => Slicing::Default,
    };
    PlanConfig::new(args.preset.preset())
        .with_core(args.core)
        .with_objective(objective)
        .with_grouping(grouping)
        .with_schedule(schedule)
        .with_slicing(slicing)
}

fn print(args: &Args, checkpoint: &Checkpoint, plan: &Plan, report: &PlanReport) -> anyhow::Result<()> {
    let name = args.output.as_ref().map_or(String::new(), |output| format!("{}: ", output.display()));
    let (m, architecture) = (checkpoint.m(), checkpoint.architecture());
    let head = format!(
        "{name}{m} channels of {architecture} in {} slices by {}, mode {}, made for {}; core of {} channels",
        plan.slices().len(),
        plan.preset(),
        plan.grouping(),
        plan.objective(),
        plan.n_core(),
    );
    let rho = |value: Option<f64>| value.map_or("–".to_owned(), |value| format!("{value:.3}"));
    let (rate, parallel) = (&report.rate, &report.parallelism);
    let lines = [
        format!(
            "rate         mean |ρ| {} inside of slices, {} across dependent slices, {} across others",
            rho(rate.inside),
            rho(rate.dependent),
            rho(rate.independent)
        ),
        format!(
            "progressive  {:.1} % of the score in the first slice, {:.1} % in the core",
            100.0 * report.progressive[0],
            100.0 * report.core_score
        ),
        format!(
            "parallelism  {} of {} slices and {} of {} channels one after another: at most {:.2} × as fast",
            parallel.critical_slices,
            parallel.slices,
            parallel.critical_channels,
            parallel.channels,
            parallel.speedup
        ),
        format!("fingerprint  {}", report.fingerprint),
    ];
    Ok(writeln!(stdout(), "{head}\n\n{}\n\n{}", slices(report), lines.join("\n"))?)
}

fn slices(report: &PlanReport) -> Table {
    let mut table =
        table(["slice", "channels", "", "sees", "score so far", "|ρ| inside", "|ρ| to what it sees"]);
    let rho = |value: Option<f64>| value.map_or("–".to_owned(), |value| format!("{value:.3}"));
    for (k, slice) in report.slices.iter().enumerate() {
        let sees = match slice.depends_on[..] {
            [] => "–".to_owned(),
            [one] => one.to_string(),
            // Consecutive slices in every plan that this command makes.
            [first, .., last] => format!("{first}–{last}"),
        };
        table.add_row([
            k.to_string(),
            slice.channels.to_string(),
            if slice.is_core { "core" } else { "auxiliary" }.to_owned(),
            sees,
            format!("{:.1} %", 100.0 * slice.cumulative_score),
            rho(slice.inside),
            rho(slice.dependent),
        ]);
    }
    for column in [0, 1, 4, 5, 6] {
        if let Some(column) = table.column_mut(column) {
            column.set_cell_alignment(CellAlignment::Right);
        }
    }
    table
}
