//! Integer networks: near the float networks, and the same integers in every form.

use std::collections::BTreeMap;

use burn::tensor::Device;
use iscs_lic::Result;
use iscs_lic::checkpoint::Checkpoint;
use iscs_lic::codec::{Codec, EncodeOptions, StringTrace};
use iscs_lic::container::Role;
use iscs_lic::fixed::{Ask, Form, Prior, Symbols, Synthesis, selftest};
use iscs_lic::picture::Picture;

use crate::recipe::{ARCHITECTURES, small};

const SIDES: [usize; 2] = [128, 64];

fn picture() -> Picture {
    let [width, height] = SIDES;
    let sample = |i: usize| {
        let (c, x, y) = (i % 3, i / 3 % width, i / 3 / width);
        let edge = if (x + 2 * y) % 61 > 30 { 90 } else { 0 };
        (40 + edge + (x * (c + 2) + 3 * y) % 90 + (37 * x + 59 * y + x * y) % 13) as u8
    };
    Picture::new(width, height, (0..width * height * 3).map(sample).collect()).expect("a picture")
}

/// Answers with the symbols that the float codec found, and records what was asked.
struct Replay {
    symbols: BTreeMap<Role, Vec<i32>>,
    n_taken: usize,
    asked: BTreeMap<Role, (Vec<u16>, Vec<i32>)>,
}

impl Replay {
    fn new(strings: &[StringTrace]) -> Self {
        let symbols = strings.iter().map(|string| (string.role, string.symbols.clone())).collect();
        Self { symbols, n_taken: 0, asked: BTreeMap::new() }
    }
}

impl Symbols for Replay {
    fn string(&mut self, ask: Ask<'_>) -> Result<(Vec<i32>, bool)> {
        self.asked.insert(ask.role, (ask.rows.to_vec(), ask.means.to_vec()));
        Ok((self.symbols[&ask.role].clone(), true))
    }

    fn begin(&mut self, role: Role) -> Result<bool> {
        self.n_taken = 0;
        self.asked.insert(role, (vec![], vec![]));
        Ok(true)
    }

    fn next(&mut self, _: [usize; 2], rows: &[u16], means: &[i32], symbols: &mut [i32]) -> Result<()> {
        symbols.copy_from_slice(&self.symbols[&Role::Slice(0)][self.n_taken..][..rows.len()]);
        self.n_taken += rows.len();
        let (all_rows, all_means) = self.asked.get_mut(&Role::Slice(0)).expect("it has begun");
        all_rows.extend_from_slice(rows);
        all_means.extend_from_slice(means);
        Ok(())
    }
}

/// Largest difference of a mean. Weights of 8 bits leave some thousandths of each layer, which context networks hand on from position to
/// position and from slice to slice; latents lie within ±12.
fn tolerance(architecture: &str) -> f32 {
    match architecture {
        "bmshj2018-factorized" | "bmshj2018-factorized-relu" | "bmshj2018-hyperprior" => 1.3e-4,
        "mbt2018-mean" => 0.01,
        "mbt2018" => 0.08,
        "cheng2020-anchor" | "cheng2020-anchor-checkerboard" => 0.05,
        _ => 0.25,
    }
}

#[test]
fn every_architecture_follows_its_float_networks() {
    for name in ARCHITECTURES {
        let checkpoint = small(name);
        let codec = Codec::load(&checkpoint, &Device::flex()).expect("loads");
        let trace = codec.trace(&picture(), &EncodeOptions::default()).expect("encodes");
        let prior = Prior::load(&checkpoint).expect("integers");
        let [width, height] = [trace.y.width, trace.y.height];
        let mut replay = Replay::new(&trace.strings);
        let latents = prior.walk(&mut replay, width, height).expect("walks");
        let (mut n, mut n_other_rows) = (0, 0);
        for string in &trace.strings {
            let (rows, means) = &replay.asked[&string.role];
            let off = means.iter().zip(&string.means).map(|(&a, b)| (a as f32 / 4096.0 - b).abs());
            let off = off.fold(0.0f32, f32::max);
            assert!(off <= tolerance(name), "{name}, {:?}: a mean is off by {off}", string.role);
            assert_eq!(rows.len(), string.rows.len(), "{name}, {:?}: rows", string.role);
            n += rows.len();
            n_other_rows += rows.iter().zip(&string.rows).filter(|(a, b)| a.abs_diff(**b) > 0).count();
        }
        assert!(n_other_rows * 4 < n, "{name}: {n_other_rows} of {n} rows are others");
        let off = latents.iter().zip(&trace.y_hat.values).map(|(&a, b)| (a as f32 / 4096.0 - b).abs());
        let off = off.fold(0.0f32, f32::max);
        assert!(off <= 2.0 * tolerance(name) + 1.3e-4, "{name}: ŷ is off by {off}");
    }
}

