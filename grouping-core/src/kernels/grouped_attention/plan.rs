//! What happens to the scores of one query beside the softmax: which keys it sees, what is added, what is dropped.

use std::ops::Range;
use std::sync::Arc;

use super::{AttentionOptions, Visibility};
use crate::seed::{derive_seed, sequence};

/// Groups and [`AttentionOptions`] in host memory.
#[derive(Clone, Debug)]
pub(super) struct AttentionPlan {
    pub(super) sizes: Arc<[usize]>,
    pub(super) scale: f32,
    visibility: Visibility,
    mask: Option<Mask>,
    dropout: Option<Dropout>,
}

/// Added scores, `[n_batches, n_heads, seq_q, seq_k]`.
#[derive(Clone, Debug)]
struct Mask {
    values: Arc<Vec<f32>>,
    n_batches: usize,
    n_heads: usize,
}

/// The choice of the weights that are dropped.
#[derive(Clone, Copy, Debug)]
pub(super) struct Dropout {
    rate: f64,
    seed: u64,
}

impl Dropout {
    pub(super) fn new(options: &AttentionOptions) -> Option<Self> {
        (options.dropout > 0.0).then_some(Self { rate: options.dropout, seed: options.seed })
    }

    /// The factor of each weight of row `row` (counted over batch, head and query): 0, or 1/(1 − rate).
    pub(super) fn factors(self, row: usize, factors: &mut [f32]) {
        let seed = derive_seed(self.seed, row as u64);
        let kept = (1.0 / (1.0 - self.rate)) as f32;
        // The upper 24 bits as a fraction.
        let bound = (self.rate * f64::from(1u32 << 24)) as u64;
        for (i, factor) in factors.iter_mut().enumerate() {
            *factor = if sequence(seed, i as u64) >> 40 < bound { 0.0 } else { kept };
        }
    }
}

/// The keys that query `i` of `seq_q` sees among `seq_k`.
pub(super) fn visible(visibility: Visibility, i: usize, seq_q: usize, seq_k: usize) -> Range<usize> {
    let end = (seq_k + i + 1).saturating_sub(seq_q);
    match visibility {
        Visibility::All => 0..seq_k,
        Visibility::Causal => 0..end,
        Visibility::Window(width) => end.saturating_sub(width)..end,
    }
}

/// The factor of the scores.
pub(super) fn scale(options: &AttentionOptions, head_dim: usize) -> f64 {
    options.scale.unwrap_or_else(|| 1.0 / (head_dim as f64).sqrt())
}

impl AttentionPlan {
    pub(super) fn new(sizes: &[usize], options: &AttentionOptions, head_dim: usize) -> Self {
        let mask = options.mask.as_ref().map(|mask| {
            let [n_batches, n_heads, ..] = mask.dims();
            let values = mask.to_data().iter::<f32>().collect();
            Mask { values: Arc::new(values), n_batches, n_heads }
        });
        Self {
            sizes: sizes.into(),
            scale: scale(options, head_dim) as f32,
            visibility: options.visibility,
            mask,
            dropout: Dropout::new(options),
        }
    }

    /// The query heads of each group.
    pub(super) fn groups(&self) -> Vec<Range<usize>> {
        let mut end = 0;
        let group = |&size: &usize| {
            end += size;
            end - size..end
        };
        self.sizes.iter().map(group).collect()
    }
}

/// The rules for the stacked rows of one group: row r is query `r % seq_q` of the group's head `r / seq_q`.
#[derive(Clone, Copy)]
pub(super) struct Rules<'a> {
    pub(super) plan: &'a AttentionPlan,
    pub(super) batch: usize,
    pub(super) first_head: usize,
    pub(super) n_heads: usize,
    pub(super) seq_q: usize,
    pub(super) seq_k: usize,
}

impl<'a> Rules<'a> {
    pub(super) fn visible(&self, row: usize) -> Range<usize> {
        visible(self.plan.visibility, row % self.seq_q, self.seq_q, self.seq_k)
    }

    /// The end of the keys that any of these rows sees.
    pub(super) fn n_keys(&self, rows: Range<usize>) -> usize {
        let last = rows.end - 1;
        let same_head = rows.start / self.seq_q == last / self.seq_q;
        self.visible(if same_head { last } else { self.seq_q - 1 }).end
    }

    pub(super) fn mask(&self, row: usize) -> Option<&'a [f32]> {
        let mask = self.plan.mask.as_ref()?;
        let batch = if mask.n_batches == 1 { 0 } else { self.batch };
        let head = if mask.n_heads == 1 { 0 } else { self.first_head + row / self.seq_q };
        let row = (batch * mask.n_heads + head) * self.seq_q + row % self.seq_q;
        Some(&mask.values[row * self.seq_k..][..self.seq_k])
    }

    /// The dropout factors of a row, in `factors`; whether there is a dropout.
    pub(super) fn factors(&self, row: usize, factors: &mut [f32]) -> bool {
        let Some(dropout) = self.plan.dropout else { return false };
        dropout.factors((self.batch * self.n_heads + self.first_head) * self.seq_q + row, factors);
        true
    }
}
