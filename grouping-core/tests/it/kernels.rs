//! Fused operations against plain f64 loops, and their gradients against central differences of those loops.
//!
//! The differences are taken in f64 (step 1e-4, error about 1e-8), so the tolerance of 2e-5 relative to the greatest
//! entry is that of the f32 operation alone.

use burn::tensor::{DType, Device, Int, Tensor, TensorData};
use grouping_core::kernels::{
    RopeAttention, RopeScaling, cross_entropy, gelu, layer_norm, linear, linear_biased, linear_biased_onto,
    linear_onto, rms_norm, rope_attention, swiglu,
};
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

const TOLERANCE: f64 = 2e-5;
/// Gradient entries of one input that are differentiated numerically.
const MAX_PROBES: usize = 150;

pub(crate) type Op<'a> = &'a dyn Fn(&[Tensor<3>]) -> Tensor<3>;
pub(crate) type Reference<'a> = &'a dyn Fn(&[Vec<f64>]) -> Vec<f64>;

pub(crate) struct Case<'a> {
    pub(crate) name: String,
    pub(crate) shapes: Vec<[usize; 3]>,
    pub(crate) scale: f64,
    pub(crate) reference: Reference<'a>,
    pub(crate) fused: Op<'a>,
    pub(crate) composed: Op<'a>,
}

/// How an input lies in memory.
#[derive(Clone, Copy, Debug)]
enum Layout {
    Contiguous,
    Transposed,
    /// A slice of a wider tensor.
    Inner,
}

impl Layout {
    /// A leaf holding `values [shape]` in this layout.
    fn leaf(self, values: &[f64], [a, b, c]: [usize; 3], device: &Device) -> Tensor<3> {
        let dense = tensor(values, [a, b, c], device);
        match self {
            Self::Contiguous => dense,
            Self::Transposed => tensor(&floats(dense.swap_dims(0, 1)), [b, a, c], device),
            Self::Inner => {
                let pad = |width| Tensor::<3>::full([a, b, width], 7.0, device);
                let wide = Tensor::cat(vec![pad(3), dense, pad(2)], 2);
                tensor(&floats(wide), [a, b, c + 5], device)
            }
        }
    }

    /// The view of a leaf, or of its gradient, that has the shape of the values.
    fn view(self, leaf: Tensor<3>, width: usize) -> Tensor<3> {
        match self {
            Self::Contiguous => leaf,
            Self::Transposed => leaf.swap_dims(0, 1),
            Self::Inner => leaf.narrow(2, 3, width),
        }
    }
}

pub(crate) fn tensor(values: &[f64], shape: [usize; 3], device: &Device) -> Tensor<3> {
    let values: Vec<f32> = values.iter().map(|&v| v as f32).collect();
    Tensor::from_data(TensorData::new(values, shape), device)
}

pub(crate) fn floats<const D: usize>(tensor: Tensor<D>) -> Vec<f64> {
    tensor.into_data().iter::<f64>().collect()
}

/// Values that f32 holds exactly, so that f32 and f64 forms start from the same numbers.
pub(crate) fn normal(rng: &mut ChaCha8Rng, n: usize, scale: f64) -> Vec<f64> {
    (0..n)
        .map(|_| {
            let sum: f64 = (0..12).map(|_| rng.random::<f64>()).sum();
            f64::from(((sum - 6.0) * scale) as f32)
        })
        .collect()
}

pub(crate) fn dot(a: &[f64], b: &[f64]) -> f64 {
    a.iter().zip(b).map(|(a, b)| a * b).sum()
}

pub(crate) fn assert_close(what: &str, found: &[f64], want: &[f64], tolerance: f64) {
    assert_eq!(found.len(), want.len(), "{what}: number of entries");
    let size = want.iter().fold(1.0f64, |size, w| size.max(w.abs()));
    for (i, (f, w)) in found.iter().zip(want).enumerate() {
        assert!(
            (f - w).abs() <= tolerance * size,
            "{what}: entry {i} is {f}, expected {w} within {tolerance} of {size}"
        );
    }
}

