//! What must hold for LEGO's options, whatever the adapters: gauges, signs, norms, orders and copies.

use grouping_core::cluster::{Init, Symmetry};
use grouping_core::matrix::Matrix;
use lego_merge::adapter::Adapter;
use lego_merge::merge::{Cat, Features, Gauge, Lego, MergeConfig, Norm, Preset, RefRank, Reweighting, merge};
use proptest::prelude::*;

use crate::adapters::{random, updates, worst};

const MODULES: [&str; 2] = ["layers.0.q", "layers.1.q"];

fn merged(adapters: &[Adapter], config: MergeConfig) -> Adapter {
    merge(adapters, &config, |_| ()).expect("a merge").0
}

/// The same adapter, unit `i` of its result being unit `order(i)` times `factor(i)` in A and over it in B.
fn rewritten(adapter: &Adapter, order: impl Fn(usize) -> usize, factor: impl Fn(usize) -> f32) -> Adapter {
    let factors = adapter.modules().iter().map(|m| {
        let f = adapter.factors(&m.name).expect("factors");
        let (a, b) = (f.a.view(), f.b.view());
        let a = Matrix::from_fn(m.rank, m.n_inputs, |i, j| factor(i) * a.row(order(i))[j]);
        let b = Matrix::from_fn(m.n_outputs, m.rank, |i, j| b.row(i)[order(j)] / factor(j));
        (m.name.clone(), a, b)
    });
    Adapter::from_factors("rewritten", adapter.config().clone(), factors).expect("a valid adapter")
}

fn each_option() -> Vec<Lego> {
    let mut all = vec![];
    for features in [Features::Raw, Features::Normalized] {
        for gauge in [Gauge::Raw, Gauge::Balanced] {
            for symmetry in [Symmetry::None, Symmetry::Antipodal] {
                for norm in [Norm::Inf, Norm::L2, Norm::None] {
                    let lego = Lego::default().with_features(features).with_gauge(gauge);
                    all.push(lego.with_symmetry(symmetry).with_norm(norm));
                }
            }
        }
    }
    all
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn every_unit_its_own_cluster_is_cat_with_every_option(seeds in prop::collection::vec(any::<u64>(), 2), rank in 1usize..5) {
        let adapters: Vec<Adapter> = seeds.iter().map(|&s| random(s, rank, -3.0, &MODULES, [9, 7])).collect();
        let expected = updates(&merged(&adapters, MergeConfig::new(Cat)));
        for lego in each_option() {
            let lego = lego.with_output_reweighting(Reweighting::Off);
            let error = worst(&updates(&merged(&adapters, MergeConfig::new(lego.clone()).with_rank(2 * rank))), &expected);
            prop_assert!(error < 1e-5, "{:?}: relative difference {:.2e}", lego, error);
        }
    }

    #[test]
    fn copies_merge_into_the_adapter_with_every_option(seed: u64, rank in 1usize..5, n in 2usize..4) {
        let one = random(seed, rank, 4.0, &MODULES, [9, 7]);
        let expected = updates(&one);
        for lego in each_option() {
            let copies: Vec<_> = (0..n).map(|i| rewritten(&one, |u| (u + i) % rank, |_| 1.0)).collect();
            let error = worst(&updates(&merged(&copies, MergeConfig::new(lego.clone()).with_rank(rank))), &expected);
            prop_assert!(error < 1e-5, "{:?}: relative difference {:.2e}", lego, error);
        }
        // The same update in other units: only the balanced gauge and the symmetry see that it is.
        let free = Lego::default().with_gauge(Gauge::Balanced).with_symmetry(Symmetry::Antipodal);
        let copies: Vec<_> =
            (0..n).map(|i| rewritten(&one, |u| (u + i) % rank, |u| [1.0, -1.0, 4.0, -0.5][(u + i) % 4])).collect();
        let error = worst(&updates(&merged(&copies, MergeConfig::new(free).with_rank(rank))), &expected);
        prop_assert!(error < 1e-5, "in other gauges: relative difference {:.2e}", error);
    }

    #[test]
    fn orders_do_not_matter_for_the_same_first_centroids(seeds in prop::collection::vec(any::<u64>(), 3), shift in 0usize..4) {
        let adapters: Vec<Adapter> = seeds.iter().map(|&s| random(s, 4, 3.0, &MODULES, [9, 7])).collect();
        let order = |u: usize| (u + shift) % 4;
        let others: Vec<Adapter> = adapters.iter().rev().map(|a| rewritten(a, order, |_| 1.0)).collect();
        // Units are numbered adapter after adapter; unit `order(u)` of adapter `i` is unit `u` of the reversed adapter.
        let start: Vec<usize> = vec![0, 3, 6, 9, 10];
        let place = |unit: usize| 4 * (2 - unit / 4) + (0..4).find(|&u| order(u) == unit % 4).expect("a permutation");
        let moved: Vec<usize> = start.iter().map(|&unit| place(unit)).collect();
        for lego in each_option() {
            let with = |adapters: &[Adapter], first: &[usize]| {
                let lego = lego.clone().with_init(Init::Points(first.to_vec()));
                updates(&merged(adapters, MergeConfig::new(lego).with_rank(5)))
            };
            let error = worst(&with(&others, &moved), &with(&adapters, &start));
            prop_assert!(error < 1e-5, "{:?}: relative difference {:.2e}", lego, error);
        }
    }

    #[test]
    fn gauges_and_signs_do_not_matter_where_they_should_not(seeds in prop::collection::vec(any::<u64>(), 2), powers in prop::collection::vec(-2i32..3, 4), signs: [bool; 4]) {
        let adapters: Vec<Adapter> = seeds.iter().map(|&s| random(s, 4, 3.0, &MODULES, [9, 7])).collect();
        let factor = |u: usize| 2f32.powi(powers[u]) * if signs[u] { -1.0 } else { 1.0 };
        let others: Vec<Adapter> = adapters.iter().map(|a| rewritten(a, |u| u, factor)).collect();
        let lego = Lego::default().with_gauge(Gauge::Balanced).with_symmetry(Symmetry::Antipodal);
        for features in [Features::Raw, Features::Normalized] {
            let config = || MergeConfig::new(lego.clone().with_features(features)).with_rank(3);
            let error = worst(&updates(&merged(&others, config())), &updates(&merged(&adapters, config())));
            prop_assert!(error < 1e-5, "{:?}: relative difference {:.2e}", features, error);
        }
    }
}

