//! Maps that turn the heads of a group towards each other before they are pooled: generalised orthogonal Procrustes analysis (Gower 1975) on activations.
//!
//! For heads `M_1 … M_s [rows, head_dim]` of a group it looks for orthogonal `Q_i` that make `Σ_i ‖M_i·Q_i − M̄‖²` small, `M̄ = (1/s)·Σ_j M_j·Q_j`. Each step sets one `Q_i` to the
//! best for the others, the polar factor of `M_iᵀ·Σ_{j≠i} M_j·Q_j`, so the sum never rises. Only the blocks `M_iᵀ·M_j` enter ([`HeadGram`]).
//!
//! Values may be turned by any orthogonal map, folded into `W_V` and `W_O`. Keys are turned with their queries: by any orthogonal map without rotary positions, and under rotary positions by
//! one angle a rotary pair, which commutes with the rotation of the position.

use faer::{Mat, MatRef};
use grouping_core::procrustes::{PlanePairs, orthogonal, planar};

use super::gram::HeadGram;
use crate::Result;

/// Rounds over the heads of a group.
const N_ROUNDS: usize = 10;

/// Which maps are allowed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Maps {
    /// Only the identity.
    Identity,
    /// Any orthogonal map.
    Orthogonal,
    /// Rotations of the planes that rotary positions turn.
    Planar(PlanePairs),
}

impl Maps {
    /// The map `Q` with the greatest `tr(Qᵀ·cross)`.
    fn best(self, cross: MatRef<'_, f64>) -> Result<Mat<f64>> {
        Ok(match self {
            Self::Identity => Mat::identity(cross.nrows(), cross.ncols()),
            Self::Orthogonal => orthogonal(cross)?,
            Self::Planar(pairs) => planar(cross, pairs)?,
        })
    }
}

/// A map `Q_i [head_dim, head_dim]` for each of `heads`, the first of which is the identity.
///
/// # Errors
/// That of a decomposition that does not converge.
pub fn align(gram: &HeadGram, heads: &[usize], maps: Maps) -> Result<Vec<Mat<f64>>> {
    let identity = Mat::<f64>::identity(gram.head_dim(), gram.head_dim());
    let mut turned = vec![identity; heads.len()];
    if maps == Maps::Identity || heads.len() < 2 {
        return Ok(turned);
    }
    for i in 1..heads.len() {
        turned[i] = maps.best(gram.block(heads[i], heads[0]).as_ref())?;
    }
    for _ in 0..N_ROUNDS {
        for i in 1..heads.len() {
            let mut cross = Mat::<f64>::zeros(gram.head_dim(), gram.head_dim());
            for j in (0..heads.len()).filter(|&j| j != i) {
                cross += gram.block(heads[i], heads[j]) * &turned[j];
            }
            turned[i] = maps.best(cross.as_ref())?;
        }
    }
    Ok(turned)
}

/// How far apart heads are: `D_ij = min_Q ‖M_j·Q − M_i‖² / ‖M‖²`, row-major, with `‖M‖²` over all heads; 0 where all activations are.
///
/// # Errors
/// As [`align`].
pub fn distances(gram: &HeadGram, maps: Maps) -> Result<Vec<f64>> {
    let n = gram.n_heads();
    let total: f64 = (0..n).map(|i| gram.energy(i)).sum();
    let mut all = vec![0.0; n * n];
    for i in 0..n {
        for j in 0..i {
            let cross = gram.block(j, i);
            let turned = maps.best(cross.as_ref())?;
            let inner: f64 = (turned.transpose() * &cross).diagonal().column_vector().iter().sum();
            let apart = (gram.energy(i) + gram.energy(j) - 2.0 * inner).max(0.0);
            let distance = if total > 0.0 { apart / total } else { 0.0 };
            (all[i * n + j], all[j * n + i]) = (distance, distance);
        }
    }
    Ok(all)
}
