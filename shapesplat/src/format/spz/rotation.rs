//! Unit quaternions in three or four bytes.
//!
//! Four bytes (versions 3 and 4): bits 31 and 30 are the index of the greatest of x, y, z, w (the first of equals), then the other three
//! in this order, each a sign and 9 bits of magnitude, `511 · |q| · √2`. Three bytes (versions 1 and 2): x, y, z as `127.5 · q + 127.5`
//! of the quaternion whose w is not negative.
//!
//! The arithmetic is Niantic's, in `f32`, so that the bytes are. One thing is not: its writer rounds three bytes to the nearest each, and
//! so does this one, but w is the root of what is left, and where nothing is left it is 0 and not NaN.

use std::f32::consts::FRAC_1_SQRT_2;

/// Packs a unit quaternion w, x, y, z.
pub(super) fn pack_four([w, x, y, z]: [f32; 4]) -> [u8; 4] {
    let parts = [x, y, z, w];
    let greatest = (1..4).fold(0, |best, i| if parts[i].abs() > parts[best].abs() { i } else { best });
    let negative = parts[greatest] < 0.0;
    let others = (0..4).filter(|&i| i != greatest);
    let bits = others.fold(greatest as u32, |bits, i| {
        let sign = u32::from((parts[i] < 0.0) != negative);
        let magnitude = (511.0 * (parts[i].abs() / FRAC_1_SQRT_2) + 0.5) as u32;
        bits << 10 | sign << 9 | magnitude.min(511)
    });
    bits.to_le_bytes()
}

/// Unpacks a quaternion w, x, y, z.
pub(super) fn unpack_four(bytes: [u8; 4]) -> [f32; 4] {
    let mut bits = u32::from_le_bytes(bytes);
    let greatest = (bits >> 30) as usize;
    let (mut parts, mut squares) = ([0.0f32; 4], 0.0);
    for i in (0..4).rev().filter(|&i| i != greatest) {
        let magnitude = FRAC_1_SQRT_2 * (bits & 511) as f32 / 511.0;
        parts[i] = if bits >> 9 & 1 == 1 { -magnitude } else { magnitude };
        squares += parts[i] * parts[i];
        bits >>= 10;
    }
    parts[greatest] = (1.0 - squares).max(0.0).sqrt();
    let [x, y, z, w] = parts;
    [w, x, y, z]
}

/// Packs a unit quaternion w, x, y, z.
pub(super) fn pack_three([w, x, y, z]: [f32; 4]) -> [u8; 3] {
    let steps = if w < 0.0 { -127.5 } else { 127.5 };
    [x, y, z].map(|part| (part * steps + 127.5).round().clamp(0.0, 255.0) as u8)
}

/// Unpacks a quaternion w, x, y, z.
pub(super) fn unpack_three(bytes: [u8; 3]) -> [f32; 4] {
    let [x, y, z] = bytes.map(|byte| f32::from(byte) * (1.0 / 127.5) - 1.0);
    [(1.0 - (x * x + y * y + z * z)).max(0.0).sqrt(), x, y, z]
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn turns_come_back(parts in proptest::array::uniform4(-1.0f32..1.0)) {
            let length = parts.iter().map(|v| v * v).sum::<f32>().sqrt();
            prop_assume!(length > 1e-3);
            let unit = parts.map(|v| v / length);
            let dot = |other: [f32; 4]| unit.iter().zip(other).map(|(a, b)| a * b).sum::<f32>().abs();
            // Half a step of √½/511 in each of three parts.
            prop_assert!(dot(unpack_four(pack_four(unit))) > 1.0 - 3e-6, "four bytes: {:?}", unit);
            // Half a step of 1/127.5 in each of three parts; w is what is left, at worst √(3 · 0.004).
            prop_assert!(dot(unpack_three(pack_three(unit))) > 1.0 - 8e-3, "three bytes: {:?}", unit);
        }

        #[test]
        fn what_is_read_is_finite(bytes in any::<[u8; 4]>()) {
            prop_assert!(unpack_four(bytes).iter().all(|v| v.is_finite()), "four bytes");
            prop_assert!(unpack_three([bytes[0], bytes[1], bytes[2]]).iter().all(|v| v.is_finite()), "three");
        }
    }

    #[test]
    fn the_first_of_equals_is_left_out() {
        let half = [0.5f32; 4];
        assert_eq!(u32::from_le_bytes(pack_four(half)) >> 30, 0, "x of four equals");
        let bits = u32::from_le_bytes(pack_four([1.0, 0.0, 0.0, 0.0]));
        assert_eq!(bits, 3 << 30, "w is index 3, and the others are 0");
        let q = [-0.5, 0.7, 0.1, -0.5f32];
        assert_eq!(pack_four(q), pack_four(q.map(|v| -v)), "opposites");
    }
}
