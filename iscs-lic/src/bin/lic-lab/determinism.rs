//! What integer arithmetic costs, and what floating point risks.
//!
//! Costs: bytes of `symbols` and `pixels` over those of float, PSNR beside it, and the share of samples that differ. Risk: a decoder whose
//! hyper-synthesis computes in slightly other arithmetic, here one whose weights are some units in the last place off, each up or down by a seeded draw. It decodes float files with the hash of table rows checked, and again with the hash removed, as CompressAI decodes.

use std::collections::BTreeMap;
use std::path::Path;

use anyhow::{Context, Result, ensure};
use burn::tensor::Device;
use grouping_core::files::output::Existing;
use grouping_core::files::tensor_file::{Dtype, Planned, TensorFile, TensorWriter};
use grouping_core::image::files_below;
use grouping_core::train::{Event, Observer};
use iscs_lic::checkpoint::Checkpoint;
use iscs_lic::codec::{Codec, EncodeOptions};
use iscs_lic::container::{Coded, Mode};
use iscs_lic::measure::psnr;
use iscs_lic::picture::{Picture, ReadOptions};
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

/// The layers that decide scales and means.
const PERTURBED: &str = "h_s.";

/// The arithmetics and their names in metrics.
const MODES: [(Mode, &str); 3] =
    [(Mode::Float, "float"), (Mode::Symbols, "symbols"), (Mode::Pixels, "pixels")];

/// Codes the pictures below `data` in every arithmetic, and tells what each costs.
///
/// # Errors
/// When a picture cannot be coded.
pub(crate) fn costs(data: &Path, observer: &mut impl Observer) -> Result<()> {
    let codec = Codec::load(&Checkpoint::default_model()?, &Device::flex())?;
    let pictures = read(data)?;
    let mut n_bytes = [0_usize; MODES.len()];
    let mut decibels = [0.0; MODES.len()];
    let (mut n_differing, mut n_samples) = (0, 0);
    let total = pictures.len();
    for (done, picture) in pictures.iter().enumerate() {
        let mut decoded = Vec::new();
        for (at, (mode, _)) in MODES.into_iter().enumerate() {
            let coded = codec.encode(picture, &EncodeOptions { mode, ..EncodeOptions::default() })?;
            n_bytes[at] += coded.strings.iter().map(|string| string.bytes.len()).sum::<usize>();
            let shown = codec.decode(&coded)?;
            decibels[at] += psnr(picture, &shown).context("a picture that was kept exactly")? / total as f64;
            decoded.push(shown);
        }
        n_samples += picture.rgb().len();
        n_differing += decoded[1].rgb().iter().zip(decoded[2].rgb()).filter(|(a, b)| a != b).count();
        let _ = observer.on_event(&Event::Progress { done: done + 1, total, unit: "picture" });
    }
    let mut tell = |name: &str, mode: &'static str, value: f64| {
        let _ = observer.on_event(&Event::metric(name, value, [("arithmetic", mode)]));
    };
    for (at, (_, name)) in MODES.into_iter().enumerate() {
        tell("string_bytes", name, n_bytes[at] as f64);
        tell("extra_bytes_percent", name, (n_bytes[at] as f64 / n_bytes[0] as f64 - 1.0) * 100.0);
        tell("psnr", name, decibels[at]);
        tell("psnr_over_float", name, decibels[at] - decibels[0]);
    }
    tell("samples_beside_symbols_percent", "pixels", n_differing as f64 * 100.0 / n_samples as f64);
    Ok(())
}

