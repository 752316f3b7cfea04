//! One variant of a bed's model, converted without training and scored on validation and test images; and the choice between variants.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::{Context, Result, ensure};
use burn::tensor::Device;
use grouping_core::files::output::{Existing, write_folder};
use grouping_core::train::{Event, Observer};
use serde::{Deserialize, Serialize};

use crate::bed::{Bed, read_json};
use grouping_core::image::ImageFolder;
use grouping_core::score::Score;
use kd_gqa::allocation::AllocationConfig;
use kd_gqa::calibrate::calibrate_vit;
use kd_gqa::checkpoint::Checkpoint;
use kd_gqa::convert::{Allocate, ConvertConfig, convert};
use kd_gqa::evaluate::evaluate;
use kd_gqa::inference::Inference;
use kd_gqa::vit::read_vit;

/// Images of a batch; the released code's allocations depend on it.
const BATCH: usize = 250;
/// Samples of the test images for intervals of 95 %.
const N_RESAMPLES: usize = 1000;

/// A variant.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Variant {
    /// The conversion; absent, the model as it is.
    pub(crate) convert: Option<ConvertConfig>,
    /// Groups by key norms, of each batch or (robust) of the calibration images; absent, the model's own.
    pub(crate) allocation: Option<AllocationConfig>,
}

/// What is written beside the metrics, for [`choose`].
#[derive(Debug, Clone, Serialize, Deserialize)]
struct Scores {
    validation: f64,
    test: f64,
    low: f64,
    high: f64,
}

/// Scores a variant and writes `scores.json` into the folder `out`.
///
/// # Errors
/// When files cannot be read or written, or settings do not fit the model.
pub(crate) fn score(
    dir: &Path,
    variant: &Variant,
    seed: u64,
    out: &Path,
    observer: &mut impl Observer,
) -> Result<()> {
    let bed = Bed::read(dir)?;
    let device = Device::flex();
    let source = Checkpoint::open_with_heads(&bed.model, Some(bed.heads))?;
    let calibration = || ImageFolder::open(&dir.join("calibration"));
    let mut config = match &variant.convert {
        None => variant.allocation.as_ref().map(|_| ConvertConfig::new(source.groups()[0].n_kv_heads())),
        Some(config) => {
            let (vit, images) = (read_vit(&source, &device)?, calibration()?);
            let seen = calibrate_vit(&vit, images.images(), &bed.preparation(), &device, |_| {})?;
            Some(config.clone().with_calibration(Arc::new(seen)))
        }
    };
    if let Some(method) = variant.allocation.clone() {
        let allocate = if method.is_frozen_at_inference() {
            let images = calibration()?.first(usize::MAX);
            Allocate::Images { method, images, preparation: bed.preparation() }
        } else {
            Allocate::Method(method)
        };
        config = config.map(|config| config.with_allocation(allocate));
    }
    let work = tempfile::tempdir().context("a temporary folder")?;
    let checkpoint = match config {
        None => source,
        Some(config) => {
            let path = work.path().join("model.safetensors");
            convert(&source, &config, &path, Existing::Refuse, |_| {})?;
            Checkpoint::open(&path)?
        }
    };
    let vit = read_vit(&checkpoint, &device)?;
    let mut inference = Inference::saved(&checkpoint)?;
    let mut of = |part: &str| -> Result<Score> {
        let images = ImageFolder::open(&dir.join(part))?;
        let images = images.first(usize::MAX);
        let hook = |batch| vit.forward_hooked(batch, &mut |call| inference.attend(call));
        Ok(evaluate(&images, &bed.preparation(), BATCH, &device, hook, |_| {})?)
    };
    let (validation, test) = (of("validation")?, of("test")?);
    let [low, high] = test.interval(0.95, N_RESAMPLES, seed);
    let percent = |share: f64| 100.0 * share;
    let scores = Scores {
        validation: percent(validation.top1),
        test: percent(test.top1),
        low: percent(low),
        high: percent(high),
    };
    report(&scores, observer);
    let text = serde_json::to_string(&scores).context("scores")?;
    write_folder(out, Existing::Replace, |staging| {
        let path = staging.join("scores.json");
        std::fs::write(&path, text).map_err(|e| grouping_core::Error::File { path, reason: e.to_string() })
    })?;
    Ok(())
}

/// Reports the test scores of the variant that is best on validation images; of equals, the first.
///
/// # Errors
/// When a file cannot be read or is none of [`score`].
pub(crate) fn choose(outs: &[PathBuf], observer: &mut impl Observer) -> Result<()> {
    let all = outs.iter().map(|out| read_json(&out.join("scores.json"))).collect::<Result<Vec<Scores>>>()?;
    ensure!(!all.is_empty(), "expected at least one output of `score`");
    let best = all.iter().rev().max_by(|a, b| a.validation.total_cmp(&b.validation));
    best.into_iter().for_each(|best| report(best, observer));
    Ok(())
}

/// Tells the scores; an observer that wants to stop changes nothing, there is nothing left to do.
fn report(scores: &Scores, observer: &mut impl Observer) {
    for (name, split, value) in [
        ("top1", "validation", scores.validation),
        ("top1", "test", scores.test),
        ("top1_low", "test", scores.low),
        ("top1_high", "test", scores.high),
    ] {
        let _ = observer.on_event(&Event::metric(name, value, [("split", split)]));
    }
}
