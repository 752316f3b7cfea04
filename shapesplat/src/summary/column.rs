//! How the values of one column lie.

use grouping_core::simd::{Lanes, Level, dispatch};

use super::Activation;

/// Bins of a histogram.
pub const N_BINS: usize = 16;
/// Bins within which the median is looked for.
const FINE: usize = 1024;
/// Sums that are kept side by side.
const LANES: usize = 16;

/// The values of a column. All but the counts are of its finite values, and none where there is none.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct Column {
    /// The least, activated.
    pub min: Option<f64>,
    /// The greatest, activated.
    pub max: Option<f64>,
    /// The middle one, activated; of an even number, the mean of both in the middle.
    pub median: Option<f64>,
    /// The mean of raw values, activated.
    pub mean: Option<f64>,
    /// The standard deviation of raw values.
    pub std_dev: Option<f64>,
    /// Values that are NaN.
    pub n_nan: usize,
    /// Values that are infinite.
    pub n_infinite: usize,
    /// The range of raw values, which the bins divide evenly.
    pub range: Option<[f64; 2]>,
    /// Values in each bin.
    pub histogram: [u64; N_BINS],
}

/// Numbers of a column.
pub(super) trait Number: Copy + PartialOrd + Into<f64> {
    fn look(values: &[Self]) -> Looked;
}

impl Number for f32 {
    fn look(values: &[f32]) -> Looked {
        look_at_floats(Level::detect(), values)
    }
}

impl Number for f64 {
    fn look(values: &[f64]) -> Looked {
        let mut looked = Looked::default();
        let mut sum = 0.0;
        for &value in values {
            looked.n_nan += usize::from(value.is_nan());
            if value.is_finite() {
                looked.n += 1;
                looked.min = looked.min.min(value);
                looked.max = looked.max.max(value);
                sum += value;
            }
        }
        Looked { n_infinite: values.len() - looked.n - looked.n_nan, sum, ..looked }
    }
}

impl Column {
    /// Looks at all values three times; at two thirds of the cost within a 1024th of the range for the median.
    pub(super) fn of<T: Number>(values: &[T], activation: Activation, exact: Exact) -> Self {
        let Looked { n, n_nan, n_infinite, min, max, sum } = T::look(values);
        if n == 0 {
            let histogram = [0; N_BINS];
            let (median, mean, std_dev) = (None, None, None);
            return Self {
                min: None,
                max: None,
                median,
                mean,
                std_dev,
                n_nan,
                n_infinite,
                range: None,
                histogram,
            };
        }
        let mean = sum / n as f64;
        let bins = Bins { min, factor: if min == max { 0.0 } else { FINE as f64 / (max - min) } };
        let (fine, squares) = spread(values, &bins, mean);
        let mut histogram = [0; N_BINS];
        if min == max {
            histogram[N_BINS / 2] = n as u64;
        } else {
            for (bin, fine) in histogram.iter_mut().zip(fine.chunks_exact(FINE / N_BINS)) {
                *bin = fine.iter().map(|&count| u64::from(count)).sum();
            }
        }
        let median = median(values, &fine, &bins, max, n, exact);
        let activated = |value: f64| Some(activation.apply(value));
        Self {
            min: activated(min),
            max: activated(max),
            median: activated(median),
            mean: activated(mean),
            std_dev: Some((squares / n as f64).sqrt()),
            n_nan,
            n_infinite,
            range: Some([min, max]),
            histogram,
        }
    }
}

/// Whether a median is one of the values, or one near it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Exact {
    Yes,
    Nearly,
}

/// What a first look finds.
#[derive(Debug)]
pub(super) struct Looked {
    n: usize,
    n_nan: usize,
    n_infinite: usize,
    min: f64,
    max: f64,
    sum: f64,
}

impl Default for Looked {
    fn default() -> Self {
        Self { n: 0, n_nan: 0, n_infinite: 0, min: f64::INFINITY, max: f64::NEG_INFINITY, sum: 0.0 }
    }
}

dispatch!(look_at_floats = look_kernel(values: &[f32]) -> Looked);

#[inline(always)]
fn look_kernel<L: Lanes>(values: &[f32]) -> Looked {
    let (mut n_nan, mut n_finite) = ([0u32; LANES], [0u32; LANES]);
    let (mut min, mut max) = ([f32::INFINITY; LANES], [f32::NEG_INFINITY; LANES]);
    let mut sum = [0.0f64; LANES];
    let mut take = |lane: usize, value: f32| {
        let is_finite = value.abs() < f32::INFINITY;
        n_nan[lane] += u32::from(value.is_nan());
        n_finite[lane] += u32::from(is_finite);
        let (low, high) = if is_finite { (value, value) } else { (f32::INFINITY, f32::NEG_INFINITY) };
        min[lane] = if low < min[lane] { low } else { min[lane] };
        max[lane] = if high > max[lane] { high } else { max[lane] };
        sum[lane] += if is_finite { f64::from(value) } else { 0.0 };
    };
    let (whole, tail) = values.as_chunks::<LANES>();
    for values in whole {
        for (lane, &value) in values.iter().enumerate() {
            take(lane, value);
        }
    }
    tail.iter().enumerate().for_each(|(lane, &value)| take(lane, value));
    let total = |counts: [u32; LANES]| counts.into_iter().map(|n| n as usize).sum::<usize>();
    let (n, n_nan) = (total(n_finite), total(n_nan));
    Looked {
        n,
        n_nan,
        n_infinite: values.len() - n - n_nan,
        min: min.into_iter().fold(f32::INFINITY, f32::min).into(),
        max: max.into_iter().fold(f32::NEG_INFINITY, f32::max).into(),
        sum: sum.iter().sum(),
    }
}

