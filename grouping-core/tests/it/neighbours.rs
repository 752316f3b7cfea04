//! Farthest points and nearest neighbours: equal to the sequential loops and to PyTorch (`oracles/grouping-core/neighbours.py`).

use grouping_core::matrix::{Matrix, MatrixRef};
use grouping_core::neighbours::{FarthestConfig, farthest_points, nearest_points};
use grouping_core::seed::sequence;
use grouping_core::testing::assert_refused;
use proptest::prelude::*;
use serde::Deserialize;

fn square_distance(a: &[f32], b: &[f32]) -> f32 {
    a.iter().zip(b).fold(0.0, |sum, (a, b)| sum + (a - b) * (a - b))
}

/// The loop that every other form has to equal.
fn farthest_by_loop(
    points: MatrixRef<'_>,
    n_samples: usize,
    start: usize,
    skip_within: Option<f32>,
) -> Vec<usize> {
    let zero = vec![0.0; points.n_cols()];
    let is_skipped =
        |i: usize| skip_within.is_some_and(|bound| square_distance(points.row(i), &zero) <= bound);
    let mut distances = vec![f32::INFINITY; points.n_rows()];
    let mut samples = vec![start];
    while samples.len() < n_samples {
        let last = points.row(samples[samples.len() - 1]);
        let (mut best, mut most) = (0, -1.0);
        for i in (0..points.n_rows()).filter(|&i| !is_skipped(i)) {
            let distance = square_distance(points.row(i), last);
            distances[i] = if distance < distances[i] { distance } else { distances[i] };
            if distances[i] > most {
                (best, most) = (i, distances[i]);
            }
        }
        samples.push(best);
    }
    samples
}

/// All distances, sorted by (distance, index).
fn nearest_by_sort(points: MatrixRef<'_>, query: &[f32], k: usize) -> (Vec<u32>, Vec<f32>) {
    let mut all: Vec<(f32, u32)> =
        (0..points.n_rows()).map(|i| (square_distance(points.row(i), query), i as u32)).collect();
    all.sort_by(|a, b| a.0.total_cmp(&b.0).then(a.1.cmp(&b.1)));
    all[..k].iter().map(|&(distance, index)| (index, distance)).unzip()
}

/// Points of some kind: spread, on a coarse grid with many ties, all alike, far from zero, or so large that squares overflow.
fn points(n: usize, d: usize, kind: usize, seed: u64) -> Matrix {
    Matrix::from_fn(n, d, |i, j| {
        let draw = (sequence(seed, (i * d + j) as u64) >> 40) as f32 / (1u64 << 23) as f32 - 1.0;
        match kind {
            0 => draw,
            1 => (draw * 2.0).round(),
            2 => 0.25,
            3 => 1e4 + draw,
            _ => draw * 3e38,
        }
    })
}

