//! Allocations against the released code (`oracles/kd-gqa/allocations.py`), and what holds for any norms.

use grouping_core::testing::assert_refused;
use kd_gqa::allocation::{
    AllocationConfig, AllocationState, Fidelity, Lanes, Method, Mt19937, Phase, allocate, lane_sum,
    mean_key_norms, sample_key_norms, summed_key_norms,
};
use kd_gqa::{Error, Groups};
use proptest::prelude::*;
use serde::Deserialize;

const METHODS: [Method; 3] = [Method::Kdgqa, Method::DgqaDiff, Method::DgqaEma];

#[derive(Deserialize)]
struct Golden {
    avx2: Avx2,
    avx512: Avx512,
}

#[derive(Deserialize)]
struct Avx2 {
    cases: Vec<Case>,
    runs: Vec<Run>,
}

#[derive(Deserialize)]
struct Avx512 {
    cases: Vec<Case>,
}

#[derive(Deserialize)]
struct Case {
    heads: usize,
    seed: u64,
    norms: Vec<f32>,
    cache: Vec<f32>,
    kdgqa: String,
    #[serde(rename = "dgqa-diff")]
    diff: String,
    #[serde(rename = "dgqa-ema")]
    ema: String,
}

#[derive(Deserialize)]
struct Run {
    method: Method,
    heads: usize,
    window: usize,
    seed: u64,
    steps: Vec<Option<usize>>,
    norms: Vec<Vec<f32>>,
    after: Vec<(String, Vec<f32>)>,
}

fn golden() -> Golden {
    serde_json::from_str(include_str!("../data/allocations.json")).expect("the golden file parses")
}

/// A digit of base 36 a head.
fn sizes(digits: &str) -> Vec<usize> {
    digits.chars().map(|c| c.to_digit(36).expect("a digit") as usize).collect()
}

fn official(method: Method) -> AllocationConfig {
    AllocationConfig::new(method).with_fidelity(Fidelity::Official)
}

fn once(config: &AllocationConfig, heads: usize, norms: &[f32], cache: &[f32]) -> kd_gqa::Result<Groups> {
    allocate(config, heads, norms, cache, &mut Mt19937::new(config.seed))
}

/// How many allocations equal those of the code; the function alone takes more key/value heads than heads.
fn compare(cases: &[Case]) -> usize {
    let mut n_compared = 0;
    for (i, case) in cases.iter().enumerate().filter(|(_, case)| case.norms.len() <= case.heads) {
        for (method, expected) in METHODS.into_iter().zip([&case.kdgqa, &case.diff, &case.ema]) {
            for fidelity in [Fidelity::Official, Fidelity::Paper] {
                let config = official(method).with_fidelity(fidelity).with_seed(case.seed);
                let found = once(&config, case.heads, &case.norms, &case.cache).expect("an allocation");
                assert_eq!(found.sizes(), sizes(expected), "case {i}, {method}, {fidelity}");
            }
            n_compared += 1;
        }
    }
    n_compared
}

#[test]
fn official_equals_the_released_code() {
    let golden = golden();
    let n_compared = compare(&golden.avx2.cases);
    assert!(n_compared >= 3 * 1079, "only {n_compared} allocations of AVX2");
    // Torch has no kernel of its own for the sum on AVX-512.
    let n_compared = compare(&golden.avx512.cases);
    assert!(n_compared >= 3 * 138, "only {n_compared} allocations of AVX-512");
}

