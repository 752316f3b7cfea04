//! The ten classes: their names, shapes and what they are made of.

use super::finish::Finish;
use super::solid::Solid;
use super::{Draw, furniture, simple};

/// A class of objects.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[allow(missing_docs, reason = "named after what they are")]
pub enum Class {
    Box,
    Capsule,
    Chair,
    Cone,
    Cylinder,
    Ellipsoid,
    Lamp,
    Mug,
    Table,
    Torus,
}

impl Class {
    /// All classes, in the order of their names; a class's label is its place here.
    pub const ALL: [Self; 10] = [
        Self::Box,
        Self::Capsule,
        Self::Chair,
        Self::Cone,
        Self::Cylinder,
        Self::Ellipsoid,
        Self::Lamp,
        Self::Mug,
        Self::Table,
        Self::Torus,
    ];

    /// The name in folders and lists.
    pub fn name(self) -> &'static str {
        match self {
            Self::Box => "box",
            Self::Capsule => "capsule",
            Self::Chair => "chair",
            Self::Cone => "cone",
            Self::Cylinder => "cylinder",
            Self::Ellipsoid => "ellipsoid",
            Self::Lamp => "lamp",
            Self::Mug => "mug",
            Self::Table => "table",
            Self::Torus => "torus",
        }
    }

    /// The number of the class in [`Class::ALL`].
    pub fn label(self) -> usize {
        self as usize
    }

    pub(super) fn shape(self, draw: &mut Draw) -> Solid {
        match self {
            Self::Box => simple::cuboid(draw),
            Self::Capsule => simple::capsule(draw),
            Self::Chair => furniture::chair(draw),
            Self::Cone => simple::cone(draw),
            Self::Cylinder => simple::cylinder(draw),
            Self::Ellipsoid => simple::ellipsoid(draw),
            Self::Lamp => furniture::lamp(draw),
            Self::Mug => furniture::mug(draw),
            Self::Table => furniture::table(draw),
            Self::Torus => simple::torus(draw),
        }
    }

    /// One finish a tile of the class's shapes.
    pub(super) fn finishes(self, draw: &mut Draw) -> Vec<Finish> {
        use Finish::{Bands, Cardboard, Fabric, Glaze, Metal, Stone, Wood};
        match self {
            Self::Box => vec![draw.of(&[Cardboard, Cardboard, Wood, Bands])],
            Self::Capsule => vec![draw.of(&[Bands, Bands, Metal, Glaze])],
            Self::Chair => {
                if draw.chance(0.6) {
                    vec![draw.of(&[Fabric, Wood]), Wood]
                } else {
                    vec![draw.of(&[Fabric, Bands]), Metal]
                }
            }
            Self::Cone => vec![draw.of(&[Bands, Bands, Stone, Wood])],
            Self::Cylinder => vec![draw.of(&[Bands, Metal, Wood, Cardboard])],
            Self::Ellipsoid => vec![draw.of(&[Stone, Stone, Bands, Glaze])],
            Self::Lamp => vec![draw.of(&[Fabric, Glaze]), draw.of(&[Metal, Metal, Wood])],
            Self::Mug => vec![draw.of(&[Glaze, Glaze, Bands, Metal])],
            Self::Table => {
                let top = draw.of(&[Wood, Wood, Stone, Glaze]);
                vec![top, if top == Wood && draw.chance(0.7) { Wood } else { Metal }]
            }
            Self::Torus => vec![draw.of(&[Bands, Glaze, Stone, Wood])],
        }
    }
}
