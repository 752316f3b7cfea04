//! `kd-gqa eval`.

use std::io::{Write, stdout};
use std::path::PathBuf;

use burn::tensor::Device;
use grouping_core::command::{bar, say, table};
use serde_json::{Map, json};

use super::allocation::{AllocationArgs, shown_images};
use super::images::{CalibrationArgs, VitArgs};
use grouping_core::image::ImageFolder;
use grouping_core::score::Score;
use kd_gqa::Error;
use kd_gqa::allocation::{AllocationState, Fidelity, Method};
use kd_gqa::checkpoint::Checkpoint;
use kd_gqa::evaluate::evaluate;
use kd_gqa::inference::Inference;
use kd_gqa::vit::{Vit, read_vit};

#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// A vision transformer: .safetensors, .pth, or a folder of Hugging Face
    #[arg(long, value_name = "W")]
    weights: PathBuf,
    /// Images, a folder a class in the order of their names
    #[arg(long, value_name = "DIR")]
    data: PathBuf,
    /// At most so many images, one of each class in turn
    #[arg(long, value_name = "N")]
    limit: Option<usize>,
    /// Groups at inference [default: the allocation saved with the weights, with its fidelity, else their groups]
    #[arg(long, value_enum)]
    allocation: Option<Allocation>,
    #[command(flatten)]
    how: AllocationArgs,
    #[command(flatten)]
    calibration: CalibrationArgs,
    /// Sizes of batches, each evaluated on its own; the first counts
    #[arg(long, value_delimiter = ',', value_name = "N,…", default_value = "250")]
    batch_sizes: Vec<usize>,
    #[command(flatten)]
    vit: VitArgs,
    /// Seed of random repairs, of noise, and of the choice of calibration images
    #[arg(long, value_name = "S", default_value_t = 0)]
    seed: u64,
    /// Print one JSON object on the last line
    #[arg(long)]
    json: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum Allocation {
    /// Groups of one size
    Uniform,
    /// Key-driven: by the norms of keys; official and paper of each batch, robust of the calibration images
    Kdgqa,
    /// By the change of the norms from one batch to another
    DgqaDiff,
    /// By an exponential mean of the norms
    DgqaEma,
    /// The saved groups under the noise of PGQA
    Pgqa,
}

impl Args {
    /// What is done at inference, before the first batch.
    fn inference(&self, source: &Checkpoint, vit: &Vit) -> kd_gqa::Result<Inference> {
        let method = match self.allocation {
            None | Some(Allocation::Pgqa) => {
                self.how.check_unused()?;
                if self.calibration.calibration.is_some() {
                    let expected = "--allocation of a method with it";
                    return Err(Error::setting("--calibration", expected, "none"));
                }
                return Ok(match self.allocation {
                    None => Inference::saved(source)?,
                    Some(_) => Inference::noisy(self.how.share.fidelity, self.seed),
                });
            }
            Some(Allocation::Uniform) => Method::Uniform,
            Some(Allocation::Kdgqa) => Method::Kdgqa,
            Some(Allocation::DgqaDiff) => Method::DgqaDiff,
            Some(Allocation::DgqaEma) => Method::DgqaEma,
        };
        let config = self.how.config(method, self.seed)?;
        let is_shown_nothing = self.calibration.calibration.is_none() && method != Method::Uniform;
        if config.is_frozen_at_inference() && is_shown_nothing {
            say(format_args!(
                "note: this allocation stays as it is at inference: without --calibration, the weights' own groups"
            ));
        }
        let state = AllocationState::of_groups(config, source.groups())?;
        let state = shown_images(state, vit, &self.vit, &self.calibration, self.seed)?;
        Ok(Inference::Allocated(Box::new(state)))
    }
}

pub(super) fn run(args: &Args) -> anyhow::Result<()> {
    let sizes = &args.batch_sizes;
    if let Some((_, twice)) = sizes.iter().enumerate().find(|(i, size)| sizes[..*i].contains(size)) {
        return Err(Error::setting("--batch-sizes", "each size once", format!("{twice} twice")).into());
    }
    let source = args.vit.open(&args.weights)?;
    if args.allocation.is_none() && args.how.share.fidelity != Fidelity::default() {
        say(format_args!("note: without --allocation, groups are as saved, and --fidelity says nothing"));
    }
    let vit = read_vit(&source, &Device::flex())?;
    if vit.config().n_classes.is_none() {
        return Err(Error::format(&args.weights, "head", "a head of classes", "none").into());
    }
    let folder = ImageFolder::open(&args.data)?;
    if folder.classes().is_empty() {
        return Err(Error::format(&args.data, "classes", "a folder a class", "images without folders").into());
    }
    let images = folder.first(args.limit.unwrap_or(usize::MAX));
    if images.is_empty() {
        return Err(Error::setting("--limit", "at least 1", 0).into());
    }
    let preparation = args.vit.preparation(vit.config().image_size)?;
    let device = Device::flex();
    let start = args.inference(&source, &vit)?;
    let mut scores: Vec<(usize, Score)> = vec![];
    for &batch_size in &args.batch_sizes {
        let mut inference = start.clone();
        let bar = bar(images.len(), "images");
        let logits = |batch| vit.forward_hooked(batch, &mut |call| inference.attend(call));
        let score =
            evaluate(&images, &preparation, batch_size, &device, logits, |n| bar.set_position(n as u64));
        bar.finish_and_clear();
        scores.push((batch_size, score?));
    }
    print(&scores, args.json)
}

fn print(scores: &[(usize, Score)], as_json: bool) -> anyhow::Result<()> {
    let mut out = stdout();
    let Some((_, first)) = scores.first() else { return Ok(()) };
    if as_json {
        let batches: Map<_, _> = scores
            .iter()
            .map(|(size, score)| (size.to_string(), json!({"top1": score.top1, "top5": score.top5})))
            .collect();
        let line = json!({"n": first.n, "top1": first.top1, "top5": first.top5, "batches": batches});
        return Ok(writeln!(out, "{line}")?);
    }
    let mut table = table(["batch", "images", "top-1 %", "top-5 %"]);
    for (size, score) in scores {
        let percent = |share: f64| format!("{:.2}", 100.0 * share);
        table.add_row([size.to_string(), score.n.to_string(), percent(score.top1), percent(score.top5)]);
    }
    Ok(writeln!(out, "{table}")?)
}
