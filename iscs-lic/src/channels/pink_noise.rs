//! Synthetic pictures whose spectrum is that of natural ones: amplitudes that fall as 1/f.
//!
//! A plane is the real or the imaginary part of `Σ_k (g_k + i·h_k) / |k| · e^{2πi·k·x/n}` over all frequencies k but 0, with g and h sums of four
//! uniform numbers, brought to mean 0 and variance 1. A picture is grey noise with a little noise of its own in each colour:
//! `½ + 0.18·grey + 0.06·own`, cut to 0…1 and rounded to 8 bits.
//!
//! All arithmetic is `+ − × ÷ √`, so that a seed gives the same pictures on every machine.

use grouping_core::seed::{derive_seed, sequence};

use crate::picture::Picture;
use crate::{Error, Result};

/// Standard deviations of the grey noise and of each colour's own, of samples from 0 to 1.
const DEVIATIONS: [f64; 2] = [0.18, 0.06];
/// Uniform numbers in one that is nearly normal.
const N_SUMMED: u64 = 4;

/// Which synthetic pictures.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct PinkNoise {
    /// How many.
    pub n_pictures: usize,
    /// Rows and columns: a power of two from 16 to 2048.
    pub side: usize,
    /// Of the random numbers.
    pub seed: u64,
}

impl Default for PinkNoise {
    /// Eight of 256 × 256.
    fn default() -> Self {
        Self { n_pictures: 8, side: 256, seed: 0 }
    }
}

impl PinkNoise {
    /// With this seed.
    #[must_use]
    pub fn with_seed(self, seed: u64) -> Self {
        Self { seed, ..self }
    }

    /// With this side.
    #[must_use]
    pub fn with_side(self, side: usize) -> Self {
        Self { side, ..self }
    }

    /// With this many pictures.
    #[must_use]
    pub fn with_pictures(self, n_pictures: usize) -> Self {
        Self { n_pictures, ..self }
    }
}

/// Makes the pictures.
///
/// ```
/// use iscs_lic::channels::{PinkNoise, pink_noise};
///
/// let pictures = pink_noise(&PinkNoise::default().with_pictures(2).with_side(32))?;
/// assert_eq!((pictures.len(), pictures[0].width()), (2, 32));
/// assert_ne!(pictures[0], pictures[1]);
/// # Ok::<(), iscs_lic::Error>(())
/// ```
///
/// # Errors
/// [`Error::Core`] for no pictures, and a side that is no power of two from 16 to 2048.
pub fn pink_noise(which: &PinkNoise) -> Result<Vec<Picture>> {
    let PinkNoise { n_pictures, side, seed } = *which;
    if !side.is_power_of_two() || !(16..=2048).contains(&side) {
        return Err(Error::setting("side", "a power of two from 16 to 2048", side));
    }
    if n_pictures == 0 {
        return Err(Error::setting("n_pictures", "at least 1", n_pictures));
    }
    (0..n_pictures as u64).map(|i| picture(side, derive_seed(seed, i))).collect()
}

fn picture(side: usize, seed: u64) -> Result<Picture> {
    let [grey, red] = planes(side, derive_seed(seed, 0));
    let [green, blue] = planes(side, derive_seed(seed, 1));
    let mut rgb = Vec::with_capacity(3 * side * side);
    for (i, &grey) in grey.iter().enumerate() {
        for own in [&red, &green, &blue] {
            let value = 0.5 + DEVIATIONS[0] * grey + DEVIATIONS[1] * own[i];
            rgb.push((value.clamp(0.0, 1.0) * 255.0).round_ties_even() as u8);
        }
    }
    Picture::new(side, side, rgb)
}

/// Two planes `[n, n]` of mean 0 and variance 1.
fn planes(n: usize, seed: u64) -> [Vec<f64>; 2] {
    let mut field = spectrum(n, seed);
    let roots = roots_of_unity(n);
    for row in field.chunks_exact_mut(n) {
        transform(row, &roots);
    }
    let mut column = vec![[0.0; 2]; n];
    for x in 0..n {
        column.iter_mut().zip(field[x..].iter().step_by(n)).for_each(|(to, &from)| *to = from);
        transform(&mut column, &roots);
        field[x..].iter_mut().step_by(n).zip(&column).for_each(|(to, &from)| *to = from);
    }
    [0, 1].map(|part| {
        let plane: Vec<f64> = field.iter().map(|value| value[part]).collect();
        let count = plane.len() as f64;
        let mean = plane.iter().sum::<f64>() / count;
        let variance = plane.iter().map(|v| (v - mean) * (v - mean)).sum::<f64>() / count;
        let scale = 1.0 / variance.sqrt();
        plane.into_iter().map(|v| (v - mean) * scale).collect()
    })
}

/// Complex amplitudes `[n, n]`, each `[real, imaginary]`.
fn spectrum(n: usize, seed: u64) -> Vec<[f64; 2]> {
    let frequency = |k: usize| if 2 * k <= n { k as f64 } else { n as f64 - k as f64 };
    let mut index = 0;
    let mut random = || {
        let mut sum = 0.0;
        for _ in 0..N_SUMMED {
            // 53 bits, from −½ below ½.
            sum += (sequence(seed, index) >> 11) as f64 / (1u64 << 53) as f64 - 0.5;
            index += 1;
        }
        sum
    };
    let mut all = Vec::with_capacity(n * n);
    for y in 0..n {
        for x in 0..n {
            let (real, imaginary) = (random(), random());
            let f = (frequency(y) * frequency(y) + frequency(x) * frequency(x)).sqrt();
            all.push(if f > 0.0 { [real / f, imaginary / f] } else { [0.0; 2] });
        }
    }
    all
}