impl Case<'_> {
    pub(crate) fn check(&self) {
        let mut rng = ChaCha8Rng::seed_from_u64(17);
        let inputs: Vec<Vec<f64>> =
            self.shapes.iter().map(|shape| normal(&mut rng, shape.iter().product(), self.scale)).collect();
        let want = (self.reference)(&inputs);
        let weights = normal(&mut rng, want.len(), 1.0);
        let differences = self.differences(&inputs, &weights);
        for (form, op) in [("fused", self.fused), ("composed", self.composed)] {
            for layout in [Layout::Contiguous, Layout::Transposed, Layout::Inner] {
                let what = format!("{} ({form}, {layout:?})", self.name);
                let device = Device::flex().autodiff();
                let plain = Device::flex();
                let view = |leaf: &Tensor<3>, i: usize| layout.view(leaf.clone(), self.shapes[i][2]);
                let leaves = |device: &Device| -> Vec<Tensor<3>> {
                    (inputs.iter().zip(&self.shapes))
                        .map(|(values, &shape)| layout.leaf(values, shape, device))
                        .collect()
                };
                let views = |leaves: &[Tensor<3>]| -> Vec<Tensor<3>> {
                    leaves.iter().enumerate().map(|(i, leaf)| view(leaf, i)).collect()
                };
                let untracked = op(&views(&leaves(&plain)));
                assert_close(&format!("{what}: value"), &floats(untracked), &want, TOLERANCE);

                let leaves: Vec<_> = leaves(&device).into_iter().map(Tensor::require_grad).collect();
                let out = op(&views(&leaves));
                assert_close(&format!("{what}: tracked value"), &floats(out.clone()), &want, TOLERANCE);
                let loss = (out.clone() * tensor(&weights, out.dims(), &device)).sum();
                let grads = loss.backward();
                for (i, leaf) in leaves.iter().enumerate() {
                    let grad = leaf.grad(&grads).expect("each leaf is tracked");
                    let grad = floats(layout.view(grad, self.shapes[i][2]));
                    let found: Vec<f64> = differences[i].iter().map(|&(at, _)| grad[at]).collect();
                    let want: Vec<f64> = differences[i].iter().map(|&(_, want)| want).collect();
                    assert_close(&format!("{what}: gradient of input {i}"), &found, &want, TOLERANCE);
                }
            }
        }
    }

    /// For each input, entries and the derivative of Σ weights·output by each.
    fn differences(&self, inputs: &[Vec<f64>], weights: &[f64]) -> Vec<Vec<(usize, f64)>> {
        let step = 1e-4;
        let mut inputs = inputs.to_vec();
        (0..inputs.len())
            .map(|i| {
                let n = inputs[i].len();
                (0..n)
                    .step_by(n.div_ceil(MAX_PROBES))
                    .map(|at| {
                        let value = inputs[i][at];
                        let mut loss = |x: f64| {
                            inputs[i][at] = x;
                            dot(&(self.reference)(&inputs), weights)
                        };
                        let slope = (loss(value + step) - loss(value - step)) / (2.0 * step);
                        inputs[i][at] = value;
                        (at, slope)
                    })
                    .collect()
            })
            .collect()
    }
}

fn linear_reference(inputs: &[Vec<f64>], [d_in, d_out]: [usize; 2]) -> Vec<f64> {
    let (x, w) = (&inputs[0], &inputs[1]);
    let entry = |row: usize, j: usize| (0..d_in).map(|i| x[row * d_in + i] * w[i * d_out + j]).sum::<f64>();
    (0..x.len() / d_in).flat_map(|row| (0..d_out).map(move |j| entry(row, j))).collect()
}

#[test]
fn linear_equals_plain_loops_and_their_differences() {
    // One entry, odd widths, more rows and more inputs than one task holds.
    for [batch, seq, d_in, d_out] in
        [[1, 1, 1, 1], [2, 3, 7, 5], [2, 150, 6, 17], [1, 3, 270, 3], [1, 9, 3, 500], [1, 2, 3, 500]]
    {
        let dims = [d_in, d_out];
        let (x_shape, w_shape, y_shape) = ([batch, seq, d_in], [1, d_in, d_out], [batch, seq, d_out]);
        let weight = |w: &Tensor<3>| w.clone().reshape(dims);
        Case {
            name: format!("linear {x_shape:?} to {d_out}"),
            shapes: vec![x_shape, w_shape],
            scale: 1.0,
            reference: &|inputs| linear_reference(inputs, dims),
            fused: &|x| linear(x[0].clone(), weight(&x[1])),
            composed: &|x| linear::composed(x[0].clone(), weight(&x[1])),
        }
        .check();
        Case {
            name: format!("linear onto {y_shape:?} from {d_in}"),
            shapes: vec![x_shape, w_shape, y_shape],
            scale: 1.0,
            reference: &|inputs| {
                linear_reference(inputs, dims).into_iter().zip(&inputs[2]).map(|(y, r)| y + r).collect()
            },
            fused: &|x| linear_onto(x[2].clone(), x[0].clone(), weight(&x[1])),
            composed: &|x| x[2].clone() + linear::composed(x[0].clone(), weight(&x[1])),
        }
        .check();
    }
}

