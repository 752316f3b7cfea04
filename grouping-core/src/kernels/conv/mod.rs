//! Two-dimensional convolution and transposed convolution (Dumoulin & Visin 2016, "A guide to convolution arithmetic for deep learning").
//!
//! Convolution: `y[o, i, j] = b[o] + Σ_{c, ky, kx} w[o, c, ky, kx] · x[c, s·i + ky − p, s·j + kx − p]`, with zeros outside of `x`.
//! Transposed: `y[o, i, j] = b[o] + Σ w[c, o, ky, kx] · x[c, i', j']` over the taps with `s·i' + ky − p = i`, `s·j' + kx − p = j`.
//! The transposed one is the gradient of the other by its input, with the same weight. It is computed as `s²` phases, each an ordinary
//! convolution with the taps that fall on it, and never inserts zeros.
//!
//! Shapes: `x [batch, c_in, h, w]`, `weight [c_out, c_in, kh, kw]`, transposed `[c_in, c_out, kh, kw]`, `bias [c_out]` →
//! `[batch, c_out, h', w']` with `h' = ⌊(h + 2p − kh) / s⌋ + 1`, transposed `h' = (h − 1)·s − 2p + kh + output_padding`.
//!
//! In the CPU form an output is one chain of multiply-adds, from the bias through input channels and taps in order. So its value depends
//! on what it reads alone: not on its place, the size of the tensor, the batch or threads. A tensor cut into strips with margins gives
//! the same bytes, and so do AVX2 and AVX-512. [`Algorithm::Minimal`] needs half the products and promises the same for strips that start at
//! even rows and columns.

mod backward;
mod composed;
mod forward;
mod geometry;
mod gradient;
mod minimal;
mod options;
mod pack;
mod tile;
mod vector;

use burn::tensor::Tensor;

pub use composed::{composed, composed_onto, composed_transpose};
pub(in crate::kernels) use forward::forward;
pub(in crate::kernels) use geometry::Geometry;
pub(in crate::kernels) use gradient::{channel_sums, weight_gradient};
pub use options::{Algorithm, ConvOptions, Rectifier};
pub(in crate::kernels) use pack::Weights;
pub(in crate::kernels) use tile::{Terms, TileSize, accumulate};

use crate::fused_op;
use backward::{Conv, Direction};
use geometry::transposed_output;

/// Convolution of `x [batch, c_in, h, w]` with `weight [c_out, c_in, kh, kw]` and `bias [c_out]` → `[batch, c_out, h', w']`.
///
/// # Panics
/// If a shape does not fit, the stride is 0, or there is an output padding.
///
/// ```
/// use burn::tensor::{Device, Tensor};
/// use grouping_core::kernels::{ConvOptions, conv2d};
///
/// let device = Device::flex();
/// let x = Tensor::<4>::from_floats([[[[1.0, 2.0, 3.0, 4.0]]]], &device);
/// let sum_of_three = Tensor::ones([1, 1, 1, 3], &device);
/// let y = conv2d(x, sum_of_three, None, ConvOptions::new().with_stride(1));
/// assert_eq!(y.into_data().try_into_vec::<f32>().unwrap(), [6.0, 9.0]);
/// ```
pub fn conv2d(x: Tensor<4>, weight: Tensor<4>, bias: Option<Tensor<1>>, options: ConvOptions) -> Tensor<4> {
    let ([_, c_in, ..], [c_out, expected, ..]) = (x.dims(), weight.dims());
    assert_eq!(c_in, expected, "conv2d: a weight of {expected} input channels got {:?}", x.dims());
    assert_eq!(options.output_padding, 0, "conv2d: only a transposed convolution has an output padding");
    check("conv2d", &weight, c_out, bias.as_ref(), options);
    Geometry::ordinary(x.dims(), weight.dims(), options.stride, options.padding);
    let conv = Conv { direction: Direction::Ordinary, options };
    match bias {
        None => fused_op!(conv, [x, weight], composed(x, weight, None, options)),
        Some(bias) => fused_op!(conv, [x, weight, bias], composed(x, weight, Some(bias), options)),
    }
}

