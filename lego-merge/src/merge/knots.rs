//! KnOTS (Stoica et al., arXiv 2410.19735): merge the updates in the subspace that they span together.
//!
//! `[ΔW₁ … ΔW_N] = U·Σ·[V₁ … V_N]ᵀ` with `ΔWᵢ = wᵢ·sᵢ·Bᵢ·Aᵢ`; the coordinates `Σ·Vᵢᵀ [m, d_in]` are merged entry by entry
//! ([`Entrywise`]) into `X`, and `ΔW = U·X`. The subspace holds the directions whose singular value is above 1e-6 of the
//! largest.
//!
//! Factored: `[B₁ … B_N] = Q·R`, `Aᵢ·Aᵢᵀ = Lᵢ·Lᵢᵀ`; the SVD of `[wᵢ·sᵢ·Rᵢ·Lᵢ]`, at most `n × n`, gives `U = Q·U_c`, and
//! `Σ·Vᵢᵀ = U_cᵀ·wᵢ·sᵢ·Rᵢ·Aᵢ`. `B' = U`, `A' = X`, of rank `n = Σ rᵢ` at most, truncated where a rank is given. Cost: the Gram
//! matrices, `2·d_in·n²` flops for the coordinates, `N·n·d_in` values of memory, a selection and two passes over them.
//!
//! It loses where the updates share no directions: each coordinate then has one owner, and the mean of TIES gives back the
//! plain sum less what is trimmed.
//!
//! Deviations: weights multiply the updates before all else (the released code has one factor for all, here λ); the
//! tolerance is relative, where it keeps singular values above 1e-5; those of [`Entrywise`].

use faer::{Mat, MatRef, Side};
use grouping_core::low_rank::{Basis, combine_columns, combine_rows, row_gram};
use grouping_core::matrix::Matrix;
use grouping_core::{Error, Result};

use super::in_span::{decompose, resized};
use super::{Entrywise, MergeMethod, MergedModule, MethodInfo, ModuleSources, ResultRank};

/// Singular values of at most this share of the largest are noise of the factors' `f32`.
const LEAST_SHARE: f64 = 1e-6;

/// The entry of the table of methods.
pub(super) static KNOTS: MethodInfo = MethodInfo {
    name: "knots",
    help: "KnOTS: `inner` on the updates' coordinates in the subspace of all of them",
    loses: "where updates share no directions, so that no two coordinates meet",
    rank: ResultRank::ChosenOrAllUnits,
    options: &["density", "inner"],
    build: |spec| match spec.entrywise()? {
        Some(inner) => Ok(Box::new(Knots::new(inner))),
        None => Err(crate::Error::setting("inner", "ta, ties or dare with the method knots", "tsv")),
    },
};

/// The method `knots`.
#[derive(Debug, Clone, Copy)]
pub struct Knots {
    inner: Entrywise,
}

impl Knots {
    /// Merges the coordinates by `inner`.
    pub fn new(inner: Entrywise) -> Self {
        Self { inner }
    }
}

impl MergeMethod for Knots {
    fn info(&self) -> &'static MethodInfo {
        &KNOTS
    }

    fn merge(&self, module: &ModuleSources<'_>) -> Result<MergedModule> {
        let grams = module.grams()?;
        let basis = Basis::of(&grams.left)?;
        // Coordinates of the weighted units, and the updates' rows in bases of their own: [p, n] and [p, Σ qᵢ].
        let mut units = basis.coordinates.clone();
        let mut updates: Vec<Mat<f64>> = vec![];
        for (scale, place) in module.terms() {
            let mut own = units.subcols_mut(place.start, place.len());
            own *= faer::Scale(scale);
            let right = Basis::of(&grams.right.block(place.clone()))?;
            updates.push(own.as_ref() * right.coordinates.transpose());
        }
        let decomposed = decompose(side_by_side(basis.len(), &updates).as_ref())?;
        let m = decomposed.n_above(LEAST_SHARE);
        let directions = decomposed.u.subcols(0, m);
        let units = directions.transpose() * &units;
        let (a, b) = (module.right_factors(), module.left_factors());
        let coordinates = match self.inner {
            Entrywise::Sum => combine_rows(units.as_ref(), &a)?,
            inner => {
                let of = |(place, part): (_, _)| combine_rows(place, std::slice::from_ref(part));
                let places = module.terms().map(|(_, place)| units.subcols(place.start, place.len()));
                let each = places.zip(&a).map(of).collect::<Result<Vec<_>>>()?;
                let n_inputs = each.first().map_or(0, Matrix::n_cols);
                let values = inner.merge(each.into_iter().map(Matrix::into_values).collect(), module.seed);
                Matrix::new(m, n_inputs, values)?
            }
        };
        let basis_vectors = &basis.combination * directions;
        if m <= module.rank {
            let left = resized(basis_vectors.as_ref(), basis_vectors.nrows(), module.rank);
            let n_inputs = coordinates.n_cols();
            let mut values = coordinates.into_values();
            values.resize(module.rank * n_inputs, 0.0);
            let a = Matrix::new(module.rank, n_inputs, values)?;
            return Ok(MergedModule::new(a, combine_columns(&b, left.as_ref())?));
        }
        let (rotation, residual) = principal_directions(&coordinates, module.rank)?;
        let left = basis_vectors * &rotation;
        let a = combine_rows(rotation.transpose(), &[coordinates.view()])?;
        let mut merged = MergedModule::new(a, combine_columns(&b, left.as_ref())?);
        merged.residual = Some(residual);
        Ok(merged)
    }
}

/// The `k` first left singular vectors of `coordinates [m, d]`, `[m, k]`, and the share of the norm beyond them.
fn principal_directions(coordinates: &Matrix, k: usize) -> Result<(Mat<f64>, f64)> {
    let gram = row_gram(&[coordinates.view()])?;
    let m = gram.len();
    let eigen = MatRef::from_row_major_slice(gram.values(), m, m)
        .self_adjoint_eigen(Side::Lower)
        .map_err(|_| Error::NoConvergence { what: "singular vectors of merged coordinates".into() })?;
    // Rising.
    let squares: Vec<f64> = eigen.S().column_vector().iter().map(|s| s.max(0.0)).collect();
    let vectors = eigen.U();
    let (lost, all): (f64, f64) = (squares[..m - k].iter().sum(), squares.iter().sum());
    let residual = if all > 0.0 { (lost / all).sqrt() } else { 0.0 };
    Ok((Mat::from_fn(m, k, |i, j| vectors[(i, m - 1 - j)]), residual))
}

fn side_by_side(n_rows: usize, parts: &[Mat<f64>]) -> Mat<f64> {
    let mut out = Mat::zeros(n_rows, parts.iter().map(Mat::ncols).sum());
    let mut start = 0;
    for part in parts {
        out.subcols_mut(start, part.ncols()).copy_from(part);
        start += part.ncols();
    }
    out
}
