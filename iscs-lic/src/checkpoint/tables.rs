//! The coder's tables of a checkpoint: as they are stored, or computed where they are empty, absent or to be renewed.
//!
//! A model that was never updated has none: CompressAI's training example saves tables, and scales, of shape `(0,)`.

use grouping_core::files::tensor_file::{Integers, Tensor};

use super::buffers::{SCALE_TABLE, TABLES};
use super::{Checkpoint, FILTERS};
use crate::coder::{FactorizedPrior, SCALES, Tables};
use crate::{Error, Result};

impl Checkpoint {
    /// The tables of an entropy model, by its neutral name, such as `entropy_bottleneck`.
    ///
    /// # Errors
    /// [`Error::Core`] for stored tables that do not fit each other or 32 bits, and an unknown name; [`Error::Coding`] for tables that
    /// no stream can be coded by.
    pub fn tables(&self, which: &str) -> Result<Tables> {
        if !self.recomputes
            && let Some(tables) = self.stored_tables(which)?
        {
            return Ok(tables);
        }
        if which == self.design.bottleneck.0 {
            self.computed_bottleneck()
        } else {
            Tables::gaussian(&self.scale_table(which)?)
        }
    }

    /// The scales of the rows of a conditional Gaussian's tables, by its neutral name, ascending.
    ///
    /// # Errors
    /// [`Error::Core`] for scales that do not ascend from above zero, for as many as no table has, and an unknown name.
    pub fn scale_table(&self, which: &str) -> Result<Vec<f32>> {
        if !self.design.gaussians.iter().any(|name| name == which) {
            let expected = format!("one of {}", self.design.gaussians.join(", "));
            return Err(Error::setting("entropy model", expected, which));
        }
        let name = format!("{which}.{SCALE_TABLE}");
        if self.recomputes || self.length(&name) == 0 {
            return Ok(SCALES.to_vec());
        }
        let Tensor { shape, values: scales } = self.tensor(&name)?;
        let ascends = scales.windows(2).all(|pair| pair[0] < pair[1]) && scales[0] > 0.0;
        if shape.len() != 1 || !ascends || scales.len() > usize::from(u16::MAX) {
            let found = format!("shape {shape:?} from {} to {}", scales[0], scales[scales.len() - 1]);
            return Err(self.misfit(&name, "at most 65535 scales that ascend from above zero", found));
        }
        Ok(scales)
    }

    /// The tables in the file; nothing where all of them are empty or absent.
    fn stored_tables(&self, which: &str) -> Result<Option<Tables>> {
        let names = TABLES.map(|table| format!("{which}.{table}"));
        if names.iter().all(|name| self.length(name) == 0) {
            return Ok(None);
        }
        let read = |name: &str, rank: usize| -> Result<(Vec<usize>, Vec<i32>)> {
            let Integers { shape, values } = self.file.integers(self.stored(name))?;
            if shape.len() != rank {
                return Err(self.misfit(name, format!("{rank} axes"), format!("shape {shape:?}")));
            }
            let narrow =
                |&v: &i64| i32::try_from(v).map_err(|_| self.misfit(name, "whole numbers of 32 bits", v));
            Ok((shape, values.iter().map(narrow).collect::<Result<_>>()?))
        };
        let (shape, cdf) = read(&names[0], 2)?;
        let (_, lengths) = read(&names[1], 1)?;
        let (_, offsets) = read(&names[2], 1)?;
        let n_rows = match which == self.design.bottleneck.0 {
            true => self.design.bottleneck.1,
            false => self.scale_table(which)?.len(),
        };
        for (name, found) in names.iter().zip([shape[0], lengths.len(), offsets.len()]) {
            if found != n_rows {
                return Err(self.misfit(name, format!("{n_rows} rows"), found));
            }
        }
        Ok(Some(Tables::from_parts(&cdf, shape[1], &lengths, &offsets)?))
    }

    fn computed_bottleneck(&self) -> Result<Tables> {
        Tables::factorized(&self.factorized_prior()?)
    }

    /// The learned distributions of the entropy bottleneck.
    ///
    /// # Errors
    /// As [`Checkpoint::tensor`], and [`Error::Coding`] for values that give no distribution.
    pub fn factorized_prior(&self) -> Result<FactorizedPrior> {
        let name = &self.design.bottleneck.0;
        let all = |kind: &str, n: usize| -> Result<Vec<Vec<f32>>> {
            (0..n).map(|i| Ok(self.tensor(&format!("{name}.{kind}.{i}"))?.values)).collect()
        };
        let n = FILTERS.len();
        let (matrices, biases, factors) = (all("matrices", n)?, all("biases", n)?, all("factors", n - 1)?);
        let quantiles = self.tensor(&format!("{name}.quantiles"))?.values;
        let [matrices, biases, factors] =
            [&matrices, &biases, &factors].map(|all| all.iter().map(Vec::as_slice).collect::<Vec<_>>());
        FactorizedPrior::new(&matrices, &biases, &factors, &quantiles)
    }

    /// The medians of the entropy bottleneck's channels, to which its symbols are relative.
    ///
    /// # Errors
    /// As [`Checkpoint::tensor`].
    pub fn medians(&self) -> Result<Vec<f32>> {
        let quantiles = self.tensor(&format!("{}.quantiles", self.design.bottleneck.0))?.values;
        Ok(quantiles.chunks_exact(3).map(|q| q[1]).collect())
    }
}
