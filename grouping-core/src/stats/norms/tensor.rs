//! Norms of Burn tensors, on whatever device holds them, in the tensor's own float type.

use burn::tensor::Tensor;

use super::{Norm, axes_error};
use crate::Result;

/// Norms of `x` over `axes` together; the reduced axes stay, with length 1.
///
/// Differentiable, `L2` where it is not 0. `L2` is scaled by the greatest magnitude, so that no square overflows or vanishes.
///
/// # Errors
/// [`Error::Setting`](crate::Error::Setting) for an axis that is not there or named twice.
///
/// ```
/// # #[cfg(feature = "flex")] {
/// use burn::tensor::{Device, Tensor};
/// use grouping_core::stats::norms::{Norm, norm_tensor};
/// let x = Tensor::<2>::from_floats([[3., 4.], [0., 2.]], &Device::flex());
/// let rows = norm_tensor(x, &[1], Norm::L2)?; // [2, 1]
/// assert_eq!(rows.dims(), [2, 1]);
/// # }
/// # Ok::<(), grouping_core::Error>(())
/// ```
pub fn norm_tensor<const D: usize>(x: Tensor<D>, axes: &[usize], norm: Norm) -> Result<Tensor<D>> {
    let mut distinct = axes.to_vec();
    distinct.sort_unstable();
    distinct.dedup();
    if distinct.len() != axes.len() || distinct.last().is_some_and(|&a| a >= D) {
        return Err(axes_error(format!("distinct axes below {D}"), axes));
    }
    let magnitudes = x.abs();
    let greatest = |x: Tensor<D>| distinct.iter().fold(x, |x, &axis| x.max_dim(axis));
    let sum = |x: Tensor<D>| distinct.iter().fold(x, |x, &axis| x.sum_dim(axis));
    Ok(match norm {
        Norm::L1 => sum(magnitudes),
        Norm::LInf => greatest(magnitudes),
        Norm::L2 => {
            let peak = greatest(magnitudes.clone()).detach();
            let peak = peak.clone().mask_fill(peak.clone().equal_elem(0.0).bool_or(peak.is_inf()), 1.0);
            sum((magnitudes / peak.clone()).square()).sqrt() * peak
        }
    })
}
