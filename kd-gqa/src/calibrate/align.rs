//! Maps that turn the heads of a group towards each other before they are pooled: generalised orthogonal Procrustes analysis (Gower 1975) on activations.
//!
//! For heads `M_1 … M_s [rows, head_dim]` of a group it looks for orthogonal `Q_i` that make `Σ_i ‖M_i·Q_i − M̄‖²` small, `M̄ = (1/s)·Σ_j M_j·Q_j`. Each step sets one `Q_i` to the
//! best for the others, the polar factor of `M_iᵀ·Σ_{j≠i} M_j·Q_j`, so the sum never rises. Only the blocks `M_iᵀ·M_j` enter ([`HeadGram`]).
//!
//! Values may be turned by any orthogonal map, folded into `W_V` and `W_O`. Keys are turned with their queries: by any orthogonal map without rotary positions, and under rotary
//! positions by one angle a rotary pair, which commutes with the rotation of the position.

use grouping_core::matching::procrustes::{PairLayout, PlaneRotations, Rotation, residual_square};

use super::gram::HeadGram;
use crate::Result;

/// Rounds over the heads of a group.
const N_ROUNDS: usize = 10;

/// Which maps are allowed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Maps {
    /// Only the identity.
    Identity,
    /// Any orthogonal map.
    Orthogonal,
    /// Rotations of the planes that rotary positions turn.
    Planar(PairLayout),
}

impl Maps {
    /// The map `Q` with the greatest `tr(Qᵀ·cross)`, row-major `[dim, dim]`, and that trace.
    fn best(self, cross: &[f64], dim: usize) -> Result<(Vec<f64>, f64)> {
        Ok(match self {
            Self::Identity => {
                (Rotation::identity(dim).values().to_vec(), (0..dim).map(|i| cross[i * dim + i]).sum())
            }
            Self::Orthogonal => {
                let rotation = Rotation::from_cross(cross, dim)?;
                (rotation.values().to_vec(), rotation.gain())
            }
            Self::Planar(layout) => {
                let rotations = PlaneRotations::from_cross(cross, dim, layout)?;
                (rotations.values(), rotations.gain())
            }
        })
    }
}

/// A map `Q_i [head_dim, head_dim]`, row-major, for each of `heads`; that of the first is the identity.
///
/// # Errors
/// That of a decomposition that does not converge.
///
/// ```
/// use kd_gqa::calibrate::{HeadGram, Maps, align};
///
/// // Head 1 is head 0 turned by a quarter: (x, y) → (−y, x).
/// let mut gram = HeadGram::new(2, 2);
/// gram.add(&[1.0, 2.0, -2.0, 1.0, 3.0, -1.0, 1.0, 3.0]);
/// let maps = align(&gram, &[0, 1], Maps::Orthogonal)?;
/// assert!((maps[1][1] + 1.0).abs() < 1e-6 && (maps[1][2] - 1.0).abs() < 1e-6, "turned back: {:?}", maps[1]);
/// # Ok::<(), kd_gqa::Error>(())
/// ```
pub fn align(gram: &HeadGram, heads: &[usize], maps: Maps) -> Result<Vec<Vec<f64>>> {
    let dim = gram.head_dim();
    let mut turned = vec![Rotation::identity(dim).values().to_vec(); heads.len()];
    if maps == Maps::Identity || heads.len() < 2 {
        return Ok(turned);
    }
    for i in 1..heads.len() {
        turned[i] = maps.best(&gram.block(heads[i], heads[0]), dim)?.0;
    }
    for _ in 0..N_ROUNDS {
        for i in 1..heads.len() {
            let mut cross = vec![0.0; dim * dim];
            for j in (0..heads.len()).filter(|&j| j != i) {
                add_product(&mut cross, &gram.block(heads[i], heads[j]), &turned[j], dim);
            }
            turned[i] = maps.best(&cross, dim)?.0;
        }
    }
    Ok(turned)
}

/// How far apart heads are: `D_ij = min_Q ‖M_j·Q − M_i‖² / ‖M‖²`, row-major `[n, n]`, with `‖M‖²` over all heads; 0 where all activations are.
///
/// # Errors
/// As [`align`].
pub fn distances(gram: &HeadGram, maps: Maps) -> Result<Vec<f64>> {
    let n = gram.n_heads();
    let total: f64 = (0..n).map(|i| gram.energy(i)).sum();
    let mut all = vec![0.0; n * n];
    for i in 0..n {
        for j in 0..i {
            let (_, gain) = maps.best(&gram.block(j, i), gram.head_dim())?;
            let apart = residual_square(gram.energy(i), gram.energy(j), gain);
            let distance = if total > 0.0 { apart / total } else { 0.0 };
            (all[i * n + j], all[j * n + i]) = (distance, distance);
        }
    }
    Ok(all)
}

/// `sum += x·y`, all row-major `[dim, dim]`.
fn add_product(sum: &mut [f64], x: &[f64], y: &[f64], dim: usize) {
    for (out, row) in sum.chunks_exact_mut(dim).zip(x.chunks_exact(dim)) {
        for (value, y_row) in row.iter().zip(y.chunks_exact(dim)) {
            out.iter_mut().zip(y_row).for_each(|(o, y)| *o += value * y);
        }
    }
}
