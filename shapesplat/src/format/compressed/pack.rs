//! The words of a packed Gaussian: three numbers in 11, 10 and 11 bits, four in 8, a quaternion in 2 and three times 10.

/// The greatest numbers of three fields of 11, 10 and 11 bits, the first in the top bits.
pub(super) const THREE: [u32; 3] = [2047, 1023, 2047];

/// Takes a word apart into its fields.
pub(super) fn three(word: u32) -> [u32; 3] {
    [word >> 21, word >> 11 & 1023, word & 2047]
}

/// The fields of four bytes, the first in the top bits.
pub(super) fn four(word: u32) -> [u32; 4] {
    [word >> 24, word >> 16 & 255, word >> 8 & 255, word & 255]
}

/// Of a number in 0..=1, one of `0..=greatest`.
#[inline(always)]
pub(super) fn unorm(value: f64, greatest: u32) -> u32 {
    let greatest = f64::from(greatest);
    (value * greatest + 0.5).clamp(0.0, greatest) as u32
}

/// A point between two others.
#[inline(always)]
pub(super) fn lerp(min: f32, max: f32, at: f64) -> f32 {
    (f64::from(min) * (1.0 - at) + f64::from(max) * at) as f32
}

/// A rotation as it is packed: the place of the component of greatest magnitude, which is made positive, and a field for each of the others.
#[derive(Clone, Copy, Debug)]
pub(super) struct Smallest {
    largest: u32,
    /// The component at that place.
    greatest: f64,
    /// The others in their order.
    others: [f64; 3],
    /// `others` in 10 bits each.
    fields: [u32; 3],
}

impl Smallest {
    /// Of a quaternion w, x, y, z, not of zeros.
    #[inline(always)]
    pub(super) fn of(q: [f32; 4]) -> Self {
        let [w, x, y, z] = unit(q);
        let (first, second) = (y.abs().max(z.abs()), w.abs().max(x.abs()));
        let is_last = first > second;
        let low = if is_last { u32::from(z.abs() > y.abs()) } else { u32::from(x.abs() > w.abs()) };
        let largest = if is_last { 2 + low } else { low };
        let at_greatest = if is_last {
            if low == 1 { z } else { y }
        } else if low == 1 {
            x
        } else {
            w
        };
        let others = [
            if largest == 0 { x } else { w },
            if largest <= 1 { y } else { x },
            if largest <= 2 { z } else { y },
        ];
        let sign = if at_greatest < 0.0 { -1.0 } else { 1.0 };
        let others = others.map(|value| sign * value);
        let fields = others.map(|value| unorm(value * std::f64::consts::FRAC_1_SQRT_2 + 0.5, 1023));
        Self { largest, greatest: at_greatest.abs(), others, fields }
    }

    /// The place in the top two bits, and the fields in their order.
    #[inline(always)]
    pub(super) fn word(self) -> u32 {
        let [a, b, c] = self.fields;
        self.largest << 30 | a << 20 | b << 10 | c
    }

    /// `1 − |q·q'|` of the rotation and what is read back, both of length 1.
    #[inline(always)]
    pub(super) fn error(self) -> f64 {
        let back = self.fields.map(component);
        let largest = greatest_of(back);
        let dot = self.greatest * largest
            + self.others[0] * back[0]
            + self.others[1] * back[1]
            + self.others[2] * back[2];
        let length = (largest * largest + back[0] * back[0] + back[1] * back[1] + back[2] * back[2]).sqrt();
        (1.0 - dot.abs() / length).max(0.0)
    }
}

/// The component of a field.
#[inline(always)]
fn component(field: u32) -> f64 {
    (f64::from(field) / 1023.0 - 0.5) * std::f64::consts::SQRT_2
}

/// What a quaternion of length 1 lacks.
#[inline(always)]
fn greatest_of([a, b, c]: [f64; 3]) -> f64 {
    (1.0 - (a * a + b * b + c * c)).max(0.0).sqrt()
}

