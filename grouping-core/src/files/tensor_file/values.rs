//! Values as bytes: f32, f16 and bf16, each rounded once to the nearest, and strided tensors put into row-major order.

use half::{bf16, f16};
use safetensors::tensor::Dtype;

/// Copies a strided tensor of `width` bytes a value into row-major order.
pub(super) fn gather(bytes: &[u8], width: usize, shape: &[usize], strides: &[usize]) -> Option<Vec<u8>> {
    let n: usize = shape.iter().product();
    let mut out = Vec::with_capacity(n * width);
    let mut index = vec![0; shape.len()];
    for _ in 0..n {
        let at: usize = index.iter().zip(strides).map(|(i, stride)| i * stride).sum();
        out.extend_from_slice(bytes.get(at * width..(at + 1) * width)?);
        for axis in (0..shape.len()).rev() {
            index[axis] += 1;
            if index[axis] < shape[axis] {
                break;
            }
            index[axis] = 0;
        }
    }
    Some(out)
}

/// Whether values of this type are decoded and encoded here.
pub fn is_float(dtype: Dtype) -> bool {
    matches!(dtype, Dtype::F32 | Dtype::F16 | Dtype::BF16)
}

pub(super) fn decode(bytes: &[u8], dtype: Dtype) -> Option<Vec<f32>> {
    let halves = || bytes.as_chunks::<2>().0.iter().map(|&b| u16::from_le_bytes(b));
    Some(match dtype {
        Dtype::F32 => bytes.as_chunks::<4>().0.iter().map(|&b| f32::from_le_bytes(b)).collect(),
        Dtype::F16 => halves().map(|b| f16::from_bits(b).to_f32()).collect(),
        Dtype::BF16 => halves().map(|b| bf16::from_bits(b).to_f32()).collect(),
        _ => return None,
    })
}

pub(super) fn integers(bytes: &[u8], dtype: Dtype) -> Option<Vec<i64>> {
    fn all<const N: usize>(bytes: &[u8], read: impl Fn([u8; N]) -> i64) -> Vec<i64> {
        bytes.as_chunks::<N>().0.iter().map(|&b| read(b)).collect()
    }
    Some(match dtype {
        Dtype::I8 => all(bytes, |b| i8::from_le_bytes(b).into()),
        Dtype::U8 => all(bytes, |b| u8::from_le_bytes(b).into()),
        Dtype::I16 => all(bytes, |b| i16::from_le_bytes(b).into()),
        Dtype::U16 => all(bytes, |b| u16::from_le_bytes(b).into()),
        Dtype::I32 => all(bytes, |b| i32::from_le_bytes(b).into()),
        Dtype::U32 => all(bytes, |b| u32::from_le_bytes(b).into()),
        Dtype::I64 => all(bytes, i64::from_le_bytes),
        _ => return None,
    })
}

/// Encodes values, each rounded once to the nearest; `None` for a type that is not written.
pub fn encode(values: &[f32], dtype: Dtype) -> Option<Vec<u8>> {
    Some(match dtype {
        Dtype::F32 => values.iter().flat_map(|v| v.to_le_bytes()).collect(),
        Dtype::F16 => values.iter().flat_map(|&v| f16::from_f32(v).to_le_bytes()).collect(),
        Dtype::BF16 => values.iter().flat_map(|&v| bf16::from_f32(v).to_le_bytes()).collect(),
        _ => return None,
    })
}

/// The largest magnitude that does not round to infinity in this type.
pub fn largest(dtype: Dtype) -> f32 {
    match dtype {
        Dtype::F16 => 65519.0,
        Dtype::BF16 => 3.394_999e38,
        _ => f32::MAX,
    }
}