/// [`conv2d`] on top of a residual (He et al. 2015, arXiv 1512.03385, §3.2): `rectifier(conv(x) + residual)`.
///
/// On the CPU `residual [batch, c_out, h', w']` is written in place where nobody else holds it: neither is memory asked for nor is
/// the sum read again.
///
/// # Panics
/// As [`conv2d`], and if the residual has another shape than the result.
///
/// ```
/// use burn::tensor::{Device, Tensor};
/// use grouping_core::kernels::{ConvOptions, conv2d_onto};
///
/// let device = Device::flex();
/// let x = Tensor::<4>::from_floats([[[[1.0, 2.0]]]], &device);
/// let residual = Tensor::<4>::from_floats([[[[10.0, 20.0]]]], &device);
/// let (weight, bias) = (Tensor::ones([1, 1, 1, 1], &device), Tensor::zeros([1], &device));
/// let y = conv2d_onto(residual, x, weight, bias, ConvOptions::new());
/// assert_eq!(y.into_data().try_into_vec::<f32>().unwrap(), [11.0, 22.0]);
/// ```
pub fn conv2d_onto(
    residual: Tensor<4>,
    x: Tensor<4>,
    weight: Tensor<4>,
    bias: Tensor<1>,
    options: ConvOptions,
) -> Tensor<4> {
    let ([_, c_in, ..], [c_out, expected, ..]) = (x.dims(), weight.dims());
    assert_eq!(c_in, expected, "conv2d_onto: a weight of {expected} input channels got {:?}", x.dims());
    assert_eq!(options.output_padding, 0, "conv2d_onto: only a transposed convolution has an output padding");
    check("conv2d_onto", &weight, c_out, Some(&bias), options);
    let output = Geometry::ordinary(x.dims(), weight.dims(), options.stride, options.padding).output;
    let shape = [x.dims()[0], c_out, output[0], output[1]];
    assert_eq!(residual.dims(), shape, "conv2d_onto: the residual must have the shape of the result");
    let conv = Conv { direction: Direction::Ordinary, options };
    fused_op!(conv, [x, weight, bias, residual], composed_onto(residual, x, weight, bias, options))
}

/// Transposed convolution of `x [batch, c_in, h, w]` with `weight [c_in, c_out, kh, kw]` and `bias [c_out]` → `[batch, c_out, h', w']`.
///
/// # Panics
/// If a shape does not fit, the stride is 0, or the output padding is not below the stride.
///
/// ```
/// use burn::tensor::{Device, Tensor};
/// use grouping_core::kernels::{ConvOptions, conv_transpose2d};
///
/// let device = Device::flex();
/// let x = Tensor::<4>::from_floats([[[[1.0, 2.0]]]], &device);
/// let weight = Tensor::from_floats([[[[1.0, 1.0, 0.5]]]], &device);
/// let y = conv_transpose2d(x, weight, None, ConvOptions::new().with_stride(2));
/// assert_eq!(y.into_data().try_into_vec::<f32>().unwrap(), [1.0, 1.0, 2.5, 2.0, 1.0]);
/// ```
pub fn conv_transpose2d(
    x: Tensor<4>,
    weight: Tensor<4>,
    bias: Option<Tensor<1>>,
    options: ConvOptions,
) -> Tensor<4> {
    let ([_, c_in, height, width], [expected, c_out, kh, kw]) = (x.dims(), weight.dims());
    assert_eq!(c_in, expected, "conv_transpose2d: a weight of {expected} input channels got {:?}", x.dims());
    let ConvOptions { stride, padding, output_padding, .. } = options;
    assert!(
        output_padding < stride.max(1),
        "conv_transpose2d: the output padding {output_padding} must be below the stride {stride}"
    );
    check("conv_transpose2d", &weight, c_out, bias.as_ref(), options);
    transposed_output([height, width], [kh, kw], stride, padding, output_padding);
    let conv = Conv { direction: Direction::Transposed, options };
    match bias {
        None => fused_op!(conv, [x, weight], composed_transpose(x, weight, None, options)),
        Some(bias) => fused_op!(conv, [x, weight, bias], composed_transpose(x, weight, Some(bias), options)),
    }
}

fn check(name: &str, weight: &Tensor<4>, c_out: usize, bias: Option<&Tensor<1>>, options: ConvOptions) {
    let shape = weight.dims();
    assert!(options.stride > 0, "{name}: the stride must be at least 1");
    assert!(shape[2] > 0 && shape[3] > 0, "{name}: a weight of shape {shape:?} has no taps");
    if let Some(bias) = bias {
        assert_eq!(bias.dims(), [c_out], "{name}: the bias must have a value for each output channel");
    }
}
