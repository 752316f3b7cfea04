//! Correlations against NumPy and SciPy (`oracles/grouping-core/correlation.py`), and their invariants.

use burn::tensor::{DType, Device, Tensor, TensorData};
use grouping_core::Error;
use grouping_core::correlation::{
    Correlations, Measure, correlation_between, correlation_tensor, correlation_within,
};
use grouping_core::matrix::{Matrix, MatrixRef};
use proptest::prelude::*;
use serde::Deserialize;

const MEASURES: [Measure; 3] = [Measure::Pearson, Measure::Spearman, Measure::Cosine];

#[derive(Deserialize)]
struct Golden {
    cases: Vec<Case>,
}

#[derive(Deserialize)]
struct Case {
    name: String,
    n_cols: usize,
    x: Vec<f32>,
    y: Vec<f32>,
    pearson: Vec<Option<f64>>,
    spearman: Vec<Option<f64>>,
    cosine: Vec<Option<f64>>,
    within: Vec<Option<f64>>,
}

impl Case {
    fn expected(&self, measure: Measure) -> &[Option<f64>] {
        match measure {
            Measure::Spearman => &self.spearman,
            Measure::Cosine => &self.cosine,
            _ => &self.pearson,
        }
    }

    fn matrices(&self) -> [Matrix; 2] {
        let matrix = |values: &[f32]| Matrix::new(values.len() / self.n_cols, self.n_cols, values.to_vec());
        [matrix(&self.x).expect("whole rows"), matrix(&self.y).expect("whole rows")]
    }
}

fn golden() -> Vec<Case> {
    let golden: Golden =
        serde_json::from_str(include_str!("../data/correlation.json")).expect("the golden file parses");
    golden.cases
}

fn assert_close(found: &[f64], expected: &[Option<f64>], tolerance: f64, what: &str) {
    assert_eq!(found.len(), expected.len(), "{what}: number of values");
    for (i, (found, expected)) in found.iter().zip(expected).enumerate() {
        let is_close = expected.map_or(found.is_nan(), |e| (found - e).abs() <= tolerance);
        assert!(is_close, "{what}, value {i}: {found} instead of {expected:?}");
    }
}

fn between(x: &Matrix, y: &Matrix, measure: Measure) -> Correlations {
    correlation_between(x.view(), y.view(), measure).expect("finite rows of one length")
}

fn within(x: &Matrix, measure: Measure) -> Correlations {
    correlation_within(x.view(), measure).expect("finite rows")
}

fn tensor(m: &Matrix, device: &Device) -> Tensor<2> {
    Tensor::from_data(TensorData::new(m.values().to_vec(), [m.n_rows(), m.n_cols()]), (device, DType::F32))
}

/// Values that are all alike to the last digits of `f32`, and that vary.
fn random(n_rows: usize, n_cols: usize, seed: u64) -> Matrix {
    Matrix::from_fn(n_rows, n_cols, |i, j| {
        let draw = grouping_core::seed::sequence(seed, (i * n_cols + j) as u64) >> 40;
        draw as f32 / (1u64 << 24) as f32 + if j % 3 == i % 3 { 0.7 } else { 0.0 }
    })
}

#[test]
fn they_equal_numpys_and_scipys() {
    for case in golden() {
        let [x, y] = case.matrices();
        for measure in MEASURES {
            let found = between(&x, &y, measure);
            assert_eq!((found.n_rows(), found.n_cols()), (x.n_rows(), y.n_rows()), "{}: shape", case.name);
            assert_close(
                found.values(),
                case.expected(measure),
                1e-12,
                &format!("{}, {measure:?}", case.name),
            );
        }
        let found = within(&x, Measure::Pearson);
        assert_close(found.values(), &case.within, 1e-12, &format!("{}, within", case.name));
    }
}

fn assert_tensors_agree(device: &Device) {
    for case in golden() {
        let [x, y] = case.matrices();
        for measure in MEASURES {
            let found = correlation_tensor(tensor(&x, device), tensor(&y, device), measure);
            let found: Vec<f64> =
                found.expect("rows of one length").try_into_vec_as().expect("values from the device");
            // Far from zero the spread of the rows is a few units in the last place of f32.
            let what = format!("{}, {measure:?}, tensor", case.name);
            assert_close(&found, case.expected(measure), 1e-5, &what);
        }
    }
}

#[test]
fn tensors_have_the_same_correlations() {
    assert_tensors_agree(&Device::flex());
}

