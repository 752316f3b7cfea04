//! Merging in subspaces: against dense matrices in float64 (`oracles/lego-merge/subspace.py`), and what must hold for any
//! adapters.

use std::collections::BTreeMap;

use grouping_core::matrix::Matrix;
use lego_merge::adapter::{Adapter, AdapterConfig};
use lego_merge::merge::{
    CoreSpace, Density, Entrywise, Knots, MergeConfig, MergeMethod, MethodSpec, RankRule, Svd, Tsv, merge,
};
use proptest::prelude::*;
use safetensors::SafeTensors;
use serde::Deserialize;

use crate::adapters::{Dense, committed, data, random, relative, updates, weighted_sum, worst};

const MODULES: [&str; 2] = ["layers.0.q", "layers.1.q"];
const SHAPE: [usize; 2] = [11, 9];

#[derive(Deserialize)]
struct Expectation {
    case: String,
    n_adapters: usize,
    spec: MethodSpec,
}

#[test]
fn factored_merges_equal_dense_ones() {
    let text = std::fs::read_to_string(data().join("subspace.json")).expect("the list of expectations");
    let list: Vec<Expectation> = serde_json::from_str(&text).expect("a list of expectations");
    let bytes = std::fs::read(data().join("subspace.safetensors")).expect("the expected updates");
    let tensors = SafeTensors::deserialize(&bytes).expect("a safetensors file");
    let mut expected: Vec<BTreeMap<String, Dense>> = list.iter().map(|_| BTreeMap::new()).collect();
    for (name, view) in tensors.iter() {
        let (index, module) = name.split_once('/').expect("index/module");
        let floats = view.data().as_chunks::<4>().0.iter().map(|&b| f64::from(f32::from_le_bytes(b)));
        expected[index.parse::<usize>().expect("an index")].insert(module.into(), floats.collect());
    }
    assert!(list.len() >= 50, "only {} expectations", list.len());
    for (Expectation { case, n_adapters, spec }, expected) in list.iter().zip(&expected) {
        let adapters: Vec<_> = (0..*n_adapters)
            .map(|i| Adapter::read(committed(case, i)).expect("a committed adapter"))
            .collect();
        let config = spec.config().expect("a configuration");
        let (merged, report) = merge(&adapters, &config, |_| ()).expect("a merge");
        let worst = worst(&updates(&merged), expected);
        assert!(worst <= 1e-6, "{case}, {spec:?}: {worst:.2e} relative");
        for module in report.modules {
            let most: usize = module.source_ranks.iter().sum();
            let rank = match spec.rank {
                Some(RankRule::Fixed(rank)) => rank.min(most),
                _ => most,
            };
            assert_eq!(module.rank, rank, "{case}, {spec:?}, {}: the rank", module.module);
        }
    }
}

fn density(share: f64) -> Density {
    Density::new(share).expect("a share above zero")
}

fn merged(adapters: &[Adapter], config: MergeConfig) -> Adapter {
    merge(adapters, &config, |_| ()).expect("a merge").0
}

fn of(method: impl MergeMethod + 'static, weights: &[f64]) -> MergeConfig {
    MergeConfig::new(method).with_weights(weights)
}

/// Every method of this file that draws nothing, trimming to `share`.
fn all(share: f64, weights: &[f64]) -> [MergeConfig; 6] {
    [
        of(Knots::new(Entrywise::Sum), weights),
        of(Knots::new(Entrywise::Ties(density(share))), weights),
        of(CoreSpace::new(Entrywise::Sum), weights),
        of(CoreSpace::new(Entrywise::Ties(density(share))), weights),
        of(CoreSpace::tsv(), weights),
        of(Tsv, weights),
    ]
}

/// Two or three triples seed, rank 1–3, α of adapters, with a weight each, some negative.
fn seeds() -> impl Strategy<Value = (Vec<(u64, usize, f64)>, Vec<f64>)> {
    let sign = |v: f64| prop_oneof![Just(v), Just(-v)];
    let one = ((any::<u64>(), 1usize..4, 1.0..8.0f64), (0.3..2.0f64).prop_flat_map(sign));
    prop::collection::vec(one, 2..4).prop_map(|all| all.into_iter().unzip())
}