#[test]
fn reference_ranks_are_those_of_the_sources() {
    let adapters = [2usize, 3, 10].map(|rank| random(rank as u64, rank, 1.0, &MODULES, [9, 7]));
    let with = |lego: Lego| {
        let (_, report) = merge(&adapters, &MergeConfig::new(lego).with_rank(6), |_| ()).expect("a merge");
        report.modules[0].norm
    };
    let plain = with(Lego::default().with_output_reweighting(Reweighting::Off));
    for (reference, r) in
        [(RefRank::Mean, 5.0f64), (RefRank::Median, 3.0), (RefRank::Max, 10.0), (RefRank::Rank(24), 24.0)]
    {
        let ratio = with(Lego::default().with_ref_rank(reference)) / plain;
        assert!((ratio - (r / 6.0).sqrt()).abs() < 1e-6, "{reference}: √({r}/6), not {ratio}");
    }
    let two = &adapters[..2];
    let (_, even) = merge(two, &MergeConfig::new(Lego::default().with_ref_rank(RefRank::Median)), |_| ())
        .expect("a merge");
    let (_, mean) = merge(two, &MergeConfig::new(Lego::default()), |_| ()).expect("a merge");
    assert_eq!(even.modules[0].norm, mean.modules[0].norm, "the median of two is their mean");
}

#[test]
fn clusters_are_reported_with_their_sources_and_signs() {
    let one = random(4, 3, 3.0, &MODULES, [9, 7]);
    let negated = rewritten(&one, |u| u, |_| -1.0);
    let adapters = [one, negated];
    let lego = Lego::default().with_symmetry(Symmetry::Antipodal);
    let (_, report) = merge(&adapters, &MergeConfig::new(lego), |_| ()).expect("a merge");
    for module in &report.modules {
        let clusters = module.clusters.as_ref().expect("clusters");
        assert_eq!(clusters.sources, vec![vec![0, 1]; 3], "each unit meets its negative");
        assert_eq!((clusters.n_shared, clusters.n_flipped), (3, 3), "in three shared clusters");
        assert!(clusters.inertia_share < 1e-9, "nothing is left over: {}", clusters.inertia_share);
    }
    assert_eq!(report.clusters(), (6, 6), "over both modules");
    let apart = merge(&adapters, &MergeConfig::new(Lego::default()), |_| ()).expect("a merge").1;
    let clusters = apart.modules[0].clusters.as_ref().expect("clusters");
    assert_eq!(clusters.n_flipped, 0, "no signs without the symmetry");
    assert!(clusters.inertia_share > 0.1, "and what is opposite stays apart");
}

#[test]
fn first_centroids_that_do_not_fit_are_refused() {
    let adapters = [random(1, 3, 1.0, &MODULES, [9, 7]), random(2, 3, 1.0, &MODULES, [9, 7])];
    for start in [vec![0], vec![0, 0], vec![0, 6]] {
        let lego = Lego::preset(Preset::Nsc).with_init(Init::Points(start.clone()));
        let error = merge(&adapters, &MergeConfig::new(lego).with_rank(2), |_| ()).expect_err("refused");
        assert!(error.to_string().contains("layers.0.q"), "{start:?}: {error}");
    }
}