/// The quaternion of a word.
#[inline(always)]
pub(super) fn unpack_rotation(word: u32) -> [f32; 4] {
    let [a, b, c] = [20, 10, 0].map(|shift: u32| component(word >> shift & 1023));
    let largest = greatest_of([a, b, c]);
    let q = match word >> 30 {
        0 => [largest, a, b, c],
        1 => [a, largest, b, c],
        2 => [a, b, largest, c],
        _ => [a, b, c, largest],
    };
    q.map(|value| value as f32)
}

/// A quaternion of length 1; not of zeros.
#[inline(always)]
pub(super) fn unit(q: [f32; 4]) -> [f64; 4] {
    let q = q.map(f64::from);
    let factor = 1.0 / (q[0] * q[0] + q[1] * q[1] + q[2] * q[2] + q[3] * q[3]).sqrt();
    q.map(|value| value * factor)
}

/// The coefficient of each byte.
pub(super) const COEFFICIENTS: [f32; 256] = {
    let mut table = [0.0; 256];
    let mut byte = 0;
    while byte < 256 {
        table[byte] = match byte {
            0 => -4.0,
            255 => 4.0,
            _ => (byte as f32 + 0.5) / 32.0 - 4.0,
        };
        byte += 1;
    }
    table
};

#[cfg(test)]
mod tests {
    use grouping_core::seed::sequence;

    use super::*;

    #[test]
    fn rotations_come_back_within_the_step_of_their_fields() {
        for i in 0..1000 {
            let word = |k: u64| (sequence(3, 4 * i + k) >> 40) as f32 / (1 << 23) as f32 - 1.0;
            let q = [word(0), word(1), word(2), word(3)].map(|value| value * 0.004);
            let packed = Smallest::of(q);
            let back = unpack_rotation(packed.word()).map(f64::from);
            let dot: f64 = unit(q).iter().zip(back).map(|(a, b)| a * b).sum();
            assert!(1.0 - dot.abs() < 3e-6, "{q:?} came back as {back:?}");
            let error = packed.error();
            assert!(
                (1.0 - dot.abs() - error).abs() < 1e-7,
                "{q:?} is off by {}, said {error}",
                1.0 - dot.abs()
            );
        }
        for (q, largest) in
            [([1.0, 0.0, 0.0, 0.0], 0), ([0.0, 0.0, -2.0, 0.0], 2), ([0.0, 0.0, 0.0, 1e-20], 3)]
        {
            let word = Smallest::of(q).word();
            assert_eq!(word >> 30, largest, "{q:?}");
            assert!((unpack_rotation(word)[largest as usize] - 1.0).abs() < 1e-5, "{q:?}");
        }
        for (q, largest) in
            [([1.0, -1.0, 1.0, 1.0], 0), ([0.1, -2.0, 1.0, -2.0], 1), ([0.1, 1.0, -2.0, 2.0], 2)]
        {
            assert_eq!(Smallest::of(q).word() >> 30, largest, "{q:?}: the first of equal magnitudes");
        }
    }

    #[test]
    fn fields_stand_where_they_are_packed() {
        assert_eq!(three(7 << 21 | 5 << 11 | 3), [7, 5, 3], "11, 10 and 11 bits");
        assert_eq!(four(0x0102_03ff), [1, 2, 3, 255], "bytes from the top");
        assert_eq!([unorm(0.0, 2047), unorm(1.0, 2047), unorm(0.5, 255)], [0, 2047, 128], "half up");
        let quantised = |value: f32| ((f64::from(value) / 8.0 + 0.5) * 256.0).clamp(0.0, 255.0) as usize;
        for i in -500..500 {
            let value = i as f32 / 130.0;
            let error = (COEFFICIENTS[quantised(value)] - value).abs();
            assert!(error <= 1.0 / 64.0 + 1e-6 || value.abs() > 3.96, "{value}: off by {error}");
        }
    }
}
