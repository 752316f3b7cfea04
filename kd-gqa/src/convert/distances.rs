//! How unlike the key/value heads of one layer are: `D_ij = Σ_{M∈{W_K,W_V}} ‖M_j − M_i‖² / ‖M‖²` on the rows of their weights.
//!
//! `M_i [hd, d]` are the rows of head i and `‖M‖²` the squared norm of all heads together, so that keys and values count alike. This is the
//! cost of pairs without calibration and without alignment; with them another matrix of the same meaning takes its place.

use rayon::prelude::*;

use super::search::Distances;
use crate::Result;
use crate::checkpoint::{AttentionPart, Checkpoint};

/// Distances of the key/value heads of one layer, from its weights.
///
/// # Errors
/// [`Error::Core`](crate::Error::Core) for values that are not finite.
pub fn weight_distances(checkpoint: &Checkpoint, layer: usize) -> Result<Distances> {
    let (n_heads, hd) = (checkpoint.groups()[layer].n_kv_heads(), checkpoint.head_dim());
    let pairs: Vec<(usize, usize)> =
        (0..n_heads).flat_map(|i| (i + 1..n_heads).map(move |j| (i, j))).collect();
    let mut sums = vec![0.0f64; pairs.len()];
    for projection in [AttentionPart::Key, AttentionPart::Value] {
        let part = &checkpoint.layers()[layer];
        let values = part.weight_rows(checkpoint.tensors(), projection, 0..n_heads * hd)?;
        let head = |i: usize| &values[i * values.len() / n_heads..(i + 1) * values.len() / n_heads];
        let norm = squares(values.iter().copied());
        if norm == 0.0 {
            continue;
        }
        sums.par_iter_mut().zip(&pairs).for_each(|(sum, &(i, j))| {
            *sum += squares(head(i).iter().zip(head(j)).map(|(x, y)| y - x)) / norm;
        });
    }
    let mut sums = sums.into_iter();
    Ok(Distances::from_fn(n_heads, |_, _| sums.next().unwrap_or_default()))
}

/// Sum of squares in `f64`, in one order whatever the number of threads.
fn squares(values: impl Iterator<Item = f32>) -> f64 {
    values.map(|value| f64::from(value) * f64::from(value)).sum()
}
