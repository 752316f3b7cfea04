//! Orders of channels folded into weights: the same picture in as many bits, and undone to the byte.

use burn::tensor::Device;
use grouping_core::files::output::Existing;
use grouping_core::files::tensor_file::TensorFile;
use grouping_core::testing::assert_refused;
use iscs_lic::channels::{Preset, Use, channel_axes, kernel_correlations, scores};
use iscs_lic::checkpoint::Checkpoint;
use iscs_lic::codec::{Codec, EncodeOptions, Padding, Trace};
use iscs_lic::container::Mode;
use iscs_lic::measure::estimate::Estimate;
use iscs_lic::model::Planes;
use iscs_lic::picture::Picture;
use iscs_lic::plan::{Grouping, Plan, PlanConfig, plan, plan_by, reorder, undo};

use crate::plans::{ordered, shuffled};
use crate::recipe::{ARCHITECTURES, Tensors, open, small};

/// A picture of gradients, edges and grain.
pub(crate) fn picture(width: usize, height: usize) -> Picture {
    let sample = |i: usize| {
        let (c, x, y) = (i % 3, i / 3 % width, i / 3 / width);
        let edge = if (x + 2 * y) % 61 > 30 { 90 } else { 0 };
        (40 + edge + (x * (c + 2) + 3 * y) % 90 + (37 * x + 59 * y + x * y) % 13) as u8
    };
    Picture::new(width, height, (0..width * height * 3).map(sample).collect()).expect("a picture")
}

pub(crate) fn trace(checkpoint: &Checkpoint, picture: &Picture) -> Trace {
    let codec = Codec::load(checkpoint, &Device::flex()).expect("loads");
    codec.trace(picture, &EncodeOptions::default()).expect("encodes")
}

pub(crate) fn bits(checkpoint: &Checkpoint, trace: &Trace) -> f64 {
    Estimate::new(checkpoint).expect("a prior").bits(&trace.strings)
}

/// The greatest difference, over the greatest magnitude where that is above 1.
pub(crate) fn apart<'a>(a: impl Iterator<Item = &'a f32>, b: impl Iterator<Item = &'a f32>) -> f32 {
    let (a, b): (Vec<f32>, Vec<f32>) = (a.copied().collect(), b.copied().collect());
    assert_eq!(a.len(), b.len(), "as many values");
    let largest = a.iter().fold(1.0f32, |most, v| most.max(v.abs()));
    a.iter().zip(&b).map(|(a, b)| (a - b).abs() / largest).fold(0.0, f32::max)
}

/// What two codings of one picture are apart: x̂, ŷ by channel, and bits, relatively.
fn gaps(before: &Trace, after: &Trace, order: &[usize], bits: [f64; 2]) -> [f64; 3] {
    let area = before.y_hat.height * before.y_hat.width;
    let moved = order.iter().flat_map(|&channel| &before.y_hat.values[channel * area..(channel + 1) * area]);
    let y_hat = apart(moved, after.y_hat.values.iter());
    let x_hat = apart(before.x_hat.values.iter(), after.x_hat.values.iter());
    [f64::from(x_hat), f64::from(y_hat), ((bits[0] - bits[1]) / bits[0]).abs()]
}

/// y before it is rounded.
fn latents(checkpoint: &Checkpoint, picture: &Picture) -> Planes {
    let codec = Codec::load(checkpoint, &Device::flex()).expect("loads");
    codec.latents_of(picture, Padding::Edge).expect("latents")
}

/// What latents of one picture are apart, by channel.
fn latents_apart(before: &Planes, after: &Planes, order: &[usize]) -> f32 {
    let area = before.height * before.width;
    let moved = order.iter().flat_map(|&channel| &before.values[channel * area..(channel + 1) * area]);
    apart(moved, after.values.iter())
}

/// Tensors of a checkpoint by name.
fn tensors(checkpoint: &Checkpoint) -> Tensors {
    let tensor = |(name, _): (String, Vec<usize>)| {
        let tensor = checkpoint.tensor(&name).expect("a tensor");
        (name, (tensor.shape, tensor.values))
    };
    checkpoint.design().parameters().into_iter().map(tensor).collect()
}

/// Sums run in another order: values move by units of the last place, in the small models also of values far above 1 inside, and scales
/// with them, from which bits follow.
const SAME: [f64; 3] = [1e-5, 1e-4, 1e-4];

