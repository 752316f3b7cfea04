//! Norms of the projected keys `K [batch, G, tokens, head_dim]`, biases included, before any scaling: what the allocations go by.
//!
//! Official and paper: `m_g = Σ_b ‖K[b, g]‖_F`, each norm rounded to f32 and the sum taken in f32 in the order of the batch, as
//! the released code does; the norms themselves are rounded correctly here, where torch's are a few units in the last
//! place off. Robust: the mean over the batch instead of the sum, in `f64`: it does not grow with the batch, and a sample's norm does not
//! depend on the samples beside it.

use grouping_core::stats::norms::{Norm, norm};

use crate::Result;

/// `‖K[b, g]‖_F` over tokens and channels, row-major `[batch, G]`.
///
/// # Errors
/// [`Error::Core`](crate::Error::Core) where `shape` does not hold `keys`.
///
/// ```
/// use kd_gqa::allocation::{mean_key_norms, sample_key_norms, summed_key_norms};
/// let keys = [3., 4., 0., 0., 6., 8., 0., 1.]; // 2 samples, 2 heads, 1 token, 2 channels
/// let shape = [2, 2, 1, 2];
/// assert_eq!(sample_key_norms(&keys, shape)?, [5., 0., 10., 1.]);
/// assert_eq!(summed_key_norms(&keys, shape)?, [15., 1.]);
/// assert_eq!(mean_key_norms(&keys, shape)?, [7.5, 0.5]);
/// # Ok::<(), kd_gqa::Error>(())
/// ```
pub fn sample_key_norms(keys: &[f32], shape: [usize; 4]) -> Result<Vec<f64>> {
    Ok(norm(keys, &shape, &[2, 3], Norm::FROBENIUS)?.values)
}

/// `Σ_b ‖K[b, g]‖_F` in f32, `[G]`: for official and paper.
///
/// # Errors
/// As [`sample_key_norms`].
pub fn summed_key_norms(keys: &[f32], shape: [usize; 4]) -> Result<Vec<f32>> {
    let norms = sample_key_norms(keys, shape)?;
    let mut sums = vec![0f32; shape[1]];
    for sample in norms.chunks(shape[1].max(1)) {
        sums.iter_mut().zip(sample).for_each(|(sum, &norm)| *sum += norm as f32);
    }
    Ok(sums)
}

/// The mean of `‖K[b, g]‖_F` over the batch, `[G]`: for robust. NaN of an empty batch.
///
/// # Errors
/// As [`sample_key_norms`].
pub fn mean_key_norms(keys: &[f32], shape: [usize; 4]) -> Result<Vec<f32>> {
    let norms = sample_key_norms(keys, shape)?;
    let mut sums = vec![0f64; shape[1]];
    for sample in norms.chunks(shape[1].max(1)) {
        sums.iter_mut().zip(sample).for_each(|(sum, norm)| *sum += norm);
    }
    Ok(sums.iter().map(|sum| (sum / shape[0] as f64) as f32).collect())
}
