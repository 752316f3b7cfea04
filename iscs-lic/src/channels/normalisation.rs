//! Statistics of different units brought to one scale, so that they can be added.
//!
//! | normalisation | value |
//! |---|---|
//! | min-max | `(x − min) / (max − min)` |
//! | rank | `(r − 1) / (n − 1)`, r the rank from 1; equal values share the mean of their ranks |
//! | z | `(x − mean) / std`, of the population |
//!
//! Values that are all equal become zeros. No value depends on the order of the others: a sum runs over them in ascending order.

use std::fmt;

use serde::{Deserialize, Serialize};

/// How values are brought to one scale.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum Normalisation {
    /// To 0…1 by the least and the greatest value.
    MinMax,
    /// To 0…1 by rank.
    Rank,
    /// To mean 0 and variance 1.
    Z,
}

impl Normalisation {
    /// The values, normalised.
    ///
    /// ```
    /// use iscs_lic::channels::Normalisation;
    ///
    /// let x = [4.0, 1.0, 1.0, 10.0];
    /// assert_eq!(Normalisation::MinMax.apply(&x), [1.0 / 3.0, 0.0, 0.0, 1.0]);
    /// assert_eq!(Normalisation::Rank.apply(&x), [2.0 / 3.0, 0.5 / 3.0, 0.5 / 3.0, 1.0]);
    /// assert_eq!(Normalisation::Z.apply(&[3.0, 5.0]), [-1.0, 1.0]);
    /// assert_eq!(Normalisation::MinMax.apply(&[7.0, 7.0]), [0.0, 0.0]);
    /// ```
    pub fn apply(self, values: &[f64]) -> Vec<f64> {
        let sorted = ascending(values);
        let (Some(&least), Some(&greatest)) = (sorted.first(), sorted.last()) else { return vec![] };
        if least == greatest {
            return vec![0.0; values.len()];
        }
        let linear = |centre: f64, scale: f64| values.iter().map(|x| (x - centre) / scale).collect();
        match self {
            Self::MinMax => linear(least, greatest - least),
            Self::Rank => {
                let last = (values.len() - 1) as f64;
                ranks(values).into_iter().map(|rank| (rank - 1.0) / last).collect()
            }
            Self::Z => {
                let (mean, deviation) = mean_and_deviation(&sorted);
                linear(mean, deviation)
            }
        }
    }

    /// Its name.
    pub fn name(self) -> &'static str {
        match self {
            Self::MinMax => "min-max",
            Self::Rank => "rank",
            Self::Z => "z",
        }
    }
}

impl fmt::Display for Normalisation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// In ascending order.
fn ascending(values: &[f64]) -> Vec<f64> {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    sorted
}

/// The mean and the standard deviation of a population, summed in ascending order.
pub(super) fn mean_and_deviation(values: &[f64]) -> (f64, f64) {
    let sorted = ascending(values);
    let n = sorted.len().max(1) as f64;
    let mean = sorted.iter().sum::<f64>() / n;
    let squares = ascending(&sorted.iter().map(|x| (x - mean) * (x - mean)).collect::<Vec<_>>());
    (mean, (squares.iter().sum::<f64>() / n).sqrt())
}

/// Ranks from 1; equal values share the mean of their ranks.
pub(super) fn ranks(values: &[f64]) -> Vec<f64> {
    let mut order: Vec<usize> = (0..values.len()).collect();
    order.sort_by(|&a, &b| values[a].total_cmp(&values[b]));
    let (mut ranks, mut n_before) = (vec![0.0; values.len()], 0);
    for equal in order.chunk_by(|&a, &b| values[a] == values[b]) {
        let rank = n_before as f64 + (equal.len() + 1) as f64 / 2.0;
        equal.iter().for_each(|&i| ranks[i] = rank);
        n_before += equal.len();
    }
    ranks
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn equal_values_are_zeros_and_none_are_none() {
        for how in [Normalisation::MinMax, Normalisation::Rank, Normalisation::Z] {
            for values in [&[][..], &[3.0], &[0.1; 7], &[-0.0, 0.0]] {
                assert_eq!(how.apply(values), vec![0.0; values.len()], "{how} of {values:?}");
            }
        }
    }

    #[test]
    fn the_scale_is_that_of_the_population() {
        let x = [2.0, 4.0, 4.0, 4.0, 5.0, 5.0, 7.0, 9.0];
        assert_eq!(mean_and_deviation(&x), (5.0, 2.0), "a known answer");
        let z = Normalisation::Z.apply(&x);
        assert_eq!((z[0], z[7]), (-1.5, 2.0), "z");
        assert_eq!(ranks(&x), [1.0, 3.0, 3.0, 3.0, 5.5, 5.5, 7.0, 8.0], "ranks");
    }
}
