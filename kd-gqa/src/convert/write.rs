//! Writing a converted checkpoint in its dialect, tensor by tensor: what is not attention byte for byte, attention as its plan says.
//!
//! - vision transformers: one `.safetensors` file under the dialect's names, with a [`HeadsRecord`] in the header; beside it too where groups are unequal;
//! - the Llama family: a folder with the source's shards, an edited `config.json`, a record, and copies of the other files. A folder of unequal
//!   groups says as many key/value heads as heads, so that readers that know one ratio only find tensors of another shape and fail;
//! - llama2.c: one `.bin` file.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::fs::{self, File};
use std::path::{Path, PathBuf};

use grouping_core::files::llama2c::Header;
use grouping_core::files::model_config::{CONFIG_FILE, INDEX_FILE, WEIGHT_FILE};
use grouping_core::files::output::{Existing, write_folder};
use grouping_core::files::tensor_file::{Dtype, Planned, TensorWriter};
use serde_json::{Value, json};

use super::apply::LayerWork;
use super::plan::LayerPlan;
use super::report::{Progress, Stage};
use super::sink::Sink;
use crate::allocation::AllocationState;
use crate::checkpoint::{
    AttentionPart, Checkpoint, Dialect, HeadsRecord, Keeps, QKV, RECORD_FILE, WrittenAs, write_recorded,
};
use crate::{Error, Groups, Result};

/// Ends of the names of files that hold weights, and so are not copied.
const WEIGHT_ENDS: [&str; 9] =
    [".safetensors", ".bin", ".pt", ".pth", ".gguf", ".h5", ".msgpack", ".onnx", ".safetensors.index.json"];

/// A conversion whose plans are made.
pub(super) struct Conversion<'a> {
    pub(super) source: &'a Checkpoint,
    pub(super) plans: &'a [LayerPlan],
    /// The state that is saved with the groups, which are its own.
    pub(super) allocation: Option<&'a AllocationState>,
    pub(super) progress: &'a mut dyn FnMut(Progress),
}

impl<'a> Conversion<'a> {
    fn written(&self) -> Vec<Groups> {
        self.plans.iter().map(|plan| plan.written.clone()).collect()
    }

    fn is_uniform(&self) -> bool {
        self.plans.iter().all(|plan| plan.written.uniform_size().is_some())
    }