fn assert_neighbours(points: MatrixRef<'_>, queries: MatrixRef<'_>, k: usize) {
    let found = nearest_points(points, queries, k).expect("neighbours");
    for i in 0..queries.n_rows() {
        let (indices, distances) = nearest_by_sort(points, queries.row(i), k);
        assert_eq!(found.indices()[i * k..][..k], indices, "neighbours of query {i}");
        assert_eq!(found.distances()[i * k..][..k], distances, "distances of query {i}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn farthest_points_are_those_of_the_loop(
        n in 1usize..1500, d in 1usize..16, kind in 0usize..5, share in 0.0f64..0.2, seed in any::<u64>(),
    ) {
        let points = points(n, d, kind, seed);
        let (n_samples, start) = (1 + (share * n as f64) as usize, seed as usize % n);
        let found = farthest_points(points.view(), &FarthestConfig::new(n_samples).with_start(start)).expect("samples");
        prop_assert_eq!(found, farthest_by_loop(points.view(), n_samples, start, None));
    }

    #[test]
    fn points_near_the_origin_are_passed_over(
        n in 40usize..400, d in 1usize..5, kind in 0usize..2, bound in 0.0f32..0.5, seed in any::<u64>(),
    ) {
        let points = points(n, d, kind, seed);
        let config = FarthestConfig::new(5).with_start(3).with_skip_within(bound);
        if let Ok(found) = farthest_points(points.view(), &config) {
            prop_assert_eq!(found, farthest_by_loop(points.view(), 5, 3, Some(bound)));
        } else {
            let zero = vec![0.0; d];
            let n_left = (0..n).filter(|&i| i == 3 || square_distance(points.view().row(i), &zero) > bound).count();
            prop_assert!(n_left < 5, "refused although {} points are left", n_left);
        }
    }

    #[test]
    fn neighbours_are_those_of_a_sort(
        n in 1usize..1500, d in 1usize..16, kind in 0usize..5, share in 0.0f64..=1.0, seed in any::<u64>(),
    ) {
        let all = points(n, d, kind, seed);
        let k = 1 + (share * share * share * (n - 1) as f64) as usize;
        assert_neighbours(all.view(), points(7, d, kind, seed ^ 1).view(), k);
        assert_neighbours(all.view(), MatrixRef::new(1, d, all.view().row(n / 2)).expect("a point"), k);
    }
}

#[test]
fn results_do_not_depend_on_threads() {
    let points = points(3000, 3, 1, 5);
    let in_pool = |n_threads: usize| {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(n_threads).build().expect("a pool");
        pool.install(|| nearest_points(points.view(), points.view(), 9).expect("neighbours"))
    };
    assert_eq!(in_pool(1), in_pool(3), "one and three threads");
}

#[derive(Deserialize)]
struct Golden {
    cases: Vec<Case>,
}

#[derive(Deserialize)]
struct Case {
    name: String,
    n_dims: usize,
    points: Vec<f32>,
    start: usize,
    skip_within: Option<f32>,
    samples: Vec<usize>,
    k: usize,
    neighbours: Vec<u32>,
    distances: Vec<f32>,
}

#[test]
fn samples_and_neighbours_are_those_of_pytorch() {
    let golden: Golden =
        serde_json::from_str(include_str!("../data/neighbours.json")).expect("the golden file parses");
    for case in golden.cases {
        let (name, n) = (&case.name, case.points.len() / case.n_dims);
        let points = Matrix::new(n, case.n_dims, case.points).expect("whole points");
        let mut config = FarthestConfig::new(case.samples.len()).with_start(case.start);
        if let Some(bound) = case.skip_within {
            config = config.with_skip_within(bound);
        }
        let samples = farthest_points(points.view(), &config).expect("samples");
        assert_eq!(samples, case.samples, "{name}: samples");
        let centres = Matrix::from_fn(samples.len(), case.n_dims, |i, j| points.view().row(samples[i])[j]);
        let near = nearest_points(points.view(), centres.view(), case.k).expect("neighbours");
        assert_eq!(near.indices(), case.neighbours, "{name}: neighbours");
        assert_eq!(near.distances(), case.distances, "{name}: distances");
    }
}

#[test]
fn what_does_not_fit_is_refused() {
    let four = Matrix::new(4, 2, vec![0., 0., 1., 0., 0., 1., 5., 5.]).expect("points");
    let sample = |config: FarthestConfig| farthest_points(four.view(), &config);
    assert_refused(sample(FarthestConfig::new(5)), "n_samples: expected at least 1 and at most the 4 points");
    assert_refused(sample(FarthestConfig::new(0)), "n_samples: expected at least 1");
    assert_refused(sample(FarthestConfig::new(1).with_start(4)), "start: expected one of 4 points, found 4");
    assert_refused(
        sample(FarthestConfig::new(4).with_start(1).with_skip_within(1.0)),
        "at most the 2 points",
    );
    assert_refused(
        sample(FarthestConfig::new(1).with_skip_within(f32::NAN)),
        "skip_within: expected a number",
    );
    let near = |queries: &Matrix, k: usize| nearest_points(four.view(), queries.view(), k);
    assert_refused(near(&four, 5), "k: expected at least 1 and at most the 4 points, found 5");
    assert_refused(near(&four, 0), "k: expected at least 1");
    assert_refused(near(&Matrix::zeros(2, 3), 1), "queries: expected shape [2, 2], found [2, 3]");
    let bad = Matrix::new(2, 2, vec![0., 1., 2., f32::NAN]).expect("points");
    assert_refused(near(&bad, 1), "queries: value NaN at index 3");
    assert_refused(nearest_points(bad.view(), four.view(), 1), "points: value NaN at index 3");
    assert_refused(farthest_points(bad.view(), &FarthestConfig::new(1)), "points: value NaN at index 3");
    assert_refused(
        farthest_points(Matrix::zeros(2, 0).view(), &FarthestConfig::new(1)),
        "at least one dimension",
    );
    assert_refused(farthest_points(Matrix::zeros(0, 2).view(), &FarthestConfig::new(1)), "one of 0 points");
    assert_eq!(
        near(&Matrix::zeros(0, 2), 1).expect("no query").indices(),
        [0u32; 0],
        "no query, no neighbours"
    );
}
