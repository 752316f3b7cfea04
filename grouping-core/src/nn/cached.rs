//! Decoding step by step: attention that keeps the keys and values of the tokens it has seen.
//!
//! Keys are kept after their rotation, so a step turns only its own. With a sliding window of w, the w − 1 tokens before a
//! step are kept at least, and about 2w at most.

use burn::tensor::{Device, Int, Tensor};

use super::attention::{Attention, SelfAttention};
use super::decoder::{Decoder, DecoderLayer};

/// An attention that can go on where it stopped.
pub trait CachedAttention: Attention {
    /// What it keeps of the tokens it has seen.
    type Cache: AttentionCache;

    /// An empty cache for `batch` sequences of `n_positions` tokens; where more come, it grows.
    fn new_cache(&self, batch: usize, n_positions: usize) -> Self::Cache;

    /// As [`Attention::forward`] on the tokens that follow those in `cache`: `x [batch, new, hidden]` → the same shape.
    fn forward_cached(&self, x: Tensor<3>, cache: &mut Self::Cache) -> Tensor<3>;
}

/// What an attention keeps.
pub trait AttentionCache {
    /// The tokens of a sequence that it has seen, which is the position of the next one.
    fn n_positions(&self) -> usize;

    /// The bytes of its buffers.
    fn n_bytes(&self) -> usize;
}

/// The keys and values of one layer.
#[derive(Debug, Clone)]
pub struct KeyValueCache {
    /// Keys and values `[batch, n_kv_heads, capacity, head_dim]`, of which the first `n_kept` positions are filled.
    buffers: Option<[Tensor<4>; 2]>,
    capacity: usize,
    n_kept: usize,
    n_positions: usize,
    window: Option<usize>,
}

impl KeyValueCache {
    /// An empty cache with buffers for `n_positions`, fewer where the window lets it forget.
    pub fn new(n_positions: usize, window: Option<usize>) -> Self {
        let capacity = window.map_or(n_positions, |window| n_positions.min(2 * window));
        Self { buffers: None, capacity, n_kept: 0, n_positions: 0, window }
    }

    /// Appends `keys` and `values`, each `[batch, n_kv_heads, new, head_dim]`; all that are kept.
    fn append(&mut self, keys: Tensor<4>, values: Tensor<4>) -> [Tensor<4>; 2] {
        let [batch, heads, n_new, dim] = keys.dims();
        self.make_room([batch, heads, dim], n_new, &keys.device());
        let n_kept = self.n_kept + n_new;
        let place = [0..batch, 0..heads, self.n_kept..n_kept, 0..dim];
        let [old_keys, old_values] = self.buffers.take().expect("room was made");
        // Nobody else holds the buffers, so they are written in place.
        let keys = old_keys.slice_assign(place.clone(), keys);
        let values = old_values.slice_assign(place, values);
        let kept = [&keys, &values].map(|buffer| buffer.clone().narrow(2, 0, n_kept));
        self.buffers = Some([keys, values]);
        (self.n_kept, self.n_positions) = (n_kept, self.n_positions + n_new);
        kept
    }

    fn make_room(&mut self, [batch, heads, dim]: [usize; 3], n_new: usize, device: &Device) {
        if self.buffers.is_some() && self.n_kept + n_new <= self.capacity {
            return;
        }
        let n_kept = self.window.map_or(self.n_kept, |window| self.n_kept.min(window - 1));
        if n_kept + n_new > self.capacity {
            let grown = if self.window.is_some() { 0 } else { 2 * self.capacity };
            self.capacity = grown.max(n_kept + n_new);
        }
        let old = self.buffers.take();
        let fresh = || Tensor::<4>::zeros([batch, heads, self.capacity, dim], device);
        self.buffers = Some(match old {
            Some(old) if n_kept > 0 => old.map(|old| {
                let tail = old.narrow(2, self.n_kept - n_kept, n_kept);
                fresh().slice_assign([0..batch, 0..heads, 0..n_kept, 0..dim], tail)
            }),
            _ => [fresh(), fresh()],
        });
        self.n_kept = n_kept;
    }
}

