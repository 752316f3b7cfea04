//! Attention over groups of query heads of any sizes (Ainslie et al. 2023, "GQA", §2.2), without repeating or copying a key or value head.
//!
//! For group g with the query heads `Q₁ … Q_s` stacked as the rows of one matrix: `softmax(Q·K_gᵀ·scale + mask)·V_g`.
//!
//! Shapes: `q [batch, H, seq_q, head_dim]`, `k` and `v [batch, G, seq_k, head_dim]` → `[batch, H, seq_q, head_dim]`.
//!
//! On the CPU in f32 this is [`grouping_core::kernels::grouped_attention()`] with a gradient of its own, elsewhere plain tensor operations.

mod cache;
mod call;
mod module;

use burn::tensor::Tensor;
pub use grouping_core::kernels::Visibility;
use grouping_core::kernels::{self, GroupedAttention as Kernel};

pub use cache::KvCache;
pub use call::AttentionCall;
pub use module::{GroupedAttention, GroupedAttentionConfig, Hook};

use crate::{Error, Groups, Result};

/// What an attention does beside its products.
#[derive(Debug, Clone, Default)]
pub struct AttentionOptions {
    /// Which keys a query may see; the last query stands at the last key.
    pub visibility: Visibility,
    /// The factor of the scores; 1/√head_dim where there is none.
    pub scale: Option<f64>,
    /// Added to the scores, `[batch or 1, H or 1, seq_q, seq_k]`; no gradient flows into it.
    pub mask: Option<Tensor<4>>,
    /// The probability with which a weight is dropped, in [0, 1).
    pub dropout: f64,
    /// The seed of the dropout.
    pub seed: u64,
}

impl AttentionOptions {
    /// Every query sees every key.
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

    fn kernel(&self, groups: &Groups) -> Kernel {
        Kernel::new(groups.sizes())
            .with_visibility(self.visibility)
            .with_scale(self.scale)
            .with_mask(self.mask.clone())
            .with_dropout(self.dropout, self.seed)
    }
}

/// Attention of `q [batch, H, seq_q, head_dim]` over `k` and `v [batch, G, seq_k, head_dim]` → the shape of `q`.
///
/// # Errors
/// [`Error::Groups`] where the sizes do not sum to H, [`Error::Option`] where another shape, the mask or the dropout does not fit.
///
/// ```
/// use burn::tensor::{Device, Tensor};
/// use kd_gqa::Groups;
/// use kd_gqa::attention::{AttentionOptions, grouped_attention};
///
/// let device = Device::flex();
/// let q = Tensor::<4>::zeros([1, 3, 1, 2], &device);
/// let v = Tensor::<4>::from_floats([[[[1.0, 2.0], [3.0, 4.0]], [[5.0, 6.0], [7.0, 8.0]]]], &device);
/// // Queries of zero weigh all keys alike; two heads read the first key head, one the second.
/// let out = grouped_attention(q, v.clone(), v, &Groups::new(vec![2, 1], 3)?, &AttentionOptions::new())?;
/// assert_eq!(out.into_data().try_into_vec::<f32>().unwrap(), [2.0, 3.0, 2.0, 3.0, 6.0, 7.0]);
/// # Ok::<(), kd_gqa::Error>(())
/// ```
pub fn grouped_attention(
    q: Tensor<4>,
    k: Tensor<4>,
    v: Tensor<4>,
    groups: &Groups,
    options: &AttentionOptions,
) -> Result<Tensor<4>> {
    check(&q, &k, &v, groups, options)?;
    Ok(kernels::grouped_attention(q, k, v, &options.kernel(groups)))
}

fn check(
    q: &Tensor<4>,
    k: &Tensor<4>,
    v: &Tensor<4>,
    groups: &Groups,
    options: &AttentionOptions,
) -> Result<()> {
    let [batch, n_heads, seq_q, head_dim] = q.dims();
    if groups.n_heads() != n_heads {
        return Err(Error::Groups { sizes: groups.sizes().to_vec(), n_heads });
    }
    let seq_k = k.dims()[2];
    let expected = [batch, groups.n_kv_heads(), seq_k, head_dim];
    for (name, dims) in [("k", k.dims()), ("v", v.dims())] {
        if dims != expected {
            return Err(shape(name, &expected, &dims));
        }
    }
    match options.visibility {
        Visibility::Window(0) => return Err(Error::option("window", "at least one key", 0)),
        Visibility::Causal | Visibility::Window(_) if seq_q > seq_k => {
            let expected = format!("at most {seq_k}, as many as keys, where positions count");
            return Err(Error::option("queries", expected, seq_q));
        }
        _ => {}
    }
    if let Some(mask) = &options.mask {
        let dims = mask.dims();
        let fits = [1, batch].contains(&dims[0]) && [1, n_heads].contains(&dims[1]);
        if !fits || dims[2..] != [seq_q, seq_k] {
            return Err(shape("mask", &[batch, n_heads, seq_q, seq_k], &dims));
        }
    }
    if !(0.0..1.0).contains(&options.dropout) {
        return Err(Error::option("dropout", "a probability from 0 up to, but not, 1", options.dropout));
    }
    Ok(())
}

fn shape(name: &'static str, expected: &[usize], found: &[usize]) -> Error {
    Error::option(name, format!("shape {expected:?}"), format!("{found:?}"))
}