#[test]
fn biased_products_equal_plain_loops_and_their_differences() {
    for [batch, seq, d_in, d_out] in [[1, 1, 1, 1], [2, 3, 7, 5], [2, 150, 6, 17]] {
        let dims = [d_in, d_out];
        let (x_shape, w_shape, y_shape) = ([batch, seq, d_in], [1, d_in, d_out], [batch, seq, d_out]);
        let weight = |w: &Tensor<3>| w.clone().reshape(dims);
        let bias = |b: &Tensor<3>| b.clone().reshape([d_out]);
        let reference = |inputs: &[Vec<f64>]| -> Vec<f64> {
            let product = linear_reference(inputs, dims);
            product.iter().enumerate().map(|(i, y)| y + inputs[2][i % d_out]).collect()
        };
        Case {
            name: format!("linear biased {x_shape:?} to {d_out}"),
            shapes: vec![x_shape, w_shape, [1, 1, d_out]],
            scale: 1.0,
            reference: &reference,
            fused: &|x| linear_biased(x[0].clone(), weight(&x[1]), bias(&x[2])),
            composed: &|x| linear::composed(x[0].clone(), weight(&x[1])) + x[2].clone(),
        }
        .check();
        Case {
            name: format!("linear biased onto {y_shape:?} from {d_in}"),
            shapes: vec![x_shape, w_shape, [1, 1, d_out], y_shape],
            scale: 1.0,
            reference: &|inputs| reference(inputs).into_iter().zip(&inputs[3]).map(|(y, r)| y + r).collect(),
            fused: &|x| linear_biased_onto(x[3].clone(), x[0].clone(), weight(&x[1]), bias(&x[2])),
            composed: &|x| x[3].clone() + linear::composed(x[0].clone(), weight(&x[1])) + x[2].clone(),
        }
        .check();
    }
}

#[test]
fn a_residual_that_is_held_elsewhere_is_left_as_it_was() {
    let device = Device::flex();
    let residual = Tensor::<2>::from_floats([[1.0, 2.0]], &device);
    let ones = Tensor::<2>::ones([1, 1], &device);
    let sum = linear_onto(residual.clone(), ones, Tensor::from_floats([[10.0, 20.0]], &device));
    assert_eq!(floats(sum), [11.0, 22.0], "the sum");
    assert_eq!(floats(residual), [1.0, 2.0], "the residual");
}

fn rms_norm_reference(inputs: &[Vec<f64>], eps: f64) -> Vec<f64> {
    let [x, weight] = inputs else { panic!("two inputs") };
    x.chunks(weight.len())
        .flat_map(|row| {
            let scale = (dot(row, row) / row.len() as f64 + eps).sqrt().recip();
            row.iter().zip(weight).map(move |(x, w)| x * scale * w)
        })
        .collect()
}

#[test]
fn rms_norm_equals_plain_loops_and_their_differences() {
    // Odd widths, one column, one row, more rows than one task holds, widths of whole vectors.
    for shape in [[1, 1, 1], [2, 3, 7], [3, 70, 17], [2, 2, 96], [1, 5, 64]] {
        for eps in [1e-6, 0.5] {
            let hidden = shape[2];
            let weight = |x: &Tensor<3>| x.clone().reshape([hidden]);
            Case {
                name: format!("rms_norm {shape:?} eps {eps}"),
                shapes: vec![shape, [1, 1, hidden]],
                scale: 1.0,
                reference: &|inputs| rms_norm_reference(inputs, eps),
                fused: &|x| rms_norm(x[0].clone(), weight(&x[1]), eps),
                composed: &|x| rms_norm::composed(x[0].clone(), weight(&x[1]), eps),
            }
            .check();
        }
    }
}

fn layer_norm_reference(inputs: &[Vec<f64>], eps: f64) -> Vec<f64> {
    let [x, weight, bias] = inputs else { panic!("three inputs") };
    x.chunks(weight.len())
        .flat_map(|row| {
            let n = row.len() as f64;
            let mean = row.iter().sum::<f64>() / n;
            let scale = (row.iter().map(|x| (x - mean) * (x - mean)).sum::<f64>() / n + eps).sqrt().recip();
            row.iter().zip(weight.iter().zip(bias)).map(move |(x, (w, b))| (x - mean) * scale * w + b)
        })
        .collect()
}

#[test]
fn layer_norm_equals_plain_loops_and_their_differences() {
    for shape in [[1, 1, 2], [2, 3, 7], [3, 70, 17], [2, 2, 96], [1, 5, 64]] {
        // An ε below the variance of any row, so that two entries do not make a sign.
        for eps in [1e-3, 0.5] {
            let hidden = shape[2];
            let vector = |x: &Tensor<3>| x.clone().reshape([hidden]);
            Case {
                name: format!("layer_norm {shape:?} eps {eps}"),
                shapes: vec![shape, [1, 1, hidden], [1, 1, hidden]],
                scale: 1.0,
                reference: &|inputs| layer_norm_reference(inputs, eps),
                fused: &|x| layer_norm(x[0].clone(), vector(&x[1]), vector(&x[2]), eps),
                composed: &|x| layer_norm::composed(x[0].clone(), vector(&x[1]), vector(&x[2]), eps),
            }
            .check();
        }
    }
}

#[test]
fn layer_norm_keeps_its_digits_far_from_zero() {
    let device = Device::flex();
    let values: Vec<f64> = (0..40).map(|i| 1000.0 + f64::from(i % 7)).collect();
    let ones = Tensor::<1>::ones([40], &device);
    let y = layer_norm(tensor(&values, [1, 1, 40], &device), ones.clone(), ones, 1e-6);
    let want = layer_norm_reference(&[values, vec![1.0; 40], vec![1.0; 40]], 1e-6);
    // The mean of values near 1000 has an error of 6e-5 / 2.
    assert_close("far from zero", &floats(y), &want, 1e-4);
}

