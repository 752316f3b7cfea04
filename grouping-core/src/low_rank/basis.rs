//! Orthonormal basis of stacked units from their Gram matrix alone: `S = Q·R`, `Q = S·C`, without a pass over `S`.
//!
//! With the units' norms `D` and `D⁻¹·G·D⁻¹ = Pᵀ·L·Lᵀ·P` (Cholesky decomposition with pivots), `R = Lᵀ·P·D [p, n]` and
//! `C = D⁻¹·Pᵀ·[L₁₁⁻ᵀ ; 0] [n, p]`. Cost `O(n³)`, free of the units' length, where a Householder QR costs four times the
//! flops of the Gram matrix.
//!
//! It loses precision where units nearly depend on each other: what a unit adds to the span of the others is kept from
//! about 1e-6 of its norm on (16·n·ε of its square), and `Q` is the less orthonormal the less it adds; `Q·R = S` holds to
//! about 1e-7 of each unit's norm all the same, which is what rounding to `f32` leaves.

use faer::dyn_stack::{MemBuffer, MemStack};
use faer::linalg::cholesky::llt_pivoting::factor::{cholesky_in_place, cholesky_in_place_scratch};
use faer::{Mat, Par};

use super::Gram;
use crate::{Error, Result};

/// Coordinates of stacked units in an orthonormal basis of their span, and the basis in terms of the units.
#[derive(Debug, Clone)]
pub struct Basis {
    /// `R [p, n]`: column `i` holds the coordinates of unit `i`.
    pub coordinates: Mat<f64>,
    /// `C [n, p]`: column `j` combines the units to basis vector `j`.
    pub combination: Mat<f64>,
}

impl Basis {
    /// Dimension of the span, `p ≤ n`.
    pub fn len(&self) -> usize {
        self.combination.ncols()
    }

    /// Whether all units are zero, or there is none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The basis of the units whose inner products `gram` holds.
    ///
    /// # Errors
    /// [`Error::NoConvergence`] for values that are no inner products, such as a negative square.
    ///
    /// ```
    /// use grouping_core::low_rank::{Basis, row_gram};
    /// use grouping_core::matrix::MatrixRef;
    /// let units = MatrixRef::new(3, 2, &[3., 4., 6., 8., 0., 1.])?;
    /// assert_eq!(Basis::of(&row_gram(&[units])?)?.len(), 2, "the second unit is twice the first");
    /// # Ok::<(), grouping_core::Error>(())
    /// ```
    pub fn of(gram: &Gram) -> Result<Self> {
        let n = gram.len();
        let norms: Vec<f64> = (0..n).map(|i| gram.at(i, i).max(0.0).sqrt()).collect();
        if norms.iter().all(|&v| v == 0.0) {
            return Ok(Self { coordinates: Mat::zeros(0, n), combination: Mat::zeros(n, 0) });
        }
        let inverse: Vec<f64> = norms.iter().map(|&v| if v > 0.0 { 1.0 / v } else { 0.0 }).collect();
        let mut lower = Mat::from_fn(n, n, |i, j| gram.at(i, j) * inverse[i] * inverse[j]);
        let (mut order, mut places) = (vec![0usize; n], vec![0usize; n]);
        let mut memory =
            MemBuffer::new(cholesky_in_place_scratch::<usize, f64>(n, Par::Seq, Default::default()));
        let (info, _) = cholesky_in_place(
            lower.as_mut(),
            &mut order,
            &mut places,
            Par::Seq,
            MemStack::new(&mut memory),
            Default::default(),
        )
        .map_err(|_| Error::NoConvergence { what: "a basis from inner products".into() })?;
        // Pivots fall, so that the first below the tolerance ends the span.
        let least = 16.0 * n as f64 * f64::EPSILON;
        let p = (0..info.rank).take_while(|&j| lower[(j, j)].powi(2) > least).count();
        let mut coordinates = Mat::zeros(p, n);
        for (i, &unit) in order.iter().enumerate() {
            for j in 0..p.min(i + 1) {
                coordinates[(j, unit)] = lower[(i, j)] * norms[unit];
            }
        }
        let mut inverted = Mat::<f64>::identity(p, p);
        lower.get(..p, ..p).transpose().solve_upper_triangular_in_place(inverted.as_mut());
        let mut combination = Mat::zeros(n, p);
        for (i, &unit) in order[..p].iter().enumerate() {
            for j in 0..p {
                combination[(unit, j)] = inverted[(i, j)] * inverse[unit];
            }
        }
        Ok(Self { coordinates, combination })
    }
}
