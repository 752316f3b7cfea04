//! A vision transformer's tensors by neutral names, whatever the dialect.
//!
//! | neutral | shape |
//! |---|---|
//! | `cls_token` | `[d]`, where there is one |
//! | `pos_embed` | `[P, d]` |
//! | `patch_embed.{weight,bias}` | `[d, C, p, p]`, `[d]` |
//! | `layers.N.{norm1,norm2}.{weight,bias}` | `[d]` |
//! | `layers.N.attention.{query,key,value,output}.{weight,bias}` | `[H·hd, d]`, `[G·hd, d]`, `[G·hd, d]`, `[d, H·hd]`; biases where there are some |
//! | `layers.N.attention.{query_norm,key_norm}.{weight,bias}` | `[hd]`, where there are some (timm's `qk_norm`) |
//! | `layers.N.mlp.{fc1,fc2}.{weight,bias}` | `[m, d]`, `[d, m]` |
//! | `norm.{weight,bias}` | `[d]`: the norm before the head, where there is one |
//! | `head.{weight,bias}` | `[n_classes, d]`, where there is one |
//!
//! Around `nn.TransformerEncoder` every program has its own names, so there the tensors outside the layers are known by their shapes. What a
//! file has beside these (layer scales, registers) such a model would have to compute, so it is refused by name.
//! What neither names nor [`VitSettings`](super::VitSettings) say is assumed as the dialect's library has it by default: timm and Hugging Face norm
//! before each part and use GELU, `nn.TransformerEncoder` norms after it and uses ReLU.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;
use std::path::Path;

use grouping_core::Activation;
use grouping_core::files::tensor_file::TensorFile;

use super::{Checkpoint, Dialect, Projection};
use crate::vit::{TIMM_EPS, VitConfig, Weights};
use crate::{Error, Result};

/// A vision transformer's tensors by neutral names.
#[derive(Debug)]
pub struct VitTensors<'a> {
    checkpoint: &'a Checkpoint,
    config: VitConfig,
    places: BTreeMap<String, Place>,
}

#[derive(Debug, Clone)]
struct Place {
    /// The stored tensor; none is zeros.
    name: Option<String>,
    shape: Vec<usize>,
    /// Rows of the stored tensor, where it holds other tensors too.
    rows: Option<Range<usize>>,
}

impl VitTensors<'_> {
    /// Sizes and constants of the model, as [`VitConfig::load`] wants them.
    pub fn config(&self) -> &VitConfig {
        &self.config
    }

    /// Neutral names of all tensors, sorted.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.places.keys().map(String::as_str)
    }
}

impl Weights for VitTensors<'_> {
    fn path(&self) -> &Path {
        self.checkpoint.path()
    }

    fn shape(&self, name: &str) -> Option<Vec<usize>> {
        self.places.get(name).map(|place| place.shape.clone())
    }

    fn values(&self, name: &str) -> Result<Vec<f32>> {
        let missing = || Error::format(self.checkpoint.path(), name, "a tensor of this neutral name", "none");
        let Place { name, shape, rows } = self.places.get(name).ok_or_else(missing)?;
        let Some(name) = name else { return Ok(vec![0.0; shape.iter().product()]) };
        let file = self.checkpoint.tensors().holder(name)?;
        Ok(match rows {
            Some(rows) => file.decode_rows(name, rows.clone())?,
            None => file.decode(name)?.values,
        })
    }
}

/// Names behind a layer's prefix: norms and feed-forward part, neutral and stored.
fn layer_names(dialect: Dialect) -> [(&'static str, &'static str); 4] {
    match dialect {
        Dialect::HuggingFaceVit => [
            ("norm1", "layernorm_before"),
            ("norm2", "layernorm_after"),
            ("mlp.fc1", "intermediate.dense"),
            ("mlp.fc2", "output.dense"),
        ],
        Dialect::HuggingFaceVitNew => [
            ("norm1", "layernorm_before"),
            ("norm2", "layernorm_after"),
            ("mlp.fc1", "mlp.fc1"),
            ("mlp.fc2", "mlp.fc2"),
        ],
        Dialect::TorchEncoder => {
            [("norm1", "norm1"), ("norm2", "norm2"), ("mlp.fc1", "linear1"), ("mlp.fc2", "linear2")]
        }
        _ => [("norm1", "norm1"), ("norm2", "norm2"), ("mlp.fc1", "mlp.fc1"), ("mlp.fc2", "mlp.fc2")],
    }
}

