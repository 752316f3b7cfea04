//! Invariants of k-means on random points.

use grouping_core::cluster::{Clusters, Init, KMeansConfig, Metric, adjusted_rand_index};
use grouping_core::low_rank::row_gram;
use grouping_core::matrix::Matrix;
use proptest::prelude::*;

/// Points on a grid of 1/64 within ±64: sums, shifts by integers and powers of two of them are exact in `f32`.
fn points() -> impl Strategy<Value = (Matrix, usize)> {
    (6usize..40, 1usize..6, 1usize..6).prop_flat_map(|(n, d, k)| {
        let values = prop::collection::vec(-4096i32..4096, n * d);
        values.prop_map(move |v| {
            let values = v.into_iter().map(|x| x as f32 / 64.0).collect();
            (Matrix::new(n, d, values).expect("n rows of d values"), k)
        })
    })
}

fn first_points(k: usize) -> KMeansConfig {
    KMeansConfig::new(k).with_init(Init::Points((0..k).collect())).with_tolerance(0.0)
}

fn fit(config: &KMeansConfig, points: &Matrix) -> Clusters {
    config.fit(points.view()).expect("a valid problem")
}

fn changed(points: &Matrix, f: impl Fn(f32) -> f32) -> Matrix {
    Matrix::from_fn(points.n_rows(), points.n_cols(), |i, j| f(points.view().row(i)[j]))
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn objective_never_rises((points, k) in points(), cosine in any::<bool>()) {
        let metric = if cosine { Metric::Cosine } else { Metric::Euclidean };
        prop_assume!(!cosine || (0..points.n_rows()).all(|i| points.view().row(i).iter().any(|&v| v != 0.0)));
        let config = first_points(k).with_metric(metric);
        let gram = row_gram(&[points.view()]).expect("finite points");
        let mut before = [f64::INFINITY; 2];
        for max_iters in 1..12 {
            let config = config.clone().with_max_iters(max_iters);
            let now = [
                fit(&config, &points).inertia(),
                config.fit_gram(&gram).expect("a valid problem").inertia(),
            ];
            for (form, (now, before)) in now.iter().zip(before).enumerate() {
                // Rounding of f32 distances may pick a centroid that is farther by a millionth.
                let slack = 1e-5 * before.min(1e9) + 1e-9;
                prop_assert!(*now <= before + slack, "form {}, iteration {}: {} after {}", form, max_iters, now, before);
            }
            before = now;
        }
    }

    #[test]
    fn assignments_are_nearest_and_centroids_are_means((points, k) in points(), seed in 0u64..100) {
        let clusters = fit(&KMeansConfig::new(k).with_seed(seed).with_tolerance(0.0), &points);
        prop_assert!(clusters.converged(), "small problems come to rest");
        prop_assert!(clusters.sizes().iter().all(|&s| s > 0), "no cluster is empty");
        let distance = |i: usize, j: usize| -> f64 {
            let pairs = points.view().row(i).iter().zip(clusters.centroids().view().row(j)).map(|(&x, &c)| (x, c));
            pairs.map(|(x, c)| (f64::from(x) - f64::from(c)).powi(2)).sum()
        };
        let mut total = 0.0;
        for (i, &l) in clusters.labels().iter().enumerate() {
            let own = distance(i, l);
            total += own;
            for j in 0..k {
                prop_assert!(own <= distance(i, j) + 0.01, "point {} is nearer to {} than to its own {}", i, j, l);
            }
        }
        prop_assert!((total - clusters.inertia()).abs() <= 1e-4 * total.max(1.0), "inertia");
        for j in 0..k {
            for t in 0..points.n_cols() {
                let members = (0..points.n_rows()).filter(|&i| clusters.labels()[i] == j);
                let sum: f64 = members.map(|i| f64::from(points.view().row(i)[t])).sum();
                let mean = sum / clusters.sizes()[j] as f64;
                let found = f64::from(clusters.centroids().view().row(j)[t]);
                prop_assert!((mean - found).abs() < 1e-4, "centroid {}, column {}: {} instead of {}", j, t, found, mean);
            }
        }
    }

    #[test]
    fn order_of_points_does_not_matter((points, k) in points(), shift in 0usize..40) {
        let n = points.n_rows();
        let at = |i: usize| (i + shift) % n;
        let rotated = Matrix::from_fn(n, points.n_cols(), |i, j| points.view().row(at(i))[j]);
        let start = fit(&first_points(k), &points);
        // The same start by name of the points, not by place.
        let place: Vec<usize> = (0..k).map(|p| (0..n).find(|&i| at(i) == p).expect("a permutation")).collect();
        let moved = fit(&first_points(k).with_init(Init::Points(place)), &rotated);
        let labels: Vec<usize> = (0..n).map(|i| start.labels()[at(i)]).collect();
        // Exact ties may fall either way once sums are taken in another order: then the inertia is equal.
        if moved.labels() != labels {
            let gap = (moved.inertia() - start.inertia()).abs();
            prop_assert!(gap <= 0.05 * start.inertia().max(1.0), "inertia {} and {}", moved.inertia(), start.inertia());
        }
    }

    #[test]
    fn translation_and_scale_carry_over((points, k) in points(), shift in -500i32..500, power in -20i32..20) {
        let config = KMeansConfig::new(k).with_seed(3).with_n_restarts(3);
        let plain = fit(&config, &points);
        let scale = 2f32.powi(power);
        let scaled = fit(&config, &changed(&points, |x| x * scale));
        prop_assert_eq!(scaled.labels(), plain.labels(), "scaled by a power of two");
        let factor = f64::from(scale) * f64::from(scale);
        prop_assert!((scaled.inertia() - factor * plain.inertia()).abs() <= 1e-12 * factor * plain.inertia());
        // Shifted, the mean and so all roundings change: equal up to ties, so compare what is minimised.
        let moved = fit(&first_points(k), &changed(&points, |x| x + shift as f32));
        let still = fit(&first_points(k), &points);
        if moved.labels() != still.labels() {
            let gap = (moved.inertia() - still.inertia()).abs();
            prop_assert!(gap <= 0.05 * still.inertia().max(1.0), "inertia {} and {}", moved.inertia(), still.inertia());
        } else {
            prop_assert!((moved.inertia() - still.inertia()).abs() <= 1e-4 * still.inertia().max(1.0));
        }
    }

    #[test]
    fn gram_form_is_the_direct_form((points, k) in points(), seed in 0u64..1000) {
        let gram = row_gram(&[points.view()]).expect("finite points");
        let config = KMeansConfig::new(k).with_seed(seed).with_n_restarts(3);
        let (direct, in_gram) = (fit(&config, &points), config.fit_gram(&gram).expect("a valid problem"));
        let gap = (direct.inertia() - in_gram.inertia()).abs();
        if direct.labels() == in_gram.labels() {
            prop_assert!(gap <= 1e-5 * direct.inertia().max(1.0), "inertia {} and {}", direct.inertia(), in_gram.inertia());
        } else {
            // On a grid exact ties are common; after one the runs are different, but equally good restarts.
            prop_assert!(gap <= 0.1 * direct.inertia().max(1.0), "inertia {} and {}", direct.inertia(), in_gram.inertia());
        }
    }

    #[test]
    fn as_many_clusters_as_points_is_exact((points, _k) in points(), cosine in any::<bool>()) {
        prop_assume!(!cosine || (0..points.n_rows()).all(|i| points.view().row(i).iter().any(|&v| v != 0.0)));
        let metric = if cosine { Metric::Cosine } else { Metric::Euclidean };
        let n = points.n_rows();
        let gram = row_gram(&[points.view()]).expect("finite points");
        let config = KMeansConfig::new(n).with_metric(metric);
        for (form, labels, inertia) in [
            { let c = fit(&config, &points); ("direct", c.labels().to_vec(), c.inertia()) },
            { let c = config.fit_gram(&gram).expect("a valid problem"); ("gram", c.labels().to_vec(), c.inertia()) },
        ] {
            let mut sorted = labels;
            sorted.sort_unstable();
            prop_assert_eq!(sorted, (0..n).collect::<Vec<_>>(), "{}: each point has its own cluster", form);
            prop_assert!(inertia.abs() < 1e-6, "{}: inertia {}", form, inertia);
        }
    }

    #[test]
    fn adjusted_rand_ignores_names(labels in prop::collection::vec(0usize..5, 2..60), other in prop::collection::vec(0usize..4, 60)) {
        let other = &other[..labels.len()];
        let renamed: Vec<usize> = labels.iter().map(|&l| (l * 7 + 3) % 11).collect();
        let score = |a: &[usize], b: &[usize]| adjusted_rand_index(a, b).expect("equal lengths");
        prop_assert_eq!(score(&labels, &renamed), 1.0);
        prop_assert_eq!(score(&labels, other), score(&renamed, other));
        prop_assert_eq!(score(&labels, other), score(other, &labels));
    }
}

