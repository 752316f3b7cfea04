//! Ablations: what channels cost is the reference's, and a run that ends early goes on where it was.

use std::ops::ControlFlow;
use std::path::{Path, PathBuf};

use burn::tensor::Device;
use grouping_core::testing::assert_refused;
use iscs_lic::channels::{
    Ablation, AblationSource, Core, PinkNoise, Preset, Profile, ablate, latent_variances, pink_noise, scores,
};
use iscs_lic::checkpoint::Checkpoint;
use iscs_lic::codec::Codec;
use iscs_lic::picture::Picture;

use crate::channels::{assert_near, golden_picture, goldens, numbers};
use crate::recipe::{ARCHITECTURES, small};

fn built_in() -> Codec {
    Codec::load(&Checkpoint::default_model().expect("the model"), &Device::flex()).expect("loads")
}

/// A small picture of gradients and edges.
fn picture(shift: usize) -> Picture {
    let sample = |i: usize| {
        let (x, y, c) = (i / 3 % 64 + shift, i / 192, i % 3);
        (2 * x + y + 30 * c + if (x + 2 * y) % 23 > 11 { 60 } else { 0 }) as u8
    };
    Picture::new(64, 64, (0..64 * 64 * 3).map(sample).collect()).expect("a picture")
}

/// Runs to the end.
fn whole(codec: &Codec, pictures: &[Picture], file: &Path) -> Ablation {
    let ablation = ablate(codec, pictures, file, |_, _| ControlFlow::Continue(())).expect("an ablation");
    ablation.expect("nothing ended it")
}

#[test]
fn what_a_channel_costs_is_the_references() {
    let folder = tempfile::tempdir().expect("a folder");
    let golden = &goldens()["built_in"]["ablation"];
    let found = whole(&built_in(), &[golden_picture()], &folder.path().join("kept.json"));
    let mse = golden["mse"].as_f64().expect("a number");
    // Networks in 32 bits, and errors that nearly cancel.
    assert!((found.mse - mse).abs() < 1e-4 * mse, "{}, not {mse}", found.mse);
    assert_near("ΔMSE", &found.delta_mse, &numbers(&golden["delta_mse"]), 1e-4);
    assert_near("bits", &found.bits, &numbers(&golden["bits"]), 1e-4);
}

