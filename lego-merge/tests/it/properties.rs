//! What must hold for any adapters: identities between methods, invariance, determinism.

use grouping_core::matrix::Matrix;
use lego_merge::adapter::{Adapter, AdapterConfig};
use lego_merge::merge::{
    Average, Cat, Dare, Density, Lego, Linear, MagnitudePrune, MajoritySign, MergeConfig, MergeMethod, Norm,
    Reweighting, Svd, TaskArithmetic, Ties, merge,
};
use proptest::prelude::*;

use crate::adapters::{random, relative, updates, weighted_sum, worst};

const MODULES: [&str; 2] = ["layers.0.q", "layers.1.q"];
const SHAPE: [usize; 2] = [9, 7];

fn density(share: f64) -> Density {
    Density::new(share).expect("a share above zero")
}

pub(crate) fn without_reweighting() -> Lego {
    Lego::default().with_norm(Norm::None).with_output_reweighting(Reweighting::Off)
}

fn merged(adapters: &[Adapter], config: MergeConfig) -> Adapter {
    merge(adapters, &config, |_| ()).expect("a merge").0
}

fn of(method: impl MergeMethod + 'static, weights: &[f64]) -> MergeConfig {
    MergeConfig::new(method).with_weights(weights)
}

/// Two or three adapters of ranks 1–4 with any α (zero and negative among them), and a weight for each.
fn sources() -> impl Strategy<Value = (Vec<Adapter>, Vec<f64>)> {
    let one =
        (any::<u64>(), 1usize..5, prop_oneof![Just(0.0), -8.0..8.0f64], prop_oneof![Just(0.0), -2.0..2.0f64]);
    prop::collection::vec(one, 2..4).prop_map(|all| {
        let adapter =
            |&(seed, rank, alpha, _): &(u64, usize, f64, f64)| random(seed, rank, alpha, &MODULES, SHAPE);
        (all.iter().map(adapter).collect(), all.iter().map(|&(.., weight)| weight).collect())
    })
}

