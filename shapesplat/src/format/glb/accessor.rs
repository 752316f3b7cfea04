//! Accessors of a glTF file: numbers of several types, with strides, dense or sparse, as columns of `f32`.

use std::path::Path;

use super::document::{Accessor, Document, Sparse};
use crate::{Error, Result};

/// A GLB: its path, its JSON and its bytes.
pub(super) struct Glb<'a> {
    pub(super) path: &'a Path,
    pub(super) document: Document,
    pub(super) binary: &'a [u8],
}

/// A number type of components.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Component {
    I8,
    U8,
    I16,
    U16,
    F32,
}

impl Component {
    fn of(number: u32) -> Option<Self> {
        Some(match number {
            5120 => Self::I8,
            super::UNSIGNED_BYTE => Self::U8,
            5122 => Self::I16,
            super::UNSIGNED_SHORT => Self::U16,
            super::FLOAT => Self::F32,
            _ => return None,
        })
    }

    fn bytes(self) -> usize {
        match self {
            Self::I8 | Self::U8 => 1,
            Self::I16 | Self::U16 => 2,
            Self::F32 => 4,
        }
    }

    /// The value; integers as fractions of their greatest where `normalised`.
    fn value(self, bytes: &[u8], normalised: bool) -> f32 {
        let fraction =
            |value: f32, greatest: f32| if normalised { (value / greatest).max(-1.0) } else { value };
        match self {
            Self::I8 => fraction(f32::from(bytes[0] as i8), 127.0),
            Self::U8 => fraction(f32::from(bytes[0]), 255.0),
            Self::I16 => fraction(f32::from(i16::from_le_bytes([bytes[0], bytes[1]])), 32_767.0),
            Self::U16 => fraction(f32::from(u16::from_le_bytes([bytes[0], bytes[1]])), 65_535.0),
            Self::F32 => f32::from_le_bytes([bytes[0], bytes[1], bytes[2], bytes[3]]),
        }
    }
}

/// Types of components that an attribute may have: with and without normalisation.
pub(super) type Allowed = &'static [(Component, bool)];

/// Positions of files that require `KHR_mesh_quantization`, whose nodes scale them.
pub(super) const QUANTISED: Allowed = &[
    (Component::F32, false),
    (Component::I8, false),
    (Component::I8, true),
    (Component::U8, false),
    (Component::U8, true),
    (Component::I16, false),
    (Component::I16, true),
    (Component::U16, false),
    (Component::U16, true),
];
pub(super) const FLOATS: Allowed = &[(Component::F32, false)];
pub(super) const ROTATIONS: Allowed =
    &[(Component::F32, false), (Component::I8, true), (Component::I16, true)];
pub(super) const SCALES: Allowed = &[
    (Component::F32, false),
    (Component::U8, false),
    (Component::U8, true),
    (Component::U16, false),
    (Component::U16, true),
];
pub(super) const OPACITIES: Allowed =
    &[(Component::F32, false), (Component::U8, true), (Component::U16, true)];

impl<'a> Glb<'a> {
    pub(super) fn error(
        &self,
        field: impl Into<String>,
        expected: impl Into<String>,
        found: impl ToString,
    ) -> Error {
        Error::format(self.path, field, expected, found)
    }

    pub(super) fn unsupported(
        &self,
        field: impl Into<String>,
        found: impl ToString,
        reason: &'static str,
    ) -> Error {
        let (path, field, found) = (self.path.to_path_buf(), field.into(), found.to_string());
        grouping_core::Error::Unsupported { path, field, found, reason }.into()
    }

