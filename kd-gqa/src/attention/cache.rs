//! The keys and values of past tokens, of the G key/value heads only: `2 · batch · G · capacity · head_dim` numbers a layer.
//!
//! Nothing is repeated for the H query heads. The buffers grow by doubling up to a bound; new tokens are written in place, and an
//! attention reads them where they lie.

use burn::tensor::{DType, Device, Tensor};

use super::{AttentionOptions, grouped_attention, shape};
use crate::{Error, Groups, Result};

/// The capacity in tokens of a cache's first buffers.
const FIRST_CAPACITY: usize = 64;

/// Keys and values of one layer, for decoding.
///
/// ```
/// use burn::tensor::{Device, Tensor};
/// use kd_gqa::Groups;
/// use kd_gqa::attention::{AttentionOptions, KvCache};
///
/// let device = Device::flex();
/// // Two key/value heads of 4 entries for five query heads, at most 100 tokens.
/// let (mut cache, groups) = (KvCache::new([1, 2, 4], 100, &device)?, Groups::new(vec![4, 1], 5)?);
/// cache.append(Tensor::ones([1, 2, 3, 4], &device), Tensor::ones([1, 2, 3, 4], &device))?;
/// let out = cache.attend(Tensor::ones([1, 5, 1, 4], &device), &groups, &AttentionOptions::causal())?;
/// assert_eq!((out.dims(), cache.len()), ([1, 5, 1, 4], 3));
/// assert_eq!(cache.n_bytes(), 2 * 2 * cache.capacity() * 4 * size_of::<f32>());
/// # Ok::<(), kd_gqa::Error>(())
/// ```
#[derive(Debug)]
pub struct KvCache {
    /// Keys and values, `[batch, G, capacity, head_dim]`; taken out while they are written, so that nobody else holds them.
    buffers: Option<[Tensor<4>; 2]>,
    shape: [usize; 3],
    dtype: DType,
    device: Device,
    n_tokens: usize,
    capacity: usize,
    max_tokens: usize,
}

impl KvCache {
    /// An empty cache for `[batch, G, head_dim]` and at most `max_tokens` tokens, in f32; nothing is allocated yet.
    ///
    /// # Errors
    /// [`Error::Setting`](grouping_core::Error::Setting) where an extent is 0 or a full cache is larger than the address space.
    pub fn new(shape: [usize; 3], max_tokens: usize, device: &Device) -> Result<Self> {
        let extents = [shape[0], shape[1], shape[2], max_tokens, 2 * size_of::<f64>()];
        let n_bytes = extents.iter().try_fold(1usize, |product, &extent| product.checked_mul(extent));
        if extents.contains(&0) || n_bytes.is_none_or(|n| n > isize::MAX as usize) {
            let expected = "extents above 0 whose product fits in memory";
            return Err(Error::setting("cache", expected, format!("{shape:?} of {max_tokens} tokens")));
        }
        let device = device.clone().without_autodiff();
        Ok(Self { buffers: None, shape, dtype: DType::F32, device, n_tokens: 0, capacity: 0, max_tokens })
    }

    /// Sets the type of the stored numbers.
    ///
    /// # Errors
    /// [`Error::Setting`](grouping_core::Error::Setting) where it is no float type or tokens are stored already.
    pub fn with_dtype(self, dtype: DType) -> Result<Self> {
        if !dtype.is_float() || self.capacity > 0 {
            return Err(Error::setting(
                "cache",
                "a float type, set before the first token",
                format!("{dtype:?}"),
            ));
        }
        Ok(Self { dtype, ..self })
    }

    /// Makes room for `n_tokens` tokens at once, so that no later append up to there copies.
    ///
    /// # Errors
    /// [`Error::Setting`](grouping_core::Error::Setting) where that is more than the cache's bound.
    pub fn reserve(&mut self, n_tokens: usize) -> Result<()> {
        self.check_room(n_tokens)?;
        if n_tokens > self.capacity {
            self.grow(n_tokens);
        }
        Ok(())
    }

