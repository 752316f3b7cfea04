//! Low-rank approximations from row tiles, and magnitudes counted in passes, against dense algebra and sorting.

use faer::Mat;
use grouping_core::Error;
use grouping_core::low_rank::{RowTiles, Truncation, truncate};
use grouping_core::matrix::{Matrix, MatrixRef};
use grouping_core::stats::magnitude::{CoarseCounts, FineCounts, magnitude_bits};
use proptest::prelude::*;
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

/// A matrix in tiles of a given number of rows.
struct Tiled<'a>(&'a Matrix, usize);

impl RowTiles for Tiled<'_> {
    fn shape(&self) -> [usize; 2] {
        [self.0.n_rows(), self.0.n_cols()]
    }

    fn for_each_tile(&self, visit: &mut dyn FnMut(MatrixRef<'_>)) {
        for rows in self.0.values().chunks(self.1 * self.0.n_cols()) {
            visit(MatrixRef::new(rows.len() / self.0.n_cols(), self.0.n_cols(), rows).expect("whole rows"));
        }
    }
}

/// Singular values and the best approximation at rank `k`, `[n_rows, n_cols]`, by a dense SVD in `f64`.
fn dense(x: &Matrix, k: usize) -> (Vec<f64>, Vec<f64>) {
    let mat = Mat::from_fn(x.n_rows(), x.n_cols(), |i, j| f64::from(x.view().row(i)[j]));
    let svd = mat.thin_svd().expect("an SVD");
    let s: Vec<f64> = svd.S().column_vector().iter().copied().collect();
    let k = k.min(s.len());
    let best = Mat::from_fn(x.n_rows(), x.n_cols(), |i, j| {
        (0..k).map(|c| svd.U()[(i, c)] * s[c] * svd.V()[(j, c)]).sum::<f64>()
    });
    (s, (0..x.values().len()).map(|t| best[(t / x.n_cols(), t % x.n_cols())]).collect())
}

fn product(found: &Truncation) -> Vec<f64> {
    let (left, right) = (found.left_scaled.view(), found.right.view());
    let dot = |i: usize, j: usize| {
        left.row(i).iter().enumerate().map(|(c, &u)| f64::from(u) * f64::from(right.row(c)[j])).sum::<f64>()
    };
    (0..left.n_rows() * right.n_cols()).map(|t| dot(t / right.n_cols(), t % right.n_cols())).collect()
}

fn distance(a: &[f64], b: &[f64]) -> f64 {
    a.iter().zip(b).map(|(a, b)| (a - b).powi(2)).sum::<f64>().sqrt()
}

fn uniform(n_rows: usize, n_cols: usize, seed: u64) -> Matrix {
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    Matrix::from_fn(n_rows, n_cols, |_, _| rng.random_range(-1.0f32..1.0))
}

/// `Σ valuesᵢ·uᵢ·vᵢᵀ` with random orthonormal `u` and `v`.
fn with_spectrum(n_rows: usize, n_cols: usize, values: &[f64], seed: u64) -> Matrix {
    let basis = |n: usize, seed: u64| {
        let m = uniform(n, values.len(), seed);
        Mat::from_fn(n, values.len(), |i, j| f64::from(m.view().row(i)[j])).qr().compute_thin_Q()
    };
    let (u, v) = (basis(n_rows, seed), basis(n_cols, seed + 1));
    Matrix::from_fn(n_rows, n_cols, |i, j| {
        values.iter().enumerate().map(|(c, s)| u[(i, c)] * s * v[(j, c)]).sum::<f64>() as f32
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(40))]

    #[test]
    fn small_matrices_are_approximated_as_by_a_dense_svd(
        (n_rows, n_cols) in (1usize..40, 1usize..40), k in 1usize..12, tile in 1usize..9, seed: u64,
    ) {
        let x = uniform(n_rows, n_cols, seed);
        let (s, best) = dense(&x, k);
        let found = truncate(&Tiled(&x, tile), k, seed).expect("finite values");
        prop_assert_eq!(found.singular_values.len(), k);
        for (i, &value) in found.singular_values.iter().enumerate() {
            let expected = s.get(i).copied().unwrap_or(0.0);
            prop_assert!((value - expected).abs() <= 1e-6 * s[0], "σ{i}: {value} against {expected}");
        }
        let tail = s.iter().skip(k).map(|v| v * v).sum::<f64>().sqrt();
        prop_assert!((found.residual - tail).abs() <= 1e-6 * s[0], "residual {} against {tail}", found.residual);
        // Without a gap, the approximation is not one.
        if s.len() <= k || s[k] < 0.99 * s[k - 1] {
            let error = distance(&product(&found), &best);
            prop_assert!(error <= 1e-5 * found.norm, "‖found − best‖ = {error} of {}", found.norm);
        }
        for j in 0..k {
            let column: Vec<f32> = (0..n_rows).map(|i| found.left_scaled.view().row(i)[j]).collect();
            let peak = column.iter().fold(0.0f32, |p, &v| if v.abs() > p.abs() { v } else { p });
            prop_assert!(peak >= 0.0, "the sign of component {j} is fixed");
        }
    }

    #[test]
    fn the_kth_magnitude_is_that_of_sorting(
        values in prop::collection::vec(prop_oneof![-4.0f32..4.0, (-3i8..3).prop_map(f32::from), any::<f32>()], 1..300),
        share in 0.0..=1.0f64, at in 0usize..300,
    ) {
        let k = ((values.len() as f64 * share) as usize).max(1);
        let (left, right) = values.split_at(at.min(values.len()));
        let mut coarse = CoarseCounts::new();
        coarse.count(left);
        let mut other = CoarseCounts::new();
        other.count(right);
        coarse.add(&other);
        let bucket = coarse.bucket(k as u64).expect("there are k values");
        let (mut fine, mut other) = (FineCounts::new(bucket), FineCounts::new(bucket));
        other.count(left);
        fine.count(right);
        fine.add(&other);
        let kth = fine.kth().expect("the values of the first pass");
        let mut sorted: Vec<u32> = values.iter().map(|&v| magnitude_bits(v)).collect();
        sorted.sort_unstable_by(|a, b| b.cmp(a));
        prop_assert_eq!(kth.bits, sorted[k - 1]);
        prop_assert_eq!(kth.n_equal, sorted.iter().filter(|&&b| b == kth.bits).count() as u64);
        prop_assert_eq!(kth.n_equal_wanted, sorted[..k].iter().filter(|&&b| b == kth.bits).count() as u64);
        prop_assert!(coarse.bucket(0).is_none(), "there is no zeroth value");
        prop_assert!(coarse.bucket(values.len() as u64 + 1).is_none(), "nor one after the last");
    }
}

