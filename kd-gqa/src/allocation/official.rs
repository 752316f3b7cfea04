//! The released code's arithmetic (commit 8fee9d6 of `zohaib-khan5040/key-driven-gqa`), bit for bit, from key norms on.
//!
//! All in f32, with torch's order of the sum ([`lane_sum`]):
//! ```text
//! KDGQA      n ← (n − min n)/(max n − min n)          DGQA-Diff  r = |cache − m|     DGQA-EMA  r = 0.9·m + 0.1·cache
//!            a = round(n/Σn·H), halves to even                   a = round(r/Σr·H), halves to even
//!            while Σa > H: the first greatest a −= 1             while Σa > H: draw i; a_i −= 1 where a_i > 0
//!            while Σa < H: the first least a += 1                while Σa < H: draw i; a_i += 1
//! ```
//! The released code does not end on some inputs; here a share that is not finite is [`Error::Allocation`].

use grouping_core::matching::apportion::{Repair, round_and_repair};

use super::{Lanes, Method, Mt19937, lane_sum};
use crate::{Error, Result};

/// Draws for one repair until a head that has a query is met: the chance to need as many is below 10⁻⁷⁰⁰⁰ for 64 heads.
const MAX_DRAWS: usize = 1 << 20;

/// `n ← (n − min)/(max − min)`, shares by `n`, repairs at the extremes.
pub(super) fn kdgqa(norms: &[f32], n_heads: usize, lanes: Lanes) -> Result<Vec<usize>> {
    let (least, greatest) = norms.iter().fold((f32::INFINITY, f32::NEG_INFINITY), |(l, g), &n| {
        // NaN is taken whichever side it stands on.
        (if n < l || n.is_nan() { n } else { l }, if n > g || n.is_nan() { n } else { g })
    });
    let scaled: Vec<f32> = norms.iter().map(|n| (n - least) / (greatest - least)).collect();
    let quotas = quotas(&scaled, n_heads, lanes).ok_or_else(|| Error::Allocation {
        method: Method::Kdgqa.name(),
        expected: "finite key norms that are not all equal".into(),
        found: format!("{norms:?}"),
    })?;
    Ok(round_and_repair(&quotas, n_heads, |sizes, repair| {
        let heads = 0..sizes.len();
        match repair {
            Repair::Take => heads.rev().max_by_key(|&i| sizes[i]),
            Repair::Give => heads.min_by_key(|&i| sizes[i]),
        }
    })?)
}

/// Shares by importance `r`, repairs at random.
pub(super) fn dgqa(
    method: Method,
    importance: &[f32],
    n_heads: usize,
    lanes: Lanes,
    draws: &mut Mt19937,
) -> Result<Vec<usize>> {
    let quotas = quotas(importance, n_heads, lanes).ok_or_else(|| Error::Allocation {
        method: method.name(),
        expected: match method {
            Method::DgqaDiff => "finite key norms that differ from the cached ones".into(),
            _ => "finite key norms that are not all 0".into(),
        },
        found: match method {
            Method::DgqaDiff => format!("differences {importance:?}"),
            _ => format!("averages {importance:?}"),
        },
    })?;
    Ok(round_and_repair(&quotas, n_heads, |sizes, repair| {
        let mut drawn = (0..MAX_DRAWS).map(|_| draws.below(sizes.len()));
        drawn.find(|&i| repair == Repair::Give || sizes[i] > 0)
    })?)
}

/// `|cache − m|`.
pub(super) fn differences(norms: &[f32], cache: &[f32]) -> Vec<f32> {
    norms.iter().zip(cache).map(|(m, c)| (c - m).abs()).collect()
}

/// `0.9·m + 0.1·cache`: the released code's weight is on the new value.
pub(super) fn averages(norms: &[f32], cache: &[f32]) -> Vec<f32> {
    let beta = 0.9f64;
    let (new, old) = (beta as f32, (1.0 - beta) as f32);
    norms.iter().zip(cache).map(|(m, c)| new * m + old * c).collect()
}

/// `r/Σr·H`, where all of them are finite.
fn quotas(importance: &[f32], n_heads: usize, lanes: Lanes) -> Option<Vec<f64>> {
    let sum = lane_sum(importance, lanes);
    let quotas: Vec<f64> = importance.iter().map(|r| f64::from(r / sum * n_heads as f32)).collect();
    quotas.iter().all(|quota| quota.is_finite()).then_some(quotas)
}
