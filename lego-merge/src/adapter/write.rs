//! Writing a safetensors file tensor by tensor, alone or in a PEFT folder.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::path::{Path, PathBuf};

use grouping_core::files::output::{Existing, Staged};
use grouping_core::files::tensor_file::{Planned, TensorWriter, largest};

use super::{Adapter, AdapterConfig, CONFIG_FILE, Output, TENSOR_FILE};
use crate::{Error, Result};

/// Files of adapters: what a folder may hold that is replaced.
const KNOWN: [&str; 5] = [CONFIG_FILE, TENSOR_FILE, "adapter_model.bin", "merge.json", "README.md"];

/// A file, or a folder with one, under construction; dropped before [`Construction::finish`], it is removed. Tensors may be
/// written in any order, from any thread.
#[derive(Debug)]
pub(crate) struct Construction {
    place: PathBuf,
    staged: Staged,
    tensors: TensorWriter,
}

impl Construction {
    /// Starts an output with these tensors, in this order, and these entries in its header.
    ///
    /// # Errors
    /// [`Error::Core`] when the place is taken and nothing is to be replaced, by something else than an adapter, or cannot be written.
    pub(crate) fn begin(
        output: &Output,
        tensors: &[Planned],
        metadata: BTreeMap<String, String>,
    ) -> Result<Self> {
        let (place, existing) = (output.path(), output.existing());
        let (staged, file) = if output.is_file() {
            check_file(place, existing)?;
            Staged::file(place, existing)?
        } else {
            let staged = stage_folder(output)?;
            for (name, text) in output.documents() {
                let path = staged.path().join(name);
                fs::write(&path, text).map_err(Error::io(&path, "write"))?;
            }
            let path = staged.path().join(TENSOR_FILE);
            let file = File::create(&path).map_err(Error::io(&path, "create"))?;
            (staged, file)
        };
        let tensors = TensorWriter::safetensors(file, place, tensors, &metadata)?;
        Ok(Self { place: place.to_path_buf(), staged, tensors })
    }

    /// Where the output will be.
    pub(crate) fn place(&self) -> &Path {
        &self.place
    }

    /// Writes one tensor's values, each rounded once to the tensor's type.
    ///
    /// # Errors
    /// [`Error::Core`] when there is no such tensor, it has another length, or a value is beyond its type's range, and from
    /// the system.
    pub(crate) fn write(&self, name: &str, values: &[f32]) -> Result<()> {
        if let Some(dtype) = self.tensors.dtype(name)
            && let Some(value) = values.iter().find(|v| v.abs() > largest(dtype))
        {
            let expected = format!("values in the range of {dtype} (another `dtype` has more)");
            return Err(Error::format(&self.place, name, expected, value));
        }
        Ok(self.tensors.write(name, values)?)
    }

    /// Writes one tensor's bytes.
    ///
    /// # Errors
    /// As [`Construction::write`].
    pub(crate) fn write_bytes(&self, name: &str, bytes: &[u8]) -> Result<()> {
        Ok(self.tensors.write_bytes(name, bytes)?)
    }

    /// Adds the configuration to a folder and puts the output in its place.
    ///
    /// # Errors
    /// [`Error::Core`] when the place was taken meanwhile, and from the system.
    pub(crate) fn finish(self, config: Option<&AdapterConfig>) -> Result<()> {
        if let Some(config) = config {
            let path = self.staged.path().join(CONFIG_FILE);
            let mut text = serde_json::to_string_pretty(config)
                .map_err(|e| Error::format(&path, "configuration", "values that JSON can hold", e))?;
            text.push('\n');
            fs::write(&path, text).map_err(Error::io(&path, "write"))?;
        }
        // Windows renames no folder with an open file in it.
        drop(self.tensors);
        Ok(self.staged.commit()?)
    }
}

/// Refuses a place that writing would refuse.
pub(super) fn check_place(output: &Output) -> Result<()> {
    if output.is_file() {
        check_file(output.path(), output.existing())?;
    } else if output.path().symlink_metadata().is_ok() {
        stage_folder(output)?;
    }
    Ok(())
}

/// Starts a folder in the place of none or of an adapter's.
fn stage_folder(output: &Output) -> Result<Staged> {
    Ok(Staged::folder(output.path(), output.existing())?.replacing(&KNOWN)?)
}

/// What is replaced by a file is an adapter's, and no file comes to lie beside another adapter's configuration.
fn check_file(place: &Path, existing: Existing) -> Result<()> {
    existing.check(place)?;
    // Whoever opens the folder would read these tensors by another adapter's ranks and scales.
    if place.ends_with(TENSOR_FILE) && place.with_file_name(CONFIG_FILE).exists() {
        let expected = "the adapter's folder, or a file outside of it";
        return Err(Error::format(place, "output", expected, format!("its tensors beside {CONFIG_FILE}")));
    }
    if place.symlink_metadata().is_ok_and(|found| !found.is_file() || Adapter::read(place).is_err()) {
        return Err(Error::format(place, "output", "an adapter's file to replace", "something else"));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use grouping_core::files::tensor_file::Dtype;
    use grouping_core::testing::assert_refused;

    use super::*;

    #[test]
    fn an_output_given_up_halfway_leaves_nothing() {
        let folder = tempfile::tempdir().expect("a folder");
        for place in ["out", "out.safetensors"].map(|name| folder.path().join(name)) {
            let tensors = [("x", vec![2, 2]), ("y", vec![3])]
                .map(|(name, shape)| Planned::new(name, shape, Dtype::F16));
            let output = Output::new(&place);
            let construction =
                Construction::begin(&output, &tensors, BTreeMap::new()).expect("a place to write");
            construction.write("x", &[1.0; 4]).expect("writes");
            assert_refused(construction.write("y", &[1.0; 4]), "expected 3 values, found 4");
            assert_refused(construction.write("z", &[1.0; 4]), "a tensor announced in the header");
            assert_refused(construction.write("y", &[1e6; 3]), "values in the range of F16");
            drop(construction);
            assert_eq!(fs::read_dir(folder.path()).expect("a folder").count(), 0, "nothing is left");
        }
    }
}