#[test]
fn a_reordered_model_codes_the_same_picture_in_as_many_bits() {
    let folder = tempfile::tempdir().expect("a folder");
    let picture = picture(128, 64);
    let models = ARCHITECTURES.map(small).into_iter().chain(Checkpoint::default_model());
    for (i, checkpoint) in models.enumerate() {
        let name = format!("{} of {} channels", checkpoint.architecture(), checkpoint.m());
        let plan = shuffled(&checkpoint, 7);
        let path = folder.path().join(format!("{i}.safetensors"));
        let moved =
            reorder(&checkpoint, &plan, &path, Existing::Refuse).unwrap_or_else(|e| panic!("{name}: {e}"));
        assert_ne!(moved.fingerprint(), checkpoint.fingerprint(), "{name}: another model");
        let [before, after] = [&checkpoint, &moved].map(|c| trace(c, &picture));
        let bits = [bits(&checkpoint, &before), bits(&moved, &after)];
        let found = gaps(&before, &after, plan.order(), bits);
        for (what, (found, same)) in ["x̂", "ŷ", "bits"].iter().zip(found.into_iter().zip(SAME)) {
            assert!(found <= same, "{name}: {what} moves by {found:e}");
        }
        if checkpoint.m() == 64 {
            // Without a context no sum before the scales is another.
            assert!(found[0] <= 1e-6 && found[2] <= 1e-9, "the trained model moves by {found:?}");
        }
        // What it coded it decodes, and no other model does.
        let codec = Codec::load(&moved, &Device::flex()).expect("loads");
        codec.decode(&after.coded).unwrap_or_else(|e| panic!("{name}: {e}"));
        assert_refused(codec.decode(&before.coded), "`model`: expected");
        for (before, after) in before.coded.strings.iter().zip(&after.coded.strings) {
            let [a, b] = [before, after].map(|string| string.bytes.len());
            assert!(a.abs_diff(b) <= 8 + a / 50, "{name}, {:?}: {a} and {b} bytes", before.role);
        }
    }
}

#[test]
fn every_axis_of_channels_is_needed() {
    let folder = tempfile::tempdir().expect("a folder");
    let picture = picture(64, 64);
    let mut n_told = 0;
    for name in ARCHITECTURES {
        let checkpoint = small(name);
        // The last channel first, also in slices of two.
        let plan = ordered(&checkpoint, &(0..checkpoint.m()).map(|c| c as f64).collect::<Vec<_>>());
        let path = folder.path().join(name).with_extension("safetensors");
        let moved = reorder(&checkpoint, &plan, &path, Existing::Refuse).expect("reordered");
        let before = trace(&checkpoint, &picture);
        let bits_before = bits(&checkpoint, &before);
        let right = trace(&moved, &picture);
        let right = gaps(&before, &right, plan.order(), [bits_before, bits(&moved, &right)]);
        // Rounding hides what moves y by little.
        let y = latents(&checkpoint, &picture);
        let y_right = latents_apart(&y, &latents(&moved, &picture), plan.order());
        let (original, folded) = (tensors(&checkpoint), tensors(&moved));
        let mut names: Vec<String> = channel_axes(checkpoint.design())
            .into_iter()
            .filter(|a| a.does != Use::Table)
            .map(|a| a.tensor)
            .collect();
        names.sort();
        names.dedup();
        for tensor in names {
            assert_ne!(original[&tensor], folded[&tensor], "{name}: {tensor} was moved");
            let mut amiss = folded.clone();
            amiss.insert(tensor.clone(), original[&tensor].clone());
            let amiss = open(&amiss).expect("a model");
            let after = trace(&amiss, &picture);
            let gaps = gaps(&before, &after, plan.order(), [bits_before, bits(&amiss, &after)]);
            let y_gap = latents_apart(&y, &latents(&amiss, &picture), plan.order());
            let tells = gaps.iter().zip(right).any(|(gap, right)| *gap > 10.0 * right + 1e-7)
                || y_gap > 10.0 * y_right + 1e-7;
            // What h_a reads acts through the rounding of z alone, which hides it in some of the small models.
            let may_hide = tensor.contains("h_a.");
            n_told += usize::from(may_hide && tells);
            assert!(
                tells || may_hide,
                "{name}: {tensor}, which was not moved with the others, tells: {gaps:?}, y {y_gap:e}"
            );
        }
        for (tensor, value) in &folded {
            let is_channels = channel_axes(checkpoint.design()).iter().any(|axis| axis.tensor == *tensor);
            assert!(is_channels || *value == original[tensor], "{name}: {tensor} stays");
        }
    }
    assert!(n_told > 1, "the hyper-analysis of more than one model tells");
}

/// All tensors of a file, as bytes.
fn stored(path: &std::path::Path) -> Vec<(String, Vec<usize>, Vec<u8>)> {
    let file = TensorFile::open(path).expect("a file");
    let mut names: Vec<&str> = file.names().collect();
    names.sort_unstable();
    let tensor = |name: &str| {
        let shape = file.shape(name).expect("a shape").to_vec();
        (name.to_owned(), shape, file.bytes(name).expect("bytes"))
    };
    names.into_iter().map(tensor).collect()
}

