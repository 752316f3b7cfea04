//! Accessors of glTF: numbers in a buffer, each access checked against it.

use std::path::Path;

use gltf::json::Root;
use gltf::json::accessor::{ComponentType, Type};
use gltf::json::validation::Checked;

use super::buffers::Buffers;
use crate::{Error, Result};

/// The accessors of a file and what they look into.
pub(super) struct Accessors<'a> {
    pub(super) root: &'a Root,
    pub(super) buffers: &'a Buffers<'a>,
    pub(super) path: &'a Path,
}

/// The elements of an accessor.
struct Elements<'a> {
    bytes: &'a [u8],
    stride: usize,
    count: usize,
    kind: ComponentType,
    n_components: usize,
    /// What a whole 1 is, where integers stand for fractions.
    whole: f64,
}

impl<'a> Accessors<'a> {
    fn misfit(&self, index: usize, expected: impl Into<String>, found: impl ToString) -> Error {
        Error::format(self.path, format!("accessors[{index}]"), expected, found)
    }

    fn elements(&self, index: usize) -> Result<Elements<'a>> {
        let accessor = &self.root.accessors[index];
        if accessor.sparse.is_some() {
            return Err(self.misfit(index, "dense values", "a sparse accessor, which is not read"));
        }
        let (Checked::Valid(kind), Checked::Valid(shape)) = (&accessor.component_type, &accessor.type_)
        else {
            return Err(self.misfit(index, "a type of glTF", "another"));
        };
        let n_components = match shape {
            Type::Scalar => 1,
            Type::Vec2 => 2,
            Type::Vec3 => 3,
            Type::Vec4 => 4,
            Type::Mat2 | Type::Mat3 | Type::Mat4 => {
                return Err(self.misfit(index, "a scalar or a vector", "a matrix"));
            }
        };
        let Some(view) = accessor.buffer_view else {
            return Err(self.misfit(index, "a buffer view", "none"));
        };
        let stride = self.root.buffer_views[view.value()].byte_stride.map(|stride| stride.0);
        let bytes = self.buffers.view(self.root, view.value(), self.path)?;
        let size = n_components * size(kind.0);
        let stride = stride.unwrap_or(size);
        let count = usize::try_from(accessor.count.0).ok();
        let offset = accessor.byte_offset.map_or(Some(0), |offset| usize::try_from(offset.0).ok());
        let found = || format!("a view of {} bytes", bytes.len());
        let (Some(count), Some(offset)) = (count, offset) else {
            return Err(self.misfit(index, "counts and offsets within the file", found()));
        };
        let length = count.checked_sub(1).map_or(Some(0), |n| n.checked_mul(stride)?.checked_add(size));
        let end = length.and_then(|length| length.checked_add(offset));
        if stride < size || end.is_none_or(|end| end > bytes.len()) {
            let expected = format!("{count} elements of {size} bytes every {stride} from byte {offset}");
            return Err(self.misfit(index, expected, found()));
        }
        let whole = match kind.0 {
            _ if !accessor.normalized => 1.0,
            ComponentType::I8 => 127.0,
            ComponentType::U8 => 255.0,
            ComponentType::I16 => 32767.0,
            ComponentType::U16 => 65535.0,
            ComponentType::U32 | ComponentType::F32 => 1.0,
        };
        Ok(Elements { bytes: &bytes[offset..], stride, count, kind: kind.0, n_components, whole })
    }

    /// Vectors of `N` finite numbers.
    pub(super) fn vectors<const N: usize>(&self, index: usize) -> Result<Vec<[f64; N]>> {
        let elements = self.elements(index)?;
        if elements.n_components != N {
            return Err(self.misfit(
                index,
                format!("vectors of {N}"),
                format!("of {}", elements.n_components),
            ));
        }
        self.read(&elements, index)
    }

    /// Red, green and blue, without an alpha.
    pub(super) fn colours(&self, index: usize) -> Result<Vec<[f64; 3]>> {
        let elements = self.elements(index)?;
        if !(3..=4).contains(&elements.n_components) {
            return Err(self.misfit(index, "colours of 3 or 4", format!("of {}", elements.n_components)));
        }
        self.read(&elements, index)
    }

    fn read<const N: usize>(&self, elements: &Elements<'_>, index: usize) -> Result<Vec<[f64; N]>> {
        let mut values = Vec::with_capacity(elements.count);
        for element in 0..elements.count {
            let value: [f64; N] = std::array::from_fn(|i| elements.number(element, i));
            if value.iter().any(|x| !x.is_finite()) {
                return Err(self.misfit(index, "finite numbers", format!("{value:?} as element {element}")));
            }
            values.push(value);
        }
        Ok(values)
    }

    /// Whole numbers.
    pub(super) fn indices(&self, index: usize) -> Result<Vec<u32>> {
        let elements = self.elements(index)?;
        let is_whole = matches!(elements.kind, ComponentType::U8 | ComponentType::U16 | ComponentType::U32);
        if elements.n_components != 1 || !is_whole {
            return Err(self.misfit(index, "whole numbers", format!("{:?}", elements.kind)));
        }
        Ok((0..elements.count).map(|element| elements.raw(element, 0) as u32).collect())
    }
}

impl Elements<'_> {
    fn raw(&self, element: usize, component: usize) -> f64 {
        let at = element * self.stride + component * size(self.kind);
        let bytes = &self.bytes[at..];
        let two = || [bytes[0], bytes[1]];
        let four = || [bytes[0], bytes[1], bytes[2], bytes[3]];
        match self.kind {
            ComponentType::I8 => f64::from(bytes[0] as i8),
            ComponentType::U8 => f64::from(bytes[0]),
            ComponentType::I16 => f64::from(i16::from_le_bytes(two())),
            ComponentType::U16 => f64::from(u16::from_le_bytes(two())),
            ComponentType::U32 => f64::from(u32::from_le_bytes(four())),
            ComponentType::F32 => f64::from(f32::from_le_bytes(four())),
        }
    }

    fn number(&self, element: usize, component: usize) -> f64 {
        (self.raw(element, component) / self.whole).max(if self.whole > 1.0 {
            -1.0
        } else {
            f64::NEG_INFINITY
        })
    }
}

fn size(kind: ComponentType) -> usize {
    match kind {
        ComponentType::I8 | ComponentType::U8 => 1,
        ComponentType::I16 | ComponentType::U16 => 2,
        ComponentType::U32 | ComponentType::F32 => 4,
    }
}
