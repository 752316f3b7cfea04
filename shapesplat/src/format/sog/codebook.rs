//! Codebooks: k-means of one dimension, without a random choice.
//!
//! Values are sorted. Where they have more than `k` distinct values, the first codes lie so that their density follows the cube root of that
//! of the values, which is what the least mean square error asks for (Panter & Dite 1951): between knots that each hold an equal share of
//! the values, `d` apart, there are `d^⅔` shares of the codes. Then codes move to the means of the values nearest to them (Lloyd) until
//! they rest. Means come of sums over the sorted values, so that an iteration takes `k` searches.

use rayon::prelude::*;

use super::meta::ENTRIES;

/// Shares of the values between knots.
const KNOTS: usize = 4096;
/// Iterations after which the codes are taken as they are.
const MOST_ITERATIONS: usize = 100;
/// How far below the least finite value −∞ lies in a codebook, and ∞ above the greatest: exp(−20) is flat.
const BEYOND: f32 = 20.0;

/// Codes in ascending order.
pub(super) struct Codebook {
    pub(super) codes: Vec<f32>,
    /// The bounds between them.
    bounds: Vec<f32>,
}

impl Codebook {
    /// Of the values of some columns. Infinite values have codes of their own, beyond the others.
    pub(super) fn of(columns: &[&[f32]]) -> Self {
        let mut values: Vec<f32> = columns.concat();
        values.par_sort_unstable_by(f32::total_cmp);
        let below = values.partition_point(|&v| v == f32::NEG_INFINITY);
        let above = values.len() - values.partition_point(|&v| v < f32::INFINITY);
        let finite = &values[below..values.len() - above];
        let room = ENTRIES - usize::from(below > 0) - usize::from(above > 0);
        let mut codes = of_sorted(finite, room);
        let (least, greatest) = (codes.first().copied(), codes.last().copied());
        if below > 0 {
            codes.insert(0, least.unwrap_or(0.0) - BEYOND);
        }
        if above > 0 {
            codes.push(greatest.unwrap_or(0.0) + BEYOND);
        }
        let last = codes.last().copied().unwrap_or(0.0);
        let bounds = codes.windows(2).map(|pair| middle(pair[0], pair[1])).collect();
        codes.resize(ENTRIES, last);
        Self { codes, bounds }
    }

    /// The index of the code that is nearest to a value.
    pub(super) fn nearest(&self, value: f32) -> u8 {
        self.bounds.partition_point(|&bound| bound < value) as u8
    }
}

fn middle(a: f32, b: f32) -> f32 {
    (0.5 * (f64::from(a) + f64::from(b))) as f32
}

/// At most `k` codes of finite values in ascending order.
fn of_sorted(values: &[f32], k: usize) -> Vec<f32> {
    let mut distinct = Vec::with_capacity(k + 1);
    for &value in values {
        if distinct.last() != Some(&value) {
            distinct.push(value);
            if distinct.len() > k {
                return settle(values, first(values, k));
            }
        }
    }
    distinct
}

/// The first codes: as many in a stretch as `d^⅔` of it, and no more than it has values.
fn first(values: &[f32], k: usize) -> Vec<f64> {
    let n_stretches = KNOTS.min(values.len() - 1);
    let start = |i: usize| i * (values.len() - 1) / n_stretches;
    let length = |i: usize| f64::from(values[start(i + 1)]) - f64::from(values[start(i)]);
    let room = |i: usize| (start(i + 1) - start(i)) as f64;
    let weights: Vec<f64> = (0..n_stretches).map(|i| length(i).powf(2.0 / 3.0)).collect();
    // What a full stretch cannot take, the others share.
    let mut factor = 0.0;
    loop {
        let is_full = |i: &usize| weights[*i] * factor >= room(*i);
        let full: f64 = (0..n_stretches).filter(is_full).map(room).sum();
        let open: f64 = (0..n_stretches).filter(|i| !is_full(i)).map(|i| weights[i]).sum();
        let next = (k as f64 - full) / open;
        // NaN and ∞ where none is open.
        if next <= factor || !next.is_finite() {
            break;
        }
        factor = next;
    }
    let mut reached = vec![0.0];
    for i in 0..n_stretches {
        reached.push(reached[i] + (weights[i] * factor).min(room(i)));
    }
    let whole = reached[n_stretches];
    let code = |j: usize| {
        let wanted = (j as f64 + 0.5) / k as f64 * whole;
        let i = reached.partition_point(|&r| r <= wanted).clamp(1, n_stretches) - 1;
        let share = (wanted - reached[i]) / (reached[i + 1] - reached[i]);
        f64::from(values[start(i) + (share * room(i) + 0.5) as usize])
    };
    (0..k).map(code).collect()
}

