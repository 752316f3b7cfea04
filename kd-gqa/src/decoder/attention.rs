//! Causal self-attention with rotary positions over groups of any sizes, for decoders of the Llama family.
//!
//! `q = rope(x·W_q)`, `k = rope(x·W_k)`, `v = x·W_v`, then [`grouped_attention()`](crate::attention::grouped_attention()), then `·W_o`. Keys are
//! stored turned, of the G key/value heads alone.
//!
//! Shapes: `x [batch, seq, hidden]` → the same; `W_q [hidden, H·head_dim]`, `W_k`, `W_v [hidden, G·head_dim]`, `W_o [H·head_dim, hidden]`.

use burn::module::Module;
use burn::tensor::{DType, Device, Tensor};
use grouping_core::kernels::{Rope, rotate};
use grouping_core::nn::{
    Attention, AttentionCache, Bias, CachedAttention, DecoderConfig, Initializer, Projection,
};

use crate::attention::{AttentionOptions, KvCache, Visibility, grouped_attention};
use crate::{Groups, Result};

/// The attention of one layer; its fields name its tensors below `model.layers.{i}.self_attn`.
#[derive(Module, Debug)]
pub struct GroupedSelfAttention {
    /// hidden → H · head_dim.
    pub q_proj: Projection,
    /// hidden → G · head_dim.
    pub k_proj: Projection,
    /// hidden → G · head_dim.
    pub v_proj: Projection,
    /// H · head_dim → hidden.
    pub o_proj: Projection,
    #[module(skip)]
    shape: Shape,
}

#[derive(Debug, Clone)]
struct Shape {
    groups: Groups,
    /// What the decoder's configuration says, in whose place the groups are.
    n_kv_heads_said: usize,
    head_dim: usize,
    rope: Rope,
    window: Option<usize>,
}

impl GroupedSelfAttention {
    /// The attention of layer `layer_idx` of `config`, with `groups` in the place of the configuration's key/value heads.
    ///
    /// # Panics
    /// If the groups are not of as many heads as `config` has.
    ///
    /// ```
    /// use burn::tensor::{Device, Int, Tensor};
    /// use grouping_core::nn::DecoderConfig;
    /// use kd_gqa::Groups;
    /// use kd_gqa::decoder::GroupedSelfAttention;
    ///
    /// let groups = Groups::new(vec![3, 0, 1], 4)?;
    /// let device = Device::flex();
    /// let decoder = DecoderConfig::new(48, 32, 2, 4, 64)
    ///     .init_with(7, &device, |config, layer_idx, init| GroupedSelfAttention::new(config, layer_idx, &groups, init));
    /// assert_eq!(decoder.forward(Tensor::<2, Int>::from_data([[1, 2, 3]], &device)).dims(), [1, 3, 48]);
    /// # Ok::<(), kd_gqa::Error>(())
    /// ```
    pub fn new(config: &DecoderConfig, layer_idx: usize, groups: &Groups, init: &mut Initializer) -> Self {
        assert_eq!(groups.n_heads(), config.n_heads, "groups are of the decoder's query heads");
        let (hidden, head_dim) = (config.hidden_size, config.head_dim());
        let (q_size, kv_size) = (groups.n_heads() * head_dim, groups.n_kv_heads() * head_dim);
        let (bias, output_bias) = (Bias::from_flag(config.qkv_bias()), Bias::from_flag(config.output_bias()));
        let input_std = 1.0 / (hidden as f64).sqrt();
        let output_std = config.residual_scale() / (q_size as f64).sqrt();
        Self {
            q_proj: Projection::new([hidden, q_size], input_std, bias, init),
            k_proj: Projection::new([hidden, kv_size], input_std, bias, init),
            v_proj: Projection::new([hidden, kv_size], input_std, bias, init),
            o_proj: Projection::new([q_size, hidden], output_std, output_bias, init),
            shape: Shape {
                groups: groups.clone(),
                n_kv_heads_said: config.n_kv_heads(),
                head_dim,
                rope: config.rope(),
                window: config.window(layer_idx),
            },
        }
    }

    /// The groups of the query heads.
    pub fn groups(&self) -> &Groups {
        &self.shape.groups
    }

    /// Queries, keys and values `[batch, H or G, seq, head_dim]` of the tokens from position `first` on, queries and keys turned.
    fn turned(&self, x: Tensor<3>, first: usize) -> [Tensor<4>; 3] {
        let ([batch, seq, _], shape) = (x.dims(), &self.shape);
        let split = |projection: &Projection, n_heads: usize| {
            projection.forward(x.clone()).reshape([batch, seq, n_heads, shape.head_dim]).swap_dims(1, 2)
        };
        let (n_heads, n_kv_heads) = (shape.groups.n_heads(), shape.groups.n_kv_heads());
        let turn = |heads: Tensor<4>| rotate(heads, &shape.rope, first);
        [
            turn(split(&self.q_proj, n_heads)),
            turn(split(&self.k_proj, n_kv_heads)),
            split(&self.v_proj, n_kv_heads),
        ]
    }