fn adapter(&(seed, rank, alpha): &(u64, usize, f64)) -> Adapter {
    random(seed, rank, alpha, &MODULES, SHAPE)
}

/// Two or three adapters of ranks 1–3, with a weight each, some negative.
fn sources() -> impl Strategy<Value = (Vec<Adapter>, Vec<f64>)> {
    seeds().prop_map(|(all, weights)| (all.iter().map(adapter).collect(), weights))
}

/// An adapter whose update is that of `one` with other factors: `B·T/2`, `T⁻¹·A` for a triangular `T`, and α doubled.
fn rewritten(one: &Adapter) -> Adapter {
    let factors = one.modules().iter().map(|m| {
        let f = one.factors(&m.name).expect("factors");
        let (mut a, mut b) = (f.a, f.b);
        if m.rank > 1 {
            // Column 1 of B gains column 0, row 0 of A loses row 1.
            let n = a.n_cols();
            let values = a.values_mut();
            (0..n).for_each(|j| values[j] -= values[n + j]);
            b.values_mut().chunks_exact_mut(m.rank).for_each(|row| row[1] += row[0]);
        }
        b.values_mut().iter_mut().for_each(|v| *v *= 0.5);
        (m.name.clone(), a, b)
    });
    let mut config = one.config().clone();
    config.lora_alpha *= 2.0;
    Adapter::from_factors("rewritten", config, factors).expect("a valid adapter")
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn added_coordinates_are_the_weighted_sum((adapters, weights) in sources()) {
        let sum = weighted_sum(&adapters, &weights);
        let methods = [
            of(Knots::new(Entrywise::Sum), &weights),
            of(CoreSpace::new(Entrywise::Sum), &weights),
            of(Knots::new(Entrywise::Dare(density(1.0))), &weights),
            of(CoreSpace::new(Entrywise::Dare(density(1.0))), &weights),
        ];
        for config in methods {
            let error = worst(&updates(&merged(&adapters, config)), &sum);
            prop_assert!(error < 2e-6, "relative difference {error:.2e}");
        }
    }

    #[test]
    fn one_adapter_is_itself((adapters, weights) in sources()) {
        let own = weighted_sum(&adapters[..1], &weights);
        for config in all(1.0, &weights[..1]) {
            let error = worst(&updates(&merged(&adapters[..1], config)), &own);
            prop_assert!(error < 1e-6, "relative difference {error:.2e}");
        }
    }

    #[test]
    fn the_order_of_adapters_does_not_matter((sources, weights) in seeds()) {
        let forth: Vec<_> = sources.iter().map(adapter).collect();
        let back: Vec<_> = sources.iter().rev().map(adapter).collect();
        let others: Vec<f64> = weights.iter().rev().copied().collect();
        for (one, other) in all(1.0, &weights).into_iter().zip(all(1.0, &others)) {
            let error = worst(&updates(&merged(&back, other)), &updates(&merged(&forth, one)));
            prop_assert!(error < 1e-4, "relative difference {error:.2e}");
        }
    }

    #[test]
    fn equal_updates_however_factored_give_equal_results((adapters, weights) in sources()) {
        let others: Vec<_> = adapters.iter().map(rewritten).collect();
        for on_updates in [|| of(Tsv, &[]), || of(Knots::new(Entrywise::Ties(density(1.0))), &[])] {
            let with = |adapters: &[Adapter]| updates(&merged(adapters, on_updates().with_weights(weights.clone())));
            let error = worst(&with(&others), &with(&adapters));
            prop_assert!(error < 1e-3, "relative difference {error:.2e}");
        }
    }

    #[test]
    fn equal_scales_however_written_give_equal_results(seed: u64, rank in prop::sample::select(vec![1usize, 4, 9])) {
        let plain = random(seed, rank, 6.0, &MODULES, SHAPE);
        let factors = plain.modules().iter().map(|m| {
            let f = plain.factors(&m.name).expect("factors");
            (m.name.clone(), f.a, f.b)
        });
        let mut config = plain.config().clone();
        (config.use_rslora, config.lora_alpha) = (true, 6.0 / (rank as f64).sqrt());
        let rslora = Adapter::from_factors("rsLoRA", config, factors).expect("a valid adapter");
        let other = || random(1, 3, 3.0, &MODULES, SHAPE);
        let (found, expected) = ([other(), rslora], [other(), plain]);
        for (one, two) in all(0.5, &[1.0, 1.0]).into_iter().zip(all(0.5, &[1.0, 1.0])) {
            let error = worst(&updates(&merged(&found, one)), &updates(&merged(&expected, two)));
            prop_assert!(error < 1e-6, "relative difference {error:.2e}");
        }
    }

    #[test]
    fn truncation_is_the_best_approximation((adapters, weights) in sources(), rank in 1usize..3) {
        for (exact, truncated) in all(0.6, &weights).into_iter().zip(all(0.6, &weights)) {
            let exact = merged(&adapters, exact);
            let (short, report) = merge(&adapters, &truncated.with_rank(rank), |_| ()).expect("a merge");
            let (whole, short) = (updates(&exact), updates(&short));
            let best = updates(&merged(&[exact], MergeConfig::new(Svd).with_rank(rank)));
            for module in &report.modules {
                let [lost, least] = [&short, &best].map(|m| relative(&m[&module.module], &whole[&module.module]));
                prop_assert!(lost <= least * (1.0 + 1e-4) + 1e-5, "{}: {lost} lost of {least}", module.module);
                let said = module.residual.unwrap_or(0.0);
                prop_assert!((said - lost).abs() < 1e-5, "{}: {said} said, {lost} lost", module.module);
            }
        }
    }
}

