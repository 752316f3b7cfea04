//! The files of weights under construction, and which of them each tensor goes to.

use std::collections::HashMap;

use grouping_core::files::tensor_file::{Planned, TensorWriter};

use crate::Result;

/// Writers by the tensors that they hold.
pub(super) struct Sink {
    writers: Vec<TensorWriter>,
    writer_of: HashMap<String, usize>,
}

impl Sink {
    pub(super) fn new(writers: Vec<(TensorWriter, Vec<Planned>)>) -> Self {
        let names = writers.iter().enumerate();
        let writer_of =
            names.flat_map(|(i, (_, planned))| planned.iter().map(move |p| (p.name.clone(), i))).collect();
        Self { writers: writers.into_iter().map(|(writer, _)| writer).collect(), writer_of }
    }

    pub(super) fn writer(&self, name: &str) -> &TensorWriter {
        &self.writers[self.writer_of[name]]
    }

    pub(super) fn write_from(&self, name: &str, first: usize, values: &[f32]) -> Result<()> {
        Ok(self.writer(name).write_from(name, first, values)?)
    }

    pub(super) fn finish(self) -> Result<()> {
        self.writers.into_iter().try_for_each(|writer| Ok(writer.finish()?))
    }
}