/// The same adapter with its units in another order, in every module.
fn permuted(adapter: &Adapter, shift: usize) -> Adapter {
    let factors = adapter.modules().iter().map(|m| {
        let f = adapter.factors(&m.name).expect("factors");
        let unit = |i: usize| (m.rank - 1 - i + shift) % m.rank;
        let a = Matrix::from_fn(m.rank, m.n_inputs, |i, j| f.a.view().row(unit(i))[j]);
        let b = Matrix::from_fn(m.n_outputs, m.rank, |i, j| f.b.view().row(i)[unit(j)]);
        (m.name.clone(), a, b)
    });
    Adapter::from_factors("permuted", adapter.config().clone(), factors).expect("a valid adapter")
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn every_unit_its_own_cluster_without_reweighting_is_the_weighted_sum((adapters, weights) in sources()) {
        let n: usize = adapters.iter().map(|a| a.modules()[0].rank).sum();
        let sum = weighted_sum(&adapters, &weights);
        for config in [of(without_reweighting(), &weights).with_rank(n), of(Cat, &weights), of(Svd, &weights).with_rank(n), of(TaskArithmetic, &weights)] {
            let error = worst(&updates(&merged(&adapters, config)), &sum);
            prop_assert!(error < 1e-5, "relative difference {error:.2e}");
        }
    }

    #[test]
    fn one_adapter_at_its_rank_is_itself((adapters, _) in sources()) {
        let (one, own) = (&adapters[..1], updates(&adapters[0]));
        let r = adapters[0].modules()[0].rank;
        let configs = [
            MergeConfig::new(Lego::default()).with_rank(r),
            MergeConfig::new(Linear),
            MergeConfig::new(Cat),
            MergeConfig::new(Svd).with_rank(r),
            MergeConfig::new(Average),
            MergeConfig::new(Ties::new(density(1.0))),
            MergeConfig::new(Dare::linear(density(1.0))),
            MergeConfig::new(Dare::ties(density(1.0), MajoritySign::Frequency)),
            MergeConfig::new(MagnitudePrune::new(density(1.0))),
        ];
        for config in configs {
            let error = worst(&updates(&merged(one, config)), &own);
            prop_assert!(error < 1e-5, "relative difference {error:.2e}");
        }
    }

    #[test]
    fn copies_of_an_adapter_merge_into_it(seed: u64, rank in 1usize..6, n in 2usize..5, scramble: bool) {
        let one = random(seed, rank, 4.0, &MODULES, SHAPE);
        let copies: Vec<_> = (0..n).map(|i| permuted(&one, if scramble { i } else { 0 })).collect();
        let found = updates(&merged(&copies, MergeConfig::new(Lego::default()).with_rank(rank)));
        let error = worst(&found, &updates(&one));
        prop_assert!(error < 1e-5, "relative difference {error:.2e}");
    }

    #[test]
    fn the_order_of_units_and_adapters_does_not_matter((adapters, weights) in sources(), shift in 0usize..4) {
        let n: usize = adapters.iter().map(|a| a.modules()[0].rank).sum();
        let (mut shuffled, mut others) = (vec![], weights.clone());
        for adapter in adapters.iter().rev() {
            shuffled.push(permuted(adapter, shift));
        }
        others.reverse();
        let both = |a: &[Adapter], w: &[f64]| {
            [updates(&merged(a, of(Lego::default(), w).with_rank(n))), updates(&merged(a, of(Svd, w).with_rank(n)))]
        };
        for (found, expected) in both(&shuffled, &others).iter().zip(&both(&adapters, &weights)) {
            for (name, update) in found {
                let error = relative(update, &expected[name]);
                prop_assert!(error < 1e-5, "{name}: relative difference {error:.2e}");
            }
        }
    }

    #[test]
    fn equal_scales_however_written_give_equal_results(seed: u64, rank in prop::sample::select(vec![1usize, 4, 9])) {
        let plain = random(seed, rank, 6.0, &MODULES, SHAPE);
        let factors = || plain.modules().iter().map(|m| {
            let f = plain.factors(&m.name).expect("factors");
            (m.name.clone(), f.a, f.b)
        });
        let again = |change: &dyn Fn(&mut AdapterConfig)| {
            let mut config = plain.config().clone();
            change(&mut config);
            Adapter::from_factors("again", config, factors()).expect("a valid adapter")
        };
        let rslora = again(&|c| (c.use_rslora, c.lora_alpha) = (true, 6.0 / (rank as f64).sqrt()));
        let patterns = again(&|c| {
            (c.r, c.lora_alpha) = (rank + 1, 1.0);
            c.rank_pattern.insert(r"layers\.\d+\.q".into(), rank);
            c.alpha_pattern.insert("q".into(), 6.0);
        });
        let expected = updates(&merged(&[random(1, 3, 3.0, &MODULES, SHAPE), plain], MergeConfig::new(Lego::default())));
        for other in [rslora, patterns] {
            let found = merged(&[random(1, 3, 3.0, &MODULES, SHAPE), other], MergeConfig::new(Lego::default()));
            let error = worst(&updates(&found), &expected);
            prop_assert!(error < 1e-6, "relative difference {error:.2e}");
        }
    }

    #[test]
    fn svd_is_no_farther_from_the_sum_than_lego((adapters, weights) in sources(), rank in 1usize..4) {
        let most = adapters.iter().map(|a| a.modules()[0].rank).sum::<usize>();
        let rank = rank.min(most);
        let distance = |config: MergeConfig| {
            let report = merge(&adapters, &config.with_rank(rank), |_| ()).expect("a merge").1;
            report.modules.iter().map(|m| m.distance.powi(2)).sum::<f64>().sqrt()
        };
        let (svd, lego) = (distance(of(Svd, &weights)), distance(of(without_reweighting(), &weights)));
        prop_assert!(svd <= lego * (1.0 + 1e-5) + 1e-4, "truncation is the best approximation: {svd} against {lego}");
    }

    #[test]
    fn lambda_scales_the_result_of_every_method((adapters, weights) in sources(), lambda in -2.0..2.0f64) {
        let with = |lambda: f64| {
            let configs = [
                of(Lego::default(), &weights).with_rank(1),
                of(Cat, &weights),
                of(Average, &weights),
                of(Dare::linear(density(0.5)), &weights),
            ];
            configs.map(|config| updates(&merged(&adapters, config.with_lambda(lambda))))
        };
        for (found, plain) in with(lambda).iter().zip(&with(1.0)) {
            for (name, update) in found {
                let expected: Vec<f64> = plain[name].iter().map(|v| lambda * v).collect();
                let error = relative(update, &expected);
                prop_assert!(error < 1e-5, "{name}: relative difference {error:.2e}");
            }
        }
    }

    #[test]
    fn keeping_every_value_is_keeping_none_out((adapters, weights) in sources()) {
        let linear = updates(&merged(&adapters, of(Linear, &weights)));
        for config in [of(MagnitudePrune::new(density(1.0)), &weights), of(Dare::linear(density(1.5)), &weights)] {
            let error = worst(&updates(&merged(&adapters, config)), &linear);
            prop_assert!(error < 1e-6, "relative difference {error:.2e}");
        }
    }

    #[test]
    fn the_same_seed_gives_the_same_values_with_any_number_of_threads((adapters, weights) in sources(), seed: u64) {
        let with = |threads: usize, seed: u64| {
            let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().expect("threads");
            let configs = [of(Lego::default(), &weights).with_rank(1), of(Dare::linear(density(0.5)), &weights)];
            pool.install(|| configs.map(|config| updates(&merged(&adapters, config.with_seed(seed)))))
        };
        prop_assert_eq!(with(1, seed), with(3, seed));
    }
}

