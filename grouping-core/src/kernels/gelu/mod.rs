//! The Gaussian error linear unit (Hendrycks & Gimpel 2016, "Gaussian Error Linear Units", §2), in its exact form.
//!
//! `y = x·Φ(x)`, with `Φ(x) = (1 + erf(x/√2)) / 2`.
//!
//! Shapes: `x [..]` → `[..]`.

mod backward;
mod cpu;

use burn::tensor::{Tensor, activation};

use crate::fused_op;
use backward::Gelu;

/// `x·Φ(x)`, element by element.
///
/// ```
/// use burn::tensor::{Device, Tensor};
/// use grouping_core::kernels::gelu;
///
/// let y = gelu(Tensor::<1>::from_floats([0.0, 1.0, -1.0], &Device::flex()));
/// let y = y.into_data().try_into_vec::<f32>().unwrap();
/// assert_eq!(y[0], 0.0);
/// assert!((y[1] - 0.841_344_75).abs() < 1e-6 && (y[2] + 0.158_655_25).abs() < 1e-6);
/// ```
pub fn gelu<const D: usize>(x: Tensor<D>) -> Tensor<D> {
    fused_op!(Gelu, [x], composed(x))
}

/// [`gelu`] from Burn's tensor operations: any device, any float type.
pub fn composed<const D: usize>(x: Tensor<D>) -> Tensor<D> {
    activation::gelu(x)
}