    fn record(&self) -> HeadsRecord<&'a AllocationState> {
        let record = HeadsRecord::new(self.source.head_dim(), &self.written());
        record.with_allocation(self.allocation).with_vit(self.source.vit_settings().clone())
    }

    /// Rows of query, key and value of a layer as it is written.
    fn n_rows(&self, layer: usize) -> [usize; 3] {
        let hd = self.source.head_dim();
        let plan = &self.plans[layer];
        let n_kv_rows = plan.copies.len() * hd;
        [plan.query_order.len() * hd, n_kv_rows, n_kv_rows]
    }

    /// The tensors that are written, in the source's files and order.
    fn planned(&self) -> Vec<(PathBuf, Vec<Planned>)> {
        let mut n_rows: HashMap<&str, usize> = HashMap::new();
        for (i, layer) in self.source.layers().iter().enumerate() {
            let rows = self.n_rows(i);
            for (projection, n) in QKV.into_iter().zip(rows) {
                let n = if layer.is_fused() { rows.iter().sum() } else { n };
                n_rows.insert(layer.weight(projection), n);
                layer.bias(projection).map(|bias| n_rows.insert(bias, n));
            }
        }
        let shards = self.source.tensors().shards().iter();
        shards
            .map(|shard| {
                let planned = shard.names().map(|name| {
                    let mut shape = shard.shape(name).unwrap_or_default().to_vec();
                    if let Some(&n) = n_rows.get(name) {
                        shape[0] = n;
                    }
                    Planned::new(name, shape, shard.dtype(name).unwrap_or(Dtype::F32))
                });
                (shard.path().to_path_buf(), planned.collect())
            })
            .collect()
    }

    /// The number of values in the tensors that are written (a file of llama2.c also holds tables, which are not counted).
    pub(super) fn n_parameters(&self) -> usize {
        let planned = self.planned();
        let weights =
            planned.iter().flat_map(|(_, planned)| planned).filter(|p| !p.name.starts_with("freqs_"));
        weights.map(|planned| planned.shape.iter().product::<usize>()).sum()
    }

    /// Writes the output, whole or not at all.
    ///
    /// # Errors
    /// [`Error::Exists`](grouping_core::Error::Exists) for an output that is there and not to be replaced, and those of reading and writing.
    pub(super) fn write(mut self, out: &Path, existing: Existing) -> Result<()> {
        if self.source.dialect().spec().written_as == WrittenAs::Folder {
            return write_folder(out, existing, |staging| self.folder(staging));
        }
        let keeps = if self.source.header().is_some() { Keeps::Beside } else { Keeps::Within };
        write_recorded(out, &self.record(), keeps, existing, |file| self.file(file, out))
    }

    /// One file: a vision transformer's, or llama2.c's.
    fn file(&mut self, file: File, out: &Path) -> Result<()> {
        let planned: Vec<Planned> = self.planned().into_iter().flat_map(|(_, planned)| planned).collect();
        let writer = match self.source.header() {
            Some(header) => {
                let n_kv_heads = self.plans[0].copies.len();
                let head = Header { n_kv_heads, is_marked: !self.is_uniform(), ..header.clone() };
                TensorWriter::headed(file, out, &head.to_bytes()?, &planned)?
            }
            None => {
                let metadata =
                    self.metadata(self.source.tensors().shards().iter().flat_map(|s| s.metadata()));
                TensorWriter::safetensors(file, out, &planned, &metadata)?
            }
        };
        self.fill(Sink::new(vec![(writer, planned)]))
    }

    /// The source's metadata with a record of heads.
    fn metadata<'m>(
        &self,
        source: impl Iterator<Item = (&'m String, &'m String)>,
    ) -> BTreeMap<String, String> {
        let mut metadata: BTreeMap<String, String> = source.map(|(k, v)| (k.clone(), v.clone())).collect();
        metadata.entry("format".into()).or_insert_with(|| "pt".into());
        metadata.insert(RECORD_FILE.into(), self.record().to_json());
        metadata
    }

    /// A folder of the Llama family.
    fn folder(&mut self, staging: &Path) -> Result<()> {
        let planned = self.planned();
        let is_pickle = |path: &Path| path.extension().is_none_or(|extension| extension != "safetensors");
        let file_name = |path: &Path| match path.file_name() {
            Some(name) if !is_pickle(path) => PathBuf::from(name),
            _ => PathBuf::from(WEIGHT_FILE),
        };
        if planned.len() > 1 {
            let index = index(&planned);
            let path = staging.join(INDEX_FILE);
            fs::write(&path, index).map_err(Error::io(&path, "write"))?;
        }
        let mut writers = vec![];
        for ((path, planned), shard) in planned.into_iter().zip(self.source.tensors().shards()) {
            let place = staging.join(file_name(&path));
            let file = File::create(&place).map_err(Error::io(&place, "create"))?;
            let metadata = self.metadata(shard.metadata().iter());
            writers.push((TensorWriter::safetensors(file, &place, &planned, &metadata)?, planned));
        }
        let text = |name: &str, text: String| {
            let path = staging.join(name);
            fs::write(&path, text).map_err(Error::io(&path, "write"))
        };
        if let Some(config) = self.source.config() {
            let n_kv_heads =
                if self.is_uniform() { self.plans[0].copies.len() } else { self.source.n_heads() };
            text(CONFIG_FILE, config.with_heads(n_kv_heads, self.source.head_dim()))?;
        }
        // Also where groups are equal, so that either kind of folder can take the place of the other.
        text(RECORD_FILE, self.record().to_json() + "\n")?;
        self.copy_others(staging)?;
        self.fill(Sink::new(writers))
    }

    /// Copies the files that are neither weights nor written anew, such as `tokenizer.json`.
    fn copy_others(&self, staging: &Path) -> Result<()> {
        let folder = self.source.path();
        let entries = fs::read_dir(folder).map_err(Error::io(folder, "list"))?;
        for entry in entries {
            let entry = entry.map_err(Error::io(folder, "list"))?;
            let (from, name) = (entry.path(), entry.file_name());
            let is_weight = name.to_str().is_none_or(|name| {
                WEIGHT_ENDS.iter().any(|end| name.ends_with(end))
                    || [CONFIG_FILE, RECORD_FILE].contains(&name)
                    || name.starts_with('.')
            });
            // Through links: a cache of downloads holds its files by links.
            let is_file = fs::metadata(&from).is_ok_and(|found| found.is_file());
            if is_file && !is_weight {
                fs::copy(&from, staging.join(name)).map_err(Error::io(&from, "copy"))?;
            }
        }
        Ok(())
    }

    /// Writes all tensors.
    fn fill(&mut self, sink: Sink) -> Result<()> {
        let attention: HashSet<&str> =
            self.source.layers().iter().flat_map(|layer| layer.tensor_names()).collect();
        let (mut done, total) =
            (0, self.source.tensors().names().count() - attention.len() + self.plans.len());
        for shard in self.source.tensors().shards() {
            for name in shard.names().filter(|name| !attention.contains(name)) {
                let dtype = shard.dtype(name).unwrap_or(Dtype::F32);
                shard.pieces(name, |at, piece| {
                    if let Some(i) = first_not_finite(dtype, piece) {
                        let found = format!("NaN or infinity at index {}", at * 8 / dtype.bitsize() + i);
                        return Err(grouping_core::Error::FileField {
                            path: shard.path().to_path_buf(),
                            field: name.to_string(),
                            expected: "finite values".into(),
                            found,
                        });
                    }
                    sink.writer(name).write_bytes_from(name, at, piece)
                })?;
                done += 1;
                (self.progress)(Progress { stage: Stage::Tensors, done, total });
            }
        }
        for (i, (layer, plan)) in self.source.layers().iter().zip(self.plans).enumerate() {
            let rows = self.n_rows(i);
            let mut first_rows = [0; 4];
            if layer.is_fused() {
                first_rows[AttentionPart::Key as usize] = rows[0];
                first_rows[AttentionPart::Value as usize] = rows[0] + rows[1];
            }
            let head_dim = self.source.head_dim();
            let tensors = self.source.tensors();
            LayerWork { tensors, source: layer, first_rows, plan, head_dim, sink: &sink }.write()?;
            done += 1;
            (self.progress)(Progress { stage: Stage::Tensors, done, total });
        }
        sink.finish()
    }
}

