//! Rotary positions in the half-split layout: entries j and j + d/2 turn by `position · fⱼ`.

use crate::simd::Lanes;

/// Cosines and sines of the angles, each `[seq, head_dim / 2]`.
#[derive(Clone, Debug)]
pub(super) struct Rotary {
    pub(super) cos: Vec<f32>,
    pub(super) sin: Vec<f32>,
    half: usize,
}

impl Rotary {
    /// The angles of positions `first_position..first_position + seq`, a pair of entries for each of `frequencies`.
    pub(super) fn new(frequencies: &[f64], first_position: usize, seq: usize) -> Self {
        let half = frequencies.len();
        let (sin, cos) = (first_position..first_position + seq)
            .flat_map(|position| frequencies.iter().map(move |f| position as f64 * f))
            .map(|angle| (angle.sin() as f32, angle.cos() as f32))
            .unzip();
        Self { cos, sin, half }
    }

    /// `scale` times the head `x [head_dim]` turned to row `row` of the table.
    #[inline(always)]
    pub(super) fn turn<L: Lanes>(&self, row: usize, scale: f32, x: &[f32], out: &mut [f32]) {
        self.rotate::<L>(row, scale, 1.0, x, out);
    }

    /// `scale` times the head `x [head_dim]` turned back, which is the gradient of [`turn`](Self::turn).
    #[inline(always)]
    pub(super) fn turn_back<L: Lanes>(&self, row: usize, scale: f32, x: &[f32], out: &mut [f32]) {
        self.rotate::<L>(row, scale, -1.0, x, out);
    }

    #[inline(always)]
    fn rotate<L: Lanes>(&self, row: usize, scale: f32, sense: f32, x: &[f32], out: &mut [f32]) {
        let half = self.half;
        let (cos, sin) = (&self.cos[row * half..][..half], &self.sin[row * half..][..half]);
        let (a, b) = x[..2 * half].split_at(half);
        let (out_a, out_b) = out[..2 * half].split_at_mut(half);
        for j in 0..half {
            let (cos, sin) = (cos[j] * scale, sin[j] * scale * sense);
            out_a[j] = L::mul_add(a[j], cos, -b[j] * sin);
            out_b[j] = L::mul_add(b[j], cos, a[j] * sin);
        }
    }
}