impl AttentionCache for KeyValueCache {
    fn n_positions(&self) -> usize {
        self.n_positions
    }

    fn n_bytes(&self) -> usize {
        let bytes = |buffer: &Tensor<4>| buffer.dims().iter().product::<usize>() * buffer.dtype().size();
        self.buffers.iter().flatten().map(bytes).sum()
    }
}

impl CachedAttention for SelfAttention {
    type Cache = KeyValueCache;

    fn new_cache(&self, _batch: usize, n_positions: usize) -> KeyValueCache {
        KeyValueCache::new(n_positions, self.window)
    }

    fn forward_cached(&self, x: Tensor<3>, cache: &mut KeyValueCache) -> Tensor<3> {
        let [q, k, v] = self.turned(x, cache.n_positions());
        let [keys, values] = cache.append(k, v);
        self.o_proj.forward(self.attend(q, keys, values))
    }
}

impl<A: CachedAttention> DecoderLayer<A> {
    fn attend_cached(&self, x: Tensor<3>, cache: &mut A::Cache) -> Tensor<3> {
        let normed = self.input_layernorm.forward(x.clone());
        x + self.self_attn.forward_cached(normed, cache)
    }
}

impl<A: CachedAttention> Decoder<A> {
    /// An empty cache a layer, for `batch` sequences of `n_positions` tokens.
    pub fn new_caches(&self, batch: usize, n_positions: usize) -> Vec<A::Cache> {
        let layers = self.model.layers.iter();
        layers.map(|layer| layer.self_attn.new_cache(batch, n_positions)).collect()
    }

    /// The logits after the last of `tokens [batch, new]`, which follow those in `caches` (one a layer): `[batch, vocab]`.
    ///
    /// Whatever the cut into steps, the logits are those of [`forward`](Self::forward) on the whole.
    ///
    /// # Panics
    /// If there are not as many caches as layers, or no tokens.
    ///
    /// ```
    /// use burn::tensor::{Device, Int, Tensor};
    /// use grouping_core::nn::DecoderConfig;
    ///
    /// let device = Device::flex();
    /// let decoder = DecoderConfig::new(48, 32, 2, 4, 64).with_n_kv_heads(Some(2)).init(7, &device);
    /// let mut caches = decoder.new_caches(1, 3);
    /// decoder.forward_cached(Tensor::from_data([[1, 2]], &device), &mut caches);
    /// let step = decoder.forward_cached(Tensor::from_data([[3]], &device), &mut caches);
    /// let whole = decoder.forward(Tensor::<2, Int>::from_data([[1, 2, 3]], &device)).narrow(1, 2, 1);
    /// let difference = (step - whole.squeeze_dim(1)).abs().max().into_scalar::<f32>();
    /// assert!(difference < 1e-5, "{difference}");
    /// ```
    pub fn forward_cached(&self, tokens: Tensor<2, Int>, caches: &mut [A::Cache]) -> Tensor<2> {
        let [batch, n_new] = tokens.dims();
        assert!(n_new > 0, "forward_cached: expected a token at least");
        assert_eq!(caches.len(), self.model.layers.len(), "forward_cached: expected a cache a layer");
        let last_token = |x: Tensor<3>| x.narrow(1, n_new - 1, 1).reshape([batch, self.config().hidden_size]);
        let x = self.embed(tokens);
        let x = match self.model.layers.iter().zip(caches).collect::<Vec<_>>().split_last_mut() {
            None => last_token(x),
            Some(((last, last_cache), layers)) => {
                let x = layers
                    .iter_mut()
                    .fold(x, |x, (layer, cache)| layer.feed_forward(layer.attend_cached(x, cache)));
                last.feed_forward(last_token(last.attend_cached(x, last_cache)))
            }
        };
        self.head(x)
    }
}
