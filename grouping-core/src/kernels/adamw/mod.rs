//! One step of AdamW (Loshchilov & Hutter 2019, Algorithm 2) on a parameter in place, in one pass.
//!
//! With the gradient g, its factor s, the step t, the rate η and the decay λ:
//! `m ← β₁·m + (1−β₁)·s·g`, `v ← β₂·v + (1−β₂)·(s·g)²`,
//! `θ ← (1 − η·λ)·θ − η·(m/(1−β₁ᵗ)) / (√(v/(1−β₂ᵗ)) + ε)`.
//!
//! Operations and their order are those of Burn's `AdamW`, which does the same in a dozen passes: both give the same bytes.
//!
//! Shapes: θ, g, m and v have one shape.

mod cpu;

use burn::backend::tensor::FloatTensor;
use burn::backend::{Backend, Dispatch, Flex, backend_extension};
use burn::tensor::Tensor;

use super::buffer::{contiguous, tensor, values};
use super::fused::is_cpu_f32;
use crate::simd::Level;

/// The factors of one step, the same for every parameter.
#[derive(Clone, Copy, Debug)]
pub(crate) struct AdamWStep {
    /// β₁ and β₂.
    pub(crate) betas: [f32; 2],
    /// 1 − β₁ᵗ and 1 − β₂ᵗ.
    pub(crate) corrections: [f32; 2],
    /// ε.
    pub(crate) epsilon: f32,
    /// η.
    pub(crate) rate: f32,
    /// 1 − η·λ.
    pub(crate) keep: f32,
    /// What the gradient is multiplied by.
    pub(crate) scale: f32,
}

/// The passes of an optimiser as operations of a backend.
#[backend_extension(Flex)]
trait AdamWOps: Backend {
    /// See [`step`].
    fn adamw_step(
        param: FloatTensor<Self>,
        grad: FloatTensor<Self>,
        moment_1: FloatTensor<Self>,
        moment_2: FloatTensor<Self>,
        step: AdamWStep,
    ) -> (FloatTensor<Self>, FloatTensor<Self>, FloatTensor<Self>);

    /// See [`square_norm`].
    fn square_norm(x: FloatTensor<Self>) -> FloatTensor<Self>;
}

impl AdamWOps for Flex {
    fn adamw_step(
        param: FloatTensor<Self>,
        grad: FloatTensor<Self>,
        moment_1: FloatTensor<Self>,
        moment_2: FloatTensor<Self>,
        step: AdamWStep,
    ) -> (FloatTensor<Self>, FloatTensor<Self>, FloatTensor<Self>) {
        let [mut param, grad, mut moment_1, mut moment_2] = [param, grad, moment_1, moment_2].map(contiguous);
        cpu::step(
            Level::detect(),
            param.storage_mut(),
            values(&grad),
            [moment_1.storage_mut(), moment_2.storage_mut()],
            step,
        );
        (param, moment_1, moment_2)
    }

    fn square_norm(x: FloatTensor<Self>) -> FloatTensor<Self> {
        let x = contiguous(x);
        tensor(vec![cpu::square_norm(Level::detect(), values(&x))], [1])
    }
}

/// Whether [`step`] and [`square_norm`] apply to `tensor`: the CPU backend in f32.
pub(crate) fn applies<const D: usize>(tensor: &Tensor<D>) -> bool {
    is_cpu_f32(tensor)
}

/// The parameter and its two moments after the step; buffers that nobody else holds are written in place.
pub(crate) fn step<const D: usize>(
    param: Tensor<D>,
    grad: Tensor<D>,
    [moment_1, moment_2]: [Tensor<D>; 2],
    step: AdamWStep,
) -> (Tensor<D>, [Tensor<D>; 2]) {
    let (param, moment_1, moment_2) = <Dispatch as AdamWOps>::adamw_step(
        param.into_dispatch(),
        grad.into_dispatch(),
        moment_1.into_dispatch(),
        moment_2.into_dispatch(),
        step,
    );
    (Tensor::from_dispatch(param), [moment_1, moment_2].map(Tensor::from_dispatch))
}

/// `Σ x²`, as `[1]`.
pub(crate) fn square_norm<const D: usize>(x: Tensor<D>) -> Tensor<1> {
    Tensor::from_dispatch(<Dispatch as AdamWOps>::square_norm(x.into_dispatch()))
}
