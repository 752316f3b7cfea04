//! A vision transformer's tensors by neutral names, whatever the dialect (a table of them stands in `dialect/mod.rs`), and its sizes.
//!
//! What a file has beside the tensors that have such names (layer scales, registers) the model would have to compute, so it is refused by
//! name. What neither names nor [`VitSettings`](super::VitSettings) say is as the dialect's library has it by default.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;
use std::path::Path;

use grouping_core::Activation;
use grouping_core::files::source::TensorSource;
use grouping_core::files::tensor_file::TensorFile;

use super::dialect::{Model, Outside, VitDefaults};
use super::{AttentionPart, Checkpoint, QKV};
use crate::{Error, Result};

/// A vision transformer's tensors by neutral names: a source of the parameters of [`Vit`](crate::vit::Vit).
#[derive(Debug)]
pub struct VitTensors<'a> {
    checkpoint: &'a Checkpoint,
    shape: VitShape,
    slices: BTreeMap<String, Slice>,
}

/// Sizes and constants of a vision transformer, as its checkpoint says them.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct VitShape {
    /// Height and width that the positions were made for.
    pub image_size: [usize; 2],
    /// Height and width of a patch.
    pub patch_size: [usize; 2],
    /// Channels of an image.
    pub n_channels: usize,
    /// Number of tokens, the class token's included.
    pub n_positions: usize,
    /// Width of the feed-forward part.
    pub mlp_size: usize,
    /// Number of classes, where there is a head.
    pub n_classes: Option<usize>,
    /// A class token stands before the patches.
    pub class_token: bool,
    /// There is a norm before the head.
    pub final_norm: bool,
    /// Norms stand before attention and feed-forward part, not after their sums.
    pub norm_first: bool,
    /// The feed-forward part's function.
    pub activation: Activation,
    /// ε of the norms.
    pub norm_eps: f64,
}

/// A stored tensor, or some of its rows.
#[derive(Debug, Clone)]
struct Slice {
    /// The stored tensor; none is zeros.
    name: Option<String>,
    shape: Vec<usize>,
    /// Rows of the stored tensor, where it holds other tensors too.
    rows: Option<Range<usize>>,
}

impl VitTensors<'_> {
    /// Where they are.
    pub fn checkpoint(&self) -> &Checkpoint {
        self.checkpoint
    }

    /// Sizes and constants of the model.
    pub fn shape(&self) -> &VitShape {
        &self.shape
    }

    /// Neutral names of all tensors, sorted.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.slices.keys().map(String::as_str)
    }
}

impl TensorSource for VitTensors<'_> {
    fn read(&self, neutral: &str) -> grouping_core::Result<(Vec<usize>, Vec<f32>)> {
        let missing = || grouping_core::Error::FileField {
            path: self.checkpoint.path().to_path_buf(),
            field: neutral.to_string(),
            expected: "a tensor of this neutral name".into(),
            found: "none".into(),
        };
        let Slice { name, shape, rows } = self.slices.get(neutral).ok_or_else(missing)?;
        let Some(name) = name else { return Ok((shape.clone(), vec![0.0; shape.iter().product()])) };
        let file = self.checkpoint.tensors().holder(name)?;
        let values = match rows {
            Some(rows) => file.decode_rows(name, rows.clone())?,
            None => file.decode(name)?.values,
        };
        Ok((shape.clone(), values))
    }

    fn path(&self, neutral: &str) -> &Path {
        let name = self.slices.get(neutral).and_then(|slice| slice.name.as_deref());
        let shard = name.and_then(|name| self.checkpoint.tensors().shard_of(name));
        shard.map_or(self.checkpoint.path(), TensorFile::path)
    }
}

pub(super) fn of(checkpoint: &Checkpoint) -> Result<VitTensors<'_>> {
    let dialect = checkpoint.dialect();
    let Model::Vit(defaults) = &dialect.spec().model else {
        return Err(Error::format(checkpoint.path(), "checkpoint", "a vision transformer", dialect.label()));
    };
    let mut finder = Finder { checkpoint, slices: BTreeMap::new(), used: BTreeSet::new() };
    finder.layers()?;
    match defaults.outside {
        Outside::Names { .. } => finder.outside_by_name(),
        Outside::Shapes => finder.outside_by_shape()?,
    }
    finder.finish(defaults)
}

struct Finder<'a> {
    checkpoint: &'a Checkpoint,
    slices: BTreeMap<String, Slice>,
    used: BTreeSet<String>,
}

/// Outside the layers: tensors alone, and weights with biases.
const ALONE: [&str; 2] = ["cls_token", "pos_embed"];
const PAIRS: [&str; 3] = ["patch_embed", "norm", "head"];

