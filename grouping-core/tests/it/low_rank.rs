//! Factored algebra against the dense matrices that it never forms.

use faer::Mat;
use grouping_core::Error;
use grouping_core::low_rank::{
    Basis, Gram, LowRankSum, column_gram, combine_columns, combine_rows, row_gram,
};
use grouping_core::matrix::{Matrix, MatrixRef};
use grouping_core::testing::assert_refused;
use proptest::prelude::*;

/// `Σ wᵢ·Bᵢ·Aᵢ` formed in `f64`, row-major.
fn dense(shape: [usize; 2], terms: &[(f64, Matrix, Matrix)]) -> Vec<f64> {
    let mut out = vec![0.0; shape[0] * shape[1]];
    for (w, b, a) in terms {
        for i in 0..shape[0] {
            for (r, &v) in b.view().row(i).iter().enumerate() {
                for (o, &x) in out[i * shape[1]..][..shape[1]].iter_mut().zip(a.view().row(r)) {
                    *o += w * f64::from(v) * f64::from(x);
                }
            }
        }
    }
    out
}

fn norm(values: &[f64]) -> f64 {
    values.iter().map(|v| v * v).sum::<f64>().sqrt()
}

fn sum_of(shape: [usize; 2], terms: &[(f64, Matrix, Matrix)]) -> LowRankSum<'_> {
    terms.iter().fold(LowRankSum::new(shape[0], shape[1]), |sum, (w, b, a)| {
        sum.plus(*w, b.view(), a.view()).expect("factors fit by construction")
    })
}

fn matrix(n_rows: usize, n_cols: usize) -> impl Strategy<Value = Matrix> {
    prop::collection::vec(-2.0f32..2.0, n_rows * n_cols)
        .prop_map(move |v| Matrix::new(n_rows, n_cols, v).expect("length fits"))
}

/// One to three terms of rank 0 to 5 in up to 9 × 9: stacks narrower and wider than the matrix.
fn terms() -> impl Strategy<Value = ([usize; 2], Vec<(f64, Matrix, Matrix)>)> {
    (1usize..9, 1usize..9).prop_flat_map(|(m, n)| {
        let term = (0usize..5).prop_flat_map(move |r| (-2.0f64..2.0, matrix(m, r), matrix(r, n)));
        (Just([m, n]), prop::collection::vec(term, 1..4))
    })
}

