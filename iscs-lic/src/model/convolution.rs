//! The two convolutions that all networks are made of, in one place.
//!
//! They are those of [`grouping_core::kernels`]: on the CPU an output does not depend on its place, but by [`Algorithm::Minimal`] on whether its row and
//! column are even, so that strips of a picture that start at even rows give the values of the whole.

use burn::module::{Module, Param};
use burn::tensor::{Device, Tensor, TensorData};
use grouping_core::kernels::conv::Algorithm;
use grouping_core::kernels::{ConvOptions, Rectifier, conv_transpose2d, conv2d, conv2d_onto};

use crate::Result;
use crate::checkpoint::{self, Checkpoint};

/// The tensor of this neutral name on a device.
pub(super) fn parameter<const D: usize>(
    checkpoint: &Checkpoint,
    name: &str,
    device: &Device,
) -> Result<Param<Tensor<D>>> {
    let tensor = checkpoint.tensor(name)?;
    Ok(Param::from_tensor(Tensor::from_data(TensorData::new(tensor.values, tensor.shape), device)))
}

/// A convolution over a square kernel that is padded by half of it: `[b, in, h, w]` → `[b, out, ⌈h / stride⌉, ⌈w / stride⌉]`.
#[derive(Module, Debug)]
pub struct Conv {
    /// `[out, in, k, k]`.
    pub weight: Param<Tensor<4>>,
    /// `[out]`.
    pub bias: Option<Param<Tensor<1>>>,
    stride: usize,
    /// Whether it is computed by [`Algorithm::Minimal`].
    is_minimal: bool,
}

/// Analysis and synthesis, where nearly all of the time goes, are computed with half the products. What decides the tables of symbols stays as near to
/// CompressAI's sums as it can be, and is small.
fn is_minimal(name: &str) -> bool {
    name.starts_with("g_a.") || name.starts_with("g_s.")
}

fn algorithm(is_minimal: bool) -> Algorithm {
    if is_minimal { Algorithm::Minimal } else { Algorithm::Direct }
}

impl Conv {
    /// The convolution `name` of a checkpoint.
    pub(super) fn load(
        checkpoint: &Checkpoint,
        name: &str,
        shape: &checkpoint::Conv,
        device: &Device,
    ) -> Result<Self> {
        let bias = shape.has_bias.then(|| parameter(checkpoint, &format!("{name}.bias"), device));
        Ok(Self {
            weight: parameter(checkpoint, &format!("{name}.weight"), device)?,
            bias: bias.transpose()?,
            stride: shape.stride,
            is_minimal: is_minimal(name),
        })
    }

    /// The output.
    pub fn forward(&self, x: Tensor<4>) -> Tensor<4> {
        self.rectified(x, Rectifier::None)
    }

    /// The output behind an activation function.
    pub fn rectified(&self, x: Tensor<4>, rectifier: Rectifier) -> Tensor<4> {
        let bias = self.bias.as_ref().map(Param::val);
        conv2d(x, self.weight.val(), bias, self.options(rectifier))
    }

    /// The output added to a residual of its shape, behind an activation function.
    pub fn onto(&self, residual: Tensor<4>, x: Tensor<4>, rectifier: Rectifier) -> Tensor<4> {
        let weight = self.weight.val();
        let zeros = || Tensor::zeros([weight.dims()[0]], &weight.device());
        let bias = self.bias.as_ref().map_or_else(zeros, Param::val);
        conv2d_onto(residual, x, weight, bias, self.options(rectifier))
    }

    fn options(&self, rectifier: Rectifier) -> ConvOptions {
        ConvOptions::new()
            .with_stride(self.stride)
            .with_padding(self.weight.dims()[2] / 2)
            .with_rectifier(rectifier)
            .with_algorithm(algorithm(self.is_minimal))
    }
}

/// A transposed convolution: `[b, in, h, w]` → `[b, out, h · stride, w · stride]`.
#[derive(Module, Debug)]
pub struct Deconv {
    /// `[in, out, k, k]`.
    pub weight: Param<Tensor<4>>,
    /// `[out]`.
    pub bias: Option<Param<Tensor<1>>>,
    stride: usize,
    /// As of [`Conv`].
    is_minimal: bool,
}

impl Deconv {
    /// The transposed convolution `name` of a checkpoint.
    pub(super) fn load(
        checkpoint: &Checkpoint,
        name: &str,
        shape: &checkpoint::Conv,
        device: &Device,
    ) -> Result<Self> {
        let Conv { weight, bias, stride, is_minimal } = Conv::load(checkpoint, name, shape, device)?;
        Ok(Self { weight, bias, stride, is_minimal })
    }

    /// The output behind an activation function.
    pub fn rectified(&self, x: Tensor<4>, rectifier: Rectifier) -> Tensor<4> {
        let weight = self.weight.val();
        let half = weight.dims()[2] / 2;
        let options = ConvOptions::new()
            .with_stride(self.stride)
            .with_padding(half)
            .with_output_padding(self.stride - 1)
            .with_rectifier(rectifier)
            .with_algorithm(algorithm(self.is_minimal));
        conv_transpose2d(x, weight, self.bias.as_ref().map(Param::val), options)
    }
}