#[test]
fn pictures_are_within_a_step_of_the_float_networks() {
    // The pictures of the small models that add residuals reach far beyond 0…1: there, a step is small beside them.
    for name in
        ARCHITECTURES.into_iter().filter(|name| !name.starts_with("cheng") && !name.starts_with("elic"))
    {
        let checkpoint = small(name);
        let codec = Codec::load(&checkpoint, &Device::flex()).expect("loads");
        let trace = codec.trace(&picture(), &EncodeOptions::default()).expect("encodes");
        let [width, height] = [trace.y_hat.width, trace.y_hat.height];
        let latents: Vec<i32> =
            trace.y_hat.values.iter().map(|v| (v * 4096.0).round_ties_even() as i32).collect();
        let synthesis = Synthesis::load(&checkpoint).expect("integers");
        let found = synthesis.crop(&latents, width, height, 0..SIDES[0], 0..SIDES[1]).expect("a picture");
        let wanted = Picture::from_planes(SIDES[0], SIDES[1], &trace.x_hat.values).expect("a picture");
        let n_off = found.iter().zip(wanted.rgb()).filter(|(a, b)| a != b).count();
        assert!(found.iter().zip(wanted.rgb()).all(|(a, b)| a.abs_diff(*b) <= 1), "{name}: two steps off");
        assert!(n_off * 20 < found.len(), "{name}: {n_off} of {} samples are off", found.len());
    }
}

#[test]
fn forms_tiles_bands_and_threads_change_nothing() {
    for name in ARCHITECTURES {
        let checkpoint = small(name);
        let codec = Codec::load(&checkpoint, &Device::flex()).expect("loads");
        let trace = codec.trace(&picture(), &EncodeOptions::default()).expect("encodes");
        let [width, height] = [trace.y.width, trace.y.height];
        let run = |form: Form, band_rows: usize, n_threads: usize| {
            let prior = Prior::load(&checkpoint).expect("integers").with_form(form);
            let synthesis = Synthesis::load(&checkpoint).expect("integers");
            let synthesis = synthesis.with_form(form).with_band_rows(band_rows);
            let pool = rayon::ThreadPoolBuilder::new().num_threads(n_threads).build().expect("threads");
            pool.install(|| {
                let mut replay = Replay::new(&trace.strings);
                let latents = prior.walk(&mut replay, width, height).expect("walks");
                (synthesis.picture(&latents, width, height).expect("a picture"), latents, replay.asked)
            })
        };
        let first = run(Form::detect(), 1024, 1);
        for (i, form) in Form::supported().into_iter().enumerate() {
            let (band_rows, n_threads) = ([1, 7, 16, 40][i % 4], [1, 2, 4][i % 3]);
            assert!(
                run(form, band_rows, n_threads) == first,
                "{name}: {form:?}, {band_rows} rows, {n_threads} threads"
            );
        }
    }
}

#[test]
fn this_machine_computes_what_every_machine_does() {
    for check in selftest().expect("a check") {
        assert!(check.holds(), "{check:?}");
    }
}

#[test]
fn the_command_says_that_this_machine_decodes_as_others() {
    let run = |arguments: &[&str]| {
        let output = std::process::Command::new(env!("CARGO_BIN_EXE_iscs-lic")).args(arguments).output();
        let output = output.expect("the binary runs");
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).expect("text")
    };
    let report: serde_json::Value = serde_json::from_str(&run(&["selftest", "--json"])).expect("JSON");
    let pictures = report["pictures"].as_array().expect("pictures");
    assert_eq!((report["holds"].as_bool(), pictures.len()), (Some(true), 10), "{report}");
    for picture in pictures {
        assert_eq!(picture["symbols"]["expected"], picture["symbols"]["found"], "{picture}");
        assert_eq!(picture["picture"]["found"].as_str().map(str::len), Some(64), "{picture}");
    }
    let lines = run(&["selftest"]);
    assert_eq!(lines.lines().count(), 11, "ten pictures and a verdict: {lines}");
}

#[test]
fn other_numbers_of_latents_are_refused() {
    let synthesis = Synthesis::load(&Checkpoint::default_model().expect("the model")).expect("integers");
    grouping_core::testing::assert_refused(synthesis.picture(&[0; 63], 1, 1), "64, at least one");
    grouping_core::testing::assert_refused(synthesis.picture(&[], 0, 7), "0, at least one");
    let prior = Prior::load(&Checkpoint::default_model().expect("the model")).expect("integers");
    let mut none = Replay { symbols: BTreeMap::from([(Role::Hyper, vec![0])]), ..Replay::new(&[]) };
    grouping_core::testing::assert_refused(prior.walk(&mut none, 4, 6), "multiples of 4");
    grouping_core::testing::assert_refused(prior.walk(&mut none, 4, 4), "symbols of Hyper: expected 32");
    let beyond = synthesis.crop(&[0; 64], 1, 1, 0..17, 0..16);
    grouping_core::testing::assert_refused(beyond, "within 0..16");
}