/// Φ(x) by Simpson's rule over the density.
fn normal_cdf(x: f64) -> f64 {
    let density = |t: f64| (-t * t / 2.0).exp() / std::f64::consts::TAU.sqrt();
    let (n, h) = (400, x / 400.0);
    let inner: f64 = (1..n).map(|i| density(h * f64::from(i)) * if i % 2 == 0 { 2.0 } else { 4.0 }).sum();
    0.5 + h / 3.0 * (density(0.0) + inner + density(x))
}

#[test]
fn gelu_equals_plain_loops_and_their_differences() {
    for (shape, scale) in [([1, 1, 1], 1.0), ([2, 3, 5], 3.0), ([3, 5, 33], 1.0)] {
        Case {
            name: format!("gelu {shape:?}"),
            shapes: vec![shape],
            scale,
            reference: &|inputs| inputs[0].iter().map(|&x| x * normal_cdf(x)).collect(),
            fused: &|x| gelu(x[0].clone()),
            composed: &|x| gelu::composed(x[0].clone()),
        }
        .check();
    }
}

#[test]
fn gelu_is_finite_and_exact_at_extremes() {
    let device = Device::flex().autodiff();
    let x = tensor(&[-1e30, -20.0, 0.0, 20.0, 1e30], [1, 1, 5], &device).require_grad();
    let y = gelu(x.clone());
    let grad = floats(x.grad(&y.clone().sum().backward()).expect("tracked"));
    assert_eq!(floats(y), [0.0, 0.0, 0.0, 20.0, f64::from(1e30f32)], "values");
    assert_eq!(grad, [0.0, 0.0, 0.5, 1.0, 1.0], "slopes");
}

#[test]
fn gelu_leaves_an_input_that_is_held_elsewhere() {
    let x = Tensor::<1>::from_floats([1.0, 2.0], &Device::flex());
    let y = gelu(x.clone());
    assert_eq!(floats(x), [1.0, 2.0], "the input");
    assert!(floats(y)[0] < 0.9, "the result");
}

fn swiglu_reference(inputs: &[Vec<f64>]) -> Vec<f64> {
    (inputs[0].iter().zip(&inputs[1])).map(|(gate, up)| gate / (1.0 + (-gate).exp()) * up).collect()
}

#[test]
fn swiglu_equals_plain_loops_and_their_differences() {
    for (shape, scale) in [([1, 1, 1], 1.0), ([2, 3, 5], 3.0), ([3, 13, 33], 1.0), ([2, 40, 256], 1.0)] {
        Case {
            name: format!("swiglu {shape:?}"),
            shapes: vec![shape, shape],
            scale,
            reference: &swiglu_reference,
            fused: &|x| swiglu(x[0].clone(), x[1].clone()),
            composed: &|x| swiglu::composed(x[0].clone(), x[1].clone()),
        }
        .check();
    }
}

#[test]
fn swiglu_is_finite_and_exact_at_extreme_gates() {
    let gates = [-1e30, -200.0, -90.0, -88.0, -87.0, 0.0, 88.0, 100.0, 1e30];
    let device = Device::flex().autodiff();
    let shape = [1, 1, gates.len()];
    let gate = tensor(&gates, shape, &device).require_grad();
    let up = tensor(&[2.0; 9], shape, &device);
    let y = swiglu(gate.clone(), up);
    let grad = gate.grad(&y.clone().sum().backward()).expect("tracked");
    for ((gate, y), grad) in gates.into_iter().zip(floats(y)).zip(floats(grad)) {
        let want = 2.0 * gate / (1.0 + (-gate).exp());
        assert!((y - want).abs() <= 1e-6 * want.abs().max(1.0), "silu({gate})·2 is {y}, expected {want}");
        let slope = if gate > 50.0 {
            2.0
        } else if gate < -50.0 {
            0.0
        } else {
            1.0
        };
        assert!((grad - slope).abs() < 1e-6, "slope at {gate} is {grad}, expected {slope}");
    }
}

fn cross_entropy_reference(logits: &[f64], targets: &[usize]) -> f64 {
    let n_classes = logits.len() / targets.len();
    let losses = logits.chunks(n_classes).zip(targets).map(|(row, &target)| {
        let top = row.iter().copied().fold(f64::MIN, f64::max);
        let sum: f64 = row.iter().map(|x| (x - top).exp()).sum();
        sum.ln() + top - row[target]
    });
    losses.sum::<f64>() / targets.len() as f64
}

fn int_tensor(targets: &[usize], device: &Device) -> Tensor<1, Int> {
    let targets: Vec<i32> = targets.iter().map(|&t| t as i32).collect();
    let n = targets.len();
    Tensor::from_data(TensorData::new(targets, [n]), device)
}

