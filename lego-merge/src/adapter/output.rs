//! Where an adapter is written, in which format and type.

use std::path::{Path, PathBuf};

use grouping_core::files::output::Existing;
use safetensors::tensor::Dtype;

use super::Format;
use super::write::check_place;
use crate::{Error, Result};

/// Types of the written tensors.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[cfg_attr(feature = "cli", derive(clap::ValueEnum))]
#[non_exhaustive]
pub enum OutputType {
    /// 32 bits
    #[default]
    F32,
    /// IEEE half precision
    F16,
    /// bfloat16
    Bf16,
    /// The sources' type of each tensor, f32 where they differ
    Keep,
}

impl OutputType {
    /// The type of a tensor whose sources have these types.
    pub(crate) fn of(self, sources: impl IntoIterator<Item = Option<Dtype>>) -> Dtype {
        match self {
            Self::F32 => Dtype::F32,
            Self::F16 => Dtype::F16,
            Self::Bf16 => Dtype::BF16,
            Self::Keep => {
                let mut types = sources.into_iter().flatten();
                match types.next() {
                    Some(first) if is_kept(first) && types.all(|other| other == first) => first,
                    _ => Dtype::F32,
                }
            }
        }
    }
}

fn is_kept(dtype: Dtype) -> bool {
    matches!(dtype, Dtype::F32 | Dtype::F16 | Dtype::BF16)
}

/// Where and how an adapter is written: a path that ends with `.safetensors` is a single file, any other a PEFT folder.
#[derive(Debug, Clone)]
pub struct Output {
    path: PathBuf,
    format: Option<Format>,
    dtype: OutputType,
    existing: Existing,
    documents: Vec<(String, String)>,
}

impl Output {
    /// The first adapter's format in a file, PEFT in a folder; `f32`; nothing is replaced.
    pub fn new(path: impl Into<PathBuf>) -> Self {
        let (path, documents) = (path.into(), vec![]);
        Self { path, format: None, dtype: OutputType::F32, existing: Existing::Refuse, documents }
    }

    /// Another format than the first adapter's.
    pub fn with_format(mut self, format: impl Into<Option<Format>>) -> Self {
        self.format = format.into();
        self
    }

    /// Types of the tensors.
    pub fn with_type(mut self, dtype: OutputType) -> Self {
        self.dtype = dtype;
        self
    }

    /// What to do when there is something at the place; what is replaced is an adapter, never anything else.
    pub fn with_existing(mut self, existing: Existing) -> Self {
        self.existing = existing;
        self
    }

    /// A text to write beside the adapter, where the output is a folder: `README.md` or `merge.json`.
    pub fn with_document(mut self, name: impl Into<String>, text: impl Into<String>) -> Self {
        self.documents.push((name.into(), text.into()));
        self
    }

    /// Checks that the place is free, or holds what may be replaced: writing does so too, but after all the work.
    ///
    /// # Errors
    /// [`Error::Core`] for a place that is taken, something else than an adapter there, or a folder in a format that has none.
    pub fn check(&self) -> Result<()> {
        self.resolve(Format::Peft)?;
        check_place(self)
    }

    /// Texts to write beside the adapter, by the names of their files.
    pub(crate) fn documents(&self) -> &[(String, String)] {
        &self.documents
    }

    /// The place.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Types of the tensors.
    pub(crate) fn dtype(&self) -> OutputType {
        self.dtype
    }

    pub(crate) fn existing(&self) -> Existing {
        self.existing
    }

    /// Whether a single file is written.
    pub(crate) fn is_file(&self) -> bool {
        self.path.extension().is_some_and(|e| e == "safetensors")
    }

    /// The format to write, `first` being that of the first adapter.
    ///
    /// # Errors
    /// [`grouping_core::Error::Setting`] for a folder in a format that has none.
    pub(crate) fn resolve(&self, first: Format) -> Result<Format> {
        match (self.is_file(), self.format) {
            (false, None | Some(Format::Peft)) => Ok(Format::Peft),
            (false, Some(format)) => {
                let expected = format!("peft for the folder {}", self.path.display());
                Err(Error::setting("format", expected + ", another for a file FILE.safetensors", format))
            }
            (true, format) => Ok(format.unwrap_or(first)),
        }
    }
}
