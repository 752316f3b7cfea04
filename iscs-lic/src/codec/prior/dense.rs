//! Dense products on plain slices, one position or a few at a time, for contexts that follow from the symbol before.
//!
//! An output is its bias plus `weight · input` in the order of the inputs, one after another, so that it does not depend on how many
//! positions are computed together, nor on which inputs came in which call.

use grouping_core::simd::{Lanes, Level, dispatch};

/// Outputs that lie together in memory, for each input in turn.
const BLOCK: usize = 64;
/// Outputs that four positions are computed for at once.
const PART: usize = 32;

/// Weights from `n_in` inputs to `n_out` outputs, in blocks of outputs.
#[derive(Debug)]
pub(super) struct Dense {
    n_in: usize,
    n_out: usize,
    /// `[⌈n_out / BLOCK⌉, n_in, BLOCK]`, zeros behind the last output.
    blocks: Vec<f32>,
}

impl Dense {
    /// Of `weight(output, input)`.
    pub(super) fn new([n_out, n_in]: [usize; 2], weight: impl Fn(usize, usize) -> f32) -> Self {
        let mut blocks = vec![0.0; n_out.div_ceil(BLOCK) * n_in * BLOCK];
        for (i, to) in blocks.iter_mut().enumerate() {
            let (block, input, lane) = (i / BLOCK / n_in, i / BLOCK % n_in, i % BLOCK);
            let output = block * BLOCK + lane;
            if output < n_out {
                *to = weight(output, input);
            }
        }
        Self { n_in, n_out, blocks }
    }

    /// Length of a vector of outputs: `n_out` and what fills its last block.
    pub(super) fn width(&self) -> usize {
        self.n_out.next_multiple_of(BLOCK)
    }

    /// `out[p] ← out[p] + weight · x(p)` for each of the positions that `out` holds, `width` values each.
    pub(super) fn add<'a>(&self, level: Level, x: impl Fn(usize) -> &'a [f32], out: &mut [f32]) {
        let width = self.width();
        let mut groups = out.chunks_exact_mut(4 * width);
        let mut position = 0;
        for group in &mut groups {
            add_four(level, &self.blocks, self.n_in, [0, 1, 2, 3].map(|i| x(position + i)), group);
            position += 4;
        }
        for one in groups.into_remainder().chunks_exact_mut(width) {
            add_one(level, &self.blocks, self.n_in, x(position), one);
            position += 1;
        }
    }
}

dispatch!(add_one = add_one_kernel(blocks: &[f32], n_in: usize, x: &[f32], out: &mut [f32]));
dispatch!(add_four = add_four_kernel(blocks: &[f32], n_in: usize, x: [&[f32]; 4], out: &mut [f32]));

#[inline(always)]
fn add_one_kernel<L: Lanes>(blocks: &[f32], n_in: usize, x: &[f32], out: &mut [f32]) {
    let x = &x[..n_in];
    let (out, _) = out.as_chunks_mut::<BLOCK>();
    for (block, out) in blocks.chunks_exact(n_in * BLOCK).zip(out) {
        let mut sums = *out;
        let (rows, _) = block.as_chunks::<BLOCK>();
        for (row, &x) in rows.iter().zip(x) {
            for (sum, &weight) in sums.iter_mut().zip(row) {
                *sum = L::mul_add(weight, x, *sum);
            }
        }
        *out = sums;
    }
}

#[inline(always)]
fn add_four_kernel<L: Lanes>(blocks: &[f32], n_in: usize, x: [&[f32]; 4], out: &mut [f32]) {
    let width = out.len() / 4;
    let [a, b, c, d] = x.map(|x| &x[..n_in]);
    for (i, block) in blocks.chunks_exact(n_in * BLOCK).enumerate() {
        let (rows, _) = block.as_chunks::<BLOCK>();
        for part in (0..BLOCK).step_by(PART) {
            let first = i * BLOCK + part;
            let mut sums = [[0.0f32; PART]; 4];
            for (p, sums) in sums.iter_mut().enumerate() {
                sums.copy_from_slice(&out[p * width + first..p * width + first + PART]);
            }
            for ((((row, &a), &b), &c), &d) in rows.iter().zip(a).zip(b).zip(c).zip(d) {
                for lane in 0..PART {
                    let weight = row[part + lane];
                    sums[0][lane] = L::mul_add(weight, a, sums[0][lane]);
                    sums[1][lane] = L::mul_add(weight, b, sums[1][lane]);
                    sums[2][lane] = L::mul_add(weight, c, sums[2][lane]);
                    sums[3][lane] = L::mul_add(weight, d, sums[3][lane]);
                }
            }
            for (p, sums) in sums.iter().enumerate() {
                out[p * width + first..p * width + first + PART].copy_from_slice(sums);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn positions_are_computed_alike_alone_and_together() {
        let value = |i: usize| ((i * 7919) % 101) as f32 / 50.0 - 1.0;
        for [n_out, n_in] in [[1, 1], [70, 5], [128, 33], [21, 26]] {
            let dense = Dense::new([n_out, n_in], |o, i| value(o * n_in + i));
            let inputs: Vec<Vec<f32>> =
                (0..7).map(|p| (0..n_in).map(|i| value(1000 + p * n_in + i)).collect()).collect();
            for level in Level::supported() {
                let width = dense.width();
                let mut together = vec![0.5; 7 * width];
                dense.add(level, |p| &inputs[p], &mut together);
                for (p, input) in inputs.iter().enumerate() {
                    let mut alone = vec![0.5; width];
                    dense.add(level, |_| input, &mut alone);
                    assert_eq!(alone, together[p * width..(p + 1) * width], "position {p} at {level:?}");
                    for (o, &found) in alone[..n_out].iter().enumerate() {
                        let exact: f64 =
                            (0..n_in).map(|i| f64::from(value(o * n_in + i)) * f64::from(input[i])).sum();
                        assert!(
                            (f64::from(found) - exact - 0.5).abs() < 1e-5,
                            "output {o} of {n_out}×{n_in}"
                        );
                    }
                }
            }
        }
    }
}
