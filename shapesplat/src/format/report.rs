//! What a format did to the values that it was given.

/// What was written, and what of the splats the format could not hold.
#[derive(Clone, Debug, Default, PartialEq, serde::Serialize)]
pub struct Written {
    /// Gaussians in the file.
    pub count: usize,
    /// Whether the rows stand in the order of the input.
    pub keeps_order: bool,
    /// What the format has no place for, in words, each said once: `degree 3 of the spherical harmonics: .splat holds none`.
    pub dropped: Vec<String>,
    /// Greatest and mean error of each property that is not exact.
    pub errors: Vec<PropertyError>,
}

/// How far the values in the file lie from those that were given.
#[derive(Clone, Debug, PartialEq, serde::Serialize)]
pub struct PropertyError {
    /// `position`, `scale` (of logarithms), `rotation` (1 − |dot| of unit quaternions), `opacity` (of alphas), `colour` (of dc), `sh`.
    pub property: &'static str,
    /// Greatest absolute error.
    pub greatest: f64,
    /// Mean absolute error.
    pub mean: f64,
}
