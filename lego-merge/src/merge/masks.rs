//! Masks of DARE from a file, replayed instead of drawn, so that another program's choice can be repeated.
//!
//! A safetensors file with one tensor of zeros and ones (U8, BOOL or F32; 1 keeps) for each adapter of each module, the
//! adapters counted from 0 in the order given:
//! - methods on factors: `<module>.lora_A.<adapter>` of `A`'s shape `[r, d_in]`, `<module>.lora_B.<adapter>` of `B`'s
//!   `[d_out, r]`;
//! - methods on the dense update: `<module>.delta.<adapter>`, `[d_out, d_in]`.
//!
//! All are checked before anything is merged. At a density of 1 and beyond nothing is dropped and no mask is read.

use std::path::{Path, PathBuf};

use grouping_core::files::tensor_file::Dtype;

use super::halves::Half;
use super::{AllSources, Density, ModuleSources};
use crate::adapter::Tensors;
use crate::{Error, Result};

/// A file of masks.
#[derive(Debug)]
pub struct Masks {
    path: PathBuf,
    tensors: Tensors,
}

/// One mask, by flat index.
#[derive(Debug, Clone, Copy)]
pub(super) struct Mask<'a> {
    bytes: &'a [u8],
    n_bytes_each: usize,
}

impl Mask<'_> {
    /// Whether the value at a flat index is kept; none beyond the mask's end.
    #[inline(always)]
    pub(super) fn keeps(&self, index: usize) -> bool {
        match self.n_bytes_each {
            1 => self.bytes.get(index) == Some(&1),
            n => self.bytes.get(index * n..(index + 1) * n) == Some(&1f32.to_le_bytes()[..]),
        }
    }

    /// Position of a value that is neither 0 nor 1.
    fn misfit(&self) -> Option<usize> {
        let (zero, one) = ([0u8; 4], 1f32.to_le_bytes());
        match self.n_bytes_each {
            1 => self.bytes.iter().position(|&b| b > 1),
            n => self.bytes.chunks(n).position(|b| b != zero && b != one),
        }
    }
}

/// Name of the mask of a dense update.
pub(super) fn dense_mask(module: &str, adapter: usize) -> String {
    format!("{module}.delta.{adapter}")
}

/// Name of the mask of a factor; `side` is `A` or `B`.
fn factor_mask(module: &str, side: char, adapter: usize) -> String {
    format!("{module}.lora_{side}.{adapter}")
}

impl Masks {
    /// Maps a file and checks its header; the masks themselves are checked once a merge says which it needs.
    ///
    /// # Errors
    /// [`Error::Core`] for a file that cannot be read, [`Error::FileField`](grouping_core::Error::FileField) for a damaged one.
    pub fn open(path: impl AsRef<Path>) -> Result<Self> {
        let path = path.as_ref();
        Ok(Self { path: path.into(), tensors: Tensors::open(path)? })
    }

    /// The mask of this name.
    ///
    /// # Errors
    /// [`Error::FileField`](grouping_core::Error::FileField) when there is none, or one of another shape or type.
    pub(super) fn mask(&self, name: &str, shape: [usize; 2]) -> Result<Mask<'_>> {
        let refused = |found: String| {
            let expected = format!("a mask of shape {shape:?} and type U8, BOOL or F32");
            Err(Error::format(&self.path, name, expected, found))
        };
        let Some((dtype, found, bytes)) = self.tensors.stored(name) else {
            return refused("none".into());
        };
        match dtype {
            _ if found != shape => refused(format!("shape {found:?}")),
            Dtype::U8 | Dtype::BOOL => Ok(Mask { bytes, n_bytes_each: 1 }),
            Dtype::F32 => Ok(Mask { bytes, n_bytes_each: 4 }),
            other => refused(format!("type {other}")),
        }
    }

    /// Checks that the masks of all dense updates are there.
    ///
    /// # Errors
    /// [`Error::FileField`](grouping_core::Error::FileField) for the first that is missing, misshapen, or holds anything but zeros and ones.
    pub(super) fn check_dense(&self, sources: &AllSources<'_>) -> Result<()> {
        for module in sources.modules() {
            for &i in &module.members {
                self.check(&dense_mask(&module.name, i), [module.n_outputs, module.n_inputs])?;
            }
        }
        Ok(())
    }

    /// Checks that the masks of all factors are there.
    ///
    /// # Errors
    /// As [`Self::check_dense`].
    pub(super) fn check_factors(&self, sources: &AllSources<'_>) -> Result<()> {
        sources.visit(|module| {
            for (i, (factors, _)) in module.sources.iter().enumerate() {
                for (side, m) in [('A', &factors.a), ('B', &factors.b)] {
                    self.check(&factor_mask(module.name, side, module.members[i]), [m.n_rows(), m.n_cols()])?;
                }
            }
            Ok(())
        })?;
        Ok(())
    }

    fn check(&self, name: &str, shape: [usize; 2]) -> Result<()> {
        match self.mask(name, shape)?.misfit() {
            None => Ok(()),
            Some(at) => {
                Err(Error::format(&self.path, name, "zeros and ones", format!("another at index {at}")))
            }
        }
    }

    /// Drops and rescales one half of a module's sources.
    ///
    /// # Errors
    /// [`grouping_core::Error::File`] for a mask that is not there, which [`Self::check_factors`] tells earlier.
    pub(super) fn drop_and_rescale(
        &self,
        half: &mut Half<'_>,
        module: &ModuleSources<'_>,
        density: Density,
    ) -> grouping_core::Result<()> {
        if density.get() >= 1.0 {
            return Ok(());
        }
        for (i, tensor) in half.tensors.iter_mut().enumerate() {
            let factors = &module.sources[i].0;
            let (m, n_cols) = match half.side {
                'A' => (&factors.a, factors.a.n_cols()),
                _ => (&factors.b, module.rank),
            };
            let name = factor_mask(module.name, half.side, module.members[i]);
            let mask = self.mask(&name, [m.n_rows(), m.n_cols()]).map_err(Self::numeric)?;
            // The tensor may be padded below and to the right.
            for (row, values) in tensor.to_mut().chunks_exact_mut(n_cols.max(1)).enumerate() {
                for (column, v) in values.iter_mut().enumerate() {
                    let is_kept = column < m.n_cols() && mask.keeps(row * m.n_cols() + column);
                    *v = if is_kept { *v / density.get() as f32 } else { 0.0 };
                }
            }
        }
        Ok(())
    }

    /// The error as one of a numeric routine, within a merge.
    pub(super) fn numeric(error: Error) -> grouping_core::Error {
        match error {
            Error::Core(error) => error,
            other => grouping_core::Error::Setting {
                name: "masks".into(),
                expected: "a file of masks".into(),
                found: other.to_string(),
            },
        }
    }
}
