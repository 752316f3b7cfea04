//! The fields of a JSON object, each checked as it is read, with errors that name the file, the field, the expected and the found.

use std::path::Path;

use serde_json::{Map, Value};

use crate::{Error, Result};

/// The fields of one object of a file.
pub(super) struct Fields<'a> {
    pub(super) path: &'a Path,
    pub(super) fields: &'a Map<String, Value>,
    /// The name of the object, with a dot, where it is not the file's outermost.
    pub(super) within: &'a str,
}

impl<'a> Fields<'a> {
    /// The field unless it is absent or null.
    pub(super) fn present(&self, name: &str) -> Option<&'a Value> {
        self.fields.get(name).filter(|value| !value.is_null())
    }

    pub(super) fn expect(&self, name: &str, expected: &str) -> Result<()> {
        match self.present(name) {
            Some(found) if found == expected => Ok(()),
            found => Err(self.misfit(name, format!("{expected:?}"), or_nothing(found))),
        }
    }

    pub(super) fn size(&self, name: &str) -> Result<usize> {
        self.optional_size(name)?.ok_or_else(|| self.misfit(name, SIZE, "nothing"))
    }

    pub(super) fn optional_size(&self, name: &str) -> Result<Option<usize>> {
        let Some(value) = self.present(name) else { return Ok(None) };
        match value.as_u64().filter(|size| (1..=u64::from(u32::MAX)).contains(size)) {
            Some(size) => Ok(Some(size as usize)),
            None => Err(self.misfit(name, SIZE, value)),
        }
    }

    pub(super) fn positive(&self, name: &str, default: f64) -> Result<f64> {
        match self.present(name) {
            None => Ok(default),
            Some(_) => self.required(name),
        }
    }

    pub(super) fn required(&self, name: &str) -> Result<f64> {
        let value = self.present(name);
        match value.and_then(Value::as_f64).filter(|number| number.is_finite() && *number > 0.0) {
            Some(number) => Ok(number),
            None => Err(self.misfit(name, "a number above zero", or_nothing(value))),
        }
    }

    pub(super) fn flag(&self, name: &str) -> Result<bool> {
        match self.present(name) {
            None => Ok(false),
            Some(Value::Bool(flag)) => Ok(*flag),
            Some(other) => Err(self.misfit(name, "true or false", other)),
        }
    }

    pub(super) fn misfit(&self, field: &str, expected: impl Into<String>, found: impl ToString) -> Error {
        setting(self.path, &format!("{}{field}", self.within), expected.into(), found)
    }
}

const SIZE: &str = "a whole number from 1 to 4294967295";

pub(super) fn or_nothing(value: Option<&Value>) -> String {
    value.map_or_else(|| "nothing".into(), Value::to_string)
}

pub(super) fn setting(path: &Path, field: &str, expected: String, found: impl ToString) -> Error {
    Error::FileField { path: path.to_owned(), field: field.to_owned(), expected, found: found.to_string() }
}
