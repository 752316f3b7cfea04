//! What grouping saves: parameters, multiply-accumulates and bytes of the key/value cache, by layer.
//!
//! With hidden size d, H query and G key/value heads of h channels, T tokens that are computed and N that are attended to, a layer has
//! ```text
//! parameters   q: d·H·h   k, v: 2·d·G·h   out: H·h·d   feed-forward: 2 or (gated) 3·d·f   + biases + norms
//! MACs         T·(d·H·h + 2·d·G·h + H·h·d + 2 or 3·d·f) + 2·T·N·H·h
//! cache        2·batch·N·G·h·bytes
//! ```
//! A decoder is counted for one new token with N = context tokens attended to; a vision transformer for one image, T = N = patches and
//! prefix, and without a cache: it has none. Norms, activations, softmax and position embeddings are no MACs here.
//! Grouping saves `2·d·h·(H − G)` weights and T times as many MACs a layer. The scores' MACs stay: every query head still reads every key.

mod of_checkpoint;

use serde::{Deserialize, Serialize};

use crate::{Error, Groups, Result};

/// The sizes that parameters and costs follow from.
///
/// ```
/// use kd_gqa::account::ModelShape;
/// let llama = ModelShape::llama(32, 4096, 32, 11008, 32000);
/// assert_eq!(llama.n_parameters(), 6_738_415_616);
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct ModelShape {
    /// What stands before and after the layers.
    pub body: Body,
    /// d.
    pub hidden: usize,
    /// H.
    pub n_heads: usize,
    /// G of each layer; its length is the number of layers.
    pub n_kv_heads: Vec<usize>,
    /// h; `d/H` unless a checkpoint says otherwise.
    pub head_dim: usize,
    /// f.
    pub feed_forward: usize,
    /// Three matrices in the feed-forward part instead of two.
    pub gated: bool,
    /// Where biases are.
    pub biases: Biases,
    /// Parameters of one norm per channel: 2 for LayerNorm, 1 for RMSNorm.
    pub norm_parameters: usize,
    /// Norms of single query and key heads (h channels, shared by the heads), a layer: 0 or 2.
    pub n_head_norms: usize,
    /// Whether a norm follows the last layer.
    pub final_norm: bool,
}

/// Embedding and head.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
#[non_exhaustive]
pub enum Body {
    /// Patches in, classes out.
    Vit {
        /// Patches of an image.
        n_patches: usize,
        /// Values of a patch: channels times its area.
        patch_values: usize,
        /// Tokens before the patches, the class token.
        n_prefix_tokens: usize,
        /// Classes; 0 for no head.
        n_classes: usize,
    },
    /// Tokens in, tokens out, one after the other.
    Decoder {
        /// Size of the vocabulary.
        n_vocab: usize,
        /// Whether the head is the embedding.
        tied: bool,
    },
}

/// Which linear layers have a bias.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct Biases {
    /// Queries, keys and values.
    pub qkv: bool,
    /// The attention's output.
    pub output: bool,
    /// The feed-forward part.
    pub feed_forward: bool,
}

impl Biases {
    /// Everywhere.
    pub fn all() -> Self {
        Self { qkv: true, output: true, feed_forward: true }
    }
}

impl ModelShape {
    /// A vision transformer as timm's and Hugging Face's: LayerNorm, biases everywhere, a class token, a feed-forward part of `4·d`, 3 channels.
    pub fn vit(
        n_layers: usize,
        hidden: usize,
        n_heads: usize,
        image: usize,
        patch: usize,
        n_classes: usize,
    ) -> Self {
        let side = image / patch.max(1);
        Self {
            body: Body::Vit {
                n_patches: side * side,
                patch_values: 3 * patch * patch,
                n_prefix_tokens: 1,
                n_classes,
            },
            hidden,
            n_heads,
            n_kv_heads: vec![n_heads; n_layers],
            head_dim: hidden / n_heads.max(1),
            feed_forward: 4 * hidden,
            gated: false,
            biases: Biases::all(),
            norm_parameters: 2,
            n_head_norms: 0,
            final_norm: true,
        }
    }

    /// A decoder as Llama's: RMSNorm, no biases, a gated feed-forward part, a head of its own.
    pub fn llama(
        n_layers: usize,
        hidden: usize,
        n_heads: usize,
        feed_forward: usize,
        n_vocab: usize,
    ) -> Self {
        Self {
            body: Body::Decoder { n_vocab, tied: false },
            hidden,
            n_heads,
            n_kv_heads: vec![n_heads; n_layers],
            head_dim: hidden / n_heads.max(1),
            feed_forward,
            gated: true,
            biases: Biases::default(),
            norm_parameters: 1,
            n_head_norms: 0,
            final_norm: true,
        }
    }

