//! Tables of cumulative counts, one a row, checked when they are made and laid out for the coder.
//!
//! A row of n + 2 cumulative counts codes n integers from its offset on, and an escape, the last of its n + 1 bins, for all others.
//! For decoding, each row has the first bin of each of its 256 stretches of 256 counts.

use super::cumulative::TOTAL;
use crate::{Error, Result};

/// Stretches of counts of a row whose first bins are stored.
const STRETCHES: usize = 256;

/// Rows of cumulative counts of 65,536, each with the integer of its first bin.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tables {
    rows: Vec<Row>,
    /// The cumulative counts of all rows, one after another.
    counts: Vec<u32>,
    /// The last count of each bin of all rows.
    lasts: Vec<u16>,
    /// `[n_rows, 256]`: the bin that holds the first count of the stretch.
    starts: Vec<u16>,
}

/// Where a row lies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Row {
    /// In `counts`.
    counts: usize,
    /// In `lasts`.
    lasts: usize,
    /// With the escape.
    n_bins: u32,
    offset: i32,
}

/// One row, as the coder reads it.
#[derive(Clone, Copy)]
pub(crate) struct RowView<'a> {
    /// One more than there are bins.
    pub(crate) counts: &'a [u32],
    /// The last count of each bin.
    pub(crate) lasts: &'a [u16],
    /// 256 of them.
    pub(crate) starts: &'a [u16; STRETCHES],
    pub(crate) offset: i32,
}

impl RowView<'_> {
    /// The bin of the escape, which is how many integers have a bin.
    #[inline]
    pub(crate) fn escape(&self) -> usize {
        self.counts.len() - 2
    }
}

impl Tables {
    /// From the three buffers of a checkpoint: `_quantized_cdf [n_rows, width]`, of which `_cdf_length [n_rows]` counts a row, and `_offset [n_rows]`.
    ///
    /// ```
    /// use iscs_lic::coder::Tables;
    ///
    /// let tables = Tables::from_parts(&[0, 60_000, 65_536, 0], 4, &[3], &[7])?;
    /// assert_eq!((tables.row(0), tables.offset(0)), (&[0, 60_000, 65_536][..], 7));
    /// # Ok::<(), iscs_lic::Error>(())
    /// ```
    ///
    /// # Errors
    ///
    /// [`Error::Coding`] for buffers of unequal lengths, for a length outside the row, and for counts that do not rise strictly from 0 to 65,536.
    pub fn from_parts(cdf: &[i32], width: usize, lengths: &[i32], offsets: &[i32]) -> Result<Self> {
        let n = lengths.len();
        if offsets.len() != n || n.checked_mul(width) != Some(cdf.len()) {
            let found = format!("{} counts, {n} lengths and {} offsets", cdf.len(), offsets.len());
            return Err(Error::coding(
                "tables",
                format!("rows of {width} counts, a length and an offset each"),
                found,
            ));
        }
        let mut rows = Vec::with_capacity(n);
        for (i, (&length, &offset)) in lengths.iter().zip(offsets).enumerate() {
            let Some(counts) = usize::try_from(length).ok().filter(|&n| n <= width) else {
                return Err(Error::coding(
                    format!("length of table {i}"),
                    format!("from 3 to {width}"),
                    length,
                ));
            };
            // A negative count becomes a huge one, which does not rise.
            rows.push((cdf[i * width..][..counts].iter().map(|&count| count as u32).collect(), offset));
        }
        Self::from_rows(rows)
    }

    /// From the cumulative counts and the offset of each row.
    pub(crate) fn from_rows(rows: Vec<(Vec<u32>, i32)>) -> Result<Self> {
        if rows.is_empty() || rows.len() > usize::from(u16::MAX) {
            return Err(Error::coding("tables", "from 1 to 65,535 of them", rows.len()));
        }
        let mut tables = Self {
            rows: Vec::with_capacity(rows.len()),
            counts: Vec::new(),
            lasts: Vec::new(),
            starts: Vec::with_capacity(rows.len() * STRETCHES),
        };
        for (i, (counts, offset)) in rows.iter().enumerate() {
            check(i, counts, *offset)?;
            tables.push(counts, *offset);
        }
        Ok(tables)
    }

