//! Finding a checkpoint at a path: its files, its dialect, its heads and groups.

use std::path::{Path, PathBuf};

use grouping_core::files::llama2c::Header;
use grouping_core::files::model_config::{CONFIG_FILE, heads};
use grouping_core::files::tensor_file::{TensorFile, TensorFolder, has_names, is_float};

use super::dialect::{ConfigFile, Model};
use super::heads_record::{HeadsRecord, RECORD_FILE};
use super::{Checkpoint, Dialect, HeadsFrom, Layer, ModelConfig, Names, VitSettings};
use crate::{Error, Groups, Result};

/// What a folder's weights are called before safetensors.
const PICKLE_FILE: &str = "pytorch_model.bin";
/// Ends of names that only quantised checkpoints have.
const QUANTISED: [&str; 7] = [
    ".qweight",
    ".qzeros",
    ".weight_scale",
    ".weight_scale_inv",
    ".SCB",
    ".weight.absmax",
    ".weight.quant_state",
];

pub(super) fn open(path: &Path, n_heads: Option<usize>) -> Result<Checkpoint> {
    if n_heads == Some(0) {
        return Err(Error::setting("n_heads", "a number above zero", 0));
    }
    let metadata = std::fs::metadata(path).map_err(Error::io(path, "read"))?;
    let may_be_llama2c = !metadata.is_dir() && path.extension().is_some_and(|extension| extension == "bin");
    if may_be_llama2c && !has_names(path)? {
        return open_llama2c(path, n_heads);
    }
    let config_path =
        if metadata.is_dir() { path.join(CONFIG_FILE) } else { path.with_file_name(CONFIG_FILE) };
    let config =
        if metadata.is_dir() && config_path.exists() { Some(ModelConfig::read(&config_path)?) } else { None };
    let pickle = path.join(PICKLE_FILE);
    let has_safetensors = || {
        std::fs::read_dir(path).is_ok_and(|entries| {
            entries
                .flatten()
                .any(|entry| Path::new(&entry.file_name()).extension().is_some_and(|e| e == "safetensors"))
        })
    };
    let tensors = if metadata.is_dir() && pickle.exists() && !has_safetensors() {
        TensorFolder::of(path, vec![TensorFile::open(&pickle)?])?
    } else {
        TensorFolder::open(path)?
    };
    refuse_quantised(&tensors)?;
    let names = Names::of(path, tensors.names())?;
    let config = match (config, names.dialect.spec().config) {
        (None, ConfigFile::Beside) if config_path.exists() => Some(ModelConfig::read(&config_path)?),
        (None, ConfigFile::Required) => {
            let expected =
                format!("a folder with {CONFIG_FILE} beside the weights ({})", names.dialect.label());
            return Err(Error::format(path, "checkpoint", expected, "tensors without a configuration"));
        }
        (config, _) => config,
    };
    if let Some(config) = &config
        && config.family.is_none() != names.dialect.is_vit()
    {
        let expected = format!("that of the tensors' names ({})", names.dialect.label());
        return Err(config.fields.misfit("model_type", expected).into());
    }
    let layers: Vec<Layer> =
        (0..names.n_layers).map(|layer| Layer::find(&tensors, &names, layer)).collect::<Result<_>>()?;
    check_sizes(&tensors, &layers)?;
    let record = record(path, &tensors)?;
    let of_vit = config.as_ref().filter(|config| config.family.is_none());
    let said = of_vit.map(|config| VitSettings::of_config(&config.fields)).transpose()?;
    let recorded = record.as_ref().map(|(_, record)| record.vit.clone()).unwrap_or_default();
    let vit_settings = recorded.or(said.unwrap_or_default());
    let sizes = HeadSizes {
        path,
        dialect: names.dialect,
        layers: &layers,
        given: n_heads,
        record: record.as_ref(),
        config: config.as_ref(),
    };
    let (n_heads, head_dim, heads_from) = sizes.heads()?;
    let groups = sizes.groups(n_heads, head_dim)?;
    let allocation = record.and_then(|(path, record)| Some((path, record.allocation?)));
    let hidden_size = layers[0].hidden_size();
    let checkpoint = Checkpoint {
        path: path.to_path_buf(),
        names,
        tensors,
        layers,
        groups,
        hidden_size,
        n_heads,
        head_dim,
        allocation,
        heads_from,
        config,
        vit_settings,
        header: None,
    };
    check_head_norms(&checkpoint)?;
    Ok(checkpoint)
}

/// Norms of queries and keys are of single heads: one of all heads together would be of other heads once some are pooled.
fn check_head_norms(checkpoint: &Checkpoint) -> Result<()> {
    for name in checkpoint.head_norms() {
        let found = checkpoint.tensors.shape(&name).unwrap_or_default();
        if found != [checkpoint.head_dim] {
            let path = checkpoint.tensors.shard_of(&name).map_or(&*checkpoint.path, TensorFile::path);
            let expected = format!("a norm of single heads, shape [{}]", checkpoint.head_dim);
            return Err(Error::format(path, name, expected, format!("shape {found:?}")));
        }
    }
    Ok(())
}

