//! Plain slices in and out of the CPU backend's tensors.

use burn::backend::ops::FloatTensorOps;
use burn::backend::tensor::FloatTensor;
use burn::backend::{Flex, FlexDevice};
use burn::tensor::TensorData;

use crate::platform::prefer_large_pages;

/// A float tensor of the CPU backend.
pub type CpuTensor = FloatTensor<Flex>;

/// Rows of a matrix that one task works on: fixed, so that the cut never depends on the number of threads.
pub(super) const ROWS_PER_TASK: usize = 64;

/// Bytes from which large pages pay.
const LARGE: usize = 4 << 20;

/// `n` zeros, in large pages where there are many.
pub(super) fn zeros(n: usize) -> Vec<f32> {
    let mut values = vec![0.0; n];
    if size_of_val(values.as_slice()) >= LARGE {
        prefer_large_pages(&mut values);
    }
    values
}

/// `tensor` as one row-major buffer without gaps: itself where it is one already, else a copy.
///
/// It takes the tensor whole, so that a buffer nobody else holds stays free to be written in place.
pub fn contiguous(tensor: CpuTensor) -> CpuTensor {
    tensor.to_contiguous()
}

/// The values of an f32 tensor that [`contiguous`] returned.
///
/// # Panics
/// If there are gaps between its rows, or it is of another type.
pub fn values(tensor: &CpuTensor) -> &[f32] {
    tensor.as_slice().expect("a contiguous f32 tensor, as `is_cpu_f32` checks")
}

/// A tensor of `shape` over `values`, without a copy.
pub fn tensor<const D: usize>(values: Vec<f32>, shape: [usize; D]) -> CpuTensor {
    Flex::float_from_data(TensorData::new(values, shape), &FlexDevice)
}

/// A tensor of the shape of `like` over `values`, without a copy.
pub fn tensor_like(values: Vec<f32>, like: &CpuTensor) -> CpuTensor {
    Flex::float_from_data(TensorData::new(values, like.layout().shape().clone()), &FlexDevice)
}

/// A tensor of the shape of `like` but for `last` entries along the last axis, over `values`, without a copy.
pub fn tensor_with_last(values: Vec<f32>, like: &CpuTensor, last: usize) -> CpuTensor {
    let mut shape = like.layout().shape().clone();
    let axis = shape.num_dims() - 1;
    shape[axis] = last;
    Flex::float_from_data(TensorData::new(values, shape), &FlexDevice)
}