    fn push(&mut self, counts: &[u32], offset: i32) {
        let n_bins = counts.len() - 1;
        let row = Row { counts: self.counts.len(), lasts: self.lasts.len(), n_bins: n_bins as u32, offset };
        self.rows.push(row);
        self.counts.extend_from_slice(counts);
        self.lasts.extend(counts[1..].iter().map(|&count| (count - 1) as u16));
        let mut bin = 0;
        for stretch in 0..STRETCHES as u32 {
            while counts[bin + 1] <= stretch * (TOTAL / STRETCHES as u32) {
                bin += 1;
            }
            self.starts.push(bin as u16);
        }
    }

    /// How many rows there are; at least one.
    pub fn n_rows(&self) -> usize {
        self.rows.len()
    }

    /// The cumulative counts of a row, from 0 to 65,536.
    ///
    /// # Panics
    ///
    /// When there is no row `i`.
    pub fn row(&self, i: usize) -> &[u32] {
        self.view(i).expect("a row of the tables").counts
    }

    /// The integer of the first bin of a row.
    ///
    /// # Panics
    ///
    /// When there is no row `i`.
    pub fn offset(&self, i: usize) -> i32 {
        self.rows[i].offset
    }

    /// The row of a symbol, if there is one.
    #[inline]
    pub(crate) fn view(&self, i: usize) -> Option<RowView<'_>> {
        let row = self.rows.get(i)?;
        let n_bins = row.n_bins as usize;
        Some(RowView {
            counts: &self.counts[row.counts..][..n_bins + 1],
            lasts: &self.lasts[row.lasts..][..n_bins],
            starts: self.starts[i * STRETCHES..].first_chunk().expect("256 a row"),
            offset: row.offset,
        })
    }

    /// The buffers of a checkpoint: `_quantized_cdf`, its width, `_cdf_length`, `_offset`; zeros behind each row's length.
    pub fn parts(&self) -> (Vec<i32>, usize, Vec<i32>, Vec<i32>) {
        let lengths: Vec<usize> = self.rows.iter().map(|row| row.n_bins as usize + 1).collect();
        let width = lengths.iter().copied().max().unwrap_or(0);
        let mut cdf = vec![0; width * self.rows.len()];
        for (i, padded) in cdf.chunks_exact_mut(width).enumerate() {
            for (to, &count) in padded.iter_mut().zip(self.row(i)) {
                *to = count as i32;
            }
        }
        let offsets = self.rows.iter().map(|row| row.offset).collect();
        (cdf, width, lengths.into_iter().map(|length| length as i32).collect(), offsets)
    }
}

/// Whether the counts are a table.
fn check(i: usize, counts: &[u32], offset: i32) -> Result<()> {
    // An integer and the escape at least; with one bin alone nothing would be coded.
    if counts.len() < 3 {
        return Err(Error::coding(format!("length of table {i}"), "at least 3", counts.len()));
    }
    let (first, last) = (counts[0], counts[counts.len() - 1]);
    if let Some(at) = counts.windows(2).position(|pair| pair[0] >= pair[1]) {
        let found = format!("{} before {} at {at}", counts[at] as i32, counts[at + 1] as i32);
        return Err(Error::coding(format!("counts of table {i}"), "strictly rising numbers", found));
    }
    if first != 0 || last != TOTAL {
        let found = format!("from {} to {}", first as i32, last as i32);
        return Err(Error::coding(format!("counts of table {i}"), "from 0 to 65,536", found));
    }
    if i64::from(offset) + counts.len() as i64 > i64::from(i32::MAX) {
        return Err(Error::coding(format!("offset of table {i}"), "integers of 32 bits", offset));
    }
    Ok(())
}
