//! The halves `A` and `B` of a module's sources, merged apart: what PEFT's methods on factors share.
//!
//! Source `i` goes into `B'` with the weight `√|wᵢ·sᵢ|` and into `A'` with `sgn(wᵢ·sᵢ)·√|wᵢ·sᵢ|`, so the product holds its
//! own update once, and all cross terms `Bᵢ·Aⱼ` besides.
//!
//! Deviation: PEFT refuses unequal ranks; here the smaller factors are padded with zeros, which count as values wherever
//! a share of the values is kept.

use std::borrow::Cow;

use grouping_core::matrix::Matrix;
use grouping_core::seed::derive_seed;

use super::{MergedModule, ModuleSources};

/// One half of all sources of a module: `A`, `[r, d_in]` each, or `B`, `[d_out, r]` each.
pub(super) struct Half<'a> {
    /// `A` or `B`.
    pub(super) side: char,
    /// One tensor a source, all of one length.
    pub(super) tensors: Vec<Cow<'a, [f32]>>,
    /// One weight a source.
    pub(super) weights: Vec<f64>,
    /// Seed of the random choices in this half; source `i` draws from its `i`-th stream.
    pub(super) seed: u64,
}

impl Half<'_> {
    /// `Σ weightᵢ·tensorᵢ`.
    pub(super) fn weighted_sum(&self) -> Vec<f32> {
        let n = self.tensors.first().map_or(0, |t| t.len());
        let mut sum = vec![0f64; n];
        for (tensor, weight) in self.tensors.iter().zip(&self.weights) {
            for (sum, &v) in sum.iter_mut().zip(tensor.iter()) {
                *sum += weight * f64::from(v);
            }
        }
        sum.into_iter().map(|v| v as f32).collect()
    }

    /// Changes each tensor, given the seed of its own stream.
    pub(super) fn change_each(&mut self, change: impl Fn(&mut [f32], u64)) {
        for (i, tensor) in self.tensors.iter_mut().enumerate() {
            change(tensor.to_mut(), derive_seed(self.seed, i as u64));
        }
    }
}

/// Merges `A` and `B` apart by the same rule.
///
/// # Errors
/// Those of [`ModuleSources::weighted_sum`] and of `combine`.
pub(super) fn merge_halves(
    module: &ModuleSources<'_>,
    combine: impl Fn(Half<'_>) -> grouping_core::Result<Vec<f32>>,
) -> grouping_core::Result<MergedModule> {
    let [n_outputs, n_inputs] = module.weighted_sum()?.shape();
    let rank = module.rank;
    let scales = || module.sources.iter().map(|(f, weight)| weight * f.scale);
    let a = Half {
        side: 'A',
        tensors: module.sources.iter().map(|(f, _)| padded_rows(&f.a, rank)).collect(),
        weights: scales().map(|s| s.abs().sqrt().copysign(s)).collect(),
        seed: derive_seed(module.seed, 0),
    };
    let b = Half {
        side: 'B',
        tensors: module.sources.iter().map(|(f, _)| padded_columns(&f.b, rank)).collect(),
        weights: scales().map(|s| s.abs().sqrt()).collect(),
        seed: derive_seed(module.seed, 1),
    };
    Ok(MergedModule::new(
        Matrix::new(rank, n_inputs, combine(a)?)?,
        Matrix::new(n_outputs, rank, combine(b)?)?,
    ))
}

/// `m` with zero rows below, `[n_rows, ..]`.
fn padded_rows(m: &Matrix, n_rows: usize) -> Cow<'_, [f32]> {
    if m.n_rows() == n_rows {
        return Cow::Borrowed(m.values());
    }
    let mut values = m.values().to_vec();
    values.resize(n_rows * m.n_cols(), 0.0);
    Cow::Owned(values)
}

/// `m` with zero columns to the right, `[.., n_cols]`.
fn padded_columns(m: &Matrix, n_cols: usize) -> Cow<'_, [f32]> {
    if m.n_cols() == n_cols {
        return Cow::Borrowed(m.values());
    }
    let mut values = Vec::with_capacity(m.n_rows() * n_cols);
    for i in 0..m.n_rows() {
        values.extend_from_slice(m.view().row(i));
        values.resize((i + 1) * n_cols, 0.0);
    }
    Cow::Owned(values)
}
