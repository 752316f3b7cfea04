//! OBJ, MTL and textures out: what [`read`](super::read) gives back.

use std::fmt::Write;
use std::fs;
use std::path::Path;

use grouping_core::files::output::Existing;
use grouping_core::image::write_png;

use crate::Result;
use crate::mesh::Mesh;

impl Mesh {
    /// Writes `STEM.obj`, `STEM.mtl` and a texture `STEM.png` (`STEM_1.png`, …) a material into a folder that is under construction.
    ///
    /// Numbers have six decimals. Colours of vertices and faces have no place here and must not be there.
    pub(crate) fn write_obj(&self, folder: &Path, stem: &str) -> Result<()> {
        assert!(self.colours.is_empty() && self.face_colours.is_empty(), "colours are in textures");
        let mut library = String::new();
        for (i, material) in self.materials.iter().enumerate() {
            let [r, g, b] = material.colour;
            let _ = writeln!(library, "newmtl {}\nKd {r} {g} {b}\nd {}", material.name, material.opacity);
            if let Some(texture) = &material.texture {
                let name = if i == 0 { format!("{stem}.png") } else { format!("{stem}_{i}.png") };
                let _ = writeln!(library, "map_Kd {name}");
                write_png(&folder.join(name), &texture.image, Existing::Refuse)?;
            }
        }
        let mut text = format!("mtllib {stem}.mtl\n");
        for [x, y, z] in &self.positions {
            let _ = writeln!(text, "v {x:.6} {y:.6} {z:.6}");
        }
        for [u, v] in &self.uvs {
            let _ = writeln!(text, "vt {u:.6} {v:.6}");
        }
        for [x, y, z] in &self.normals {
            let _ = writeln!(text, "vn {x:.6} {y:.6} {z:.6}");
        }
        let (has_uvs, has_normals) = (!self.uvs.is_empty(), !self.normals.is_empty());
        for part in &self.parts {
            let _ = writeln!(text, "g {}", part.name);
            if let Some(material) = part.material {
                let _ = writeln!(text, "usemtl {}", self.materials[material].name);
            }
            for triangle in &self.triangles[part.triangles.clone()] {
                text.push('f');
                for i in triangle.map(|vertex| vertex + 1) {
                    let _ = match (has_uvs, has_normals) {
                        (true, true) => write!(text, " {i}/{i}/{i}"),
                        (true, false) => write!(text, " {i}/{i}"),
                        (false, true) => write!(text, " {i}//{i}"),
                        (false, false) => write!(text, " {i}"),
                    };
                }
                text.push('\n');
            }
        }
        for (name, text) in [(format!("{stem}.mtl"), library), (format!("{stem}.obj"), text)] {
            let file = folder.join(name);
            fs::write(&file, text).map_err(grouping_core::Error::file(&file, "write"))?;
        }
        Ok(())
    }
}
