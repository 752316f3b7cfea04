//! Scores of a partition.
//!
//! Adjusted Rand index (Hubert & Arabie 1985) over the pairs of points that both partitions join (`tp`), only the
//! first (`fp`), only the second (`fn`), or neither (`tn`):
//! `ARI = 2 (tp·tn − fn·fp) / ((tp + fn)(fn + tn) + (tp + fp)(fp + tn))`.

//!
//! Silhouette (Rousseeuw 1987) of a point with the mean distance `a` to the others of its cluster and the least mean
//! distance `b` to the points of another: `(b − a) / max(a, b)`, 0 for a point alone in its cluster.

use crate::low_rank::Gram;
use crate::matrix::MatrixRef;
use crate::{Error, Result};

/// Agreement of two partitions of the same points: 1 for equal ones, about 0 for independent ones, at least −0.5;
/// the names of the labels do not matter.
///
/// # Errors
/// [`Error::Shape`] when the partitions differ in length.
///
/// ```
/// use grouping_core::cluster::adjusted_rand_index;
/// assert_eq!(adjusted_rand_index(&[0, 0, 1, 1], &[5, 5, 2, 2])?, 1.0);
/// assert_eq!(adjusted_rand_index(&[0, 0, 1, 1], &[0, 1, 0, 1])?, -0.5);
/// # Ok::<(), grouping_core::Error>(())
/// ```
pub fn adjusted_rand_index(a: &[usize], b: &[usize]) -> Result<f64> {
    if a.len() != b.len() {
        let (expected, found) = (vec![a.len()], vec![b.len()]);
        return Err(Error::Shape { what: "labels of the second partition".into(), expected, found });
    }
    let mut pairs: Vec<(usize, usize)> = a.iter().copied().zip(b.iter().copied()).collect();
    let both = ordered_pairs(&mut pairs);
    let (in_a, in_b) = (ordered_pairs(&mut a.to_vec()), ordered_pairs(&mut b.to_vec()));
    let all = a.len() as f64 * (a.len() as f64 - 1.0);
    let (tp, fp, fneg) = (both, in_a - both, in_b - both);
    let tn = all - tp - fp - fneg;
    if fp == 0.0 && fneg == 0.0 {
        return Ok(1.0);
    }
    Ok(2.0 * (tp * tn - fneg * fp) / ((tp + fneg) * (fneg + tn) + (tp + fp) * (fp + tn)))
}

/// `Σ m (m − 1)` over the groups of `m` equal items.
fn ordered_pairs<T: Ord>(items: &mut [T]) -> f64 {
    items.sort_unstable();
    items.chunk_by(|x, y| x == y).map(|group| group.len() as f64 * (group.len() as f64 - 1.0)).sum()
}

/// Mean silhouette of the points of `gram [n, n]` in the clusters `labels [n]`, by Euclidean distances: near 1 for clusters
/// that stand apart, 0 when there is only one cluster.
///
/// # Errors
/// [`Error::Shape`] when there is not one label a point.
///
/// ```
/// use grouping_core::{cluster::silhouette, low_rank::row_gram, matrix::MatrixRef};
/// let gram = row_gram(&[MatrixRef::new(4, 1, &[0., 1., 10., 11.])?])?;
/// assert!(silhouette(&gram, &[0, 0, 1, 1])? > 0.85);
/// assert!(silhouette(&gram, &[0, 1, 0, 1])? < 0.0);
/// # Ok::<(), grouping_core::Error>(())
/// ```
pub fn silhouette(gram: &Gram, labels: &[usize]) -> Result<f64> {
    let n = gram.len();
    if labels.len() != n {
        let (expected, found) = (vec![n], vec![labels.len()]);
        return Err(Error::Shape { what: "labels".into(), expected, found });
    }
    let mut clusters = labels.to_vec();
    clusters.sort_unstable();
    clusters.dedup();
    let place = |label: usize| clusters.partition_point(|&l| l < label);
    let places: Vec<usize> = labels.iter().map(|&l| place(l)).collect();
    let mut sizes = vec![0f64; clusters.len()];
    places.iter().for_each(|&p| sizes[p] += 1.0);
    if n == 0 || clusters.len() < 2 {
        return Ok(0.0);
    }
    let mut total = 0.0;
    let mut sums = vec![0f64; clusters.len()];
    for i in 0..n {
        sums.fill(0.0);
        for j in 0..n {
            let square = gram.at(i, i) - 2.0 * gram.at(i, j) + gram.at(j, j);
            sums[places[j]] += square.max(0.0).sqrt();
        }
        let own = places[i];
        if sizes[own] < 2.0 {
            continue;
        }
        let within = sums[own] / (sizes[own] - 1.0);
        let others = sums.iter().zip(&sizes).enumerate().filter(|(c, _)| *c != own);
        let nearest = others.map(|(_, (sum, size))| sum / size).fold(f64::INFINITY, f64::min);
        let scale = within.max(nearest);
        total += if scale > 0.0 { (nearest - within) / scale } else { 0.0 };
    }
    Ok(total / n as f64)
}

/// `Σ_i ‖x_i − c_{labels_i}‖²` of `points [n, d]` and `centroids [k, d]`, summed in `f64`.
///
/// # Errors
/// [`Error::Shape`] when the shapes do not fit, [`Error::Setting`] when a label has no centroid.
pub fn inertia(points: MatrixRef<'_>, centroids: MatrixRef<'_>, labels: &[usize]) -> Result<f64> {
    if points.n_cols() != centroids.n_cols() {
        let (expected, found) = (vec![points.n_cols()], vec![centroids.n_cols()]);
        return Err(Error::Shape { what: "columns of the centroids".into(), expected, found });
    }
    if labels.len() != points.n_rows() {
        let (expected, found) = (vec![points.n_rows()], vec![labels.len()]);
        return Err(Error::Shape { what: "labels".into(), expected, found });
    }
    if let Some(label) = labels.iter().find(|&&l| l >= centroids.n_rows()) {
        let expected = format!("labels below {}", centroids.n_rows());
        return Err(Error::Setting { name: "labels".into(), expected, found: label.to_string() });
    }
    let squares = labels.iter().enumerate().map(|(i, &l)| {
        let pairs = points.row(i).iter().zip(centroids.row(l));
        pairs.map(|(&x, &c)| (f64::from(x) - f64::from(c)).powi(2)).sum::<f64>()
    });
    Ok(squares.sum())
}