/// Moves codes to the means of the values nearest to them until they rest.
fn settle(values: &[f32], mut codes: Vec<f64>) -> Vec<f32> {
    let mut sums = Vec::with_capacity(values.len() + 1);
    let mut sum = 0.0;
    sums.push(sum);
    for &value in values {
        sum += f64::from(value);
        sums.push(sum);
    }
    for _ in 0..MOST_ITERATIONS {
        let ends: Vec<usize> = codes
            .windows(2)
            .map(|pair| values.partition_point(|&v| f64::from(v) <= 0.5 * (pair[0] + pair[1])))
            .chain([values.len()])
            .collect();
        let (mut from, mut rests) = (0, true);
        for (code, end) in codes.iter_mut().zip(ends) {
            if end > from {
                let mean = (sums[end] - sums[from]) / (end - from) as f64;
                rests &= mean == *code;
                *code = mean;
            }
            from = end.max(from);
        }
        if rests {
            break;
        }
        codes.sort_unstable_by(f64::total_cmp);
    }
    codes.into_iter().map(|code| code as f32).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn few_values_are_kept_exactly() {
        let values: Vec<f32> = (0..200).map(|i| ((i * 37) % 101) as f32 * 0.25).collect();
        let codebook = Codebook::of(&[&values]);
        assert_eq!(codebook.codes.len(), ENTRIES, "as many entries as an index has values");
        for value in values {
            assert_eq!(codebook.codes[usize::from(codebook.nearest(value))], value, "{value}");
        }
    }

    #[test]
    fn infinities_have_codes_of_their_own() {
        let mut values: Vec<f32> = (0..5000).map(|i| (i as f32 * 0.7).sin()).collect();
        values.extend([f32::NEG_INFINITY, f32::INFINITY]);
        let codebook = Codebook::of(&[&values]);
        let code = |v: f32| codebook.codes[usize::from(codebook.nearest(v))];
        assert!(code(f32::NEG_INFINITY) < -20.0 && code(f32::INFINITY) > 20.0, "far beyond, and finite");
        assert!(values[..5000].iter().all(|&v| (code(v) - v).abs() < 0.02), "the others are not disturbed");
        let flat = Codebook::of(&[&[f32::NEG_INFINITY; 3]]);
        assert_eq!(flat.codes, [-20.0; ENTRIES], "nothing but infinite values");
    }

    #[test]
    fn dense_regions_have_more_codes_and_outliers_are_met() {
        // Two thousand values near 0 and two far away.
        let mut values: Vec<f32> = (0..2000).map(|i| (i as f32 * 1.37).sin() * 0.1).collect();
        values.extend([500.0, -90.0]);
        let codebook = Codebook::of(&[&values]);
        let code = |v: f32| codebook.codes[usize::from(codebook.nearest(v))];
        assert_eq!([code(500.0), code(-90.0)], [500.0, -90.0], "outliers");
        let worst = values[..2000].iter().map(|&v| (code(v) - v).abs()).fold(0.0, f32::max);
        // 254 codes over a range of 0.2 are 0.0008 apart.
        assert!(worst < 0.0012, "{worst}");
    }
}
