//! `kd-gqa inspect`.

use std::io::{Write, stdout};
use std::path::{Path, PathBuf};

use burn::tensor::Device;
use grouping_core::command::svg::{Cells, HeatMap, Shade, heat_maps};
use grouping_core::command::{bar, table};
use grouping_core::files::output::{Existing, write_text};
use grouping_core::image::ImageFolder;
use serde_json::json;

use super::images::VitArgs;
use kd_gqa::Error;
use kd_gqa::allocation::{AllocationConfig, Fidelity, Method, Mt19937, allocate};
use kd_gqa::attention::AttentionCall;
use kd_gqa::calibrate::{BATCH, Calibration, LayerActivations, Maps, distances};
use kd_gqa::checkpoint::{AttentionPart, Checkpoint};
use kd_gqa::convert::weight_distances;
use kd_gqa::evaluate::each_batch;
use kd_gqa::inference::key_norms;
use kd_gqa::vit::read_vit;

#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// A checkpoint that `convert` reads
    #[arg(value_name = "CKPT")]
    checkpoint: PathBuf,
    /// Images to run a vision transformer on; without them the weights are looked at
    #[arg(long, value_name = "DIR")]
    data: Option<PathBuf>,
    /// How many of the images, evenly from the classes
    #[arg(long, value_name = "N", default_value_t = 500)]
    limit: usize,
    /// Draw how far apart the heads of each layer are, as SVG
    #[arg(long, value_name = "FILE.svg")]
    plot: Option<PathBuf>,
    #[command(flatten)]
    vit: VitArgs,
    /// Replace a plot that exists
    #[arg(long)]
    force: bool,
    /// Print one JSON object
    #[arg(long)]
    json: bool,
}

/// What is shown of one layer.
struct LayerView {
    /// Of the keys, the mean over images; or of the rows of `W_K`.
    norms: Vec<f32>,
    /// `[n, n]`, keys and values together.
    distances: Vec<f64>,
}

impl LayerView {
    /// Standard deviation of the norms over their mean.
    fn spread(&self) -> f64 {
        let n = self.norms.len() as f64;
        let mean = self.norms.iter().map(|&v| f64::from(v)).sum::<f64>() / n;
        let variance = self.norms.iter().map(|&v| (f64::from(v) - mean).powi(2)).sum::<f64>() / n;
        if mean > 0.0 { variance.sqrt() / mean } else { 0.0 }
    }

    /// How near its heads are to each other: 1 for alike, 0 for the farthest pair of the layer.
    fn heat_map(&self, layer: usize) -> HeatMap {
        let farthest = self.distances.iter().fold(0.0, |m: f64, v| m.max(*v));
        let near = |distance: &f64| Some(if farthest > 0.0 { 1.0 - distance / farthest } else { 1.0 });
        let values = self.distances.chunks(self.norms.len()).map(|row| row.iter().map(near).collect());
        HeatMap { title: format!("layer {layer}"), values: values.collect(), shade: Shade::Share }
    }
}

/// The allocations that are shown: of all images as the first batch, before which the cache holds zeros. DGQA-Diff then has the shares of
/// DGQA-EMA.
const SHOWN: [(&str, Method, Fidelity); 3] = [
    ("kdgqa official", Method::Kdgqa, Fidelity::Official),
    ("dgqa-ema official", Method::DgqaEma, Fidelity::Official),
    ("kdgqa robust", Method::Kdgqa, Fidelity::Robust),
];

pub(super) fn run(args: &Args) -> anyhow::Result<()> {
    let checkpoint = args.vit.open(&args.checkpoint)?;
    let layers = match &args.data {
        Some(dir) => by_activations(args, &checkpoint, dir)?,
        None => (0..checkpoint.n_layers())
            .map(|layer| by_weights(&checkpoint, layer))
            .collect::<Result<_, _>>()?,
    };
    if let Some(path) = &args.plot {
        let maps: Vec<HeatMap> = layers.iter().enumerate().map(|(i, layer)| layer.heat_map(i)).collect();
        write_text(path, Existing::replaced_if(args.force), &heat_maps(&maps, Cells::Plain)?)?;
    }
    if args.json { print_json(&checkpoint, &layers) } else { print_table(&checkpoint, &layers) }
}

/// Norms and distances of the rows of `W_K` and `W_V`.
fn by_weights(checkpoint: &Checkpoint, layer: usize) -> kd_gqa::Result<LayerView> {
    let n = checkpoint.groups()[layer].n_kv_heads();
    let rows = checkpoint.layers()[layer].weight_rows(
        checkpoint.tensors(),
        AttentionPart::Key,
        0..n * checkpoint.head_dim(),
    )?;
    let norm = |head: &[f32]| head.iter().map(|&v| f64::from(v).powi(2)).sum::<f64>().sqrt() as f32;
    let norms = rows.chunks(rows.len() / n).map(norm).collect();
    let apart = weight_distances(checkpoint, layer)?;
    let distances = (0..n * n).map(|at| apart.at(at / n, at % n)).collect();
    Ok(LayerView { norms, distances })
}

