//! Symbols → a stream, byte for byte that of CompressAI's `RansEncoder`.

use super::rans::{State, bin_of, nibbles};
use super::tables::Tables;
use crate::{Error, Result};

/// Codes each symbol by the row of the same place; the stream's length is a multiple of 4 and at least 8.
///
/// An integer without a bin of its own takes the escape and up to nine nibbles. CompressAI decodes what lies up to 2³⁰ outside the bins; this
/// decoder everything that can be coded.
///
/// ```
/// use iscs_lic::coder::{SCALES, Tables, decode, encode};
///
/// let tables = Tables::gaussian(&SCALES)?;
/// let (symbols, rows) = ([0, -3, 1_000_000], [0, 20, 20]);
/// let bytes = encode(&symbols, &rows, &tables)?;
/// assert_eq!(decode(&bytes, &rows, &tables)?, symbols);
/// # Ok::<(), iscs_lic::Error>(())
/// ```
///
/// # Errors
///
/// [`Error::Coding`] for unequal lengths, for a row that the tables do not have, and for a symbol 2³¹ or more outside the bins of its row.
pub fn encode(symbols: &[i32], rows: &[u16], tables: &Tables) -> Result<Vec<u8>> {
    same_length(symbols.len(), rows.len())?;
    // The stream is read from its end: the last symbol is coded first.
    let mut state = State::new();
    for (at, (&symbol, &row)) in symbols.iter().zip(rows).enumerate().rev() {
        let Some(row) = tables.view(usize::from(row)) else { return Err(no_row(at, row, tables)) };
        let (bin, carried) = bin_of(symbol, &row);
        if let Some(carried) = carried {
            let carried = u32::try_from(carried).map_err(|_| too_far(at, symbol))?;
            nibbles(carried).rev().for_each(|nibble| state.put_nibble(nibble));
        }
        let first = row.counts[bin];
        state.put(first, row.counts[bin + 1] - first);
    }
    Ok(state.finish())
}

fn same_length(symbols: usize, rows: usize) -> Result<()> {
    if symbols == rows {
        Ok(())
    } else {
        Err(Error::coding("rows of the symbols", symbols.to_string(), rows))
    }
}

fn too_far(at: usize, symbol: i32) -> Error {
    Error::coding(format!("symbol {at}"), "less than 2³¹ outside the bins of its row", symbol)
}

/// Symbol `at` names a row that there is not.
pub(super) fn no_row(at: usize, row: u16, tables: &Tables) -> Error {
    Error::coding(format!("row of symbol {at}"), format!("below {}", tables.n_rows()), row)
}

/// An encoder that is given its symbols piece by piece, each with tables of its own choice.
///
/// It keeps four bytes a symbol: a stream is coded from its end.
///
/// ```
/// use iscs_lic::coder::{Encoder, SCALES, Tables, encode};
///
/// let tables = Tables::gaussian(&SCALES)?;
/// let mut encoder = Encoder::new();
/// encoder.push(&[1], &[5], &tables)?;
/// encoder.push(&[-2, 0], &[9, 9], &tables)?;
/// assert_eq!(encoder.finish(), encode(&[1, -2, 0], &[5, 9, 9], &tables)?);
/// # Ok::<(), iscs_lic::Error>(())
/// ```
#[derive(Clone, Debug, Default)]
pub struct Encoder {
    steps: Vec<Step>,
    n_symbols: usize,
}

/// A bin by its first count and its width, or, with width 0, four plain bits.
#[derive(Clone, Copy, Debug)]
struct Step {
    first: u16,
    width: u16,
}

impl Encoder {
    /// An encoder without symbols.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds symbols behind those that it has.
    ///
    /// # Errors
    ///
    /// As [`encode`]; the encoder is then as it was before.
    pub fn push(&mut self, symbols: &[i32], rows: &[u16], tables: &Tables) -> Result<()> {
        same_length(symbols.len(), rows.len())?;
        let before = self.steps.len();
        for (i, (&symbol, &row)) in symbols.iter().zip(rows).enumerate() {
            if let Err(error) = self.push_one(self.n_symbols + i, symbol, row, tables) {
                self.steps.truncate(before);
                return Err(error);
            }
        }
        self.n_symbols += symbols.len();
        Ok(())
    }

    #[inline]
    fn push_one(&mut self, at: usize, symbol: i32, row: u16, tables: &Tables) -> Result<()> {
        let Some(row) = tables.view(usize::from(row)) else { return Err(no_row(at, row, tables)) };
        let (bin, carried) = bin_of(symbol, &row);
        let first = row.counts[bin];
        // Neither needs 17 bits: a row has two bins at least.
        self.steps.push(Step { first: first as u16, width: (row.counts[bin + 1] - first) as u16 });
        if let Some(carried) = carried {
            let carried = u32::try_from(carried).map_err(|_| too_far(at, symbol))?;
            self.steps.extend(nibbles(carried).map(|nibble| Step { first: nibble as u16, width: 0 }));
        }
        Ok(())
    }

    /// The stream of all symbols.
    pub fn finish(self) -> Vec<u8> {
        let mut state = State::new();
        for step in self.steps.iter().rev() {
            match step.width {
                0 => state.put_nibble(u32::from(step.first)),
                width => state.put(u32::from(step.first), u32::from(width)),
            }
        }
        state.finish()
    }
}
