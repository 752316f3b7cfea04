//! Points with normals and colours, as PLY.

use std::io::{BufWriter, Write};
use std::path::Path;

use grouping_core::files::output::{Existing, write_file};

use crate::{Error, Result};

/// Points on a surface, each list of one length.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Points {
    /// x, y, z.
    pub positions: Vec<[f64; 3]>,
    /// Of length 1.
    pub normals: Vec<[f32; 3]>,
    /// Red, green, blue, as sRGB.
    pub colours: Vec<[u8; 3]>,
}

impl Points {
    /// The number of points.
    pub fn len(&self) -> usize {
        self.positions.len()
    }

    /// Whether there is no point.
    pub fn is_empty(&self) -> bool {
        self.positions.is_empty()
    }

    /// Writes a PLY: little-endian, `x y z nx ny nz` as floats of 32 bits, `red green blue` as bytes.
    ///
    /// # Errors
    /// Those of [`write_file`].
    pub fn write_ply(&self, path: &Path, existing: Existing) -> Result<()> {
        write_file(path, existing, |file| {
            let mut out = BufWriter::new(file);
            self.write(&mut out).and_then(|()| out.flush()).map_err(grouping_core::Error::file(path, "write"))
        })
        .map_err(|e: grouping_core::Error| Error::from(e))
    }

    fn write(&self, out: &mut impl Write) -> std::io::Result<()> {
        let header = "ply\nformat binary_little_endian 1.0\nelement vertex ";
        let properties = ["float x", "float y", "float z", "float nx", "float ny", "float nz"];
        let colours = ["uchar red", "uchar green", "uchar blue"];
        writeln!(out, "{header}{}", self.len())?;
        for property in properties.iter().chain(&colours) {
            writeln!(out, "property {property}")?;
        }
        writeln!(out, "end_header")?;
        for ((position, normal), colour) in self.positions.iter().zip(&self.normals).zip(&self.colours) {
            for value in position.iter().map(|&x| x as f32).chain(*normal) {
                out.write_all(&value.to_le_bytes())?;
            }
            out.write_all(colour)?;
        }
        Ok(())
    }
}