    /// The bytes of a buffer view.
    pub(super) fn view(&self, index: usize) -> Result<&'a [u8]> {
        let field = format!("bufferViews[{index}]");
        let n_views = self.document.buffer_views.len();
        let Some(view) = self.document.buffer_views.get(index) else {
            return Err(self.error(field, format!("one of {n_views} buffer views"), "none"));
        };
        if let Some(name) = view.extensions.keys().next() {
            return Err(self.unsupported(field, name, "buffer views of extensions are not read"));
        }
        if view.buffer != 0 || self.document.buffers.first().is_some_and(|buffer| buffer.uri.is_some()) {
            let found = format!("buffer {}", view.buffer);
            return Err(self.unsupported(field, found, "only the binary chunk of the file is read"));
        }
        let range = usize::try_from(view.byte_offset).ok().zip(usize::try_from(view.byte_length).ok());
        let bytes = range.and_then(|(from, length)| self.binary.get(from..from.checked_add(length)?));
        bytes.ok_or_else(|| {
            let expected = format!("a range of the {} bytes of the binary chunk", self.binary.len());
            self.error(field, expected, format!("{} bytes from {} on", view.byte_length, view.byte_offset))
        })
    }

    fn accessor(&self, index: usize, name: &str) -> Result<&Accessor> {
        let n_accessors = self.document.accessors.len();
        self.document
            .accessors
            .get(index)
            .ok_or_else(|| self.error(name, format!("one of {n_accessors} accessors"), index))
    }

    /// The number of elements of an accessor.
    pub(super) fn count(&self, index: usize, name: &str) -> Result<u64> {
        Ok(self.accessor(index, name)?.count)
    }

    /// The columns of an attribute of `N` components and `n` elements; what no buffer view holds is 0.
    pub(super) fn columns<const N: usize>(
        &self,
        index: usize,
        name: &str,
        n: usize,
        allowed: Allowed,
    ) -> Result<[Vec<f32>; N]> {
        let accessor = self.accessor(index, name)?;
        let shape = ["", "SCALAR", "VEC2", "VEC3", "VEC4"][N];
        if accessor.shape != shape {
            return Err(self.error(name, format!("type {shape}"), &accessor.shape));
        }
        let component = Component::of(accessor.component_type);
        let Some(component) =
            component.filter(|&c| allowed.contains(&(c, accessor.normalized && c != Component::F32)))
        else {
            let kinds: Vec<String> = allowed.iter().map(|(c, normalised)| kind(*c, *normalised)).collect();
            let found =
                format!("component type {}, normalized {}", accessor.component_type, accessor.normalized);
            return Err(self.error(name, format!("components of {}", kinds.join(", ")), found));
        };
        if accessor.count != n as u64 {
            return Err(self.error(name, format!("{n} elements, as of POSITION"), accessor.count));
        }
        let size = N * component.bytes();
        let value = |element: &[u8], i: usize| {
            component.value(&element[i * component.bytes()..], accessor.normalized)
        };
        let mut columns: [Vec<f32>; N] = match accessor.buffer_view {
            Some(view) => {
                let elements = self.elements(view, accessor.byte_offset, size, n, name)?;
                std::array::from_fn(|i| (0..n).map(|row| value(elements.get(row), i)).collect())
            }
            None => std::array::from_fn(|_| vec![0.0; n]),
        };
        if let Some(sparse) = &accessor.sparse {
            let rows = self.sparse_rows(sparse, n, name)?;
            let place = &sparse.values;
            let elements = self.elements(place.buffer_view, place.byte_offset, size, rows.len(), name)?;
            for (k, row) in rows.into_iter().enumerate() {
                columns.iter_mut().enumerate().for_each(|(i, c)| c[row] = value(elements.get(k), i));
            }
        }
        Ok(columns)
    }

    /// The rows that a sparse accessor of `n` elements replaces: ascending, as the specification asks.
    fn sparse_rows(&self, sparse: &Sparse, n: usize, name: &str) -> Result<Vec<usize>> {
        let field = format!("{name}, sparse indices");
        let count = usize::try_from(sparse.count).ok().filter(|&count| count <= n);
        let count = count.ok_or_else(|| self.error(&*field, format!("at most {n}"), sparse.count))?;
        let place = &sparse.indices;
        let size = match place.component_type {
            super::UNSIGNED_BYTE => 1,
            super::UNSIGNED_SHORT => 2,
            super::UNSIGNED_INT => 4,
            other => {
                let expected = "unsigned bytes, shorts or ints (5121, 5123, 5125)";
                return Err(self.error(&*field, expected, other));
            }
        };
        let elements = self.elements(place.buffer_view, place.byte_offset, size, count, &field)?;
        let mut rows: Vec<usize> = Vec::with_capacity(count);
        for k in 0..count {
            let row = elements.get(k).iter().rev().fold(0, |row, &byte| row << 8 | usize::from(byte));
            let least = rows.last().map_or(0, |last| last + 1);
            if !(least..n).contains(&row) {
                return Err(self.error(
                    &*field,
                    format!("ascending rows of {n}, the next from {least} on"),
                    row,
                ));
            }
            rows.push(row);
        }
        Ok(rows)
    }

    /// `n` elements of `size` bytes in a buffer view, as far apart as the view says.
    fn elements(&self, view: usize, offset: u64, size: usize, n: usize, name: &str) -> Result<Elements<'a>> {
        let bytes = self.view(view)?;
        let stride = self.document.buffer_views[view].byte_stride.unwrap_or(size as u64);
        let (Ok(stride), Ok(from)) = (usize::try_from(stride), usize::try_from(offset)) else {
            return Err(self.error(name, "offsets within the file", offset));
        };
        let end =
            n.saturating_sub(1).checked_mul(stride).and_then(|end| end.checked_add(size)?.checked_add(from));
        if stride < size || end.is_none_or(|end| end > bytes.len()) {
            let found = format!("{n} elements of {size} bytes, {stride} apart, from byte {from} on");
            return Err(self.error(
                name,
                format!("elements within the {} bytes of the view", bytes.len()),
                found,
            ));
        }
        Ok(Elements { bytes: &bytes[from..], stride, size })
    }
}

/// Elements that lie within their buffer view.
struct Elements<'a> {
    bytes: &'a [u8],
    stride: usize,
    size: usize,
}

impl<'a> Elements<'a> {
    fn get(&self, index: usize) -> &'a [u8] {
        &self.bytes[index * self.stride..][..self.size]
    }
}

fn kind(component: Component, normalised: bool) -> String {
    let name = match component {
        Component::I8 => "signed bytes",
        Component::U8 => "unsigned bytes",
        Component::I16 => "signed shorts",
        Component::U16 => "unsigned shorts",
        Component::F32 => "floats",
    };
    if normalised { format!("normalised {name}") } else { name.to_owned() }
}
