//! A latent channel that is a constant, and carries the constants of all channels that were pruned.
//!
//! Where channels d are constants `c_d`, a layer reads `Σ_d c_d·W_d` of them, at the picture's edge with its padding of zeros, and behind a
//! stride in every phase. One channel that is the constant v, with the weights `Σ_d c_d·W_d / v`, gives the same sums everywhere. Folded into
//! a bias they would be right only inside and, behind a transposed convolution, only in the mean over its phases.
//!
//! The carrier is v by the bias of `g_a`; its mean is v by the bias of the entropy head, or its median; its symbol is 0, and its table, the
//! narrowest, codes that in far less than a thousandth of a bit. v is the least power of two from 1 to 64 with which no weight of the carrier
//! is greater than the greatest beside it, so that integer networks lose no precision to it.

use super::slabs::Slabs;
use crate::coder::{FactorizedPrior, Tables};
use crate::{Error, Result};

/// The largest value of a carrier.
const MOST: f64 = 64.0;
/// The slope of the carrier's logit: the symbol 0 has all but 4e-9 of its probability.
const SLOPE: f32 = 40.0;
/// CompressAI's least scale.
pub(super) const LEAST_SCALE: f32 = 0.11;

/// The channel behind all that are kept.
#[derive(Clone, Copy, Debug, PartialEq)]
#[non_exhaustive]
pub struct Carrier {
    /// v, its value everywhere.
    pub value: f32,
}

/// `Σ_d c_d·W_d` of slabs of a weight.
pub(super) fn combined(slabs: &Slabs, first: usize, dropped: &[usize], constants: &[f64]) -> Vec<f64> {
    let mut sums = vec![0.0; slabs.slab_len()];
    for &channel in dropped {
        let slab = &slabs.slabs[first + channel];
        sums.iter_mut().zip(slab).for_each(|(sum, &w)| *sum += constants[channel] * f64::from(w));
    }
    sums
}

impl Carrier {
    /// The carrier with which weights of this magnitude become at most `largest`.
    pub(super) fn for_weights(magnitude: f64, largest: f64) -> Self {
        let mut value = 1.0;
        while value < MOST && magnitude > value * largest {
            value *= 2.0;
        }
        Self { value: value as f32 }
    }

    /// Weights `Σ_d c_d·W_d / v`.
    pub(super) fn weights(self, sums: &[f64]) -> Vec<f32> {
        sums.iter().map(|sum| (sum / f64::from(self.value)) as f32).collect()
    }

    /// A parameter of the carrier in an entropy bottleneck, by what stands behind the bottleneck's name: `n` values.
    ///
    /// The logit is `SLOPE·(x − v)`: the first layer has its slope and bias, the others are means of three.
    pub(super) fn distribution(self, part: &str, n: usize) -> Result<Vec<f32>> {
        // softplus of it is ⅓.
        let third = (1.0f64 / 3.0).exp_m1().ln() as f32;
        match part {
            // softplus leaves what is above 20.
            "matrices.0" => Ok(vec![SLOPE; n]),
            "biases.0" => Ok(vec![-SLOPE * self.value; n]),
            "quantiles" => Ok(vec![self.value - 1.0, self.value, self.value + 1.0]),
            _ if part.starts_with("matrices.") => Ok(vec![third; n]),
            _ if part.starts_with("biases.") || part.starts_with("factors.") => Ok(vec![0.0; n]),
            _ => Err(Error::setting("part of an entropy bottleneck", "one that is known", part)),
        }
    }

    /// The table of the carrier in an entropy bottleneck whose layers have these widths.
    pub(super) fn table(self, filters: &[[usize; 2]]) -> Result<(Vec<u32>, i32)> {
        let all = |kind: &str, n: usize, of: fn([usize; 2]) -> usize| -> Result<Vec<Vec<f32>>> {
            let parts = filters[..n].iter().enumerate();
            parts.map(|(i, &widths)| self.distribution(&format!("{kind}.{i}"), of(widths))).collect()
        };
        let n = filters.len();
        let matrices = all("matrices", n, |[n_in, n_out]| n_in * n_out)?;
        let (biases, factors) =
            (all("biases", n, |[_, n_out]| n_out)?, all("factors", n - 1, |[_, n_out]| n_out)?);
        let [matrices, biases, factors] =
            [&matrices, &biases, &factors].map(|all| all.iter().map(Vec::as_slice).collect::<Vec<_>>());
        let prior = FactorizedPrior::new(&matrices, &biases, &factors, &self.distribution("quantiles", 3)?)?;
        let tables = Tables::factorized(&prior)?;
        Ok((tables.row(0).to_vec(), tables.offset(0)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::checkpoint::FILTERS;

    #[test]
    fn the_symbol_of_a_carrier_is_all_but_certain() {
        for value in [1.0, 4.0, 64.0] {
            let (counts, offset) = Carrier { value }.table(&FILTERS).expect("a table");
            let bin = usize::try_from(-offset).expect("a bin of 0");
            assert!(counts[bin + 1] - counts[bin] >= 65_530, "{counts:?} from {offset}, for {value}");
        }
    }

    #[test]
    fn a_carrier_is_as_large_as_its_weights_need() {
        let of = |magnitude, largest| Carrier::for_weights(magnitude, largest).value;
        assert_eq!(
            [of(0.5, 1.0), of(1.5, 1.0), of(9.0, 1.0), of(1e9, 1.0)],
            [1.0, 2.0, 16.0, 64.0],
            "powers of two"
        );
    }
}
