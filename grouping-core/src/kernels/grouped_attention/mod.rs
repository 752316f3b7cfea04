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

pub use composed::{composed, weights};
use plan::AttentionPlan;

use crate::{Error, Result, fused_op};

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

/// What an attention does beside its products.
#[derive(Clone, Debug, Default)]
pub struct AttentionOptions {
    /// Which keys a query may see.
    pub visibility: Visibility,
    /// The factor of the scores; 1/√head_dim where there is none.
    pub scale: Option<f64>,
    /// Added to the scores, `[batch or 1, heads or 1, seq_q, seq_k]`; no gradient flows into it.
    pub mask: Option<Tensor<4>>,
    /// The probability with which a weight is dropped, in [0, 1); the others are divided by 1 minus it.
    pub dropout: f64,
    /// The seed of the dropout: one seed, one choice, on any device.
    pub seed: u64,
}

impl AttentionOptions {
    /// Every query sees every key; no mask, no dropout.
    pub fn new() -> Self {
        Self::default()
    }

    /// A query sees the keys up to its own position.
    pub fn causal() -> Self {
        Self::default().with_visibility(Visibility::Causal)
    }

    /// Sets which keys a query may see.
    #[must_use]
    pub fn with_visibility(self, visibility: Visibility) -> Self {
        Self { visibility, ..self }
    }

    /// Sets the factor of the scores.
    #[must_use]
    pub fn with_scale(self, scale: f64) -> Self {
        Self { scale: Some(scale), ..self }
    }

    /// Sets what is added to the scores.
    #[must_use]
    pub fn with_mask(self, mask: Tensor<4>) -> Self {
        Self { mask: Some(mask), ..self }
    }

    /// Sets the probability of dropping a weight, and the seed of the choice.
    #[must_use]
    pub fn with_dropout(self, dropout: f64, seed: u64) -> Self {
        Self { dropout, seed, ..self }
    }

    fn check(&self, [q, k, v]: [&Tensor<4>; 3], sizes: &[usize]) -> Result<()> {
        let [batch, n_heads, seq_q, head_dim] = q.dims();
        let sum = sizes.iter().try_fold(0usize, |sum, &size| sum.checked_add(size));
        if sizes.is_empty() || sum != Some(n_heads) {
            let expected = format!("sizes that sum to the {n_heads} heads of q");
            return Err(Error::setting("sizes", expected, format!("{sizes:?}")));
        }
        let seq_k = k.dims()[2];
        for (name, found) in [("k", k.dims()), ("v", v.dims())] {
            let expected = [batch, sizes.len(), seq_k, head_dim];
            if found != expected {
                return Err(shape(name, expected, found));
            }
        }
        match self.visibility {
            Visibility::Window(0) => return Err(Error::setting("window", "at least one key", 0)),
            Visibility::Causal | Visibility::Window(_) if seq_q > seq_k => {
                let expected = format!("at most {seq_k}, as many as keys, where positions count");
                return Err(Error::setting("queries", expected, seq_q));
            }
            _ => {}
        }
        if let Some(found) = self.mask.as_ref().map(Tensor::dims) {
            let fits = [1, batch].contains(&found[0]) && [1, n_heads].contains(&found[1]);
            let expected = [batch, n_heads, seq_q, seq_k];
            if !fits || found[2..] != expected[2..] {
                return Err(shape("mask", expected, found));
            }
        }
        if !(0.0..1.0).contains(&self.dropout) {
            return Err(Error::setting("dropout", "a probability from 0 up to, but not, 1", self.dropout));
        }
        Ok(())
    }
}

fn shape(what: &str, expected: [usize; 4], found: [usize; 4]) -> Error {
    Error::Shape { what: what.into(), expected: expected.to_vec(), found: found.to_vec() }
}

/// Attention of `q [batch, heads, seq_q, head_dim]` over `k` and `v [batch, groups, seq_k, head_dim]` → the shape of `q`. `sizes` are the
/// numbers of consecutive query heads of each key/value head; zeros are allowed.
///
/// On the CPU in f32 tensors are read where they lie: views such as `x.reshape([batch, seq, heads, head_dim]).swap_dims(1, 2)` cost nothing,
/// and a result for such a `q` swaps back and reshapes for nothing.
///
/// # Errors
/// [`Error::Setting`] for sizes that do not sum to the heads of `q`, more queries than keys where positions count, an empty window, or a dropout
/// outside [0, 1); [`Error::Shape`] for `k`, `v` or a mask of another shape.
///
/// ```
/// use burn::tensor::{Device, Tensor};
/// use grouping_core::kernels::{AttentionOptions, grouped_attention};
///
/// let device = Device::flex();
/// let q = Tensor::<4>::zeros([1, 3, 1, 2], &device);
/// let v = Tensor::<4>::from_floats([[[[1.0, 2.0], [3.0, 4.0]], [[5.0, 6.0], [7.0, 8.0]]]], &device);
/// // Queries of zero weigh all keys alike; two heads read the first key head, one the second.
/// let out = grouped_attention(q, v.clone(), v, &[2, 1], &AttentionOptions::new())?;
/// assert_eq!(out.into_data().try_into_vec::<f32>().unwrap(), [2.0, 3.0, 2.0, 3.0, 6.0, 7.0]);
/// # Ok::<(), grouping_core::Error>(())
/// ```
pub fn grouped_attention(
    q: Tensor<4>,
    k: Tensor<4>,
    v: Tensor<4>,
    sizes: &[usize],
    options: &AttentionOptions,
) -> Result<Tensor<4>> {
    options.check([&q, &k, &v], sizes)?;
    let out = fused_op!(
        AttentionPlan::new(sizes, options, q.dims()[3]),
        [q, k, v],
        composed::attend(q, k, v, sizes, options)
    );
    Ok(out)
}