#[test]
fn cross_entropy_equals_plain_loops_and_their_differences() {
    for ([n_rows, n_classes], scale) in
        [([1, 1], 1.0), ([1, 2], 1.0), ([5, 7], 4.0), ([130, 48], 2.0), ([3, 257], 10.0)]
    {
        let targets: Vec<usize> = (0..n_rows).map(|i| i * 31 % n_classes).collect();
        let logits = |x: &[Tensor<3>]| x[0].clone().reshape([n_rows, n_classes]);
        let ids = |x: &[Tensor<3>]| int_tensor(&targets, &x[0].device());
        Case {
            name: format!("cross_entropy [{n_rows}, {n_classes}]"),
            shapes: vec![[1, n_rows, n_classes]],
            scale,
            reference: &|inputs| vec![cross_entropy_reference(&inputs[0], &targets)],
            fused: &|x| cross_entropy(logits(x), ids(x)).reshape([1, 1, 1]),
            composed: &|x| cross_entropy::composed(logits(x), ids(x)).reshape([1, 1, 1]),
        }
        .check();
    }
}

#[test]
fn cross_entropy_keeps_its_digits_at_large_scores() {
    let device = Device::flex().autodiff();
    let shift = 10_000.0;
    let values = [shift, shift - 1.0, shift - 2.0, -shift, -shift + 1.0, shift];
    let logits = tensor(&values, [1, 2, 3], &device).require_grad();
    let targets = int_tensor(&[1, 2], &device);
    let loss = cross_entropy(logits.clone().reshape([2, 3]), targets);
    let grad = floats(logits.grad(&loss.backward()).expect("tracked"));
    assert_close("loss", &floats(loss), &[cross_entropy_reference(&values, &[1, 2])], 1e-6);
    let sum: f64 = (0..3).map(|i| f64::from(-i).exp()).sum();
    let want = [0.5 / sum, 0.5 * ((-1f64).exp() / sum - 1.0), 0.5 * (-2f64).exp() / sum, 0.0, 0.0, 0.0];
    assert_close("gradient", &grad, &want, 1e-6);
}

#[test]
fn cross_entropy_refuses_a_target_that_is_no_class() {
    let device = Device::flex();
    for (form, op) in [
        ("fused", cross_entropy as fn(Tensor<2>, Tensor<1, Int>) -> Tensor<1>),
        ("composed", cross_entropy::composed),
    ] {
        for target in [-1, 4] {
            let outcome = std::panic::catch_unwind(|| {
                op(Tensor::zeros([2, 4], &device), Tensor::from_ints([0, target], &device))
            });
            let message = *outcome
                .expect_err("a target outside the classes must be refused")
                .downcast::<String>()
                .expect("a formatted message");
            assert!(
                message.contains(&format!("target {target} is not one of 4 classes")),
                "{form}: {message}"
            );
        }
    }
}

/// The rule as Hugging Face writes it, by wavelengths.
fn stretched(frequency: f64, scaling: RopeScaling) -> f64 {
    let RopeScaling::Llama3 { factor, low_freq_factor, high_freq_factor, original_max_positions } = scaling
    else {
        return frequency;
    };
    let (context, wavelength) = (original_max_positions as f64, std::f64::consts::TAU / frequency);
    if wavelength < context / high_freq_factor {
        return frequency;
    }
    if wavelength > context / low_freq_factor {
        return frequency / factor;
    }
    let smooth = (context / wavelength - low_freq_factor) / (high_freq_factor - low_freq_factor);
    (1.0 - smooth) * frequency / factor + smooth * frequency
}

/// Plain loops over one layout: `[batch, seq, heads, dim]`.
fn attention_reference(inputs: &[Vec<f64>], [batch, seq]: [usize; 2], config: &RopeAttention) -> Vec<f64> {
    let (dim, heads, kv_heads) = (config.head_dim, config.n_heads, config.n_kv_heads);
    let turned = |x: &[f64], token: usize| -> Vec<f64> {
        (0..dim)
            .map(|d| {
                let j = d % (dim / 2);
                let frequency = stretched(config.theta.powf(-2.0 * j as f64 / dim as f64), config.scaling);
                let angle = (config.first_position + token) as f64 * frequency;
                let partner = if d < dim / 2 { -x[d + dim / 2] } else { x[d - dim / 2] };
                x[d] * angle.cos() + partner * angle.sin()
            })
            .collect()
    };
    let at = |which: usize, b: usize, token: usize, head: usize, n: usize| {
        &inputs[which][((b * seq + token) * n + head) * dim..][..dim]
    };
    let mut out = Vec::with_capacity(inputs[0].len());
    for b in 0..batch {
        // Keys turn once, not once a query: the numerical differences call this often.
        let keys: Vec<Vec<f64>> = (0..seq * kv_heads)
            .map(|i| turned(at(1, b, i / kv_heads, i % kv_heads, kv_heads), i / kv_heads))
            .collect();
        for token in 0..seq {
            for head in 0..heads {
                let kv_head = head * kv_heads / heads;
                let q = turned(at(0, b, token, head, heads), token);
                let scores: Vec<f64> = (0..=token)
                    .map(|j| dot(&q, &keys[j * kv_heads + kv_head]) / (dim as f64).sqrt())
                    .collect();
                let top = scores.iter().copied().fold(f64::MIN, f64::max);
                let weights: Vec<f64> = scores.iter().map(|s| (s - top).exp()).collect();
                let sum: f64 = weights.iter().sum();
                out.extend((0..dim).map(|d| {
                    let parts = weights.iter().enumerate();
                    parts.map(|(j, w)| w * at(2, b, j, kv_head, kv_heads)[d]).sum::<f64>() / sum
                }));
            }
        }
    }
    out
}