/// An adapter of one module whose units are `value` times the given axes.
fn on_axes(value: f32, axes: &[(usize, usize)]) -> Adapter {
    let a = Matrix::from_fn(axes.len(), SHAPE[1], |i, j| if axes[i].1 == j { value } else { 0.0 });
    let b = Matrix::from_fn(SHAPE[0], axes.len(), |i, j| if axes[j].0 == i { 1.0 } else { 0.0 });
    let mut config = AdapterConfig::new(axes.len());
    config.lora_alpha = axes.len() as f64;
    Adapter::from_factors("on axes", config, [(MODULES[0].to_string(), a, b)]).expect("a valid adapter")
}

#[test]
fn singular_vectors_of_orthogonal_adapters_add() {
    let adapters =
        [on_axes(2.0, &[(0, 1), (3, 0)]), on_axes(0.5, &[(2, 4)]), on_axes(1.0, &[(5, 5), (1, 3)])];
    let weights = [1.0, -2.0, 0.5];
    for method in [of(Tsv, &weights), of(CoreSpace::tsv(), &weights)] {
        let error = worst(&updates(&merged(&adapters, method)), &weighted_sum(&adapters, &weights));
        assert!(error < 1e-6, "nothing to decorrelate: {error:.2e}");
    }
}

#[test]
fn shared_singular_vectors_are_divided() {
    // [u u] / √2 is the nearest to orthonormal that two equal columns allow, so two equal updates of norm 2 give ½·(2 + 2).
    let adapters = [on_axes(2.0, &[(0, 1)]), on_axes(2.0, &[(0, 1)])];
    let found = updates(&merged(&adapters, MergeConfig::new(Tsv)));
    let error = worst(&found, &updates(&adapters[0]));
    assert!(error < 1e-6, "the update itself: {error:.2e}");
}

#[test]
fn an_adapter_without_weight_changes_nothing() {
    let adapters = [random(3, 2, 4.0, &MODULES, SHAPE), random(4, 3, 3.0, &MODULES, SHAPE)];
    for (both, one) in all(1.0, &[0.7, 0.0]).into_iter().zip(all(1.0, &[0.7])) {
        let found = updates(&merged(&adapters, both));
        let expected = updates(&merged(&adapters[..1], one));
        let error = worst(&found, &expected);
        assert!(error < 1e-6, "zeros have no sign and no direction: {error:.2e}");
    }
    for nothing in all(0.5, &[0.0, 0.0]) {
        let found = updates(&merged(&adapters, nothing));
        assert!(found.values().flatten().all(|&v| v == 0.0), "nothing merges into nothing");
    }
}