    fn options(&self) -> AttentionOptions {
        let visibility = self.shape.window.map_or(Visibility::Causal, Visibility::Window);
        AttentionOptions::new().with_visibility(visibility)
    }

    /// The heads' outputs `[batch, H, seq, head_dim]` side by side, through `W_o`.
    fn join(&self, heads: Tensor<4>) -> Tensor<3> {
        let [batch, n_heads, seq, head_dim] = heads.dims();
        self.o_proj.forward(heads.swap_dims(1, 2).reshape([batch, seq, n_heads * head_dim]))
    }
}

impl Attention for GroupedSelfAttention {
    fn forward(&self, x: Tensor<3>) -> Tensor<3> {
        let [q, k, v] = self.turned(x, 0);
        let out = grouped_attention(q, k, v, self.groups().sizes(), &self.options());
        self.join(out.expect("the module's own groups fit its own heads"))
    }

    fn projections(&self) -> Vec<(&'static str, &Projection)> {
        vec![
            ("q_proj", &self.q_proj),
            ("k_proj", &self.k_proj),
            ("v_proj", &self.v_proj),
            ("o_proj", &self.o_proj),
        ]
    }

    fn projections_mut(&mut self) -> Vec<(&'static str, &mut Projection)> {
        vec![
            ("q_proj", &mut self.q_proj),
            ("k_proj", &mut self.k_proj),
            ("v_proj", &mut self.v_proj),
            ("o_proj", &mut self.o_proj),
        ]
    }

    fn unsaid(&self) -> Option<String> {
        let groups = self.groups();
        let said = groups.uniform_size().is_some() && groups.n_kv_heads() == self.shape.n_kv_heads_said;
        (!said)
            .then(|| format!("groups {:?} (`convert` writes them, with their kd_gqa.json)", groups.sizes()))
    }
}

impl CachedAttention for GroupedSelfAttention {
    type Cache = LayerCache;

    fn new_cache(&self, batch: usize, n_positions: usize) -> LayerCache {
        let heads = [batch, self.groups().n_kv_heads(), self.shape.head_dim];
        let device = self.k_proj.weight.lazy_device();
        LayerCache {
            heads,
            device,
            window: self.shape.window,
            n_expected: n_positions,
            n_positions: 0,
            stored: None,
        }
    }

    fn forward_cached(&self, x: Tensor<3>, cache: &mut LayerCache) -> Tensor<3> {
        let [q, k, v] = self.turned(x, cache.n_positions);
        let stored = cache.append(k, v).expect("the module's own cache fits its own heads");
        let out = stored.attend(q, self.groups(), &self.options());
        self.join(out.expect("the module's own groups fit its own heads"))
    }
}

/// The keys and values of one layer while a decoder runs.
///
/// It holds a [`KvCache`]; with a sliding window, the tokens that no later query sees are dropped where room runs out: two windows are stored at most, or one and the longest step.
#[derive(Debug)]
pub struct LayerCache {
    /// `[batch, G, head_dim]`.
    heads: [usize; 3],
    device: Device,
    window: Option<usize>,
    /// The tokens that were announced.
    n_expected: usize,
    n_positions: usize,
    stored: Option<KvCache>,
}

impl LayerCache {
    fn append(&mut self, k: Tensor<4>, v: Tensor<4>) -> Result<&KvCache> {
        let n_new = k.dims()[2];
        let mut stored = match self.stored.take() {
            Some(stored) if stored.len() + n_new <= stored.capacity() => stored,
            old => self.with_room(n_new, k.dtype(), old)?,
        };
        stored.append(k, v)?;
        self.n_positions += n_new;
        Ok(self.stored.insert(stored))
    }

    /// A cache with room for `n_new` tokens beside those of `old` that a later query may see.
    fn with_room(&self, n_new: usize, dtype: DType, old: Option<KvCache>) -> Result<KvCache> {
        let n_old = old.as_ref().map_or(0, KvCache::len);
        let n_kept = self.window.map_or(n_old, |window| n_old.min(window - 1));
        let needed = n_kept + n_new;
        let announced = self.window.map_or(self.n_expected, |window| self.n_expected.min(2 * window));
        let doubled = if self.window.is_some() { 0 } else { 2 * n_old };
        let n_tokens = needed.max(announced).max(doubled);
        let mut new = KvCache::new(self.heads, n_tokens, &self.device)?.with_dtype(dtype)?;
        new.reserve(n_tokens)?;
        if let Some(old) = old.filter(|_| n_kept > 0) {
            let tail = |stored: Tensor<4>| stored.narrow(2, n_old - n_kept, n_kept);
            new.append(tail(old.keys()), tail(old.values()))?;
        }
        Ok(new)
    }
}

impl AttentionCache for LayerCache {
    fn n_positions(&self) -> usize {
        self.n_positions
    }

    fn n_bytes(&self) -> usize {
        self.stored.as_ref().map_or(0, KvCache::n_bytes)
    }
}