pub(super) fn of(checkpoint: &Checkpoint) -> Result<VitTensors<'_>> {
    let dialect = checkpoint.dialect();
    if !dialect.is_vit() {
        return Err(Error::format(checkpoint.path(), "checkpoint", "a vision transformer", dialect.label()));
    }
    let mut finder = Finder { checkpoint, places: BTreeMap::new(), used: BTreeSet::new() };
    finder.layers()?;
    match dialect {
        Dialect::Timm => finder.outside_by_name(
            [("cls_token", "cls_token"), ("pos_embed", "pos_embed")],
            [("patch_embed", "patch_embed.proj"), ("norm", "norm"), ("head", "head")],
            checkpoint.prefix(),
        )?,
        Dialect::TorchEncoder => finder.outside_by_shape()?,
        _ => {
            let prefix = checkpoint.prefix().trim_end_matches("encoder.");
            finder.outside_by_name(
                [("cls_token", "embeddings.cls_token"), ("pos_embed", "embeddings.position_embeddings")],
                [("patch_embed", "embeddings.patch_embeddings.projection"), ("norm", "layernorm")],
                prefix,
            )?;
            finder.outside_by_name([], [("head", "classifier")], "")?;
        }
    }
    finder.finish()
}

struct Finder<'a> {
    checkpoint: &'a Checkpoint,
    places: BTreeMap<String, Place>,
    used: BTreeSet<String>,
}

