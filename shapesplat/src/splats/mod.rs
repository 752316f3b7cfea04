//! Gaussians as columns of raw values, as a PLY of 3D Gaussian splatting stores them.

mod check;
mod columns;
mod element;
pub mod frame;
pub mod harmonics;
mod morton;
mod rows;
pub mod turn;

pub use check::Bad;
pub(crate) use columns::{DC, POSITIONS, REST, ROTATIONS, SCALES};
pub use element::Element;
pub(crate) use morton::morton_order;

/// Gaussians, one column a property, every column of one length.
///
/// Values are raw: logarithms of scales, logits of opacities, quaternions that need not be normalised, coefficients of spherical
/// harmonics; in the frame of the file. Infinite opacities are alpha 1 and 0, and a scale of −∞ is flat.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Splats {
    /// x, y, z.
    pub positions: [Vec<f32>; 3],
    /// Logarithms of the standard deviations along the axes of the rotation.
    pub scales: [Vec<f32>; 3],
    /// Quaternions w, x, y, z.
    pub rotations: [Vec<f32>; 4],
    /// Logits.
    pub opacities: Vec<f32>,
    /// Coefficients of degree 0: red, green, blue.
    pub dc: [Vec<f32>; 3],
    /// Coefficients of higher degrees, channel-major: `(d + 1)² − 1` of red, then of green, then of blue; 0, 9, 24, 45 or 72 columns.
    pub rest: Vec<Vec<f32>>,
    /// Columns of a PLY that are no part of a splat, in the order of the file.
    pub extras: Vec<Extra>,
    /// Elements of a PLY beside `vertex`, in the order of the file.
    pub elements: Vec<Element>,
    /// Whether the scene was trained with antialiasing (mip), where the file says so.
    pub antialiased: Option<bool>,
    /// Comments of a PLY, without those that state what is held above.
    pub comments: Vec<String>,
}

/// A column that is no part of a splat.
#[derive(Clone, Debug, PartialEq)]
pub struct Extra {
    /// The property.
    pub name: String,
    /// Its values, in their own type.
    pub values: Values,
}

/// Values of one of PLY's number types.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
#[allow(missing_docs, reason = "named after Rust's types")]
pub enum Values {
    I8(Vec<i8>),
    U8(Vec<u8>),
    I16(Vec<i16>),
    U16(Vec<u16>),
    I32(Vec<i32>),
    U32(Vec<u32>),
    F32(Vec<f32>),
    F64(Vec<f64>),
}

/// The basis function of degree 0 of spherical harmonics, `1 / (2·√π)`: colour = ½ + `SH_C0` · dc.
pub const SH_C0: f32 = 0.282_094_8;

impl Splats {
    /// The number of Gaussians.
    pub fn len(&self) -> usize {
        self.opacities.len()
    }

    /// Whether there is no Gaussian.
    pub fn is_empty(&self) -> bool {
        self.opacities.is_empty()
    }

    /// The degree of the spherical harmonics: 0 to 4.
    pub fn degree(&self) -> usize {
        match self.rest.len() {
            0 => 0,
            9 => 1,
            24 => 2,
            45 => 3,
            _ => 4,
        }
    }
}
