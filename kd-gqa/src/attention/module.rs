//! Self-attention with projections, its query heads in groups of any sizes.
//!
//! `q = x·W_q + b_q` and so on, heads side by side; each query and key head normed over its coordinates where the model does (QK-norm); then [`grouped_attention()`](super::grouped_attention()); then `heads·W_o + b_o`.
//!
//! Shapes: `x [batch, seq, d_model]` → the same; `W_q [d_model, H·head_dim]`, `W_k`, `W_v [d_model, G·head_dim]`, `W_o [H·head_dim, d_model]`.
//!
//! The three input projections are separate: K and V have G heads and Q has H, and checkpoints that fuse them are split when read.

use burn::config::Config;
use burn::module::Module;
use burn::tensor::{Device, Tensor};
use grouping_core::nn::{Bias, Initializer, LayerNorm, Projection};

use super::{AttentionCall, AttentionOptions, Visibility};
use crate::{Error, Groups};

/// Shape and constants of a [`GroupedAttention`].
#[derive(Config, Debug, PartialEq)]
pub struct GroupedAttentionConfig {
    /// Width of the input and output.
    pub d_model: usize,
    /// Number of query heads H.
    pub n_heads: usize,
    /// Number of key/value heads G.
    pub n_kv_heads: usize,
    /// The number of query heads of each key/value head; absent, all alike.
    pub groups: Option<Groups>,
    /// Size of a head; absent, `d_model / n_heads`.
    pub head_dim: Option<usize>,
    /// Biases on the four projections.
    #[config(default = true)]
    pub bias: bool,
    /// ε of the norms of query and key heads; absent, there are none.
    pub qk_norm_eps: Option<f64>,
    /// The probability of dropping a weight while training.
    #[config(default = 0.0)]
    pub dropout: f64,
    /// A position sees no later one.
    #[config(default = false)]
    pub causal: bool,
    /// The factor of the output projection's random weights, for deep residual streams.
    #[config(default = 1.0)]
    pub output_scale: f64,
}

/// The extents of an attention module, checked.
#[derive(Debug, Clone, PartialEq)]
struct Extents {
    groups: Groups,
    head_dim: usize,
    dropout: f64,
    causal: bool,
}

/// Self-attention whose query heads share key/value heads in groups of any sizes.
#[derive(Module, Debug)]
pub struct GroupedAttention {
    /// d_model → H · head_dim.
    pub q_proj: Projection,
    /// d_model → G · head_dim.
    pub k_proj: Projection,
    /// d_model → G · head_dim.
    pub v_proj: Projection,
    /// H · head_dim → d_model.
    pub o_proj: Projection,
    /// Of each query head, `[head_dim]`, where there is one.
    pub q_norm: Option<LayerNorm>,
    /// Of each key head, `[head_dim]`, where there is one.
    pub k_norm: Option<LayerNorm>,
    #[module(skip)]
    extents: Extents,
}

impl GroupedAttentionConfig {
    /// The groups asked for.
    ///
    /// # Errors
    /// [`Error::Indivisible`] where H heads do not make G equal groups and no sizes are given, [`Error::Groups`] or [`Error::Setting`](grouping_core::Error::Setting)
    /// where the sizes given do not fit.
    pub fn sizes(&self) -> crate::Result<Groups> {
        match &self.groups {
            None => Groups::uniform(self.n_heads, self.n_kv_heads),
            Some(groups) if groups.n_kv_heads() != self.n_kv_heads => {
                Err(Error::setting("groups", format!("{} sizes", self.n_kv_heads), groups.n_kv_heads()))
            }
            Some(groups) => Groups::new(groups.sizes().to_vec(), self.n_heads),
        }
    }

    /// Size of a head.
    ///
    /// # Errors
    /// [`Error::Setting`](grouping_core::Error::Setting) where it is not given and H does not divide d_model, or it is 0.
    pub fn head_size(&self) -> crate::Result<usize> {
        match self.head_dim {
            Some(size) if size > 0 => Ok(size),
            None if self.n_heads > 0 && self.d_model > 0 && self.d_model.is_multiple_of(self.n_heads) => {
                Ok(self.d_model / self.n_heads)
            }
            _ => {
                let found =
                    format!("d_model {}, {} heads, head_dim {:?}", self.d_model, self.n_heads, self.head_dim);
                Err(Error::setting("head_dim", "a size above 0, by default d_model / n_heads", found))
            }
        }
    }