#[test]
fn rope_attention_equals_plain_loops_and_their_differences() {
    // (batch, seq, config): one token, odd lengths, groups of 2, 3 and all heads, several blocks of 64 queries, widths
    // that are no whole vector, kept, mixed and slow frequencies.
    let scaling = RopeScaling::Llama3 {
        factor: 4.0,
        low_freq_factor: 1.0,
        high_freq_factor: 3.0,
        original_max_positions: 60,
    };
    for (batch, seq, config) in [
        (1, 1, RopeAttention::new(1, 1, 2)),
        (2, 5, RopeAttention::new(2, 2, 6)),
        (3, 13, RopeAttention::new(4, 4, 24)),
        (2, 13, RopeAttention::new(4, 2, 24).with_theta(1000.0)),
        (2, 17, RopeAttention::new(6, 2, 10).with_first_position(1000)),
        (2, 11, RopeAttention::new(4, 2, 12).with_scaling(scaling).with_theta(500.0)),
        (1, 33, RopeAttention::new(3, 1, 16)),
        (1, 150, RopeAttention::new(2, 1, 14)),
    ] {
        let (q, kv) = (config.n_heads * config.head_dim, config.n_kv_heads * config.head_dim);
        Case {
            name: format!("rope_attention batch {batch} seq {seq} {config:?}"),
            shapes: vec![[batch, seq, q], [batch, seq, kv], [batch, seq, kv]],
            scale: 1.0,
            reference: &|inputs| attention_reference(inputs, [batch, seq], &config),
            fused: &|x| rope_attention(x[0].clone(), x[1].clone(), x[2].clone(), &config),
            composed: &|x| rope_attention::composed(x[0].clone(), x[1].clone(), x[2].clone(), &config),
        }
        .check();
    }
}

#[test]
fn rope_attention_is_stable_at_scores_of_ten_thousand() {
    let config = RopeAttention::new(2, 1, 4);
    let (mut rng, device) = (ChaCha8Rng::seed_from_u64(3), Device::flex().autodiff());
    let [q, k, v] = [8, 4, 4].map(|width| normal(&mut rng, 20 * width, 1.0));
    let [q, k] = [q, k].map(|x| x.into_iter().map(|x| x * 128.0).collect::<Vec<_>>());
    let [tq, tk, tv] =
        [(&q, 8), (&k, 4), (&v, 4)].map(|(x, width)| tensor(x, [1, 20, width], &device).require_grad());
    let out = rope_attention(tq.clone(), tk.clone(), tv.clone(), &config);
    let want = attention_reference(&[q, k, v], [1, 20], &config);
    // Scores of 1e4 in f32 have an error of about 1e-3, which the weights inherit.
    assert_close("output", &floats(out.clone()), &want, 5e-3);
    let grads = out.sum().backward();
    for (name, x) in [("q", tq), ("k", tk), ("v", tv)] {
        let grad = floats(x.grad(&grads).expect("tracked"));
        assert!(grad.iter().all(|g| g.is_finite()), "gradient of {name} is not finite");
    }
}

#[test]
fn rope_attention_never_sees_a_later_token() {
    let config = RopeAttention::new(4, 2, 8);
    let (mut rng, device) = (ChaCha8Rng::seed_from_u64(5), Device::flex());
    let seq = 70;
    let [q, k, v] = [32, 16, 16].map(|width| normal(&mut rng, seq * width, 1.0));
    let run = |q: &[f64], k: &[f64], v: &[f64]| {
        let [q, k, v] = [(q, 32), (k, 16), (v, 16)].map(|(x, w)| tensor(x, [1, seq, w], &device));
        floats(rope_attention(q, k, v, &config))
    };
    let whole = run(&q, &k, &v);
    for cut in [1, 2, 4, 15, 16, 17, 63, 64, 65] {
        let changed = |x: &[f64], width: usize| -> Vec<f64> {
            let new = |(i, &x): (usize, &f64)| if i < cut * width { x } else { -3.0 * x + 1.0 };
            x.iter().enumerate().map(new).collect()
        };
        let other = run(&changed(&q, 32), &changed(&k, 16), &changed(&v, 16));
        assert_eq!(whole[..cut * 32], other[..cut * 32], "tokens before {cut} depend on later ones");
        assert_ne!(whole[cut * 32..], other[cut * 32..], "tokens from {cut} on do not depend on themselves");
    }
}