proptest! {
    #[test]
    fn svd_gives_the_matrix_back((shape, terms) in terms()) {
        let full = dense(shape, &terms);
        let scale = norm(&full).max(1.0);
        let svd = sum_of(shape, &terms).svd().expect("finite factors");
        let k = svd.singular_values().len();
        prop_assert!(svd.singular_values().windows(2).all(|s| s[0] >= s[1]), "singular values fall");
        let again = dense(shape, &[(1.0, svd.left_scaled(k).expect("fits"), svd.right(k).expect("fits"))]);
        let error = norm(&full.iter().zip(&again).map(|(a, b)| a - b).collect::<Vec<_>>());
        prop_assert!(error <= 1e-6 * scale, "U·Σ·Vᵀ is off by {error} of {scale}");
        prop_assert!((svd.residual(0) - norm(&full)).abs() <= 1e-12 * scale, "Σ σ² is not ‖X‖²");
    }

    #[test]
    fn truncation_loses_what_it_says((shape, terms) in terms(), k in 0usize..4) {
        let svd = sum_of(shape, &terms).svd().expect("finite factors");
        let mut all = terms.clone();
        all.push((-1.0, svd.left_scaled(k).expect("fits"), svd.right(k).expect("fits")));
        let lost = norm(&dense(shape, &all));
        prop_assert!((lost - svd.residual(k)).abs() <= 1e-6 * norm(&dense(shape, &terms)).max(1.0),
            "lost {lost}, said {}", svd.residual(k));
    }

    #[test]
    fn bordered_inner_products_give_the_norm_of_a_difference((shape, terms) in terms(), seed: u64, k in 0usize..4) {
        let mut next = seed;
        let mut value = |_, _| {
            next = next.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            (next >> 40) as f32 / 2f32.powi(23) - 1.0
        };
        let (b, a) = (Matrix::from_fn(shape[0], k, &mut value), Matrix::from_fn(k, shape[1], &mut value));
        let sum = sum_of(shape, &terms);
        let bordered = sum.grams().and_then(|g| sum.grams_with(&g, b.view(), a.view())).expect("finite");
        let difference = sum.clone().plus(-1.0, b.view(), a.view()).expect("fits");
        prop_assert_eq!(bordered.left.len(), difference.n_units(), "the new units stand after the sum's");
        let found = difference.frobenius_norm_from(&bordered);
        let mut all = terms.clone();
        all.push((-1.0, b, a));
        let (want, parts) = (norm(&dense(shape, &all)), all.iter().map(|t| norm(&dense(shape, std::slice::from_ref(t)))).sum::<f64>());
        prop_assert!((found - want).abs() <= 1e-7 * parts.max(1e-30), "distance {found}, dense {want}");
    }

    #[test]
    fn inner_products_of_scaled_units_need_no_second_look((shape, terms) in terms(), by in -2.0..2.0f64) {
        let sum = sum_of(shape, &terms);
        let grams = sum.grams().expect("finite");
        let scales: Vec<[f64; 2]> = (0..sum.n_units()).map(|i| [by, 1.0 + i as f64]).collect();
        let found = grams.with_scaled_units(&scales).expect("one pair a unit");
        let scaled = Matrix::from_fn(sum.n_units(), shape[1], |i, j| {
            let rows: Vec<_> = terms.iter().flat_map(|(_, _, a)| (0..a.n_rows()).map(|r| a.view().row(r))).collect();
            (by * f64::from(rows[i][j])) as f32
        });
        let columns = Matrix::from_fn(shape[0], sum.n_units(), |_, _| 0.0);
        let expected = sum.grams_with(&grams, columns.view(), scaled.view()).expect("finite").right;
        let size: f64 = expected.values().iter().fold(1e-30, |m, v| v.abs().max(m));
        for (f, e) in found.right.values().iter().zip(expected.values()) {
            prop_assert!((f - e).abs() <= 1e-6 * size, "{f} against {e}");
        }
        assert_refused(grams.with_scaled_units(&[scales, vec![[1.0; 2]]].concat()), "scales of");
    }

    #[test]
    fn inner_products_of_combined_units_need_no_second_look((shape, terms) in terms(), k in 1usize..4, by in -2.0..2.0f64) {
        let sum = sum_of(shape, &terms);
        let grams = sum.grams().expect("finite");
        let n = sum.n_units();
        let value = |i: usize, j: usize| by + ((3 * i + 5 * j) % 7) as f64 / 3.0 - 1.0;
        let (c_a, c_b) = (Mat::from_fn(k, n, value), Mat::from_fn(n, k, |i, j| value(j, 2 * i)));
        let found = grams.with_combinations(c_a.as_ref(), c_b.as_ref()).expect("one factor a unit");
        let (a, b): (Vec<_>, Vec<_>) = terms.iter().map(|(_, b, a)| (a.view(), b.view())).unzip();
        let rows = combine_rows(c_a.as_ref(), &a).expect("fits");
        let columns = combine_columns(&b, c_b.as_ref()).expect("fits");
        let expected = sum.grams_with(&grams, columns.view(), rows.view()).expect("finite");
        for (found, expected) in [(found.left, expected.left), (found.right, expected.right)] {
            let size: f64 = expected.values().iter().fold(1e-30, |m, v| v.abs().max(m));
            for (f, e) in found.values().iter().zip(expected.values()) {
                prop_assert!((f - e).abs() <= 1e-6 * size, "{f} against {e}");
            }
        }
        let more = Mat::zeros(k, n + 1);
        assert_refused(grams.with_combinations(more.as_ref(), c_b.as_ref()), "expected shape");
    }

    #[test]
    fn a_basis_is_orthonormal_and_gives_the_units_back(a in matrix(4, 6), b in matrix(3, 6), scale in -20i32..20) {
        // Seven units in six dimensions, some of them of another magnitude.
        let b = Matrix::from_fn(3, 6, |i, j| b.view().row(i)[j] * 2f32.powi(scale));
        let parts = [a.view(), b.view()];
        let basis = Basis::of(&row_gram(&parts).expect("finite")).expect("inner products");
        prop_assert!(basis.len() <= 6, "{} vectors in six dimensions", basis.len());
        let vectors = combine_rows(basis.combination.transpose(), &parts).expect("fits");
        let again = combine_rows(basis.coordinates.transpose(), &[vectors.view()]).expect("fits");
        for (i, unit) in parts.iter().flat_map(|p| (0..p.n_rows()).map(|i| p.row(i))).enumerate() {
            let lost = norm(&unit.iter().zip(again.view().row(i)).map(|(x, y)| f64::from(x - y)).collect::<Vec<_>>());
            let length = norm(&unit.iter().map(|&v| f64::from(v)).collect::<Vec<_>>());
            prop_assert!(lost <= 1e-5 * length, "unit {i}: {lost} lost of {length}");
        }
    }

    #[test]
    fn combinations_of_rows_and_of_columns_agree(a in matrix(3, 700), b in matrix(2, 700), c in prop::collection::vec(-2.0f64..2.0, 10)) {
        let transposed = |m: &Matrix| Matrix::from_fn(m.n_cols(), m.n_rows(), |i, j| m.view().row(j)[i]);
        let c = Mat::from_fn(2, 5, |i, j| c[5 * i + j]);
        let rows = combine_rows(c.as_ref(), &[a.view(), b.view()]).expect("fits");
        let (at, bt) = (transposed(&a), transposed(&b));
        let columns = combine_columns(&[at.view(), bt.view()], c.transpose()).expect("fits");
        for t in 0..700 {
            for i in 0..2 {
                let units = (0..5).map(|j| if j < 3 { a.view().row(j)[t] } else { b.view().row(j - 3)[t] });
                let want: f64 = units.enumerate().map(|(j, v)| c[(i, j)] * f64::from(v)).sum();
                for found in [rows.view().row(i)[t], columns.view().row(t)[i]] {
                    prop_assert!((f64::from(found) - want).abs() <= 1e-6, "{found}, want {want}");
                }
            }
        }
        assert_refused(combine_rows(c.as_ref(), &[a.view()]), "units of a combination: expected");
    }

    #[test]
    fn norm_is_the_dense_norm((shape, terms) in terms()) {
        let (found, want) = (sum_of(shape, &terms).frobenius_norm().expect("finite"), norm(&dense(shape, &terms)));
        let parts: f64 = terms.iter().map(|t| norm(&dense(shape, std::slice::from_ref(t)))).sum();
        prop_assert!((found - want).abs() <= 1e-7 * parts.max(1e-30), "norm {found}, dense {want}");
    }

    #[test]
    fn grams_are_inner_products(a in matrix(3, 700), b in matrix(700, 3), c in matrix(2, 700), d in matrix(700, 2)) {
        let g = row_gram(&[a.view(), c.view()]).expect("finite").plus(&column_gram(&[b.view(), d.view()]).expect("finite")).expect("same number of units");
        let unit = |i: usize| -> Vec<f64> {
            let (m, n, i) = if i < 3 { (&a, &b, i) } else { (&c, &d, i - 3) };
            let column = (0..700).map(|t| n.view().row(t)[i]);
            m.view().row(i).iter().copied().chain(column).map(f64::from).collect()
        };
        for i in 0..5 {
            for j in 0..5 {
                let want: f64 = unit(i).iter().zip(unit(j)).map(|(x, y)| x * y).sum();
                prop_assert!((g.at(i, j) - want).abs() < 1e-9, "G[{i}, {j}] = {}, want {want}", g.at(i, j));
            }
        }
    }
}

