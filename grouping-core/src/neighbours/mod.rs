//! Neighbours of points in any dimension: farthest-point sampling and the k nearest, both exact.
//!
//! Squared distances are `Σ (aᵢ − bᵢ)²` in `f32`, added in the order of the dimensions and without fused products, so that results are
//! those of the plain sequential loops, bit for bit, at every instruction set and for any number of threads.
//!
//! Points lie in buckets of 32, the leaves of a k-d tree. The distance to a bucket's bounding box is rounded as the distances to its
//! points are, term by term, and every rounding is monotone: no point of the bucket is nearer, also in `f32`. So whole buckets are passed
//! over without any margin.

mod buckets;
mod farthest;
mod nearest;

pub use self::farthest::{FarthestConfig, farthest_points};
pub use self::nearest::{Neighbours, nearest_points};
use crate::matrix::MatrixRef;
use crate::stats::finite::first_not_finite;
use crate::{Error, Result};

/// Refuses points without a dimension, more of them than 32 bits count, and values that are NaN or infinite.
fn check(what: &str, points: MatrixRef<'_>) -> Result<()> {
    if points.n_cols() == 0 || u32::try_from(points.n_rows()).is_err() {
        let (expected, found) = (vec![points.n_rows(), 1], vec![points.n_rows(), points.n_cols()]);
        return Err(Error::Shape {
            what: format!("{what}, less than 2³², of at least one dimension"),
            expected,
            found,
        });
    }
    match first_not_finite(points.values()) {
        None => Ok(()),
        Some(index) => {
            let value = f64::from(points.values()[index]);
            Err(Error::NotFinite { what: what.into(), index, value })
        }
    }
}