#[test]
fn equal_points_fill_every_cluster() {
    for metric in [Metric::Euclidean, Metric::Cosine] {
        for n_distinct in [1, 2, 3] {
            let points = Matrix::from_fn(9, 4, |i, j| ((i % n_distinct) * 3 + j + 1) as f32);
            for k in [2, 5, 9] {
                let config = KMeansConfig::new(k).with_metric(metric);
                let what = format!("{metric:?}, {n_distinct} distinct points into {k}");
                let direct = fit(&config, &points);
                assert!(direct.sizes().iter().all(|&s| s > 0), "{what}: an empty cluster");
                let gram = row_gram(&[points.view()]).expect("finite points");
                let in_gram = config.fit_gram(&gram).expect("a valid problem");
                assert!(in_gram.sizes().iter().all(|&s| s > 0), "{what}: an empty cluster in the Gram form");
                if k >= n_distinct {
                    assert!(direct.inertia() < 1e-6, "{what}: inertia {}", direct.inertia());
                    assert!(in_gram.inertia() < 1e-6, "{what}: inertia {}", in_gram.inertia());
                }
            }
        }
    }
}

#[test]
fn huge_tiny_and_far_points_keep_their_digits() {
    let plain = super::groups(60, 3, 4, 8.0, 12);
    let config = KMeansConfig::new(4).with_seed(1);
    let labels = fit(&config, &plain).labels().to_vec();
    for (what, points) in [
        ("huge", changed(&plain, |x| x * 1e36)),
        ("tiny", changed(&plain, |x| x * 1e-38)),
        ("far", changed(&plain, |x| x + 1e5)),
    ] {
        let clusters = fit(&config, &points);
        let score = adjusted_rand_index(clusters.labels(), &labels).expect("equal lengths");
        assert_eq!(score, 1.0, "{what} points");
        assert!(clusters.inertia().is_finite() && clusters.inertia() > 0.0, "{what}: {}", clusters.inertia());
    }
}

