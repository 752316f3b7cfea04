//! Position embeddings for another grid of patches: cubic interpolation with anti-aliasing, as timm's `resample_abs_pos_embed`.
//!
//! Along each axis output i reads around `c = (i + ½)·s`, s = old / new, with the weights `k((j + ½ − c) / max(s, 1))` of the cubic kernel of
//! Keys (1981) with a = −½, cut at the edges and normalised to sum 1. The class token's embedding stays.

/// Taps of one output: the first input and the weights from there.
struct Taps {
    first: usize,
    weights: Vec<f64>,
}

/// `values [old rows · old columns, d]` of a grid of embeddings → `[new rows · new columns, d]`.
///
/// ```
/// use kd_gqa::vit::resample_positions;
///
/// let constant = resample_positions(&[3.0; 4], [2, 2], [3, 5]);
/// assert_eq!(constant.len(), 15);
/// assert!(constant.iter().all(|x| (x - 3.0).abs() < 1e-6));
/// ```
///
/// # Panics
/// If the old grid is empty or `values` is not made of whole embeddings.
pub fn resample_positions(values: &[f32], old: [usize; 2], new: [usize; 2]) -> Vec<f32> {
    let n_old = old[0] * old[1];
    assert!(
        n_old > 0 && values.len().is_multiple_of(n_old),
        "{} values are no grid of {old:?}",
        values.len()
    );
    if old == new {
        return values.to_vec();
    }
    let d = values.len() / n_old;
    let [rows, columns] = [0, 1].map(|axis| taps(old[axis], new[axis]));
    // Columns first, as PyTorch.
    let mut wide = vec![0.0f64; old[0] * new[1] * d];
    for (row, out) in wide.chunks_exact_mut((new[1] * d).max(1)).enumerate() {
        for (out, taps) in out.chunks_exact_mut(d).zip(&columns) {
            for (weight, column) in taps.weights.iter().zip(taps.first..) {
                let embedding = &values[(row * old[1] + column) * d..][..d];
                for (out, &value) in out.iter_mut().zip(embedding) {
                    *out += weight * f64::from(value);
                }
            }
        }
    }
    let mut out = Vec::with_capacity(new[0] * new[1] * d);
    for taps in &rows {
        for i in 0..new[1] * d {
            let terms = taps.weights.iter().zip(taps.first..);
            out.push(terms.map(|(weight, row)| weight * wide[row * new[1] * d + i]).sum::<f64>() as f32);
        }
    }
    out
}

fn taps(n_old: usize, n_new: usize) -> Vec<Taps> {
    let scale = n_old as f64 / n_new as f64;
    let stretch = scale.max(1.0);
    (0..n_new)
        .map(|i| {
            let centre = (i as f64 + 0.5) * scale;
            let first = (centre - 2.0 * stretch + 0.5).max(0.0) as usize;
            let end = ((centre + 2.0 * stretch + 0.5) as usize).min(n_old);
            let mut weights: Vec<f64> =
                (first..end).map(|j| cubic((j as f64 + 0.5 - centre) / stretch)).collect();
            let sum: f64 = weights.iter().sum();
            weights.iter_mut().for_each(|weight| *weight /= sum);
            Taps { first, weights }
        })
        .collect()
}

/// The cubic kernel with a = −½.
fn cubic(x: f64) -> f64 {
    let x = x.abs();
    match x {
        x if x < 1.0 => (1.5 * x - 2.5) * x * x + 1.0,
        x if x < 2.0 => ((-0.5 * x + 2.5) * x - 4.0) * x + 2.0,
        _ => 0.0,
    }
}
