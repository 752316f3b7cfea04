//! Checkpoints of transformers: which tensors are the attention of each layer, whatever their names, and in how many heads and groups.
//!
//! A checkpoint's weights stay in their files. The number of key/value heads follows from the shapes of tensors; the number of query
//! heads from the configuration or header that a format has, from the [`HeadsRecord`] that this crate leaves in what it writes, from the
//! user, or, for vision transformers of timm and Hugging Face without any of these, from heads of length 64.

mod attention;
mod dialect;
mod heads_record;
mod model_config;
mod open;
mod vit_settings;
mod vit_tensors;

use std::path::{Path, PathBuf};

use grouping_core::files::llama2c::Header;
use grouping_core::files::tensor_file::TensorFolder;
use serde_json::Value;

pub use attention::{AttentionTensors, Layer};
use dialect::Names;
#[cfg(feature = "model")]
pub(crate) use dialect::TIMM_EPS;
pub(crate) use dialect::WrittenAs;
pub use dialect::{AttentionPart, Dialect, QKV};
pub use heads_record::{HeadsRecord, LayerRecord, RECORD_FILE};
pub(crate) use heads_record::{Keeps, write_recorded};
pub(crate) use model_config::ModelConfig;
pub use vit_settings::VitSettings;
pub use vit_tensors::{VitShape, VitTensors};

use crate::{Groups, Result};

/// Where the number of query heads was found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum HeadsFrom {
    /// The user said it.
    Given,
    /// A configuration or header of the checkpoint's own format.
    Configuration,
    /// A [`HeadsRecord`].
    Record,
    /// Nothing says it: heads of length 64 are assumed.
    Assumed,
}

/// A checkpoint whose attention is understood.
///
/// ```
/// use kd_gqa::checkpoint::{Checkpoint, Dialect};
/// # use grouping_core::files::tensor_file::{Dtype, Planned, TensorWriter};
/// # let folder = tempfile::tempdir()?;
/// # let path = folder.path().join("vit.safetensors");
/// # let shapes = [("blocks.0.attn.qkv.weight", vec![256, 128]), ("blocks.0.attn.proj.weight", vec![128, 128])];
/// # let planned = shapes.map(|(name, shape)| Planned::new(name, shape, Dtype::F32));
/// # let file = std::fs::File::create(&path)?;
/// # let writer = TensorWriter::safetensors(file, &path, &planned, &Default::default())?;
/// # for planned in &planned {
/// #     writer.write(&planned.name, &vec![0.5; planned.shape.iter().product()])?;
/// # }
/// # writer.finish()?;
/// // A vision transformer in timm's names whose fused projection has 256 = (2 + 2·1)·64 rows.
/// let checkpoint = Checkpoint::open(&path)?;
/// assert_eq!(checkpoint.dialect(), Dialect::Timm);
/// assert_eq!((checkpoint.n_heads(), checkpoint.groups()[0].n_kv_heads()), (2, 1));
/// assert_eq!(checkpoint.attention(0)?.key.n_rows(), 64);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug)]
pub struct Checkpoint {
    path: PathBuf,
    names: Names,
    tensors: TensorFolder,
    layers: Vec<Layer>,
    groups: Vec<Groups>,
    hidden_size: usize,
    n_heads: usize,
    head_dim: usize,
    /// What a method saved with its groups, and the file where it stands.
    allocation: Option<(PathBuf, Value)>,
    heads_from: HeadsFrom,
    config: Option<ModelConfig>,
    vit_settings: VitSettings,
    header: Option<Header>,
}

impl Checkpoint {
    /// Opens a checkpoint: a `.safetensors` or `.pth` file of a vision transformer, a Hugging Face folder, or a `.bin` of llama2.c.
    ///
    /// # Errors
    /// As [`Checkpoint::open_with_heads`].
    pub fn open(path: impl AsRef<Path>) -> Result<Self> {
        open::open(path.as_ref(), None)
    }

    /// As [`Checkpoint::open`], with the number of query heads, which the files of vision transformers do not say.
    ///
    /// # Errors
    /// [`Error::Core`](crate::Error::Core) and [`Error::Io`](grouping_core::Error::Io) for files that cannot be read or are damaged,
    /// [`Error::FileField`](grouping_core::Error::FileField) for names of no known dialect, quantised weights, and shapes that do not fit each other,
    /// [`Error::Setting`](grouping_core::Error::Setting) where the number of heads is needed, or is another than the checkpoint says.
    pub fn open_with_heads(path: impl AsRef<Path>, n_heads: Option<usize>) -> Result<Self> {
        open::open(path.as_ref(), n_heads)
    }