#[test]
fn a_run_that_ended_goes_on_where_it_was() {
    let folder = tempfile::tempdir().expect("a folder");
    let place = |name: &str| folder.path().join(name);
    let codec = Codec::load(&small("mbt2018-mean"), &Device::flex()).expect("loads");
    let pictures = [picture(0), picture(5)];
    let wanted = whole(&codec, &pictures, &place("at-once.json"));
    let mut told = vec![];
    let mut run = |n_most: usize| {
        let mut n = 0;
        ablate(&codec, &pictures, &place("in-parts.json"), |n_done, n_all| {
            told.push((n_done, n_all));
            n += 1;
            if n > n_most { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
        })
        .expect("no error")
    };
    assert_eq!([run(0), run(3), run(5)], [None, None, None], "ended before the end");
    assert_eq!(run(usize::MAX), Some(wanted.clone()), "as in one run, to the last bit");
    assert_eq!(run(usize::MAX), Some(wanted), "kept");
    let done: Vec<usize> = told.iter().map(|(n_done, _)| *n_done).collect();
    let counted =
        [&[0][..], &[0, 1, 2, 3], &[3, 4, 5, 6, 7, 8], &[8, 9, 10, 11, 12, 13, 14, 15, 16], &[16]].concat();
    assert_eq!(done, counted, "no channel twice");
    assert!(told.iter().all(|(_, n_all)| *n_all == 16), "of sixteen");
    let names: Vec<_> = std::fs::read_dir(folder.path())
        .expect("a folder")
        .map(|e| e.expect("an entry").file_name())
        .collect();
    assert_eq!(names.len(), 2, "nothing is left but the files: {names:?}");
}

#[test]
fn a_file_of_another_ablation_is_refused_by_name() {
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("kept.json");
    let codec = Codec::load(&small("mbt2018-mean"), &Device::flex()).expect("loads");
    let pictures = [picture(0)];
    whole(&codec, &pictures, &file);
    let run = |codec: &Codec, pictures: &[Picture]| {
        ablate(codec, pictures, &file, |_, _| ControlFlow::Continue(()))
    };
    assert_refused(run(&built_in(), &pictures), "`model`: expected");
    assert_refused(run(&codec, &[picture(1)]), "`pictures`: expected");
    assert_refused(run(&codec, &[picture(0), picture(0)]), "`pictures`: expected 2 of them, found 1");
    assert_refused(run(&codec, &[]), "pictures: expected at least one, found none");
    let text = std::fs::read_to_string(&file).expect("the file");
    let refuse = |from: &str, to: &str, words: &str| {
        assert!(text.contains(from), "{from} is in {text}");
        std::fs::write(&file, text.replacen(from, to, 1)).expect("writes");
        assert_refused(run(&codec, &pictures), words);
    };
    refuse(
        "iscs-lic ablation 1",
        "iscs-lic ablation 2",
        "`format`: expected `iscs-lic ablation 1`, found `iscs-lic ablation 2`",
    );
    refuse("\"delta_mse\":[", "\"delta_mse\":[1.0,", "`delta_mse`: expected 16 values, found 17");
    refuse("\"bits\":[", "\"bits\":[1.0,", "`bits`: expected 16 values, found 17");
    refuse("\"bits\":", "\"bites\":", "`content`: expected an ablation, found unknown field `bites`");
    refuse("\"delta_mse\":[", "\"delta_mse\":[\"1\",", "`content`: expected an ablation, found invalid type");
    let mse = text.split("\"mse\":").nth(1).and_then(|rest| rest.split(',').next()).expect("a number");
    refuse(&format!("\"mse\":{mse}"), "\"mse\":null", "`bits`: expected 0 values, found 16");
    // Another machine's numbers do not go together with those of this one.
    let growth =
        text.split("\"delta_mse\":[").nth(1).and_then(|rest| rest.split(',').next()).expect("a number");
    let begun = text.replacen(growth, "null", 1);
    std::fs::write(&file, begun.replacen(&format!("\"mse\":{mse}"), "\"mse\":1.5", 1)).expect("writes");
    assert_refused(run(&codec, &pictures), "`mse`: expected");
    std::fs::write(&file, &text[..text.len() / 2]).expect("writes");
    assert_refused(run(&codec, &pictures), "`content`: expected an ablation");
    let kept = std::fs::read_to_string(&file).expect("the file");
    assert_eq!(kept, text[..text.len() / 2], "what is refused stays");
}

#[test]
fn a_name_for_the_file_follows_from_model_and_pictures() {
    let name =
        |checkpoint: &Checkpoint, pictures: &[Picture]| AblationSource::new(checkpoint, pictures).file_name();
    let [a, b] = ["mbt2018-mean", "mbt2018"].map(small);
    let first = name(&a, &[picture(0)]);
    assert!(first.starts_with("ablation-") && first.ends_with(".json") && first.len() == 30, "{first}");
    assert_eq!(first, name(&a, &[picture(0)]), "the same again");
    for other in [name(&b, &[picture(0)]), name(&a, &[picture(1)]), name(&a, &[picture(0), picture(1)])] {
        assert_ne!(first, other, "another model, or other pictures");
    }
}

#[test]
fn bits_of_channels_add_up_in_every_architecture() {
    use iscs_lic::codec::EncodeOptions;
    use iscs_lic::container::Role;
    use iscs_lic::measure::estimate::Estimate;

    let folder = tempfile::tempdir().expect("a folder");
    for name in ARCHITECTURES {
        let checkpoint = small(name);
        let codec = Codec::load(&checkpoint, &Device::flex()).expect("loads");
        let found = whole(&codec, &[picture(0)], &folder.path().join(name));
        let mut strings = codec.trace(&picture(0), &EncodeOptions::default()).expect("encodes").strings;
        strings.retain(|string| string.role != Role::Hyper);
        let wanted = Estimate::new(&checkpoint).expect("a prior").bits(&strings);
        let sum = found.bits.iter().sum::<f64>();
        assert!((sum - wanted).abs() < 1e-6 * wanted, "{name}: {sum} bits, not {wanted}");
        assert!(found.delta_mse.iter().all(|growth| growth.is_finite()), "{name}: {:?}", found.delta_mse);
    }
}

/// A folder of the data, where it is.
fn kodak(test: &str) -> Option<PathBuf> {
    let Some(folder) = std::env::var_os("GROUPING_DATA").map(PathBuf::from) else {
        let note = format!("skipped: {test} needs GROUPING_DATA\n");
        let _ = std::io::Write::write_all(&mut std::io::stderr(), note.as_bytes());
        return None;
    };
    let folder = folder.join("kodak");
    assert!(folder.is_dir(), "{} is missing", folder.display());
    Some(folder)
}

/// The middle 256 × 256 pixels of the first twelve pictures.
fn crops(folder: &Path) -> Vec<Picture> {
    let read = |i: usize| {
        let path = folder.join(format!("{i:02}.png"));
        let (picture, _) = Picture::read(&path, &Default::default()).expect("a picture");
        picture.middle(256, 256).expect("a larger picture")
    };
    (1..=12).map(read).collect()
}

/// By `oracles/iscs-lic/channels.py kodak`: Spearman's ρ with ΔMSE and with bits, and how many of the first sixteen.
const KODAK: [(&str, f64, f64, usize); 15] = [
    ("weight-variance", 0.622, 0.777, 9),
    ("bias-magnitude", 0.025, 0.044, 3),
    ("decoder-variance", -0.295, -0.145, 1),
    ("weight-times-decoder", 0.472, 0.632, 6),
    ("hyper-variance", 0.040, 0.212, 1),
    ("scale-variance", 0.965, 0.958, 15),
    ("scale-bias", 0.502, 0.437, 8),
    ("mean-variance", 0.717, 0.618, 12),
    ("literal", 0.532, 0.674, 6),
    ("entropy-head", 0.965, 0.958, 15),
    ("combined", 0.721, 0.841, 10),
    ("rank", 0.779, 0.858, 9),
    ("pink-noise", 0.913, 0.970, 12),
    ("energy", 0.993, 0.961, 16),
    ("bits", 0.941, 1.000, 14),
];

#[test]
fn scores_find_on_kodak_what_the_reference_finds() {
    let Some(folder) = kodak("scores_find_on_kodak_what_the_reference_finds") else { return };
    let kept = tempfile::tempdir().expect("a folder");
    let (codec, pictures) = (built_in(), crops(&folder));
    let ablation = whole(&codec, &pictures, &kept.path().join("kept.json"));
    let checkpoint = codec.checkpoint();
    let scored = scores(checkpoint, Preset::EntropyHead).expect("scores");
    let profile = Profile::new(checkpoint, scored, Core::default()).expect("a profile");
    let noise =
        latent_variances(&codec, &pink_noise(&PinkNoise::default()).expect("noise")).expect("variances");
    let energy = latent_variances(&codec, &pictures).expect("variances");
    let others = [("pink-noise", noise), ("energy", energy), ("bits", ablation.bits.clone())];
    let found = profile.agreements(checkpoint, &others, &ablation.delta_mse, &ablation.bits);
    assert_eq!(found.len(), KODAK.len(), "scores: {found:?}");
    for ((name, agreement), (wanted, distortion, bits, overlap)) in found.iter().zip(KODAK) {
        assert_eq!(*name, wanted, "a score");
        for (found, wanted) in [(agreement.distortion, distortion), (agreement.bits, bits)] {
            let found = found.expect("neither is constant");
            assert!((found - wanted).abs() <= 0.01, "{name}: ρ = {found}, not {wanted}");
        }
        // Two channels at the edge may cost the same but for rounding.
        assert!(agreement.overlap.abs_diff(overlap) <= 1, "{name}: {}, not {overlap}", agreement.overlap);
    }
}
