//! Norms and moments against NumPy and SciPy (`oracles/grouping-core/norms.py`), and their invariants.

use burn::tensor::{Device, Tensor, TensorData};
use grouping_core::Error;
use grouping_core::stats::norms::{Moments, Norm, moments, norm, norm_tensor};
use grouping_core::testing::assert_refused;
use proptest::prelude::*;
use serde::Deserialize;

#[derive(Deserialize)]
struct Golden {
    shape: Vec<usize>,
    values: Vec<f32>,
    rows: Vec<Row>,
    matrix: Frobenius,
    offset: Offset,
}

#[derive(Deserialize)]
struct Row {
    axes: Vec<usize>,
    shape: Vec<usize>,
    l1: Vec<f64>,
    l2: Vec<f64>,
    linf: Vec<f64>,
    mean: Vec<f64>,
    variance: Vec<f64>,
    unbiased: Option<Vec<f64>>,
}

#[derive(Deserialize)]
struct Frobenius {
    shape: Vec<usize>,
    values: Vec<f32>,
    frobenius: f64,
}

#[derive(Deserialize)]
struct Offset {
    values: Vec<f32>,
    mean: f64,
    variance: f64,
}

fn golden() -> Golden {
    serde_json::from_str(include_str!("../data/norms.json")).expect("the golden file parses")
}

fn assert_all_close(found: &[f64], expected: &[f64], tolerance: f64, what: &str) {
    assert_eq!(found.len(), expected.len(), "{what}: number of values");
    for (i, (f, e)) in found.iter().zip(expected).enumerate() {
        assert!((f - e).abs() <= tolerance * e.abs(), "{what}, value {i}: {f} instead of {e}");
    }
}

#[test]
fn norms_equal_numpys() {
    let g = golden();
    for row in &g.rows {
        for (kind, expected) in [(Norm::L1, &row.l1), (Norm::L2, &row.l2), (Norm::LInf, &row.linf)] {
            let found = norm(&g.values, &g.shape, &row.axes, kind).expect("valid axes");
            let what = format!("{kind:?} over {:?}", row.axes);
            assert_eq!(found.shape, row.shape, "{what}: shape");
            assert_all_close(&found.values, expected, 1e-14, &what);
        }
    }
    let m = g.matrix;
    let found = norm(&m.values, &m.shape, &[0, 1], Norm::FROBENIUS).expect("valid axes");
    assert_all_close(&found.values, &[m.frobenius], 1e-14, "Frobenius");
}

#[test]
fn moments_equal_numpys_and_scipys() {
    let g = golden();
    for row in &g.rows {
        let found = moments(&g.values, &g.shape, &row.axes).expect("valid axes");
        let what = format!("over {:?}", row.axes);
        assert_eq!(found.shape, row.shape, "{what}: shape");
        let take = |f: &dyn Fn(&Moments) -> f64| found.values.iter().map(f).collect::<Vec<_>>();
        // Means of terms that cancel are small beside them: the scale is that of the terms.
        for (i, (m, e)) in found.values.iter().zip(&row.mean).enumerate() {
            let scale = row.l1[i] / m.count() as f64;
            assert!(
                (m.mean() - e).abs() <= 1e-14 * scale,
                "mean {what}, value {i}: {} instead of {e}",
                m.mean()
            );
        }
        assert_all_close(&take(&|m| m.variance(0)), &row.variance, 1e-12, &format!("variance {what}"));
        match &row.unbiased {
            Some(e) => assert_all_close(&take(&|m| m.variance(1)), e, 1e-12, &format!("unbiased {what}")),
            None => assert!(found.values.iter().all(|m| m.variance(1).is_nan()), "{what}: of single values"),
        }
    }
    let o = g.offset;
    let all = moments(&o.values, &[o.values.len()], &[0]).expect("one axis").values[0];
    assert_all_close(&[all.mean(), all.variance(0)], &[o.mean, o.variance], 1e-9, "far from zero");
}

#[test]
fn tensors_have_the_same_norms() {
    let g = golden();
    let shape: [usize; 5] = g.shape.clone().try_into().expect("five axes");
    let x = Tensor::<5>::from_data(TensorData::new(g.values.clone(), shape), &Device::flex());
    for row in &g.rows {
        for (kind, expected) in [(Norm::L1, &row.l1), (Norm::L2, &row.l2), (Norm::LInf, &row.linf)] {
            let found = norm_tensor(x.clone(), &row.axes, kind).expect("valid axes");
            let kept = std::array::from_fn(|i| if row.axes.contains(&i) { 1 } else { shape[i] });
            assert_eq!(found.dims(), kept, "{kind:?} over {:?}: shape", row.axes);
            let found: Vec<f64> = found.try_into_vec_as().expect("values from the device");
            assert_all_close(&found, expected, 1e-5, &format!("{kind:?} over {:?}", row.axes));
        }
    }
    let extreme = Tensor::<2>::from_floats([[3e30, 4e30], [3e-30, 4e-30], [0., 0.]], &Device::flex());
    let found: Vec<f64> =
        norm_tensor(extreme, &[1], Norm::L2).map(|t| t.try_into_vec_as().expect("values")).expect("an axis");
    assert_all_close(&found, &[5e30, 5e-30, 0.0], 1e-5, "squares beyond f32");
    let infinite = Tensor::<1>::from_floats([f32::INFINITY, 1.0], &Device::flex());
    let found: f32 = norm_tensor(infinite, &[0], Norm::L2).expect("an axis").into_scalar();
    assert_eq!(found, f32::INFINITY, "infinity has an infinite norm");
    assert_refused(
        norm_tensor(Tensor::<2>::zeros([2, 2], &Device::flex()), &[2], Norm::L1),
        "distinct axes below 2",
    );
    assert_refused(
        norm_tensor(Tensor::<2>::zeros([2, 2], &Device::flex()), &[1, 1], Norm::L1),
        "distinct axes below 2",
    );
}