impl<'a> Finder<'a> {
    fn shape(&self, name: &str) -> Option<&'a [usize]> {
        self.checkpoint.tensors().shape(name)
    }

    fn put(&mut self, neutral: String, name: &str, shape: Vec<usize>, rows: Option<Range<usize>>) {
        self.used.insert(name.to_string());
        self.places.insert(neutral, Place { name: Some(name.to_string()), shape, rows });
    }

    /// A tensor that is there, under its neutral name; `false` when it is not.
    fn take(&mut self, neutral: String, name: &str) -> bool {
        let Some(shape) = self.shape(name) else { return false };
        // Tokens and positions are stored with axes of length 1 in front.
        let n_ones = shape.iter().take(shape.len().saturating_sub(1)).take_while(|len| **len == 1).count();
        let is_embedding = matches!(neutral.as_str(), "cls_token" | "pos_embed");
        let shape = if is_embedding { shape[n_ones..].to_vec() } else { shape.to_vec() };
        self.put(neutral, name, shape, None);
        true
    }

    fn missing(&self, name: &str) -> Error {
        Error::format(self.checkpoint.path(), name, "a tensor of this name", "none")
    }

    /// Weight and bias, both of which must be there.
    fn pair(&mut self, neutral: &str, stored: &str) -> Result<()> {
        for part in ["weight", "bias"] {
            let name = format!("{stored}.{part}");
            if !self.take(format!("{neutral}.{part}"), &name) {
                return Err(self.missing(&name));
            }
        }
        Ok(())
    }

    fn layers(&mut self) -> Result<()> {
        let checkpoint = self.checkpoint;
        let has_biases = checkpoint.has_attention_biases();
        for (i, layer) in checkpoint.layers().iter().enumerate() {
            let prefix = checkpoint.layer_prefix(i);
            for (neutral, stored) in layer_names(checkpoint.dialect()) {
                self.pair(&format!("layers.{i}.{neutral}"), &format!("{prefix}{stored}"))?;
            }
            if checkpoint.has_qk_norm() {
                for (neutral, stored) in [("query_norm", "attn.q_norm"), ("key_norm", "attn.k_norm")] {
                    self.pair(&format!("layers.{i}.attention.{neutral}"), &format!("{prefix}{stored}"))?;
                }
            }
            for (projection, neutral) in [
                (Projection::Query, "query"),
                (Projection::Key, "key"),
                (Projection::Value, "value"),
                (Projection::Output, "output"),
            ] {
                let (rows, name) = (layer.rows(projection), layer.weight(projection));
                let n_cols = self.shape(name).map_or(0, |shape| shape[1]);
                let shape = vec![rows.len(), n_cols];
                self.put(format!("layers.{i}.attention.{neutral}.weight"), name, shape, Some(rows.clone()));
                let (shape, neutral) = (vec![rows.len()], format!("layers.{i}.attention.{neutral}.bias"));
                match layer.bias(projection) {
                    Some(bias) => self.put(neutral, bias, shape, Some(rows)),
                    // Where some projections have biases, those of the others are zero.
                    None if has_biases => {
                        self.places.insert(neutral, Place { name: None, shape, rows: None });
                    }
                    None => {}
                }
            }
        }
        Ok(())
    }

    fn outside_by_name<const N: usize, const M: usize>(
        &mut self,
        alone: [(&str, &str); N],
        pairs: [(&str, &str); M],
        prefix: &str,
    ) -> Result<()> {
        for (neutral, stored) in alone {
            self.take(neutral.to_string(), &format!("{prefix}{stored}"));
        }
        for (neutral, stored) in pairs {
            if self.take(format!("{neutral}.weight"), &format!("{prefix}{stored}.weight")) {
                self.take(format!("{neutral}.bias"), &format!("{prefix}{stored}.bias"));
            }
        }
        Ok(())
    }

    /// What is outside the layers, by its shape: four axes are the patches' projection, three the class token or positions, two the head; pairs of
    /// one axis are the norm before the head.
    fn outside_by_shape(&mut self) -> Result<()> {
        let d = self.checkpoint.hidden_size();
        let names: Vec<&str> = self.checkpoint.tensors().names().collect();
        for name in names {
            let Some(shape) = self.shape(name).filter(|_| !self.used.contains(name)) else {
                continue;
            };
            let neutral = match shape {
                [1, 1, last] if *last == d => "cls_token",
                [1, _, last] if *last == d => "pos_embed",
                [first, _, _, _] if *first == d => "patch_embed",
                [_, last] if *last == d => "head",
                [only] if *only == d && name.ends_with(".weight") => "norm",
                _ => continue,
            };
            let is_pair = !matches!(neutral, "cls_token" | "pos_embed");
            let key = if is_pair { format!("{neutral}.weight") } else { neutral.to_string() };
            if let Some(other) = self.places.get(&key) {
                let expected = format!("one tensor that can be `{neutral}`");
                return Err(Error::format(
                    self.checkpoint.path(),
                    name,
                    expected,
                    format!("{} too", other.name.as_deref().unwrap_or_default()),
                ));
            }
            self.take(key, name);
            if is_pair && let Some(stem) = name.strip_suffix("weight") {
                self.take(format!("{neutral}.bias"), &format!("{stem}bias"));
            }
        }
        Ok(())
    }

    fn finish(self) -> Result<VitTensors<'a>> {
        let checkpoint = self.checkpoint;
        let path = checkpoint.path();
        // A pooler stands beside the head, not before it; counters of batches are no weights.
        let odd = |name: &&str| {
            !self.used.contains(*name) && !name.contains("pooler.") && !name.ends_with("position_ids")
        };
        if let Some(odd) = checkpoint.tensors().names().find(odd) {
            let expected = "a tensor of a plain vision transformer";
            let found = format!("one of shape {:?}", self.shape(odd).unwrap_or_default());
            return Err(Error::format(path, odd, expected, found));
        }
        let d = checkpoint.hidden_size();
        let shape = |name: &str| self.places.get(name).map(|place| place.shape.as_slice());
        let stored = |name: &str| {
            self.places.get(name).and_then(|place| place.name.as_deref()).unwrap_or(name).to_string()
        };
        let refuse = |name: &str, expected: String| {
            let found = shape(name).map_or_else(|| "none".into(), |shape| format!("shape {shape:?}"));
            let file = checkpoint.tensors().shard_of(&stored(name)).map_or(path, TensorFile::path);
            Error::format(file, stored(name), expected, found)
        };
        let Some(&[_, n_channels, height, width]) = shape("patch_embed.weight") else {
            return Err(refuse("patch_embed.weight", format!("a projection [{d}, channels, height, width]")));
        };
        let Some(&[n_positions, _]) = shape("pos_embed") else {
            return Err(refuse("pos_embed", format!("positions [1, n, {d}]")));
        };
        let Some(&[mlp_size, _]) = shape("layers.0.mlp.fc1.weight") else {
            return Err(refuse("layers.0.mlp.fc1.weight", format!("a weight [m, {d}]")));
        };
        let n_classes = match shape("head.weight") {
            None => None,
            Some(&[n_classes, _]) => Some(n_classes),
            Some(_) => return Err(refuse("head.weight", format!("a weight [n, {d}]"))),
        };
        // Every tensor has the one shape that the sizes allow.
        for name in self.places.keys() {
            let last = name.rsplit_once('.').map_or(name.as_str(), |(stem, _)| stem);
            let tail = last.rsplit('.').next().unwrap_or(last);
            let is_bias = name.ends_with(".bias");
            let expected = match tail {
                "cls_token" | "norm1" | "norm2" | "norm" => vec![d],
                "query_norm" | "key_norm" => vec![checkpoint.head_dim()],
                "pos_embed" => vec![n_positions, d],
                "patch_embed" if is_bias => vec![d],
                "patch_embed" => vec![d, n_channels, height, width],
                "fc1" if is_bias => vec![mlp_size],
                "fc1" => vec![mlp_size, d],
                "fc2" if is_bias => vec![d],
                "fc2" => vec![d, mlp_size],
                "head" if is_bias => vec![n_classes.unwrap_or(0)],
                "head" => vec![n_classes.unwrap_or(0), d],
                _ => continue,
            };
            if shape(name) != Some(&expected) {
                return Err(refuse(name, format!("shape {expected:?}")));
            }
        }
        let dialect = checkpoint.dialect();
        let has_class_token = shape("cls_token").is_some();
        let settings = checkpoint.vit_settings();
        let image_size = match settings.image_size {
            Some(size) => size,
            None => {
                let n_patches = n_positions - usize::from(has_class_token);
                let side = n_patches.isqrt();
                if side == 0 || side * side != n_patches {
                    let expected = "positions of the class token and a square of patches".to_string();
                    return Err(refuse("pos_embed", expected));
                }
                [side * height, side * width]
            }
        };
        let (norm_first, norm_eps) = match dialect {
            Dialect::Timm => (true, TIMM_EPS),
            Dialect::TorchEncoder => (false, 1e-5),
            _ => (true, 1e-12),
        };
        let (n_layers, n_heads) = (checkpoint.n_layers(), checkpoint.n_heads());
        let activation = if norm_first { Activation::Gelu } else { Activation::Relu };
        let config = VitConfig::new(image_size, [height, width], d, n_layers, n_heads, mlp_size)
            .with_n_classes(n_classes)
            .with_n_channels(n_channels)
            .with_groups(Some(checkpoint.groups().to_vec()))
            .with_head_dim(Some(checkpoint.head_dim()))
            .with_attention_bias(checkpoint.has_attention_biases())
            .with_qk_norm(checkpoint.has_qk_norm())
            .with_norm_first(settings.norm_first.unwrap_or(norm_first))
            .with_final_norm(shape("norm.weight").is_some())
            .with_activation(settings.activation.unwrap_or(activation))
            .with_norm_eps(settings.norm_eps.unwrap_or(norm_eps))
            .with_class_token(has_class_token);
        if config.n_positions() != n_positions {
            let expected = format!("{} positions of images of {image_size:?}", config.n_positions());
            return Err(refuse("pos_embed", expected));
        }
        Ok(VitTensors { checkpoint, config, places: self.places })
    }
}
