//! Opening a checkpoint: neutral names, the architecture, and the check of every tensor.

use std::collections::BTreeMap;

use grouping_core::files::tensor_file::{Dtype, Tensor, TensorFile};

use super::architectures::{Widths, design, recognise};
use super::buffers::{buffers, is_constant};
use super::{Architecture, Checkpoint, Design, names};
use crate::{Error, Result};

/// The largest width: rows of tables are numbered by 16 bits.
const WIDEST: usize = 65_535;

pub(super) fn open(file: TensorFile) -> Result<Checkpoint> {
    let names = neutral_names(&file)?;
    let design = {
        let axis = |name: &str, rank: usize, axis: usize| axis_of(&file, &names, name, rank, axis);
        let widths = Widths { axis: &axis, has: &|name| names.contains_key(name) };
        let architecture = recognise(&widths)?;
        design(architecture, &widths)?
    };
    check_slices(&file, &names, &design)?;
    let is_half = names.values().any(|name| matches!(file.dtype(name), Some(Dtype::F16 | Dtype::BF16)));
    let file = std::sync::Arc::new(file);
    let mut checkpoint = Checkpoint { file, names, design, fingerprint: [0; 16], is_half, recomputes: false };
    check_names(&checkpoint)?;
    check_constants(&checkpoint)?;
    checkpoint.fingerprint = fingerprint(&checkpoint.design, |name| checkpoint.tensor(name))?;
    Ok(checkpoint)
}

fn neutral_names(file: &TensorFile) -> Result<BTreeMap<String, String>> {
    let prefix = names::prefix(file.path(), file.names())?;
    let mut out = BTreeMap::new();
    for name in file.names() {
        let neutral = names::neutral(file.path(), &prefix, name)?;
        if let Some(other) = out.insert(neutral, name.to_string()) {
            return Err(Error::format(file.path(), name, "each tensor once", format!("it as `{other}` too")));
        }
    }
    Ok(out)
}

fn axis_of(
    file: &TensorFile,
    names: &BTreeMap<String, String>,
    name: &str,
    rank: usize,
    axis: usize,
) -> Result<usize> {
    let stored = names.get(name).ok_or_else(|| missing(file, name))?;
    let shape = file.shape(stored).unwrap_or_default();
    if shape.len() != rank {
        let found = format!("shape {shape:?}");
        return Err(Error::format(file.path(), stored, format!("{rank} axes"), found));
    }
    if !(1..=WIDEST).contains(&shape[axis]) {
        let found = format!("shape {shape:?}");
        return Err(Error::format(file.path(), stored, format!("a width from 1 to {WIDEST}"), found));
    }
    Ok(shape[axis])
}

fn missing(file: &TensorFile, name: &str) -> Error {
    Error::format(file.path(), name, "a tensor of this name", "none")
}

/// Checks what the shapes alone do not: that the slices are those of y, and that this is the variant that is known.
fn check_slices(file: &TensorFile, names: &BTreeMap<String, String>, design: &Design) -> Result<()> {
    let n_sliced: usize = design.slices.iter().sum();
    if n_sliced != design.m {
        let found = format!("{} slices of {:?}", design.slices.len(), design.slices);
        return Err(Error::format(
            file.path(),
            "slices of y",
            format!("{} channels in all", design.m),
            found,
        ));
    }
    if design.architecture == Architecture::Elic2022 {
        let name = "latent_codec.hyper.h_s.4.weight";
        let first = axis_of(file, names, name, 4, 0)?;
        if first == 2 * design.m && first != design.n * 3 / 2 {
            let expected = "an architecture that is known, such as elic2022-official";
            return Err(Error::format(file.path(), "architecture", expected, "elic2022-chandelier"));
        }
    }
    Ok(())
}

fn check_names(checkpoint: &Checkpoint) -> Result<()> {
    let mut known = BTreeMap::new();
    for (name, shape) in checkpoint.design.parameters() {
        let Some(found) = checkpoint.shape(&name) else { return Err(missing(&checkpoint.file, &name)) };
        if shape.contains(&0) {
            let expected = "at least two channels, which are halved inside";
            return Err(checkpoint.misfit(&name, expected, format!("shape {shape:?}")));
        }
        if found != shape {
            return Err(checkpoint.misfit(&name, format!("shape {shape:?}"), format!("{found:?}")));
        }
        known.insert(name, ());
    }
    known.extend(buffers(&checkpoint.design).into_iter().map(|(name, _)| (name, ())));
    match checkpoint.names.keys().find(|name| !known.contains_key(*name)) {
        Some(name) => {
            let expected = format!("a tensor of {}", checkpoint.architecture());
            Err(checkpoint.misfit(name, expected, "another"))
        }
        None => Ok(()),
    }
}

fn check_constants(checkpoint: &Checkpoint) -> Result<()> {
    for (name, buffer) in buffers(&checkpoint.design) {
        let (Some(found), Some((shape, expected))) = (checkpoint.shape(&name), buffer.constant()) else {
            continue;
        };
        let is_scalar = found.is_empty() && shape == [1];
        if found != shape && !is_scalar {
            return Err(checkpoint.misfit(&name, format!("shape {shape:?}"), format!("{found:?}")));
        }
        let values = checkpoint.tensor(&name)?.values;
        let off = values.iter().zip(&expected).position(|(&found, &expected)| !is_constant(found, expected));
        if let Some(i) = off {
            let expected = format!("CompressAI's constant {} at index {i}", expected[i]);
            return Err(checkpoint.misfit(&name, expected, values[i]));
        }
    }
    Ok(())
}

/// The fingerprint of a design's parameters.
pub(super) fn fingerprint(design: &Design, tensor: impl Fn(&str) -> Result<Tensor>) -> Result<[u8; 16]> {
    let mut hash = blake3::Hasher::new();
    for (name, _) in design.parameters() {
        let tensor = tensor(&name)?;
        hash.update(&(name.len() as u32).to_le_bytes()).update(name.as_bytes());
        hash.update(&(tensor.shape.len() as u32).to_le_bytes());
        for length in tensor.shape {
            hash.update(&(length as u64).to_le_bytes());
        }
        let bytes: Vec<u8> = tensor.values.iter().flat_map(|v| v.to_le_bytes()).collect();
        hash.update(&bytes);
    }
    let mut out = [0; 16];
    out.copy_from_slice(&hash.finalize().as_bytes()[..16]);
    Ok(out)
}
