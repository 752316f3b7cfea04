//! `iscs-lic prune`.

use std::io::{Write, stdout};
use std::path::PathBuf;

use grouping_core::command::{CellAlignment, Table, check_output, say, table};
use grouping_core::files::output::Existing;
use iscs_lic::channels::{Core, scores};
use iscs_lic::checkpoint::Checkpoint;
use iscs_lic::plan::{Constants, Cost, Plan, PruneConfig, Pruned, core_channels, prune};
use serde_json::{Value, json};

use super::plan::PresetName;

#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// A checkpoint of CompressAI (.pth, .pth.tar, .safetensors); without it the small model that is built in
    #[arg(value_name = "MODEL")]
    model: Option<PathBuf>,
    /// The model to write
    #[arg(short, long, value_name = "FILE.safetensors")]
    output: PathBuf,
    /// The share of channels that is left [default: 0.25, or the core of the plan]
    #[arg(long, value_name = "P", value_parser = share)]
    keep: Option<f64>,
    /// What scores the channels
    #[arg(long, value_enum, default_value_t = PresetName::EntropyHead)]
    preset: PresetName,
    /// Keep the first channels of a plan that was made for the model, in its order
    #[arg(long, value_name = "PLAN.json", conflicts_with = "preset")]
    plan: Option<PathBuf>,
    /// How the constants that stand for pruned channels stay in the networks
    #[arg(long, value_enum, default_value_t = ConstantsName::Carrier)]
    constants: ConstantsName,
    /// Replace a file that exists
    #[arg(long)]
    force: bool,
    /// Print one JSON object
    #[arg(long)]
    json: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum ConstantsName {
    /// Exactly, by one more channel that is a constant
    Carrier,
    /// In the biases that they change, which is right but for the picture's edge and the phases of a transposed convolution
    Bias,
    /// Not at all: pruned channels are zeros
    Zero,
}

fn share(text: &str) -> Result<f64, String> {
    let share = text.parse::<f64>().ok().filter(|share| *share > 0.0 && *share <= 1.0);
    share.ok_or_else(|| "expected a share above 0 and at most 1".to_owned())
}

pub(super) fn run(args: &Args) -> anyhow::Result<()> {
    let existing = Existing::replaced_if(args.force);
    existing.check(&args.output)?;
    let inputs: Vec<&PathBuf> = args.model.iter().chain(&args.plan).collect();
    check_output(&args.output, "safetensors", &inputs)?;
    let plan = args.plan.as_deref().map(Plan::read).transpose()?;
    let checkpoint = super::checkpoint(args.model.as_deref())?;
    let kept = match (&plan, &args.plan) {
        (Some(plan), Some(path)) => {
            plan.check_model(&checkpoint).map_err(super::of_plan(path))?;
            let n = args.keep.map_or(plan.n_core(), |keep| Core::Share(keep).size(plan.scores()));
            plan.order()[..n].to_vec()
        }
        _ => {
            let keep = Core::Share(args.keep.unwrap_or(0.25));
            core_channels(&scores(&checkpoint, args.preset.preset())?, keep)
        }
    };
    let constants = match args.constants {
        ConstantsName::Carrier => Constants::Carrier,
        ConstantsName::Bias => Constants::Bias,
        ConstantsName::Zero => Constants::Zero,
    };
    let config = PruneConfig::default().with_constants(constants);
    let pruned = prune(&checkpoint, &kept, config, &args.output, existing)?;
    if !pruned.loads_in_compressai {
        say(format_args!(
            "note: {}: layers before the entropy head keep the widths that they were trained with, where CompressAI's class has others for M = {}: its `from_state_dict` does not load the file",
            args.output.display(),
            pruned.checkpoint.m()
        ));
    }
    if let Some(error) = pruned.bias_error {
        say(format_args!(
            "note: {}: a bias is the mean over phases; sums of the first layer of g_s are off by up to {error:.4}, and more at the picture's edge",
            args.output.display()
        ));
    }
    print(args, &checkpoint, &pruned)
}

fn n_parameters(checkpoint: &Checkpoint) -> usize {
    checkpoint.design().parameters().iter().map(|(_, shape)| shape.iter().product::<usize>()).sum()
}

fn print(args: &Args, before: &Checkpoint, pruned: &Pruned) -> anyhow::Result<()> {
    let after = &pruned.checkpoint;
    let parameters = [before, after].map(n_parameters);
    let sums =
        [&pruned.before, &pruned.after].map(|costs| costs.iter().map(|c| c.multiply_adds).sum::<f64>());
    if args.json {
        let fingerprint: String = after.fingerprint().iter().map(|byte| format!("{byte:02x}")).collect();
        let networks: Vec<Value> = pruned
            .before
            .iter()
            .zip(&pruned.after)
            .map(|(a, b)| json!({"network": a.network, "multiply_adds": [a.multiply_adds, b.multiply_adds]}))
            .collect();
        let value = json!({"output": args.output, "architecture": after.architecture().name(),
            "channels": [before.m(), after.m()], "kept": pruned.kept, "constants": pruned.constants, "carrier": pruned.carrier.map(|c| c.value),
            "bias_error": pruned.bias_error, "parameters": parameters, "multiply_adds_a_pixel": sums,
            "networks": networks, "loads_in_compressai": pruned.loads_in_compressai,
            "fingerprint": fingerprint});
        return Ok(writeln!(stdout(), "{value}")?);
    }
    let (name, n_kept, m) = (args.output.display(), pruned.kept.len(), before.m());
    let n_pruned = m - n_kept;
    let carried = match pruned.carrier {
        None => String::new(),
        Some(carrier) => format!(", and one of {} that carries the constants of {n_pruned}", carrier.value),
    };
    let head = format!("{name}: {n_kept} of {m} channels of {}{carried}", after.architecture());
    Ok(writeln!(stdout(), "{head}\n\n{}", costs(pruned, parameters, sums))?)
}

fn costs(pruned: &Pruned, parameters: [usize; 2], sums: [f64; 2]) -> Table {
    let mut table = table(["", "before", "after", "ratio"]);
    let ratio = |[before, after]: [f64; 2]| format!("{:.3}", after / before);
    let one = |(a, b): (&Cost, &Cost)| {
        let costs = [a.multiply_adds, b.multiply_adds];
        let [before, after] = costs.map(|cost| format!("{cost:.1}"));
        [format!("{}, multiply-accumulates a pixel", a.network), before, after, ratio(costs)]
    };
    for row in pruned.before.iter().zip(&pruned.after).map(one) {
        table.add_row(row);
    }
    let [before, after] = sums.map(|sum| format!("{sum:.1}"));
    table.add_row(["all, multiply-accumulates a pixel".to_owned(), before, after, ratio(sums)]);
    let [before, after] = parameters.map(|n| n.to_string());
    table.add_row(["parameters".to_owned(), before, after, ratio(parameters.map(|n| n as f64))]);
    for column in table.column_iter_mut().skip(1) {
        column.set_cell_alignment(CellAlignment::Right);
    }
    table
}