    /// With constants of a vision transformer that its files do not say, or say otherwise.
    pub fn with_vit_settings(mut self, settings: VitSettings) -> Self {
        self.vit_settings = settings.or(self.vit_settings);
        self
    }

    /// The file or folder.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Whose names its tensors have.
    pub fn dialect(&self) -> Dialect {
        self.names.dialect
    }

    /// What stands before the names of all layers, such as `vit.`.
    pub fn prefix(&self) -> &str {
        &self.names.prefix
    }

    /// The name of the tensor of a neutral name (such as `layers.3.attention.q_proj.weight`); none where the dialect has no such tensor.
    pub fn stored_name(&self, neutral: &str) -> Option<String> {
        self.names.stored(neutral)
    }

    /// All tensors.
    pub fn tensors(&self) -> &TensorFolder {
        &self.tensors
    }

    /// The number of values in all tensors that are weights (a file of llama2.c also holds tables, which are not counted).
    pub fn n_parameters(&self) -> usize {
        let weights = self.tensors.names().filter(|name| !name.starts_with("freqs_"));
        weights.filter_map(|name| self.tensors.shape(name)).map(|shape| shape.iter().product::<usize>()).sum()
    }

    /// The number of layers L.
    pub fn n_layers(&self) -> usize {
        self.layers.len()
    }

    /// The hidden size d.
    pub fn hidden_size(&self) -> usize {
        self.hidden_size
    }

    /// The number of query heads H.
    pub fn n_heads(&self) -> usize {
        self.n_heads
    }

    /// Where the number of query heads was found.
    pub fn heads_from(&self) -> HeadsFrom {
        self.heads_from
    }

    /// The length of a head.
    pub fn head_dim(&self) -> usize {
        self.head_dim
    }

    /// Groups of each layer.
    pub fn groups(&self) -> &[Groups] {
        &self.groups
    }

    /// What a method saved with its groups to go on, and the file where it stands;
    /// [`AllocationState::of`](crate::allocation::AllocationState::of) reads it.
    pub fn saved_allocation(&self) -> Option<(&Path, &Value)> {
        self.allocation.as_ref().map(|(path, saved)| (path.as_path(), saved))
    }

    /// Where each layer's projections lie.
    pub fn layers(&self) -> &[Layer] {
        &self.layers
    }

    /// Whether a projection of attention has a bias, in any layer.
    pub fn has_attention_biases(&self) -> bool {
        let projections =
            [AttentionPart::Query, AttentionPart::Key, AttentionPart::Value, AttentionPart::Output];
        self.layers.iter().any(|layer| projections.iter().any(|p| layer.bias(*p).is_some()))
    }

    /// Whether query and key heads are normed before they meet (QK-norm), in any layer.
    pub fn has_qk_norm(&self) -> bool {
        self.head_norms().next().is_some()
    }

    /// Names of the norms of query and key heads.
    fn head_norms(&self) -> impl Iterator<Item = String> {
        let parts = ["q_norm.weight", "q_norm.bias", "k_norm.weight", "k_norm.bias"];
        let of_layer = move |layer| parts.map(|part| format!("layers.{layer}.attention.{part}"));
        let names = (0..self.n_layers()).flat_map(of_layer).filter_map(|name| self.names.stored(&name));
        names.filter(|name| self.tensors.shape(name).is_some())
    }

    /// Constants of a vision transformer, as far as anything says them.
    pub fn vit_settings(&self) -> &VitSettings {
        &self.vit_settings
    }

    /// The configuration beside the weights, if there is one.
    pub(crate) fn config(&self) -> Option<&ModelConfig> {
        self.config.as_ref()
    }

    /// The header of a file of llama2.c.
    pub(crate) fn header(&self) -> Option<&Header> {
        self.header.as_ref()
    }

    /// The four projections of one layer, decoded.
    ///
    /// # Errors
    /// [`Error::Core`](crate::Error::Core) for values that are not finite, or of a type that is not read.
    ///
    /// # Panics
    /// When there is no such layer.
    pub fn attention(&self, layer: usize) -> Result<AttentionTensors> {
        self.layers[layer].decode(&self.tensors)
    }

    /// All tensors of a vision transformer by neutral names, and its sizes and constants.
    ///
    /// # Errors
    /// [`Error::FileField`](grouping_core::Error::FileField) for a decoder, for what is missing, and for what such a model would have to compute
    /// beside, by name.
    pub fn vit(&self) -> Result<VitTensors<'_>> {
        vit_tensors::of(self)
    }
}
