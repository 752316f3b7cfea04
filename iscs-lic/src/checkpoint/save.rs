//! Saving a checkpoint as a safetensors file that CompressAI loads.
//!
//! `load_state_dict(safetensors.torch.load_file(path))`, strict, into a fresh model of the class takes it: every parameter and buffer is
//! there under CompressAI 1.2.8's name, in 32 bits, and the tables are filled.

use std::collections::BTreeMap;
use std::path::Path;

use grouping_core::files::output::{Existing, write_file};
use grouping_core::files::tensor_file::{Dtype, Planned, TensorWriter};

use super::buffers::{SCALE_TABLE, TABLES, buffers};
use super::changed::Changes;
use super::{Checkpoint, Design};
use crate::{Error, Result};

/// What is written: floats, or whole numbers.
enum Content {
    Parameter,
    Floats(Vec<f32>),
    Integers(Vec<i32>),
}

impl Checkpoint {
    /// Writes the checkpoint, whole or not at all.
    ///
    /// # Errors
    /// [`Error::Core`] from the system, for a destination that is taken, and as [`Checkpoint::tables`].
    pub fn save(&self, path: &Path, existing: Existing) -> Result<()> {
        self.save_changed(&Changes::default(), path, existing)
    }

    /// Writes the checkpoint after changes, as [`Checkpoint::save`].
    ///
    /// # Errors
    /// As [`Checkpoint::save`], and as [`Checkpoint::changed_design`].
    pub(crate) fn save_changed(&self, changes: &Changes, path: &Path, existing: Existing) -> Result<()> {
        existing.check(path)?;
        let design = self.changed_design(changes)?;
        let mut all = self.entropy_tables(&design, changes)?;
        for (name, buffer) in buffers(&design) {
            if let Some((shape, values)) = buffer.constant() {
                all.insert(name, (shape, Content::Floats(values)));
            }
        }
        for (name, shape) in design.parameters() {
            all.insert(name, (shape, Content::Parameter));
        }
        let planned: Vec<Planned> = all
            .iter()
            .map(|(name, (shape, content))| {
                let dtype = if matches!(content, Content::Integers(_)) { Dtype::I32 } else { Dtype::F32 };
                Planned::new(name.clone(), shape.clone(), dtype)
            })
            .collect();
        let metadata = BTreeMap::from([
            ("format".to_string(), "pt".to_string()),
            ("architecture".to_string(), self.architecture().to_string()),
        ]);
        write_file(path, existing, |file| {
            let writer = TensorWriter::safetensors(file, path, &planned, &metadata)?;
            for (name, (_, content)) in &all {
                match content {
                    Content::Parameter => writer.write(name, &self.changed_tensor(changes, name)?.values)?,
                    Content::Floats(values) => writer.write(name, values)?,
                    Content::Integers(values) => {
                        let bytes: Vec<u8> = values.iter().flat_map(|v| v.to_le_bytes()).collect();
                        writer.write_bytes(name, &bytes)?;
                    }
                }
            }
            Ok::<(), Error>(writer.finish()?)
        })
    }

    /// The tables of all entropy models, with their scales.
    fn entropy_tables(
        &self,
        design: &Design,
        changes: &Changes,
    ) -> Result<BTreeMap<String, (Vec<usize>, Content)>> {
        let mut all = BTreeMap::new();
        for which in self.entropy_models() {
            let changed = changes.bottleneck.as_ref().filter(|_| which == design.bottleneck.0);
            let tables = changed.map_or_else(|| self.tables(which), |tables| Ok(tables.clone()))?;
            let (cdf, width, lengths, offsets) = tables.parts();
            let n_rows = lengths.len();
            let shapes = [vec![n_rows, width], vec![n_rows], vec![n_rows]];
            for ((table, shape), values) in TABLES.iter().zip(shapes).zip([cdf, lengths, offsets]) {
                all.insert(format!("{which}.{table}"), (shape, Content::Integers(values)));
            }
        }
        for which in &self.design.gaussians {
            let scales = self.scale_table(which)?;
            all.insert(format!("{which}.{SCALE_TABLE}"), (vec![scales.len()], Content::Floats(scales)));
        }
        Ok(all)
    }
}
