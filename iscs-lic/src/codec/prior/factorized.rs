//! Latents whose channels each have a distribution of their own (Ballé et al. 2018): y of a factorised prior, and z of a hyperprior.
//!
//! A symbol is a latent less its channel's median, rounded; its row is its channel.

use super::super::strings::{Numbers, Port, Request, rounded};
use crate::Result;
use crate::checkpoint::Checkpoint;
use crate::coder::Tables;
use crate::container::Role;
use crate::model::Planes;

/// An entropy bottleneck.
#[derive(Debug)]
pub(in super::super) struct Bottleneck {
    tables: Tables,
    medians: Vec<f32>,
}

impl Bottleneck {
    pub(super) fn load(checkpoint: &Checkpoint) -> Result<Self> {
        let tables = checkpoint.tables(&checkpoint.design().bottleneck.0)?;
        Ok(Self { tables, medians: checkpoint.medians()? })
    }

    pub(super) fn n_channels(&self) -> usize {
        self.medians.len()
    }

    /// The decoded latents, and whether they are known.
    pub(super) fn walk(
        &self,
        port: &mut Port<'_>,
        role: Role,
        what: &'static str,
        [channels, height, width]: [usize; 3],
        latents: Option<&Planes>,
    ) -> Result<(Planes, bool)> {
        let area = height * width;
        // As many channels as rows of tables, which 16 bits number.
        let rows: Vec<u16> = (0..channels).flat_map(|c| std::iter::repeat_n(c as u16, area)).collect();
        let mut values: Vec<f32> = self.medians.iter().flat_map(|&m| std::iter::repeat_n(m, area)).collect();
        let symbols = latents.map(|y| rounded(what, y.values.iter().copied(), &values)).transpose()?;
        let latents = latents.map_or(&[][..], |y| &y.values);
        let numbers = Numbers { latents, means: &values, scales: &[] };
        let (tables, is_known) = (&self.tables, true);
        let answer = port.symbols(Request { role, tables, rows: &rows, symbols, numbers, is_known })?;
        values.iter_mut().zip(&answer.symbols).for_each(|(value, &symbol)| *value += symbol as f32);
        Ok((Planes { channels, height, width, values }, answer.is_known))
    }
}
