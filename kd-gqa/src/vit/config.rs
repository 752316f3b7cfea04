//! Shape and constants of a vision transformer; sizes Ti to L are those of timm.

use burn::config::Config;
use grouping_core::Activation;

use crate::attention::GroupedAttentionConfig;
use crate::checkpoint::TIMM_EPS;
use crate::{Error, Groups};

/// The published sizes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum VitSize {
    /// Width 192, 12 layers, 3 heads.
    Tiny,
    /// Width 384, 12 layers, 6 heads.
    Small,
    /// Width 768, 12 layers, 12 heads.
    Base,
    /// Width 1024, 24 layers, 16 heads.
    Large,
}

/// Shape and constants of a [`Vit`](super::Vit).
#[derive(Config, Debug, PartialEq)]
pub struct VitConfig {
    /// Height and width that the positions were made for.
    pub image_size: [usize; 2],
    /// Height and width of a patch.
    pub patch_size: [usize; 2],
    /// Width of the residual stream.
    pub d_model: usize,
    /// Number of layers.
    pub n_layers: usize,
    /// Number of query heads.
    pub n_heads: usize,
    /// Width of the feed-forward part.
    pub mlp_size: usize,
    /// Number of classes; absent, there is no head and the result is what it would read.
    pub n_classes: Option<usize>,
    /// Channels of an image.
    #[config(default = 3)]
    pub n_channels: usize,
    /// The groups of each layer's query heads; absent, a key/value head each.
    pub groups: Option<Vec<Groups>>,
    /// Size of a head; absent, `d_model / n_heads`.
    pub head_dim: Option<usize>,
    /// Biases on queries, keys, values and the attention's output.
    #[config(default = true)]
    pub attention_bias: bool,
    /// Each query and key head is normed over its coordinates (QK-norm, Dehghani et al. 2023).
    #[config(default = false)]
    pub qk_norm: bool,
    /// Norms stand before attention and feed-forward part, not after their sums.
    #[config(default = true)]
    pub norm_first: bool,
    /// There is a norm before the head.
    #[config(default = true)]
    pub final_norm: bool,
    /// The feed-forward part's function.
    #[config(default = "Activation::Gelu")]
    pub activation: Activation,
    /// ε of the norms.
    #[config(default = "TIMM_EPS")]
    pub norm_eps: f64,
    /// A class token stands before the patches and is read by the head; without one the head reads the mean of all tokens.
    #[config(default = true)]
    pub class_token: bool,
}

impl VitSize {
    /// Width, layers and heads.
    pub fn extents(self) -> [usize; 3] {
        match self {
            Self::Tiny => [192, 12, 3],
            Self::Small => [384, 12, 6],
            Self::Base => [768, 12, 12],
            Self::Large => [1024, 24, 16],
        }
    }
}

impl VitConfig {
    /// A published size for square images and patches; the feed-forward part is four times as wide as the stream.
    ///
    /// ```
    /// use kd_gqa::vit::{VitConfig, VitSize};
    ///
    /// let config = VitConfig::of_size(VitSize::Small, 224, 16, 1000);
    /// assert_eq!((config.n_positions(), config.n_params()?), (197, 22_050_664));
    /// # Ok::<(), kd_gqa::Error>(())
    /// ```
    pub fn of_size(size: VitSize, image_size: usize, patch_size: usize, n_classes: usize) -> Self {
        let [d_model, n_layers, n_heads] = size.extents();
        Self::new([image_size; 2], [patch_size; 2], d_model, n_layers, n_heads, 4 * d_model)
            .with_n_classes(Some(n_classes))
    }

    /// Gives every layer `n_kv_heads` key/value heads for groups of one size.
    ///
    /// # Errors
    /// [`Error::Indivisible`] where that leaves a rest.
    pub fn with_kv_heads(self, n_kv_heads: usize) -> crate::Result<Self> {
        let groups = vec![Groups::uniform(self.n_heads, n_kv_heads)?; self.n_layers];
        Ok(self.with_groups(Some(groups)))
    }

    /// Rows and columns of patches.
    pub fn grid(&self) -> [usize; 2] {
        [0, 1].map(|axis| self.image_size[axis] / self.patch_size[axis].max(1))
    }

    /// Number of tokens, the class token's included.
    pub fn n_positions(&self) -> usize {
        let [rows, columns] = self.grid();
        rows * columns + usize::from(self.class_token)
    }