#[test]
fn another_seed_drops_other_values_and_so_do_other_adapters_halves_and_modules() {
    let one = random(6, 4, 4.0, &MODULES, SHAPE);
    let with = |seed| {
        updates(&merged(
            std::slice::from_ref(&one),
            MergeConfig::new(Dare::linear(density(0.5))).with_seed(seed),
        ))
    };
    assert_ne!(with(0), with(1), "the seed matters");
    // The same adapter twice: were both to draw alike, the sum would be twice the one.
    let twice = [random(6, 4, 4.0, &MODULES, SHAPE), one];
    let both = merged(&twice, MergeConfig::new(Dare::linear(density(0.5))));
    let zeros =
        |m: &Matrix| m.values().iter().filter(|&&v| v == 0.0).count() as f64 / m.values().len() as f64;
    for module in both.modules() {
        let factors = both.factors(&module.name).expect("factors");
        let (a, b) = (zeros(&factors.a), zeros(&factors.b));
        // A quarter of the values is dropped twice; of 28 and 36 values, half is beyond three standard deviations.
        assert!(a < 0.5 && b < 0.5, "{}: {a} of A and {b} of B are zero", module.name);
    }
}

#[test]
fn output_reweighting_is_the_root_of_mean_rank_over_k() {
    let adapters = [random(1, 2, 2.0, &MODULES, SHAPE), random(2, 6, 6.0, &MODULES, SHAPE)];
    let with = |output| {
        let lego = Lego::default().with_output_reweighting(output);
        updates(&merged(&adapters, MergeConfig::new(lego).with_rank(8)))
    };
    let (on, off) = (with(Reweighting::On), with(Reweighting::Off));
    for (name, update) in off {
        let expected: Vec<f64> = update.iter().map(|v| v * (4.0f64 / 8.0).sqrt()).collect();
        let error = relative(&on[&name], &expected);
        assert!(error < 1e-6, "{name}: mean rank 4, k 8: {error:.2e}");
    }
}

#[test]
fn the_reported_distance_is_that_of_the_updates() {
    let adapters = [random(3, 4, 8.0, &MODULES, SHAPE), random(4, 3, 3.0, &MODULES, SHAPE)];
    let weights = [0.8, -0.6];
    let (merged, report) = merge(&adapters, &of(Lego::default(), &weights), |_| ()).expect("a merge");
    let (found, sum) = (updates(&merged), weighted_sum(&adapters, &weights));
    for module in &report.modules {
        let expected = relative(&found[&module.module], &sum[&module.module]) * module.sum_norm;
        let error = (module.distance / expected - 1.0).abs();
        assert!(error < 1e-5, "{}: {} against {expected}", module.module, module.distance);
    }
}

#[test]
fn an_adapter_that_was_never_trained_changes_nothing_in_the_sum() {
    let one = random(5, 3, 3.0, &MODULES, SHAPE);
    let zero_b = one.modules().iter().map(|m| {
        let f = one.factors(&m.name).expect("factors");
        (m.name.clone(), f.a, Matrix::zeros(m.n_outputs, m.rank))
    });
    let untrained =
        Adapter::from_factors("untrained", AdapterConfig::new(3), zero_b).expect("a zero B is accepted");
    let adapters = [one, untrained];
    for config in [MergeConfig::new(Cat), MergeConfig::new(Svd)] {
        let error = worst(&updates(&merged(&adapters, config)), &updates(&adapters[0]));
        assert!(error < 1e-5, "relative difference {error:.2e}");
    }
    let lego = merged(&adapters[1..], MergeConfig::new(Lego::default()).with_rank(2));
    assert!(updates(&lego).values().flatten().all(|&v| v == 0.0), "nothing merges into nothing");
}
