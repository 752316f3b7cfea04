//! Latent channels: layers, statistics, scores and orders are the reference's, and depend on nothing but the weights.

use burn::tensor::Device;
use grouping_core::testing::assert_refused;
use iscs_lic::channels::{
    Attachment, Core, Kernels, LayerBinding, PinkNoise, Preset, Profile, Statistic, Statistics, attachments,
    importance_order, kernel_correlations, latent_variances, pink_noise, rank_by_score, scores,
};
use iscs_lic::checkpoint::Checkpoint;
use iscs_lic::codec::{Codec, EncodeOptions, Padding, StringTrace};
use iscs_lic::container::Role;
use iscs_lic::model::Planes;
use iscs_lic::picture::Picture;
use proptest::prelude::*;
use serde_json::Value;

use crate::recipe::{ARCHITECTURES, Tensors, data, open, parameters, small};

/// By `oracles/iscs-lic/channels.py`.
pub(crate) fn goldens() -> Value {
    let text = std::fs::read_to_string(data("channels.json")).expect("the goldens");
    serde_json::from_str(&text).expect("JSON")
}

pub(crate) fn numbers(value: &Value) -> Vec<f64> {
    value.as_array().expect("numbers").iter().map(|v| v.as_f64().expect("a number")).collect()
}

/// Fails where a value is farther from the wanted one than `tolerance` of the greatest.
pub(crate) fn assert_near(label: &str, found: &[f64], wanted: &[f64], tolerance: f64) {
    assert_eq!(found.len(), wanted.len(), "{label}: another length");
    let scale = wanted.iter().fold(0.0f64, |m, v| m.max(v.abs()));
    let off = found.iter().zip(wanted).map(|(a, b)| (a - b).abs()).fold(0.0f64, f64::max);
    assert!(off <= tolerance * scale, "{label} is off by {off} of {scale}");
}

/// Sums of millions of terms in another order.
const ROUNDING: f64 = 1e-10;

#[test]
fn statistics_of_every_architecture_are_the_references() {
    let goldens = goldens();
    for name in ARCHITECTURES {
        let (checkpoint, golden) = (small(name), &goldens["small"][name]);
        let statistics = Statistics::of(&checkpoint).expect("statistics");
        for kind in Statistic::ALL {
            let label = format!("{kind} of {name}");
            match (statistics.get(kind), &golden["statistics"][kind.name()]) {
                (None, Value::Null) => {}
                (Some(found), wanted @ Value::Array(_)) => {
                    assert_near(&label, &found, &numbers(wanted), ROUNDING);
                }
                (found, wanted) => panic!("{label}: {found:?}, not {wanted}"),
            }
        }
        for preset in Preset::ALL.into_iter().filter(|preset| preset.formula().is_some()) {
            match &golden["scores"][preset.name()] {
                Value::Null => {
                    assert_refused(scores(&checkpoint, preset), &format!("{name} has no entropy head"));
                }
                wanted => {
                    let found = scores(&checkpoint, preset).expect("scores");
                    assert_near(&format!("{preset} of {name}"), &found, &numbers(wanted), ROUNDING);
                }
            }
        }
        let correlations = kernel_correlations(&checkpoint).expect("correlations");
        // Kernels are brought together in 32 bits.
        assert_near(name, correlations.values(), &numbers(&golden["correlations"]), 1e-6);
    }
}

#[test]
fn the_order_of_the_built_in_model_is_the_references() {
    let golden = &goldens()["built_in"];
    let checkpoint = Checkpoint::default_model().expect("the model");
    for preset in [Preset::Literal, Preset::EntropyHead, Preset::Combined, Preset::Rank] {
        let found = scores(&checkpoint, preset).expect("scores");
        assert_near(preset.name(), &found, &numbers(&golden["scores"][preset.name()]), ROUNDING);
        let profile = Profile::new(&checkpoint, found, Core::default()).expect("a profile");
        let golden = &golden["orders"][preset.name()];
        let wanted: Vec<usize> = numbers(&golden["order"]).into_iter().map(|c| c as usize).collect();
        assert_eq!(profile.order, wanted, "π by {preset}");
        assert_eq!(profile.n_core, 16, "the core by {preset}");
        for (found, wanted) in profile.attachments.iter().zip(golden["attached"].as_array().expect("a list"))
        {
            let Attachment { channel, parent, correlation } = *found;
            let wanted = numbers(wanted);
            assert_eq!([channel, parent], [wanted[0] as usize, wanted[1] as usize], "a parent by {preset}");
            assert!((correlation - wanted[2]).abs() < 1e-6, "{found:?}, not {wanted:?}");
        }
        assert_eq!(profile.attachments.len(), 48, "all others have a parent by {preset}");
    }
}