impl<'a> Finder<'a> {
    fn shape(&self, name: &str) -> Option<&'a [usize]> {
        self.checkpoint.tensors().shape(name)
    }

    fn put(&mut self, neutral: String, name: &str, shape: Vec<usize>, rows: Option<Range<usize>>) {
        self.used.insert(name.to_string());
        self.slices.insert(neutral, Slice { name: Some(name.to_string()), shape, rows });
    }

    /// A tensor that is there, under its neutral name; `false` when it is not.
    fn take(&mut self, neutral: &str, name: &str) -> bool {
        let Some(shape) = self.shape(name) else { return false };
        // Tokens and positions are stored with axes of length 1 in front.
        let n_ones = shape.iter().take(shape.len().saturating_sub(1)).take_while(|len| **len == 1).count();
        let shape = if ALONE.contains(&neutral) { &shape[n_ones..] } else { shape };
        self.put(neutral.to_string(), name, shape.to_vec(), None);
        true
    }

    /// A tensor of a layer, which must be there.
    fn must(&mut self, neutral: &str) -> Result<()> {
        let name = self.checkpoint.stored_name(neutral).unwrap_or_else(|| neutral.to_string());
        if self.take(neutral, &name) {
            return Ok(());
        }
        Err(Error::format(self.checkpoint.path(), name, "a tensor of this name", "none"))
    }

    fn layers(&mut self) -> Result<()> {
        let checkpoint = self.checkpoint;
        let has_biases = checkpoint.has_attention_biases();
        let mut whole = vec!["norm1", "norm2", "mlp.fc1", "mlp.fc2"];
        if checkpoint.has_qk_norm() {
            whole.extend(["attention.q_norm", "attention.k_norm"]);
        }
        for (i, layer) in checkpoint.layers().iter().enumerate() {
            for part in &whole {
                self.must(&format!("layers.{i}.{part}.weight"))?;
                self.must(&format!("layers.{i}.{part}.bias"))?;
            }
            for projection in QKV.into_iter().chain([AttentionPart::Output]) {
                let (rows, name) = (layer.rows(projection), layer.weight(projection));
                let n_cols = self.shape(name).map_or(0, |shape| shape[1]);
                let shape = vec![rows.len(), n_cols];
                let neutral = projection.neutral(i);
                self.put(format!("{neutral}.weight"), name, shape, Some(rows.clone()));
                let (shape, neutral) = (vec![rows.len()], format!("{neutral}.bias"));
                match layer.bias(projection) {
                    Some(bias) => self.put(neutral, bias, shape, Some(rows)),
                    // Where some projections have biases, those of the others are zero.
                    None if has_biases => {
                        self.slices.insert(neutral, Slice { name: None, shape, rows: None });
                    }
                    None => {}
                }
            }
        }
        Ok(())
    }

    fn outside_by_name(&mut self) {
        let checkpoint = self.checkpoint;
        let mut take =
            |neutral: &str| checkpoint.stored_name(neutral).is_some_and(|name| self.take(neutral, &name));
        for neutral in ALONE {
            take(neutral);
        }
        for part in PAIRS {
            let _ = take(&format!("{part}.weight")) && take(&format!("{part}.bias"));
        }
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
            let is_pair = !ALONE.contains(&neutral);
            let key = if is_pair { format!("{neutral}.weight") } else { neutral.to_string() };
            if let Some(other) = self.slices.get(&key) {
                let expected = format!("one tensor that can be `{neutral}`");
                return Err(Error::format(
                    self.checkpoint.path(),
                    name,
                    expected,
                    format!("{} too", other.name.as_deref().unwrap_or_default()),
                ));
            }
            self.take(&key, name);
            if is_pair && let Some(stem) = name.strip_suffix("weight") {
                self.take(&format!("{neutral}.bias"), &format!("{stem}bias"));
            }
        }
        Ok(())
    }

    fn finish(mut self, defaults: &VitDefaults) -> Result<VitTensors<'a>> {
        let checkpoint = self.checkpoint;
        let path = checkpoint.path();
        // Poolers are not on the path to the logits; integer buffers are not weights.
        let odd = |name: &&str| {
            !self.used.contains(*name) && !name.contains("pooler.") && !name.ends_with("position_ids")
        };
        if let Some(odd) = checkpoint.tensors().names().find(odd) {
            let expected = "a tensor of a plain vision transformer";
            let found = format!("one of shape {:?}", self.shape(odd).unwrap_or_default());
            return Err(Error::format(path, odd, expected, found));
        }
        let d = checkpoint.hidden_size();
        let shape = |name: &str| self.slices.get(name).map(|slice| slice.shape.as_slice());
        let stored = |name: &str| {
            self.slices.get(name).and_then(|slice| slice.name.as_deref()).unwrap_or(name).to_string()
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
        for name in self.slices.keys() {
            let last = name.rsplit_once('.').map_or(name.as_str(), |(stem, _)| stem);
            let tail = last.rsplit('.').next().unwrap_or(last);
            let is_bias = name.ends_with(".bias");
            let expected = match tail {
                "cls_token" | "norm1" | "norm2" | "norm" => vec![d],
                "q_norm" | "k_norm" => vec![checkpoint.head_dim()],
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
        let class_token = shape("cls_token").is_some();
        let settings = checkpoint.vit_settings();
        let image_size = match settings.image_size {
            Some(size) => size,
            None => {
                let n_patches = n_positions.saturating_sub(usize::from(class_token));
                let side = n_patches.isqrt();
                if side == 0 || side * side != n_patches {
                    let expected = "positions of the class token and a square of patches".to_string();
                    return Err(refuse("pos_embed", expected));
                }
                [side * height, side * width]
            }
        };
        let [rows, columns] = [image_size[0] / height.max(1), image_size[1] / width.max(1)];
        let n_said = rows.saturating_mul(columns).saturating_add(usize::from(class_token));
        if n_said != n_positions {
            return Err(refuse("pos_embed", format!("{n_said} positions of images of {image_size:?}")));
        }
        let norm_first = settings.norm_first.unwrap_or(defaults.norm_first);
        let model = VitShape {
            image_size,
            patch_size: [height, width],
            n_channels,
            n_positions,
            mlp_size,
            n_classes,
            class_token,
            final_norm: shape("norm.weight").is_some(),
            norm_first,
            activation: settings.activation.unwrap_or(defaults.activation),
            norm_eps: settings.norm_eps.unwrap_or(defaults.norm_eps),
        };
        if let Some(patches) = self.slices.get_mut("patch_embed.weight") {
            patches.shape = vec![d, n_channels * height * width];
        }
        Ok(VitTensors { checkpoint, shape: model, slices: self.slices })
    }
}
