//! Accessors of glTF: numbers in a buffer, dense or sparse, each access checked against it.

use std::path::Path;

use gltf::json::Root;
use gltf::json::accessor::sparse::Sparse;
use gltf::json::accessor::{ComponentType, Type};
use gltf::json::validation::Checked;

use super::MOST_REPEATED;
use super::buffers::Buffers;
use crate::{Error, Result};

/// The accessors of a file and what they look into.
pub(super) struct Accessors<'a> {
    pub(super) root: &'a Root,
    pub(super) buffers: &'a Buffers<'a>,
    pub(super) path: &'a Path,
}

/// Elements one after another, all of which lie in the file.
struct Strided<'a> {
    bytes: &'a [u8],
    stride: usize,
}

/// The elements of an accessor.
struct Elements<'a> {
    /// None where they are zeros.
    dense: Option<Strided<'a>>,
    /// Of a sparse accessor those that are others, ascending, with their values.
    sparse: Option<(Vec<u32>, Strided<'a>)>,
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
        let size = n_components * size(kind.0);
        let dense = match (accessor.buffer_view, &accessor.sparse) {
            (Some(view), _) => {
                let offset = accessor.byte_offset.map_or(0, |offset| offset.0);
                Some(self.strided(index, view.value(), offset, size, accessor.count.0)?)
            }
            (None, Some(_)) => {
                // Zeros take no bytes of the file.
                let most = self.buffers.size().saturating_mul(MOST_REPEATED) as u64;
                if accessor.count.0 > most {
                    return Err(self.misfit(index, format!("at most {most} elements"), accessor.count.0));
                }
                None
            }
            (None, None) => return Err(self.misfit(index, "a buffer view", "none")),
        };
        // It lies in the file, or is bounded by it.
        let count = accessor.count.0 as usize;
        let sparse = accessor.sparse.as_ref();
        let sparse = sparse.map(|sparse| self.sparse(index, sparse, size, count)).transpose()?;
        let whole = match kind.0 {
            _ if !accessor.normalized => 1.0,
            ComponentType::I8 => 127.0,
            ComponentType::U8 => 255.0,
            ComponentType::I16 => 32767.0,
            ComponentType::U16 => 65535.0,
            ComponentType::U32 | ComponentType::F32 => 1.0,
        };
        Ok(Elements { dense, sparse, count, kind: kind.0, n_components, whole })
    }

    /// The elements that a sparse accessor of `n` replaces, and their values.
    fn sparse(
        &self,
        index: usize,
        sparse: &Sparse,
        size: usize,
        n: usize,
    ) -> Result<(Vec<u32>, Strided<'a>)> {
        let (rows, values) = (&sparse.indices, &sparse.values);
        let Checked::Valid(kind) = &rows.component_type else {
            return Err(self.misfit(index, "a type of indices", "another"));
        };
        let bytes = match kind.0 {
            ComponentType::U8 => 1,
            ComponentType::U16 => 2,
            _ => 4,
        };
        if sparse.count.0 > n as u64 {
            return Err(self.misfit(index, format!("at most {n} sparse elements"), sparse.count.0));
        }
        let offset = rows.byte_offset.0;
        let rows = self.strided(index, rows.buffer_view.value(), offset, bytes, sparse.count.0)?;
        let row =
            |k: usize| rows.get(k)[..bytes].iter().rev().fold(0, |row, &byte| row << 8 | u32::from(byte));
        let rows: Vec<u32> = (0..sparse.count.0 as usize).map(row).collect();
        let ascends = rows.windows(2).all(|pair| pair[0] < pair[1]);
        if !ascends || rows.last().is_some_and(|&last| last as usize >= n) {
            let expected = format!("ascending sparse indices of {n} elements");
            return Err(self.misfit(index, expected, format!("others, up to {:?}", rows.iter().max())));
        }
        let offset = values.byte_offset.0;
        let values = self.strided(index, values.buffer_view.value(), offset, size, sparse.count.0)?;
        Ok((rows, values))
    }

    /// `count` elements of `size` bytes in a buffer view, as far apart as the view says.
    fn strided(
        &self,
        index: usize,
        view: usize,
        offset: u64,
        size: usize,
        count: u64,
    ) -> Result<Strided<'a>> {
        let Some(found) = self.root.buffer_views.get(view) else {
            return Err(self.misfit(
                index,
                format!("one of {} buffer views", self.root.buffer_views.len()),
                view,
            ));
        };
        let stride = found.byte_stride.map(|stride| stride.0).unwrap_or(size);
        let bytes = self.buffers.view(self.root, view, self.path)?;
        let found = || format!("a view of {} bytes", bytes.len());
        let (Ok(count), Ok(offset)) = (usize::try_from(count), usize::try_from(offset)) else {
            return Err(self.misfit(index, "counts and offsets within the file", found()));
        };
        let length = count.checked_sub(1).map_or(Some(0), |n| n.checked_mul(stride)?.checked_add(size));
        let end = length.and_then(|length| length.checked_add(offset));
        if stride < size || end.is_none_or(|end| end > bytes.len()) {
            let expected = format!("{count} elements of {size} bytes every {stride} from byte {offset}");
            return Err(self.misfit(index, expected, found()));
        }
        Ok(Strided { bytes: &bytes[offset..], stride })
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

impl<'a> Strided<'a> {
    /// The file from an element on.
    fn get(&self, element: usize) -> &'a [u8] {
        &self.bytes[element * self.stride..]
    }
}

impl Elements<'_> {
    fn raw(&self, element: usize, component: usize) -> f64 {
        let replaced = self.sparse.as_ref().and_then(|(rows, values)| {
            let k = rows.binary_search(&u32::try_from(element).ok()?).ok()?;
            Some(values.get(k))
        });
        let Some(bytes) = replaced.or_else(|| Some(self.dense.as_ref()?.get(element))) else { return 0.0 };
        let bytes = &bytes[component * size(self.kind)..];
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
