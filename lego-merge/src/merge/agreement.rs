//! How much of each source a result keeps, by the Gram matrices of the units of `[sources | result]`.
//!
//! For the source's own update `ΔWᵢ = sᵢ·Bᵢ·Aᵢ` and the result `ΔW = B·A`:
//! - cosine `⟨ΔW, ΔWᵢ⟩ / (‖ΔW‖·‖ΔWᵢ‖)`: whether the result moves along with the source;
//! - retained energy `‖P_B·ΔWᵢ·P_A‖² / ‖ΔWᵢ‖²`, with the projections onto the columns of `B` and the rows of `A`: the
//!   share of the source that lies in the result's subspaces. One source truncated by `svd` to rank `k` retains
//!   `Σ_{j≤k} σⱼ² / Σ σⱼ²`; `cat` retains all of every source.
//!
//! `⟨B·A, Bᵢ·Aᵢ⟩ = Σ (Bᵀ·Bᵢ) ∘ (A·Aᵢᵀ)`, and so for norms and projections: `O(n²·k)` for `n` units in all, free of `d`.

use std::ops::Range;

use grouping_core::low_rank::Gram;
use serde::Serialize;

/// How much of one source the result keeps.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
#[non_exhaustive]
pub struct Agreement {
    /// Position of the adapter among all.
    pub adapter: usize,
    /// `‖ΔWᵢ‖_F`, without the adapter's weight.
    pub norm: f64,
    /// Cosine of the result and the source's update; 0 where either is zero.
    pub cosine: f64,
    /// Share of the update's squared norm in the result's row and column spaces; 0 where the update is zero.
    pub retained_energy: f64,
}

/// `‖ΔW‖_F` of the result, and its agreement with each source `(adapter, rank, scale)`. `a` and `b` are the Gram matrices of
/// the rows of all `A` and of the columns of all `B`, those of the sources in order and then those of the result.
///
/// # Errors
/// [`grouping_core::Error::NotFinite`] when squares overflow.
pub(super) fn agreement(
    a: &Gram,
    b: &Gram,
    sources: impl IntoIterator<Item = (usize, usize, f64)>,
) -> grouping_core::Result<(f64, Vec<Agreement>)> {
    let mut places = vec![];
    let mut n_sources = 0;
    for (adapter, rank, scale) in sources {
        places.push((adapter, n_sources..n_sources + rank, scale));
        n_sources += rank;
    }
    let result = n_sources..a.len();
    let (inside_a, inside_b) = (a.projected_onto(result.clone())?, b.projected_onto(result.clone())?);
    let norm = product(a, b, &result, &result).max(0.0).sqrt();
    let of = |(adapter, units, scale): &(usize, Range<usize>, f64)| {
        let squared = product(a, b, units, units).max(0.0);
        let share = |part: f64, whole: f64| if whole > 0.0 { part / whole } else { 0.0 };
        let along = product(a, b, &result, units) * scale.signum();
        Agreement {
            adapter: *adapter,
            norm: scale.abs() * squared.sqrt(),
            cosine: if *scale == 0.0 { 0.0 } else { share(along, norm * squared.sqrt()).clamp(-1.0, 1.0) },
            retained_energy: if *scale == 0.0 {
                0.0
            } else {
                share(product(&inside_a, &inside_b, units, units), squared).clamp(0.0, 1.0)
            },
        }
    };
    Ok((norm, places.iter().map(of).collect()))
}

/// `⟨Bᵢ·Aᵢ, Bⱼ·Aⱼ⟩` of two ranges of units.
fn product(a: &Gram, b: &Gram, i: &Range<usize>, j: &Range<usize>) -> f64 {
    i.clone().flat_map(|s| j.clone().map(move |t| a.at(s, t) * b.at(s, t))).sum()
}