#[test]
fn a_gap_is_found_to_single_precision_in_few_passes() {
    // 100, 90, …, 30 | 20, 19.9, …: a gap after eight, and a long tail that outweighs them.
    let values: Vec<f64> = (0..8)
        .map(|i| 100.0 - 10.0 * f64::from(i))
        .chain((0..150).map(|i| 20.0 - 0.1 * f64::from(i)))
        .collect();
    let x = with_spectrum(300, 220, &values, 3);
    let (s, best) = dense(&x, 8);
    let found = truncate(&Tiled(&x, 64), 8, 1).expect("finite values");
    for (value, expected) in found.singular_values.iter().zip(&s) {
        assert!((value / expected - 1.0).abs() < 1e-9, "{value} against {expected}");
    }
    let error = distance(&product(&found), &best) / s[0];
    assert!(error < 1e-6, "‖found − best‖ = {error:.1e} of σ₁");
    assert!(found.n_passes <= 10, "{} passes", found.n_passes);
}

#[test]
fn without_a_gap_the_residual_is_almost_the_least() {
    let x = uniform(700, 500, 5);
    for k in [1, 8, 40] {
        let (s, _) = dense(&x, k);
        let least = s[k..].iter().map(|v| v * v).sum::<f64>().sqrt();
        let found = truncate(&Tiled(&x, 128), k, 2).expect("finite values");
        let excess = found.residual / least - 1.0;
        assert!((-1e-9..1e-5).contains(&excess), "rank {k}: excess residual {excess:.1e}");
        let formed = product(&found);
        let x: Vec<f64> = x.values().iter().map(|&v| f64::from(v)).collect();
        let residual = distance(&x, &formed);
        assert!(
            (residual / found.residual - 1.0).abs() < 1e-6,
            "the reported residual is that of the factors"
        );
        assert!(found.n_passes < 24, "rank {k}: {} passes", found.n_passes);
    }
}

#[test]
fn low_rank_and_zero_matrices_end_at_once() {
    let x = with_spectrum(60, 50, &[5.0, 1.0, 1e-3], 7);
    let found = truncate(&x.view(), 5, 0).expect("finite values");
    // The matrix itself is rounded to f32.
    assert!(found.residual < 1e-6, "rank 3 is kept in full: {}", found.residual);
    assert!(found.n_passes <= 3, "{} passes", found.n_passes);
    let zero = truncate(&Matrix::zeros(6, 4).view(), 2, 0).expect("finite values");
    assert_eq!((zero.norm, zero.residual), (0.0, 0.0), "zero is approximated by zero");
    assert!(zero.left_scaled.values().iter().all(|&v| v == 0.0), "its left factor is zero");
    assert!(zero.right.values().iter().all(|v| v.is_finite()), "its right factor is finite");
    let empty = truncate(&Matrix::zeros(0, 4).view(), 2, 0).expect("nothing to read");
    assert_eq!(empty.singular_values, [0.0, 0.0], "no rows, no singular values");
}

#[test]
fn values_that_are_not_finite_are_named() {
    let mut x = uniform(20, 10, 1);
    x.values_mut()[57] = f32::NAN;
    match truncate(&Tiled(&x, 4), 2, 0) {
        Err(Error::NotFinite { index, .. }) => assert_eq!(index, 57, "its flat index is named"),
        other => panic!("NaN was taken: {other:?}"),
    }
}

#[test]
fn one_seed_gives_one_result() {
    let x = uniform(90, 70, 4);
    let with = |seed| truncate(&Tiled(&x, 16), 3, seed).expect("finite values").left_scaled;
    assert_eq!(with(1), with(1), "to the bit");
}
