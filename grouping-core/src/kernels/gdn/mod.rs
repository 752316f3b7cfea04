//! Generalised divisive normalisation over channels (Ballé, Laparra & Simoncelli 2016, "Density modeling of images using a generalized
//! normalization transformation", §3) and its approximate inverse.
//!
//! At each point, `y_i = x_i / √n_i` with `n_i = β_i + Σ_j γ_ij · x_j²`; the inverse form is `y_i = x_i · √n_i`.
//!
//! Shapes: `x [batch, channels, h, w]`, `beta [channels]`, `gamma [channels, channels]` → the shape of `x`.
//!
//! Every `n_i` is one chain of multiply-adds, from β through j in order, in the CPU form. So a value depends on its point alone.

mod backward;
mod cpu;

use burn::tensor::ops::ConvOptions;
use burn::tensor::{Tensor, module};

use crate::fused_op;
use backward::Gdn;

/// `x_i / √(β_i + Σ_j γ_ij · x_j²)`, or `x_i` times the root where `inverse`: `x [batch, channels, h, w]`, `beta [channels]`,
/// `gamma [channels, channels]` → the shape of `x`.
///
/// β above zero and γ at least zero are the caller's to ensure; a root of less is NaN.
///
/// # Panics
/// If a shape does not fit.
///
/// ```
/// use burn::tensor::{Device, Tensor};
/// use grouping_core::kernels::gdn;
///
/// let device = Device::flex();
/// let x = Tensor::<4>::from_floats([[[[3.0]], [[4.0]]]], &device);
/// let (beta, gamma) = (Tensor::zeros([2], &device), Tensor::ones([2, 2], &device));
/// let y = gdn(x.clone(), beta.clone(), gamma.clone(), false);
/// assert_eq!(y.into_data().try_into_vec::<f32>().unwrap(), [0.6, 0.8]);
/// let y = gdn(x, beta, gamma, true);
/// assert_eq!(y.into_data().try_into_vec::<f32>().unwrap(), [15.0, 20.0]);
/// ```
pub fn gdn(x: Tensor<4>, beta: Tensor<1>, gamma: Tensor<2>, inverse: bool) -> Tensor<4> {
    let [_, channels, ..] = x.dims();
    assert_eq!(beta.dims(), [channels], "gdn: beta must have a value for each channel of {:?}", x.dims());
    assert_eq!(gamma.dims(), [channels; 2], "gdn: gamma must have a row and a column for each channel");
    fused_op!(Gdn { inverse }, [x, beta, gamma], composed(x, beta, gamma, inverse))
}

/// [`gdn`] from Burn's tensor operations: any device, any float type.
pub fn composed(x: Tensor<4>, beta: Tensor<1>, gamma: Tensor<2>, inverse: bool) -> Tensor<4> {
    let gamma = gamma.unsqueeze_dims::<4>(&[2, 3]);
    let options = ConvOptions::new([1, 1], [0, 0], [1, 1], 1);
    let norms = module::conv2d(x.clone() * x.clone(), gamma, Some(beta), options).sqrt();
    if inverse { x * norms } else { x / norms }
}
