//! How good a coded picture is, and how much better one codec is than another.

#[cfg(feature = "classic")]
pub mod classic;
pub mod curve;
pub mod estimate;
pub mod evaluate;
pub mod learned;
mod ms_ssim;
pub mod results;

pub use ms_ssim::{LEAST_SIDE, ms_ssim};

use crate::picture::Picture;

/// The peak signal-to-noise ratio of 8-bit samples against others, all channels together, in dB; `None` where all are equal.
///
/// # Panics
/// If the sizes differ.
pub fn psnr(a: &Picture, b: &Picture) -> Option<f64> {
    assert_eq!((a.width(), a.height()), (b.width(), b.height()), "pictures of one size");
    let squares = a.rgb().iter().zip(b.rgb()).map(|(&a, &b)| u64::from(a.abs_diff(b)).pow(2)).sum::<u64>();
    let mean = squares as f64 / a.rgb().len() as f64;
    (squares > 0).then(|| 10.0 * (255.0 * 255.0 / mean).log10())
}
