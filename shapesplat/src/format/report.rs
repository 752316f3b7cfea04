//! What a format did to the values that it was given.

/// What was written, and what of the splats the format could not hold.
#[derive(Clone, Debug, Default, PartialEq, serde::Serialize)]
pub struct Written {
    /// Gaussians in the file.
    pub count: usize,
    /// Whether the rows stand in the order of the input.
    pub keeps_order: bool,
    /// What the format has no place for, in words, each said once: `degree 3 of the spherical harmonics: .splat holds none`.
    pub dropped: Vec<String>,
    /// Greatest and mean error of each property that is not exact.
    pub errors: Vec<PropertyError>,
}

/// How far the values in the file lie from those that were given.
#[derive(Clone, Debug, PartialEq, serde::Serialize)]
pub struct PropertyError {
    /// `position`, `scale` (of logarithms), `rotation` (1 − |dot| of unit quaternions), `opacity` (of alphas), `colour` (of dc), `sh`.
    pub property: &'static str,
    /// Greatest absolute error.
    pub greatest: f64,
    /// Mean absolute error.
    pub mean: f64,
}

impl Written {
    /// Adds the errors of a property, unless it is exact.
    pub(crate) fn add(&mut self, property: &'static str, errors: ErrorSum) {
        if errors.greatest > 0.0 {
            let mean = errors.sum / errors.n as f64;
            self.errors.push(PropertyError { property, greatest: errors.greatest, mean });
        }
    }
}

/// Errors of one property, taken in by the pass that quantises it.
///
/// A sum does not depend on the number of threads where each block of rows has its own and they are joined in the order of the blocks.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(crate) struct ErrorSum {
    greatest: f64,
    sum: f64,
    n: u64,
}

impl ErrorSum {
    /// Takes in an error, of any sign; one that is not finite, as that of an infinite value, which is told in words, counts as none.
    #[inline(always)]
    pub(crate) fn take(&mut self, error: f64) {
        let error = if error.is_finite() { error.abs() } else { 0.0 };
        self.greatest = self.greatest.max(error);
        self.sum += error;
        self.n += 1;
    }

    /// Takes in `n` errors of which the greatest and the sum are known.
    pub(crate) fn take_all(&mut self, greatest: f64, sum: f64, n: usize) {
        self.join(Self { greatest, sum, n: n as u64 });
    }

    /// Takes in the errors of a later block.
    pub(crate) fn join(&mut self, later: Self) {
        self.greatest = self.greatest.max(later.greatest);
        self.sum += later.sum;
        self.n += later.n;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn exact_properties_are_not_listed_and_others_have_their_mean() {
        let mut sum = ErrorSum::default();
        sum.take(0.0);
        let mut written = Written::default();
        written.add("position", sum);
        assert_eq!(written.errors, [], "an exact property");
        sum.take(-0.5);
        let mut later = ErrorSum::default();
        later.take(f64::NEG_INFINITY);
        later.take_all(0.25, 0.25, 1);
        sum.join(later);
        written.add("position", sum);
        let expected = PropertyError { property: "position", greatest: 0.5, mean: 0.1875 };
        assert_eq!(written.errors, [expected], "four values, one of them infinite");
    }
}