fn codec(tensors: &Tensors) -> Codec {
    Codec::load(&open(tensors).expect("a checkpoint"), &Device::flex()).expect("loads")
}

/// A picture with something in every frequency.
fn grain(width: usize, height: usize) -> Picture {
    let sample = |i: usize| ((i * 37 + i / 7 * 59 + i / 300 * 83) % 251) as u8;
    Picture::new(width, height, (0..width * height * 3).map(sample).collect()).expect("a picture")
}

/// The channels of y that differ.
fn differing(a: &Planes, b: &Planes) -> Vec<usize> {
    let pairs = a.values.chunks(a.area()).zip(b.values.chunks(b.area()));
    pairs.enumerate().filter(|(_, (a, b))| a != b).map(|(channel, _)| channel).collect()
}

/// Adds to the bias of a channel.
fn raise(tensors: &mut Tensors, kernels: &Kernels, channel: usize, by: f32) {
    let bias = tensors.get_mut(&format!("{}.bias", kernels.layer)).expect("a bias");
    bias.1[kernels.first + channel - kernels.channels.start] += by;
}

#[test]
fn what_writes_a_channel_is_written_to_it_alone() {
    let picture = grain(64, 64);
    for name in ARCHITECTURES {
        let tensors = parameters(name);
        let latents =
            |tensors: &Tensors| codec(tensors).latents_of(&picture, Padding::Edge).expect("latents");
        let before = latents(&tensors);
        let binding = LayerBinding::of(&small(name));
        // An attention block mixes what is written before it.
        let last = binding.writers.last().expect("a map");
        for channel in [0, binding.n_channels - 1] {
            let mut raised = tensors.clone();
            raise(&mut raised, last, channel, 40.0);
            assert_eq!(differing(&before, &latents(&raised)), [channel], "{} of {name}", last.layer);
        }
    }
}

/// The channel of a symbol.
fn channel_of(name: &str, string: &StringTrace, slices: &[usize], symbol: usize) -> usize {
    let (Role::Slice(k) | Role::Anchors(k) | Role::NonAnchors(k)) = string.role else { panic!("no slice") };
    let (first, n) = (slices[..usize::from(k)].iter().sum::<usize>(), slices[usize::from(k)]);
    let is_serial = ["mbt2018", "cheng2020-anchor", "cheng2020-attn"].contains(&name);
    first + if is_serial { symbol % n } else { symbol / (string.symbols.len() / n) }
}