/// Every operation's value and gradients, in a pool of `n_threads`.
fn all_bytes(n_threads: usize) -> Vec<u32> {
    let pool = rayon::ThreadPoolBuilder::new().num_threads(n_threads).build().expect("a pool");
    pool.install(|| {
        let (mut rng, device) = (ChaCha8Rng::seed_from_u64(9), Device::flex().autodiff());
        let mut input = |shape: [usize; 3]| {
            tensor(&normal(&mut rng, shape.iter().product(), 1.0), shape, &device).require_grad()
        };
        let (x, y, kv) = (input([40, 13, 96]), input([40, 13, 96]), input([40, 13, 48]));
        let (weight, inner) = (input([1, 1, 96]), input([1, 96, 96]));
        let outer = inner.clone().reshape([96, 96]).transpose();
        let normed = rms_norm(x.clone(), weight.clone().reshape([96]), 1e-5);
        let attended = rope_attention(normed, kv.clone(), kv.clone() * 0.5, &RopeAttention::new(4, 2, 24));
        let gated = swiglu(attended, y.clone());
        let vector = weight.clone().reshape([96]);
        let gated = gelu(layer_norm(gated, vector.clone(), vector.clone(), 1e-5));
        let gated = linear_biased_onto(x.clone(), gated, inner.clone().reshape([96, 96]), vector);
        let gated = linear_onto(linear(gated.clone(), inner.clone().reshape([96, 96])), gated, outer.clone());
        let gated = gated.reshape([520, 96]);
        let targets: Vec<usize> = (0..520).map(|i| i * 7 % 96).collect();
        let loss = cross_entropy(gated.clone() * 30.0, int_tensor(&targets, &device));
        let grads = loss.backward();
        let mut bytes = Vec::new();
        let mut push = |values: Vec<f32>| bytes.extend(values.into_iter().map(f32::to_bits));
        push(loss.into_data().try_into_vec().expect("f32"));
        push(gated.into_data().try_into_vec().expect("f32"));
        for leaf in [x, y, kv, weight, inner] {
            let grad = leaf.grad(&grads).expect("tracked");
            push(grad.into_data().try_into_vec().expect("f32"));
        }
        bytes
    })
}

#[test]
fn values_and_gradients_are_the_same_bytes_for_any_number_of_threads() {
    let one = all_bytes(1);
    assert!(one.iter().any(|&bits| bits << 1 != 0), "the run computed only zeros");
    for n_threads in [2, 3, 5] {
        assert!(one == all_bytes(n_threads), "{n_threads} threads give other bytes than one");
    }
}

#[test]
fn frozen_inputs_get_no_gradient_and_change_no_other() {
    let (mut rng, device) = (ChaCha8Rng::seed_from_u64(21), Device::flex().autodiff());
    let config = RopeAttention::new(2, 1, 8);
    let mut values = |shape: [usize; 3]| (normal(&mut rng, shape.iter().product(), 1.0), shape);
    let inputs = [values([2, 9, 16]), values([2, 9, 8]), values([2, 9, 8])];
    let run = |op: Op<'_>, tracked: [bool; 3]| {
        let leaves: Vec<_> = (inputs.iter().zip(tracked))
            .map(|((values, shape), tracked)| tensor(values, *shape, &device).set_require_grad(tracked))
            .collect();
        let out = op(&leaves);
        let grads = out.powi_scalar(2).sum().backward();
        leaves.into_iter().map(|leaf| leaf.grad(&grads).map(floats)).collect::<Vec<_>>()
    };
    let attention: Op<'_> = &|x| rope_attention(x[0].clone(), x[1].clone(), x[2].clone(), &config);
    // [36, 4]·[4, 8] onto [36, 8], out of the same inputs.
    let product: Op<'_> = &|x| {
        let residual = x[0].clone().reshape([1, 36, 8]);
        let weight = x[2].clone().reshape([18, 8]).narrow(0, 0, 4);
        linear_onto(residual, x[1].clone().reshape([1, 36, 4]), weight)
    };
    for (name, op) in [("attention", attention), ("linear", product)] {
        let all = run(op, [true; 3]);
        for only in 0..3 {
            let some = run(op, [0, 1, 2].map(|i| i == only));
            for i in 0..3 {
                if i == only {
                    assert_eq!(some[i], all[i], "{name}: gradient of input {i} alone");
                } else {
                    assert_eq!(some[i], None, "{name}: input {i} is frozen");
                }
            }
        }
    }
}