    /// The attention of one layer.
    ///
    /// # Errors
    /// [`Error::Setting`](grouping_core::Error::Setting) where there are groups, but not for this layer.
    pub fn attention(&self, layer_idx: usize) -> crate::Result<GroupedAttentionConfig> {
        let groups = match &self.groups {
            None => None,
            Some(groups) => {
                Some(groups.get(layer_idx).cloned().ok_or_else(|| self.groups_error(groups.len()))?)
            }
        };
        let n_kv_heads = groups.as_ref().map_or(self.n_heads, Groups::n_kv_heads);
        Ok(GroupedAttentionConfig::new(self.d_model, self.n_heads, n_kv_heads)
            .with_groups(groups)
            .with_head_dim(self.head_dim)
            .with_bias(self.attention_bias)
            .with_qk_norm_eps(self.qk_norm.then_some(self.norm_eps))
            .with_output_scale(self.residual_scale()))
    }

    /// Number of parameters.
    ///
    /// # Errors
    /// As [`check`](Self::check).
    pub fn n_params(&self) -> crate::Result<usize> {
        self.check()?;
        let patch = self.n_channels * self.patch_size[0] * self.patch_size[1];
        let linear = |d_in: usize, d_out: usize, bias: bool| (d_in + usize::from(bias)) * d_out;
        let mut n = linear(patch, self.d_model, true) + self.n_positions() * self.d_model;
        n += (usize::from(self.class_token) + 2 * usize::from(self.final_norm)) * self.d_model;
        n += self.n_classes.map_or(0, |n_classes| linear(self.d_model, n_classes, true));
        for layer_idx in 0..self.n_layers {
            let attention = self.attention(layer_idx)?;
            let (head, bias) = (attention.head_size()?, self.attention_bias);
            let (q_size, kv_size) = (self.n_heads * head, attention.n_kv_heads * head);
            n += linear(self.d_model, q_size, bias) + 2 * linear(self.d_model, kv_size, bias);
            n += linear(q_size, self.d_model, bias) + 4 * self.d_model;
            n += if self.qk_norm { 4 * head } else { 0 };
            n += linear(self.d_model, self.mlp_size, true) + linear(self.mlp_size, self.d_model, true);
        }
        Ok(n)
    }

    /// Whether such a model can be.
    ///
    /// # Errors
    /// [`Error::Setting`](grouping_core::Error::Setting) where an extent is 0, an image has no whole number of patches, or groups are not those of every layer; what
    /// [`GroupedAttentionConfig`] refuses.
    pub fn check(&self) -> crate::Result<()> {
        let extents = [
            ("patch_size", self.patch_size[0].min(self.patch_size[1])),
            ("d_model", self.d_model),
            ("mlp_size", self.mlp_size),
            ("n_layers", self.n_layers),
            ("n_channels", self.n_channels),
            ("n_classes", self.n_classes.unwrap_or(1)),
        ];
        for (name, extent) in extents {
            if extent == 0 {
                return Err(Error::setting(name, "a number above 0", extent));
            }
        }
        self.check_image(self.image_size)?;
        if !(self.norm_eps >= 0.0 && self.norm_eps.is_finite()) {
            return Err(Error::setting("norm_eps", "a number from 0", self.norm_eps));
        }
        if let Some(groups) = &self.groups
            && groups.len() != self.n_layers
        {
            return Err(self.groups_error(groups.len()));
        }
        for layer_idx in 0..self.n_layers {
            let attention = self.attention(layer_idx)?;
            attention.sizes()?;
            attention.head_size()?;
        }
        Ok(())
    }

    /// Whether images of this height and width can be read.
    pub(super) fn check_image(&self, size: [usize; 2]) -> crate::Result<()> {
        let fits = |axis: usize| size[axis] > 0 && size[axis].is_multiple_of(self.patch_size[axis]);
        if !(fits(0) && fits(1)) {
            let [height, width] = self.patch_size;
            let expected = format!("height and width in whole patches of {height}×{width}");
            return Err(Error::setting("image_size", expected, format!("{}×{}", size[0], size[1])));
        }
        Ok(())
    }

    /// What scales the initial weights that write into the residual stream.
    pub(super) fn residual_scale(&self) -> f64 {
        1.0 / (2.0 * self.n_layers as f64).sqrt()
    }

    fn groups_error(&self, found: usize) -> Error {
        Error::setting("groups", format!("those of {} layers", self.n_layers), found)
    }
}
