//! How much of a picture a Gaussian is expected to fill: `α·√(a²b² + b²c² + c²a²)`, with standard deviations a, b and c.
//!
//! The silhouette of an ellipsoid with semi-axes a, b, c has the area `π·√(a²b²n_c² + b²c²n_a² + c²a²n_b²)` seen along the unit vector
//! `n`; the root of its mean square over all directions is `π/√3` times the second factor. Alpha times that area ranks Gaussians
//! without any view: LightGaussian (§3.2) ranks by alpha and volume, of which a flat Gaussian has none.

use rayon::prelude::*;

use crate::Splats;

/// The importance of each Gaussian, as its place in a ranking: the score without the factor `π/√3`.
///
/// ```
/// let scene = |scales: [f32; 3]| shapesplat::Splats {
///     scales: scales.map(|s| vec![s]),
///     opacities: vec![0.],
///     ..Default::default()
/// };
/// let flat = shapesplat::edit::importance(&scene([0., 0., f32::NEG_INFINITY]));
/// assert_eq!(flat, [0.5], "alpha ½ and a disc of radius 1");
/// ```
pub fn importance(splats: &Splats) -> Vec<f64> {
    let score = |row: usize| {
        let alpha = 1.0 / (1.0 + (-f64::from(splats.opacities[row])).exp());
        if alpha == 0.0 {
            return 0.0;
        }
        let [a, b, c] = [0, 1, 2].map(|axis| f64::from(splats.scales[axis][row]).exp());
        let [p, q, r] = [a * b, b * c, c * a].map(|area| if area.is_nan() { 0.0 } else { area });
        alpha * (p * p + q * q + r * r).sqrt()
    };
    (0..splats.len()).into_par_iter().map(score).collect()
}

/// Whether each of `scores` is among the `n` greatest; on ties the first are.
pub(super) fn greatest(scores: &[f64], n: usize) -> Vec<bool> {
    let mut is_kept = vec![n >= scores.len(); scores.len()];
    if n > 0 && n < scores.len() {
        let mut order: Vec<usize> = (0..scores.len()).collect();
        let (before, last, _) =
            order.select_nth_unstable_by(n - 1, |&a, &b| scores[b].total_cmp(&scores[a]).then(a.cmp(&b)));
        before.iter().chain([&*last]).for_each(|&row| is_kept[row] = true);
    }
    is_kept
}

#[cfg(test)]
mod tests {
    use super::greatest;

    #[test]
    fn the_first_of_equals_are_kept() {
        let kept = greatest(&[1., 3., 2., 3., 2., 2., f64::INFINITY], 4);
        assert_eq!(kept, [false, true, true, true, false, false, true], "the first 2 of three");
        assert_eq!(greatest(&[1., 1.], 2), [true, true], "all");
        assert_eq!(greatest(&[1., 1.], 0), [false, false], "none");
    }
}
