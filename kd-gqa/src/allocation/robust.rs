//! Our allocation: every key/value head keeps a query, the others are shared by largest remainder.
//!
//! `a_g = 1 + share_g`, where the shares of `H − G` queries are proportional to `r_g^τ`, ties going to the lower head. The
//! importance `r` is m (KDGQA), `|cache − m|` (DGQA-Diff) or `β·cache + (1 − β)·m` with β = 0.9 on the old (DGQA-EMA). Equal
//! importance, nothing but zeros, NaN and infinity give equal groups; where G does not divide H, sizes that differ by one.

use grouping_core::matching::apportion::{ApportionConfig, apportion};

use crate::{Groups, Result};

/// β of the exponential mean.
pub(super) const DECAY: f64 = 0.9;

/// Groups in proportion to `importance^temperature`.
pub(super) fn share(importance: &[f64], n_heads: usize, temperature: f64) -> Result<Groups> {
    let peak = importance.iter().fold(0.0, |peak: f64, &r| peak.max(r));
    let finite = importance.iter().all(|r| r.is_finite());
    if !finite || peak <= 0.0 {
        return Groups::balanced(n_heads, importance.len());
    }
    let weights: Vec<f64> = importance.iter().map(|r| (r / peak).powf(temperature)).collect();
    Groups::new(apportion(&weights, &ApportionConfig::new(n_heads).with_minimum(1))?, n_heads)
}

/// `|cache − m|`.
pub(super) fn differences(norms: &[f32], cache: &[f32]) -> Vec<f64> {
    norms.iter().zip(cache).map(|(m, c)| (f64::from(*c) - f64::from(*m)).abs()).collect()
}

/// `β·cache + (1 − β)·m`.
pub(super) fn averages(norms: &[f32], cache: &[f32]) -> Vec<f64> {
    let pairs = norms.iter().zip(cache);
    pairs.map(|(m, c)| DECAY * f64::from(*c) + (1.0 - DECAY) * f64::from(*m)).collect()
}