fn assert_rows_lack(device: &Device) {
    let whole = random(3, 5, 7);
    for bad in [f32::NAN, f32::INFINITY, f32::NEG_INFINITY] {
        let mut x = whole.clone();
        x.values_mut()[7] = bad;
        for measure in MEASURES {
            let of = |x: &Matrix, y: &Matrix| -> Vec<f64> {
                let r = correlation_tensor(tensor(x, device), tensor(y, device), measure);
                r.expect("rows of one length").try_into_vec_as().expect("values from the device")
            };
            let (rows, columns, without) = (of(&x, &whole), of(&whole, &x), between(&whole, &whole, measure));
            for i in 0..3 {
                for j in 0..3 {
                    let expected = |row: usize| [(row != 1).then(|| without.at(i, j))];
                    let what = format!("{bad}, {measure:?}, {i} and {j}");
                    assert_close(&[rows[i * 3 + j]], &expected(i), 1e-5, &what);
                    assert_close(&[columns[i * 3 + j]], &expected(j), 1e-5, &what);
                }
            }
        }
    }
}

#[test]
fn a_row_of_a_tensor_that_is_not_finite_has_no_correlations() {
    assert_rows_lack(&Device::flex());
}

/// On another device than the CPU.
#[cfg(feature = "wgpu")]
#[test]
fn wgpu_correlates_as_the_cpu_does() {
    let Some(gpu) = crate::device::adapter("wgpu_correlates_as_the_cpu_does") else { return };
    assert_tensors_agree(&gpu);
    assert_rows_lack(&gpu);
}

#[test]
fn gradients_pass_through_tensors() {
    let x = tensor(&random(3, 6, 1), &Device::flex().autodiff()).require_grad();
    let y = tensor(&random(2, 6, 2), &Device::flex().autodiff());
    let sum = |x: Tensor<2>| {
        let r = correlation_tensor(x, y.clone(), Measure::Pearson).expect("rows of one length");
        r.slice([0..1, 0..1]).sum()
    };
    let gradient = x.grad(&sum(x.clone()).backward()).expect("a gradient");
    let gradient: Vec<f32> = gradient.try_into_vec_as().expect("values");
    let values = random(3, 6, 1);
    assert_eq!(gradient.len(), 18, "one for each value of x");
    for (place, &found) in gradient.iter().enumerate() {
        let at = |step: f32| {
            let mut moved = values.clone();
            moved.values_mut()[place] += step;
            let y = random(2, 6, 2);
            between(&moved, &y, Measure::Pearson).at(0, 0)
        };
        let expected = (at(1e-2) - at(-1e-2)) / 2e-2;
        let found = f64::from(found);
        assert!((found - expected).abs() < 1e-3, "value {place}: {found} instead of {expected}");
    }
}

/// More rows than a tile and more columns than a panel.
#[test]
fn tiles_join_to_the_whole_with_any_number_of_threads() {
    let x = random(401, 300, 3);
    for measure in MEASURES {
        let on = |n_threads: usize| {
            let pool = rayon::ThreadPoolBuilder::new().num_threads(n_threads).build().expect("a pool");
            pool.install(|| within(&x, measure))
        };
        let whole = on(1);
        for n_threads in [2, 5] {
            let bits = |r: &Correlations| r.values().iter().map(|v| v.to_bits()).collect::<Vec<_>>();
            assert_eq!(bits(&on(n_threads)), bits(&whole), "{measure:?} on {n_threads} threads");
        }
        let all = between(&x, &x, measure);
        let part = |first: usize, n: usize| Matrix::from_fn(n, 300, |i, j| x.view().row(first + i)[j]);
        let corner = between(&part(390, 11), &part(3, 20), measure);
        for i in 0..401 {
            for j in 0..401 {
                let (one, other) = (whole.at(i, j), all.at(i, j));
                assert!((one - other).abs() < 1e-14, "{measure:?} at {i}, {j}: {one} and {other}");
            }
        }
        for i in 0..11 {
            for j in 0..20 {
                let (one, other) = (corner.at(i, j), whole.at(390 + i, 3 + j));
                assert!((one - other).abs() < 1e-14, "{measure:?}, corner {i}, {j}: {one} and {other}");
            }
        }
    }
}

#[test]
fn what_cannot_be_correlated_is_refused() {
    let narrow = MatrixRef::new(2, 0, &[]).expect("no columns");
    let error = correlation_within(narrow, Measure::Cosine).expect_err("no columns");
    assert!(error.to_string().contains("at least one"), "{error}");
    let (x, y) = (random(2, 3, 1), random(2, 4, 1));
    let error = correlation_between(x.view(), y.view(), Measure::Pearson).expect_err("other columns");
    let (expected, found) = (vec![2, 3], vec![2, 4]);
    assert_eq!(error, Error::Shape { what: "second matrix".into(), expected, found });
    let device = Device::flex();
    let error = correlation_tensor(tensor(&x, &device), tensor(&y, &device), Measure::Pearson);
    assert!(error.expect_err("other columns").to_string().contains("second tensor"), "tensors");
    for bad in [f32::NAN, f32::INFINITY] {
        let mut x = x.clone();
        x.values_mut()[4] = bad;
        for measure in MEASURES {
            let error = correlation_within(x.view(), measure).expect_err("not finite");
            assert!(matches!(error, Error::NotFinite { index: 4, .. }), "{error}");
            let error =
                correlation_between(random(1, 3, 2).view(), x.view(), measure).expect_err("not finite");
            assert!(error.to_string().starts_with("second matrix"), "{error}");
        }
    }
    let none = correlation_within(MatrixRef::new(0, 3, &[]).expect("no rows"), Measure::Spearman);
    assert_eq!(none.expect("no rows").values(), [0.0; 0], "nothing of nothing");
}

