//! TSV-Merge (Gargiulo et al., arXiv 2412.00081): the singular vectors of all updates, decorrelated, with their own singular
//! values.
//!
//! `wᵢ·sᵢ·Bᵢ·Aᵢ = Uᵢ·Σᵢ·Vᵢᵀ`, `U = [U₁ … U_N]`, `V = [V₁ … V_N]`; each is replaced by the nearest orthonormal one (orthogonal
//! Procrustes, `Û = U·(UᵀU)^(−1/2)`), and `ΔW = Û·diag(Σ₁, …, Σ_N)·V̂ᵀ`, of rank `n = Σ rᵢ` at most, truncated where a rank is
//! given.
//!
//! Factored: `Uᵢ = Bᵢ·Xᵢ` with `Xᵢ` from the Gram matrices of `Bᵢ` and `Aᵢ`, so `UᵀU` is at most `n × n` and free of `d`.
//! Cost: the Gram matrices, two eigen-decompositions of `n × n` and `2·(d_in + d_out)·n²` flops for the result.
//! It loses where adapters agree: what they share is divided among them as if each had meant something else.
//!
//! Deviations: the paper keeps `min(d_out, d_in) / N` components of each of `N` updates, so that all of them can be
//! orthonormal; here all components are kept where they are no more than `min(d_out, d_in)`, which the ranks of adapters
//! mostly see to, else that share of each (at least 1). Components of singular value below 1e-6 of their update's largest, and
//! directions of `U` or `V` below 1e-5 of the largest, are left out: whitening would blow up their noise. Weights multiply the
//! updates.

use faer::{Mat, MatRef, Side};
use grouping_core::low_rank::{Basis, Gram};
use grouping_core::{Error, Result};

use super::in_span::{decompose, in_span};
use super::{MergeMethod, MergedModule, MethodInfo, ModuleSources, ResultRank};

/// Singular values of at most this share of an update's largest are noise of its factors' `f32`.
const LEAST_SHARE: f64 = 1e-6;
/// As this, for the vectors of all updates side by side.
const LEAST_DIRECTION: f64 = 1e-5;

/// The entry of the table of methods.
pub(super) static TSV: MethodInfo = MethodInfo {
    name: "tsv",
    help: "TSV-Merge: singular vectors of all updates, decorrelated",
    loses: "where adapters agree: what they share is divided among them",
    rank: ResultRank::ChosenOrAllUnits,
    options: &[],
    build: |_| Ok(Box::new(Tsv)),
};

/// The method `tsv`.
#[derive(Debug, Clone, Copy)]
pub struct Tsv;

impl MergeMethod for Tsv {
    fn info(&self) -> &'static MethodInfo {
        &TSV
    }

    fn merge(&self, module: &ModuleSources<'_>) -> Result<MergedModule> {
        let [n_outputs, n_inputs] = module.weighted_sum()?.shape();
        let (left, right) = combinations(module, n_outputs.min(n_inputs))?;
        in_span(module, left, right)
    }
}

/// `L [n, K]` and `R [K, n]` of the merged update `B·L·R·A`, where `dimension` orthonormal vectors have room.
///
/// # Errors
/// [`Error::NoConvergence`].
fn combinations(module: &ModuleSources<'_>, dimension: usize) -> Result<(Mat<f64>, Mat<f64>)> {
    let grams = module.grams()?;
    let n = module.n_units();
    let share = (dimension / module.sources.len().max(1)).max(1);
    let most = if n <= dimension { n } else { share };
    let (mut left, mut right) = (Mat::zeros(n, n), Mat::zeros(n, n));
    let mut values: Vec<f64> = vec![];
    for (scale, place) in module.terms() {
        let b = Basis::of(&grams.left.block(place.clone()))?;
        let a = Basis::of(&grams.right.block(place.clone()))?;
        let core = faer::Scale(scale) * (&b.coordinates * a.coordinates.transpose());
        let decomposed = decompose(core.as_ref())?;
        let kept = decomposed.n_above(LEAST_SHARE).min(most);
        let (u, v) = (decomposed.u.subcols(0, kept), decomposed.v.subcols(0, kept));
        let start = values.len();
        left.submatrix_mut(place.start, start, place.len(), kept).copy_from(b.combination * u);
        right.submatrix_mut(place.start, start, place.len(), kept).copy_from(a.combination * v);
        values.extend(&decomposed.values[..kept]);
    }
    let k = values.len();
    let mut left = decorrelated(&grams.left, left.subcols(0, k))?;
    for (j, value) in values.iter().enumerate() {
        left.col_mut(j).iter_mut().for_each(|x| *x *= value);
    }
    Ok((left, decorrelated(&grams.right, right.subcols(0, k))?.transpose().to_owned()))
}

/// `X·(Xᵀ·G·X)^(−1/2)` for vectors that `X [n, k]` combines from units of inner products `G`; directions below
/// [`LEAST_DIRECTION`] become 0.
fn decorrelated(gram: &Gram, combination: MatRef<'_, f64>) -> Result<Mat<f64>> {
    let n = gram.len();
    if combination.ncols() == 0 {
        return Ok(Mat::zeros(n, 0));
    }
    let gram = MatRef::from_row_major_slice(gram.values(), n, n);
    let products = combination.transpose() * (gram * combination);
    let eigen = products
        .self_adjoint_eigen(Side::Lower)
        .map_err(|_| Error::NoConvergence { what: "directions of all singular vectors".into() })?;
    let squares: Vec<f64> = eigen.S().column_vector().iter().copied().collect();
    let least = LEAST_DIRECTION.powi(2) * squares.last().copied().unwrap_or(0.0);
    let inverse_root = |s: f64| if s > least { 1.0 / s.sqrt() } else { 0.0 };
    let vectors = eigen.U();
    let scaled =
        Mat::from_fn(vectors.nrows(), vectors.ncols(), |i, j| vectors[(i, j)] * inverse_root(squares[j]));
    Ok(combination * (scaled * vectors.transpose()))
}