fn open_llama2c(path: &Path, n_heads: Option<usize>) -> Result<Checkpoint> {
    let header = Header::read(path)?;
    let tensors = TensorFolder::of(path, vec![header.open(path)?])?;
    let names = Names { dialect: Dialect::Llama2c, prefix: String::new(), n_layers: header.n_layers };
    let layers: Vec<Layer> =
        (0..names.n_layers).map(|layer| Layer::find(&tensors, &names, layer)).collect::<Result<_>>()?;
    check_given(n_heads, header.n_heads)?;
    let (groups, allocation) = match HeadsRecord::beside(path)? {
        Some((place, record)) => {
            let groups = groups_of_record(&place, &record, &layers, header.n_heads, header.head_dim())?;
            (groups, record.allocation.map(|saved| (place, saved)))
        }
        None if !header.is_marked => {
            (vec![Groups::uniform(header.n_heads, header.n_kv_heads)?; header.n_layers], None)
        }
        None => {
            let expected = format!("a {RECORD_FILE} beside it that names the file, for unequal groups");
            return Err(Error::format(path, "groups", expected, "none"));
        }
    };
    let (hidden_size, n_heads, head_dim) = (header.hidden_size, header.n_heads, header.head_dim());
    Ok(Checkpoint {
        path: path.to_path_buf(),
        names,
        tensors,
        layers,
        groups,
        hidden_size,
        n_heads,
        head_dim,
        allocation,
        heads_from: HeadsFrom::Configuration,
        config: None,
        vit_settings: VitSettings::default(),
        header: Some(header),
    })
}

fn refuse_quantised(tensors: &TensorFolder) -> Result<()> {
    for name in tensors.names() {
        let Some(file) = tensors.shard_of(name) else { continue };
        let ends = QUANTISED.iter().any(|end| name.ends_with(end));
        let dtype = file.dtype(name);
        // Whole-number buffers (positions, counters) are no weights.
        let packed = name.ends_with(".weight") && dtype.is_some_and(|d| !is_float(d) && d.bitsize() <= 8);
        if ends || packed {
            let expected = "no quantised weights (quantised checkpoints are not read)";
            let found = dtype.map_or_else(String::new, |dtype| format!("{dtype:?}"));
            return Err(Error::format(file.path(), name, expected, found));
        }
    }
    Ok(())
}

/// All layers have one hidden size and one length of all query heads.
fn check_sizes(tensors: &TensorFolder, layers: &[Layer]) -> Result<()> {
    let sizes = |layer: &Layer| [layer.rows(super::AttentionPart::Query).len(), layer.hidden_size()];
    match layers.iter().find(|layer| sizes(layer) != sizes(&layers[0])) {
        None => Ok(()),
        Some(odd) => {
            let name = odd.weight(super::AttentionPart::Query);
            let path = tensors.shard_of(name).map_or(tensors.path(), TensorFile::path);
            let expected =
                format!("{:?} rows of queries and columns as in the first layer", sizes(&layers[0]));
            Err(Error::format(path, name, expected, format!("{:?}", sizes(odd))))
        }
    }
}

fn check_given(given: Option<usize>, found: usize) -> Result<()> {
    match given {
        Some(given) if given != found => {
            Err(Error::setting("n_heads", format!("{found}, as the checkpoint says"), given))
        }
        _ => Ok(()),
    }
}

/// The record in a header, or beside the weights.
fn record(path: &Path, tensors: &TensorFolder) -> Result<Option<(PathBuf, HeadsRecord)>> {
    for shard in tensors.shards() {
        if let Some(text) = shard.metadata().get(RECORD_FILE) {
            return Ok(Some((shard.path().to_path_buf(), HeadsRecord::parse(shard.path(), text)?)));
        }
    }
    HeadsRecord::of_checkpoint(path)
}

/// What says how many heads there are, and how long they are.
struct HeadSizes<'a> {
    path: &'a Path,
    dialect: Dialect,
    layers: &'a [Layer],
    given: Option<usize>,
    record: Option<&'a (PathBuf, HeadsRecord)>,
    config: Option<&'a ModelConfig>,
}