    /// Writes the keys and values of the next tokens, each `[batch, G, n, head_dim]`.
    ///
    /// # Errors
    /// [`Error::Setting`](grouping_core::Error::Setting) where a shape or the float type does not fit, or the cache would exceed its bound.
    pub fn append(&mut self, k: Tensor<4>, v: Tensor<4>) -> Result<()> {
        let [batch, n_kv_heads, head_dim] = self.shape;
        let n = k.dims()[2];
        for (name, tensor) in [("k", &k), ("v", &v)] {
            let expected = [batch, n_kv_heads, n, head_dim];
            if tensor.dims() != expected {
                return Err(shape(name, &expected, &tensor.dims()));
            }
            if tensor.dtype() != self.dtype {
                let expected = format!("{:?}", self.dtype);
                return Err(Error::setting(name, expected, format!("{:?}", tensor.dtype())));
            }
        }
        let end = self.n_tokens.saturating_add(n);
        self.check_room(end)?;
        if end > self.capacity {
            self.grow(end.max(2 * self.capacity).max(FIRST_CAPACITY).min(self.max_tokens));
        }
        if let Some([keys, values]) = self.buffers.take() {
            let place = [0..batch, 0..n_kv_heads, self.n_tokens..end, 0..head_dim];
            let write = |buffer: Tensor<4>, new: Tensor<4>| {
                let new = if new.is_autodiff() { new.inner() } else { new };
                buffer.slice_assign(place.clone(), new)
            };
            self.buffers = Some([write(keys, k), write(values, v)]);
        }
        self.n_tokens = end;
        Ok(())
    }

    /// Attention of `q [batch, H, n, head_dim]`, the queries of the last n tokens, over all that is stored → the shape of `q`.
    ///
    /// # Errors
    /// As [`grouped_attention()`].
    pub fn attend(&self, q: Tensor<4>, groups: &Groups, options: &AttentionOptions) -> Result<Tensor<4>> {
        Ok(grouped_attention(q, self.keys(), self.values(), groups.sizes(), options)?)
    }

    /// The stored keys, a view `[batch, G, len, head_dim]`; while it is held, an append copies the buffer.
    pub fn keys(&self) -> Tensor<4> {
        self.stored(0)
    }

    /// The stored values, as [`keys`](Self::keys).
    pub fn values(&self) -> Tensor<4> {
        self.stored(1)
    }

    /// The number of tokens stored.
    pub fn len(&self) -> usize {
        self.n_tokens
    }

    /// Whether no token is stored.
    pub fn is_empty(&self) -> bool {
        self.n_tokens == 0
    }

    /// The number of tokens that the buffers hold without growing.
    pub fn capacity(&self) -> usize {
        self.capacity
    }

    /// The bytes of the buffers: `2 · batch · G · capacity · head_dim · size of a number`.
    pub fn n_bytes(&self) -> usize {
        2 * self.shape.iter().product::<usize>() * self.capacity * self.dtype.size()
    }

    /// Forgets all tokens after the first `n_tokens`; the buffers stay.
    pub fn truncate(&mut self, n_tokens: usize) {
        self.n_tokens = self.n_tokens.min(n_tokens);
    }

    fn check_room(&self, n_tokens: usize) -> Result<()> {
        if n_tokens > self.max_tokens {
            let expected = format!("at most {} tokens", self.max_tokens);
            return Err(Error::setting("cache", expected, n_tokens));
        }
        Ok(())
    }

    fn grow(&mut self, capacity: usize) {
        let [batch, n_kv_heads, head_dim] = self.shape;
        let n_tokens = self.n_tokens;
        // One buffer at a time: the peak is the new cache and half of the old one.
        let larger = |old: Option<Tensor<4>>| {
            let new = Tensor::zeros([batch, n_kv_heads, capacity, head_dim], (&self.device, self.dtype));
            match old {
                Some(old) if n_tokens > 0 => {
                    let place = [0..batch, 0..n_kv_heads, 0..n_tokens, 0..head_dim];
                    new.slice_assign(place, old.narrow(2, 0, n_tokens))
                }
                _ => new,
            }
        };
        let (keys, values) = self.buffers.take().map(|[k, v]| (k, v)).unzip();
        let keys = larger(keys);
        self.buffers = Some([keys, larger(values)]);
        self.capacity = capacity;
    }

    fn stored(&self, which: usize) -> Tensor<4> {
        let [batch, n_kv_heads, head_dim] = self.shape;
        match &self.buffers {
            Some(buffers) if self.n_tokens > 0 => buffers[which].clone().narrow(2, 0, self.n_tokens),
            _ => Tensor::zeros([batch, n_kv_heads, 0, head_dim], (&self.device, self.dtype)),
        }
    }
}
