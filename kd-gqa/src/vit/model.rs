//! The whole model: tokens, layers, head.

use burn::module::{Module, Param};
use burn::tensor::{Device, Tensor, TensorData};
use grouping_core::nn::{Bias, EncoderBlock, FeedForward, Initializer, LayerNorm, Projection, patches};

use super::config::VitConfig;
use super::positions::resample_positions;
use crate::attention::{GroupedAttention, Hook};
use crate::{Error, Groups, Result};

/// A layer of a [`Vit`].
pub type VitLayer = EncoderBlock<GroupedAttention>;

/// A vision transformer.
#[derive(Module, Debug)]
pub struct Vit {
    /// `[d_model]`, where there is a class token.
    pub cls_token: Option<Param<Tensor<1>>>,
    /// `[positions, d_model]`, the class token's first.
    pub pos_embed: Param<Tensor<2>>,
    /// A patch of all channels → d_model.
    pub patch_embed: Projection,
    /// The layers.
    pub layers: Vec<VitLayer>,
    /// The norm before the head, where there is one.
    pub norm: Option<LayerNorm>,
    /// d_model → classes, where there is a head.
    pub head: Option<Projection>,
    #[module(skip)]
    pub(super) config: VitConfig,
}

impl VitConfig {
    /// A model with random weights, all determined by `seed`: normal with variance 1/inputs, those that write into the residual stream
    /// smaller by √(2·layers); embeddings with deviation 0.02.
    ///
    /// # Errors
    /// As [`check`](Self::check).
    ///
    /// ```
    /// use burn::tensor::{Device, Tensor};
    /// use kd_gqa::vit::VitConfig;
    ///
    /// let device = Device::flex();
    /// let config = VitConfig::new([32, 32], [8, 8], 48, 2, 6, 96).with_n_classes(Some(10)).with_kv_heads(3)?;
    /// let vit = config.init(7, &device)?;
    /// assert_eq!(vit.forward(Tensor::ones([2, 3, 32, 32], &device))?.dims(), [2, 10]);
    /// # Ok::<(), kd_gqa::Error>(())
    /// ```
    pub fn init(&self, seed: u64, device: &Device) -> Result<Vit> {
        self.check()?;
        let mut init = Initializer::new(seed, device);
        let (d, init) = (self.d_model, &mut init);
        let patch = self.n_channels * self.patch_size[0] * self.patch_size[1];
        let projection = |d_in: usize, d_out: usize, init: &mut Initializer| {
            Projection::new([d_in, d_out], 1.0 / (d_in as f64).sqrt(), Bias::Zeros, init)
        };
        Ok(Vit {
            cls_token: self.class_token.then(|| init.normal([d], EMBEDDING_STD)),
            pos_embed: init.normal([self.n_positions(), d], EMBEDDING_STD),
            patch_embed: projection(patch, d, init),
            layers: (0..self.n_layers).map(|i| self.init_layer(i, init)).collect::<Result<_>>()?,
            norm: self.final_norm.then(|| LayerNorm::new(d, self.norm_eps, init)),
            head: self.n_classes.map(|n_classes| projection(d, n_classes, init)),
            config: self.clone(),
        })
    }

    fn init_layer(&self, layer_idx: usize, init: &mut Initializer) -> Result<VitLayer> {
        let (d, extents) = (self.d_model, [self.d_model, self.mlp_size]);
        Ok(VitLayer {
            norm1: LayerNorm::new(d, self.norm_eps, init),
            attention: self.attention(layer_idx)?.init_with(init)?,
            norm2: LayerNorm::new(d, self.norm_eps, init),
            mlp: FeedForward::new(extents, self.residual_scale(), self.activation, init),
            norm_first: self.norm_first,
        })
    }
}

/// The deviation of random class and position embeddings.
const EMBEDDING_STD: f64 = 0.02;

impl Vit {
    /// Shape and constants; the groups are those that the model was made with, see [`groups`](Self::groups).
    pub fn config(&self) -> &VitConfig {
        &self.config
    }

    /// The groups of each layer.
    pub fn groups(&self) -> Vec<Groups> {
        self.layers.iter().map(|layer| layer.attention.groups().clone()).collect()
    }

    /// Sets the groups of each layer over the same heads.
    ///
    /// # Errors
    /// [`Error::Setting`](grouping_core::Error::Setting) where there are not as many as layers; [`Error::Groups`] or [`Error::Setting`](grouping_core::Error::Setting) where heads do not fit.
    pub fn set_groups(&mut self, groups: Vec<Groups>) -> Result<()> {
        if groups.len() != self.layers.len() {
            return Err(Error::setting(
                "groups",
                format!("those of {} layers", self.layers.len()),
                groups.len(),
            ));
        }
        for (layer, groups) in self.layers.iter_mut().zip(groups) {
            layer.attention.set_groups(groups)?;
        }
        Ok(())
    }