    /// With this many key/value heads in every layer.
    pub fn with_kv_heads(mut self, n_kv_heads: usize) -> Self {
        self.n_kv_heads.fill(n_kv_heads);
        self
    }

    /// With the groups of each layer.
    ///
    /// # Errors
    /// [`Error::Setting`](grouping_core::Error::Setting) where there are not as many layers or heads.
    pub fn with_groups(mut self, groups: &[Groups]) -> Result<Self> {
        let n_layers = self.n_kv_heads.len();
        if groups.len() != n_layers {
            return Err(Error::setting("groups", format!("those of {n_layers} layers"), groups.len()));
        }
        if let Some(groups) = groups.iter().find(|groups| groups.n_heads() != self.n_heads) {
            return Err(Error::setting("groups", format!("of {} heads", self.n_heads), groups.n_heads()));
        }
        self.n_kv_heads = groups.iter().map(Groups::n_kv_heads).collect();
        Ok(self)
    }

    /// Parameters of the whole model.
    pub fn n_parameters(&self) -> u64 {
        let layers = self.n_kv_heads.iter().map(|&g| self.layer_parameters(g));
        layers.fold(self.body_parameters(), u64::saturating_add)
    }

    /// Parameters of the keys' and values' projections of a layer with G key/value heads.
    fn kv_parameters(&self, n_kv_heads: usize) -> u64 {
        product(&[2, self.hidden + usize::from(self.biases.qkv), n_kv_heads, self.head_dim])
    }

    fn layer_parameters(&self, n_kv_heads: usize) -> u64 {
        let Self { hidden, n_heads, head_dim, feed_forward, biases, .. } = *self;
        let bias = |is: bool, n: u64| if is { n } else { 0 };
        let (inner, matrices) = (product(&[n_heads, head_dim]), if self.gated { 3 } else { 2 });
        [
            product(&[hidden, n_heads, head_dim]),
            bias(biases.qkv, inner),
            self.kv_parameters(n_kv_heads),
            product(&[n_heads, head_dim, hidden]),
            bias(biases.output, hidden as u64),
            product(&[matrices, hidden, feed_forward]),
            bias(biases.feed_forward, product(&[matrices - 1, feed_forward]) + hidden as u64),
            product(&[2, self.norm_parameters, hidden]),
            product(&[self.n_head_norms, self.norm_parameters, head_dim]),
        ]
        .into_iter()
        .fold(0, u64::saturating_add)
    }

    fn body_parameters(&self) -> u64 {
        let d = self.hidden;
        let norm = if self.final_norm { product(&[self.norm_parameters, d]) } else { 0 };
        let rest = match self.body {
            Body::Vit { n_patches, patch_values, n_prefix_tokens, n_classes } => {
                product(&[patch_values.saturating_add(1), d])
                    .saturating_add(product(&[n_patches.saturating_add(n_prefix_tokens), d]))
                    .saturating_add(product(&[n_prefix_tokens, d]))
                    .saturating_add(product(&[n_classes, d.saturating_add(1)]))
            }
            Body::Decoder { n_vocab, tied } => product(&[if tied { 1 } else { 2 }, n_vocab, d]),
        };
        rest.saturating_add(norm)
    }

    /// Tokens that are computed, and tokens that each of them attends to.
    fn tokens(&self, context: usize) -> (usize, usize) {
        match self.body {
            Body::Vit { n_patches, n_prefix_tokens, .. } => {
                let n = n_patches.saturating_add(n_prefix_tokens);
                (n, n)
            }
            Body::Decoder { .. } => (1, context),
        }
    }

    fn layer(&self, n_kv_heads: usize, config: &AccountConfig) -> Cost {
        let Self { hidden, n_heads, head_dim, feed_forward, .. } = *self;
        let (computed, attended) = self.tokens(config.context);
        let matrices = if self.gated { 3 } else { 2 };
        let macs = [
            product(&[2, computed, hidden, n_heads, head_dim]),
            product(&[2, computed, hidden, n_kv_heads, head_dim]),
            product(&[2, computed, attended, n_heads, head_dim]),
            product(&[matrices, computed, hidden, feed_forward]),
        ];
        let cache_bytes = match self.body {
            Body::Vit { .. } => 0,
            Body::Decoder { .. } => {
                product(&[2, config.batch, config.context, n_kv_heads, head_dim, config.value_bytes])
            }
        };
        Cost {
            parameters: self.layer_parameters(n_kv_heads),
            macs: macs.into_iter().fold(0, u64::saturating_add),
            cache_bytes,
        }
    }

