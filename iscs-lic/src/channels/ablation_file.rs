//! The file that keeps an ablation while it runs, and behind it.
//!
//! One JSON object: `format`; `model` and `pictures`, which it is of; `mse`, `bits` and `delta_mse`, `null` for each channel that is not yet done. It is
//! replaced whole after every channel. Of another model or other pictures it is refused.

use std::path::Path;

use grouping_core::files::output::{Existing, write_text};
use grouping_core::files::text::read_text;
use serde::{Deserialize, Serialize};

use super::ablation::{Ablation, AblationSource};
use crate::{Error, Result};

const FORMAT: &str = "iscs-lic ablation 1";
/// Longer than any: 65,535 channels and as many pictures.
const LIMIT: u64 = 16 << 20;

/// What the file holds.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Kept {
    format: String,
    model: String,
    pictures: Vec<String>,
    /// None before the pictures were coded.
    mse: Option<f64>,
    bits: Vec<f64>,
    delta_mse: Vec<Option<f64>>,
}

impl Kept {
    /// What `file` holds, or nothing yet where there is none.
    ///
    /// # Errors
    /// [`Error::Core`] for a file that cannot be read, and for one of another content, model, pictures or number of channels.
    pub(super) fn read(file: &Path, source: AblationSource, m: usize) -> Result<Self> {
        let AblationSource { model, pictures } = source;
        if file.symlink_metadata().is_err() {
            let delta_mse = vec![None; m];
            return Ok(Self { format: FORMAT.into(), model, pictures, mse: None, bits: vec![], delta_mse });
        }
        let refuse =
            |field: &str, expected: String, found: String| Err(Error::format(file, field, expected, found));
        let kept: Self = match serde_json::from_str(&read_text(file, LIMIT)?) {
            Ok(kept) => kept,
            Err(cause) => return refuse("content", "an ablation".into(), cause.to_string()),
        };
        if kept.format != FORMAT {
            return refuse("format", format!("`{FORMAT}`"), format!("`{}`", kept.format));
        }
        if kept.model != model {
            return refuse("model", format!("{model}, which is analysed"), kept.model);
        }
        if kept.pictures.len() != pictures.len() {
            return refuse(
                "pictures",
                format!("{} of them", pictures.len()),
                kept.pictures.len().to_string(),
            );
        }
        if let Some(i) = (0..pictures.len()).find(|&i| kept.pictures[i] != pictures[i]) {
            let (expected, found) = (format!("{} at place {i}", pictures[i]), kept.pictures[i].clone());
            return refuse("pictures", expected, found);
        }
        let n_bits = if kept.mse.is_some() { m } else { 0 };
        for (field, expected, found) in
            [("delta_mse", m, kept.delta_mse.len()), ("bits", n_bits, kept.bits.len())]
        {
            if found != expected {
                return refuse(field, format!("{expected} values"), found.to_string());
            }
        }
        if kept.mse.is_none() && kept.n_done() > 0 {
            return refuse("mse", "a number, since channels are done".into(), "none".into());
        }
        Ok(kept)
    }

    /// How many channels are done.
    pub(super) fn n_done(&self) -> usize {
        self.delta_mse.iter().flatten().count()
    }

    /// The first channel that is not done.
    pub(super) fn pending(&self) -> Option<usize> {
        self.delta_mse.iter().position(Option::is_none)
    }

    /// The ablation, where every channel is done.
    pub(super) fn whole(&self) -> Option<Ablation> {
        let delta_mse = self.delta_mse.iter().copied().collect::<Option<Vec<f64>>>()?;
        Some(Ablation { mse: self.mse?, delta_mse, bits: self.bits.clone() })
    }

    /// Notes the error and the bits with all channels.
    ///
    /// # Errors
    /// [`Error::Core`] where the file holds another error, by more than `tolerance` of it.
    pub(super) fn begin(&mut self, file: &Path, mse: f64, bits: Vec<f64>, tolerance: f64) -> Result<()> {
        if let Some(found) = self.mse.filter(|found| (found - mse).abs() > tolerance * mse) {
            return Err(Error::format(file, "mse", format!("{mse}, as it is computed here"), found));
        }
        if self.mse.is_none() {
            (self.mse, self.bits) = (Some(mse), bits);
            self.write(file)?;
        }
        Ok(())
    }

    /// Keeps what was found for a channel.
    ///
    /// # Errors
    /// [`Error::Core`] for a file that cannot be written.
    pub(super) fn put(&mut self, file: &Path, channel: usize, growth: f64) -> Result<()> {
        self.delta_mse[channel] = Some(growth);
        self.write(file)
    }

    fn write(&self, file: &Path) -> Result<()> {
        let text =
            serde_json::to_string(self).map_err(|cause| Error::format(file, "content", "numbers", cause))?;
        Ok(write_text(file, Existing::Replace, &(text + "\n"))?)
    }
}
