//! Whole seats for parties in proportion to weights: largest remainder (Hamilton's method) with minima and maxima, and rounding with repairs.
//!
//! Largest remainder: with `n` seats and weights `w`, party i has the quota `qᵢ = n·wᵢ/Σw`, gets `⌊qᵢ⌋` seats, and the seats
//! that are left go to the largest `qᵢ − ⌊qᵢ⌋`, on ties to the lower index. Minima are handed out first and only the rest is
//! shared; a party whose quota exceeds its maximum is filled, and the others share what is left.
//!
//! The sum of the weights is taken in order of size, so that the quotas do not depend on the order of the parties.

use crate::{Error, Result};

/// Most seats that are handed out: quotas stay exact to far below one seat.
const MAX_SEATS: usize = 1 << 32;

/// Seats to hand out, and the least and most that each party gets.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ApportionConfig {
    n_seats: usize,
    minima: Bounds,
    maxima: Bounds,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Bounds {
    All(usize),
    Each(Vec<usize>),
}

impl ApportionConfig {
    /// `n_seats` for parties without minimum or maximum.
    pub fn new(n_seats: usize) -> Self {
        Self { n_seats, minima: Bounds::All(0), maxima: Bounds::All(usize::MAX) }
    }

    /// At least this many for every party, before the rest is shared.
    pub fn with_minimum(mut self, minimum: usize) -> Self {
        self.minima = Bounds::All(minimum);
        self
    }

    /// At least this many for each party, before the rest is shared.
    pub fn with_minima(mut self, minima: Vec<usize>) -> Self {
        self.minima = Bounds::Each(minima);
        self
    }

    /// At most this many for every party.
    pub fn with_maximum(mut self, maximum: usize) -> Self {
        self.maxima = Bounds::All(maximum);
        self
    }

    /// At most this many for each party.
    pub fn with_maxima(mut self, maxima: Vec<usize>) -> Self {
        self.maxima = Bounds::Each(maxima);
        self
    }
}

/// Seats for each of `weights`' parties by largest remainder; they sum to the seats there are.
///
/// Where all weights (of the parties that have room) are 0, they count as equal.
///
/// # Errors
/// [`Error::NotFinite`] for a NaN or infinite weight, [`Error::Setting`] for a negative one, no party, or bounds that the seats
/// cannot meet, [`Error::Shape`] for bounds of another number of parties.
///
/// ```
/// use grouping_core::matching::apportion::{ApportionConfig, apportion};
/// assert_eq!(apportion(&[47., 16., 15.8, 12., 6.1, 3.1], &ApportionConfig::new(10))?, [5, 2, 1, 1, 1, 0]);
/// assert_eq!(apportion(&[9., 1., 0.], &ApportionConfig::new(8).with_minimum(1))?, [6, 1, 1]);
/// assert_eq!(apportion(&[9., 1., 0.], &ApportionConfig::new(8).with_maximum(5))?, [5, 3, 0]);
/// assert_eq!(apportion(&[1., 1., 1.], &ApportionConfig::new(4))?, [2, 1, 1], "ties to the lower index");
/// # Ok::<(), grouping_core::Error>(())
/// ```
pub fn apportion(weights: &[f64], config: &ApportionConfig) -> Result<Vec<usize>> {
    check(weights)?;
    let n = weights.len();
    let (minima, maxima) = (config.minima.of(n, "minima")?, config.maxima.of(n, "maxima")?);
    if config.n_seats > MAX_SEATS {
        return Err(setting("seats", format!("at most {MAX_SEATS}"), config.n_seats));
    }
    if let Some(i) = (0..n).find(|&i| minima[i] > maxima[i]) {
        return Err(setting("minima", format!("at most {} for party {i}", maxima[i]), minima[i]));
    }
    let total = |bounds: &[usize]| bounds.iter().fold(0usize, |sum, &b| sum.saturating_add(b));
    let (least, most) = (total(&minima), total(&maxima));
    if n == 0 || least > config.n_seats || most < config.n_seats {
        return Err(setting("seats", format!("{least} to {most} for {n} parties"), config.n_seats));
    }
    let mut seats = minima;
    let mut rest = config.n_seats - least;
    let room = |seats: &[usize], i: usize| maxima[i] - seats[i];
    let mut open: Vec<usize> = (0..n).filter(|&i| room(&seats, i) > 0).collect();
    let peak = weights.iter().copied().fold(0.0, f64::max);
    while rest > 0 {
        let quotas = quotas(&open.iter().map(|&i| weights[i] / peak).collect::<Vec<_>>(), rest);
        let full: Vec<usize> =
            (0..open.len()).filter(|&k| quotas[k] > room(&seats, open[k]) as f64).map(|k| open[k]).collect();
        if full.is_empty() {
            for (&i, quota) in open.iter().zip(&quotas) {
                let whole = (quota.floor() as usize).min(rest);
                seats[i] += whole;
                rest -= whole;
            }
            let mut order: Vec<usize> = (0..open.len()).collect();
            order.sort_by(|&a, &b| quotas[b].fract().total_cmp(&quotas[a].fract()));
            // One round is enough, up to the rounding of the quotas.
            while rest > 0 {
                for &k in &order {
                    if rest > 0 && room(&seats, open[k]) > 0 {
                        seats[open[k]] += 1;
                        rest -= 1;
                    }
                }
            }
        }
        for &i in &full {
            rest -= room(&seats, i);
            seats[i] = maxima[i];
        }
        open.retain(|i| !full.contains(i));
    }
    Ok(seats)
}

