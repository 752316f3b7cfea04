//! Rows are encoded and decoded in blocks of a fixed size, on all threads.
//!
//! The size of a block is fixed, and blocks are joined in their order: bytes and sums do not depend on the number of threads.

use std::ops::Range;

use rayon::prelude::*;

use crate::Result;

/// Rows of a block: its columns fit the cache.
const ROWS: usize = 4096;
/// Blocks that are held at once.
const AT_ONCE: usize = 64;

/// Encodes rows `0..n` in blocks and hands the results over in order; few of them are held at once.
pub(crate) fn encode<T: Send>(
    n: usize,
    encode: impl Fn(Range<usize>) -> T + Sync,
    mut take: impl FnMut(T) -> Result<()>,
) -> Result<()> {
    for start in (0..n).step_by(ROWS * AT_ONCE) {
        let end = n.min(start + ROWS * AT_ONCE);
        let blocks: Vec<Range<usize>> =
            (start..end).step_by(ROWS).map(|from| from..end.min(from + ROWS)).collect();
        let encoded: Vec<T> = blocks.into_par_iter().map(&encode).collect();
        encoded.into_iter().try_for_each(&mut take)?;
    }
    Ok(())
}

/// Makes `N` columns of `n` rows and fills them in blocks: `decode` is given the rows and their part of each column.
pub(crate) fn decode<const N: usize>(
    n: usize,
    decode: impl Fn(Range<usize>, &mut [&mut [f32]]) + Sync,
) -> [Vec<f32>; N] {
    let mut columns: [Vec<f32>; N] = std::array::from_fn(|_| vec![0.0; n]);
    fill(n, columns.iter_mut(), decode);
    columns
}

/// As [`decode`], of a number of columns that is known at run time alone.
pub(crate) fn decode_many(
    n: usize,
    n_columns: usize,
    decode: impl Fn(Range<usize>, &mut [&mut [f32]]) + Sync,
) -> Vec<Vec<f32>> {
    let mut columns: Vec<Vec<f32>> = (0..n_columns).map(|_| vec![0.0; n]).collect();
    fill(n, columns.iter_mut(), decode);
    columns
}

fn fill<'a>(
    n: usize,
    columns: impl Iterator<Item = &'a mut Vec<f32>>,
    decode: impl Fn(Range<usize>, &mut [&mut [f32]]) + Sync,
) {
    let mut parts: Vec<_> = columns.map(|column| column.chunks_mut(ROWS)).collect();
    let blocks: Vec<(Range<usize>, Vec<&mut [f32]>)> = (0..n)
        .step_by(ROWS)
        .map(|from| (from..n.min(from + ROWS), parts.iter_mut().filter_map(Iterator::next).collect()))
        .collect();
    blocks.into_par_iter().for_each(|(rows, mut columns)| decode(rows, &mut columns));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_row_is_met_once_and_in_order() {
        for n in [0, 1, ROWS - 1, ROWS, ROWS + 1, ROWS * AT_ONCE + 7] {
            let mut met = Vec::new();
            encode(
                n,
                |rows| rows,
                |rows| {
                    met.extend(rows);
                    Ok(())
                },
            )
            .expect("nothing is refused");
            assert!(met.iter().copied().eq(0..n), "encoded: {n} rows");
            let columns: [Vec<f32>; 2] = decode(n, |rows, columns| {
                for (slot, row) in rows.enumerate() {
                    columns[0][slot] = row as f32;
                    columns[1][slot] = -(row as f32);
                }
            });
            assert!(columns[0].iter().copied().eq((0..n).map(|row| row as f32)), "decoded: {n} rows");
            assert!(columns[1].iter().zip(&columns[0]).all(|(a, b)| *a == -b), "the other column: {n} rows");
        }
    }
}