#[test]
fn an_adapter_that_was_never_trained_changes_nothing() {
    let one = random(10, 3, 3.0, &MODULES, SHAPE);
    let zero_b = one.modules().iter().map(|m| {
        let f = one.factors(&m.name).expect("factors");
        (m.name.clone(), f.a, Matrix::zeros(m.n_outputs, m.rank))
    });
    let untrained =
        Adapter::from_factors("untrained", AdapterConfig::new(3), zero_b).expect("a zero B is accepted");
    let adapters = [one, untrained];
    for both in all(1.0, &[1.0, 1.0]) {
        let found = merged(&adapters, both);
        let error = worst(&updates(&found), &updates(&adapters[0]));
        assert!(error < 1e-6, "relative difference {error:.2e}");
        assert_eq!(found.modules()[0].rank, 6, "the rank is planned before the values are seen");
    }
    for alone in all(0.5, &[1.0]) {
        let found = updates(&merged(&adapters[1..], alone));
        assert!(found.values().flatten().all(|&v| v == 0.0), "nothing merges into nothing");
    }
}

#[test]
fn modules_of_some_adapters_are_merged_alone() {
    let both = random(5, 2, 2.0, &MODULES, SHAPE);
    let (one, other) = (random(6, 3, 6.0, &MODULES[..1], SHAPE), random(7, 1, 2.0, &MODULES[1..], SHAPE));
    let apart = |first: &Adapter, second: &Adapter, config: MergeConfig, module: &str| {
        let factors = |adapter: &Adapter| {
            let f = adapter.factors(module).expect("factors");
            Adapter::from_factors("apart", adapter.config().clone(), [(module.to_string(), f.a, f.b)])
                .expect("a valid adapter")
        };
        let pair = [factors(first), factors(second)];
        updates(&merged(&pair, config)).remove(module).expect("the module")
    };
    let adapters = [both, one, other];
    let configs = all(0.5, &[1.0, -0.5, 2.0]).into_iter();
    for ((config, first), second) in configs.zip(all(0.5, &[1.0, -0.5])).zip(all(0.5, &[1.0, 2.0])) {
        let found = updates(&merged(&adapters, config));
        let expected = [
            (MODULES[0], apart(&adapters[0], &adapters[1], first, MODULES[0])),
            (MODULES[1], apart(&adapters[0], &adapters[2], second, MODULES[1])),
        ];
        for (module, expected) in expected {
            let error = relative(&found[module], &expected);
            assert!(error < 1e-6, "{module}: {error:.2e}");
        }
    }
}

#[test]
fn dropping_at_random_follows_the_seed_and_keeps_the_mean() {
    let adapters = [random(8, 2, 2.0, &MODULES, SHAPE), random(9, 2, 2.0, &MODULES, SHAPE)];
    let sum = weighted_sum(&adapters, &[1.0, 1.0]);
    for make in [
        |d| MergeConfig::new(Knots::new(Entrywise::Dare(d))),
        |d| MergeConfig::new(CoreSpace::new(Entrywise::Dare(d))),
    ] {
        let with = |seed: u64| updates(&merged(&adapters, make(density(0.5)).with_seed(seed)));
        assert_eq!(with(1), with(1), "one seed, one result");
        assert_ne!(with(1), with(2), "another seed drops others");
        let n = 400;
        let mut mean: BTreeMap<String, Dense> =
            sum.iter().map(|(k, v)| (k.clone(), vec![0.0; v.len()])).collect();
        for seed in 0..n {
            for (name, update) in with(seed) {
                let mean = mean.get_mut(&name).expect("a module");
                mean.iter_mut().zip(update).for_each(|(m, v)| *m += v / n as f64);
            }
        }
        // Coordinates of variance x² each at a density of ½: relative to the sum about 1/√n, more where updates oppose.
        let error = worst(&mean, &sum);
        assert!(error < 4.0 / (n as f64).sqrt(), "the mean over seeds is {error:.2} from the sum");
    }
}