#[test]
fn the_order_of_the_sum_decides() {
    // Seven norms for six heads: more than an allocation takes, but the code's rounding shows the order of its sum.
    let golden = golden();
    let case = golden.avx2.cases.iter().find(|case| case.norms.len() > case.heads).expect("the case");
    let (least, greatest) = case.norms.iter().fold((f32::MAX, 0f32), |(l, g), n| (l.min(*n), g.max(*n)));
    let scaled: Vec<f32> = case.norms.iter().map(|n| (n - least) / (greatest - least)).collect();
    let repaired = |sum: f32| {
        let mut sizes: Vec<usize> =
            scaled.iter().map(|n| (n / sum * case.heads as f32).round_ties_even() as usize).collect();
        while sizes.iter().sum::<usize>() < case.heads {
            let least = (0..sizes.len()).min_by_key(|&i| sizes[i]).expect("some");
            sizes[least] += 1;
        }
        while sizes.iter().sum::<usize>() > case.heads {
            let greatest = (0..sizes.len()).rev().max_by_key(|&i| sizes[i]).expect("some");
            sizes[greatest] -= 1;
        }
        sizes
    };
    let expected = sizes(&case.kdgqa);
    assert_eq!(expected, [1, 1, 0, 1, 1, 0, 2], "the released code");
    assert_eq!(repaired(lane_sum(&scaled, Lanes::Eight)), expected, "eight lanes");
    assert_eq!(repaired(scaled.iter().sum()), [1, 0, 0, 1, 2, 0, 2], "from left to right");
    let other = |n: usize| (0..n).map(|i| 1.0 / (1.0 + i as f32)).collect::<Vec<_>>();
    let differ = (8..64).any(|n| lane_sum(&other(n), Lanes::Eight) != lane_sum(&other(n), Lanes::Sixteen));
    assert!(differ, "sixteen lanes have an order of their own");
    let values: Vec<f32> = (0..64).map(|i| 1.0 + (i as f32).sin() * 1e-6).collect();
    for n in 0..=64 {
        let exact: f64 = values[..n].iter().copied().map(f64::from).sum();
        for lanes in [Lanes::Eight, Lanes::Sixteen] {
            let found = f64::from(lane_sum(&values[..n], lanes));
            assert!((found - exact).abs() <= 1e-6 * exact, "{n} values: {found} instead of {exact}");
        }
    }
}

#[test]
fn norms_without_finite_shares_are_errors_and_robust_takes_them_for_equal() {
    let nothing = [0f32; 4];
    for (method, norms, cache, words) in [
        (Method::Kdgqa, [2.5, 2.5, 2.5, 2.5], nothing, "not all equal"),
        (Method::Kdgqa, [1.0, f32::INFINITY, 3.0, 4.0], nothing, "finite key norms"),
        (Method::DgqaDiff, [4.0, 5.0, 6.0, 7.0], [4.0, 5.0, 6.0, 7.0], "differ from the cached ones"),
        (Method::DgqaDiff, [f32::NAN, 5.0, 6.0, 7.0], nothing, "finite key norms"),
        (Method::DgqaEma, nothing, nothing, "not all 0"),
        (Method::DgqaEma, [1.0, f32::NAN, 1.0, 1.0], nothing, "finite key norms"),
    ] {
        for fidelity in [Fidelity::Official, Fidelity::Paper] {
            let found = once(&official(method).with_fidelity(fidelity), 10, &norms, &cache);
            assert!(matches!(found, Err(Error::Allocation { .. })), "{method} of {norms:?}: {found:?}");
            assert_refused(found, words);
        }
        let robust = once(&AllocationConfig::new(method), 10, &norms, &cache).expect("robust goes on");
        assert_eq!(robust, Groups::balanced(10, 4).expect("groups"), "{method} of {norms:?}");
    }
}

#[test]
fn the_released_state_goes_on_as_it_did() {
    for run in golden().avx2.runs {
        let config = official(run.method).with_window(run.window).with_seed(run.seed);
        let n_kv_heads = run.norms[0].len();
        let mut state = AllocationState::new(config, run.heads, &[n_kv_heads]).expect("a state");
        for (i, ((step, norms), (expected, cache))) in
            run.steps.iter().zip(&run.norms).zip(&run.after).enumerate()
        {
            let phase = step.map_or(Phase::Inference, |step| Phase::Training { step });
            // Saved and read between any two passes.
            let saved = serde_json::to_string(&state).expect("a state is written");
            state = serde_json::from_str(&saved).expect("and read");
            let what = format!("{} with window {}, pass {i}", run.method, run.window);
            let groups = state.observe(0, phase, norms).expect("an allocation");
            if i > 0 || step.is_some() {
                assert_eq!(groups.sizes(), sizes(expected), "{what}");
            }
            let saved = serde_json::to_value(&state).expect("a state is written");
            let found: Vec<f32> = serde_json::from_value(saved["layers"][0]["memory"]["cache"].clone())
                .unwrap_or_else(|e| panic!("{what}: no cache in {saved}: {e}"));
            assert_eq!(&found, cache, "{what}: the cache");
        }
    }
}