/// Which way a sum of seats is mended; there is no third, and who chooses answers both.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Repair {
    /// There are too many seats: one is taken away.
    Take,
    /// There are too few: one is added.
    Give,
}

/// Every quota rounded, halves to even, then one seat taken or given at a time where `choose` says, until there are `n_seats`.
///
/// `choose` sees the seats as they are, and which repair is due. Where it names nobody, or takes from a party without a seat,
/// there is no result; so the number of its calls is at most the error of the rounded sum.
///
/// # Errors
/// [`Error::NotFinite`] for a NaN or infinite quota, [`Error::Setting`] for one that is negative or above `n_seats`, or no
/// party, [`Error::NoConvergence`] where `choose` has no party.
///
/// ```
/// use grouping_core::matching::apportion::{Repair, round_and_repair};
/// let greatest = |seats: &[usize]| (0..seats.len()).rev().max_by_key(|&i| seats[i]);
/// let seats = round_and_repair(&[2.5, 1.5, 1.5, 0.5], 6, |seats, _| greatest(seats))?;
/// assert_eq!(seats, [2, 2, 2, 0], "halves to even");
/// let seats = round_and_repair(&[1.5, 1.5, 2.0], 5, |seats, repair| {
///     assert_eq!(repair, Repair::Take);
///     greatest(seats)
/// })?;
/// assert_eq!(seats, [1, 2, 2]);
/// # Ok::<(), grouping_core::Error>(())
/// ```
pub fn round_and_repair(
    quotas: &[f64],
    n_seats: usize,
    mut choose: impl FnMut(&[usize], Repair) -> Option<usize>,
) -> Result<Vec<usize>> {
    check(quotas)?;
    if quotas.is_empty() || n_seats > MAX_SEATS {
        return Err(setting("parties", format!("at least 1, and at most {MAX_SEATS} seats"), quotas.len()));
    }
    if let Some(quota) = quotas.iter().find(|&&quota| quota > n_seats as f64) {
        return Err(setting("quotas", format!("at most {n_seats}"), quota));
    }
    let mut seats: Vec<usize> = quotas.iter().map(|quota| quota.round_ties_even() as usize).collect();
    let mut sum: usize = seats.iter().sum();
    let nobody = || Error::NoConvergence { what: "repair of rounded seats".into() };
    while sum != n_seats {
        let repair = if sum > n_seats { Repair::Take } else { Repair::Give };
        let party = choose(&seats, repair).filter(|&i| i < seats.len()).ok_or_else(nobody)?;
        match repair {
            Repair::Give => (seats[party], sum) = (seats[party] + 1, sum + 1),
            Repair::Take => (seats[party], sum) = (seats[party].checked_sub(1).ok_or_else(nobody)?, sum - 1),
        }
    }
    Ok(seats)
}

/// `n_seats·wᵢ/Σw`; equal where the sum is 0 (or 0/0, as where all weights are).
fn quotas(weights: &[f64], n_seats: usize) -> Vec<f64> {
    let mut sorted = weights.to_vec();
    sorted.sort_by(f64::total_cmp);
    let sum: f64 = sorted.iter().sum();
    if sum > 0.0 {
        weights.iter().map(|w| n_seats as f64 * w / sum).collect()
    } else {
        vec![n_seats as f64 / weights.len() as f64; weights.len()]
    }
}

fn check(weights: &[f64]) -> Result<()> {
    let what = || "weights of an apportionment".to_string();
    if let Some(index) = weights.iter().position(|w| !w.is_finite()) {
        return Err(Error::NotFinite { what: what(), index, value: weights[index] });
    }
    match weights.iter().find(|&&w| w < 0.0) {
        None => Ok(()),
        Some(w) => Err(setting(&what(), "at least 0".into(), w)),
    }
}

fn setting(name: &str, expected: String, found: impl ToString) -> Error {
    Error::Setting { name: name.into(), expected, found: found.to_string() }
}

impl Bounds {
    fn of(&self, n: usize, what: &str) -> Result<Vec<usize>> {
        match self {
            Self::All(bound) => Ok(vec![*bound; n]),
            Self::Each(bounds) if bounds.len() == n => Ok(bounds.clone()),
            Self::Each(bounds) => {
                Err(Error::Shape { what: what.into(), expected: vec![n], found: vec![bounds.len()] })
            }
        }
    }
}
