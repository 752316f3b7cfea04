//! What raw values stand for: logits for alphas, logarithms for scales, coefficients of degree 0 for colours; and unit quaternions.

use crate::splats::SH_C0;

/// Alphas of formats with 8 bits are this far from 0 and 1 at least before the logit is taken, as in splat-transform: ±13.8155.
pub(crate) const ALPHA_MARGIN: f64 = 1e-6;

/// `1 / (1 + e^−x)`; ±∞ are 1 and 0.
pub(crate) fn alpha(logit: f32) -> f64 {
    1.0 / (1.0 + (-f64::from(logit)).exp())
}

/// The logit of an alpha, which is kept `margin` away from 0 and from 1.
pub(crate) fn logit(alpha: f64, margin: f64) -> f32 {
    logit_within(alpha, [margin, 1.0 - margin])
}

/// The logit of an alpha, which is kept within two bounds.
pub(crate) fn logit_within(alpha: f64, [least, greatest]: [f64; 2]) -> f32 {
    let alpha = alpha.clamp(least, greatest);
    (alpha / (1.0 - alpha)).ln() as f32
}

/// The logits of the 256 alphas of one byte.
pub(crate) fn logits_of_bytes() -> [f32; 256] {
    std::array::from_fn(|byte| logit(byte as f64 / 255.0, ALPHA_MARGIN))
}

/// The nearest of the 256 steps from 0 to 1; halves go up.
pub(crate) fn byte(value: f64) -> u8 {
    (value.clamp(0.0, 1.0) * 255.0 + 0.5) as u8
}

/// The colour of a coefficient of degree 0: 0 to 1 can be shown.
pub(crate) fn colour(dc: f32) -> f64 {
    f64::from(dc) * f64::from(SH_C0) + 0.5
}

/// The coefficient of degree 0 of a colour.
pub(crate) fn dc(colour: f64) -> f64 {
    (colour - 0.5) / f64::from(SH_C0)
}

/// The quaternion of length 1, `None` for one of length 0. Lengths in the range of `f32` squares are divided out in `f32`, as other
/// tools do, so that the bytes made of it are theirs.
pub(crate) fn unit(quaternion: [f32; 4]) -> Option<[f32; 4]> {
    let squares = quaternion.iter().fold(0.0, |sum: f32, v| sum + v * v);
    if squares > 1e-30 && squares < 1e30 {
        let length = squares.sqrt();
        return Some(quaternion.map(|v| v / length));
    }
    let wide = quaternion.map(f64::from);
    let length = wide.iter().map(|v| v * v).sum::<f64>().sqrt();
    (length > 0.0 && length.is_finite()).then(|| wide.map(|v| (v / length) as f32))
}

/// The error `1 − |dot|` of a rotation, of quaternions of any length but 0.
pub(crate) fn turn_error(given: [f32; 4], kept: [f64; 4]) -> f64 {
    let given = given.map(f64::from);
    let squares = |q: &[f64; 4]| q.iter().map(|v| v * v).sum::<f64>();
    let dot: f64 = given.iter().zip(&kept).map(|(a, b)| a * b).sum();
    1.0 - (dot.abs() / (squares(&given) * squares(&kept)).sqrt()).min(1.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rotations_are_compared_as_turns() {
        assert_eq!(
            turn_error([0.001, 0.0, 0.0, 0.0], [-1.0, 0.0, 0.0, 0.0]),
            0.0,
            "neither length nor sign matters"
        );
        assert_eq!(turn_error([1.0, 0.0, 0.0, 0.0], [0.0, 1.0, 0.0, 0.0]), 1.0, "a half turn");
    }

    #[test]
    fn alphas_and_logits_are_inverse() {
        for x in [-30.0, -13.0, -1.5, 0.0, 0.25, 9.0f32] {
            let back = logit(alpha(x), 1e-15);
            assert!((back - x).abs() <= 1e-5 * x.abs().max(1.0), "{x} comes back as {back}");
        }
        assert_eq!([alpha(f32::INFINITY), alpha(f32::NEG_INFINITY)], [1.0, 0.0], "infinite logits");
        let table = logits_of_bytes();
        assert!((table[0] + 13.815_51).abs() < 1e-5 && (table[255] - 13.815_51).abs() < 1e-5, "the ends");
        assert!((0..=255).all(|b: u8| byte(alpha(table[usize::from(b)])) == b), "every byte comes back");
    }

    #[test]
    fn lengths_are_divided_out() {
        for scale in [1.0, 0.004, 1e-38, 1e30f32] {
            let unit = unit([3.0 * scale, 0.0, -4.0 * scale, 0.0]).expect("a length");
            let expected = [0.6, 0.0, -0.8, 0.0];
            assert!(unit.iter().zip(expected).all(|(a, b)| (a - b).abs() < 1e-6), "{scale}: {unit:?}");
        }
        assert_eq!(unit([0.0; 4]), None, "no length");
        assert_eq!(unit([f32::INFINITY, 0.0, 0.0, 0.0]), None, "no direction");
    }
}
