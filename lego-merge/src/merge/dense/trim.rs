//! The least magnitude that is kept of an update: of one module's, or of a whole adapter's; exact, by counting twice.

use std::sync::{Mutex, PoisonError};

use grouping_core::stats::magnitude::{CoarseCounts, FineCounts, KthMagnitude, magnitude_bits};

use super::keep::Keep;
use super::update::for_each_run;
use crate::Result;
use crate::adapter::Factors;
use crate::merge::{AllSources, Density};

/// Keeps the `⌊density·n⌋` largest values of one update; of equal ones the first by rows.
pub(super) fn largest_of_module(factors: &Factors, density: Density) -> Keep<'static> {
    let n_cols = factors.a.n_cols();
    let n = factors.b.n_rows() * n_cols;
    let n_kept = density.of(n);
    if n_kept == n {
        return Keep::All;
    }
    let mut coarse = CoarseCounts::new();
    for_each_run(factors, |_, _, values| coarse.count(values));
    let kth = coarse.bucket(n_kept as u64).and_then(|bucket| {
        let mut fine = FineCounts::new(bucket);
        for_each_run(factors, |_, _, values| fine.count(values));
        fine.kth()
    });
    let Some(kth) = kth else { return NOTHING };
    let equal_before =
        if kth.n_equal == kth.n_equal_wanted { n } else { place_of_last_equal(factors, kth) + 1 };
    Keep::Largest { least: kth.bits, equal_before }
}

/// No value.
const NOTHING: Keep<'static> = Keep::Largest { least: u32::MAX, equal_before: 0 };

/// Flat index of the last of the equal values that there is room for.
fn place_of_last_equal(factors: &Factors, kth: KthMagnitude) -> usize {
    let n_cols = factors.a.n_cols();
    let is_equal = |v: &f32| magnitude_bits(*v) == kth.bits;
    let mut counts = vec![0u64; factors.b.n_rows()];
    for_each_run(factors, |row, _, values| {
        counts[row] += values.iter().filter(|v| is_equal(v)).count() as u64;
    });
    let mut left = kth.n_equal_wanted;
    let row = counts.iter().position(|&count| {
        let is_here = left <= count;
        left -= if is_here { 0 } else { count };
        is_here
    });
    let mut place = 0;
    for_each_run(factors, |r, column, values| {
        if Some(r) == row {
            for (i, _) in values.iter().enumerate().filter(|(_, v)| is_equal(v)) {
                if left > 0 {
                    (left, place) = (left - 1, r * n_cols + column + i);
                }
            }
        }
    });
    place
}

/// For each adapter, what keeps the `⌊density·n⌋` largest of all its `n` values, and all that equal the least of them.
pub(super) fn largest_of_adapters(sources: &AllSources<'_>, density: Density) -> Result<Vec<Keep<'static>>> {
    let n_values = |i: usize| {
        let modules = sources.modules().iter().filter(|m| m.members.contains(&i));
        modules.map(|m| m.n_inputs * m.n_outputs).sum::<usize>()
    };
    let n_kept: Vec<_> = (0..sources.n_adapters()).map(|i| (n_values(i), density.of(n_values(i)))).collect();
    let coarse = count(sources, |_| Some(CoarseCounts::new()), CoarseCounts::count, CoarseCounts::add)?;
    let buckets: Vec<_> = coarse
        .iter()
        .zip(&n_kept)
        .map(|(counts, &(n, kept))| counts.as_ref().filter(|_| kept < n)?.bucket(kept as u64))
        .collect();
    let fine = count(sources, |i| buckets[i].map(FineCounts::new), FineCounts::count, FineCounts::add)?;
    let keep = |(fine, (n, kept)): (Option<FineCounts>, (usize, usize))| match fine.and_then(|f| f.kth()) {
        _ if kept == n => Keep::All,
        None => NOTHING,
        Some(kth) => Keep::Largest { least: kth.bits, equal_before: usize::MAX },
    };
    Ok(fine.into_iter().zip(n_kept).map(keep).collect())
}

/// Counts the values of every adapter for which there is something to count in.
fn count<C: Send>(
    sources: &AllSources<'_>,
    empty: impl Fn(usize) -> Option<C> + Sync,
    count: impl Fn(&mut C, &[f32]) + Sync,
    add: impl Fn(&mut C, &C) + Sync,
) -> Result<Vec<Option<C>>> {
    let totals: Vec<Mutex<Option<C>>> = (0..sources.n_adapters()).map(|i| Mutex::new(empty(i))).collect();
    sources.visit(|module| {
        for (&i, (factors, _)) in module.members.iter().zip(&module.sources) {
            if let Some(mut own) = empty(i) {
                for_each_run(factors, |_, _, values| count(&mut own, values));
                let mut total = totals[i].lock().unwrap_or_else(PoisonError::into_inner);
                if let Some(total) = total.as_mut() {
                    add(total, &own);
                }
            }
        }
        Ok(())
    })?;
    Ok(totals.into_iter().map(|total| total.into_inner().unwrap_or_else(PoisonError::into_inner)).collect())
}