    /// A module with random weights, all determined by `seed`: normal with variance 1/inputs, biases 0.
    ///
    /// ```
    /// use burn::tensor::{Device, Tensor};
    /// use kd_gqa::attention::GroupedAttentionConfig;
    /// use kd_gqa::Groups;
    ///
    /// let device = Device::flex();
    /// let config = GroupedAttentionConfig::new(48, 6, 3).with_groups(Some(Groups::new(vec![4, 1, 1], 6)?));
    /// let attention = config.init(7, &device)?;
    /// assert_eq!(attention.forward(Tensor::ones([2, 5, 48], &device)).dims(), [2, 5, 48]);
    /// # Ok::<(), kd_gqa::Error>(())
    /// ```
    ///
    /// # Errors
    /// As [`sizes`](Self::sizes) and [`head_size`](Self::head_size), and [`Error::Setting`](grouping_core::Error::Setting) where the dropout is no probability below 1.
    pub fn init(&self, seed: u64, device: &Device) -> crate::Result<GroupedAttention> {
        self.init_with(&mut Initializer::new(seed, device))
    }

    /// As [`init`](Self::init), with the next parameters of a larger model.
    ///
    /// # Errors
    /// As [`init`](Self::init).
    pub fn init_with(&self, init: &mut Initializer) -> crate::Result<GroupedAttention> {
        let extents = self.extents()?;
        let (q_size, kv_size) = (self.n_heads * extents.head_dim, self.n_kv_heads * extents.head_dim);
        let bias = if self.bias { Bias::Zeros } else { Bias::None };
        let mut projection = |d_in: usize, d_out: usize, scale: f64| {
            Projection::new([d_in, d_out], scale / (d_in as f64).sqrt(), bias, init)
        };
        let q_proj = projection(self.d_model, q_size, 1.0);
        let [k_proj, v_proj] = [(); 2].map(|()| projection(self.d_model, kv_size, 1.0));
        let o_proj = projection(q_size, self.d_model, self.output_scale);
        let mut norm = || self.qk_norm_eps.map(|eps| LayerNorm::new(extents.head_dim, eps, init));
        let (q_norm, k_norm) = (norm(), norm());
        Ok(GroupedAttention { q_proj, k_proj, v_proj, o_proj, q_norm, k_norm, extents })
    }

    fn extents(&self) -> crate::Result<Extents> {
        if !(0.0..1.0).contains(&self.dropout) {
            return Err(Error::setting("dropout", "a probability from 0 up to, but not, 1", self.dropout));
        }
        let (groups, head_dim) = (self.sizes()?, self.head_size()?);
        Ok(Extents { groups, head_dim, dropout: self.dropout, causal: self.causal })
    }
}

impl GroupedAttention {
    /// The groups of the query heads.
    pub fn groups(&self) -> &Groups {
        &self.extents.groups
    }

    /// Size of a head.
    pub fn head_dim(&self) -> usize {
        self.extents.head_dim
    }

    /// Sets other groups over the same heads.
    ///
    /// # Errors
    /// [`Error::Groups`] or [`Error::Setting`](grouping_core::Error::Setting) where their heads are not those of this module.
    pub fn set_groups(&mut self, groups: Groups) -> crate::Result<()> {
        self.check_groups(&groups)?;
        self.extents.groups = groups;
        Ok(())
    }

    /// The attention without dropout: `x [batch, seq, d_model]` → the same shape.
    ///
    /// # Panics
    /// If the last axis of `x` is not d_model.
    pub fn forward(&self, x: Tensor<3>) -> Tensor<3> {
        self.forward_hooked(x, 0, &mut |call| call.run()).expect("the module's own groups fit")
    }

    /// As [`forward`](Self::forward), with other groups for this once.
    ///
    /// # Errors
    /// [`Error::Groups`] or [`Error::Setting`](grouping_core::Error::Setting) where their heads are not those of this module.
    pub fn forward_with(&self, x: Tensor<3>, groups: &Groups) -> crate::Result<Tensor<3>> {
        self.check_groups(groups)?;
        self.forward_hooked(x, 0, &mut |call| call.run_with(groups))
    }

    /// As [`forward`](Self::forward), while training: weights are dropped as the configuration says and `seed` decides.
    pub fn forward_train(&self, x: Tensor<3>, seed: u64) -> Tensor<3> {
        let hook: Hook<'_> = &mut |call| call.run();
        let heads = self.heads(&x, 0, self.options().with_dropout(self.extents.dropout, seed), hook);
        self.o_proj.forward(heads.expect("the module's own groups fit"))
    }

    /// As [`forward`](Self::forward), with the attention itself done by `hook`, which receives the projected heads of this layer,
    /// number `layer_idx`, and returns the heads' outputs `[batch, H, seq, head_dim]`.
    ///
    /// # Errors
    /// Those of `hook`.
    ///
    /// ```
    /// use burn::tensor::{Device, Tensor};
    /// use kd_gqa::attention::GroupedAttentionConfig;
    ///
    /// let device = Device::flex();
    /// let attention = GroupedAttentionConfig::new(48, 6, 3).init(7, &device)?;
    /// let mut norms = Vec::new();
    /// attention.forward_hooked(Tensor::ones([2, 5, 48], &device), 0, &mut |call| {
    ///     norms.push(call.k.clone().powi_scalar(2).sum().into_scalar::<f32>().sqrt());
    ///     call.run()
    /// })?;
    /// assert!(norms[0] > 0.0);
    /// # Ok::<(), kd_gqa::Error>(())
    /// ```
    pub fn forward_hooked(&self, x: Tensor<3>, layer_idx: usize, hook: Hook<'_>) -> crate::Result<Tensor<3>> {
        Ok(self.o_proj.forward(self.heads(&x, layer_idx, self.options(), hook)?))
    }