    /// Embedding, final norm and head.
    fn outside(&self) -> Cost {
        let macs = match self.body {
            Body::Vit { n_patches, patch_values, n_classes, .. } => {
                product(&[n_patches, patch_values, self.hidden])
                    .saturating_add(product(&[n_classes, self.hidden]))
            }
            Body::Decoder { n_vocab, .. } => product(&[n_vocab, self.hidden]),
        };
        Cost { parameters: self.body_parameters(), macs, cache_bytes: 0 }
    }
}

/// For what the cache and the costs are counted.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct AccountConfig {
    /// Tokens in the cache of a decoder.
    pub context: usize,
    /// Sequences side by side (the cache; MACs are those of one).
    pub batch: usize,
    /// Bytes of a cached value.
    pub value_bytes: usize,
}

impl AccountConfig {
    /// One sequence of `context` tokens, with 2 bytes a cached value (f16, bf16).
    pub fn new(context: usize) -> Self {
        Self { context, batch: 1, value_bytes: 2 }
    }

    /// With this many sequences.
    pub fn with_batch(mut self, batch: usize) -> Self {
        self.batch = batch;
        self
    }

    /// With this many bytes a cached value.
    pub fn with_value_bytes(mut self, value_bytes: usize) -> Self {
        self.value_bytes = value_bytes;
        self
    }
}

/// Of a layer or a model.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Cost {
    /// Weights and biases.
    pub parameters: u64,
    /// Multiply-accumulates: of one image, or one new token.
    pub macs: u64,
    /// Bytes of the key/value cache.
    pub cache_bytes: u64,
}

/// A layer before and after.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct LayerAccount {
    /// Key/value heads before and after.
    pub n_kv_heads: [usize; 2],
    /// As it was.
    pub before: Cost,
    /// As it will be.
    pub after: Cost,
}

/// A model before and after.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Account {
    /// For what it is counted.
    pub config: AccountConfig,
    /// Whether the model keeps a cache at all.
    pub has_cache: bool,
    /// Query heads.
    pub n_heads: usize,
    /// Layer by layer.
    pub layers: Vec<LayerAccount>,
    /// Embedding, final norm and head, the same before and after.
    pub outside: Cost,
    /// All of it, as it was.
    pub before: Cost,
    /// All of it, as it will be.
    pub after: Cost,
}

/// Counts a model before and after its key/value heads become `n_kv_heads`, a number a layer.
///
/// # Errors
/// [`Error::Setting`](grouping_core::Error::Setting) where there are not as many layers, or a layer has no key/value head or more than query heads.
///
/// ```
/// use kd_gqa::account::{AccountConfig, ModelShape, account};
/// let llama = ModelShape::llama(32, 4096, 32, 11008, 32000); // Llama-2-7B
/// let counted = account(&llama, &[8; 32], AccountConfig::new(4096))?;
/// assert_eq!(counted.before.cache_bytes, 2_147_483_648);
/// assert_eq!(counted.after.cache_bytes, 536_870_912);
/// # Ok::<(), kd_gqa::Error>(())
/// ```
pub fn account(shape: &ModelShape, n_kv_heads: &[usize], config: AccountConfig) -> Result<Account> {
    let n_layers = shape.n_kv_heads.len();
    if n_kv_heads.len() != n_layers {
        return Err(Error::setting(
            "n_kv_heads",
            format!("a number for each of {n_layers} layers"),
            n_kv_heads.len(),
        ));
    }
    if let Some(&g) = n_kv_heads.iter().find(|&&g| g == 0 || g > shape.n_heads) {
        return Err(Error::setting("n_kv_heads", format!("1 to {} heads", shape.n_heads), g));
    }
    let pairs = shape.n_kv_heads.iter().zip(n_kv_heads);
    let layers: Vec<LayerAccount> = pairs
        .map(|(&before, &after)| LayerAccount {
            n_kv_heads: [before, after],
            before: shape.layer(before, &config),
            after: shape.layer(after, &config),
        })
        .collect();
    let outside = shape.outside();
    let total = |of: fn(&LayerAccount) -> Cost| layers.iter().map(of).fold(outside, Cost::plus);
    let (before, after) = (total(|layer| layer.before), total(|layer| layer.after));
    let has_cache = matches!(shape.body, Body::Decoder { .. });
    Ok(Account { config, has_cache, n_heads: shape.n_heads, layers, outside, before, after })
}

impl Cost {
    fn plus(self, other: Self) -> Self {
        Self {
            parameters: self.parameters.saturating_add(other.parameters),
            macs: self.macs.saturating_add(other.macs),
            cache_bytes: self.cache_bytes.saturating_add(other.cache_bytes),
        }
    }
}

fn product(factors: &[usize]) -> u64 {
    factors.iter().fold(1u64, |product, &factor| product.saturating_mul(factor as u64))
}
