//! What a file says about itself, for people and for programs.

use std::fmt;

use serde::Serialize;

use super::CaiHeader;
use super::coded::{Mode, Pads};
use super::read::{Format, Integrity, Read};

/// A description of a container.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[non_exhaustive]
pub struct Summary {
    /// `iscs` or `cai`.
    pub format: &'static str,
    /// The length of the file.
    pub file_bytes: usize,
    /// Of the picture, in pixels.
    pub width: u32,
    /// Of the picture, in pixels.
    pub height: u32,
    /// Bits of the whole file a pixel of the picture.
    pub bits_per_pixel: f64,
    /// What was added around the picture.
    pub pads: Pads,
    /// The arithmetic that decodes it.
    pub mode: Mode,
    /// The fingerprint of the model, in hexadecimal digits; none in a `.cai`.
    pub model: Option<String>,
    /// The model that a `.cai` names.
    pub zoo: Option<CaiHeader>,
    /// The fingerprint of the plan of channels, in hexadecimal digits.
    pub plan: Option<String>,
    /// The strings, in the order of decoding.
    pub strings: Vec<StringSummary>,
}

/// A description of one string.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[non_exhaustive]
pub struct StringSummary {
    /// What it holds, in words.
    pub role: String,
    /// Its length; 0 where it is not whole.
    pub bytes: usize,
    /// What became of it.
    pub state: Integrity,
    /// The hash of its symbols' tables.
    pub index_hash: Option<u32>,
}

fn digits(bytes: &[u8]) -> Option<String> {
    let is_there = bytes.iter().any(|&byte| byte != 0);
    is_there.then(|| bytes.iter().map(|byte| format!("{byte:02x}")).collect())
}

impl Read {
    /// A description of the file.
    ///
    /// ```
    /// use iscs_lic::container::{Coded, Limits};
    ///
    /// # let bytes = include_bytes!("../../tests/data/golden.cai");
    /// let summary = Coded::read(bytes, &Limits::default())?.summary();
    /// assert_eq!((summary.format, summary.width, summary.strings.len()), ("cai", 256, 2));
    /// # Ok::<(), iscs_lic::Error>(())
    /// ```
    pub fn summary(&self) -> Summary {
        let coded = self.coded();
        let (format, zoo) = match self.format() {
            Format::Cai(header) => ("cai", Some(header)),
            Format::Iscs => ("iscs", None),
        };
        let strings = coded.strings.iter().zip(self.states());
        Summary {
            format,
            file_bytes: self.n_bytes(),
            width: coded.width,
            height: coded.height,
            bits_per_pixel: 8.0 * self.n_bytes() as f64 / (f64::from(coded.width) * f64::from(coded.height)),
            pads: coded.pads,
            mode: coded.mode,
            model: digits(&coded.model),
            zoo,
            plan: digits(&coded.plan),
            strings: strings
                .map(|(string, &state)| StringSummary {
                    role: string.role.to_string(),
                    bytes: string.bytes.len(),
                    state,
                    index_hash: (string.index_hash != 0).then_some(string.index_hash),
                })
                .collect(),
        }
    }
}

impl fmt::Display for Summary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Pads { left, right, top, bottom } = self.pads;
        writeln!(f, "format      .{}, {} bytes", self.format, self.file_bytes)?;
        writeln!(f, "picture     {} × {}, {:.4} bits a pixel", self.width, self.height, self.bits_per_pixel)?;
        writeln!(f, "pads        {left} left, {right} right, {top} top, {bottom} bottom")?;
        let mode = match self.mode {
            Mode::Float => "float",
            Mode::Symbols => "the same symbols everywhere",
            Mode::Pixels => "the same pixels everywhere",
        };
        writeln!(f, "arithmetic  {mode}")?;
        if let Some(model) = &self.model {
            writeln!(f, "model       {model}")?;
        }
        if let Some(CaiHeader { model, metric, quality }) = &self.zoo {
            writeln!(
                f,
                "model       {} of CompressAI, for {}, quality {quality}",
                model.name(),
                metric.name()
            )?;
        }
        if let Some(plan) = &self.plan {
            writeln!(f, "plan        {plan}")?;
        }
        for string in &self.strings {
            let state = match string.state {
                Integrity::Whole => "",
                Integrity::Truncated => ", truncated",
                Integrity::Damaged => ", damaged",
            };
            writeln!(f, "string      {}, {} bytes{state}", string.role, string.bytes)?;
        }
        Ok(())
    }
}
