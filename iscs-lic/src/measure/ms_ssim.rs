//! Multi-scale structural similarity (Wang, Simoncelli and Bovik 2003) as pytorch-msssim 1.0.0 computes it.
//!
//! Five scales, a Gaussian window of 11 samples (σ = 1.5) without padding, K = (0.01, 0.03). Between the scales 2×2 means with stride 2; an
//! odd side gets a zero before it and after it, and the zeros count in the mean. The contrast of the first four scales and the
//! similarity of the last, both cut at 0, are raised to their weights and multiplied, a channel at a time; the mean over
//! the channels is the result.

use rayon::prelude::*;

use crate::picture::Picture;

/// The shortest side that has five scales.
pub const LEAST_SIDE: usize = 161;

const WEIGHTS: [f64; 5] = [0.0448, 0.2856, 0.3001, 0.2363, 0.1333];
const WINDOW: usize = 11;
const SIGMA: f64 = 1.5;
/// (K·255)².
const C1: f64 = (0.01 * 255.0) * (0.01 * 255.0);
const C2: f64 = (0.03 * 255.0) * (0.03 * 255.0);

/// The MS-SSIM of two pictures of one size, from 0 to 1; `None` for a side below [`LEAST_SIDE`].
///
/// # Panics
/// If the sizes differ.
pub fn ms_ssim(a: &Picture, b: &Picture) -> Option<f64> {
    assert_eq!((a.width(), a.height()), (b.width(), b.height()), "pictures of one size");
    if a.width().min(a.height()) < LEAST_SIDE {
        return None;
    }
    let of_channel = |channel: usize| {
        let [a, b] = [a, b].map(|picture| Plane::of(picture, channel));
        product(a, b)
    };
    let channels: Vec<f64> = (0..3).into_par_iter().map(of_channel).collect();
    Some(channels.iter().sum::<f64>() / 3.0)
}

/// The product over the scales, of one channel.
fn product(mut a: Plane, mut b: Plane) -> f64 {
    let window = window();
    let mut product = 1.0;
    for (scale, weight) in WEIGHTS.into_iter().enumerate() {
        if scale > 0 {
            (a, b) = (a.halved(), b.halved());
        }
        let (similarity, contrast) = similarity(&a, &b, &window);
        let term = if scale + 1 < WEIGHTS.len() { contrast } else { similarity };
        product *= term.max(0.0).powf(weight);
    }
    product
}

/// One channel.
struct Plane {
    width: usize,
    values: Vec<f64>,
}

impl Plane {
    fn of(picture: &Picture, channel: usize) -> Self {
        let values = picture.rgb()[channel..].iter().step_by(3).map(|&v| f64::from(v)).collect();
        Self { width: picture.width(), values }
    }

    fn height(&self) -> usize {
        self.values.len() / self.width
    }

    /// Means of 2×2 samples.
    fn halved(&self) -> Self {
        let (width, height) = (self.width, self.height());
        let (left, top) = (width % 2, height % 2);
        let at = |y: usize, x: usize| -> f64 {
            let inside = (top..top + height).contains(&y) && (left..left + width).contains(&x);
            if inside { self.values[(y - top) * width + x - left] } else { 0.0 }
        };
        let (new_width, new_height) = (width / 2 + left, height / 2 + top);
        let mean = |y: usize, x: usize| {
            let (y, x) = (2 * y, 2 * x);
            (at(y, x) + at(y, x + 1) + at(y + 1, x) + at(y + 1, x + 1)) / 4.0
        };
        let values = (0..new_height).flat_map(|y| (0..new_width).map(move |x| (y, x)));
        Self { width: new_width, values: values.map(|(y, x)| mean(y, x)).collect() }
    }

    /// Weighted means over the window, without padding.
    fn blurred(&self, window: &[f64; WINDOW]) -> Vec<f64> {
        let width = self.width - WINDOW + 1;
        let mut rows = Vec::with_capacity(width * self.height());
        for row in self.values.chunks_exact(self.width) {
            rows.extend(
                row.windows(WINDOW).map(|part| part.iter().zip(window).map(|(v, w)| v * w).sum::<f64>()),
            );
        }
        let height = self.height() - WINDOW + 1;
        let mut out = vec![0.0; width * height];
        for (y, out) in out.chunks_exact_mut(width).enumerate() {
            for (k, weight) in window.iter().enumerate() {
                let row = &rows[(y + k) * width..][..width];
                out.iter_mut().zip(row).for_each(|(to, v)| *to += weight * v);
            }
        }
        out
    }
}

/// The means of the similarity and of its contrast part.
fn similarity(a: &Plane, b: &Plane, window: &[f64; WINDOW]) -> (f64, f64) {
    let product = |a: &Plane, b: &Plane| {
        let values = a.values.iter().zip(&b.values).map(|(a, b)| a * b).collect();
        Plane { width: a.width, values }.blurred(window)
    };
    let (mean_a, mean_b) = (a.blurred(window), b.blurred(window));
    let (aa, bb, ab) = (product(a, a), product(b, b), product(a, b));
    let (mut similarity, mut contrast) = (0.0, 0.0);
    for i in 0..aa.len() {
        let (ma, mb) = (mean_a[i], mean_b[i]);
        let (var_a, var_b, covariance) = (aa[i] - ma * ma, bb[i] - mb * mb, ab[i] - ma * mb);
        let c = (2.0 * covariance + C2) / (var_a + var_b + C2);
        contrast += c;
        similarity += c * (2.0 * ma * mb + C1) / (ma * ma + mb * mb + C1);
    }
    let n = aa.len() as f64;
    (similarity / n, contrast / n)
}

/// Rounded to `f32`, as pytorch-msssim makes it for samples of every width.
fn window() -> [f64; WINDOW] {
    let middle = (WINDOW / 2) as f64;
    let weight = |i: usize| (-(i as f64 - middle).powi(2) / (2.0 * SIGMA * SIGMA)).exp() as f32;
    let weights: [f32; WINDOW] = std::array::from_fn(weight);
    let sum = weights.iter().map(|&w| f64::from(w)).sum::<f64>() as f32;
    weights.map(|w| f64::from(w / sum))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `a = (37x + 59y + 83c) mod 256`, `b = a + (xy mod 17) − 8`, cut to 0…255.
    fn pictures(width: usize, height: usize) -> [Picture; 2] {
        let samples = |noise: bool| {
            let mut rgb = Vec::new();
            for y in 0..height {
                for x in 0..width {
                    for c in 0..3 {
                        let a = ((37 * x + 59 * y + 83 * c) % 256) as i32;
                        let b = (a + ((x * y) % 17) as i32 - 8).clamp(0, 255);
                        rgb.push(if noise { b } else { a } as u8);
                    }
                }
            }
            Picture::new(width, height, rgb).expect("a picture")
        };
        [samples(false), samples(true)]
    }

    /// Values of pytorch-msssim 1.0.0 in float64.
    #[test]
    fn values_are_those_of_pytorch_msssim() {
        let cases = [(333, 257, 0.993288142), (161, 161, 0.993523205), (256, 256, 0.993375248)];
        for (width, height, want) in cases {
            let [a, b] = pictures(width, height);
            let found = ms_ssim(&a, &b).expect("five scales");
            assert!((found - want).abs() < 1e-8, "{width}×{height}: {found} for {want}");
            assert_eq!(ms_ssim(&a, &a), Some(1.0), "a picture is like itself");
        }
        let [a, b] = pictures(160, 300);
        assert_eq!(ms_ssim(&a, &b), None, "a side below 161 has no fifth scale");
    }
}
