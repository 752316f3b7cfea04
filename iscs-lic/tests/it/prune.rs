//! Pruned models: what the whole model codes when the other channels are constants, by smaller networks.

use std::path::PathBuf;

use burn::tensor::Device;
use grouping_core::files::output::Existing;
use grouping_core::testing::assert_refused;
use iscs_lic::channels::{Core, Preset, Use, channel_axes, scores};
use iscs_lic::checkpoint::{Architecture, Checkpoint};
use iscs_lic::codec::{Codec, EncodeOptions};
use iscs_lic::container::{Coded, Limits, Mode};
use iscs_lic::measure::psnr;
use iscs_lic::picture::{Picture, ReadOptions};
use iscs_lic::plan::{Constants, Plan, PlanConfig, PruneConfig, Pruned, core_channels, plan, prune};
use serde_json::Value;

use crate::commands::{answers, run};
use crate::plans::scores as random;
use crate::recipe::{Tensors, data, open, small};
use crate::reorder::{apart, bits, picture, trace};

/// What can be pruned.
const PRUNED: [&str; 5] =
    ["bmshj2018-factorized", "bmshj2018-factorized-relu", "bmshj2018-hyperprior", "mbt2018-mean", "mbt2018"];
/// CompressAI's least scale.
const LEAST_SCALE: f32 = 0.11;

fn cut(checkpoint: &Checkpoint, kept: &[usize], constants: Constants, path: PathBuf) -> Pruned {
    let config = PruneConfig::default().with_constants(constants);
    prune(checkpoint, kept, config, &path, Existing::Refuse).expect("a pruned model")
}

fn tensors(checkpoint: &Checkpoint) -> Tensors {
    let tensor = |(name, _): (String, Vec<usize>)| {
        let tensor = checkpoint.tensor(&name).expect("a tensor");
        (name, (tensor.shape, tensor.values))
    };
    checkpoint.design().parameters().into_iter().map(tensor).collect()
}

/// The whole model whose channels but `kept` are constants: they are written by a bias alone, and predicted by one.
fn muted(checkpoint: &Checkpoint, kept: &[usize], constants: &[f64]) -> Checkpoint {
    let mut all = tensors(checkpoint);
    for axis in channel_axes(checkpoint.design()) {
        let is_bias = axis.tensor.ends_with(".bias");
        let of = |channel: usize| match axis.does {
            Use::Writes | Use::Mean if is_bias => Some(constants[channel] as f32),
            Use::Scale if is_bias => Some(LEAST_SCALE),
            Use::Writes | Use::Mean | Use::Scale => Some(0.0),
            _ => None,
        };
        // Rows of weights, and biases: what belongs to a channel is contiguous.
        let Some((shape, values)) = all.get_mut(&axis.tensor).filter(|_| axis.axis == 0) else { continue };
        let n: usize = shape[1..].iter().product();
        for (index, channel) in axis.indices().zip(axis.channels.clone()) {
            if let Some(value) = of(channel).filter(|_| !kept.contains(&channel)) {
                values[index * n..(index + 1) * n].fill(value);
            }
        }
    }
    open(&all).expect("a model")
}

