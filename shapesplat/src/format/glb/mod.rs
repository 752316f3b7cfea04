//! `.glb` with the extension `KHR_gaussian_splatting`: splats as a point primitive of glTF 2.0
//! (github.com/KhronosGroup/glTF, extensions/2.0/Khronos/KHR_gaussian_splatting).
//!
//! | attribute | of a Gaussian |
//! |---|---|
//! | `POSITION` | position |
//! | `KHR_gaussian_splatting:ROTATION` | unit quaternion x, y, z, w |
//! | `KHR_gaussian_splatting:SCALE` | `exp` of the logarithms |
//! | `KHR_gaussian_splatting:OPACITY` | alpha |
//! | `KHR_gaussian_splatting:SH_DEGREE_l_COEF_n` | red, green and blue of the coefficient `m = n − l`, raw; degrees 0 to 3 |
//! | `COLOR_0` | for viewers without the extension: `½ + SH_C0 · dc` from sRGB to linear, and alpha, 8 bits each |
//!
//! glTF's y points up where that of PLY points down: what is written makes a half turn about z, rotations and spherical harmonics too,
//! and what is read makes it back. Nodes place their splats ([`nodes`]).
//!
//! The crate `gltf` refuses the semantics for their colon; chunks and accessors are read here, sparse ones and the quantised positions of
//! `KHR_mesh_quantization` too. Other kernels and colour spaces, compressed buffer views, external buffers, skins, instances and morph
//! targets are refused by name; `KHR_gaussian_splatting_compression_spz_2`, whose draft lays a `.spz` into a buffer view, is read.

mod accessor;
mod document;
mod nodes;
mod read;
#[cfg(test)]
mod tests;
mod write;

pub(crate) use read::read;
pub(crate) use write::write;

const MAGIC: [u8; 4] = *b"glTF";
const JSON: [u8; 4] = *b"JSON";
const BINARY: [u8; 4] = *b"BIN\0";
/// Bytes of the file's header.
const HEADER: usize = 12;
/// Bytes of a chunk's header.
const CHUNK_HEADER: usize = 8;

/// The extension, and what begins the names of its attributes.
const EXTENSION: &str = "KHR_gaussian_splatting";
const COMPRESSION: &str = "KHR_gaussian_splatting_compression_spz_2";
/// The extension for positions of small integers, which stand for multiples of what their node scales by.
const QUANTISATION: &str = "KHR_mesh_quantization";
/// The extension that draws a node's mesh many times.
const INSTANCES: &str = "EXT_mesh_gpu_instancing";
/// The values that the extension defines.
const KERNEL: &str = "ellipse";
const COLOUR_SPACE: &str = "srgb_rec709_display";
const PROJECTION: &str = "perspective";
const SORTING: &str = "cameraDistance";
/// The highest degree of spherical harmonics.
const DEGREE: usize = 3;

/// Components of 32 bits.
const FLOAT: u32 = 5126;
const UNSIGNED_BYTE: u32 = 5121;
const UNSIGNED_SHORT: u32 = 5123;
const UNSIGNED_INT: u32 = 5125;

/// The name of an attribute of the extension.
fn attribute(name: &str) -> String {
    format!("{EXTENSION}:{name}")
}

/// The name of the attribute of the `n`-th coefficient of degree `l`.
fn coefficient(l: usize, n: usize) -> String {
    attribute(&format!("SH_DEGREE_{l}_COEF_{n}"))
}
