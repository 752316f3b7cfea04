//! A fused operation defined outside the core: its value, its gradients against central differences, and where its forms run.

use burn::tensor::{DType, Device, Tensor, TensorData};
use grouping_core::fused_op;
use grouping_core::kernels::FusedOp;
use grouping_core::kernels::buffer::{CpuTensor, contiguous, tensor, tensor_like, values};

/// `y_i = scale · Σ_j (a_ij − b_ij)²`.
#[derive(Clone, Debug)]
struct SquareDistances {
    scale: f32,
}

impl FusedOp<2> for SquareDistances {
    type Saved = [CpuTensor; 2];

    fn forward(&self, inputs: [CpuTensor; 2]) -> (CpuTensor, Self::Saved) {
        let [a, b] = inputs.map(contiguous);
        let (n_rows, width) = (a.layout().shape()[0], a.layout().shape()[1]);
        let rows = values(&a).chunks_exact(width).zip(values(&b).chunks_exact(width));
        let distance = |(a, b): (&[f32], &[f32])| {
            self.scale * a.iter().zip(b).map(|(a, b)| (a - b) * (a - b)).sum::<f32>()
        };
        (tensor(rows.map(distance).collect(), [n_rows]), [a, b])
    }

    fn backward(&self, [a, b]: Self::Saved, grad: CpuTensor, wanted: [bool; 2]) -> [Option<CpuTensor>; 2] {
        let (grad, width) = (contiguous(grad), a.layout().shape()[1]);
        let signed = |sign: f32| {
            let pairs = values(&a).iter().zip(values(&b)).enumerate();
            let slope = |(i, (a, b)): (usize, (&f32, &f32))| {
                sign * 2.0 * self.scale * values(&grad)[i / width] * (a - b)
            };
            tensor_like(pairs.map(slope).collect(), &a)
        };
        [wanted[0].then(|| signed(1.0)), wanted[1].then(|| signed(-1.0))]
    }
}

/// `a [n, d]`, `b [n, d]` → `[n]`.
fn square_distances(a: Tensor<2>, b: Tensor<2>, scale: f32) -> Tensor<1> {
    fused_op!(SquareDistances { scale }, [a, b], composed(a, b, scale))
}

fn composed(a: Tensor<2>, b: Tensor<2>, scale: f32) -> Tensor<1> {
    let difference = a - b;
    (difference.clone() * difference).sum_dim(1).mul_scalar(scale).squeeze_dim::<1>(1)
}

const SHAPE: [usize; 2] = [3, 4];
const SCALE: f32 = 0.5;

fn inputs() -> [Vec<f64>; 2] {
    let sequence =
        |start: f64| (0..12).map(|i| f64::from(((start + 0.7 * f64::from(i)).sin() * 2.0) as f32)).collect();
    [sequence(0.3), sequence(1.9)]
}

/// The weighted sum of the distances, in f64.
fn loss([a, b]: &[Vec<f64>; 2]) -> f64 {
    let terms = a.iter().zip(b).enumerate();
    terms.map(|(i, (a, b))| (i / SHAPE[1] + 1) as f64 * f64::from(SCALE) * (a - b) * (a - b)).sum()
}

fn leaf(values: &[f64], device: &Device) -> Tensor<2> {
    let values: Vec<f32> = values.iter().map(|&v| v as f32).collect();
    Tensor::from_data(TensorData::new(values, SHAPE), device)
}

fn floats<const D: usize>(tensor: Tensor<D>) -> Vec<f64> {
    tensor.into_data().iter::<f64>().collect()
}

/// The gradients of `Σ_i i · y_i` through `op`, of those leaves that are tracked.
fn gradients(
    op: fn(Tensor<2>, Tensor<2>, f32) -> Tensor<1>,
    device: &Device,
    tracked: [bool; 2],
) -> [Option<Vec<f64>>; 2] {
    let [a, b] = inputs();
    let leaves =
        [(a, tracked[0]), (b, tracked[1])].map(|(x, tracked)| leaf(&x, device).set_require_grad(tracked));
    let y = op(leaves[0].clone(), leaves[1].clone(), SCALE);
    let grads = (y * Tensor::from_floats([1.0, 2.0, 3.0], device)).sum().backward();
    leaves.map(|leaf| leaf.grad(&grads).map(floats))
}

