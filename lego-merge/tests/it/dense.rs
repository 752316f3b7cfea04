//! Methods on dense updates, and DARE with given masks: goldens (`oracles/lego-merge/dense.py`), identities, determinism.

use std::collections::BTreeMap;

use grouping_core::matrix::Matrix;
use lego_merge::adapter::{Adapter, AdapterConfig};
use lego_merge::merge::{
    DenseSvd, Density, MajoritySign, MergeConfig, MergeMethod, MethodName, MethodSpec, Svd, TiesDelta, merge,
};
use proptest::prelude::*;
use serde::Deserialize;

use crate::adapters::{Dense, committed, data, random, relative, updates, worst};
use crate::command::{run, text};
use crate::golden::updates_in;

#[derive(Deserialize)]
struct Expectation {
    case: String,
    n_adapters: usize,
    method: String,
    weights: Vec<f64>,
    rank: Option<usize>,
    source: String,
    density: f64,
    majority: String,
}

impl Expectation {
    fn spec(&self) -> MethodSpec {
        let text = |text: &str| serde_json::json!(text.replace('_', "-"));
        let method: MethodName = serde_json::from_value(text(&self.method)).expect("a method");
        let mut spec = MethodSpec::new(method);
        spec.weights = Some(self.weights.clone());
        spec.rank = self.rank.map(Into::into);
        spec.density = Some(self.density);
        if self.method.contains("ties") {
            spec.majority_sign = Some(serde_json::from_value(text(&self.majority)).expect("a rule"));
        }
        if self.method.starts_with("dare") {
            spec.masks = Some(data().join("masks").join(format!("{}.safetensors", self.case)));
        }
        spec
    }
}

#[test]
fn dense_methods_and_masks_equal_peft_where_it_is_right_and_the_formula_elsewhere() {
    let text = std::fs::read_to_string(data().join("dense.json")).expect("the list of expectations");
    let list: Vec<Expectation> = serde_json::from_str(&text).expect("a list of expectations");
    let expected = updates_in("dense.safetensors", list.len());
    let mut n_from_peft = 0;
    for (expectation, expected) in list.iter().zip(expected) {
        let adapters: Vec<_> = (0..expectation.n_adapters)
            .map(|i| Adapter::read(committed(&expectation.case, i)).expect("a committed adapter"))
            .collect();
        let config = expectation.spec().config().expect("a valid specification");
        let (merged, report) = merge(&adapters, &config, |_| ()).expect("a merge");
        let worst = worst(&updates(&merged), &expected);
        let Expectation { case, method, source, .. } = expectation;
        assert!(worst <= 1e-5, "{case}, {method}, against {source}: {worst:.2e} relative");
        let truncates = expectation.rank.is_some();
        assert!(
            report.modules.iter().all(|m| m.residual.is_some() == truncates),
            "{method}: what truncation loses is reported"
        );
        n_from_peft += usize::from(source == "peft");
    }
    assert!(n_from_peft >= 20, "only {n_from_peft} expectations come from PEFT itself");
}

const MODULES: [&str; 2] = ["layers.0.q", "layers.1.q"];
const SHAPE: [usize; 2] = [9, 7];

fn density(share: f64) -> Density {
    Density::new(share).expect("a share above zero")
}

fn merged(adapters: &[Adapter], config: MergeConfig) -> BTreeMap<String, Dense> {
    updates(&merge(adapters, &config, |_| ()).expect("a merge").0)
}

fn of(method: impl MergeMethod + 'static, weights: &[f64]) -> MergeConfig {
    MergeConfig::new(method).with_weights(weights)
}

/// The largest values of each update and zeros, by sorting; of equal ones the first.
fn trimmed(values: &[f64], n_kept: usize) -> Dense {
    let mut order: Vec<usize> = (0..values.len()).collect();
    order.sort_by(|&i, &j| values[j].abs().total_cmp(&values[i].abs()).then(i.cmp(&j)));
    let mut out = vec![0.0; values.len()];
    order[..n_kept].iter().for_each(|&i| out[i] = values[i]);
    out
}

/// The mean of those weighted values whose sign is that of all unweighted values' sum.
fn disjoint_mean(values: &[&Dense], weights: &[f64]) -> Dense {
    (0..values[0].len())
        .map(|p| {
            let positive = values.iter().map(|v| v[p]).sum::<f64>() >= 0.0;
            let agree = |v: &f64| if positive { *v > 0.0 } else { *v < 0.0 };
            let kept: Vec<f64> =
                values.iter().zip(weights).filter(|(v, _)| agree(&v[p])).map(|(v, w)| w * v[p]).collect();
            kept.iter().sum::<f64>() / kept.len().max(1) as f64
        })
        .collect()
}

