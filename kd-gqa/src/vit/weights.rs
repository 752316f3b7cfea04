//! A model's tensors by neutral names, whatever a checkpoint calls them, in and out.
//!
//! | name | shape |
//! |---|---|
//! | `cls_token` | `[d]`, where there is one |
//! | `pos_embed` | `[positions, d]` |
//! | `patch_embed.{weight,bias}` | `[d, channels, patch height, patch width]`, `[d]` |
//! | `layers.N.{norm1,norm2}.{weight,bias}` | `[d]` |
//! | `layers.N.attention.{query,key,value,output}.{weight,bias}` | `[H·hd, d]`, `[G·hd, d]`, `[G·hd, d]`, `[d, H·hd]` |
//! | `layers.N.attention.{query_norm,key_norm}.{weight,bias}` | `[hd]`: of each head, where there are some |
//! | `layers.N.mlp.{fc1,fc2}.{weight,bias}` | `[m, d]`, `[d, m]` |
//! | `norm.{weight,bias}` | `[d]`: the norm before the head, where there is one |
//! | `head.{weight,bias}` | `[classes, d]`, where there is one |
//!
//! Weights of products are stored `[out, in]`, as checkpoints do.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use burn::module::Param;
use burn::tensor::{Device, Tensor, TensorData};
use grouping_core::nn::{FeedForward, LayerNorm, Projection};

use super::config::VitConfig;
use super::model::{Vit, VitLayer};
use crate::{Error, Result};

/// Where a model's tensors come from.
pub trait Weights {
    /// The file, for messages.
    fn path(&self) -> &Path;

    /// The shape of a tensor, where there is one of this name.
    fn shape(&self, name: &str) -> Option<Vec<usize>>;

    /// The values of a tensor, row by row.
    ///
    /// # Errors
    /// Whatever reading a file brings.
    fn values(&self, name: &str) -> Result<Vec<f32>>;
}

/// Tensors in memory by name: what [`Vit::tensors`] gives, and a source of them.
#[derive(Debug, Clone, Default)]
pub struct NamedTensors {
    /// What messages call the source.
    pub path: PathBuf,
    /// Shape and values of each tensor.
    pub tensors: BTreeMap<String, (Vec<usize>, Vec<f32>)>,
}

impl Weights for NamedTensors {
    fn path(&self) -> &Path {
        &self.path
    }

    fn shape(&self, name: &str) -> Option<Vec<usize>> {
        self.tensors.get(name).map(|(shape, _)| shape.clone())
    }

    fn values(&self, name: &str) -> Result<Vec<f32>> {
        match self.tensors.get(name) {
            Some((_, values)) => Ok(values.clone()),
            None => Err(Error::format(&self.path, name, "a tensor of this name", "none")),
        }
    }
}

/// Reads tensors, checking each shape first.
struct Reader<'a> {
    weights: &'a dyn Weights,
    device: &'a Device,
}

impl Reader<'_> {
    fn param<const D: usize>(&self, name: &str, shape: [usize; D]) -> Result<Param<Tensor<D>>> {
        let values = self.checked(name, &shape)?;
        Ok(Param::from_tensor(Tensor::from_data(TensorData::new(values, shape), self.device)))
    }

    fn checked(&self, name: &str, expected: &[usize]) -> Result<Vec<f32>> {
        let fail = |found: String| {
            Error::format(self.weights.path(), name, format!("a tensor of shape {expected:?}"), found)
        };
        let found = self.weights.shape(name).ok_or_else(|| fail("none".into()))?;
        let values = if found == expected {
            self.weights.values(name)?
        } else {
            return Err(fail(format!("{found:?}")));
        };
        let n = expected.iter().product::<usize>();
        if values.len() == n { Ok(values) } else { Err(fail(format!("{} values", values.len()))) }
    }

    fn norm(&self, name: &str, d: usize, eps: f64) -> Result<LayerNorm> {
        let part = |part: &str| self.param(&format!("{name}.{part}"), [d]);
        Ok(LayerNorm { weight: part("weight")?, bias: part("bias")?, eps })
    }

    /// A product whose weight has `shape [out, …]`; the axes after the first are one.
    fn projection(&self, name: &str, shape: &[usize], bias: bool) -> Result<Projection> {
        let (d_out, d_in) = (shape[0], shape[1..].iter().product::<usize>());
        let values = self.checked(&format!("{name}.weight"), shape)?;
        let plain = self.device.clone().without_autodiff();
        let rows = Tensor::<2>::from_data(TensorData::new(values, [d_out, d_in]), &plain).transpose();
        // Read out and in again, the transpose lies in memory without gaps.
        let weight = Param::from_tensor(Tensor::from_data(rows.into_data(), self.device));
        let bias = if bias { Some(self.param(&format!("{name}.bias"), [d_out])?) } else { None };
        Ok(Projection { weight, bias, low_rank: None })
    }

    fn layer(&self, config: &VitConfig, layer_idx: usize) -> Result<VitLayer> {
        let name = |part: &str| format!("layers.{layer_idx}.{part}");
        let attention = config.attention(layer_idx)?;
        let (d, head, bias) = (config.d_model, attention.head_size()?, config.attention_bias);
        let (q_size, kv_size) = (attention.n_heads * head, attention.n_kv_heads * head);
        let part = |part: &str, shape: [usize; 2]| {
            self.projection(&name(&format!("attention.{part}")), &shape, bias)
        };
        let projections = [
            part("query", [q_size, d])?,
            part("key", [kv_size, d])?,
            part("value", [kv_size, d])?,
            part("output", [d, q_size])?,
        ];
        let head_norm = |part: &str| {
            let of_heads = |eps| self.norm(&name(&format!("attention.{part}")), head, eps);
            attention.qk_norm_eps.map(of_heads).transpose()
        };
        let head_norms = [head_norm("query_norm")?, head_norm("key_norm")?];
        let norm = |part: &str| self.norm(&name(part), d, config.norm_eps);
        let fc1 = self.projection(&name("mlp.fc1"), &[config.mlp_size, d], true)?;
        let fc2 = self.projection(&name("mlp.fc2"), &[d, config.mlp_size], true)?;
        Ok(VitLayer {
            norm1: norm("norm1")?,
            attention: attention.with_projections(projections, head_norms)?,
            norm2: norm("norm2")?,
            mlp: FeedForward::with_projections(config.activation, fc1, fc2),
            norm_first: config.norm_first,
        })
    }
}

