//! Layer normalisation (Ba, Kiros, Hinton 2016, "Layer Normalization", Eq. 3 and 4).
//!
//! `y = w ∘ (x − mean(x)) / √(var(x) + ε) + b` over the last axis, with the biased variance.
//!
//! Shapes: `x [.., hidden]`, `weight [hidden]`, `bias [hidden]` → `[.., hidden]`.

mod backward;
mod cpu;

use burn::tensor::Tensor;

use crate::fused_op;
use backward::LayerNorm;

/// Layer normalisation over the last axis: `x [.., hidden]`, `weight [hidden]`, `bias [hidden]` → `[.., hidden]`.
///
/// # Panics
/// If `weight` or `bias` has not the length of the last axis of `x`.
///
/// ```
/// use burn::tensor::{Device, Tensor};
/// use grouping_core::kernels::layer_norm;
///
/// let device = Device::flex();
/// let x = Tensor::<2>::from_floats([[1.0, 3.0]], &device);
/// // mean 2, variance 1
/// let y = layer_norm(x, Tensor::from_floats([10.0, 10.0], &device), Tensor::from_floats([0.5, 0.5], &device), 0.0);
/// assert_eq!(y.into_data().try_into_vec::<f32>().unwrap(), [-9.5, 10.5]);
/// ```
pub fn layer_norm<const D: usize>(x: Tensor<D>, weight: Tensor<1>, bias: Tensor<1>, eps: f64) -> Tensor<D> {
    check(&x, &weight, &bias);
    fused_op!(LayerNorm { eps: eps as f32 }, [x, weight, bias], composed(x, weight, bias, eps))
}

/// [`layer_norm`] from Burn's tensor operations: any device, any float type.
pub fn composed<const D: usize>(x: Tensor<D>, weight: Tensor<1>, bias: Tensor<1>, eps: f64) -> Tensor<D> {
    check(&x, &weight, &bias);
    let centred = x.clone() - x.mean_dim(D - 1);
    let variance = (centred.clone() * centred.clone()).mean_dim(D - 1);
    centred / (variance + eps).sqrt() * weight.unsqueeze() + bias.unsqueeze()
}

fn check<const D: usize>(x: &Tensor<D>, weight: &Tensor<1>, bias: &Tensor<1>) {
    let hidden = x.dims()[D - 1];
    assert_eq!(weight.dims(), [hidden], "layer_norm: the weight must have the length of the last axis of x");
    assert_eq!(bias.dims(), [hidden], "layer_norm: the bias must have the length of the last axis of x");
}