#[test]
fn singular_vectors_are_orthonormal_or_zero_when_units_repeat() {
    let b = Matrix::from_fn(6, 2, |i, _| i as f32 + 1.0);
    let a = Matrix::from_fn(2, 5, |_, j| j as f32 - 1.5);
    let svd = LowRankSum::new(6, 5).plus(1.0, b.view(), a.view()).and_then(|s| s.svd()).expect("finite");
    assert!(svd.singular_values()[1] < 1e-12 * svd.singular_values()[0], "two equal units have rank one");
    let u = column_gram(&[svd.left(2).expect("fits").view()]).expect("finite");
    for (t, want) in [1.0, 0.0, 0.0, 0.0].into_iter().enumerate() {
        assert!((u.values()[t] - want).abs() < 1e-6, "UᵀU = {:?}", u.values());
    }
}

#[test]
fn a_sum_of_zeros_has_no_direction() {
    let (b, a) = (Matrix::zeros(4, 2), Matrix::from_fn(2, 5, |i, j| (i + j) as f32));
    let svd = LowRankSum::new(4, 5).plus(1.0, b.view(), a.view()).and_then(|s| s.svd()).expect("finite");
    assert_eq!(svd.singular_values(), [0.0, 0.0], "one value a unit");
    assert_eq!(svd.left_scaled(1).expect("fits"), Matrix::zeros(4, 1), "no left vector");
    assert_eq!(svd.right(1).expect("fits"), Matrix::zeros(1, 5), "no right vector");
}