impl VitConfig {
    /// A model whose parameters are `weights`, on `device`.
    ///
    /// # Errors
    /// As [`check`](Self::check), and [`Error::Format`] where a tensor is missing or has another shape.
    pub fn load(&self, weights: &dyn Weights, device: &Device) -> Result<Vit> {
        self.check()?;
        let reader = Reader { weights, device };
        let d = self.d_model;
        let [patch_height, patch_width] = self.patch_size;
        let cls_token = if self.class_token { Some(reader.param("cls_token", [d])?) } else { None };
        let layers =
            (0..self.n_layers).map(|layer_idx| reader.layer(self, layer_idx)).collect::<Result<_>>()?;
        Ok(Vit {
            cls_token,
            pos_embed: reader.param("pos_embed", [self.n_positions(), d])?,
            patch_embed: reader.projection(
                "patch_embed",
                &[d, self.n_channels, patch_height, patch_width],
                true,
            )?,
            layers,
            norm: if self.final_norm { Some(reader.norm("norm", d, self.norm_eps)?) } else { None },
            head: match self.n_classes {
                Some(n_classes) => Some(reader.projection("head", &[n_classes, d], true)?),
                None => None,
            },
            config: self.clone(),
        })
    }
}

impl Vit {
    /// All parameters by neutral names, `[out, in]` for products.
    pub fn tensors(&self) -> NamedTensors {
        let mut named = NamedTensors::default();
        let mut put = |name: String, shape: Vec<usize>, tensor: TensorData| {
            let values = tensor.try_into_vec::<f32>().expect("parameters are f32");
            named.tensors.insert(name, (shape, values));
        };
        let mut vector =
            |name: String, tensor: Tensor<1>| put(name, tensor.dims().to_vec(), tensor.into_data());
        if let Some(cls_token) = &self.cls_token {
            vector("cls_token".into(), cls_token.val());
        }
        let norms = self.layers.iter().enumerate().flat_map(|(layer_idx, layer)| {
            let name = move |part: &str| format!("layers.{layer_idx}.{part}");
            let of_heads = [
                ("attention.query_norm", &layer.attention.q_norm),
                ("attention.key_norm", &layer.attention.k_norm),
            ];
            let of_heads =
                of_heads.into_iter().filter_map(move |(part, norm)| Some((name(part), norm.as_ref()?)));
            [(name("norm1"), &layer.norm1), (name("norm2"), &layer.norm2)].into_iter().chain(of_heads)
        });
        for (name, norm) in norms.chain(self.norm.iter().map(|norm| ("norm".into(), norm))) {
            vector(format!("{name}.weight"), norm.weight.val());
            vector(format!("{name}.bias"), norm.bias.val());
        }
        let projections = self.projections();
        for (name, projection) in &projections {
            if let Some(bias) = &projection.bias {
                vector(format!("{name}.bias"), bias.val());
            }
        }
        for (name, projection) in projections {
            let weight = projection.weight.val().transpose();
            let mut shape = weight.dims().to_vec();
            if name == "patch_embed" {
                let [height, width] = self.config.patch_size;
                shape.splice(1.., [self.config.n_channels, height, width]);
            }
            put(format!("{name}.weight"), shape, weight.into_data());
        }
        let positions = self.pos_embed.val();
        put("pos_embed".into(), positions.dims().to_vec(), positions.into_data());
        named
    }

    /// Every product with its neutral name.
    pub(super) fn projections(&self) -> Vec<(String, &Projection)> {
        let mut all = vec![("patch_embed".to_string(), &self.patch_embed)];
        for (layer_idx, layer) in self.layers.iter().enumerate() {
            let (attention, mlp) = (&layer.attention, &layer.mlp);
            let parts = [
                ("attention.query", &attention.q_proj),
                ("attention.key", &attention.k_proj),
                ("attention.value", &attention.v_proj),
                ("attention.output", &attention.o_proj),
                ("mlp.fc1", &mlp.fc1),
                ("mlp.fc2", &mlp.fc2),
            ];
            all.extend(parts.map(|(part, projection)| (format!("layers.{layer_idx}.{part}"), projection)));
        }
        all.extend(self.head.iter().map(|head| ("head".to_string(), head)));
        all
    }
}