    /// `residual + forward_hooked(x)`, all `[batch, seq, d_model]`.
    ///
    /// # Errors
    /// Those of `hook`.
    pub fn forward_onto(
        &self,
        residual: Tensor<3>,
        x: Tensor<3>,
        layer_idx: usize,
        hook: Hook<'_>,
    ) -> crate::Result<Tensor<3>> {
        Ok(self.o_proj.forward_onto(residual, self.heads(&x, layer_idx, self.options(), hook)?))
    }

    /// `residual + forward(x)` of the first `n_rows` positions alone, which is all that some models read of their last layer:
    /// `x [batch, seq, d_model]`, `residual [batch, n_rows, d_model]` → the shape of `residual`. Not for causal attention.
    ///
    /// # Errors
    /// [`Error::Setting`](grouping_core::Error::Setting) where the attention is causal.
    pub fn forward_rows_onto(&self, residual: Tensor<3>, x: Tensor<3>) -> crate::Result<Tensor<3>> {
        if self.extents.causal {
            return Err(Error::setting("causal", "false, where only the first positions are wanted", true));
        }
        let [batch, n_rows, _] = residual.dims();
        let groups = &self.extents.groups;
        let q = self.queries(x.clone().narrow(1, 0, n_rows));
        let (k, v) = (self.keys(x.clone()), self.values(x));
        let out = super::grouped_attention(q, k, v, groups.sizes(), &self.options())?;
        let out = out.swap_dims(1, 2).reshape([batch, n_rows, groups.n_heads() * self.extents.head_dim]);
        Ok(self.o_proj.forward_onto(residual, out))
    }

    fn queries(&self, x: Tensor<3>) -> Tensor<4> {
        self.split(&self.q_proj, self.q_norm.as_ref(), x)
    }

    fn keys(&self, x: Tensor<3>) -> Tensor<4> {
        self.split(&self.k_proj, self.k_norm.as_ref(), x)
    }

    fn values(&self, x: Tensor<3>) -> Tensor<4> {
        self.split(&self.v_proj, None, x)
    }

    /// The heads of a projection of `x [batch, seq, d_model]`: `[batch, heads, seq, head_dim]`.
    fn split(&self, projection: &Projection, norm: Option<&LayerNorm>, x: Tensor<3>) -> Tensor<4> {
        let ([batch, seq, _], head_dim) = (x.dims(), self.extents.head_dim);
        let [_, size] = projection.dims();
        let heads = projection.forward(x).reshape([batch, seq, size / head_dim, head_dim]);
        let heads = match norm {
            Some(norm) => norm.forward(heads),
            None => heads,
        };
        heads.swap_dims(1, 2)
    }

    fn options(&self) -> AttentionOptions {
        let visibility = if self.extents.causal { Visibility::Causal } else { Visibility::All };
        AttentionOptions::new().with_visibility(visibility)
    }

    /// What the heads give, side by side: `[batch, seq, H · head_dim]`.
    fn heads(
        &self,
        x: &Tensor<3>,
        layer_idx: usize,
        options: AttentionOptions,
        hook: Hook<'_>,
    ) -> crate::Result<Tensor<3>> {
        let [batch, seq, _] = x.dims();
        let Extents { groups, head_dim, .. } = &self.extents;
        let out = hook(AttentionCall {
            layer_idx,
            input: x,
            q: self.queries(x.clone()),
            k: self.keys(x.clone()),
            v: self.values(x.clone()),
            groups,
            options: &options,
        })?;
        Ok(out.swap_dims(1, 2).reshape([batch, seq, groups.n_heads() * head_dim]))
    }

    fn check_groups(&self, groups: &Groups) -> crate::Result<()> {
        let own = self.groups();
        if groups.n_heads() != own.n_heads() {
            return Err(Error::Groups { sizes: groups.sizes().to_vec(), n_heads: own.n_heads() });
        }
        if groups.n_kv_heads() != own.n_kv_heads() {
            return Err(Error::setting("groups", format!("{} sizes", own.n_kv_heads()), groups.n_kv_heads()));
        }
        Ok(())
    }
}

/// Does the attention of a layer in the place of [`AttentionCall::run`].
pub type Hook<'a> = &'a mut dyn FnMut(AttentionCall<'_>) -> crate::Result<Tensor<4>>;