/// Decodes float files in perturbed arithmetic, and tells how often that is noticed, and what happens where nobody looks.
///
/// # Errors
/// When a picture cannot be coded, or a temporary folder not written.
pub(crate) fn perturb(
    data: &Path,
    n_trials: usize,
    n_ulps: u32,
    seed: u64,
    observer: &mut impl Observer,
) -> Result<()> {
    let checkpoint = Checkpoint::default_model()?;
    let codec = Codec::load(&checkpoint, &Device::flex())?;
    let pictures = read(data)?;
    let coded: Vec<Coded> = pictures
        .iter()
        .map(|picture| codec.encode(picture, &EncodeOptions::default()))
        .collect::<Result<_, _>>()?;
    let (mut n_noticed, mut n_worse, mut n_refused, mut worst) = (0, 0, 0, 0.0_f64);
    let total = n_trials * pictures.len();
    for trial in 0..n_trials {
        let other = perturbed(&checkpoint, n_ulps, seed.wrapping_add(trial as u64))?;
        for (at, (picture, coded)) in pictures.iter().zip(&coded).enumerate() {
            let own = psnr(picture, &codec.decode(coded)?).context("a picture that was kept exactly")?;
            let mut coded = Coded { model: [0; 16], ..coded.clone() };
            n_noticed += usize::from(other.decode(&coded).is_err());
            coded.strings.iter_mut().for_each(|string| string.index_hash = 0);
            match other.decode(&coded) {
                Err(_) => n_refused += 1,
                Ok(shown) => {
                    let lost = psnr(picture, &shown).map_or(0.0, |found| own - found);
                    n_worse += usize::from(lost > 0.1);
                    worst = worst.max(lost);
                }
            }
            let done = trial * pictures.len() + at + 1;
            let _ = observer.on_event(&Event::Progress { done, total, unit: "decoding" });
        }
    }
    let share = |n: usize| n as f64 * 100.0 / total as f64;
    for (name, value) in [
        ("noticed_percent", share(n_noticed)),
        ("unchecked_wrong_percent", share(n_worse)),
        ("unchecked_refused_percent", share(n_refused)),
        ("unchecked_worst_db", worst),
        ("unnoticed_percent", share((n_worse + n_refused).saturating_sub(n_noticed))),
    ] {
        let _ = observer.on_event(&Event::metric(name, value, [("arithmetic", "float")]));
    }
    Ok(())
}

fn read(data: &Path) -> Result<Vec<Picture>> {
    let files = files_below(data)?;
    ensure!(!files.is_empty(), "{}: expected pictures, found none", data.display());
    Ok(files
        .iter()
        .map(|path| Ok(Picture::read(path, &ReadOptions::default())?.0))
        .collect::<iscs_lic::Result<_>>()?)
}

/// The model with each weight of its hyper-synthesis so many units in the last place off.
fn perturbed(checkpoint: &Checkpoint, n_ulps: u32, seed: u64) -> Result<Codec> {
    let folder = tempfile::tempdir().context("a temporary folder")?;
    let (whole, other) = (folder.path().join("whole.safetensors"), folder.path().join("other.safetensors"));
    checkpoint.save(&whole, Existing::Refuse)?;
    let file = TensorFile::open(&whole)?;
    let mut planned = Vec::new();
    for name in file.names() {
        let (shape, dtype) =
            (file.shape(name).context("a shape")?.to_vec(), file.dtype(name).context("a type")?);
        planned.push(Planned::new(name, shape, dtype));
    }
    let out = std::fs::File::create(&other).with_context(|| other.display().to_string())?;
    let writer = TensorWriter::safetensors(out, &other, &planned, &BTreeMap::new())?;
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    for Planned { name, dtype, .. } in &planned {
        if name.starts_with(PERTURBED) && *dtype == Dtype::F32 {
            let mut values = file.decode(name)?.values;
            for v in &mut values {
                let step = if rng.random() { f32::next_up } else { f32::next_down };
                (0..n_ulps).for_each(|_| *v = step(*v));
            }
            writer.write(name, &values)?;
        } else {
            writer.write_bytes(name, &file.bytes(name).context("bytes")?)?;
        }
    }
    writer.finish()?;
    Ok(Codec::load(&Checkpoint::open(&other)?, &Device::flex())?)
}
