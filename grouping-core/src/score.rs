//! Accuracy of logits, and how sure it is: top-1, top-5, and percentile intervals by resampling the images (Efron 1979); the peak
//! signal-to-noise ratio of images.

use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use serde::Serialize;

/// What a classifier got right.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct Score {
    /// The number of images.
    pub n: usize,
    /// The share whose class has the greatest logit.
    pub top1: f64,
    /// The share whose class is among the five greatest.
    pub top5: f64,
    /// For each image in order, whether its class has the greatest logit.
    #[serde(skip)]
    pub correct: Vec<bool>,
}

impl Score {
    /// Of `logits [n, n_classes]`, row-major, and the class of each row.
    ///
    /// Equal logits count in the order of the classes, as a stable sort has them. A row with NaN is wrong.
    ///
    /// ```
    /// use grouping_core::score::Score;
    ///
    /// let score = Score::of(&[0.1, 0.9, 0.0, 2.0, 1.0, 3.0], 3, &[1, 0]);
    /// assert_eq!((score.n, score.top1, score.top5), (2, 0.5, 1.0));
    /// ```
    pub fn of(logits: &[f32], n_classes: usize, classes: &[usize]) -> Self {
        assert_eq!(logits.len(), n_classes * classes.len(), "one row of logits an image");
        let places =
            logits.chunks_exact(n_classes.max(1)).zip(classes).map(|(row, &class)| place(row, class));
        let places: Vec<Option<usize>> = places.collect();
        let correct: Vec<bool> = places.iter().map(|place| *place == Some(0)).collect();
        let share = |k: usize| {
            let n_right = places.iter().filter(|place| place.is_some_and(|place| place < k)).count();
            n_right as f64 / places.len().max(1) as f64
        };
        Self { n: places.len(), top1: share(1), top5: share(5), correct }
    }

    /// The central `share` (such as 0.95) of the top-1 of `n_resamples` samples of the images, drawn with replacement.
    pub fn interval(&self, share: f64, n_resamples: usize, seed: u64) -> [f64; 2] {
        if self.n == 0 || n_resamples == 0 {
            return [self.top1; 2];
        }
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        let mut shares: Vec<f64> = (0..n_resamples)
            .map(|_| {
                let n_right = (0..self.n).filter(|_| self.correct[rng.random_range(0..self.n)]).count();
                n_right as f64 / self.n as f64
            })
            .collect();
        shares.sort_by(f64::total_cmp);
        let at = |q: f64| shares[(q * (n_resamples - 1) as f64).round() as usize];
        [at((1.0 - share) / 2.0), at((1.0 + share) / 2.0)]
    }
}

/// How many classes come before `class`.
fn place(logits: &[f32], class: usize) -> Option<usize> {
    let own = *logits.get(class)?;
    if logits.iter().any(|logit| logit.is_nan()) {
        return None;
    }
    Some(logits.iter().enumerate().filter(|&(i, &logit)| logit > own || (logit == own && i < class)).count())
}

/// The peak signal-to-noise ratio of values against others, in dB: `10·log₁₀(peak² / mean((a − b)²))`; infinite where all are equal.
///
/// # Panics
/// If the lengths differ or there is no value.
///
/// ```
/// use grouping_core::score::psnr;
///
/// assert_eq!(psnr(&[0.0, 1.0], &[0.1, 0.9], 1.0).round(), 20.0);
/// assert_eq!(psnr(&[0.5], &[0.5], 1.0), f64::INFINITY);
/// ```
pub fn psnr(a: &[f32], b: &[f32], peak: f64) -> f64 {
    assert!(a.len() == b.len() && !a.is_empty(), "psnr of {} values against {}", a.len(), b.len());
    let squares = a.iter().zip(b).map(|(a, b)| (f64::from(*a) - f64::from(*b)).powi(2));
    10.0 * (peak * peak * a.len() as f64 / squares.sum::<f64>()).log10()
}
