//! One adapter in another format or type.

use std::collections::BTreeMap;

use grouping_core::files::tensor_file::Planned;
use rayon::prelude::*;

use super::format::{Format, Part, kohya};
use super::layout::{AdapterWriter, Outline};
use super::open::CONFIG_METADATA;
use super::write::Construction;
use super::{Adapter, Output, OutputType};
use crate::{Error, Result};

/// Writes an adapter where and how `output` says. In its own format every tensor keeps its name and shape, and with
/// [`OutputType::Keep`] its bytes; magnitudes of DoRA are carried into any format.
///
/// # Errors
/// [`Error::Core`] for an output that is there or cannot be written, or whose format has no place for something.
pub fn convert(adapter: &Adapter, output: &Output) -> Result<()> {
    if output.resolve(adapter.format())? == adapter.format() {
        return copy(adapter, output);
    }
    let heads =
        adapter.heads().iter().map(|name| (name.clone(), adapter.head_shape(name).unwrap_or_default()));
    let outline = Outline {
        first: adapter,
        modules: adapter.modules().to_vec(),
        heads: heads.collect(),
        config: adapter.config().clone(),
        is_pipeline: adapter.format() != Format::Peft,
        part_type: &|module, part| output.dtype().of([adapter.part_type(module, part)]),
        head_type: &|name| output.dtype().of([adapter.head_type(name)]),
    };
    let writer = AdapterWriter::create(output, &outline)?;
    adapter.modules().par_iter().try_for_each(|module| {
        for part in [Part::A, Part::B, Part::Bias, Part::Magnitude] {
            if let Some(tensor) = adapter.part(&module.name, part)? {
                writer.part(&module.name, part, &tensor.values)?;
            }
        }
        Ok::<_, Error>(())
    })?;
    for name in adapter.heads() {
        writer.head(name, &adapter.head(name)?.values)?;
    }
    writer.finish()
}

/// Every tensor under its own name, in the order of the file.
fn copy(adapter: &Adapter, output: &Output) -> Result<()> {
    let tensors = &adapter.tensors;
    let announce = |name: &str| {
        let shape = tensors.shape(name).unwrap_or_default().to_vec();
        let found = tensors.dtype(name);
        // Numbers beside the factors (`.alpha`) keep their type: a rounded scale would be another scale.
        let kept = found.filter(|_| output.dtype() == OutputType::Keep || kohya::is_scale(name));
        Planned { name: name.into(), shape, dtype: kept.unwrap_or_else(|| output.dtype().of([found])) }
    };
    let announced: Vec<_> = tensors.names().map(announce).collect();
    let mut metadata: BTreeMap<_, _> = tensors.metadata();
    metadata.entry("format".into()).or_insert_with(|| "pt".into());
    let peft = adapter.format() == Format::Peft;
    metadata.remove(CONFIG_METADATA);
    if peft && output.is_file() {
        let text = serde_json::to_string(adapter.config())
            .map_err(|e| Error::format(output.path(), "configuration", "values that JSON can hold", e))?;
        metadata.insert(CONFIG_METADATA.into(), text);
    }
    let construction = Construction::begin(output, &announced, metadata)?;
    announced.par_iter().try_for_each(|tensor| {
        let same = tensors.dtype(&tensor.name) == Some(tensor.dtype);
        if !kohya::is_scale(&tensor.name) {
            // Also when the bytes are kept: what is written can be read.
            let decoded = tensors.decode(&adapter.path, &tensor.name)?;
            if !same {
                return construction.write(&tensor.name, &decoded.values);
            }
        }
        construction.write_bytes(&tensor.name, &tensors.bytes(&tensor.name).unwrap_or_default())
    })?;
    construction.finish(Some(adapter.config()).filter(|_| peft && !output.is_file()))
}
