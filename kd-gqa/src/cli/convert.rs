//! `kd-gqa convert`.

use std::io::{Write, stdout};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Instant;

use burn::tensor::Device;
use grouping_core::command::{bar, table};
use grouping_core::files::output::Existing;
use grouping_core::process::peak_memory_bytes;
use serde_json::json;

use super::allocation::AllocationArgs;
use super::images::{CalibrationArgs, VitArgs};
use kd_gqa::Error;
use kd_gqa::allocation::{Fidelity, Method};
use kd_gqa::calibrate::{Calibration, calibrate_decoder, calibrate_vit};
use kd_gqa::checkpoint::Checkpoint;
use kd_gqa::convert::{
    Align, Allocate, ConvertConfig, ConvertReport, Form, GroupSizes, Grouping, Pool, PoolWeights, Stage,
    check, convert,
};
use kd_gqa::vit::read_vit;

#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// A vision transformer (.safetensors, .pth, or a folder of Hugging Face), a folder of Llama, Mistral or Qwen2, or a .bin of llama2.c
    #[arg(value_name = "CKPT")]
    checkpoint: PathBuf,
    /// Key/value heads to keep
    #[arg(long, value_name = "G")]
    kv_heads: usize,
    /// Which heads share a key/value head
    #[arg(long, value_enum, default_value_t)]
    grouping: Grouping,
    /// Whether heads are turned towards each other before they are pooled
    #[arg(long, value_enum, default_value_t)]
    align: Align,
    /// How the heads of a group become one [default: mean, or weighted with --pool-weights]
    #[arg(long, value_enum)]
    pool: Option<PoolRule>,
    /// Weights of heads: {"layers":[{"k":[…],"v":[…]},…]}, scaled to sum 1 in each group
    #[arg(long, value_name = "FILE")]
    pool_weights: Option<PathBuf>,
    /// Allow groups of unequal sizes
    #[arg(long)]
    ragged: bool,
    /// Repeat the pooled heads, one for each query head, for programs that have no groups
    #[arg(long, conflicts_with = "uniformise")]
    expand: bool,
    /// Repeat key/value heads until all groups have one size
    #[arg(long)]
    uniformise: bool,
    /// Then give each key/value head of a vision transformer query heads by the norms of its keys, and save how this goes on
    #[arg(long, value_enum, conflicts_with_all = ["expand", "uniformise"])]
    allocation: Option<Method>,
    #[command(flatten)]
    how: AllocationArgs,
    #[command(flatten)]
    calibration: CalibrationArgs,
    #[command(flatten)]
    vit: VitArgs,
    /// Seed of the search for similar heads, of the choice of images, and of an allocation's repairs
    #[arg(long, value_name = "S", default_value_t = 0)]
    seed: u64,
    /// Where to write: FILE.safetensors (vision transformers), a folder (Llama family), or FILE.bin (llama2.c)
    #[arg(short, long, value_name = "OUT")]
    out: PathBuf,
    /// Replace an output that exists
    #[arg(long)]
    force: bool,
    /// Print the report as JSON
    #[arg(long)]
    json: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum PoolRule {
    /// Their mean
    Mean,
    /// The first of them
    First,
    /// Their weighted sum
    Weighted,
}

impl Args {
    /// Runs the model on the calibration data.
    fn calibrate(&self, source: &Checkpoint, data: &Path) -> kd_gqa::Result<Calibration> {
        if !source.dialect().is_vit() {
            let bar = bar(0, "calibration tokens");
            let calibration = calibrate_decoder(source, data, |done, total| {
                bar.set_length(total as u64);
                bar.set_position(done as u64);
            });
            bar.finish_and_clear();
            return calibration;
        }
        let device = Device::flex();
        let vit = read_vit(source, &device)?;
        let images = self.calibration.images(data, self.seed)?;
        let bar = bar(images.len(), "calibration images");
        let preparation = self.vit.preparation(vit.config().image_size)?;
        let calibration = calibrate_vit(&vit, &images, &preparation, &device, |n| bar.set_position(n as u64));
        bar.finish_and_clear();
        calibration
    }

    /// Whether anything is asked for that follows from activations.
    fn uses_calibration(&self) -> bool {
        let weighted = self.pool == Some(PoolRule::Weighted) && self.pool_weights.is_none();
        self.allocation.is_none()
            || self.grouping == Grouping::Similarity
            || self.align != Align::None
            || weighted
    }

    /// What shares out the query heads anew, with the images that it sees.
    ///
    /// # Errors
    /// [`Error::Setting`](grouping_core::Error::Setting) for settings out of range, and options that nothing uses; those of the images.
    fn allocate(&self, source: &Checkpoint) -> kd_gqa::Result<Option<Allocate>> {
        let Some(method) = self.allocation else {
            if self.how.share.fidelity != Fidelity::default() {
                return Err(Error::setting("--fidelity", "--allocation with it", "none"));
            }
            self.how.check_unused()?;
            return Ok(None);
        };
        let method = self.how.config(method, self.seed)?;
        let Some(data) = self.calibration.calibration.as_deref().filter(|_| source.dialect().is_vit()) else {
            return Ok(Some(method.into()));
        };
        let images = self.calibration.images(data, self.seed)?;
        let preparation = self.vit.preparation(source.vit()?.shape().image_size)?;
        Ok(Some(Allocate::Images { method, images, preparation }))
    }

