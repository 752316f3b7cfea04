//! Scores of channels in a file: what `iscs-lic analyze --json` prints, or any JSON object with an array `scores`.

use std::path::Path;

use grouping_core::files::json::Fields;
use serde_json::Value;

use super::file::{MAX_NAME, is_name};
use super::hex;
use crate::Result;
use crate::checkpoint::Checkpoint;

/// Scores `[M]` and what they are called.
#[derive(Clone, Debug, PartialEq)]
pub struct Scores {
    /// The field `preset`, or `given`.
    pub name: String,
    /// One a channel.
    pub values: Vec<f64>,
}

impl Scores {
    /// Reads the scores of a model's channels.
    ///
    /// # Errors
    /// [`crate::Error::Core`] for a file that cannot be read, for scores that are not finite or not as many as channels, and, where the file
    /// names a `fingerprint`, for that of another model.
    pub fn read(path: &Path, checkpoint: &Checkpoint) -> Result<Self> {
        let fields = Fields::read(path)?;
        let name = match fields.present("preset") {
            None => "given".to_owned(),
            Some(value) => match value.as_str().filter(|text| is_name(text)) {
                Some(name) => name.to_owned(),
                None => {
                    return Err(fields.misfit("preset", format!("a text of 1 to {MAX_NAME} bytes")).into());
                }
            },
        };
        let fingerprint = hex(&checkpoint.fingerprint());
        if fields.present("fingerprint").is_some_and(|value| value.as_str() != Some(&fingerprint)) {
            let expected = format!("{fingerprint}, of the model that is given");
            return Err(fields.misfit("fingerprint", expected).into());
        }
        let m = checkpoint.m();
        let Some(values) = fields.present("scores").and_then(Value::as_array) else {
            return Err(fields.misfit("scores", format!("an array of {m} numbers")).into());
        };
        if values.len() != m {
            let found = format!("{} values", values.len());
            return Err(fields.misfit_of("scores", format!("{m} values, one a channel"), found).into());
        }
        let number = |(i, value): (usize, &Value)| {
            let found = value.as_f64().filter(|number| number.is_finite());
            found.ok_or_else(|| fields.misfit_of(&format!("scores[{i}]"), "a finite number", value).into())
        };
        Ok(Self { name, values: values.iter().enumerate().map(number).collect::<Result<_>>()? })
    }
}