#[test]
fn an_operation_of_another_crate_has_the_gradients_of_its_differences() {
    for device in [Device::flex().autodiff(), Device::flex().autodiff().gradient_checkpointing()] {
        for (form, op) in [("fused", square_distances as fn(_, _, _) -> _), ("composed", composed)] {
            let found = gradients(op, &device, [true; 2]);
            for (input, found) in found.into_iter().enumerate() {
                let found = found.expect("each leaf is tracked");
                for (i, found) in found.into_iter().enumerate() {
                    let moved = |step: f64| {
                        let mut inputs = inputs();
                        inputs[input][i] += step;
                        loss(&inputs)
                    };
                    let want = (moved(1e-4) - moved(-1e-4)) / 2e-4;
                    // Beside f32's own error; the differences have one of about 1e-8.
                    assert!(
                        (found - want).abs() < 2e-5,
                        "{form}: entry {i} of input {input}: {found}, expected {want}"
                    );
                }
            }
        }
    }
}

#[test]
fn only_wanted_gradients_are_registered() {
    let device = Device::flex().autodiff();
    let [a, b] = gradients(square_distances, &device, [true; 2]);
    assert_eq!(gradients(square_distances, &device, [true, false]), [a, None], "the first alone");
    assert_eq!(gradients(square_distances, &device, [false, true]), [None, b], "the second alone");
}

#[test]
fn one_input_twice_gets_the_sum_of_its_gradients() {
    let device = Device::flex().autodiff();
    let [x, _] = inputs();
    let x = leaf(&x, &device).require_grad();
    let grads = square_distances(x.clone(), x.clone(), SCALE).sum().backward();
    assert_eq!(floats(x.grad(&grads).expect("tracked")), [0.0; 12], "a distance to itself never changes");
}

#[test]
fn constants_of_the_plain_device_mix_with_tracked_inputs() {
    let [a, b] = inputs();
    let tracked = leaf(&a, &Device::flex().autodiff()).require_grad();
    let y = square_distances(tracked.clone(), leaf(&b, &Device::flex()), SCALE);
    let grads = (y * Tensor::from_floats([1.0, 2.0, 3.0], &Device::flex())).sum().backward();
    let [want, _] = gradients(square_distances, &Device::flex().autodiff(), [true; 2]);
    assert_eq!(tracked.grad(&grads).map(floats), want, "the gradient beside a constant");
}

#[test]
fn other_float_types_take_the_fallback() {
    let [a, b] = inputs();
    let double =
        |x: &[f64]| Tensor::<2>::from_data(TensorData::new(x.to_vec(), SHAPE), (&Device::flex(), DType::F64));
    let y = square_distances(double(&a), double(&b), SCALE);
    assert_eq!(y.dtype(), DType::F64, "the type stays");
    let first: f64 = a.iter().zip(&b).take(4).map(|(a, b)| 0.5 * (a - b) * (a - b)).sum();
    assert!((floats(y)[0] - first).abs() < 1e-14, "with all its digits");
}

/// An operation that breaks its promise is named.
#[derive(Clone, Debug)]
struct WithoutGradient;

impl FusedOp<1> for WithoutGradient {
    type Saved = ();

    fn forward(&self, [x]: [CpuTensor; 1]) -> (CpuTensor, ()) {
        (x, ())
    }

    fn backward(&self, (): (), _: CpuTensor, _: [bool; 1]) -> [Option<CpuTensor>; 1] {
        [None]
    }
}

#[test]
fn an_operation_without_the_gradient_that_is_wanted_is_named() {
    let [x, _] = inputs();
    let x = leaf(&x, &Device::flex().autodiff()).require_grad();
    let y: Tensor<2> = fused_op!(WithoutGradient, [x], x);
    let panic = std::panic::catch_unwind(move || drop(y.sum().backward())).expect_err("no gradient");
    let message = panic.downcast_ref::<String>().cloned().unwrap_or_default();
    assert!(message.contains("WithoutGradient"), "the operation is named: {message}");
}
