//! k-means where a point and its opposite are one.

use grouping_core::cluster::{GramKMeansConfig, Init, KMeansConfig, Metric, Symmetry, adjusted_rand_index};
use grouping_core::low_rank::{Gram, row_gram};
use grouping_core::matrix::Matrix;
use proptest::prelude::*;

use super::groups;

fn antipodal(config: KMeansConfig) -> GramKMeansConfig {
    config.with_tolerance(0.0).in_gram_space().with_symmetry(Symmetry::Antipodal)
}

fn gram(points: &Matrix) -> Gram {
    row_gram(&[points.view()]).expect("finite points")
}

fn negated(points: &Matrix, flips: &[bool]) -> Matrix {
    let sign = |i: usize| if flips[i] { -1.0 } else { 1.0 };
    Matrix::from_fn(points.n_rows(), points.n_cols(), |i, j| sign(i) * points.view().row(i)[j])
}

/// Points, a number of clusters and a sign a point.
fn problem() -> impl Strategy<Value = (Matrix, usize, Vec<bool>)> {
    (6usize..30, 2usize..6, 1usize..5, any::<u64>()).prop_flat_map(|(n, d, k, seed)| {
        let points = groups(n, d, k, 3.0, seed);
        prop::collection::vec(any::<bool>(), n).prop_map(move |flips| (points.clone(), k, flips))
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn objective_never_rises((points, k, _) in problem(), cosine in any::<bool>()) {
        let metric = if cosine { Metric::Cosine } else { Metric::Euclidean };
        let config = KMeansConfig::new(k).with_metric(metric).with_init(Init::Points((0..k).collect()));
        let mut before = f64::INFINITY;
        for max_iters in 1..10 {
            let config = antipodal(config.clone().with_max_iters(max_iters));
            let fit = config.fit(&gram(&points)).expect("a valid problem");
            let now = fit.inertia();
            prop_assert!(now <= before * (1.0 + 1e-9) + 1e-9, "iteration {}: {} after {}", max_iters, now, before);
            before = now;
        }
    }

    #[test]
    fn negating_points_changes_only_which_are_flipped((points, k, flips) in problem(), seed in 0u64..50) {
        let config = antipodal(KMeansConfig::new(k).with_seed(seed).with_n_restarts(3));
        let plain = config.fit(&gram(&points)).expect("a valid problem");
        let other = config.fit(&gram(&negated(&points, &flips))).expect("a valid problem");
        prop_assert_eq!(plain.labels(), other.labels(), "labels");
        prop_assert!((plain.inertia() - other.inertia()).abs() <= 1e-12 * plain.inertia(), "inertia");
        for (i, &l) in plain.labels().iter().enumerate() {
            let first = plain.labels().iter().position(|&m| m == l).expect("a member");
            let turned = plain.flipped()[i] ^ flips[i] ^ flips[first];
            prop_assert_eq!(other.flipped()[i], turned, "point {} of cluster {}", i, l);
        }
    }

    #[test]
    fn signs_and_inertia_are_those_of_the_flipped_points((points, k, _) in problem(), seed in 0u64..50) {
        let fit = antipodal(KMeansConfig::new(k).with_seed(seed)).fit(&gram(&points)).expect("a valid problem");
        prop_assert!(fit.converged(), "small problems come to rest");
        let turned = negated(&points, fit.flipped());
        let d = points.n_cols();
        let mut total = 0.0;
        for j in 0..k {
            let members: Vec<usize> = (0..points.n_rows()).filter(|&i| fit.labels()[i] == j).collect();
            prop_assert!(!fit.flipped()[members[0]], "a cluster has the sign of its first point");
            let value = |i: usize, t: usize| f64::from(turned.view().row(i)[t]);
            let mean: Vec<f64> =
                (0..d).map(|t| members.iter().map(|&i| value(i, t)).sum::<f64>() / members.len() as f64).collect();
            for &i in &members {
                let product: f64 = (0..d).map(|t| value(i, t) * mean[t]).sum();
                prop_assert!(product >= -1e-9, "point {} is on the far side of its mean", i);
                total += (0..d).map(|t| (value(i, t) - mean[t]).powi(2)).sum::<f64>();
            }
        }
        prop_assert!((total - fit.inertia()).abs() <= 1e-6 * total.max(1e-3), "{} instead of {}", fit.inertia(), total);
    }
}

#[test]
fn opposite_groups_are_one() {
    let points = groups(60, 8, 4, 9.0, 21);
    let labels = KMeansConfig::new(4).fit_gram(&gram(&points)).expect("a valid problem").labels().to_vec();
    let flips: Vec<bool> = (0..60).map(|i| i % 3 == 0).collect();
    let mixed = gram(&negated(&points, &flips));
    let four = || KMeansConfig::new(4);
    let score = |config: GramKMeansConfig| {
        let found = config.fit(&mixed).expect("a valid problem");
        adjusted_rand_index(found.labels(), &labels).expect("equal lengths")
    };
    assert_eq!(score(antipodal(four())), 1.0, "the groups are found through the signs");
    assert!(score(four().in_gram_space()) < 0.9, "and not without the symmetry");
    let given = antipodal(four().with_init(Init::Labels(labels.clone())));
    assert_eq!(score(given), 1.0, "also from given labels");
}
