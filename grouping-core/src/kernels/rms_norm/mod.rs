//! Root-mean-square normalisation (Zhang & Sennrich 2019, "Root Mean Square Layer Normalization", Eq. 4), as in Llama.
//!
//! `y = w ∘ x / √(mean(x²) + ε)` over the last axis.
//!
//! Shapes: `x [.., hidden]`, `weight [hidden]` → `[.., hidden]`.

mod backward;
mod cpu;

use burn::tensor::Tensor;

use crate::fused_op;
use backward::RmsNorm;

/// `weight ∘ x / √(mean(x²) + eps)` over the last axis: `x [.., hidden]`, `weight [hidden]` → `[.., hidden]`.
///
/// # Panics
/// If `weight` has not the length of the last axis of `x`.
///
/// ```
/// use burn::tensor::{Device, Tensor};
/// use grouping_core::kernels::rms_norm;
///
/// let device = Device::flex();
/// let x = Tensor::<2>::from_floats([[3.0, 4.0]], &device);
/// let y = rms_norm(x, Tensor::from_floats([1.0, 2.0], &device), 0.0);
/// // mean(x²) = 12.5
/// let y = y.into_data().try_into_vec::<f32>().unwrap();
/// assert!((y[0] - 3.0 / 12.5f32.sqrt()).abs() < 1e-6);
/// assert!((y[1] - 8.0 / 12.5f32.sqrt()).abs() < 1e-6);
/// ```
pub fn rms_norm<const D: usize>(x: Tensor<D>, weight: Tensor<1>, eps: f64) -> Tensor<D> {
    check(&x, &weight);
    fused_op!(RmsNorm { eps: eps as f32 }, [x, weight], composed(x, weight, eps))
}

/// [`rms_norm`] from Burn's tensor operations: any device, any float type.
pub fn composed<const D: usize>(x: Tensor<D>, weight: Tensor<1>, eps: f64) -> Tensor<D> {
    check(&x, &weight);
    let mean_square = (x.clone() * x.clone()).mean_dim(D - 1);
    x / (mean_square + eps).sqrt() * weight.unsqueeze()
}

fn check<const D: usize>(x: &Tensor<D>, weight: &Tensor<1>) {
    let hidden = x.dims()[D - 1];
    assert_eq!(weight.dims(), [hidden], "rms_norm: the weight must have the length of the last axis of x");
}