    /// The logits `[batch, classes]` of normalised `images [batch, channels, height, width]` of any size in whole patches; without a head,
    /// what it would read, `[batch, d_model]`.
    ///
    /// # Errors
    /// [`Error::Setting`](grouping_core::Error::Setting) where there is no image, or channels or size do not fit.
    pub fn forward(&self, images: Tensor<4>) -> Result<Tensor<2>> {
        let (last, layers) = self.layers.split_last().expect("a model has layers");
        let x = self.layers_hooked(layers, self.embed(images)?, &mut |call| call.run())?;
        // In the last layer no token reads another but by its attention, so all else is done for what the head reads.
        let x = if self.cls_token.is_some() {
            let first = x.clone().narrow(1, 0, 1);
            last.attend_with(first, x, |attention, first, x| attention.forward_rows_onto(first, x))?
        } else {
            attend(last, x, layers.len(), &mut |call| call.run())?
        };
        Ok(self.read(last, x))
    }

    /// As [`forward`](Self::forward), with each layer's attention done by `hook`; see [`AttentionCall`](crate::attention::AttentionCall).
    ///
    /// # Errors
    /// As [`forward`](Self::forward), and those of `hook`.
    pub fn forward_hooked(&self, images: Tensor<4>, hook: Hook<'_>) -> Result<Tensor<2>> {
        let (last, layers) = self.layers.split_last().expect("a model has layers");
        let x = self.layers_hooked(layers, self.embed(images)?, hook)?;
        let x = attend(last, x, layers.len(), hook)?;
        Ok(self.read(last, x))
    }

    fn layers_hooked(&self, layers: &[VitLayer], mut x: Tensor<3>, hook: Hook<'_>) -> Result<Tensor<3>> {
        for (layer_idx, layer) in layers.iter().enumerate() {
            x = layer.feed_forward(attend(layer, x, layer_idx, hook)?);
        }
        Ok(x)
    }

    /// From the last attention's sum `[batch, tokens, d_model]` (or its first token alone, where that is the class token) to the logits.
    fn read(&self, last: &VitLayer, x: Tensor<3>) -> Tensor<2> {
        let [batch, n_tokens, d_model] = x.dims();
        let x = if self.cls_token.is_some() {
            last.feed_forward(x.narrow(1, 0, 1).reshape([batch, d_model]))
        } else {
            last.feed_forward(x).sum_dim(1).div_scalar(n_tokens as f64).reshape([batch, d_model])
        };
        let x = match &self.norm {
            Some(norm) => norm.forward(x),
            None => x,
        };
        match &self.head {
            Some(head) => head.forward(x),
            None => x,
        }
    }

    /// The residual stream before the first layer: `[batch, tokens, d_model]`.
    ///
    /// # Errors
    /// As [`forward`](Self::forward).
    pub fn embed(&self, images: Tensor<4>) -> Result<Tensor<3>> {
        let [batch, n_channels, height, width] = images.dims();
        if batch == 0 {
            return Err(Error::setting("images", "at least one", batch));
        }
        if n_channels != self.config.n_channels {
            return Err(Error::setting("image", format!("{} channels", self.config.n_channels), n_channels));
        }
        self.config.check_image([height, width])?;
        let grid = [height / self.config.patch_size[0], width / self.config.patch_size[1]];
        let x = self.patch_embed.forward(patches(images, self.config.patch_size));
        let x = match &self.cls_token {
            Some(cls_token) => {
                let d_model = self.config.d_model;
                let first = cls_token.val().reshape([1, 1, d_model]).expand([batch, 1, d_model]);
                Tensor::cat(vec![first, x], 1)
            }
            None => x,
        };
        Ok(x + self.positions(grid).unsqueeze())
    }

    /// The position embeddings of a grid of patches, `[tokens, d_model]`; those of another grid than the model's own carry no gradient.
    fn positions(&self, grid: [usize; 2]) -> Tensor<2> {
        let (own, positions) = (self.config.grid(), self.pos_embed.val());
        if grid == own {
            return positions;
        }
        let ([_, d_model], n_prefix) = (positions.dims(), usize::from(self.config.class_token));
        let device = positions.device().without_autodiff();
        let values = positions.into_data().try_into_vec::<f32>().expect("parameters are f32");
        let (prefix, old) = values.split_at(n_prefix * d_model);
        let values = [prefix, &resample_positions(old, own, grid)].concat();
        let n_tokens = n_prefix + grid[0] * grid[1];
        Tensor::from_data(TensorData::new(values, [n_tokens, d_model]), &device)
    }
}

/// The first half of layer `layer_idx`, its attention done by `hook`: `x [batch, tokens, d_model]` → the same shape.
fn attend(layer: &VitLayer, x: Tensor<3>, layer_idx: usize, hook: Hook<'_>) -> Result<Tensor<3>> {
    layer.attend_with(x.clone(), x, |attention, residual, x| {
        attention.forward_onto(residual, x, layer_idx, hook)
    })
}
