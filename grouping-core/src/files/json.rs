//! The fields of a JSON object in a file, each checked as it is read: errors name the file, the field, the expected and the found.

use std::path::{Path, PathBuf};

use serde_json::{Map, Value};

use super::text::read_text;
use crate::{Error, Result};

/// A file of settings is a few kilobytes; nobody needs more than this to be read.
const LIMIT: u64 = 16 << 20;
const SIZE: &str = "a whole number from 1 to 4294967295";
const POSITIVE: &str = "a number above zero";

/// The fields of one object of a file. A field that is `null` is absent, unless [`is_written`](Self::is_written) asks.
///
/// ```
/// use std::path::Path;
/// use grouping_core::files::json::Fields;
///
/// let fields = Fields::parse(Path::new("config.json"), r#"{"n": 3, "rope": {"theta": -1}}"#)?;
/// assert_eq!((fields.size("n")?, fields.optional_size("m")?, fields.flag("tied")?), (3, None, false));
/// let error = fields.object("rope")?.expect("an object").positive("theta").expect_err("negative");
/// assert_eq!(error.to_string(), "config.json: `rope.theta`: expected a number above zero, found -1");
/// # Ok::<(), grouping_core::Error>(())
/// ```
#[derive(Debug, Clone)]
pub struct Fields {
    path: PathBuf,
    /// The object's own name, with a dot, where it is not the file's outermost.
    within: String,
    fields: Map<String, Value>,
}

impl Fields {
    /// Reads the outermost object of a file of at most 16 MiB.
    ///
    /// # Errors
    /// [`Error::Io`] for a file that cannot be read, [`Error::FileField`] for one that is longer, or no object.
    pub fn read(path: &Path) -> Result<Self> {
        Self::parse(path, &read_text(path, LIMIT)?)
    }

    /// The outermost object of a text; `path` names it in errors.
    ///
    /// # Errors
    /// [`Error::FileField`] for a text that is no object.
    pub fn parse(path: &Path, text: &str) -> Result<Self> {
        let fields = serde_json::from_str(text)
            .map_err(|e| Error::file_field(path, "content", "a JSON object of settings", e))?;
        Ok(Self { path: path.to_path_buf(), within: String::new(), fields })
    }

    /// All fields, as they were read.
    pub fn as_map(&self) -> &Map<String, Value> {
        &self.fields
    }

    /// The field unless it is absent or null.
    pub fn present(&self, name: &str) -> Option<&Value> {
        self.fields.get(name).filter(|value| !value.is_null())
    }

    /// Whether there is a field of this name, be it null.
    pub fn is_written(&self, name: &str) -> bool {
        self.fields.contains_key(name)
    }

    /// An object within this one.
    ///
    /// # Errors
    /// [`Error::FileField`] for anything else.
    pub fn object(&self, name: &str) -> Result<Option<Self>> {
        match self.present(name) {
            None => Ok(None),
            Some(Value::Object(fields)) => Ok(Some(Self {
                path: self.path.clone(),
                within: format!("{}{name}.", self.within),
                fields: fields.clone(),
            })),
            Some(_) => Err(self.misfit(name, "an object")),
        }
    }

    /// A size above zero that must be there.
    ///
    /// # Errors
    /// [`Error::FileField`] for anything else.
    pub fn size(&self, name: &str) -> Result<usize> {
        self.optional_size(name)?.ok_or_else(|| self.misfit(name, SIZE))
    }

    /// A size above zero.
    ///
    /// # Errors
    /// [`Error::FileField`] for anything else.
    pub fn optional_size(&self, name: &str) -> Result<Option<usize>> {
        let Some(value) = self.present(name) else { return Ok(None) };
        match value.as_u64().filter(|size| (1..=u64::from(u32::MAX)).contains(size)) {
            Some(size) => Ok(Some(size as usize)),
            None => Err(self.misfit(name, SIZE)),
        }
    }

    /// A number above zero that must be there.
    ///
    /// # Errors
    /// [`Error::FileField`] for anything else.
    pub fn positive(&self, name: &str) -> Result<f64> {
        self.optional_positive(name)?.ok_or_else(|| self.misfit(name, POSITIVE))
    }

    /// A number above zero.
    ///
    /// # Errors
    /// [`Error::FileField`] for anything else.
    pub fn optional_positive(&self, name: &str) -> Result<Option<f64>> {
        let Some(value) = self.present(name) else { return Ok(None) };
        let number = value.as_f64().filter(|number| number.is_finite() && *number > 0.0);
        number.map(Some).ok_or_else(|| self.misfit(name, POSITIVE))
    }

    /// A switch; absent, it is off.
    ///
    /// # Errors
    /// [`Error::FileField`] for anything else.
    pub fn flag(&self, name: &str) -> Result<bool> {
        match self.present(name) {
            None => Ok(false),
            Some(Value::Bool(flag)) => Ok(*flag),
            Some(_) => Err(self.misfit(name, "true or false")),
        }
    }

    /// The error of a field that is not as expected: what it holds is what was found.
    pub fn misfit(&self, name: &str, expected: impl Into<String>) -> Error {
        let found = self.present(name).map_or_else(|| "nothing".into(), Value::to_string);
        self.misfit_of(name, expected, found)
    }

    /// The error of a field, or of a part of it, for which `found` was found.
    pub fn misfit_of(&self, name: &str, expected: impl Into<String>, found: impl ToString) -> Error {
        Error::file_field(&self.path, format!("{}{name}", self.within), expected, found)
    }
}