#[test]
fn the_entropy_head_gives_scale_and_mean_of_its_channel() {
    let picture = grain(64, 64);
    for name in ARCHITECTURES {
        let (tensors, checkpoint) = (parameters(name), small(name));
        let (binding, slices) = (LayerBinding::of(&checkpoint), &checkpoint.design().slices);
        let strings = |tensors: &Tensors| {
            let trace = codec(tensors).trace(&picture, &EncodeOptions::default()).expect("encodes");
            trace.strings.into_iter().filter(|s| s.role != Role::Hyper).collect::<Vec<_>>()
        };
        let before = strings(&tensors);
        let touched = |after: &[StringTrace], of: fn(&StringTrace) -> &Vec<f32>, n_first: usize| {
            let mut channels = vec![];
            for (a, b) in before.iter().zip(after).take(n_first) {
                let differ = (0..of(a).len()).filter(|&i| of(a)[i] != of(b)[i]);
                channels.extend(differ.map(|i| channel_of(name, a, slices, i)));
            }
            channels.sort_unstable();
            channels.dedup();
            channels
        };
        for channel in [3, binding.n_channels - 1] {
            let covering = |all: &[Kernels]| all.iter().find(|k| k.channels.contains(&channel)).cloned();
            if let Some(kernels) = covering(&binding.scales) {
                let mut raised = tensors.clone();
                raise(&mut raised, &kernels, channel, 9.0);
                // Scales decide tables alone, so that no other channel hears of them.
                assert_eq!(
                    touched(&strings(&raised), |s| &s.scales, usize::MAX),
                    [channel],
                    "a scale of {name}"
                );
            }
            if let Some(kernels) = covering(&binding.means) {
                let mut raised = tensors.clone();
                raise(&mut raised, &kernels, channel, 9.0);
                let after = strings(&raised);
                // Means change what is decoded, and with it what later strings see: the first string of the slice tells.
                let slice = slices
                    .iter()
                    .scan(0usize, |sum, n| {
                        *sum += n;
                        Some(*sum)
                    })
                    .filter(|&end| end <= channel)
                    .count();
                let of_slice = |s: &StringTrace| matches!(s.role, Role::Slice(k) | Role::Anchors(k) if usize::from(k) == slice);
                let first = before.iter().position(of_slice).expect("a string of the slice");
                let mut found = touched(&after, |s| &s.means, first + 1);
                if ["mbt2018", "cheng2020-anchor", "cheng2020-attn"].contains(&name) {
                    // Of a serial context only the first position sees nothing.
                    let (a, b) = (&before[0].means, &after[0].means);
                    found = (0..slices[0]).filter(|&c| a[c] != b[c]).collect();
                }
                assert_eq!(found, [channel], "a mean of {name}");
            }
        }
        let has_head = !name.starts_with("bmshj2018-factorized");
        let has_means = has_head && name != "bmshj2018-hyperprior";
        let n_of = |all: &[Kernels]| all.iter().map(|k| k.channels.len()).sum::<usize>();
        let wanted = [has_head, has_means].map(|has| if has { binding.n_channels } else { 0 });
        assert_eq!([n_of(&binding.scales), n_of(&binding.means)], wanted, "rows of the head of {name}");
    }
}

/// Sets to zero what reads a channel.
fn deafen(tensors: &mut Tensors, all: &[Kernels], channel: usize) {
    for Kernels { layer, axis, first, .. } in all {
        let (shape, values) = tensors.get_mut(&format!("{layer}.weight")).expect("a weight");
        let (length, inner) = (shape[*axis], shape[axis + 1..].iter().product::<usize>());
        let lines = values.chunks_exact_mut(inner).skip(first + channel).step_by(length);
        lines.for_each(|line| line.fill(0.0));
    }
}

#[test]
fn what_reads_a_channel_is_all_that_hears_of_it() {
    let picture = grain(64, 64);
    for name in ARCHITECTURES {
        let (mut tensors, binding) = (parameters(name), LayerBinding::of(&small(name)));
        let channel = 5;
        deafen(&mut tensors, &binding.readers, channel);
        let codec = codec(&tensors);
        let trace = codec.trace(&picture, &EncodeOptions::default()).expect("encodes");
        let with = |channel: usize| {
            let mut y_hat = trace.y_hat.clone();
            let area = y_hat.area();
            y_hat.values[channel * area..(channel + 1) * area].fill(7.0);
            codec.planes_of(&trace.coded, &y_hat).expect("planes")
        };
        assert_ne!(with(channel + 1), trace.x_hat, "another channel of {name} is heard");
        // The units inside of an attention block pass a channel on to each other.
        let begins_in_attention = ["cheng2020-attn", "elic2022-official"].contains(&name);
        assert_eq!(with(channel) == trace.x_hat, !begins_in_attention, "a deafened channel of {name}");
    }
}

/// A checkpoint's tensors with its channels in another order.
fn permuted(tensors: &Tensors, binding: &LayerBinding, order: &[usize]) -> Tensors {
    let mut out = tensors.clone();
    let written = || [&binding.writers, &binding.scales, &binding.means].into_iter().flatten();
    let read = [&binding.readers, &binding.hyper_readers].into_iter().flatten();
    let weights = written().chain(read).map(|kernels| (kernels, "weight", kernels.axis));
    for (kernels, tensor, axis) in weights.chain(written().map(|kernels| (kernels, "bias", 0))) {
        let Kernels { layer, first, channels, .. } = kernels;
        let name = format!("{layer}.{tensor}");
        let (shape, from) = &tensors[&name];
        let to = &mut out.get_mut(&name).expect("the same names").1;
        let (length, inner) = (shape[axis], shape[axis + 1..].iter().product::<usize>());
        for (i, channel) in channels.clone().enumerate() {
            let source = first + order[channel] - channels.start;
            for outer in 0..from.len() / (length * inner) {
                let at = |index: usize| (outer * length + index) * inner;
                let line = &from[at(source)..at(source) + inner];
                to[at(first + i)..at(first + i) + inner].copy_from_slice(line);
            }
        }
    }
    out
}