/// Fine bins over a range.
struct Bins {
    min: f64,
    factor: f64,
}

impl Bins {
    /// The bin of a finite value of the range.
    #[inline(always)]
    fn of(&self, value: f64) -> usize {
        (((value - self.min) * self.factor) as u32 as usize).min(FINE - 1)
    }
}

/// Counts in fine bins, and the sum of squared distances from the mean.
fn spread<T: Number>(values: &[T], bins: &Bins, mean: f64) -> ([u32; FINE], f64) {
    // Four counters a bin: one alone would wait for itself where neighbours are alike.
    let mut counts = [[0u32; FINE]; 4];
    let mut squares = [0.0; 4];
    for values in values.chunks(4) {
        for (lane, &value) in values.iter().enumerate() {
            let value: f64 = value.into();
            if value.abs() < f64::INFINITY {
                counts[lane][bins.of(value)] += 1;
                squares[lane] += (value - mean) * (value - mean);
            }
        }
    }
    let total = std::array::from_fn(|i| counts.iter().map(|counts| counts[i]).sum());
    (total, squares.iter().sum())
}

/// The middle of `n` finite values: found in its fine bin.
fn median<T: Number>(values: &[T], fine: &[u32; FINE], bins: &Bins, max: f64, n: usize, exact: Exact) -> f64 {
    let ranks = [(n - 1) / 2, n / 2];
    let mut before = 0;
    let mut found = [None; 2];
    for (i, &count) in fine.iter().enumerate() {
        let count = count as usize;
        let has = ranks.map(|rank| (before..before + count).contains(&rank));
        if has.contains(&true) {
            if exact == Exact::Nearly && bins.factor > 0.0 {
                let within = (ranks[0].max(before) - before) as f64 + 0.5;
                return (bins.min + (i as f64 + within / count as f64) / bins.factor).min(max);
            }
            let all = values.iter().map(|&value| value.into());
            let mut within: Vec<f64> = Vec::with_capacity(count);
            within.extend(all.filter(|value: &f64| value.abs() < f64::INFINITY && bins.of(*value) == i));
            for k in (0..2).filter(|&k| has[k]) {
                let (_, value, _) = within.select_nth_unstable_by(ranks[k] - before, f64::total_cmp);
                found[k] = Some(*value);
            }
        }
        before += count;
    }
    let [low, high] = found.map(|value| value.unwrap_or(bins.min));
    low + (high - low) / 2.0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_column_is_summarised_by_its_finite_values() {
        let values = [3.0f32, f32::NAN, 1.0, f32::INFINITY, 2.0, 10.0, f32::NEG_INFINITY];
        let column = Column::of(&values, Activation::None, Exact::Yes);
        assert_eq!((column.n_nan, column.n_infinite), (1, 2), "counted and left out");
        assert_eq!(
            (column.min, column.max, column.median, column.mean),
            (Some(1.0), Some(10.0), Some(2.5), Some(4.0))
        );
        assert_eq!(column.std_dev, Some((50.0f64 / 4.0).sqrt()), "of the population");
        let mut histogram = [0; N_BINS];
        [0, 1, 3, 15].into_iter().for_each(|i| histogram[i] = 1);
        assert_eq!(column.histogram, histogram, "sixteenths of the range from 1 to 10");
    }

    #[test]
    fn medians_are_exact_with_outliers_and_without_a_range() {
        let mut values: Vec<f32> = (0..999).map(|i| ((i * 577) % 999) as f32 * 1e-3).collect();
        values.push(1e9);
        assert_eq!(
            Column::of(&values, Activation::None, Exact::Yes).median,
            Some((f64::from(0.499f32) + f64::from(0.5f32)) / 2.0)
        );
        let same = Column::of(&[2.0f32; 5], Activation::Exp, Exact::Yes);
        assert_eq!(
            (same.median, same.std_dev, same.histogram[N_BINS / 2]),
            (Some(2f64.exp()), Some(0.0), 5),
            "one value"
        );
        let near = Column::of(&values[..999], Activation::None, Exact::Nearly).median.expect("a median");
        assert!((near - 0.499).abs() < 1.0 / 1024.0, "within a fine bin: {near}");
        let none = Column::of(&[f32::NAN], Activation::None, Exact::Yes);
        assert_eq!((none.min, none.median, none.n_nan), (None, None, 1), "no finite value");
    }
}
