//! Attention of query heads in groups of any sizes, each over one key and one value head (Ainslie et al. 2023, "GQA", §2.2).
//!
//! For group g with the query heads `Q₁ … Q_s`, stacked as the rows of one matrix: `softmax(Q·K_gᵀ·scale + mask)·V_g`, one product
//! with the keys and one with the values a group. Keys and values are never repeated or copied. Uniform sizes take one
//! batched product in the composed form; the CPU form treats all sizes alike.
//!
//! Shapes: `q [batch, heads, seq_q, head_dim]`, `k` and `v [batch, groups, seq_k, head_dim]` → the shape of `q`.
//!
//! A query that sees no key gives zeros. No gradient flows into a mask.

mod backward;
mod composed;
mod cpu;
mod few_rows;
mod heads;
mod plan;
mod softmax;

use burn::tensor::Tensor;

pub use composed::composed;
use plan::Plan;

use crate::fused_op;

/// Which keys a query may see. Query i of n stands at the position `seq_k − n + i` of the keys.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Visibility {
    /// All keys.
    #[default]
    All,
    /// Those up to its own position.
    Causal,
    /// Its own position's and those of the positions before it, so many in all (Beltagy et al. 2020, "Longformer", §3.1).
    Window(usize),
}

/// The groups of an attention and its options.
#[derive(Clone, Debug)]
pub struct GroupedAttention {
    /// The number of query heads of each key/value head; zeros are allowed.
    pub sizes: Vec<usize>,
    /// Which keys a query may see.
    pub visibility: Visibility,
    /// The factor of the scores; 1/√head_dim where there is none.
    pub scale: Option<f64>,
    /// Added to the scores: `[batch or 1, heads or 1, seq_q, seq_k]`.
    pub mask: Option<Tensor<4>>,
    /// The probability with which a weight is dropped; the others are divided by 1 minus it.
    pub dropout: f64,
    /// The seed of the dropout: one seed, one choice, on any device.
    pub seed: u64,
}

impl GroupedAttention {
    /// Groups of these sizes without mask or dropout; every query sees every key.
    pub fn new(sizes: &[usize]) -> Self {
        let sizes = sizes.to_vec();
        Self { sizes, visibility: Visibility::All, scale: None, mask: None, dropout: 0.0, seed: 0 }
    }

    /// Sets which keys a query may see.
    #[must_use]
    pub fn with_visibility(self, visibility: Visibility) -> Self {
        Self { visibility, ..self }
    }

    /// Sets the factor of the scores.
    #[must_use]
    pub fn with_scale(self, scale: Option<f64>) -> Self {
        Self { scale, ..self }
    }

    /// Sets what is added to the scores.
    #[must_use]
    pub fn with_mask(self, mask: Option<Tensor<4>>) -> Self {
        Self { mask, ..self }
    }

    /// Sets the probability of dropping a weight, and the seed of the choice.
    #[must_use]
    pub fn with_dropout(self, dropout: f64, seed: u64) -> Self {
        Self { dropout, seed, ..self }
    }

    fn check(&self, q: &Tensor<4>, k: &Tensor<4>, v: &Tensor<4>) {
        let [batch, n_heads, seq_q, head_dim] = q.dims();
        let n_groups = self.sizes.len();
        assert_eq!(
            self.sizes.iter().sum::<usize>(),
            n_heads,
            "grouped_attention: sizes {:?} must sum to the {n_heads} heads of q",
            self.sizes
        );
        let seq_k = k.dims()[2];
        for (name, dims) in [("k", k.dims()), ("v", v.dims())] {
            assert_eq!(
                dims,
                [batch, n_groups, seq_k, head_dim],
                "grouped_attention: {name} must be [batch, groups, seq_k, head_dim]"
            );
        }
        match self.visibility {
            Visibility::All => {}
            Visibility::Causal | Visibility::Window(_) => assert!(
                seq_q <= seq_k,
                "grouped_attention: {seq_q} queries have no positions among {seq_k} keys"
            ),
        }
        assert!(self.visibility != Visibility::Window(0), "grouped_attention: a window of no key");
        if let Some(mask) = &self.mask {
            let [mask_batch, mask_heads, rows, columns] = mask.dims();
            assert!(
                [1, batch].contains(&mask_batch)
                    && [1, n_heads].contains(&mask_heads)
                    && [rows, columns] == [seq_q, seq_k],
                "grouped_attention: a mask of shape {:?} does not fit {:?}",
                mask.dims(),
                [batch, n_heads, seq_q, seq_k]
            );
        }
        assert!(
            (0.0..1.0).contains(&self.dropout),
            "grouped_attention: dropout {} is not in [0, 1)",
            self.dropout
        );
    }
}

/// Attention of `q [batch, heads, seq_q, head_dim]` over `k` and `v [batch, groups, seq_k, head_dim]` → the shape of `q`.
///
/// On the CPU in f32 tensors are read where they lie: views such as `x.reshape([batch, seq, heads, head_dim]).swap_dims(1, 2)` cost nothing,
/// and a result for such a `q` swaps back and reshapes for nothing.
///
/// # Panics
/// If the sizes do not sum to the heads of `q`, a shape does not fit, a causal `seq_q` is above `seq_k`, or the dropout is not in [0, 1).
///
/// ```
/// use burn::tensor::{Device, Tensor};
/// use grouping_core::kernels::{GroupedAttention, grouped_attention};
///
/// let device = Device::flex();
/// let q = Tensor::<4>::zeros([1, 3, 1, 2], &device);
/// let v = Tensor::<4>::from_floats([[[[1.0, 2.0], [3.0, 4.0]], [[5.0, 6.0], [7.0, 8.0]]]], &device);
/// // Queries of zero weigh all keys alike; two heads read the first key head, one the second.
/// let out = grouped_attention(q, v.clone(), v, &GroupedAttention::new(&[2, 1]));
/// assert_eq!(out.into_data().try_into_vec::<f32>().unwrap(), [2.0, 3.0, 2.0, 3.0, 6.0, 7.0]);
/// ```
pub fn grouped_attention(q: Tensor<4>, k: Tensor<4>, v: Tensor<4>, config: &GroupedAttention) -> Tensor<4> {
    config.check(&q, &k, &v);
    fused_op!(Plan::new(config, q.dims()[3]), [q, k, v], composed(q, k, v, config))
}