/// Norms and distances of keys and values over images.
fn by_activations(args: &Args, checkpoint: &Checkpoint, dir: &Path) -> kd_gqa::Result<Vec<LayerView>> {
    let device = Device::flex();
    let vit = read_vit(checkpoint, &device)?;
    let preparation = args.vit.preparation(vit.config().image_size)?;
    let images = ImageFolder::open(dir)?.first(args.limit);
    if images.is_empty() {
        return Err(Error::setting("--limit", "at least 1", 0));
    }
    let mut calibration = Calibration::new(&vit.groups(), checkpoint.head_dim());
    let mut norms: Vec<Vec<f32>> =
        checkpoint.groups().iter().map(|groups| vec![0.0; groups.n_kv_heads()]).collect();
    let bar = bar(images.len(), "images");
    let run = |_, batch| {
        let mut hook = |call: AttentionCall<'_>| {
            let of_batch = key_norms(&call.k, Fidelity::Official)?;
            let sums = norms[call.layer_idx].iter_mut().zip(of_batch);
            sums.for_each(|(sum, norm)| *sum += norm / images.len() as f32);
            calibration.attend(call)
        };
        vit.forward_hooked(batch, &mut hook).map(drop)
    };
    each_batch(&images, &preparation, BATCH, &device, run, |n| bar.set_position(n as u64))?;
    bar.finish_and_clear();
    let view = |(layer, norms): (&LayerActivations, Vec<f32>)| {
        let [keys, values] = [&layer.keys, &layer.values].map(|gram| distances(gram, Maps::Identity));
        let distances = keys?.iter().zip(&values?).map(|(k, v)| k + v).collect();
        Ok(LayerView { norms, distances })
    };
    calibration.layers().iter().zip(norms).map(view).collect()
}

/// Sizes of the groups of each layer by each method that is shown; none where the norms give it no finite shares.
fn allocations(
    layers: &[LayerView],
    n_heads: usize,
) -> kd_gqa::Result<Vec<[Option<Vec<usize>>; SHOWN.len()]>> {
    // Random repairs run on from layer to layer.
    let mut draws = SHOWN.map(|_| Mt19937::new(0));
    let of_layer = |layer: &LayerView| {
        let zeros = vec![0.0; layer.norms.len()];
        let mut all = SHOWN.map(|_| None);
        for ((sizes, draws), (_, method, fidelity)) in all.iter_mut().zip(&mut draws).zip(SHOWN) {
            let config = AllocationConfig::new(method).with_fidelity(fidelity);
            *sizes = match allocate(&config, n_heads, &layer.norms, &zeros, draws) {
                Ok(groups) => Some(groups.sizes().to_vec()),
                Err(Error::Allocation { .. }) => None,
                Err(e) => return Err(e),
            };
        }
        Ok(all)
    };
    layers.iter().map(of_layer).collect()
}

fn print_json(checkpoint: &Checkpoint, layers: &[LayerView]) -> anyhow::Result<()> {
    let allocations = allocations(layers, checkpoint.n_heads())?;
    let of_layer = |(i, layer): (usize, &LayerView)| {
        let allocations: serde_json::Map<_, _> = SHOWN
            .iter()
            .zip(&allocations[i])
            .map(|((name, ..), sizes)| (name.to_string(), json!(sizes)))
            .collect();
        let rows: Vec<&[f64]> = layer.distances.chunks(layer.norms.len()).collect();
        json!({"layer": i, "groups": checkpoint.groups()[i], "key_norms": layer.norms,
            "spread": layer.spread(), "distances": rows, "allocations": allocations})
    };
    let layers: Vec<_> = layers.iter().enumerate().map(of_layer).collect();
    let value = json!({"dialect": checkpoint.dialect().label(), "heads": checkpoint.n_heads(),
        "head_dim": checkpoint.head_dim(), "hidden": checkpoint.hidden_size(),
        "parameters": checkpoint.n_parameters(), "layers": layers});
    Ok(writeln!(stdout(), "{value}")?)
}

fn print_table(checkpoint: &Checkpoint, layers: &[LayerView]) -> anyhow::Result<()> {
    let mut out = stdout();
    writeln!(
        out,
        "{}: {} layers of width {}, {} heads of length {}, {} parameters",
        checkpoint.dialect().label(),
        checkpoint.n_layers(),
        checkpoint.hidden_size(),
        checkpoint.n_heads(),
        checkpoint.head_dim(),
        checkpoint.n_parameters()
    )?;
    let header =
        ["layer", "groups", "key norms", "spread"].into_iter().chain(SHOWN.iter().map(|shown| shown.0));
    let mut table = table(header);
    let join = |sizes: &[usize]| sizes.iter().map(usize::to_string).collect::<Vec<_>>().join(" ");
    let allocations = allocations(layers, checkpoint.n_heads())?;
    for (i, layer) in layers.iter().enumerate() {
        let norms: Vec<String> = layer.norms.iter().map(|norm| format!("{norm:.2}")).collect();
        let mut cells = vec![
            i.to_string(),
            join(checkpoint.groups()[i].sizes()),
            norms.join(" "),
            format!("{:.3}", layer.spread()),
        ];
        let shown = allocations[i].iter();
        cells.extend(shown.map(|sizes| sizes.as_deref().map_or_else(|| "never ends".into(), join)));
        table.add_row(cells);
    }
    Ok(writeln!(out, "{table}")?)
}
