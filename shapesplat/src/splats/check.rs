//! Gaussians that no file should hold: values that are NaN, infinite where that means nothing, and rotations of zeros.
//!
//! An opacity of ±∞ is alpha 1 or 0, and a scale of −∞ is flat; both are legal. Norms of quaternions are not looked at: real files hold
//! any but zero.

use rayon::prelude::*;

use super::Splats;
use crate::{Error, Result};

/// What is done with Gaussians that no file should hold.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Bad {
    /// The first of them is an error.
    #[default]
    Refuse,
    /// They are dropped and counted.
    Drop,
    /// They are kept.
    Keep,
}

/// Values that are looked at between two looks at what was found.
const BLOCK: usize = 4096;

/// Which values a column may hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Legal {
    Finite,
    /// Finite or −∞.
    Scale,
    /// All but NaN.
    Opacity,
}

impl Legal {
    fn of(column: &str) -> Self {
        match column {
            "opacity" => Self::Opacity,
            name if name.starts_with("scale_") => Self::Scale,
            _ => Self::Finite,
        }
    }

    #[inline(always)]
    fn holds(self, value: f32) -> bool {
        match self {
            Self::Finite => value.is_finite(),
            Self::Scale => value < f32::INFINITY,
            Self::Opacity => !value.is_nan(),
        }
    }

    /// Whether it holds all of them; without a branch a value, so that it runs at the speed of memory.
    fn holds_all(self, values: &[f32]) -> bool {
        #[inline(always)]
        fn all(values: &[f32], holds: impl Fn(f32) -> bool) -> bool {
            values.chunks(BLOCK).all(|block| block.iter().fold(true, |all, &value| all & holds(value)))
        }
        match self {
            Self::Finite => all(values, |value| Self::Finite.holds(value)),
            Self::Scale => all(values, |value| Self::Scale.holds(value)),
            Self::Opacity => all(values, |value| Self::Opacity.holds(value)),
        }
    }

    fn words(self) -> &'static str {
        match self {
            Self::Finite => "a finite number",
            Self::Scale => "a finite number or -inf",
            Self::Opacity => "a number",
        }
    }
}

impl Splats {
    /// Refuses the first Gaussian that no file should hold, and columns that do not belong together.
    ///
    /// # Errors
    /// [`Error::Value`] with the row and the column, as a PLY names it; [`Error::Core`] for columns of different lengths.
    pub fn check(&self) -> Result<()> {
        self.check_shape()?;
        if self.is_sound() {
            return Ok(());
        }
        let bad = self.bad_rows();
        let Some(row) = bad.iter().position(|&bad| bad) else { return Ok(()) };
        for (column, values) in self.columns() {
            let legal = Legal::of(&column);
            if !legal.holds(values[row]) {
                let (expected, found) = (legal.words().to_owned(), values[row].to_string());
                return Err(Error::Value { row, column, expected, found });
            }
        }
        let (column, expected) = ("rot_0".to_owned(), "a rotation other than 0 0 0 0".to_owned());
        Err(Error::Value { row, column, expected, found: "0 0 0 0".to_owned() })
    }

    /// Drops the Gaussians that [`check`](Self::check) refuses, and says how many they were.
    pub fn drop_bad(&mut self) -> usize {
        if self.is_sound() {
            return 0;
        }
        let keep: Vec<bool> = self.bad_rows().into_iter().map(|bad| !bad).collect();
        self.retain_rows(&keep);
        keep.iter().filter(|&&keep| !keep).count()
    }

    /// Whether no row is bad: the quick answer, for files of which it is true.
    fn is_sound(&self) -> bool {
        let columns = self.columns();
        columns.par_iter().all(|(column, values)| Legal::of(column).holds_all(values))
            && !self.has_zero_rotation()
    }