    /// Converts, with a bar for each stage.
    fn convert(
        &self,
        source: &Checkpoint,
        config: &ConvertConfig,
        existing: Existing,
    ) -> kd_gqa::Result<ConvertReport> {
        let mut shown = (Stage::Tensors, bar(0, "tensors"));
        let report = convert(source, config, &self.out, existing, |progress| {
            if shown.0 != progress.stage {
                shown.1.finish_and_clear();
                let unit = if progress.stage == Stage::Images { "calibration images" } else { "tensors" };
                shown = (progress.stage, bar(progress.total, unit));
            }
            shown.1.set_length(progress.total as u64);
            shown.1.set_position(progress.done as u64);
        });
        shown.1.finish_and_clear();
        report
    }

    fn pool(&self) -> Result<Pool, Error> {
        let given = |expected: &str, found: &str| Error::setting("--pool-weights", expected, found);
        match (self.pool, &self.pool_weights) {
            (None | Some(PoolRule::Weighted), Some(path)) => Ok(Pool::Weighted(PoolWeights::read(path)?)),
            (Some(PoolRule::Weighted), None) => Ok(Pool::Activations),
            (Some(_), Some(_)) => Err(given("--pool weighted with it", "another rule")),
            (Some(PoolRule::First), None) => Ok(Pool::First),
            (Some(PoolRule::Mean) | None, None) => Ok(Pool::Mean),
        }
    }

    fn config(&self) -> Result<ConvertConfig, Error> {
        let sizes = if self.ragged { GroupSizes::Any } else { GroupSizes::Equal };
        let form = match (self.expand, self.uniformise) {
            (true, _) => Form::Expanded,
            (_, true) => Form::Uniform,
            _ => Form::Grouped,
        };
        Ok(ConvertConfig::new(self.kv_heads)
            .with_grouping(self.grouping)
            .with_align(self.align)
            .with_pool(self.pool()?)
            .with_sizes(sizes)
            .with_form(form)
            .with_seed(self.seed))
    }
}

pub(super) fn run(args: &Args) -> anyhow::Result<()> {
    let start = Instant::now();
    let mut config = args.config()?;
    let source = args.vit.open(&args.checkpoint)?;
    let existing = Existing::replaced_if(args.force);
    // What does not fit and an output that is taken are refused before images are listed.
    check(&source, &config, &args.out, existing)?;
    if let Some(allocate) = args.allocate(&source)? {
        config = config.with_allocation(allocate);
        check(&source, &config, &args.out, existing)?;
    }
    let config = match args.calibration.calibration.as_deref().filter(|_| args.uses_calibration()) {
        Some(path) => config.with_calibration(Arc::new(args.calibrate(&source, path)?)),
        None => config,
    };
    let report = args.convert(&source, &config, existing)?;
    let secs = start.elapsed().as_secs_f64();
    if args.json {
        print_json(args, &source, &report, secs)
    } else {
        print_table(args, &source, &report, secs)
    }
}

fn print_json(args: &Args, source: &Checkpoint, report: &ConvertReport, secs: f64) -> anyhow::Result<()> {
    let layers: Vec<_> = report
        .layers
        .iter()
        .map(|layer| {
            json!({"groups": layer.written, "pooled": layer.pooled, "members": layer.members, "before": layer.before})
        })
        .collect();
    let value = json!({
        "event": "converted",
        "checkpoint": source.path().display().to_string(),
        "dialect": source.dialect().label(),
        "heads": source.n_heads(),
        "head_dim": source.head_dim(),
        "layers": layers,
        "keys_unaligned": report.keys_unaligned,
        "allocation_dropped": report.allocation_dropped,
        "parameters": {"before": report.n_parameters[0], "after": report.n_parameters[1]},
        "peak_memory_bytes": peak_memory_bytes(),
        "secs": secs,
        "out": args.out.display().to_string(),
    });
    Ok(writeln!(stdout(), "{value}")?)
}

fn print_table(args: &Args, source: &Checkpoint, report: &ConvertReport, secs: f64) -> anyhow::Result<()> {
    let mut table = table(["layer", "heads", "key/value heads", "groups", "members"]);
    let join = |items: &[usize]| items.iter().map(usize::to_string).collect::<Vec<_>>().join(" ");
    for (i, layer) in report.layers.iter().enumerate() {
        let counts = [layer.before.n_kv_heads(), layer.pooled.n_kv_heads(), layer.written.n_kv_heads()];
        let mut n_kv_heads = format!("{} → {}", counts[0], counts[1]);
        if counts[2] != counts[1] {
            n_kv_heads += &format!(", repeated to {}", counts[2]);
        }
        table.add_row([
            i.to_string(),
            source.n_heads().to_string(),
            n_kv_heads,
            join(layer.written.sizes()),
            layer.members.iter().map(|heads| join(heads)).collect::<Vec<_>>().join(" | "),
        ]);
    }
    let [before, after] = report.n_parameters;
    let share = 100.0 * (after as f64 / before as f64 - 1.0);
    let peak = peak_memory_bytes().map_or_else(String::new, |n| format!(", {} MB at most", n / 1_000_000));
    let mut out = stdout();
    writeln!(out, "{table}")?;
    if report.allocation_dropped {
        writeln!(out, "The saved allocation is of the heads before; it is not in the output.")?;
    }
    if report.keys_unaligned {
        writeln!(
            out,
            "Keys were not aligned: this model norms its query and key heads (QK-norm). Values were."
        )?;
    }
    writeln!(out, "{before} → {after} parameters ({share:+.1} %), {secs:.1} s{peak}")?;
    Ok(writeln!(out, "{}: {} written", source.dialect().label(), args.out.display())?)
}
