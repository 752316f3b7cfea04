//! One step of the range variant of asymmetric numeral systems (Duda, 2013; the 64-bit state of Giesen's `rans64`, which CompressAI codes with).
//!
//! The state x lies in [2³¹, 2⁶³) between steps; 32-bit words leave and enter it. A bin of width w from count c on: x ← ⌊x/w⌋·2¹⁶ + c + x mod w.
//! An escaped integer follows its bin as nibbles of four plain bits: how many nibbles (15 means that more of the number follow), then the
//! nibbles of the integer, the lowest first, where v below the first bin's integer is −2v − 1, and v above the last one's 2v.

use super::tables::RowView;

/// The least state; also the first of an encoder and the last of a decoder.
pub(crate) const LEAST: u64 = 1 << 31;
/// Bits of counts.
pub(crate) const BITS: u32 = 16;
/// Bits of a nibble.
const NIBBLE: u32 = 4;
/// Nibbles of an escaped integer.
pub(crate) const MOST_NIBBLES: u32 = 8;

/// An encoder's state, and the words that have left it, the last of the stream first.
#[derive(Clone, Debug)]
pub(crate) struct State {
    x: u64,
    words: Vec<u32>,
}

impl State {
    pub(crate) fn new() -> Self {
        Self { x: LEAST, words: Vec::new() }
    }

    /// Codes a bin of this width, which is neither 0 nor 65,536.
    #[inline]
    pub(crate) fn put(&mut self, first: u32, width: u32) {
        let width = u64::from(width);
        if self.x >= width << (63 - BITS) {
            self.words.push(self.x as u32);
            self.x >>= 32;
        }
        self.x = ((self.x / width) << BITS) + u64::from(first) + self.x % width;
    }

    /// Codes four plain bits.
    #[inline]
    pub(crate) fn put_nibble(&mut self, nibble: u32) {
        if self.x >= 1 << (63 - NIBBLE) {
            self.words.push(self.x as u32);
            self.x >>= 32;
        }
        self.x = (self.x << NIBBLE) | u64::from(nibble);
    }

    /// The stream: the state, its lower half first, then the words, each little-endian.
    pub(crate) fn finish(mut self) -> Vec<u8> {
        self.words.push((self.x >> 32) as u32);
        self.words.push(self.x as u32);
        self.words.iter().rev().flat_map(|word| word.to_le_bytes()).collect()
    }
}

/// The bin of a symbol, and what an escape carries.
#[inline]
pub(crate) fn bin_of(symbol: i32, row: &RowView<'_>) -> (usize, Option<u64>) {
    let escape = row.escape() as i64;
    let value = i64::from(symbol) - i64::from(row.offset);
    if (0..escape).contains(&value) {
        (value as usize, None)
    } else {
        let carried = if value < 0 { -2 * value - 1 } else { 2 * (value - escape) };
        (escape as usize, Some(carried as u64))
    }
}

/// The nibbles after an escape, in the order of the stream: how many, and each.
pub(crate) fn nibbles(carried: u32) -> impl DoubleEndedIterator<Item = u32> {
    let n = (u32::BITS - carried.leading_zeros()).div_ceil(NIBBLE);
    // At most eight, so that their number is one nibble itself.
    std::iter::once(n).chain((0..n).map(move |i| (carried >> (i * NIBBLE)) & 15))
}

/// A decoder's state over the words of a stream.
#[derive(Clone, Debug)]
pub(crate) struct Reading<'a> {
    x: u64,
    rest: &'a [u8],
}

/// A word was needed behind the end.
#[derive(Debug)]
pub(crate) struct Ended;

impl<'a> Reading<'a> {
    /// The state from the first two words.
    pub(crate) fn new(bytes: &'a [u8]) -> Result<Self, Ended> {
        let (state, rest) = bytes.split_first_chunk().ok_or(Ended)?;
        Ok(Self { x: u64::from_le_bytes(*state), rest })
    }

    pub(crate) fn state(&self) -> u64 {
        self.x
    }

    /// Bytes that were not used.
    pub(crate) fn n_left(&self) -> usize {
        self.rest.len()
    }

    #[inline]
    fn refill(&mut self, x: u64) -> Result<(), Ended> {
        self.x = x;
        if x < LEAST {
            let (word, rest) = self.rest.split_first_chunk().ok_or(Ended)?;
            self.x = (x << 32) | u64::from(u32::from_le_bytes(*word));
            self.rest = rest;
        }
        Ok(())
    }

    /// The next bin of a row.
    #[inline]
    pub(crate) fn bin(&mut self, row: &RowView<'_>) -> Result<usize, Ended> {
        let count = self.x as u16;
        let mut bin = usize::from(row.starts[usize::from(count >> 8)]);
        while row.lasts[bin] < count {
            bin += 1;
        }
        let first = row.counts[bin];
        let width = row.counts[bin + 1] - first;
        let x = u64::from(width) * (self.x >> BITS) + u64::from(u32::from(count) - first);
        self.refill(x)?;
        Ok(bin)
    }

    /// The next four plain bits.
    pub(crate) fn nibble(&mut self) -> Result<u32, Ended> {
        let nibble = (self.x & 15) as u32;
        self.refill(self.x >> NIBBLE)?;
        Ok(nibble)
    }
}
