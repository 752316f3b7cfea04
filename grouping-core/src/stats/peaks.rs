//! The greatest magnitudes of rows and columns of a matrix ([`norms`](crate::stats::norms) has them along any axes), as bits: those of a magnitude rise with it, and maxima of whole numbers are taken by vectors.

use crate::matrix::MatrixRef;
use crate::simd::{Lanes, Level, dispatch};
use crate::stats::magnitude::magnitude_bits;

/// Values of whole rows that are compared side by side.
const WIDTH: usize = 64;

/// `max_j |m_ij|` of each row, `[n_rows]`; 0 of empty ones.
///
/// ```
/// use grouping_core::{matrix::MatrixRef, stats::peaks::{column_peaks, row_peaks}};
/// let m = MatrixRef::new(2, 3, &[1., -4., 2., 0., 3., -5.])?;
/// assert_eq!(row_peaks(m), [4., 5.]);
/// assert_eq!(column_peaks(m), [1., 4., 5.]);
/// # Ok::<(), grouping_core::Error>(())
/// ```
pub fn row_peaks(m: MatrixRef<'_>) -> Vec<f32> {
    let level = Level::detect();
    (0..m.n_rows()).map(|i| f32::from_bits(peak(level, m.row(i)))).collect()
}

/// `max_i |m_ij|` of each column, `[n_cols]`; 0 of empty ones.
pub fn column_peaks(m: MatrixRef<'_>) -> Vec<f32> {
    // Some whole rows at a time, so that the inner loop is long.
    let r = m.n_cols();
    let mut wide = vec![0; r * (WIDTH / r.max(1)).max(1)];
    peaks(Level::detect(), m.values(), &mut wide);
    let mut out = vec![0; r];
    for row in wide.chunks_exact(r.max(1)) {
        out.iter_mut().zip(row).for_each(|(m, v)| *m = (*m).max(*v));
    }
    out.into_iter().map(f32::from_bits).collect()
}

dispatch!(peak = peak_kernel(values: &[f32]) -> u32);
dispatch!(peaks = peaks_kernel(values: &[f32], out: &mut [u32]));

#[inline(always)]
fn peak_kernel<L: Lanes>(values: &[f32]) -> u32 {
    values.iter().fold(0, |m, &v| m.max(magnitude_bits(v)))
}

/// Greatest bits at each place of chunks as long as `out`.
#[inline(always)]
fn peaks_kernel<L: Lanes>(values: &[f32], out: &mut [u32]) {
    for row in values.chunks(out.len().max(1)) {
        out.iter_mut().zip(row).for_each(|(m, &v)| *m = (*m).max(magnitude_bits(v)));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::matrix::Matrix;

    #[test]
    fn peaks_are_those_of_plain_loops() {
        for (n, r) in [(0, 3), (1, 1), (5, 8), (33, 7), (130, 56), (3, 200)] {
            let m = Matrix::from_fn(n, r, |i, j| ((7 * i + 13 * j) % 31) as f32 - 17.0);
            let magnitude = |i: usize, j: usize| m.view().row(i)[j].abs();
            let of = |values: &mut dyn Iterator<Item = f32>| values.fold(0.0, f32::max);
            let rows: Vec<f32> = (0..n).map(|i| of(&mut (0..r).map(|j| magnitude(i, j)))).collect();
            let columns: Vec<f32> = (0..r).map(|j| of(&mut (0..n).map(|i| magnitude(i, j)))).collect();
            assert_eq!((row_peaks(m.view()), column_peaks(m.view())), (rows, columns), "{n} × {r}");
        }
    }
}
