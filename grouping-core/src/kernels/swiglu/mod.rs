//! The gated activation of Llama's feed-forward block (Shazeer 2020, "GLU Variants Improve Transformer", Eq. 6).
//!
//! `y = silu(gate) ∘ up`, with `silu(z) = z / (1 + e⁻ᶻ)`.
//!
//! Shapes: `gate [..]`, `up [..]` → `[..]`.

mod backward;
mod cpu;

use burn::tensor::{Tensor, activation};

use crate::fused_op;
use backward::Swiglu;

/// `silu(gate) ∘ up`, element by element, of two tensors of one shape.
///
/// # Panics
/// If the shapes differ.
///
/// ```
/// use burn::tensor::{Device, Tensor};
/// use grouping_core::kernels::swiglu;
///
/// let device = Device::flex();
/// let y = swiglu(Tensor::<1>::from_floats([0.0, 2.0], &device), Tensor::from_floats([5.0, 3.0], &device));
/// let y = y.into_data().try_into_vec::<f32>().unwrap();
/// assert_eq!(y[0], 0.0);
/// assert!((y[1] - 6.0 / (1.0 + (-2.0f32).exp())).abs() < 1e-6);
/// ```
pub fn swiglu<const D: usize>(gate: Tensor<D>, up: Tensor<D>) -> Tensor<D> {
    check(&gate, &up);
    fused_op!(Swiglu, [gate, up], composed(gate, up))
}

/// [`swiglu`] from Burn's tensor operations: any device, any float type.
pub fn composed<const D: usize>(gate: Tensor<D>, up: Tensor<D>) -> Tensor<D> {
    check(&gate, &up);
    activation::silu(gate) * up
}

fn check<const D: usize>(gate: &Tensor<D>, up: &Tensor<D>) {
    assert_eq!(gate.dims(), up.dims(), "swiglu: gate and up must have one shape");
}
