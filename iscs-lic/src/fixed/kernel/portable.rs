//! The sums in plain Rust, for every target.

use super::{LANES, Operands, Sums, Tile, for_tile, slices};

pub(super) fn add_tile(tile: Tile, operands: &Operands<'_>, start: usize, block: usize, sums: &mut [Sums]) {
    for_tile!(tile, sized(operands, start, block, sums));
}

#[inline(always)]
fn sized<const P: usize, const B: usize>(
    operands: &Operands<'_>,
    start: usize,
    block: usize,
    sums: &mut [Sums],
) {
    let mut first = 0;
    for &end in &operands.terms.ends {
        let mut run = [[[0i32; LANES]; B]; P];
        for &segment in &operands.terms.segments[first..end] {
            let (activations, weights) = slices::<P, B>(operands, start, block, segment);
            for k in 0..segment.len {
                for p in 0..P {
                    let [a0, a1] = activations[p][k].map(i32::from);
                    for b in 0..B {
                        for l in 0..LANES {
                            let [w0, w1] = weights[b][k][l].map(i32::from);
                            run[p][b][l] += a0 * w0 + a1 * w1;
                        }
                    }
                }
            }
        }
        first = end;
        for p in 0..P {
            for b in 0..B {
                for l in 0..LANES {
                    sums[p * B + b][l] += i64::from(run[p][b][l]);
                }
            }
        }
    }
}
