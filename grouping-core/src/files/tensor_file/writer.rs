//! Writing a file of tensors piece by piece: the header first, then every tensor at its place, in any order and from any thread.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

use indexmap::IndexMap;
use safetensors::tensor::Dtype;
use serde_json::json;

use super::{encode, largest};
use crate::platform::Positioned;
use crate::{Error, Result};

/// A tensor that will be written, or that lies where a format without a header says.
#[derive(Debug, Clone, PartialEq)]
pub struct Planned {
    /// Its name.
    pub name: String,
    /// Length of each axis.
    pub shape: Vec<usize>,
    /// Type of its values.
    pub dtype: Dtype,
}

impl Planned {
    /// A tensor of this name, shape and type.
    pub fn new(name: impl Into<String>, shape: Vec<usize>, dtype: Dtype) -> Self {
        Self { name: name.into(), shape, dtype }
    }
}

/// A file of tensors under construction. Its tensors may be written in any order, whole or in pieces, from any thread.
#[derive(Debug)]
pub struct TensorWriter {
    label: PathBuf,
    file: Positioned,
    slots: IndexMap<String, Slot>,
}

#[derive(Debug)]
struct Slot {
    offset: u64,
    n_bytes: usize,
    dtype: Dtype,
    n_bytes_written: AtomicU64,
}

impl TensorWriter {
    /// Starts a safetensors file in the empty `file` with these tensors, in this order but for the widest types first, and these
    /// entries in its header. `label` is the path named in errors.
    ///
    /// # Errors
    /// [`Error::FileField`] for a name that is there twice, [`Error::Io`] when the header cannot be written.
    pub fn safetensors(
        file: File,
        label: &Path,
        tensors: &[Planned],
        metadata: &BTreeMap<String, String>,
    ) -> Result<Self> {
        // The widest types first keeps every tensor aligned to its type.
        let mut order: Vec<&Planned> = tensors.iter().collect();
        order.sort_by_key(|t| std::cmp::Reverse(t.dtype.bitsize()));
        let slots = slots(label, &order)?;
        let mut header = IndexMap::from([("__metadata__".to_string(), json!(metadata))]);
        for (Planned { name, shape, dtype }, slot) in order.iter().zip(slots.values()) {
            let range = [slot.offset, slot.offset + slot.n_bytes as u64];
            header.insert(name.clone(), json!({"data_offsets": range, "dtype": dtype, "shape": shape}));
        }
        let mut text = serde_json::to_vec(&header)
            .map_err(|e| Error::file_field(label, "header", "names that JSON can hold", e))?;
        text.resize(text.len().next_multiple_of(8), b' ');
        let length = (text.len() as u64).to_le_bytes();
        Self::start(file, label, &[&length[..], &text].concat(), slots)
    }

    /// Starts a file that is `head` and then these tensors one after another, in this order.
    ///
    /// # Errors
    /// As [`TensorWriter::safetensors`].
    pub fn headed(file: File, label: &Path, head: &[u8], tensors: &[Planned]) -> Result<Self> {
        let slots = slots(label, &tensors.iter().collect::<Vec<_>>())?;
        Self::start(file, label, head, slots)
    }

    fn start(mut file: File, label: &Path, head: &[u8], mut slots: IndexMap<String, Slot>) -> Result<Self> {
        let start = head.len() as u64;
        let end = slots.values().last().map_or(0, |slot| slot.offset + slot.n_bytes as u64);
        file.write_all(head).and_then(|()| file.set_len(start + end)).map_err(Error::file(label, "write"))?;
        slots.values_mut().for_each(|slot| slot.offset += start);
        Ok(Self { label: label.to_path_buf(), file: Positioned::new(file), slots })
    }

    /// Type of one planned tensor.
    pub fn dtype(&self, name: &str) -> Option<Dtype> {
        self.slots.get(name).map(|slot| slot.dtype)
    }

