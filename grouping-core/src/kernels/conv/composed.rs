//! Convolutions from Burn's tensor operations: any device, any float type.

use burn::tensor::ops::ConvTransposeOptions;
use burn::tensor::{Tensor, activation, module};

use super::options::{ConvOptions, Rectifier};

/// [`conv2d`](super::conv2d) from Burn's tensor operations.
pub fn composed(x: Tensor<4>, weight: Tensor<4>, bias: Option<Tensor<1>>, options: ConvOptions) -> Tensor<4> {
    let ConvOptions { stride, padding, rectifier, .. } = options;
    let pair = |size| [size; 2];
    let options = burn::tensor::ops::ConvOptions::new(pair(stride), pair(padding), pair(1), 1);
    rectified(module::conv2d(x, weight, bias, options), rectifier)
}

/// [`conv2d_onto`](super::conv2d_onto) from Burn's tensor operations.
pub fn composed_onto(
    residual: Tensor<4>,
    x: Tensor<4>,
    weight: Tensor<4>,
    bias: Tensor<1>,
    options: ConvOptions,
) -> Tensor<4> {
    let rectifier = options.rectifier;
    let sums = composed(x, weight, Some(bias), options.with_rectifier(Rectifier::None));
    rectified(sums + residual, rectifier)
}

/// [`conv_transpose2d`](super::conv_transpose2d) from Burn's tensor operations.
pub fn composed_transpose(
    x: Tensor<4>,
    weight: Tensor<4>,
    bias: Option<Tensor<1>>,
    options: ConvOptions,
) -> Tensor<4> {
    let ConvOptions { stride, padding, output_padding, rectifier, .. } = options;
    let pair = |size| [size; 2];
    let options = ConvTransposeOptions::new(pair(stride), pair(padding), pair(output_padding), pair(1), 1);
    rectified(module::conv_transpose2d(x, weight, bias, options), rectifier)
}

fn rectified(x: Tensor<4>, rectifier: Rectifier) -> Tensor<4> {
    match rectifier {
        Rectifier::None => x,
        Rectifier::Relu => activation::relu(x),
        Rectifier::LeakyRelu => activation::leaky_relu(x, f64::from(rectifier.slope())),
    }
}
