//! The product of a batch of rows with a weight matrix, with a bias and onto a residual stream where there are such.
//!
//! `y = x·W`, `residual + x·W`, `x·W + b`, or `residual + x·W + b`.
//!
//! Shapes: `x [.., in]`, `weight [in, out]`, `bias [out]`, `residual [.., out]` → `[.., out]`.

mod backward;
mod cpu;

use burn::tensor::Tensor;

use crate::fused_op;
use backward::{Linear, LinearBiased, LinearBiasedOnto, LinearOnto};

/// `x·weight`: `x [.., in]`, `weight [in, out]` → `[.., out]`.
///
/// # Panics
/// If the last axis of `x` has not the length of the first of `weight`.
///
/// ```
/// use burn::tensor::{Device, Tensor};
/// use grouping_core::kernels::linear;
///
/// let device = Device::flex();
/// let x = Tensor::<2>::from_floats([[1.0, 2.0], [3.0, 4.0]], &device);
/// let y = linear(x, Tensor::from_floats([[10.0], [1.0]], &device));
/// assert_eq!(y.into_data().try_into_vec::<f32>().unwrap(), [12.0, 34.0]);
/// ```
pub fn linear<const D: usize>(x: Tensor<D>, weight: Tensor<2>) -> Tensor<D> {
    check(&x, &weight);
    fused_op!(Linear, [x, weight], composed(x, weight))
}

/// `residual + x·weight`: `residual [.., out]`, `x [.., in]`, `weight [in, out]` → `[.., out]`.
///
/// # Panics
/// If a shape does not fit.
///
/// ```
/// use burn::tensor::{Device, Tensor};
/// use grouping_core::kernels::linear_onto;
///
/// let device = Device::flex();
/// let (stream, x) = (Tensor::<2>::from_floats([[100.0]], &device), Tensor::from_floats([[1.0, 2.0]], &device));
/// let y = linear_onto(stream, x, Tensor::from_floats([[10.0], [1.0]], &device));
/// assert_eq!(y.into_scalar::<f32>(), 112.0);
/// ```
pub fn linear_onto<const D: usize>(residual: Tensor<D>, x: Tensor<D>, weight: Tensor<2>) -> Tensor<D> {
    let mut shape = check(&x, &weight);
    shape[D - 1] = weight.dims()[1];
    assert_eq!(residual.dims(), shape, "linear: the residual must have the shape of the product");
    fused_op!(LinearOnto, [residual, x, weight], residual + composed(x, weight))
}

/// `x·weight + bias`: `x [.., in]`, `weight [in, out]`, `bias [out]` → `[.., out]`.
///
/// # Panics
/// If a shape does not fit.
///
/// ```
/// use burn::tensor::{Device, Tensor};
/// use grouping_core::kernels::linear_biased;
///
/// let device = Device::flex();
/// let (x, bias) = (Tensor::<2>::from_floats([[1.0, 2.0]], &device), Tensor::from_floats([0.5], &device));
/// let y = linear_biased(x, Tensor::from_floats([[10.0], [1.0]], &device), bias);
/// assert_eq!(y.into_scalar::<f32>(), 12.5);
/// ```
pub fn linear_biased<const D: usize>(x: Tensor<D>, weight: Tensor<2>, bias: Tensor<1>) -> Tensor<D> {
    check(&x, &weight);
    check_bias(&weight, &bias);
    fused_op!(LinearBiased, [x, weight, bias], composed(x, weight) + bias.unsqueeze())
}

/// `residual + x·weight + bias`: `residual [.., out]`, `x [.., in]`, `weight [in, out]`, `bias [out]` → `[.., out]`.
///
/// # Panics
/// If a shape does not fit.
///
/// ```
/// use burn::tensor::{Device, Tensor};
/// use grouping_core::kernels::linear_biased_onto;
///
/// let device = Device::flex();
/// let (stream, x) = (Tensor::<2>::from_floats([[100.0]], &device), Tensor::from_floats([[1.0, 2.0]], &device));
/// let weight = Tensor::from_floats([[10.0], [1.0]], &device);
/// let y = linear_biased_onto(stream, x, weight, Tensor::from_floats([0.5], &device));
/// assert_eq!(y.into_scalar::<f32>(), 112.5);
/// ```
pub fn linear_biased_onto<const D: usize>(
    residual: Tensor<D>,
    x: Tensor<D>,
    weight: Tensor<2>,
    bias: Tensor<1>,
) -> Tensor<D> {
    let mut shape = check(&x, &weight);
    check_bias(&weight, &bias);
    shape[D - 1] = weight.dims()[1];
    assert_eq!(residual.dims(), shape, "linear: the residual must have the shape of the product");
    fused_op!(
        LinearBiasedOnto,
        [residual, x, weight, bias],
        residual + composed(x, weight) + bias.unsqueeze()
    )
}

/// [`linear`] from Burn's tensor operations: any device, any float type.
pub fn composed<const D: usize>(x: Tensor<D>, weight: Tensor<2>) -> Tensor<D> {
    let mut shape = check(&x, &weight);
    let [d_in, d_out] = weight.dims();
    let n_rows = shape[..D - 1].iter().product::<usize>();
    shape[D - 1] = d_out;
    x.reshape([n_rows, d_in]).matmul(weight).reshape(shape)
}

fn check<const D: usize>(x: &Tensor<D>, weight: &Tensor<2>) -> [usize; D] {
    let (shape, [d_in, _]) = (x.dims(), weight.dims());
    assert_eq!(shape[D - 1], d_in, "linear: a weight of {d_in} inputs got a tensor of shape {shape:?}");
    shape
}

fn check_bias(weight: &Tensor<2>, bias: &Tensor<1>) {
    let [_, d_out] = weight.dims();
    assert_eq!(bias.dims(), [d_out], "linear: the bias must have the length of the last axis of the weight");
}