    /// Writes one tensor's values, each rounded once to the tensor's type.
    ///
    /// # Errors
    /// [`Error::FileField`] when there is no such tensor, it has another length, or a value is beyond its type's range;
    /// [`Error::Io`] from the system.
    pub fn write(&self, name: &str, values: &[f32]) -> Result<()> {
        let slot = self.slot(name)?;
        let n_values = slot.n_bytes * 8 / slot.dtype.bitsize();
        if n_values != values.len() {
            return Err(Error::file_field(&self.label, name, format!("{n_values} values"), values.len()));
        }
        self.write_from(name, 0, values)
    }

    /// Writes some of one tensor's values, from flat index `first` on, each rounded once to the tensor's type.
    ///
    /// # Errors
    /// As [`TensorWriter::write`].
    pub fn write_from(&self, name: &str, first: usize, values: &[f32]) -> Result<()> {
        let dtype = self.slot(name)?.dtype;
        if let Some(value) = values.iter().find(|v| v.abs() > largest(dtype)) {
            let expected = format!("values in the range of {dtype:?}");
            return Err(Error::file_field(&self.label, name, expected, value));
        }
        let unwritten = || {
            let expected = "type F32, F16 or BF16";
            Error::file_field(&self.label, name, expected, format!("{dtype:?}"))
        };
        let encoded = encode(values, dtype).ok_or_else(unwritten)?;
        self.write_bytes_from(name, first * dtype.bitsize() / 8, &encoded)
    }

    /// Writes one tensor's bytes.
    ///
    /// # Errors
    /// As [`TensorWriter::write`].
    pub fn write_bytes(&self, name: &str, bytes: &[u8]) -> Result<()> {
        let Slot { n_bytes, dtype, .. } = self.slot(name)?;
        if *n_bytes != bytes.len() {
            let expected = format!("{} values of {dtype:?}", n_bytes * 8 / dtype.bitsize());
            return Err(Error::file_field(&self.label, name, expected, format!("{} bytes", bytes.len())));
        }
        self.write_bytes_from(name, 0, bytes)
    }

    /// Writes some of one tensor's bytes, from byte `at` of the tensor on.
    ///
    /// # Errors
    /// As [`TensorWriter::write`].
    pub fn write_bytes_from(&self, name: &str, at: usize, bytes: &[u8]) -> Result<()> {
        let slot = self.slot(name)?;
        if at.checked_add(bytes.len()).is_none_or(|end| end > slot.n_bytes) {
            let expected = format!("at most {} bytes", slot.n_bytes);
            let found = format!("{} from byte {at} on", bytes.len());
            return Err(Error::file_field(&self.label, name, expected, found));
        }
        let write = self.file.write_all_at(bytes, slot.offset + at as u64);
        write.map_err(Error::file(&self.label, "write"))?;
        slot.n_bytes_written.fetch_add(bytes.len() as u64, Ordering::Relaxed);
        Ok(())
    }

    /// Checks that every tensor has been written.
    ///
    /// # Errors
    /// [`Error::FileField`] for one that has not, or not once.
    pub fn finish(self) -> Result<()> {
        for (name, Slot { n_bytes, n_bytes_written, .. }) in &self.slots {
            let found = n_bytes_written.load(Ordering::Relaxed);
            if found != *n_bytes as u64 {
                let found = format!("{found} written");
                return Err(Error::file_field(&self.label, name, format!("{n_bytes} bytes"), found));
            }
        }
        Ok(())
    }

    fn slot(&self, name: &str) -> Result<&Slot> {
        let missing = || Error::file_field(&self.label, name, "a tensor announced in the header", "none");
        self.slots.get(name).ok_or_else(missing)
    }
}

/// Places one after another.
fn slots(label: &Path, order: &[&Planned]) -> Result<IndexMap<String, Slot>> {
    let mut slots = IndexMap::with_capacity(order.len());
    let mut offset = 0u64;
    for Planned { name, shape, dtype } in order {
        let n_bytes = shape.iter().product::<usize>() * dtype.bitsize() / 8;
        let slot = Slot { offset, n_bytes, dtype: *dtype, n_bytes_written: AtomicU64::new(0) };
        if slots.insert(name.clone(), slot).is_some() {
            return Err(Error::file_field(label, name, "each name once", "it twice"));
        }
        offset += n_bytes as u64;
    }
    Ok(slots)
}