impl HeadSizes<'_> {
    /// Number and length of query heads, and who says so.
    fn heads(&self) -> Result<(usize, usize, HeadsFrom)> {
        let n_rows = self.layers[0].rows(super::AttentionPart::Query).len();
        if let Some((path, record)) = self.record {
            check_given(self.given, record.n_heads)?;
            if record.n_heads.checked_mul(record.head_dim) != Some(n_rows) || n_rows == 0 {
                let expected = format!("heads that have {n_rows} rows of queries together");
                let found = format!("{} heads of {}", record.n_heads, record.head_dim);
                return Err(Error::format(path, RECORD_FILE, expected, found));
            }
            return Ok((record.n_heads, record.head_dim, HeadsFrom::Record));
        }
        if let Some(config) = self.config {
            let (n_heads, head_dim) = heads(&config.fields, self.layers[0].hidden_size())?;
            check_given(self.given, n_heads)?;
            if n_heads.checked_mul(head_dim) != Some(n_rows) {
                let name = self.layers[0].weight(super::AttentionPart::Query);
                let expected =
                    format!("heads of {head_dim} that have the {n_rows} rows of queries in {name}");
                return Err(config.fields.misfit("num_attention_heads", expected).into());
            }
            if config.family.is_some() && config.fields.size("num_hidden_layers")? != self.layers.len() {
                let expected = format!("{}, the layers in the tensors' names", self.layers.len());
                return Err(config.fields.misfit("num_hidden_layers", expected).into());
            }
            return Ok((n_heads, head_dim, HeadsFrom::Configuration));
        }
        if let Some(given) = self.given {
            if !n_rows.is_multiple_of(given) {
                let expected = format!("a divisor of {n_rows}, the rows of queries");
                return Err(Error::setting("n_heads", expected, given));
            }
            return Ok((given, n_rows / given, HeadsFrom::Given));
        }
        let usual = match &self.dialect.spec().model {
            Model::Vit(defaults) => defaults.head_dim,
            Model::Decoder(_) => None,
        };
        let Some(usual) = usual else {
            let expected = format!("the number of query heads, which {} does not say", self.path.display());
            return Err(Error::setting("n_heads", expected, "none"));
        };
        if !n_rows.is_multiple_of(usual) {
            let expected = format!(
                "the number of heads of {} (its {n_rows} rows of queries are not heads of {usual})",
                self.path.display()
            );
            return Err(Error::setting("n_heads", expected, "none"));
        }
        Ok((n_rows / usual, usual, HeadsFrom::Assumed))
    }

    fn groups(&self, n_heads: usize, head_dim: usize) -> Result<Vec<Groups>> {
        if let Some((path, record)) = self.record {
            return groups_of_record(path, record, self.layers, n_heads, head_dim);
        }
        let said = match self.config.and_then(|config| Some((config, config.family?))) {
            Some((config, family)) => Some((config, family.n_kv_heads(&config.fields, n_heads)?)),
            None => None,
        };
        let groups_of = |layer: &Layer| {
            let n_rows = layer.rows(super::AttentionPart::Key).len();
            let n_kv_heads = n_rows / head_dim;
            if let Some((config, said)) = said
                && n_rows != said * head_dim
            {
                let name = layer.weight(super::AttentionPart::Key);
                let expected = format!("heads of {head_dim} that have the {n_rows} rows of {name}");
                return Err(config.fields.misfit("num_key_value_heads", expected).into());
            }
            if !n_rows.is_multiple_of(head_dim) || !n_heads.is_multiple_of(n_kv_heads.max(1)) {
                let expected = format!(
                    "keys of heads of {head_dim} whose number divides the {n_heads} query heads (or {RECORD_FILE} in the \
                     header, or another number of heads given)"
                );
                let name = layer.weight(super::AttentionPart::Key);
                return Err(Error::format(self.path, name, expected, format!("{n_rows} rows of keys")));
            }
            Groups::uniform(n_heads, n_kv_heads)
        };
        self.layers.iter().map(groups_of).collect()
    }
}

fn groups_of_record(
    path: &Path,
    record: &HeadsRecord,
    layers: &[Layer],
    n_heads: usize,
    head_dim: usize,
) -> Result<Vec<Groups>> {
    if record.layers.len() != layers.len() {
        return Err(Error::format(path, "layers", format!("{} layers", layers.len()), record.layers.len()));
    }
    let said = [record.n_heads, record.head_dim];
    if said != [n_heads, head_dim] {
        let expected = format!("{n_heads} heads of {head_dim}");
        return Err(Error::format(path, "n_heads", expected, format!("{} of {}", said[0], said[1])));
    }
    let groups = record.groups(path)?;
    for (i, (layer, groups)) in layers.iter().zip(&groups).enumerate() {
        let n_rows = layer.rows(super::AttentionPart::Key).len();
        if groups.n_kv_heads().checked_mul(head_dim) != Some(n_rows) {
            let expected =
                format!("groups for the {n_rows} rows of {}", layer.weight(super::AttentionPart::Key));
            let found = format!("{} groups of heads of {head_dim}", groups.n_kv_heads());
            return Err(Error::format(path, format!("layers[{i}].groups"), expected, found));
        }
    }
    Ok(groups)
}
