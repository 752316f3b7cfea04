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

use super::allocation::{AllocationArgs, shown_images};
use super::images::{CalibrationArgs, VitArgs};
use kd_gqa::Error;
use kd_gqa::allocation::{AllocationState, Fidelity, Method};
use kd_gqa::calibrate::{Calibration, calibrate_decoder, calibrate_vit};
use kd_gqa::checkpoint::Checkpoint;
use kd_gqa::convert::{
    Align, ConvertConfig, ConvertReport, Form, GroupSizes, Grouping, Pool, PoolWeights, check, convert,
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
        let preparation = self.vit.preparation(&vit)?;
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

    /// # Errors
    /// [`Error::Option`] for options of an allocation that do not fit each other or the checkpoint.
    fn check_allocation(&self, source: &Checkpoint) -> kd_gqa::Result<()> {
        let Some(method) = self.allocation else {
            if self.how.share.fidelity != Fidelity::default() {
                return Err(Error::option("--fidelity", "--allocation with it", "none"));
            }
            return self.how.check_unused();
        };
        let config = self.how.config(method, self.seed)?;
        if !source.dialect().is_vit() {
            return Err(Error::option("--allocation", "a vision transformer", source.dialect().label()));
        }
        let needs_images = config.is_frozen_at_inference() && method != Method::Uniform;
        if needs_images && self.calibration.calibration.is_none() {
            let expected = "images for an --allocation that stays as it is at inference";
            return Err(Error::option("--calibration", expected, "none"));
        }
        Ok(())
    }

    /// Converts with a bar.
    fn write(
        &self,
        source: &Checkpoint,
        config: &ConvertConfig,
        out: &Path,
        existing: Existing,
    ) -> kd_gqa::Result<ConvertReport> {
        let bar = bar(0, "tensors");
        let report = convert(source, config, out, existing, |progress| {
            bar.set_length(progress.total as u64);
            bar.set_position(progress.done as u64);
        });
        bar.finish_and_clear();
        report
    }

    /// Converts, lets the method see the key norms of what came out, and writes that with its groups and the method's state.
    fn allocate(
        &self,
        source: &Checkpoint,
        config: &ConvertConfig,
        method: Method,
        existing: Existing,
    ) -> kd_gqa::Result<ConvertReport> {
        let beside = self.out.parent().filter(|dir| !dir.as_os_str().is_empty()).unwrap_or(Path::new("."));
        std::fs::create_dir_all(beside).map_err(Error::io(beside, "create"))?;
        let temporary = tempfile::tempdir_in(beside).map_err(Error::io(beside, "write to"))?;
        let pooled = temporary.path().join("pooled.safetensors");
        let mut report = self.write(source, config, &pooled, Existing::Refuse)?;
        let pooled = Checkpoint::open(&pooled)?;
        let state = AllocationState::of_groups(self.how.config(method, self.seed)?, pooled.groups())?;
        let state = if self.calibration.calibration.is_some() {
            let vit = read_vit(&pooled, &Device::flex())?;
            shown_images(state, &vit, &self.vit, &self.calibration, self.seed)?
        } else {
            state
        };
        let config = ConvertConfig::new(self.kv_heads).with_allocation(state);
        let allocated = self.write(&pooled, &config, &self.out, existing)?;
        for (layer, allocated) in report.layers.iter_mut().zip(allocated.layers) {
            layer.written = allocated.written;
        }
        Ok(report)
    }

    fn pool(&self) -> Result<Pool, Error> {
        let given = |expected: &str, found: &str| Error::option("--pool-weights", expected, found);
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
    let config = args.config()?;
    let source = args.vit.open(&args.checkpoint)?;
    let existing = Existing::replaced_if(args.force);
    check(&source, &config, &args.out, existing)?;
    args.check_allocation(&source)?;
    let config = match args.calibration.calibration.as_deref().filter(|_| args.uses_calibration()) {
        Some(path) => config.with_calibration(Arc::new(args.calibrate(&source, path)?)),
        None => config,
    };
    let report = match args.allocation {
        None => args.write(&source, &config, &args.out, existing)?,
        Some(method) => args.allocate(&source, &config, method, existing)?,
    };
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