#[test]
fn cosine_ignores_lengths_and_centroids_are_unit() {
    let points = super::groups(70, 6, 5, 5.0, 13);
    let lengthened = Matrix::from_fn(70, 6, |i, j| points.view().row(i)[j] * 2f32.powi(i as i32 % 9 - 4));
    let config = KMeansConfig::new(5).with_metric(Metric::Cosine).with_seed(6);
    let (plain, other) = (fit(&config, &points), fit(&config, &lengthened));
    assert_eq!(plain.labels(), other.labels(), "lengths do not matter");
    let mut inertia = 0.0;
    for (i, &l) in plain.labels().iter().enumerate() {
        let (x, c) = (points.view().row(i), plain.centroids().view().row(l).to_vec());
        let dot =
            |a: &[f32], b: &[f32]| a.iter().zip(b).map(|(&a, &b)| f64::from(a) * f64::from(b)).sum::<f64>();
        assert!((dot(&c, &c) - 1.0).abs() < 1e-6, "centroid {l} has unit length");
        inertia += 1.0 - dot(x, &c) / dot(x, x).sqrt();
    }
    assert!((inertia - plain.inertia()).abs() < 1e-5, "inertia {} instead of {inertia}", plain.inertia());
    let opposite = Matrix::new(2, 2, vec![1., 0., -1., 0.]).expect("two rows");
    let one = fit(&KMeansConfig::new(1).with_metric(Metric::Cosine), &opposite);
    assert_eq!(one.inertia(), 2.0, "members that cancel have cosine 0 with their centroid");
    let gram = row_gram(&[opposite.view()]).expect("finite points");
    let in_gram = KMeansConfig::new(1).with_metric(Metric::Cosine).fit_gram(&gram).expect("a valid problem");
    assert_eq!(in_gram.inertia(), 2.0, "also in the Gram form");
}

#[test]
fn a_restart_is_kept_only_if_better() {
    let points = super::groups(150, 2, 9, 4.0, 14);
    let config = KMeansConfig::new(9).with_init(Init::Random).with_seed(2);
    let mut before = f64::INFINITY;
    let mut distinct = 0;
    for n_restarts in [1, 2, 4, 8, 16, 32] {
        let now = fit(&config.clone().with_n_restarts(n_restarts), &points).inertia();
        assert!(now <= before, "{n_restarts} restarts: {now} after {before}");
        distinct += usize::from(now < before);
        before = now;
    }
    assert!(distinct > 1, "restarts differ, or there was nothing to choose from");
}