/// An order of all channels that leaves each in its slice.
fn shuffled(slices: &[usize], keys: &[u64]) -> Vec<usize> {
    let mut first = 0;
    let mut order = vec![];
    for &n in slices {
        let mut part: Vec<usize> = (first..first + n).collect();
        part.sort_by_key(|&c| (keys[c % keys.len()].rotate_left(c as u32), c));
        order.extend(part);
        first += n;
    }
    order
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 6, ..ProptestConfig::default() })]

    #[test]
    fn scores_and_orders_go_with_their_channels(keys in proptest::collection::vec(any::<u64>(), 7)) {
        for name in ARCHITECTURES {
            let (tensors, checkpoint) = (parameters(name), small(name));
            let binding = LayerBinding::of(&checkpoint);
            let order = shuffled(&checkpoint.design().slices, &keys);
            let other = open(&permuted(&tensors, &binding, &order)).expect("a checkpoint");
            for preset in Preset::ALL {
                let Ok(before) = scores(&checkpoint, preset) else { continue };
                let after = scores(&other, preset).expect("scores");
                let wanted: Vec<f64> = order.iter().map(|&channel| before[channel]).collect();
                prop_assert_eq!(&after, &wanted, "{} of {}", preset, name);
                for core in [Core::default(), Core::Deviations(0.5), Core::Mass(0.9)] {
                    prop_assert_eq!(core.size(&after), core.size(&before), "{} of {}", core, name);
                }
                let mut distinct = after.clone();
                distinct.sort_by(f64::total_cmp);
                // Of equal scores the lower index comes first, which is another channel then.
                if distinct.windows(2).any(|pair| pair[0] == pair[1]) {
                    continue;
                }
                let [before, after] = [(&checkpoint, before), (&other, after)]
                    .map(|(checkpoint, scores)| Profile::new(checkpoint, scores, Core::default()).expect("a profile"));
                let named: Vec<usize> = after.order.iter().map(|&channel| order[channel]).collect();
                prop_assert_eq!(named, before.order, "π by {} of {}", preset, name);
            }
        }
    }

    #[test]
    fn an_order_holds_every_channel_once(
        scores in proptest::collection::vec(prop_oneof![-1.0f64..1.0, Just(0.0), Just(f64::NAN)], 64),
        n_core in 0usize..80,
    ) {
        let checkpoint = Checkpoint::default_model().expect("the model");
        let correlations = kernel_correlations(&checkpoint).expect("correlations");
        let order = importance_order(&scores, n_core, &correlations);
        let mut sorted = order.clone();
        sorted.sort_unstable();
        prop_assert_eq!(sorted, (0..64).collect::<Vec<_>>(), "each once");
        let n_core = n_core.min(64);
        prop_assert_eq!(&order[..n_core], &rank_by_score(&scores)[..n_core], "the core by score");
        let attached = attachments(&scores, n_core, &correlations);
        prop_assert_eq!(attached.len(), if n_core == 0 { 0 } else { 64 - n_core }, "the others have parents");
        for a in attached {
            prop_assert!(order[..n_core].contains(&a.parent), "{:?}: the parent is of the core", a);
            let best = order[..n_core].iter().all(|&c| correlations.at(a.channel, c).abs() <= a.correlation.abs());
            prop_assert!(best, "{:?}: no other is more alike", a);
        }
    }
}

#[test]
fn no_score_depends_on_threads() {
    let checkpoint = Checkpoint::default_model().expect("the model");
    let codec = Codec::load(&checkpoint, &Device::flex()).expect("loads");
    let pictures = [grain(97, 130), grain(64, 64)];
    let of = |n_threads: usize| {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(n_threads).build().expect("threads");
        pool.install(|| {
            let found = scores(&checkpoint, Preset::Combined).expect("scores");
            let correlations = kernel_correlations(&checkpoint).expect("correlations").into_values();
            let order = Profile::new(&checkpoint, found.clone(), Core::default()).expect("a profile").order;
            (found, correlations, order, latent_variances(&codec, &pictures).expect("variances"))
        })
    };
    let wanted = of(1);
    for n_threads in [2, 3, 4] {
        assert!(of(n_threads) == wanted, "{n_threads} threads");
    }
}