/// Two or three adapters whose units are enough for any update, and a weight for each.
fn sources() -> impl Strategy<Value = (Vec<Adapter>, Vec<f64>)> {
    prop::collection::vec((any::<u64>(), 4usize..6, 0.5..8.0f64, -2.0..2.0f64), 2..4).prop_map(|all| {
        let adapter =
            |&(seed, rank, alpha, _): &(u64, usize, f64, f64)| random(seed, rank, alpha, &MODULES, SHAPE);
        (all.iter().map(adapter).collect(), all.iter().map(|&(.., weight)| weight).collect())
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn ties_svd_of_all_values_at_full_rank_is_the_disjoint_mean((adapters, weights) in sources()) {
        let found = merged(&adapters, of(DenseSvd::ties(density(1.0), MajoritySign::Total), &weights).with_rank(7));
        let own: Vec<_> = adapters.iter().map(updates).collect();
        for (name, found) in &found {
            let expected = disjoint_mean(&own.iter().map(|u| &u[name]).collect::<Vec<_>>(), &weights);
            let error = relative(found, &expected);
            prop_assert!(error < 1e-5, "{name}: relative difference {error:.2e}");
        }
    }

    #[test]
    fn adding_all_values_is_svd((adapters, weights) in sources(), rank in 1usize..8) {
        // What is left out, for the approximation itself is not one where the spectrum has no gap.
        let left_out = |config: MergeConfig| {
            let report = merge(&adapters, &config.with_rank(rank), |_| ()).expect("a merge").1;
            report.modules.iter().map(|m| (m.distance, m.sum_norm)).collect::<Vec<_>>()
        };
        let expected = left_out(of(Svd, &weights));
        let all = [
            DenseSvd::dare_delta(density(1.0)),
            DenseSvd::dare_linear(density(2.0)),
            DenseSvd::magnitude_prune(density(1.0)),
        ];
        for method in all {
            for ((found, norm), (expected, _)) in left_out(of(method, &weights)).into_iter().zip(&expected) {
                prop_assert!((found - expected).abs() <= 1e-5 * norm, "{found} of {norm} left out, not {expected}");
            }
        }
    }

    #[test]
    fn the_largest_values_of_an_update_are_kept_and_of_equal_ones_the_first(
        values in prop::collection::vec(-2i8..3, (SHAPE[0] + SHAPE[1]) * 2), share in 0.02..1.0f64,
    ) {
        // Small whole numbers: products with many equal magnitudes.
        let at = |i: usize| f32::from(values[i]);
        let a = Matrix::from_fn(2, SHAPE[1], |i, j| at(i * SHAPE[1] + j));
        let b = Matrix::from_fn(SHAPE[0], 2, |i, j| at(2 * SHAPE[1] + i * 2 + j));
        let pad = |m: &Matrix, rows, cols| Matrix::from_fn(rows, cols, |i, j| {
            if i < m.n_rows() && j < m.n_cols() { m.view().row(i)[j] } else { 0.0 }
        });
        // Units of zeros, so that a full rank may be asked for.
        let factors = [("q".to_string(), pad(&a, 7, SHAPE[1]), pad(&b, SHAPE[0], 7))];
        let adapter = Adapter::from_factors("whole numbers", AdapterConfig::new(7), factors).expect("valid");
        let n_kept = (share * 63.0) as usize;
        let expected = trimmed(&updates(&adapter)["q"], n_kept);
        let found = merged(&[adapter], MergeConfig::new(DenseSvd::magnitude_prune(density(share))).with_rank(7));
        let error = relative(&found["q"], &expected);
        prop_assert!(error < 1e-5, "{n_kept} kept: relative difference {error:.2e}");
    }

    #[test]
    fn ties_delta_trims_an_adapter_as_a_whole((adapters, weights) in sources(), share in 0.05..0.95f64) {
        let method = || TiesDelta::new(density(share));
        let own: Vec<BTreeMap<String, Dense>> = adapters.iter().zip(&weights).map(|(adapter, weight)| {
            let own = updates(adapter);
            let all: Dense = own.values().flatten().copied().collect();
            let kept = trimmed(&all, (share * all.len() as f64) as usize);
            let weighted: Dense = kept.iter().map(|v| weight * v).collect();
            own.keys().cloned().zip(weighted.chunks(63).map(Dense::from)).collect()
        }).collect();
        let found = merged(&adapters, of(method(), &weights).with_rank(7));
        for (name, found) in &found {
            let values: Vec<&Dense> = own.iter().map(|u| &u[name]).collect();
            let expected = disjoint_mean(&values, &vec![1.0; values.len()]);
            let error = relative(found, &expected);
            prop_assert!(error < 1e-4, "{name}: relative difference {error:.2e}");
        }
    }

    #[test]
    fn the_same_seed_gives_the_same_values_with_any_number_of_threads((adapters, weights) in sources(), seed: u64) {
        let with = |threads: usize, seed: u64| {
            let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().expect("threads");
            let half = density(0.5);
            let configs = [
                of(DenseSvd::dare_ties(half, MajoritySign::Total), &weights),
                of(DenseSvd::ties(half, MajoritySign::Frequency), &weights),
                of(TiesDelta::new(half), &weights),
            ];
            pool.install(|| configs.map(|config| merged(&adapters, config.with_seed(seed).with_rank(3))))
        };
        prop_assert_eq!(with(1, seed), with(3, seed));
    }
}

#[test]
fn values_are_dropped_by_seed_and_density_and_rescaled() {
    let adapter = random(6, 2, 2.0, &MODULES, [90, 70]);
    let with = |seed| {
        let config = MergeConfig::new(DenseSvd::dare_linear(density(0.25))).with_seed(seed).with_rank(2);
        merge(std::slice::from_ref(&adapter), &config, |_| ()).expect("a merge")
    };
    let ((first, report), (other, _)) = (with(0), with(1));
    assert_ne!(updates(&first), updates(&other), "the seed matters");
    // E‖T‖² = ‖ΔW‖²/density for values kept with the probability `density` and divided by it: here 4, within 10 %.
    for (name, own) in updates(&adapter) {
        let module = report.modules.iter().find(|m| m.module == name).expect("a report");
        let square = |values: &[f64]| values.iter().map(|v| v * v).sum::<f64>();
        let kept = square(&updates(&first)[&name]);
        let residual = module.residual.expect("a residual");
        let ratio = kept / (1.0 - residual * residual) / square(&own);
        assert!((ratio / 4.0 - 1.0).abs() < 0.1, "{name}: ‖T‖² is {ratio} of ‖ΔW‖²");
    }
}

#[test]
fn modules_of_many_tiles_are_merged_as_dense_matrices() {
    let shape = [603, 1030];
    let adapters = [1, 2, 3].map(|seed| random(seed, 3, 6.0, &["q"], shape));
    let weights = [1.0, -0.5, 0.7];
    let config = of(DenseSvd::ties(density(0.2), MajoritySign::Total), &weights).with_rank(4);
    let (found, report) = merge(&adapters, &config, |_| ()).expect("a merge");
    let n = shape[0] * shape[1];
    let own: Vec<Dense> = adapters.iter().map(|a| trimmed(&updates(a)["q"], n / 5)).collect();
    let target = disjoint_mean(&own.iter().collect::<Vec<_>>(), &weights);
    let residual = relative(&updates(&found)["q"], &target);
    let reported = report.modules[0].residual.expect("a residual");
    // Both are distances to the target, one by the factors written and one by its own count.
    assert!((residual / reported - 1.0).abs() < 1e-4, "residual {residual} against {reported} as reported");
    // No approximation of rank 4 is closer than the singular values say; a random one is far.
    assert!(residual < 0.95, "something was approximated: {residual}");
}

#[test]
fn memory_holds_no_update_as_a_whole() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = |name: &str| folder.path().join(name).display().to_string();
    let names = ["a", "b", "c", "d"].map(path);
    for (seed, name) in names.iter().enumerate() {
        random(seed as u64, 4, 4.0, &["q"], [2000, 2000]).write(name, false).expect("writes");
    }
    let mut args = vec!["merge".to_string()];
    args.extend(names);
    args.extend(["-o".into(), path("out")]);
    args.extend(["--method", "ties-svd", "--density", "0.2", "--rank", "4", "--json"].map(String::from));
    let output = run(args);
    assert!(output.status.success(), "{}", text(&output.stderr));
    let report: serde_json::Value = serde_json::from_slice(&output.stdout).expect("one JSON object");
    // Known on Linux only.
    if let Some(peak) = report["peak_memory_bytes"].as_u64() {
        assert!(peak < 64_000_000, "four updates and their merge are 80 MB; {peak} bytes were used");
    }
}
