//! PGQA against the released code (`oracles/kd-gqa/pgqa.py`), and when its noise is there.

use burn::tensor::{Device, Tensor, TensorData};
use kd_gqa::allocation::{Fidelity, Mt19937, Phase};
use kd_gqa::pgqa::{Pgqa, subtract_from_maps, subtract_from_outputs};
use serde::Deserialize;

#[derive(Deserialize)]
struct Golden {
    cases: Vec<Case>,
}

#[derive(Deserialize)]
struct Case {
    seed: u64,
    shape: [usize; 3],
    outputs: Vec<f32>,
    weights: Vec<f32>,
    uniform: Vec<f32>,
    result: Vec<f32>,
    gradient: Vec<f32>,
}

fn values<const D: usize>(tensor: Tensor<D>) -> Vec<f32> {
    tensor.into_data().try_into_vec().expect("f32 values")
}

fn assert_close(found: &[f32], expected: &[f32], tolerance: f32, what: &str) {
    assert_eq!(found.len(), expected.len(), "{what}: number of values");
    for (i, (f, e)) in found.iter().zip(expected).enumerate() {
        assert!((f - e).abs() <= tolerance * e.abs().max(1.0), "{what}, value {i}: {f} instead of {e}");
    }
}

#[test]
fn official_equals_the_released_code() {
    let golden: Golden = serde_json::from_str(include_str!("../data/pgqa.json")).expect("the file parses");
    for case in golden.cases {
        let (device, tracked) = (Device::flex(), Device::flex().autodiff());
        let [_, n, length] = case.shape;
        let of = |values: &[f32], device: &Device| {
            Tensor::<3>::from_data(TensorData::new(values.to_vec(), case.shape), device)
        };
        let mut draws = Mt19937::new(case.seed);
        let uniform: Vec<f32> = (0..n * length).map(|_| draws.unit_f32()).collect();
        assert_eq!(uniform, case.uniform, "seed {}: torch.rand", case.seed);
        let what = format!("shape {:?}", case.shape);
        let official = Pgqa::new(Fidelity::Official, 0);
        let found = official.on_outputs(of(&case.outputs, &device), &mut Mt19937::new(case.seed));
        // In units of the largest output: terms of that size are rounded on the way.
        let peak = case.outputs.iter().fold(1f32, |peak, o| peak.max(o.abs()));
        let units = |values: &[f32]| values.iter().map(|v| v / peak).collect::<Vec<_>>();
        assert_close(&units(&values(found)), &units(&case.result), 1e-6, &what);
        let outputs = of(&case.outputs, &tracked).require_grad();
        let uniform = Tensor::<2>::from_data(TensorData::new(case.uniform, [n, length]), &tracked);
        let result = subtract_from_outputs(outputs.clone(), uniform);
        let gradients = (result * of(&case.weights, &tracked)).sum().backward();
        let found = values(outputs.grad(&gradients).expect("a gradient"));
        // Sums over a row in another order.
        assert_close(&found, &case.gradient, 1e-5, &format!("{what}: gradient"));
    }
}

#[test]
fn noise_is_where_its_mode_says() {
    let device = Device::flex();
    let maps = || Tensor::<3>::from_floats([[[0.5, 0.25, 0.25], [0.1, 0.8, 0.1], [0.3, 0.3, 0.4]]], &device);
    let outputs =
        || Tensor::<3>::from_floats([[[1., 2., 3.], [3., 1., 2.]], [[1., 5., 3.], [3., 1., 0.]]], &device);
    let training = Phase::Training { step: 0 };
    for fidelity in [Fidelity::Official, Fidelity::Paper, Fidelity::Robust] {
        let pgqa = Pgqa::new(fidelity, 7);
        let official = fidelity == Fidelity::Official;
        let still = values(pgqa.on_maps(maps(), Phase::Inference, 3));
        assert_eq!(still, values(maps()), "{fidelity}: maps at inference");
        let noisy = values(pgqa.on_maps(maps(), training, 3));
        assert_eq!(noisy != values(maps()), !official, "{fidelity}: maps in training");
        let noisy = values(pgqa.on_outputs(outputs(), &mut Mt19937::new(1)));
        assert_eq!(noisy != values(outputs()), official, "{fidelity}: outputs");
    }
    let paper = Pgqa::new(Fidelity::Paper, 7);
    let of = |stream| values(paper.on_maps(maps(), training, stream));
    assert_eq!(of(3), of(3), "the same stream, the same noise");
    assert_ne!(of(3), of(4), "another stream");
    let noisy = of(3);
    for (i, kept) in [(0, 0.5), (4, 0.8), (8, 0.4)] {
        assert_eq!(noisy[i], kept, "the diagonal has no noise");
    }
}

#[test]
fn the_papers_noise_has_the_maps_moments() {
    let n = 64;
    let device = Device::flex();
    let map: Vec<f32> = (0..n * n).map(|i| ((i * 37 % 101) as f32) / 101.0).collect();
    let maps = Tensor::<3>::from_data(TensorData::new(map.clone(), [1, n, n]), &device);
    let noisy = values(Pgqa::new(Fidelity::Paper, 1).on_maps(maps, Phase::Training { step: 0 }, 0));
    let noise: Vec<f64> =
        (0..n * n).filter(|i| i / n != i % n).map(|i| f64::from(map[i]) - f64::from(noisy[i])).collect();
    let moments = |values: &[f64]| {
        let mean = values.iter().sum::<f64>() / values.len() as f64;
        (mean, (values.iter().map(|v| (v - mean).powi(2)).sum::<f64>() / values.len() as f64).sqrt())
    };
    let (mean, deviation) = moments(&noise);
    let (map_mean, map_deviation) = moments(&map.iter().copied().map(f64::from).collect::<Vec<_>>());
    // 4032 draws: four standard errors are 6 % of the deviation for the mean, 4.5 % for the deviation.
    assert!((mean - map_mean).abs() < 0.065 * map_deviation, "mean {mean}, of the map {map_mean}");
    assert!((deviation / map_deviation - 1.0).abs() < 0.05, "deviation {deviation} of {map_deviation}");
    let flat = Tensor::<3>::full([1, 4, 4], 0.25, &device.clone().autodiff()).require_grad();
    let gradients =
        subtract_from_maps(flat.clone(), Tensor::ones([1, 4, 4], &device.autodiff())).sum().backward();
    let gradient = values(flat.grad(&gradients).expect("a gradient"));
    assert!(gradient.iter().all(|g| g.is_finite()), "a flat map: {gradient:?}");
}