#[test]
fn a_pruned_model_codes_as_the_whole_one_whose_other_channels_are_constants() {
    let folder = tempfile::tempdir().expect("a folder");
    let picture = picture(128, 64);
    let default = Checkpoint::default_model().expect("the model");
    let models = PRUNED.map(small).into_iter().chain([default]);
    for (i, checkpoint) in models.enumerate() {
        let (name, m) = (checkpoint.architecture().name(), checkpoint.m());
        let kept = core_channels(&random(3, m), Core::Share(0.25));
        assert_eq!(kept.len(), m / 4, "{name}: channels kept");
        let path = folder.path().join(format!("{i}.safetensors"));
        let pruned = cut(&checkpoint, &kept, Constants::Carrier, path);
        let has_carrier = checkpoint.architecture() != Architecture::ScaleHyperprior;
        assert_eq!(pruned.carrier.is_some(), has_carrier, "{name}: a carrier where constants are not zeros");
        assert_eq!(pruned.checkpoint.m(), m / 4 + usize::from(has_carrier), "{name}: M");
        assert_eq!(pruned.checkpoint.architecture(), checkpoint.architecture(), "{name}: the architecture");
        let whole = muted(&checkpoint, &kept, &pruned.constants);
        let [wanted, found] = [&whole, &pruned.checkpoint].map(|c| trace(c, &picture));
        let gap = apart(wanted.x_hat.values.iter(), found.x_hat.values.iter());
        assert!(gap <= 2e-6, "{name}: x̂ moves by {gap:e}");
        let area = wanted.y_hat.width * wanted.y_hat.height;
        let of_kept = kept.iter().flat_map(|&c| &wanted.y_hat.values[c * area..(c + 1) * area]);
        let gap = apart(of_kept, found.y_hat.values[..kept.len() * area].iter());
        assert!(gap <= 1e-5, "{name}: ŷ of what is kept moves by {gap:e}");
        let carried = &found.y_hat.values[kept.len() * area..];
        let value = pruned.carrier.map_or(0.0, |carrier| carrier.value);
        assert!(carried.iter().all(|&v| v == value), "{name}: the carrier is {value} everywhere");
        // Constants of a conditional Gaussian cost next to nothing, those of a factorised prior what their channels do.
        let [wanted, found] = [bits(&whole, &wanted), bits(&pruned.checkpoint, &found)];
        if name.starts_with("bmshj2018-factorized") {
            assert!(found < wanted, "{name}: {found} bits, not {wanted}");
        } else {
            let apart = (found - wanted).abs();
            assert!(apart < 1e-4 * wanted + 1.0, "{name}: {found} bits, not {wanted}");
        }
    }
}

#[test]
fn a_pruned_model_decodes_what_it_encodes_in_every_arithmetic() {
    let folder = tempfile::tempdir().expect("a folder");
    let picture = picture(100, 70);
    for name in PRUNED {
        let checkpoint = small(name);
        for (i, constants) in [Constants::Carrier, Constants::Bias, Constants::Zero].into_iter().enumerate() {
            let kept = core_channels(&random(5, 16), Core::Share(0.5));
            let path = folder.path().join(format!("{name}-{i}.safetensors"));
            let pruned = cut(&checkpoint, &kept, constants, path).checkpoint;
            let codec = Codec::load(&pruned, &Device::flex()).expect("loads");
            for mode in [Mode::Float, Mode::Symbols, Mode::Pixels] {
                let options = EncodeOptions { mode, ..EncodeOptions::default() };
                let made = codec.reconstruct(&picture, &options).unwrap_or_else(|e| panic!("{name}: {e}"));
                let file = made.coded.to_iscs().expect("a file");
                let read =
                    Coded::read(&file, &Limits::default()).and_then(|read| read.strict()).expect("whole");
                let decoded =
                    codec.decode(&read).unwrap_or_else(|e| panic!("{name}, {constants:?}, {mode:?}: {e}"));
                assert_eq!(decoded, made.picture, "{name}, {constants:?}, {mode:?}: the picture");
            }
        }
    }
}

#[test]
fn computation_falls_with_the_channels() {
    let folder = tempfile::tempdir().expect("a folder");
    for name in PRUNED {
        let checkpoint = small(name);
        let sums: Vec<f64> = [1.0, 0.75, 0.5, 0.25]
            .into_iter()
            .map(|share| {
                let kept = core_channels(&random(1, 16), Core::Share(share));
                let path = folder.path().join(format!("{name}-{share}.safetensors"));
                let pruned = cut(&checkpoint, &kept, Constants::Carrier, path);
                let all = pruned.carrier.is_none() && share == 1.0;
                assert_eq!(
                    all,
                    pruned.checkpoint.fingerprint() == checkpoint.fingerprint(),
                    "{name}, {share}: itself"
                );
                pruned.after.iter().map(|cost| cost.multiply_adds).sum()
            })
            .collect();
        assert!(sums.windows(2).all(|pair| pair[1] < pair[0]), "{name}: {sums:?}");
    }
}