#[test]
fn undoing_gives_back_every_byte() {
    let folder = tempfile::tempdir().expect("a folder");
    let place = |name: &str, what: &str| folder.path().join(format!("{name}-{what}.safetensors"));
    for name in ARCHITECTURES {
        let checkpoint = small(name);
        let (saved, moved, back) = (place(name, "saved"), place(name, "moved"), place(name, "back"));
        checkpoint.save(&saved, Existing::Refuse).expect("saves");
        let plan = shuffled(&checkpoint, 13);
        let reordered = reorder(&checkpoint, &plan, &moved, Existing::Refuse).expect("reordered");
        let undone = undo(&reordered, &plan, &back, Existing::Refuse).expect("undone");
        assert_eq!(undone.fingerprint(), checkpoint.fingerprint(), "{name}: the fingerprint");
        assert!(stored(&back) == stored(&saved), "{name}: the bytes of tensors");
        assert!(stored(&moved) != stored(&saved), "{name}: they were moved between");
        let other = place(name, "other");
        assert_refused(undo(&checkpoint, &plan, &other, Existing::Refuse), "`model.fingerprint`: expected");
        assert_refused(reorder(&checkpoint, &plan, &moved, Existing::Refuse), "exists already");
        assert!(!other.exists(), "{name}: nothing is written");
    }
}

#[test]
fn slices_that_are_predicted_from_slices_keep_their_channels() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("out.safetensors");
    for (name, words) in [
        (
            "elic2022-official",
            "`order`: expected channels 0 to 1 in slice 0 of elic2022-official, whose networks predict",
        ),
        (
            "ms2020",
            "`order`: expected channels 0 to 1 in slice 0 of ms2020, whose networks predict slices from slices",
        ),
    ] {
        let checkpoint = small(name);
        let scores: Vec<f64> = (0..checkpoint.m()).map(|c| c as f64).collect();
        let across = PlanConfig::new(Preset::Literal).with_grouping(Some(Grouping::Uneven));
        let plan = plan_by(&checkpoint, "reversed", &scores, &across).expect("a plan").plan;
        assert_refused(reorder(&checkpoint, &plan, &path, Existing::Refuse), words);
        assert!(!path.exists(), "{name}: nothing is written");
    }
}

#[test]
fn statistics_follow_the_channels() {
    let folder = tempfile::tempdir().expect("a folder");
    let (checkpoint, path) =
        (Checkpoint::default_model().expect("the model"), folder.path().join("a.safetensors"));
    let shuffle = shuffled(&checkpoint, 17);
    let moved = reorder(&checkpoint, &shuffle, &path, Existing::Refuse).expect("reordered");
    for preset in [Preset::Literal, Preset::EntropyHead, Preset::Combined, Preset::Rank] {
        let [before, after] = [&checkpoint, &moved].map(|c| scores(c, preset).expect("scores"));
        let wanted: Vec<f64> = shuffle.order().iter().map(|&channel| before[channel]).collect();
        assert_eq!(after, wanted, "{preset} of the channels in their new places");
        if preset == Preset::Rank {
            // Ranks are equal often, and of equal scores the lower channel comes first.
            continue;
        }
        let [before, after] =
            [&checkpoint, &moved].map(|c| plan(c, &PlanConfig::new(preset)).expect("a plan").plan);
        let through: Vec<usize> = after.order().iter().map(|&position| shuffle.order()[position]).collect();
        assert_eq!(through, before.order(), "{preset}: one plan for both models");
    }
    let [before, after] = [&checkpoint, &moved].map(|c| kernel_correlations(c).expect("correlations"));
    let (a, b) = (shuffle.order()[3], shuffle.order()[50]);
    assert!((after.at(3, 50) - before.at(a, b)).abs() < 1e-12, "correlations");
}

#[test]
fn a_reordered_model_has_integer_networks_of_its_own() {
    let folder = tempfile::tempdir().expect("a folder");
    let (checkpoint, path) =
        (Checkpoint::default_model().expect("the model"), folder.path().join("a.safetensors"));
    let plan: Plan = plan(&checkpoint, &PlanConfig::new(Preset::EntropyHead)).expect("a plan").plan;
    let moved = reorder(&checkpoint, &plan, &path, Existing::Refuse).expect("reordered");
    let picture = picture(128, 64);
    let options = EncodeOptions { mode: Mode::Pixels, ..EncodeOptions::default() };
    let made = [&checkpoint, &moved].map(|c| {
        let codec = Codec::load(c, &Device::flex()).expect("loads");
        codec.reconstruct(&picture, &options).expect("encodes").picture
    });
    // Integers are summed exactly, in any order.
    assert_eq!(made[0], made[1], "the same picture, to the bit");
}
