//! Records of extensions in a `.spz`: type and length, four bytes each, and the content.

use std::path::Path;

use super::super::half_turn::Axis;
use crate::{Error, Result, Splats};

const SH_QUANTIZATION: u32 = 0xADBE_0001;
const COORDINATE_SYSTEM: u32 = 0xADBE_0003;

/// The frames of the extension `SPZ_ADOBE_coordinate_system`, from number 1 on: where x, y and z point.
const FRAMES: [&str; 16] = [
    "LDB", "RDB", "LUB", "RUB", "LDF", "RDF", "LUF", "RUF", "LFD", "RFD", "LFU", "RFU", "LBD", "RBD", "LBU",
    "RBU",
];

/// The frame that a file names, as the half turn from PLY's frame (RDF) to it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Frame(Option<Axis>);

impl Frame {
    /// Reads the records of `zone`. In files before version 4 they follow the columns, without a promise to be whole: there the first
    /// that is not ends them.
    pub(super) fn of(zone: &[u8], strict: bool, path: &Path, notes: &mut Vec<String>) -> Result<Self> {
        let (mut frame, mut rest) = (Self::default(), zone);
        while !rest.is_empty() {
            let record = rest.split_first_chunk::<4>().and_then(|(kind, rest)| {
                let (length, rest) = rest.split_first_chunk::<4>()?;
                let content = rest.get(..u32::from_le_bytes(*length) as usize)?;
                Some((u32::from_le_bytes(*kind), content, &rest[content.len()..]))
            });
            let Some((kind, content, after)) = record else {
                if strict {
                    let at = zone.len() - rest.len();
                    let found = format!("{} bytes from byte {at} of them on", rest.len());
                    return Err(Error::format(path, "extensions", "whole records", found));
                }
                break;
            };
            rest = after;
            match kind {
                COORDINATE_SYSTEM => frame = Self::named(content, path, notes)?,
                SH_QUANTIZATION => {
                    let reason = "it changes the meaning of the coefficients and was withdrawn before it was specified";
                    return Err(unsupported(path, "SPZ_ADOBE_sh_quantization", reason));
                }
                _ => notes.push(format!("extension {kind:#010x} ({} bytes)", content.len())),
            }
        }
        Ok(frame)
    }

    fn named(content: &[u8], path: &Path, notes: &mut Vec<String>) -> Result<Self> {
        let field = "SPZ_ADOBE_coordinate_system";
        let number = content.try_into().map(u32::from_le_bytes);
        let number = number.map_err(|_| Error::format(path, field, "4 bytes", content.len()))?;
        let name = match number {
            0 => return Ok(Self::default()),
            _ => FRAMES.get(number as usize - 1),
        };
        let Some(name) = name.copied() else {
            return Err(Error::format(path, field, "a frame from 1 to 16", number));
        };
        let axis = match name {
            "RDF" => return Ok(Self::default()),
            "RUB" => Axis::X,
            "LDB" => Axis::Y,
            "LUF" => Axis::Z,
            _ => {
                let reason = "it is a mirror image or a quarter turn of PLY's frame, RDF";
                return Err(unsupported(path, &format!("{field} {name}"), reason));
            }
        };
        notes.push(format!("the frame {name}, which the file names: turned to RDF"));
        Ok(Self(Some(axis)))
    }

    /// Turns what was read into the frame of PLY.
    pub(super) fn leave(self, splats: &mut Splats) {
        if let Some(axis) = self.0 {
            axis.turn_all_back(splats);
        }
    }
}

fn unsupported(path: &Path, found: &str, reason: &'static str) -> Error {
    grouping_core::Error::Unsupported {
        path: path.to_path_buf(),
        field: "extension".into(),
        found: found.into(),
        reason,
    }
    .into()
}