/// Rows of few values, so that ties and constant rows happen, or of many.
fn rows() -> impl Strategy<Value = Matrix> {
    (1usize..7, 1usize..12, any::<bool>()).prop_flat_map(|(n, d, few)| {
        let value = if few {
            prop_oneof![Just(0.0f32), Just(1.0), Just(-2.0)].boxed()
        } else {
            (-9.0f32..9.0).boxed()
        };
        prop::collection::vec(value, n * d).prop_map(move |v| Matrix::new(n, d, v).expect("whole rows"))
    })
}

fn are_equal(a: f64, b: f64, tolerance: f64) -> bool {
    (a.is_nan() && b.is_nan()) || (a - b).abs() <= tolerance
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 128, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn symmetric_bounded_and_one_on_the_diagonal(x in rows()) {
        for measure in MEASURES {
            let r = within(&x, measure);
            for i in 0..x.n_rows() {
                prop_assert!(r.at(i, i) == 1.0 || r.at(i, i).is_nan(), "{:?}: {} on the diagonal", measure, r.at(i, i));
                for j in 0..x.n_rows() {
                    let (one, other) = (r.at(i, j), r.at(j, i));
                    prop_assert_eq!(one.to_bits(), other.to_bits(), "{:?}: {} and {}", measure, i, j);
                    prop_assert!(one.is_nan() || (-1.0..=1.0).contains(&one), "{:?}: {}", measure, one);
                    let lacks = r.at(i, i).is_nan() || r.at(j, j).is_nan();
                    prop_assert_eq!(one.is_nan(), lacks, "{:?}: {} and {}", measure, i, j);
                }
            }
        }
    }

    #[test]
    fn affine_maps_change_at_most_the_sign(x in rows(), scale in 0.25f32..4.0, shift in -3.0f32..3.0, is_negative in any::<bool>()) {
        let sign = if is_negative { -1.0 } else { 1.0 };
        let mapped = |shift: f32| {
            let mut m = x.clone();
            m.values_mut().iter_mut().for_each(|v| *v = sign * scale * *v + shift);
            m
        };
        for (measure, shift) in [(Measure::Pearson, shift), (Measure::Spearman, 0.0), (Measure::Cosine, 0.0)] {
            let (plain, moved) = (within(&x, measure), between(&x, &mapped(shift), measure));
            for (p, m) in plain.values().iter().zip(moved.values()) {
                // The mapped values are rounded to f32; few values may move less than they are apart.
                prop_assert!(are_equal(f64::from(sign) * p, *m, 1e-4), "{:?}: {} became {}", measure, p, m);
            }
        }
    }

    #[test]
    fn monotone_maps_do_not_change_spearman(x in rows()) {
        let mut mapped = x.clone();
        mapped.values_mut().iter_mut().for_each(|v| *v = v.powi(3));
        let (plain, mapped) = (within(&x, Measure::Spearman), within(&mapped, Measure::Spearman));
        for (p, m) in plain.values().iter().zip(mapped.values()) {
            prop_assert_eq!(p.to_bits(), m.to_bits(), "{} became {}", p, m);
        }
    }

    #[test]
    fn order_of_rows_and_columns_only_moves_values(x in rows(), by in 0usize..12) {
        let (n, d) = (x.n_rows(), x.n_cols());
        let turned_rows = Matrix::from_fn(n, d, |i, j| x.view().row((i + by) % n)[j]);
        let turned_columns = Matrix::from_fn(n, d, |i, j| x.view().row(i)[(j + by) % d]);
        for measure in MEASURES {
            let plain = within(&x, measure);
            let (by_rows, by_columns) = (within(&turned_rows, measure), within(&turned_columns, measure));
            for i in 0..n {
                for j in 0..n {
                    let moved = plain.at((i + by) % n, (j + by) % n);
                    prop_assert!(are_equal(by_rows.at(i, j), moved, 1e-13), "{:?}: rows {} and {}", measure, i, j);
                    prop_assert!(are_equal(by_columns.at(i, j), plain.at(i, j), 1e-13), "{:?}: columns", measure);
                }
            }
        }
    }
}
