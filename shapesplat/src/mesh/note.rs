//! What a reader of meshes left out or put in the place of something missing.

use std::fmt;
use std::path::PathBuf;

/// A difference between a file and the mesh that was read of it.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Note {
    /// A library of materials cannot be read; what it should describe is grey.
    MissingMaterials {
        /// The library.
        file: PathBuf,
        /// Why.
        reason: String,
    },
    /// Faces name a material that is not described; they are grey.
    UndefinedMaterial {
        /// The material.
        name: String,
    },
    /// A texture cannot be read; its material is grey.
    MissingTexture {
        /// The image, as the file names it.
        file: String,
        /// Why.
        reason: String,
    },
    /// A texture of a mesh without any texture coordinates is left out; its material has its base colour.
    NoPlace {
        /// The image, as the file names it.
        file: String,
    },
    /// Vertices of a textured mesh have no texture coordinates, and take (0, 0).
    NoTextureCoordinates {
        /// How many corners of faces.
        count: usize,
    },
    /// Vertices of a coloured mesh have no colour, and are grey.
    NoColour {
        /// How many.
        count: usize,
    },
    /// Something that is no surface, or is not understood, was left out.
    LeftOut {
        /// What, in the plural.
        what: String,
        /// How many.
        count: usize,
    },
}

impl fmt::Display for Note {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::MissingMaterials { file, reason } => {
                write!(f, "the materials {} cannot be read, their faces are grey: {reason}", file.display())
            }
            Self::UndefinedMaterial { name } => {
                write!(f, "the material `{name}` is not described, its faces are grey")
            }
            Self::MissingTexture { file, reason } => {
                write!(f, "the texture `{file}` cannot be read, its faces are grey: {reason}")
            }
            Self::NoPlace { file } => {
                write!(f, "left out: the texture `{file}`, of a mesh without texture coordinates")
            }
            Self::NoTextureCoordinates { count } => {
                write!(f, "{count} corners of faces have no texture coordinates, and take (0, 0)")
            }
            Self::NoColour { count } => write!(f, "{count} vertices have no colour, and are grey"),
            Self::LeftOut { what, count } => write!(f, "left out: {count} {what}"),
        }
    }
}

/// Adds what was left out, if anything.
pub(super) fn left_out(notes: &mut Vec<Note>, what: &str, count: usize) {
    if count > 0 {
        notes.push(Note::LeftOut { what: what.to_owned(), count });
    }
}