/// Mean squared distance of what two models show.
fn distance(a: &Checkpoint, b: &Checkpoint, picture: &Picture) -> f64 {
    let [a, b] = [a, b].map(|c| trace(c, picture).x_hat.values);
    a.iter().zip(&b).map(|(a, b)| f64::from(a - b).powi(2)).sum::<f64>() / a.len() as f64
}

#[test]
fn a_carrier_is_exact_where_a_bias_is_not() {
    let folder = tempfile::tempdir().expect("a folder");
    let checkpoint = Checkpoint::default_model().expect("the model");
    let (picture, _) = Picture::read(&data("in_256x128.png"), &ReadOptions::default()).expect("the picture");
    let kept = core_channels(&scores(&checkpoint, Preset::EntropyHead).expect("scores"), Core::default());
    let made = |constants: Constants| {
        let path = folder.path().join(format!("{constants:?}.safetensors"));
        cut(&checkpoint, &kept, constants, path)
    };
    let [carrier, bias, zero] = [Constants::Carrier, Constants::Bias, Constants::Zero].map(made);
    assert_eq!([&carrier, &bias, &zero].map(|p| p.checkpoint.m()), [17, 16, 16], "a channel more");
    assert!(bias.bias_error.is_some_and(|error| error > 0.01), "phases: {:?}", bias.bias_error);
    assert_eq!((carrier.bias_error, zero.bias_error), (None, None), "nothing in a bias");
    let whole = muted(&checkpoint, &kept, &carrier.constants);
    let [by_carrier, by_bias, by_zero] =
        [&carrier, &bias, &zero].map(|pruned| distance(&whole, &pruned.checkpoint, &picture));
    assert!(by_carrier < 1e-10, "a carrier is off by {by_carrier:e}");
    assert!(by_bias > 1e4 * by_carrier, "a bias is off by {by_bias:e}");
    assert!(by_zero > by_bias, "zeros are off by {by_zero:e}");
}

#[test]
fn the_core_shows_more_of_a_picture_than_other_channels() {
    let folder = tempfile::tempdir().expect("a folder");
    let checkpoint = Checkpoint::default_model().expect("the model");
    let (picture, _) = Picture::read(&data("in_256x128.png"), &ReadOptions::default()).expect("the picture");
    let quality = |label: &str, scores: &[f64], share: f64| {
        let path = folder.path().join(format!("{label}-{share}.safetensors"));
        let pruned = cut(&checkpoint, &core_channels(scores, Core::Share(share)), Constants::Carrier, path);
        let codec = Codec::load(&pruned.checkpoint, &Device::flex()).expect("loads");
        let shown = codec.reconstruct(&picture, &EncodeOptions::default()).expect("encodes").picture;
        psnr(&picture, &shown).expect("not exact")
    };
    let head = scores(&checkpoint, Preset::EntropyHead).expect("scores");
    let all = [1.0, 0.5, 0.25].map(|share| quality("head", &head, share));
    assert!(all[0] > all[1] && all[1] > all[2], "fewer channels show less: {all:?}");
    let chance = quality("random", &random(2, 64), 0.25);
    assert!(all[2] > chance + 3.0, "the core shows {:.2} dB, other channels {chance:.2}", all[2]);
}

