//! A linear layer with an optional trainable update of low rank (LoRA, Hu et al. 2021, §4.1).
//!
//! `y = x·W + bias + scale · (x·A)·B`, with `W [in, out]`, `A [in, rank]`, `B [rank, out]`: the transposes of what checkpoints
//! hold (`weight [out, in]`, `lora_A [rank, in]`, `lora_B [out, rank]`), because the products of training read them so.
//! [`weights`](super::weights) and [`LowRank::factors`] transpose at the files' edge.
//!
//! Deviation: the update is applied to the activations and never added to `W` in training; [`Projection::fold`] adds it once.

use burn::module::{Module, Param};
use burn::tensor::{Device, Tensor, TensorData};

use super::init::Initializer;
use crate::kernels::{linear, linear_biased, linear_biased_onto, linear_onto};

/// A linear layer `[.., in] → [.., out]`.
#[derive(Module, Debug)]
pub struct Projection {
    /// `[in, out]`.
    pub weight: Param<Tensor<2>>,
    /// `[out]`.
    pub bias: Option<Param<Tensor<1>>>,
    /// The update of low rank, if one is attached.
    pub low_rank: Option<LowRank>,
}

impl Projection {
    /// A layer with weights drawn from N(0, `std`²) and, if asked for, a bias of zeros.
    pub fn new([d_in, d_out]: [usize; 2], std: f64, bias: Bias, init: &mut Initializer) -> Self {
        let weight = init.normal([d_in, d_out], std);
        let bias = match bias {
            Bias::None => None,
            Bias::Zeros => Some(init.constant([d_out], 0.0)),
        };
        Self { weight, bias, low_rank: None }
    }

    /// `x [.., in]` → `[.., out]`.
    pub fn forward<const D: usize>(&self, x: Tensor<D>) -> Tensor<D> {
        match (&self.low_rank, &self.bias) {
            (None, None) => linear(x, self.weight.val()),
            (None, Some(bias)) => linear_biased(x, self.weight.val(), bias.val()),
            (Some(update), _) => self.onto(update.forward(x.clone()), x),
        }
    }

    /// `residual [.., out] + forward(x)`.
    pub fn forward_onto<const D: usize>(&self, residual: Tensor<D>, x: Tensor<D>) -> Tensor<D> {
        let residual = match &self.low_rank {
            None => residual,
            Some(update) => residual + update.forward(x.clone()),
        };
        self.onto(residual, x)
    }

    fn onto<const D: usize>(&self, residual: Tensor<D>, x: Tensor<D>) -> Tensor<D> {
        match &self.bias {
            None => linear_onto(residual, x, self.weight.val()),
            Some(bias) => linear_biased_onto(residual, x, self.weight.val(), bias.val()),
        }
    }

    /// `[in, out]`.
    pub fn dims(&self) -> [usize; 2] {
        let shape = self.weight.lazy_shape();
        [shape[0], shape[1]]
    }

    /// Adds the update to the weight and detaches it; without an update nothing changes.
    pub fn fold(&mut self) {
        if let Some(update) = self.low_rank.take() {
            let delta = update.a.val().matmul(update.b.val()).mul_scalar(update.scale);
            let device = self.weight.val().device();
            let delta = Tensor::from_data(delta.into_data(), &device.without_autodiff());
            self.weight = self.weight.clone().map(|weight| {
                let tracked = weight.is_require_grad();
                let autodiff = weight.is_autodiff();
                let sum = if autodiff { weight.inner() + delta } else { weight + delta };
                if autodiff { Tensor::from_inner(sum).set_require_grad(tracked) } else { sum }
            });
        }
    }
}

/// Whether a [`Projection`] has a bias.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Bias {
    /// No bias.
    None,
    /// A trainable bias that starts at zero.
    Zeros,
}

impl Bias {
    /// A bias where `present`.
    pub fn from_flag(present: bool) -> Self {
        if present { Self::Zeros } else { Self::None }
    }
}

/// A trainable update `scale · (x·A)·B` of rank r.
#[derive(Module, Debug)]
pub struct LowRank {
    /// `[in, rank]`.
    pub a: Param<Tensor<2>>,
    /// `[rank, out]`.
    pub b: Param<Tensor<2>>,
    /// The factor s = α/r.
    pub scale: f64,
}

impl LowRank {
    /// The start of PEFT: A kaiming-uniform with a = √5, which is U(−1/√in, 1/√in), and B zero.
    pub fn new([d_in, d_out]: [usize; 2], rank: usize, scale: f64, init: &mut Initializer) -> Self {
        let a = init.uniform([d_in, rank], 1.0 / (d_in as f64).sqrt());
        let b = init.constant([rank, d_out], 0.0);
        Self { a, b, scale }
    }

    /// From factors as checkpoints hold them, row-major: `a [rank, in]`, `b [out, rank]`.
    pub fn from_factors(
        [d_in, d_out]: [usize; 2],
        a: Vec<f32>,
        b: Vec<f32>,
        scale: f64,
        device: &Device,
    ) -> Self {
        let rank = a.len() / d_in;
        assert_eq!(a.len(), rank * d_in, "A holds whole rows of {d_in} values");
        assert_eq!(b.len(), rank * d_out, "B holds {d_out} rows of {rank} values");
        let a = Tensor::<2>::from_data(TensorData::new(a, [rank, d_in]), device).transpose();
        let b = Tensor::<2>::from_data(TensorData::new(b, [d_out, rank]), device).transpose();
        Self { a: contiguous(a), b: contiguous(b), scale }
    }

    /// The rank r.
    pub fn rank(&self) -> usize {
        self.a.lazy_shape()[1]
    }

    /// The factors as checkpoints hold them, row-major: `(A [rank, in], B [out, rank])`.
    pub fn factors(&self) -> (Vec<f32>, Vec<f32>) {
        let rows = |tensor: Tensor<2>| -> Vec<f32> {
            tensor.transpose().into_data().try_into_vec().expect("factors of an update are f32")
        };
        (rows(self.a.val()), rows(self.b.val()))
    }

    fn forward<const D: usize>(&self, x: Tensor<D>) -> Tensor<D> {
        linear(linear(x, self.a.val()), self.b.val()).mul_scalar(self.scale)
    }
}

fn contiguous(tensor: Tensor<2>) -> Param<Tensor<2>> {
    let device = tensor.device();
    Param::from_tensor(Tensor::from_data(tensor.into_data(), &device))
}
