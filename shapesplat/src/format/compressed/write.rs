//! Compressed PLY out: Gaussians in Morton order, chunk by chunk, the last chunk's bounds over what it holds.
//!
//! Errors are measured where a value is quantised. The numbers of a Gaussian are first laid side by side in the order of the file, a part of
//! the file at a time, so that its order asks for one place in memory a Gaussian instead of one a column.

use std::fmt::Write as _;
use std::io::Write;

use rayon::prelude::*;

use super::chunk::{Chunk, PROPERTIES, Packed};
use super::coefficients::quantise;
use super::{BOUNDS, CHUNK, WORDS};
use crate::format::ply::comment_lines;
use crate::format::{ErrorSum, WriteOptions, Written, stream};
use crate::splats::{REST, Splats, morton_order};
use crate::{Error, Result};

/// Parts of the file whose rows are laid side by side one after the other.
const PARTS: usize = 4;
/// Rows of coefficients that are written at once.
const ROWS: usize = 1 << 14;

/// Writes splats whose values were checked.
pub(crate) fn write(splats: &Splats, _: &WriteOptions, out: &mut dyn Write) -> Result<Written> {
    let n = splats.len();
    if u32::try_from(n).is_err() {
        return Err(Error::setting("splats", "at most 4294967295 Gaussians", n));
    }
    let order = morton_order(&splats.positions);
    let mut bounds = vec![[0.0f32; 18]; n.div_ceil(CHUNK)];
    let mut words = vec![[0u32; 4]; n];
    let mut packed = vec![Packed::default(); bounds.len()];
    let part = bounds.len().div_ceil(PARTS).max(1);
    let mut rows = RowsOfPart::new(splats, &order, part * CHUNK);
    let parts = words.chunks_mut(part * CHUNK).zip(bounds.chunks_mut(part)).zip(packed.chunks_mut(part));
    for (i, ((words, bounds), packed)) in parts.enumerate() {
        let rows = rows.side_by_side(i * part * CHUNK, words.len());
        let chunks = words.par_chunks_mut(CHUNK).zip(rows.par_chunks(CHUNK)).zip(bounds).zip(packed);
        chunks.with_min_len(16).for_each_init(Chunk::new, |chunk, (((words, rows), bounds), packed)| {
            *packed = chunk.pack(rows, words, bounds);
        });
    }
    drop(rows);
    let columns = kept(splats);
    let mut text = "ply\nformat binary_little_endian 1.0\n".to_owned();
    for line in comment_lines(splats) {
        let _ = writeln!(text, "comment {line}");
    }
    let _ = writeln!(text, "element chunk {}", bounds.len());
    BOUNDS.iter().for_each(|name| text += &format!("property float {name}\n"));
    let _ = writeln!(text, "element vertex {n}");
    WORDS.iter().for_each(|name| text += &format!("property uint {name}\n"));
    if !columns.is_empty() {
        let _ = writeln!(text, "element sh {n}");
        (0..columns.len()).for_each(|i| text += &format!("property uchar f_rest_{i}\n"));
    }
    text += "end_header\n";
    out.write_all(text.as_bytes()).map_err(stream)?;
    write_words(out, bounds.iter().flatten().map(|value| value.to_le_bytes()))?;
    write_words(out, words.iter().flatten().map(|word| word.to_le_bytes()))?;
    drop(words);
    let mut written = Written { count: n, keeps_order: false, ..Written::default() };
    let mut sums = [ErrorSum::default(); PROPERTIES.len()];
    for packed in &packed {
        sums.iter_mut().zip(packed.errors).for_each(|(sum, errors)| sum.join(errors));
    }
    PROPERTIES.iter().zip(sums).for_each(|(&name, sum)| written.add(name, sum));
    if !columns.is_empty() {
        let (bytes, errors) = quantise(&columns);
        write_rows(out, &bytes, columns.len(), &order)?;
        written.add("sh", errors);
    }
    if columns.len() < splats.rest.len() {
        let degree = splats.degree();
        written.dropped.push(format!("degree {degree} of the spherical harmonics: compressed PLY holds 3"));
    }
    let n_clamped: usize = packed.iter().map(|packed| packed.n_clamped).sum();
    if n_clamped > 0 {
        written.dropped.push(format!("logarithms of scales beyond −20 and 20: {n_clamped} are moved there"));
    }
    written.dropped.extend(splats.extras.iter().map(|extra| format!("column {}", extra.name)));
    written.dropped.extend(splats.element_words());
    Ok(written)
}

/// The columns of the degrees that the format holds.
fn kept(splats: &Splats) -> Vec<&[f32]> {
    let n = splats.rest.len();
    let of_channel = n.min(REST[3]) / 3;
    let channels = (0..3).flat_map(|channel| {
        let first = channel * (n / 3);
        &splats.rest[first..first + of_channel]
    });
    channels.map(|column| &column[..]).collect()
}

/// The 14 numbers of each Gaussian, position, scale, rotation, opacity and colour, of a part of the file.
struct RowsOfPart<'a> {
    columns: [&'a [f32]; 14],
    /// Where in the file a Gaussian stands.
    places: Vec<u32>,
    rows: Vec<[f32; 14]>,
}

impl<'a> RowsOfPart<'a> {
    fn new(splats: &'a Splats, order: &[u32], n_rows: usize) -> Self {
        let mut places = vec![0; order.len()];
        order.iter().zip(0..).for_each(|(&row, place)| places[row as usize] = place);
        let Splats { positions: [x, y, z], scales: [s0, s1, s2], rotations: [q0, q1, q2, q3], .. } = splats;
        let [red, green, blue] = &splats.dc;
        let columns =
            [x, y, z, s0, s1, s2, q0, q1, q2, q3, &splats.opacities, red, green, blue].map(Vec::as_slice);
        Self { columns, places, rows: vec![[0.0; 14]; n_rows.min(order.len())] }
    }

    /// The `n` rows from `first` of the file.
    fn side_by_side(&mut self, first: usize, n: usize) -> &[[f32; 14]] {
        for (row, &place) in self.places.iter().enumerate() {
            let at = (place as usize).wrapping_sub(first);
            if at < n {
                self.rows[at] = self.columns.map(|column| column[row]);
            }
        }
        &self.rows[..n]
    }
}

fn write_words(out: &mut dyn Write, words: impl Iterator<Item = [u8; 4]>) -> Result<()> {
    let mut buffer = Vec::with_capacity(1 << 18);
    for word in words {
        buffer.extend_from_slice(&word);
        if buffer.len() == buffer.capacity() {
            out.write_all(&buffer).map_err(stream)?;
            buffer.clear();
        }
    }
    out.write_all(&buffer).map_err(stream)
}

/// Writes rows of bytes in an order.
fn write_rows(out: &mut dyn Write, rows: &[u8], stride: usize, order: &[u32]) -> Result<()> {
    let mut buffer = vec![0; ROWS.min(order.len()) * stride];
    for order in order.chunks(ROWS) {
        for (to, &row) in buffer.chunks_exact_mut(stride).zip(order) {
            to.copy_from_slice(&rows[row as usize * stride..][..stride]);
        }
        out.write_all(&buffer[..order.len() * stride]).map_err(stream)?;
    }
    Ok(())
}
