//! Which properties of a `vertex` are the columns of a splat, which are further columns, and what a file lacks that holds no splats.

use std::path::Path;

use super::header::{Element, Header, Kind, Scalar};
use crate::splats::{DC, POSITIONS, REST, ROTATIONS, SCALES};
use crate::{Error, Result};

/// Places of properties in their element.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Properties {
    pub(super) positions: [usize; 3],
    pub(super) scales: [usize; 3],
    pub(super) rotations: [usize; 4],
    pub(super) opacity: usize,
    pub(super) colour: Colour,
    pub(super) rest: Vec<usize>,
    /// All others.
    pub(super) extras: Vec<usize>,
}

/// What states the colour of a Gaussian.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Colour {
    /// f_dc_0 to f_dc_2.
    Dc([usize; 3]),
    /// `red green blue` in bytes, as nerfstudio writes them when asked to.
    Rgb([usize; 3]),
}

impl Properties {
    pub(super) fn find(path: &Path, header: &Header, vertex: &Element) -> Result<Self> {
        let mut lacking = Vec::new();
        let positions = all(vertex, POSITIONS, &mut lacking);
        let opacity = all(vertex, ["opacity"], &mut lacking);
        let scales = all(vertex, SCALES, &mut lacking);
        let rotations = all(vertex, ROTATIONS, &mut lacking);
        let mut without_dc = Vec::new();
        let dc = all(vertex, DC, &mut without_dc);
        let rgb = all(vertex, ["red", "green", "blue"], &mut Vec::new());
        let is_in_bytes =
            |rgb: &[usize; 3]| rgb.iter().all(|&i| vertex.properties[i].kind == Kind::One(Scalar::U8));
        let colour = match rgb.filter(is_in_bytes) {
            _ if dc.is_some() => dc.map(Colour::Dc),
            // A file with some of them is damaged.
            rgb if without_dc.len() == DC.len() => rgb.map(Colour::Rgb),
            _ => None,
        };
        if colour.is_none() {
            lacking.extend(without_dc);
        }
        let found = (positions, opacity, scales, rotations, colour);
        let (Some(positions), Some([opacity]), Some(scales), Some(rotations), Some(colour)) = found else {
            return Err(lacks(path, header, &lacking));
        };
        let rest = rest(path, vertex)?;
        let colours = match colour {
            Colour::Dc(places) | Colour::Rgb(places) => places,
        };
        let fixed = positions.iter().chain(&scales).chain(&rotations).chain([&opacity]).chain(&colours);
        let taken: Vec<usize> = fixed.chain(&rest).copied().collect();
        let mut is_taken = vec![false; vertex.properties.len()];
        taken.iter().for_each(|&i| is_taken[i] = true);
        let extras = (0..vertex.properties.len()).filter(|&i| !is_taken[i]).collect();
        Ok(Self { positions, scales, rotations, opacity, colour, rest, extras })
    }
}

/// The places of properties of these names; what is not there is noted.
fn all<const N: usize>(
    vertex: &Element,
    names: [&'static str; N],
    lacking: &mut Vec<&'static str>,
) -> Option<[usize; N]> {
    let places = names.map(|name| vertex.find(name));
    lacking.extend(names.iter().zip(&places).filter(|(_, place)| place.is_none()).map(|(name, _)| *name));
    let places: Option<Vec<usize>> = places.into_iter().collect();
    places?.try_into().ok()
}

/// The places of f_rest_0 and so on.
fn rest(path: &Path, vertex: &Element) -> Result<Vec<usize>> {
    let n = vertex.properties.iter().filter(|property| property.name.starts_with("f_rest_")).count();
    if !REST.contains(&n) {
        return Err(Error::format(path, "vertex, f_rest", "0, 9, 24, 45 or 72 properties", n));
    }
    let place = |i: usize| {
        let name = format!("f_rest_{i}");
        let place = vertex.find(&name);
        place.ok_or_else(|| {
            Error::format(path, "vertex", format!("`{name}` among {n} of them"), "none of that name")
        })
    };
    (0..n).map(place).collect()
}

/// The refusal of a file that holds no splats, by what it lacks.
fn lacks(path: &Path, header: &Header, lacking: &[&str]) -> Error {
    let has_faces = header.elements.iter().any(|element| element.name == "face" && element.count > 0);
    let kind = match lacking {
        ["scale_2"] => "2D Gaussians",
        _ if has_faces => "a mesh",
        _ if lacking.contains(&"opacity") && lacking.contains(&"scale_0") => "a point cloud",
        _ => "a file",
    };
    let names: Vec<String> = lacking.iter().map(|name| format!("`{name}`")).collect();
    Error::format(path, "vertex", "the properties of a splat", format!("{kind} without {}", names.join(", ")))
}
