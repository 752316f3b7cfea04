//! Correlations between the kernels of latent channels.
//!
//! `ρ_ij` is Pearson's correlation of the weights that write channel i with those that write channel j, each without its mean. Where
//! several maps write a channel, their kernels lie one after another, each without its own mean and divided by the root of its length: the
//! squares of a channel then add up to its weight variance.

use grouping_core::correlation::{Correlations, Measure, correlation_within};
use grouping_core::matrix::MatrixRef;
use grouping_core::stats::norms::moments;

use super::binding::{Kernels, LayerBinding};
use crate::Result;
use crate::checkpoint::Checkpoint;

/// Correlations among the kernels of the channels, `[M, M]`; NaN for a channel whose weights are all equal.
///
/// ```
/// use iscs_lic::channels::kernel_correlations;
/// use iscs_lic::checkpoint::Checkpoint;
///
/// let correlations = kernel_correlations(&Checkpoint::default_model()?)?;
/// assert_eq!((correlations.n_rows(), correlations.at(3, 3)), (64, 1.0));
/// assert_eq!(correlations.at(3, 7), correlations.at(7, 3));
/// # Ok::<(), iscs_lic::Error>(())
/// ```
///
/// # Errors
/// As [`Checkpoint::tensor`].
pub fn kernel_correlations(checkpoint: &Checkpoint) -> Result<Correlations> {
    let binding = LayerBinding::of(checkpoint);
    let m = binding.n_channels;
    let mut rows: Vec<Vec<f32>> = vec![vec![]; m];
    for kernels in &binding.writers {
        append(checkpoint, kernels, &mut rows)?;
    }
    let values = rows.concat();
    let matrix = MatrixRef::new(m, values.len() / m.max(1), &values)?;
    Ok(correlation_within(matrix, Measure::Pearson)?)
}

/// Appends each channel's kernel of a map.
fn append(checkpoint: &Checkpoint, kernels: &Kernels, rows: &mut [Vec<f32>]) -> Result<()> {
    let tensor = checkpoint.tensor(&format!("{}.weight", kernels.layer))?;
    let (axis, length) = (kernels.axis, tensor.shape[kernels.axis]);
    let others: Vec<usize> = (0..tensor.shape.len()).filter(|&other| other != axis).collect();
    let along = moments(&tensor.values, &tensor.shape, &others)?.values;
    let inner: usize = tensor.shape[axis + 1..].iter().product();
    let n = tensor.values.len() / length.max(1);
    let scale = 1.0 / (n.max(1) as f64).sqrt();
    for (index, channel) in (kernels.first..).zip(kernels.channels.clone()) {
        let mean = along[index].mean();
        let lines = tensor.values.chunks_exact(inner.max(1)).skip(index).step_by(length);
        let centred = lines.flatten().map(|&w| ((f64::from(w) - mean) * scale) as f32);
        let before = rows[channel].len();
        rows[channel].extend(centred);
        // What is left of equal weights by rounding is no direction.
        if along[index].variance(0) == 0.0 {
            rows[channel][before..].fill(0.0);
        }
    }
    Ok(())
}