#[test]
fn models_that_cannot_be_pruned_are_refused_with_the_reason() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("out.safetensors");
    for (name, reason) in [
        ("cheng2020-anchor", "its N and M are one"),
        ("cheng2020-attn", "its N and M are one"),
        ("cheng2020-anchor-checkerboard", "its N and M are one"),
        ("elic2022-official", "attention at the latents mixes all channels"),
        ("ms2020", "found ms2020, which cannot be pruned: slices are predicted from slices"),
    ] {
        let result = prune(&small(name), &[0], PruneConfig::default(), &path, Existing::Refuse);
        assert_refused(result, reason);
    }
    let checkpoint = small("mbt2018-mean");
    for (kept, words) in [
        (&[][..], "kept: expected at least one channel, found none"),
        (&[3, 16][..], "kept: expected channels below 16, found 16"),
        (&[3, 5, 3][..], "kept: expected each channel once, found 3 again"),
    ] {
        assert_refused(prune(&checkpoint, kept, PruneConfig::default(), &path, Existing::Refuse), words);
    }
    assert!(!path.exists(), "nothing is written");
}

#[test]
fn a_plan_says_what_is_kept_and_where() {
    let folder = tempfile::tempdir().expect("a folder");
    let place = folder.path();
    let checkpoint = Checkpoint::default_model().expect("the model");
    let made: Plan = plan(&checkpoint, &PlanConfig::new(Preset::EntropyHead)).expect("a plan").plan;
    made.write(&place.join("plan.json"), Existing::Refuse).expect("a file");
    let kept = |line: &str| {
        let (status, said) = run(place, line);
        assert_eq!(status, Some(0), "{line}: {said}");
        let object = said.lines().find(|line| line.starts_with('{')).expect("a JSON object");
        let value: Value = serde_json::from_str(object).expect("JSON");
        let kept: Vec<usize> = serde_json::from_value(value["kept"].clone()).expect("channels");
        (kept, value)
    };
    let (core, value) = kept("prune --plan plan.json -o core.safetensors --json");
    assert_eq!(core, made.order()[..16], "the core, in its order");
    assert_eq!(
        (&value["channels"], &value["loads_in_compressai"]),
        (&serde_json::json!([64, 17]), &Value::Bool(false))
    );
    let (half, _) = kept("prune --plan plan.json --keep 0.5 -o half.safetensors --json");
    assert_eq!(half, made.order()[..32], "half of the channels");
    let (mut own, mut sorted) = (kept("prune -o own.safetensors --json").0, core);
    assert!(own.is_sorted(), "without a plan channels keep their order");
    own.sort_unstable();
    sorted.sort_unstable();
    assert_eq!(own, sorted, "the same core");
    answers(place, "prune -o own.safetensors", 2, "exists already");
    answers(place, "prune -o own.safetensors --force", 0, "16 of 64 channels of mbt2018-mean, and one of");
    let note = "where CompressAI's class has others for M = 17: its `from_state_dict` does not load the file";
    answers(place, "prune -o own.safetensors --force", 0, note);
    answers(place, "prune -o b.safetensors --constants bias", 0, "a bias is the mean over phases");
    for keep in ["0", "1.5", "x", "NaN"] {
        answers(
            place,
            &format!("prune -o x.safetensors --keep {keep}"),
            2,
            "expected a share above 0 and at most 1",
        );
    }
    answers(place, "info own.safetensors", 0, "M = 17");
    let photo = data("in_256x128.png");
    std::fs::copy(photo, place.join("photo.png")).expect("a copy");
    answers(place, "encode photo.png -o photo.iscs --model own.safetensors", 0, "photo.iscs");
    answers(place, "decode photo.iscs -o decoded.png --model own.safetensors", 0, "256×128");
    answers(place, "decode photo.iscs -o other.png", 2, "`model`: expected");
}

#[test]
fn whether_compressais_class_loads_the_result_is_said() {
    let folder = tempfile::tempdir().expect("a folder");
    let loads = |name: &str, share: f64| {
        let path = folder.path().join(format!("{name}-{share}.safetensors"));
        let kept = core_channels(&random(4, 16), Core::Share(share));
        cut(&small(name), &kept, Constants::Carrier, path).loads_in_compressai
    };
    for name in PRUNED {
        let is_free = name.starts_with("bmshj2018");
        assert_eq!(loads(name, 0.25), is_free, "{name}: whether its M is free");
        assert!(loads(name, 1.0), "{name}: the whole model");
    }
}