#[test]
fn a_channel_whose_weights_are_equal_has_the_least_score_and_no_correlation() {
    let mut tensors = parameters("mbt2018-mean");
    for name in ["g_a.6", "h_s.4"] {
        let (shape, values) = tensors.get_mut(&format!("{name}.weight")).expect("a weight");
        let n = values.len() / shape[0];
        values[3 * n..4 * n].fill(0.25);
    }
    tensors.get_mut("g_a.6.bias").expect("a bias").1[3] = 0.0;
    let checkpoint = open(&tensors).expect("a checkpoint");
    for preset in [Preset::Literal, Preset::EntropyHead, Preset::Combined] {
        let found = scores(&checkpoint, preset).expect("scores");
        assert_eq!(found[3], 0.0, "the least by {preset}");
        let profile = Profile::new(&checkpoint, found, Core::default()).expect("a profile");
        assert!(profile.correlations.at(3, 0).is_nan(), "no correlation");
        let of_three = profile.attachments.iter().find(|a| a.channel == 3).expect("an auxiliary channel");
        assert_eq!((of_three.parent, of_three.correlation), (profile.order[0], 0.0), "the first of the core");
    }
    // Every statistic constant.
    for (name, (_, values)) in &mut tensors {
        if name.starts_with("g_a.6") || name.starts_with("h_s.4") {
            values.fill(0.125);
        }
    }
    let checkpoint = open(&tensors).expect("a checkpoint");
    for preset in [Preset::Literal, Preset::EntropyHead, Preset::Combined, Preset::Rank] {
        let found = scores(&checkpoint, preset).expect("scores");
        assert_eq!(found, [0.0; 16], "no NaN by {preset}");
        let profile = Profile::new(&checkpoint, found, Core::default()).expect("a profile");
        assert_eq!(profile.order, (0..16).collect::<Vec<_>>(), "ties by index, by {preset}");
    }
}

#[test]
fn synthetic_pictures_and_what_the_networks_make_of_them_are_the_references() {
    let golden = &goldens()["built_in"];
    let pictures = pink_noise(&PinkNoise::default()).expect("pictures");
    let sums: Vec<f64> = pictures.iter().map(|p| p.rgb().iter().map(|&v| f64::from(v)).sum()).collect();
    let [noise, energy] = ["pink_noise", "energy"].map(|part| &golden[part]);
    assert_eq!(sums, numbers(&noise["sums"]), "sums of all samples");
    let row = &pictures[7].rgb()[100 * 256 * 3..][..48];
    let row: Vec<f64> = row.iter().map(|&v| f64::from(v)).collect();
    assert_eq!(row, numbers(&noise["samples"]), "samples of a row");
    let codec =
        Codec::load(&Checkpoint::default_model().expect("the model"), &Device::flex()).expect("loads");
    // Networks in 32 bits.
    let found = latent_variances(&codec, &pictures).expect("variances");
    assert_near("variances on noise", &found, &numbers(&noise["variances"]), 1e-5);
    let found = latent_variances(&codec, &[golden_picture()]).expect("variances");
    assert_near("energy", &found, &numbers(energy), 1e-5);
    assert_refused(latent_variances(&codec, &[]), "pictures: expected at least one, found none");
}

/// The picture of the crate's goldens.
pub(crate) fn golden_picture() -> Picture {
    Picture::read(&data("in_256x128.png"), &Default::default()).expect("the picture").0
}

#[test]
fn scores_that_are_none_are_refused() {
    let checkpoint = Checkpoint::default_model().expect("the model");
    let profile = |scores: Vec<f64>| Profile::new(&checkpoint, scores, Core::default());
    assert_refused(profile(vec![1.0; 63]), "scores: expected one for each of 64 channels, found 63");
    let mut scores = vec![1.0; 64];
    scores[9] = f64::NAN;
    assert_refused(profile(scores), "scores: value NaN at index 9 is not finite");
}