#[test]
fn gradient_checkpointing_changes_nothing() {
    let run = |device: Device| {
        let mut rng = ChaCha8Rng::seed_from_u64(2);
        let x = tensor(&normal(&mut rng, 6 * 16, 1.0), [2, 3, 16], &device).require_grad();
        let config = RopeAttention::new(2, 2, 8);
        let y = rms_norm(x.clone().tanh(), Tensor::ones([16], &device), 1e-6);
        let y = rope_attention(y.clone() * 2.0, y.clone(), swiglu(y.clone(), y), &config).exp();
        let loss = cross_entropy(y.reshape([6, 16]), int_tensor(&[1, 2, 3, 4, 5, 15], &device));
        floats(x.grad(&loss.backward()).expect("tracked"))
    };
    let plain = run(Device::flex().autodiff());
    let checkpointed = run(Device::flex().autodiff().gradient_checkpointing());
    assert_close("gradient", &checkpointed, &plain, 1e-6);
}

#[test]
fn f64_tensors_take_the_composed_form_and_keep_their_digits() {
    let mut rng = ChaCha8Rng::seed_from_u64(8);
    let device = Device::flex();
    let double = |x: &[f64], shape: [usize; 3]| {
        Tensor::<3>::from_data(TensorData::new(x.to_vec(), shape), (&device, DType::F64))
    };
    let config = RopeAttention::new(2, 1, 6);
    let [x, k, v] = [12, 6, 6].map(|width| normal(&mut rng, 10 * width, 1.0));
    let [tx, tk, tv] = [(&x, 12), (&k, 6), (&v, 6)].map(|(x, width)| double(x, [2, 5, width]));
    let ones = double(&[1.0; 12], [1, 1, 12]).reshape([12]);
    let norm = rms_norm(tx.clone(), ones, 1e-6);
    assert_eq!(norm.dtype(), DType::F64, "rms_norm keeps the type");
    let want = rms_norm_reference(&[x.clone(), vec![1.0; 12]], 1e-6);
    assert_close("rms_norm", &floats(norm), &want, 1e-14);
    let gated = floats(swiglu(tx.clone(), tx.clone()));
    assert_close("swiglu", &gated, &swiglu_reference(&[x.clone(), x.clone()]), 1e-14);
    let loss = cross_entropy(tx.clone().reshape([10, 12]), int_tensor(&[3; 10], &device));
    assert_close("cross_entropy", &floats(loss), &[cross_entropy_reference(&x, &[3; 10])], 1e-14);
    let out = rope_attention(tx, tk, tv, &config);
    // The table of angles is f32.
    assert_close("rope_attention", &floats(out), &attention_reference(&[x, k, v], [2, 5], &config), 1e-6);
}

#[test]
fn no_sequence_gives_no_output() {
    let device = Device::flex();
    let empty = |width| Tensor::<3>::zeros([0, 4, width], &device);
    let out = rope_attention(empty(8), empty(4), empty(4), &RopeAttention::new(2, 1, 4));
    assert_eq!(out.dims(), [0, 4, 8], "attention over no sequence");
    assert_eq!(rms_norm(empty(8), Tensor::ones([8], &device), 1e-6).dims(), [0, 4, 8], "rms_norm of no row");
    assert_eq!(swiglu(empty(8), empty(8)).dims(), [0, 4, 8], "swiglu of nothing");
}

/// On another device than the CPU: value and gradients of every operation equal the CPU's.
#[cfg(feature = "wgpu")]
#[test]
fn wgpu_gives_the_values_and_gradients_of_the_cpu() {
    let Some(gpu) = crate::device::adapter("wgpu_gives_the_values_and_gradients_of_the_cpu") else { return };
    let run = |device: Device| -> Vec<Vec<f64>> {
        let (mut rng, device) = (ChaCha8Rng::seed_from_u64(13), device.autodiff());
        let mut input = |shape: [usize; 3]| {
            tensor(&normal(&mut rng, shape.iter().product(), 1.0), shape, &device).require_grad()
        };
        let (x, kv, weight) = (input([2, 9, 12]), input([2, 9, 6]), input([1, 1, 12]));
        let normed = rms_norm(x.clone(), weight.clone().reshape([12]), 1e-5);
        let config = RopeAttention::new(2, 1, 6).with_first_position(3);
        let attended = rope_attention(normed.clone(), kv.clone(), kv.clone() * 0.5, &config);
        let gated = swiglu(attended, normed);
        let targets: Vec<usize> = (0..18).map(|i| i * 7 % 12).collect();
        let loss = cross_entropy(gated.clone().reshape([18, 12]), int_tensor(&targets, &device));
        let grads = loss.backward();
        let grad = |leaf: &Tensor<3>| floats(leaf.grad(&grads).expect("tracked"));
        vec![floats(loss), floats(gated), grad(&x), grad(&kv), grad(&weight)]
    };
    let names = ["loss", "gated", "gradient of x", "gradient of kv", "gradient of weight"];
    let (found, want) = (run(gpu), run(Device::flex()));
    for ((name, found), want) in names.into_iter().zip(found).zip(want) {
        assert_close(name, &found, &want, 1e-5);
    }
}
