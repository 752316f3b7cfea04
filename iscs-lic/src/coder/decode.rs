//! A stream → symbols, with the checks that CompressAI's `RansDecoder` leaves out.
//!
//! Coding is a bijection between symbols and streams, up to where a stream ends. So a stream that is read by other tables than it was coded with,
//! or that was damaged so that symbols behind the damage are others, ends in another state than 2³¹ or with another number of words, but for one
//! in billions. Damage that exchanges one symbol for another of the same width, and nothing else, gives the stream of other symbols: a container's
//! checksum finds it.

use super::encode::no_row;
use super::rans::{Ended, LEAST, MOST_NIBBLES, Reading};
use super::tables::Tables;
use crate::{Error, Result};

/// The symbols of a stream, one a row; the whole stream must be used.
///
/// # Errors
///
/// [`Error::Coding`] for a row that the tables do not have, and for a stream that is too short, too long, damaged, or coded by other tables.
pub fn decode(bytes: &[u8], rows: &[u16], tables: &Tables) -> Result<Vec<i32>> {
    let mut decoder = Decoder::new(bytes)?;
    let mut symbols = vec![0; rows.len()];
    decoder.next(rows, tables, &mut symbols)?;
    decoder.finish()?;
    Ok(symbols)
}

/// A decoder that gives symbols piece by piece, for models that find the next table from the symbols before.
///
/// ```
/// use iscs_lic::coder::{Decoder, SCALES, Tables, encode};
///
/// let tables = Tables::gaussian(&SCALES)?;
/// let bytes = encode(&[1, -2, 0], &[5, 9, 9], &tables)?;
/// let mut decoder = Decoder::new(&bytes)?;
/// let mut symbol = [0];
/// decoder.next(&[5], &tables, &mut symbol)?;
/// assert_eq!(symbol, [1]);
/// let mut symbols = [0; 2];
/// decoder.next(&[9, 9], &tables, &mut symbols)?;
/// assert_eq!(symbols, [-2, 0]);
/// decoder.finish()?;
/// # Ok::<(), iscs_lic::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct Decoder<'a> {
    reading: Reading<'a>,
    n_symbols: usize,
}

impl<'a> Decoder<'a> {
    /// Starts to read a stream.
    ///
    /// # Errors
    ///
    /// [`Error::Coding`] for a length that is no multiple of 4 or below 8, and for a state that no encoder ends in.
    pub fn new(bytes: &'a [u8]) -> Result<Self> {
        if !bytes.len().is_multiple_of(4) {
            return Err(Error::coding("length of a stream", "a multiple of 4 bytes", bytes.len()));
        }
        let Ok(reading) = Reading::new(bytes) else {
            return Err(Error::coding("length of a stream", "at least 8 bytes", bytes.len()));
        };
        if !(LEAST..1 << 63).contains(&reading.state()) {
            let found = format!("{:#x}", reading.state());
            return Err(Error::coding("first state of a stream", "from 2³¹ to 2⁶³ − 1", found));
        }
        Ok(Self { reading, n_symbols: 0 })
    }

    /// Decodes one symbol a row into `out`, which has the length of `rows`.
    ///
    /// # Errors
    ///
    /// [`Error::Coding`] for a row that the tables do not have, for a stream that ends before, and for an escape that no encoder writes; what is in
    /// `out`, and what would be decoded after it, then means nothing.
    pub fn next(&mut self, rows: &[u16], tables: &Tables, out: &mut [i32]) -> Result<()> {
        if out.len() != rows.len() {
            return Err(Error::coding("room for the symbols", rows.len().to_string(), out.len()));
        }
        let reading = &mut self.reading;
        for (i, (symbol, &row)) in out.iter_mut().zip(rows).enumerate() {
            let at = self.n_symbols + i;
            let Some(view) = tables.view(usize::from(row)) else { return Err(no_row(at, row, tables)) };
            let bin = reading.bin(&view).map_err(|Ended| ended(at))?;
            *symbol = if bin == view.escape() {
                escaped(reading, view.escape(), view.offset, at)?
            } else {
                // Checked when the tables were made.
                view.offset + bin as i32
            };
        }
        self.n_symbols += rows.len();
        Ok(())
    }

    /// Checks that the stream ends here, as its encoder left it.
    ///
    /// # Errors
    ///
    /// [`Error::Coding`] for bytes that were not used, and for another last state than 2³¹.
    pub fn finish(self) -> Result<()> {
        let n = self.n_symbols;
        if self.reading.n_left() > 0 {
            let found = format!("{} more", self.reading.n_left());
            return Err(Error::coding(
                format!("stream of {n} symbols"),
                "no byte after the last symbol",
                found,
            ));
        }
        if self.reading.state() != LEAST {
            let found = format!("{:#x}", self.reading.state());
            return Err(Error::coding(format!("last state of a stream of {n} symbols"), "0x80000000", found));
        }
        Ok(())
    }
}

#[cold]
fn ended(at: usize) -> Error {
    Error::coding("stream", format!("words for symbol {at}"), "its end")
}

/// The integer behind an escape.
#[cold]
fn escaped(reading: &mut Reading<'_>, escape: usize, offset: i32, at: usize) -> Result<i32> {
    let mut nibble = || reading.nibble().map_err(|Ended| ended(at));
    let n = nibble()?;
    if n > MOST_NIBBLES {
        return Err(Error::coding(format!("nibbles of symbol {at}"), "at most 8", n));
    }
    let mut carried = 0;
    for i in 0..n {
        let nibble = nibble()?;
        if nibble == 0 && i + 1 == n {
            return Err(Error::coding(format!("last nibble of symbol {at}"), "not 0", 0));
        }
        carried |= i64::from(nibble) << (4 * i);
    }
    let value = if carried & 1 == 1 { -(carried >> 1) - 1 } else { (carried >> 1) + escape as i64 };
    i32::try_from(value + i64::from(offset)).map_err(|_| {
        Error::coding(format!("symbol {at}"), "an integer of 32 bits", value + i64::from(offset))
    })
}