/// Whether the output of a dialect can be written to `out`.
///
/// # Errors
/// [`Error::Exists`](grouping_core::Error::Exists) for an output that is there and not to be replaced, [`Error::Setting`](grouping_core::Error::Setting) for a place that does not fit the dialect.
pub(super) fn check_out(dialect: Dialect, out: &Path, existing: Existing) -> Result<()> {
    let extension = out.extension().and_then(|extension| extension.to_str());
    let (fits, wanted) = match dialect.spec().written_as {
        WrittenAs::Folder => {
            (!extension.is_some_and(|e| ["safetensors", "bin", "pth"].contains(&e)), "a folder".to_string())
        }
        WrittenAs::File(ends) => (extension == Some(ends), format!("FILE.{ends}")),
    };
    if !fits {
        let expected = format!("{wanted} for the dialect {}", dialect.label());
        return Err(Error::setting("out", expected, out.display()));
    }
    Ok(existing.check(out)?)
}

/// The text of an index: the file of each tensor, and the bytes of all.
fn index(planned: &[(PathBuf, Vec<Planned>)]) -> String {
    let mut weight_map = serde_json::Map::new();
    let mut total_size = 0usize;
    for (path, planned) in planned {
        let file = path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
        for Planned { name, shape, dtype } in planned {
            weight_map.insert(name.clone(), Value::from(file.clone()));
            total_size += shape.iter().product::<usize>() * dtype.bitsize() / 8;
        }
    }
    let index = json!({"metadata": {"total_size": total_size}, "weight_map": weight_map});
    serde_json::to_string_pretty(&index).expect("names and numbers serialise") + "\n"
}

/// Index of the first value of these bytes that is NaN or infinite: all bits of its exponent are set.
fn first_not_finite(dtype: Dtype, bytes: &[u8]) -> Option<usize> {
    let halves =
        |mask: u16| bytes.as_chunks::<2>().0.iter().position(move |&b| u16::from_le_bytes(b) & mask == mask);
    match dtype {
        Dtype::F32 => {
            const MASK: u32 = 0x7f80_0000;
            bytes.as_chunks::<4>().0.iter().position(|&b| u32::from_le_bytes(b) & MASK == MASK)
        }
        Dtype::F16 => halves(0x7c00),
        Dtype::BF16 => halves(0x7f80),
        _ => None,
    }
}
