//! Rotary positions alone, for attention that turns its keys before it stores them.
//!
//! Entries j and j + d/2 of a head (a, b) become `(a·cos − b·sin, b·cos + a·sin)` of the angle `position · fⱼ`.

use burn::tensor::{Tensor, TensorData};

use super::rotary::Rotary;
use super::scaling::{RopeScaling, frequencies};

/// The frequencies of rotary positions.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Rope {
    /// Base θ.
    pub theta: f64,
    /// How the frequencies are stretched.
    pub scaling: RopeScaling,
}

impl Rope {
    pub(super) fn rotary(&self, head_dim: usize, first_position: usize, seq: usize) -> Rotary {
        Rotary::new(&frequencies(head_dim, self.theta, self.scaling), first_position, seq)
    }
}

/// Turns every head of `x [batch, heads, seq, head_dim]` by its token's position, counted from `first_position`.
///
/// # Panics
/// If `head_dim` is odd or 0.
///
/// ```
/// use burn::tensor::{Device, Tensor};
/// use grouping_core::kernels::{Rope, RopeScaling, rotate};
///
/// let rope = Rope { theta: 10_000.0, scaling: RopeScaling::None };
/// let x = Tensor::<4>::from_floats([[[[1.0, 0.0], [1.0, 0.0]]]], &Device::flex());
/// let turned = rotate(x, &rope, 0).into_data().try_into_vec::<f32>().unwrap();
/// assert_eq!(turned, [1.0, 0.0, 1f32.cos(), 1f32.sin()]);
/// ```
pub fn rotate(x: Tensor<4>, rope: &Rope, first_position: usize) -> Tensor<4> {
    let [_, _, seq, dim] = x.dims();
    assert!(dim > 0 && dim.is_multiple_of(2), "rotate: head_dim {dim} is not a positive even number");
    let (device, dtype) = (x.device().without_autodiff(), x.dtype());
    let rotary = rope.rotary(dim, first_position, seq);
    let table = |values: Vec<f32>| {
        Tensor::<4>::from_data(TensorData::new(values, [1, 1, seq, dim / 2]), &device).cast(dtype)
    };
    let (cos, sin) = (table(rotary.cos), table(rotary.sin));
    let a = x.clone().narrow(3, 0, dim / 2);
    let b = x.narrow(3, dim / 2, dim / 2);
    let first = a.clone() * cos.clone() - b.clone() * sin.clone();
    let second = b * cos + a * sin;
    Tensor::cat(vec![first, second], 3)
}