/// `e^{2πi·k/n}` for k below n / 2, n a power of two: by halving the angle, and by adding angles.
fn roots_of_unity(n: usize) -> Vec<[f64; 2]> {
    // The root of angle 2π / 2^j for each j from 1: −1, i, and then half of the angle.
    let mut halved = vec![[-1.0, 0.0], [0.0, 1.0]];
    while 1 << halved.len() < n {
        let [cosine, sine]: [f64; 2] = halved[halved.len() - 1];
        let half = ((1.0 + cosine) / 2.0).sqrt();
        halved.push([half, sine / (2.0 * half)]);
    }
    let n_bits = n.trailing_zeros() as usize;
    let root = |k: usize| {
        (0..n_bits).filter(|bit| k >> bit & 1 == 1).fold([1.0, 0.0], |root, bit| {
            // 2^bit / n is an angle of 2π / 2^(n_bits − bit).
            product(root, halved[n_bits - bit - 1])
        })
    };
    (0..n / 2).map(root).collect()
}

fn product([a, b]: [f64; 2], [c, d]: [f64; 2]) -> [f64; 2] {
    [a * c - b * d, a * d + b * c]
}

/// `X_x = Σ_k F_k · e^{2πi·k·x/n}` in place (Cooley and Tukey 1965).
fn transform(values: &mut [[f64; 2]], roots: &[[f64; 2]]) {
    let n = values.len();
    let n_bits = n.trailing_zeros();
    for i in 0..n {
        let mirrored = i.reverse_bits() >> (usize::BITS - n_bits);
        if i < mirrored {
            values.swap(i, mirrored);
        }
    }
    let mut half = 1;
    while half < n {
        let step = n / (2 * half);
        for block in values.chunks_exact_mut(2 * half) {
            let (even, odd) = block.split_at_mut(half);
            for (k, (a, b)) in even.iter_mut().zip(odd).enumerate() {
                let turned = product(roots[k * step], *b);
                *b = [a[0] - turned[0], a[1] - turned[1]];
                *a = [a[0] + turned[0], a[1] + turned[1]];
            }
        }
        half *= 2;
    }
}

#[cfg(test)]
mod tests {
    use grouping_core::testing::assert_refused;

    use super::*;

    #[test]
    fn the_transform_is_the_sum_that_it_stands_for() {
        let n = 16;
        let wave = |k: f64| {
            let angle = std::f64::consts::TAU * k / n as f64;
            [angle.cos(), angle.sin()]
        };
        let roots = roots_of_unity(n);
        for (k, root) in roots.iter().enumerate() {
            let wanted = wave(k as f64);
            assert!(
                (0..2).all(|i| (root[i] - wanted[i]).abs() < 1e-15),
                "root {k}: {root:?}, not {wanted:?}"
            );
        }
        let input: Vec<[f64; 2]> = (0..n).map(|i| [(i * i % 7) as f64, (3 * i % 5) as f64 - 2.0]).collect();
        let mut found = input.clone();
        transform(&mut found, &roots);
        for (x, found) in found.iter().enumerate() {
            let terms = input.iter().enumerate().map(|(k, &value)| product(value, wave((k * x % n) as f64)));
            let wanted = terms.fold([0.0; 2], |sum, term| [sum[0] + term[0], sum[1] + term[1]]);
            assert!(
                (0..2).all(|i| (found[i] - wanted[i]).abs() < 1e-12),
                "at {x}: {found:?}, not {wanted:?}"
            );
        }
    }

    #[test]
    fn every_octave_has_the_same_power() {
        // A plane's power by octave, by the transform back: the same one of the conjugate.
        let n = 128;
        let [plane, _] = planes(n, 5);
        let mut field: Vec<[f64; 2]> = plane.iter().map(|&v| [v, 0.0]).collect();
        let roots = roots_of_unity(n);
        field.chunks_exact_mut(n).for_each(|row| transform(row, &roots));
        let mut octaves = [0.0; 5];
        for x in 0..n {
            let mut column: Vec<[f64; 2]> = field[x..].iter().step_by(n).copied().collect();
            transform(&mut column, &roots);
            for (y, [a, b]) in column.into_iter().enumerate() {
                let f = |k: usize| k.min(n - k) as f64;
                let f = f(x).hypot(f(y));
                if (2.0..64.0).contains(&f) {
                    octaves[f.log2().floor() as usize - 1] += a * a + b * b;
                }
            }
        }
        let mean = octaves.iter().sum::<f64>() / 5.0;
        // The first has only some forty frequencies.
        for (octave, power) in octaves.iter().enumerate() {
            let tolerance = if octave == 0 { 0.5 } else { 0.2 };
            assert!((power / mean - 1.0).abs() < tolerance, "octave {octave}: {octaves:?}");
        }
    }

    #[test]
    fn a_seed_gives_its_pictures_and_no_others() {
        let small = PinkNoise::default().with_pictures(2).with_side(32);
        let of = |seed| pink_noise(&small.with_seed(seed)).expect("pictures");
        assert_eq!(of(1), of(1), "a seed, its pictures");
        assert_ne!(of(1), of(2), "another seed");
        assert_refused(
            pink_noise(&small.with_side(48)),
            "side: expected a power of two from 16 to 2048, found 48",
        );
        assert_refused(pink_noise(&small.with_pictures(0)), "n_pictures: expected at least 1, found 0");
    }
}