#[test]
fn singular_values_keep_a_wide_range() {
    let scales = [1e3f32, 1.0, 1e-3];
    let b = Matrix::from_fn(50, 3, |i, j| if i == 7 * j { 1.0 } else { 0.0 });
    let a = Matrix::from_fn(3, 40, |i, j| if j == 11 * i { scales[i] } else { 0.0 });
    let svd = LowRankSum::new(50, 40).plus(-1.0, b.view(), a.view()).and_then(|s| s.svd()).expect("finite");
    for (found, want) in svd.singular_values().iter().zip(scales) {
        let want = f64::from(want);
        assert!((found - want).abs() < 1e-12 * want, "σ = {found}, want {want}");
    }
}

#[test]
fn wrong_shapes_and_values_are_named() {
    let (b, a) = (Matrix::zeros(4, 2), Matrix::zeros(3, 5));
    let error = LowRankSum::new(4, 5).plus(1.0, b.view(), a.view()).expect_err("ranks differ");
    let want = Error::Shape { what: "left factor".into(), expected: vec![4, 3], found: vec![4, 2] };
    assert_eq!(error, want, "the inner dimensions differ");
    let bad = Matrix::new(1, 2, vec![1.0, f32::NAN]).expect("length fits");
    assert!(matches!(row_gram(&[bad.view()]), Err(Error::NotFinite { .. })), "NaN in a factor");
    let one = Matrix::from_fn(3, 1, |_, _| 1.0);
    let svd = LowRankSum::new(3, 2).plus(1.0, one.view(), bad.view()).and_then(|s| s.svd());
    assert!(matches!(svd, Err(Error::NotFinite { index: 1, .. })), "NaN reaches the SVD");
    assert!(matches!(Gram::new(2, vec![0.0; 3]), Err(Error::Shape { .. })), "three values are no 2 × 2");
    assert_refused(MatrixRef::new(usize::MAX, 2, &[]), "matrix: expected shape");
    assert_refused(
        row_gram(&[Matrix::zeros(1, 2).view(), Matrix::zeros(1, 3).view()]),
        "expected shape [2], found [3]",
    );
}
