//! Positions and rotations in the pixels of a `.sog`.

use super::super::activation::byte;

/// The alpha of `quats` that says that w is left out.
pub(super) const LEFT_OUT: u8 = 252;

/// `sign(v) · ln(1 + |v|)`.
pub(super) fn squeeze(v: f64) -> f64 {
    v.signum() * v.abs().ln_1p()
}

/// Undoes [`squeeze`].
pub(super) fn stretch(v: f64) -> f64 {
    v.signum() * v.abs().exp_m1()
}

/// The quaternion w, x, y, z of a pixel of `quats`, whose alpha is from 252 on.
pub(super) fn unpack_rotation([a, b, c, left_out]: [u8; 4]) -> [f64; 4] {
    let kept = [a, b, c].map(|byte| (f64::from(byte) / 255.0 * 2.0 - 1.0) * std::f64::consts::FRAC_1_SQRT_2);
    let greatest = (1.0 - kept.iter().map(|v| v * v).sum::<f64>()).max(0.0).sqrt();
    let left_out = usize::from(left_out - LEFT_OUT);
    let mut kept = kept.into_iter();
    std::array::from_fn(|part| if part == left_out { greatest } else { kept.next().unwrap_or(0.0) })
}

/// The pixel of a unit quaternion w, x, y, z.
pub(super) fn pack_rotation(unit: [f32; 4]) -> [u8; 4] {
    let greatest = (1..4).fold(0, |best, i| if unit[i].abs() > unit[best].abs() { i } else { best });
    let sign = if unit[greatest] < 0.0 { -1.0 } else { 1.0 };
    let step = |v: f32| byte(f64::from(sign * v) * std::f64::consts::FRAC_1_SQRT_2 + 0.5);
    let mut kept = (0..4).filter(|&i| i != greatest).map(|i| step(unit[i]));
    let mut next = || kept.next().unwrap_or(0);
    [next(), next(), next(), LEFT_OUT + greatest as u8]
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::super::activation;
    use super::*;

    proptest! {
        #[test]
        fn turns_and_positions_come_back(parts in proptest::array::uniform4(-1.0f32..1.0), v in -1e5f64..1e5) {
            prop_assume!(parts.iter().any(|v| v.abs() > 1e-3));
            let unit = activation::unit(parts).expect("a length");
            let kept = unpack_rotation(pack_rotation(unit));
            // Half a step of √2/255 in each of three parts, and as much in the fourth as they are together.
            prop_assert!(activation::turn_error(unit, kept) < 5e-5, "{:?} comes back as {:?}", unit, kept);
            prop_assert!((stretch(squeeze(v)) - v).abs() < 1e-9 * v.abs().max(1.0), "{} comes back", v);
        }
    }
}