#[test]
fn wrong_shapes_and_axes_are_refused() {
    let x = [1f32; 6];
    let (expected, found) = (vec![2, 4], vec![6]);
    let error = Error::Shape { what: "array".into(), expected, found };
    assert_eq!(norm(&x, &[2, 4], &[0], Norm::L1), Err(error), "shape");
    assert_refused(norm(&x, &[usize::MAX, 3], &[0], Norm::L1), "array: expected shape");
    for axes in [&[2][..], &[0, 0], &[1, 0, 1]] {
        let error = norm(&x, &[2, 3], axes, Norm::L2).expect_err("bad axes").to_string();
        assert!(error.contains("axes: expected distinct axes below 2"), "{error}");
        assert_refused(moments(&x, &[2, 3], axes), "axes: expected distinct axes below 2");
    }
}

#[test]
fn nan_and_nothing() {
    let x = [1., f32::NAN, 5., 2.];
    for kind in [Norm::L1, Norm::L2, Norm::LInf] {
        for axis in [0, 1] {
            let found = norm(&x, &[2, 2], &[axis], kind).expect("valid axes").values;
            let nan = [axis == 1, axis == 0];
            assert_eq!([found[0].is_nan(), found[1].is_nan()], nan, "{kind:?} over axis {axis}");
        }
        assert_eq!(
            norm(&[], &[3, 0], &[1], kind).expect("valid axes").values,
            [0.0; 3],
            "{kind:?} of nothing"
        );
        assert_eq!(norm(&[-2.0], &[], &[], kind).expect("no axes").values, [2.0], "{kind:?} of one value");
    }
    let none = moments(&[], &[0, 2], &[0]).expect("valid axes").values;
    assert!(none.iter().all(|m| m.count() == 0 && m.mean().is_nan() && m.variance(0).is_nan()), "{none:?}");
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn norms_are_ordered_and_homogeneous(values in prop::collection::vec(-1e3f32..1e3, 1..200), power in -30i32..30) {
        let of = |values: &[f32], kind| norm(values, &[values.len()], &[0], kind).expect("one axis").values[0];
        let (l1, l2, linf) = (of(&values, Norm::L1), of(&values, Norm::L2), of(&values, Norm::LInf));
        prop_assert!(linf <= l2 * (1.0 + 1e-14) && l2 <= l1 * (1.0 + 1e-14), "{} {} {}", linf, l2, l1);
        prop_assert!(l1 <= l2 * (values.len() as f64).sqrt() * (1.0 + 1e-12), "Cauchy–Schwarz");
        let scale = -(2f32.powi(power));
        let scaled: Vec<f32> = values.iter().map(|v| v * scale).collect();
        for kind in [Norm::L1, Norm::L2, Norm::LInf] {
            let expected = of(&values, kind) * f64::from(scale.abs());
            // Denormals lose digits.
            prop_assert!((of(&scaled, kind) - expected).abs() <= 1e-7 * expected + 1e-40, "{:?}", kind);
        }
        let mut reversed = values.clone();
        reversed.reverse();
        prop_assert!((of(&reversed, Norm::L2) - l2).abs() <= 1e-13 * l2, "order");
    }

    #[test]
    fn moments_do_not_depend_on_the_split(values in prop::collection::vec(-1e3f64..1e3, 2..300), cut in 0usize..300, shift in -1e6f64..1e6) {
        let of = |values: &[f64]| {
            let mut m = Moments::default();
            values.iter().for_each(|&v| m.push(v));
            m
        };
        let cut = cut.min(values.len());
        let whole = of(&values);
        let joined = of(&values[..cut]).merge(&of(&values[cut..]));
        prop_assert_eq!(joined.count(), whole.count());
        prop_assert!((joined.mean() - whole.mean()).abs() < 1e-10);
        prop_assert!((joined.variance(1) - whole.variance(1)).abs() <= 1e-10 * whole.variance(1).max(1.0));
        let shifted: Vec<f64> = values.iter().map(|v| v + shift).collect();
        prop_assert!((of(&shifted).variance(0) - whole.variance(0)).abs() <= 1e-6 * whole.variance(0).max(1.0), "shift");
    }
}