#[test]
fn draws_equal_numpys() {
    // numpy.random.RandomState(42).randint(0, 2**32, 3, dtype=numpy.uint32), and after 624 more.
    let mut draws = Mt19937::new(42);
    let first = [(); 3].map(|()| draws.next_u32());
    assert_eq!(first, [1608637542, 3421126067, 4083286876], "the first three");
    let saved = serde_json::to_string(&draws).expect("written");
    let mut again: Mt19937 = serde_json::from_str(&saved).expect("read");
    let rest = |draws: &mut Mt19937| (0..1300).map(|_| draws.next_u32()).collect::<Vec<_>>();
    assert_eq!(rest(&mut again), rest(&mut draws), "a saved state goes on");
    let short = r#"{"words":[1,2],"next":0}"#;
    assert_refused(serde_json::from_str::<Mt19937>(short), "words of MT19937: expected 624, found 2");
    let far = saved.replace(r#""next":3"#, r#""next":625"#);
    assert_refused(
        serde_json::from_str::<Mt19937>(&far),
        "position of MT19937: expected at most 624, found 625",
    );
}

#[test]
fn paper_follows_training_only() {
    let paper = |method| official(method).with_fidelity(Fidelity::Paper).with_window(2);
    let train = |step| Phase::Training { step };
    let mut diff = AllocationState::new(paper(Method::DgqaDiff), 6, &[3]).expect("a state");
    let pass = |state: &mut AllocationState, phase, norms: &[f32]| {
        state.observe(0, phase, norms).expect("an allocation").sizes().to_vec()
    };
    assert_eq!(pass(&mut diff, train(0), &[1., 2., 3.]), [2, 2, 2], "nothing to compare with");
    assert_eq!(pass(&mut diff, train(1), &[9., 2., 3.]), [2, 2, 2], "within the window");
    assert_eq!(pass(&mut diff, train(2), &[5., 3., 4.]), [4, 1, 1], "|5 − 1|, |3 − 2|, |4 − 3|");
    assert_eq!(pass(&mut diff, Phase::Inference, &[0., 9., 0.]), [4, 1, 1], "inference changes nothing");
    let error = diff.observe(0, train(4), &[5., 3., 4.]).expect_err("the same norms twice");
    assert!(error.to_string().contains("differ from the cached ones"), "{error}");
    let mut ema = AllocationState::new(paper(Method::DgqaEma), 10, &[2]).expect("a state");
    assert_eq!(pass(&mut ema, train(0), &[8., 2.]), [8, 2], "e = 0.9·m");
    // e = 0.9·(1, 9) + 0.1·(7.2, 1.8) = (1.62, 8.28), shares 1.64 and 8.36.
    assert_eq!(pass(&mut ema, train(2), &[1., 9.]), [2, 8], "a true average");
}

#[test]
fn robust_is_frozen_at_inference_and_survives_nan() {
    let heads = 8;
    for method in METHODS {
        let config = AllocationConfig::new(method).with_window(2).with_temperature(3.0);
        let mut state = AllocationState::new(config, heads, &[2, 4]).expect("a state");
        for step in 0..6 {
            let norms = [1.0 + step as f32, 2.0, 9.0 - step as f32, 4.0];
            state.observe(1, Phase::Training { step }, &norms).expect("an allocation");
            if step == 2 {
                let nan = [f32::NAN, 1.0, f32::INFINITY, 1.0];
                state.observe(1, Phase::Training { step }, &nan).expect("left out");
            }
        }
        let before = state.clone();
        assert_ne!(before.groups(1).sizes(), [2; 4], "{method}: the norms count");
        assert_eq!(before.groups(0).sizes(), [4, 4], "{method}: the other layer saw nothing");
        assert!(!state.needs_norms(Phase::Inference), "{method}: no norms are needed");
        state.observe(1, Phase::Inference, &[]).expect("nothing to do");
        assert_eq!(state, before, "{method}: inference changes nothing");
        let saved = serde_json::to_string(&state).expect("written");
        assert_eq!(serde_json::from_str::<AllocationState>(&saved).expect("read"), state, "{method}: saved");
    }
}

#[test]
fn a_saved_change_is_of_its_window_and_its_heads() {
    let config = AllocationConfig::new(Method::DgqaDiff).with_window(2);
    let mut state = AllocationState::new(config, 6, &[3]).expect("a state");
    state.observe(0, Phase::Training { step: 0 }, &[1.0, 2.0, 3.0]).expect("norms");
    let saved = serde_json::to_value(&state).expect("written");
    let read = |value: serde_json::Value| serde_json::from_value::<AllocationState>(value);
    assert_eq!(read(saved.clone()).expect("read"), state);
    for (from, to) in [("[1.0,2.0,3.0]", "[1.0,2.0]"), (r#""window":2"#, r#""window":3"#)] {
        let text = saved["layers"].to_string();
        assert!(text.contains(from), "{from} is in {text}");
        let mut changed = saved.clone();
        changed["layers"] = serde_json::from_str(&text.replace(from, to)).expect("JSON");
        assert_refused(read(changed), "memory: expected");
    }
    let config = AllocationConfig::new(Method::DgqaDiff).with_fidelity(Fidelity::Paper);
    let mut state = AllocationState::new(config, 6, &[3]).expect("a state");
    let before = state.clone();
    assert_refused(
        state.observe(0, Phase::Training { step: 0 }, &[1.0, f32::INFINITY, 3.0]),
        "dgqa-diff: expected",
    );
    assert_eq!(state, before, "nothing is kept of it");
}

#[test]
fn a_saved_state_is_not_trusted() {
    let state = AllocationState::new(official(Method::DgqaEma), 6, &[3]).expect("a state");
    let saved = serde_json::to_string(&state).expect("written");
    for (from, to, words) in [
        ("[2,2,2]", "[2,2,3]", "expected sizes that sum to 6 heads, found 7"),
        ("[2,2,2]", "[]", "0 key/value heads do not divide 6 heads"),
        (r#""n_heads":6"#, r#""n_heads":0"#, "do not divide 0 heads"),
        ("[0.0,0.0,0.0]", "[0.0,0.0]", "memory: expected"),
        ("[0.0,0.0,0.0]", "[0.0,-1.0,0.0]", "memory: expected"),
        ("[0.0,0.0,0.0]", "[0.0,1e39,0.0]", "number out of range"),
        (r#""window":300"#, r#""window":0"#, "window: expected"),
        (r#""method":"dgqa-ema""#, r#""method":"kdgqa""#, "memory: expected"),
        (r#""fidelity":"official""#, r#""fidelity":"robust""#, "memory: expected"),
        (r#""next":624"#, r#""next":99999"#, "position of MT19937: expected at most 624"),
    ] {
        assert!(saved.contains(from), "{from} is in {}", &saved[..200]);
        let bad = saved.replace(from, to);
        assert_refused(serde_json::from_str::<AllocationState>(&bad), words);
    }
}

/// Heads, norms and a cache: with ties and zeros, and not.
fn inputs() -> impl Strategy<Value = (usize, Vec<f32>, Vec<f32>)> {
    let value = || prop_oneof![3 => 0f32..50.0, 1 => (0u8..5).prop_map(f32::from), 1 => Just(0f32)];
    (1usize..=64).prop_flat_map(move |heads| {
        (1..=heads).prop_flat_map(move |groups| {
            let values = || prop::collection::vec(value(), groups);
            (Just(heads), values(), values())
        })
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 256, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn sizes_sum_to_the_heads((heads, norms, cache) in inputs(), seed in any::<u64>(), power in -20i32..20) {
        for method in METHODS {
            for fidelity in [Fidelity::Official, Fidelity::Paper, Fidelity::Robust] {
                let config = AllocationConfig::new(method).with_fidelity(fidelity).with_seed(seed);
                let scale = 2f32.powi(power);
                let scaled = |values: &[f32]| values.iter().map(|v| v * scale).collect::<Vec<_>>();
                let again = once(&config, heads, &scaled(&norms), &scaled(&cache));
                match once(&config, heads, &norms, &cache) {
                    Ok(groups) => {
                        prop_assert_eq!(groups.n_heads(), heads, "{} {}", method, fidelity);
                        prop_assert_eq!(again.ok(), Some(groups), "{} {}: of scaled norms", method, fidelity);
                    }
                    Err(error) => {
                        prop_assert!(fidelity != Fidelity::Robust, "{} robust: {}", method, error);
                        prop_assert!(matches!(error, Error::Allocation { .. }), "{} {}: {}", method, fidelity, error);
                        assert_refused(again, &format!("{method}: expected finite"));
                    }
                }
            }
        }
    }

    #[test]
    fn robust_leaves_no_head_without_a_query((heads, norms, cache) in inputs(), temperature in 0f64..8.0) {
        for method in METHODS {
            let config = AllocationConfig::new(method).with_temperature(temperature);
            let groups = once(&config, heads, &norms, &cache).expect("an allocation");
            prop_assert!(groups.sizes().iter().all(|&size| size >= 1), "{}: {:?}", method, groups);
            let equal = once(&config, heads, &vec![norms[0]; norms.len()], &vec![0.0; norms.len()]);
            prop_assert_eq!(equal.ok(), Groups::balanced(heads, norms.len()).ok(), "{}: of equal norms", method);
        }
    }

    #[test]
    fn robust_follows_a_permutation(
        norms in prop::collection::btree_set(1u32..1_000_000, 1..20).prop_map(|set| set.into_iter().collect::<Vec<_>>()),
        keys in prop::collection::vec(any::<u32>(), 20),
        more in 0usize..40,
    ) {
        // No two of 19 different norms have remainders that are equal but for rounding, unless their quotas differ by whole seats.
        let heads = (norms.len() + more).min(64);
        let mut order: Vec<usize> = (0..norms.len()).collect();
        order.sort_by_key(|&i| (keys[i], i));
        let values: Vec<f32> = norms.iter().map(|&n| n as f32).collect();
        let moved: Vec<f32> = order.iter().map(|&i| values[i]).collect();
        let config = AllocationConfig::new(Method::Kdgqa);
        let none = vec![0.0; values.len()];
        let (whole, parts) = (once(&config, heads, &values, &none), once(&config, heads, &moved, &none));
        let (whole, parts) = (whole.expect("an allocation"), parts.expect("an allocation"));
        let sum: u64 = norms.iter().map(|&n| u64::from(n)).sum();
        let remainders: Vec<u64> = norms.iter().map(|&n| u64::from(n) * (heads - norms.len()) as u64 % sum).collect();
        let mut distinct = remainders.clone();
        distinct.sort_unstable();
        distinct.dedup();
        if distinct.len() == remainders.len() {
            let expected: Vec<usize> = order.iter().map(|&i| whole.sizes()[i]).collect();
            prop_assert_eq!(parts.sizes(), &expected[..], "heads in another order");
        }
        let larger = |a: usize, b: usize| values[a] > values[b] && whole.sizes()[a] < whole.sizes()[b];
        prop_assert!((0..values.len()).all(|a| (0..values.len()).all(|b| !larger(a, b))), "a larger norm gets no less");
    }

    #[test]
    fn any_bits_end((heads, _, _) in inputs(), bits in prop::collection::vec(any::<u32>(), 1..64), zeros in any::<bool>()) {
        let norms: Vec<f32> = bits.iter().take(heads).map(|&b| f32::from_bits(b & 0x7FFF_FFFF)).collect();
        let cache = if zeros { vec![0.0; norms.len()] } else { norms.clone() };
        for method in METHODS {
            for fidelity in [Fidelity::Official, Fidelity::Paper, Fidelity::Robust] {
                let config = AllocationConfig::new(method).with_fidelity(fidelity);
                let found = once(&config, heads, &norms, &cache);
                prop_assert!(found.is_ok() || fidelity != Fidelity::Robust, "{} {}: {:?}", method, fidelity, found);
            }
        }
    }
}

#[test]
fn norms_of_keys() {
    let shape = [3, 2, 4, 5];
    let keys: Vec<f32> = (0..120).map(|i| (i as f32 * 0.7).sin()).collect();
    let samples = sample_key_norms(&keys, shape).expect("norms");
    let exact =
        |i: usize| keys[i * 20..(i + 1) * 20].iter().map(|k| f64::from(*k).powi(2)).sum::<f64>().sqrt();
    for (i, found) in samples.iter().enumerate() {
        assert!((found - exact(i)).abs() < 1e-12, "norm {i}: {found}");
    }
    let summed = summed_key_norms(&keys, shape).expect("norms");
    let expected = samples[0] as f32 + samples[2] as f32 + samples[4] as f32;
    assert_eq!(summed[0], expected, "in f32, in the order of the batch");
    let alone = sample_key_norms(&keys[40..80], [1, 2, 4, 5]).expect("norms");
    assert_eq!(alone, samples[2..4], "a sample's norms do not know its batch");
    let mean = mean_key_norms(&keys, shape).expect("norms");
    assert!((f64::from(mean[1]) - (samples[1] + samples[3] + samples[5]) / 3.0).abs() < 1e-6, "the mean");
    let twice = [&keys[..], &keys].concat();
    assert_eq!(
        mean_key_norms(&twice, [6, 2, 4, 5]).expect("norms"),
        mean,
        "the mean does not grow with the batch"
    );
    assert!(mean_key_norms(&[], [0, 2, 4, 5]).expect("norms").iter().all(|n| n.is_nan()), "of nothing");
    assert_refused(summed_key_norms(&keys, [3, 2, 4, 6]), "expected shape");
}

#[test]
fn batch_mates_matter_only_in_official() {
    // Two samples, two heads, one token: the first sample's groups with either of two mates.
    let passes = [[[1f32, 3.], [2., 2.]], [[1., 3.], [9., 1.]]];
    for method in METHODS {
        for fidelity in [Fidelity::Official, Fidelity::Robust] {
            let groups = passes.map(|keys| {
                let config = AllocationConfig::new(method).with_fidelity(fidelity);
                let mut state = AllocationState::new(config, 8, &[2]).expect("a state");
                let flat: Vec<f32> = keys.concat();
                let of = |keys: &[f32]| match fidelity {
                    Fidelity::Robust => mean_key_norms(keys, [2, 2, 1, 1]).expect("norms"),
                    _ => summed_key_norms(keys, [2, 2, 1, 1]).expect("norms"),
                };
                state.observe(0, Phase::Inference, &of(&flat)).expect("an allocation").clone()
            });
            let same = groups[0] == groups[1];
            assert_eq!(same, fidelity == Fidelity::Robust, "{method}, {fidelity}: {groups:?}");
        }
    }
    let mut diff = AllocationState::new(official(Method::DgqaDiff), 8, &[2]).expect("a state");
    diff.observe(0, Phase::Inference, &[1., 3.]).expect("against zeros");
    let error = diff.observe(0, Phase::Inference, &[1., 3.]).expect_err("the same batch twice");
    assert!(matches!(error, Error::Allocation { method: "dgqa-diff", .. }), "{error}");
}