    fn has_zero_rotation(&self) -> bool {
        let [w, x, y, z] = &self.rotations;
        let mut blocks = w.chunks(BLOCK).zip(x.chunks(BLOCK)).zip(y.chunks(BLOCK)).zip(z.chunks(BLOCK));
        blocks.any(|(((w, x), y), z)| {
            let rows = w.iter().zip(x).zip(y).zip(z);
            rows.fold(false, |any, (((w, x), y), z)| {
                any | ((*w == 0.0) & (*x == 0.0) & (*y == 0.0) & (*z == 0.0))
            })
        })
    }

    /// Which rows no file should hold.
    fn bad_rows(&self) -> Vec<bool> {
        let [w, x, y, z] = &self.rotations;
        let mut bad: Vec<bool> = (0..self.len()).map(|i| [w, x, y, z].iter().all(|q| q[i] == 0.0)).collect();
        for (column, values) in self.columns() {
            let legal = Legal::of(&column);
            bad.iter_mut().zip(values).for_each(|(bad, &value)| *bad |= !legal.holds(value));
        }
        bad
    }
}

#[cfg(test)]
mod tests {
    use grouping_core::testing::assert_refused;

    use super::*;

    fn three() -> Splats {
        let column = || vec![1.0, 2.0, 3.0];
        Splats {
            positions: [column(), column(), column()],
            scales: [column(), column(), column()],
            rotations: [column(), column(), column(), column()],
            opacities: column(),
            dc: [column(), column(), column()],
            rest: vec![column(); 9],
            ..Splats::default()
        }
    }

    #[test]
    fn infinities_that_mean_something_are_legal() {
        let mut splats = three();
        splats.opacities[0] = f32::INFINITY;
        splats.opacities[1] = f32::NEG_INFINITY;
        splats.scales[2][2] = f32::NEG_INFINITY;
        splats.rotations.iter_mut().skip(1).for_each(|q| q[0] = 0.0);
        splats.rotations[0][0] = 1e-30;
        splats.check().expect("alpha 1, alpha 0, a flat Gaussian, a small quaternion");
        assert_eq!(splats.drop_bad(), 0, "none is bad");
    }

    #[test]
    fn a_bad_value_is_refused_by_row_and_column_and_can_be_dropped() {
        type Spoil = fn(&mut Splats);
        let cases: [(Spoil, &str); 7] = [
            (|s| s.positions[1][1] = f32::INFINITY, "row 1, `y`: expected a finite number, found inf"),
            (
                |s| s.scales[0][1] = f32::INFINITY,
                "row 1, `scale_0`: expected a finite number or -inf, found inf",
            ),
            (|s| s.opacities[1] = f32::NAN, "row 1, `opacity`: expected a number, found NaN"),
            (|s| s.rest[8][1] = f32::NAN, "row 1, `f_rest_8`: expected a finite number, found NaN"),
            (|s| s.dc[2][1] = f32::NEG_INFINITY, "row 1, `f_dc_2`"),
            (|s| s.rotations[3][1] = f32::NAN, "row 1, `rot_3`"),
            (
                |s| s.rotations.iter_mut().for_each(|q| q[1] = -0.0),
                "row 1, `rot_0`: expected a rotation other than 0 0 0 0",
            ),
        ];
        for (spoil, words) in cases {
            let mut splats = three();
            spoil(&mut splats);
            assert_refused(splats.check(), words);
            assert_eq!(splats.drop_bad(), 1, "{words}: one is dropped");
            assert_eq!((splats.len(), &splats.rest[0][..]), (2, &[1.0, 3.0][..]), "{words}: the others stay");
            splats.check().expect("what is left is sound");
        }
    }

    #[test]
    fn columns_of_different_lengths_are_refused() {
        let mut splats = three();
        splats.rest[3].pop();
        assert_refused(splats.check(), "f_rest_3: expected 3 values");
        splats.rest.truncate(3);
        assert_refused(splats.check(), "expected 0, 9, 24, 45 or 72 columns, found 3");
    }
}
