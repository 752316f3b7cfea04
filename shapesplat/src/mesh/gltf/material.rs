//! Materials of glTF: base colours, or diffuse ones of the older `KHR_materials_pbrSpecularGlossiness`, with their textures.

use std::collections::BTreeMap;
use std::io::Cursor;
use std::sync::Arc;

use gltf::json::validation::Checked;
use gltf::json::{Root, material, texture};
use image::{ImageReader, Limits, RgbImage};

use super::buffers::Buffers;
use crate::mesh::assembly::Assembly;
use crate::mesh::material::encoded;
use crate::mesh::{GREY, Material, Note, Texture, Wrap};

/// No side of an image is longer, and none takes more memory while it is decoded.
const LONGEST_SIDE: u32 = 1 << 15;
const DECODED_BYTES: u64 = 1 << 30;

/// The factor of a material's colour and its texture.
fn base(material: &material::Material) -> ([f32; 4], Option<&texture::Info>) {
    let older =
        material.extensions.as_ref().and_then(|extensions| extensions.pbr_specular_glossiness.as_ref());
    match older {
        Some(older) => (older.diffuse_factor.0, older.diffuse_texture.as_ref()),
        None => {
            let base = &material.pbr_metallic_roughness;
            (base.base_color_factor.0, base.base_color_texture.as_ref())
        }
    }
}

/// Which of a primitive's texture coordinates the texture of a material takes.
pub(super) fn uv_set(material: &material::Material) -> u32 {
    let Some(info) = base(material).1 else { return 0 };
    let transform = info.extensions.as_ref().and_then(|extensions| extensions.texture_transform.as_ref());
    transform.and_then(|transform| transform.tex_coord).unwrap_or(info.tex_coord)
}

/// Adds all materials, in their order.
pub(super) fn read(root: &Root, buffers: &mut Buffers<'_>, assembly: &mut Assembly) {
    let mut images: BTreeMap<usize, Result<Arc<RgbImage>, String>> = BTreeMap::new();
    for material in &root.materials {
        let ([r, g, b, opacity], info) = base(material);
        let mut out = Material {
            name: material.name.clone().unwrap_or_default(),
            colour: [r, g, b].map(encoded),
            opacity: opacity.clamp(0.0, 1.0),
            texture: None,
        };
        if let Some(info) = info {
            let texture = &root.textures[info.index.value()];
            let index = texture.source.value();
            match images.entry(index).or_insert_with(|| image(root, buffers, index)) {
                Ok(image) => {
                    let sampler = texture.sampler.map(|index| &root.samplers[index.value()]);
                    let wrap = sampler.map_or([Wrap::Repeat; 2], |s| [wrap(&s.wrap_s), wrap(&s.wrap_t)]);
                    out.texture = Some(Texture { image: image.clone(), wrap, transform: transform(info) });
                }
                Err(reason) => {
                    out.colour = GREY;
                    let file =
                        root.images.get(index).and_then(|image| image.name.clone().or(image.uri.clone()));
                    let file: String =
                        file.unwrap_or_else(|| format!("images[{index}]")).chars().take(80).collect();
                    assembly.notes.push(Note::MissingTexture { file, reason: reason.clone() });
                }
            }
        }
        assembly.material(out);
    }
}

fn wrap(mode: &Checked<texture::WrappingMode>) -> Wrap {
    match mode {
        Checked::Valid(texture::WrappingMode::ClampToEdge) => Wrap::Clamp,
        Checked::Valid(texture::WrappingMode::MirroredRepeat) => Wrap::Mirror,
        _ => Wrap::Repeat,
    }
}

/// The map of texture coordinates, where v goes upwards on both sides: `T·R·S` of the extension, whose v goes downwards.
fn transform(info: &texture::Info) -> [[f64; 3]; 2] {
    let extension = info.extensions.as_ref().and_then(|extensions| extensions.texture_transform.as_ref());
    let Some(extension) = extension else { return [[1.0, 0.0, 0.0], [0.0, 1.0, 0.0]] };
    let ([ou, ov], [su, sv]) = (extension.offset.0.map(f64::from), extension.scale.0.map(f64::from));
    let (sin, cos) = f64::from(extension.rotation.0).sin_cos();
    let ([a, b, c], [d, e, f]) = ([cos * su, sin * sv, ou], [-sin * su, cos * sv, ov]);
    [[a, -b, b + c], [-d, e, 1.0 - e - f]]
}

/// An image of the file.
fn image(root: &Root, buffers: &Buffers<'_>, index: usize) -> Result<Arc<RgbImage>, String> {
    let image = root.images.get(index).ok_or("no image of a format that is read")?;
    let bytes = match (&image.buffer_view, &image.uri) {
        (Some(view), _) => {
            buffers.view(root, view.value(), "image".as_ref()).map_err(|e| e.to_string())?.to_vec()
        }
        (None, Some(uri)) => buffers.resource(uri)?,
        (None, None) => return Err("neither a buffer view nor a URI".into()),
    };
    let mut limits = Limits::default();
    (limits.max_image_width, limits.max_image_height) = (Some(LONGEST_SIDE), Some(LONGEST_SIDE));
    limits.max_alloc = Some(DECODED_BYTES);
    let mut reader = ImageReader::new(Cursor::new(bytes)).with_guessed_format().map_err(|e| e.to_string())?;
    reader.limits(limits);
    Ok(Arc::new(reader.decode().map_err(|e| e.to_string())?.into_rgb8()))
}
