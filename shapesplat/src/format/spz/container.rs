//! The container of a `.spz`: headers, the gzip stream of versions 1 to 3, and the zstd streams of version 4.
//!
//! No byte of a header is believed beyond what the file can hold: the number of Gaussians is bounded by the length of the file, streams
//! are unpacked to their length and no further, and columns are made once their bytes are there.

use std::io::{Read, Write};
use std::path::Path;

use flate2::Compression;
use flate2::read::MultiGzDecoder;
use flate2::write::GzEncoder;
use rayon::prelude::*;

use super::super::bounds::{COMPRESSED, plausible};
use super::super::{blocks, stream};
use super::extension::Frame;
use super::pack::{Column, Packer, Totals};
use super::unpack::unpack;
use crate::{Error, Result, Splats};

const MAGIC: [u8; 4] = *b"NGSP";
const GZIP: [u8; 2] = [0x1f, 0x8b];
const ANTIALIASED: u8 = 1;
const EXTENSIONS: u8 = 2;
/// Bytes of the header of versions 1 to 3, which is also the start of version 4's.
const SHORT: usize = 16;
const LONG: usize = 32;
/// Bytes of an entry of the table of contents.
const ENTRY: usize = 16;
/// Bytes that may follow the columns of versions 1 to 3.
const TRAILER: u64 = 1 << 20;
/// The level of zstd. Niantic's writer takes 12, seven times as long for files that are at most a percent shorter.
const ZSTD_LEVEL: i32 = 6;

/// What a header says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Header {
    pub(super) version: u32,
    pub(super) n: u32,
    pub(super) degree: u8,
    pub(super) fractional_bits: u8,
    pub(super) antialiased: bool,
}

impl Header {
    /// The first 16 bytes, of which the last is the number of streams.
    fn start(&self, n_streams: u8) -> [u8; SHORT] {
        let mut bytes = [0; SHORT];
        bytes[..4].copy_from_slice(&MAGIC);
        bytes[4..8].copy_from_slice(&self.version.to_le_bytes());
        bytes[8..12].copy_from_slice(&self.n.to_le_bytes());
        bytes[12..].copy_from_slice(&[
            self.degree,
            self.fractional_bits,
            u8::from(self.antialiased),
            n_streams,
        ]);
        bytes
    }

    fn of(
        bytes: &[u8; SHORT],
        versions: std::ops::RangeInclusive<u32>,
        file_len: usize,
        path: &Path,
    ) -> Result<Self> {
        let number = |at: usize| u32::from_le_bytes([bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3]]);
        let refuse =
            |field: &str, expected: &str, found: u32| Err(Error::format(path, field, expected, found));
        if bytes[..4] != MAGIC {
            return Err(Error::format(path, "magic", "`NGSP`", bytes[..4].escape_ascii()));
        }
        let (version, n, [degree, fractional_bits, flags, _]) =
            (number(4), number(8), [bytes[12], bytes[13], bytes[14], bytes[15]]);
        if !versions.contains(&version) {
            let expected = format!("a version from {} to {}", versions.start(), versions.end());
            return refuse("version", &expected, version);
        }
        if degree > 4 {
            return refuse("degree", "spherical harmonics of degree 0 to 4", degree.into());
        }
        if fractional_bits > 24 {
            return refuse("fractional bits", "at most 24", fractional_bits.into());
        }
        plausible(path, "count", u64::from(n), file_len, COMPRESSED)?;
        Ok(Self { version, n, degree, fractional_bits, antialiased: flags & ANTIALIASED != 0 })
    }

    fn bytes_of(&self, column: Column) -> usize {
        self.n as usize * column.row_bytes(self.version, self.degree.into())
    }

    fn unpack(&self, column: Column, bytes: &[u8], splats: &mut Splats) {
        unpack(column, self.version, self.fractional_bits.into(), bytes, self.n as usize, splats);
    }

    fn empty(&self) -> Splats {
        Splats { antialiased: Some(self.antialiased), ..Splats::default() }
    }
}

/// Reads a file of any version.
pub(super) fn read(bytes: &[u8], path: &Path, notes: &mut Vec<String>) -> Result<Splats> {
    if bytes.starts_with(&GZIP) {
        return read_columns(&mut MultiGzDecoder::new(bytes), bytes.len(), path, notes);
    }
    match bytes.get(4..8) {
        // A file before version 4 whose gzip stream was undone.
        Some([1..=3, 0, 0, 0]) if bytes.starts_with(&MAGIC) => {
            read_columns(&mut &bytes[..], bytes.len(), path, notes)
        }
        _ => read_streams(bytes, path, notes),
    }
}

/// Reads versions 1 to 3, whose bytes `source` gives.
fn read_columns(
    source: &mut dyn Read,
    file_len: usize,
    path: &Path,
    notes: &mut Vec<String>,
) -> Result<Splats> {
    let start = take(source, SHORT, "header", path)?;
    let start = start.as_slice().try_into().expect("as many bytes as were asked for");
    let header = Header::of(start, 1..=3, file_len, path)?;
    let mut splats = header.empty();
    for column in Column::ALL {
        let bytes = take(source, header.bytes_of(column), column.name(), path)?;
        header.unpack(column, &bytes, &mut splats);
    }
    // To the end, where gzip's checksum is.
    let mut trailer = Vec::new();
    Read::take(&mut *source, TRAILER + 1).read_to_end(&mut trailer).map_err(|e| damaged(path, "end", &e))?;
    if trailer.len() as u64 > TRAILER {
        return Err(Error::format(
            path,
            "length",
            "an end after the columns",
            "a mebibyte and more after them",
        ));
    }
    if start[14] & EXTENSIONS != 0 {
        Frame::of(&trailer, false, path, notes)?.leave(&mut splats);
    }
    Ok(splats)
}

/// Takes `length` bytes, and memory only for those that there are.
fn take(source: &mut dyn Read, length: usize, field: &str, path: &Path) -> Result<Vec<u8>> {
    let mut bytes = Vec::new();
    Read::take(source, length as u64).read_to_end(&mut bytes).map_err(|e| damaged(path, field, &e))?;
    if bytes.len() == length {
        Ok(bytes)
    } else {
        Err(Error::format(path, field, format!("{length} bytes"), format!("{} before the end", bytes.len())))
    }
}

fn damaged(path: &Path, field: &str, error: &std::io::Error) -> Error {
    Error::format(path, field, "a whole compressed stream", error)
}

/// Reads version 4.
fn read_streams(bytes: &[u8], path: &Path, notes: &mut Vec<String>) -> Result<Splats> {
    let short = |field: &str, expected: usize| {
        Error::format(path, field, format!("a file of at least {expected} bytes"), bytes.len())
    };
    let start = bytes.first_chunk::<SHORT>().ok_or_else(|| short("header", LONG))?;
    let header = Header::of(start, 4..=4, bytes.len(), path)?;
    let long = bytes.first_chunk::<LONG>().ok_or_else(|| short("header", LONG))?;
    let columns: Vec<Column> =
        Column::ALL.into_iter().filter(|&column| header.bytes_of(column) > 0).collect();
    if usize::from(long[15]) != columns.len() {
        let expected = format!("{}, as of degree {}", columns.len(), header.degree);
        return Err(Error::format(path, "number of streams", expected, long[15]));
    }
    let table_at = u32::from_le_bytes([long[16], long[17], long[18], long[19]]) as usize;
    let table =
        table_at.checked_add(columns.len() * ENTRY).and_then(|end| bytes.get(table_at.max(LONG)..end));
    let Some(table) = table.filter(|_| table_at >= LONG) else {
        let expected = format!("an offset from {LONG} on, with the table before the end at {}", bytes.len());
        return Err(Error::format(path, "offset of the table of contents", expected, table_at));
    };
    let mut streams = Vec::with_capacity(columns.len());
    let mut rest = &bytes[table_at + table.len()..];
    for (&column, entry) in columns.iter().zip(table.chunks_exact(ENTRY)) {
        let number = |half: usize| {
            entry[8 * half..].first_chunk().map_or(u64::MAX, |number| u64::from_le_bytes(*number))
        };
        let (packed, unpacked) = (number(0), number(1));
        if unpacked != header.bytes_of(column) as u64 {
            let expected = format!("{} bytes for {} Gaussians", header.bytes_of(column), header.n);
            return Err(Error::format(path, column.name(), expected, unpacked));
        }
        let stream = usize::try_from(packed).ok().and_then(|length| rest.split_at_checked(length));
        let Some((stream, after)) = stream else {
            let expected = format!("a stream of at most the {} bytes that are left", rest.len());
            return Err(Error::format(path, column.name(), expected, packed));
        };
        streams.push((column, stream));
        rest = after;
    }
    let frame = if long[14] & EXTENSIONS == 0 {
        Frame::default()
    } else {
        Frame::of(&bytes[LONG..table_at], true, path, notes)?
    };
    let parts: Vec<Splats> = streams
        .into_par_iter()
        .map(|(column, stream)| {
            let length = header.bytes_of(column);
            let bytes =
                zstd::bulk::decompress(stream, length).map_err(|e| damaged(path, column.name(), &e))?;
            if bytes.len() != length {
                return Err(Error::format(path, column.name(), format!("{length} bytes"), bytes.len()));
            }
            let mut part = Splats::default();
            header.unpack(column, &bytes, &mut part);
            Ok(part)
        })
        .collect::<Result<_>>()?;
    let mut splats = header.empty();
    for (column, part) in columns.into_iter().zip(parts) {
        match column {
            Column::Positions => splats.positions = part.positions,
            Column::Alphas => splats.opacities = part.opacities,
            Column::Colours => splats.dc = part.dc,
            Column::Scales => splats.scales = part.scales,
            Column::Rotations => splats.rotations = part.rotations,
            Column::Coefficients => splats.rest = part.rest,
        }
    }
    frame.leave(&mut splats);
    Ok(splats)
}

/// Writes a file of the header's version.
pub(super) fn write(header: &Header, packer: &Packer, out: &mut dyn Write) -> Result<Totals> {
    if header.version == 4 { write_streams(header, packer, out) } else { write_columns(header, packer, out) }
}

fn write_columns(header: &Header, packer: &Packer, out: &mut dyn Write) -> Result<Totals> {
    let mut totals = Totals::default();
    let mut gzip = GzEncoder::new(out, Compression::default());
    gzip.write_all(&header.start(0)).map_err(stream)?;
    for column in Column::ALL {
        totals.join(pack(packer, column, &mut gzip)?);
    }
    gzip.finish().map_err(stream)?;
    Ok(totals)
}

fn write_streams(header: &Header, packer: &Packer, out: &mut dyn Write) -> Result<Totals> {
    let columns: Vec<Column> =
        Column::ALL.into_iter().filter(|&column| header.bytes_of(column) > 0).collect();
    let streams: Vec<(Vec<u8>, Totals)> = columns
        .par_iter()
        .map(|&column| {
            let mut zstd = zstd::Encoder::new(Vec::new(), ZSTD_LEVEL).map_err(stream)?;
            zstd.set_pledged_src_size(Some(header.bytes_of(column) as u64)).map_err(stream)?;
            let totals = pack(packer, column, &mut zstd)?;
            Ok((zstd.finish().map_err(stream)?, totals))
        })
        .collect::<Result<_>>()?;
    let mut table = header.start(columns.len() as u8).to_vec();
    table.extend((LONG as u32).to_le_bytes());
    table.resize(LONG, 0);
    for (&column, (bytes, _)) in columns.iter().zip(&streams) {
        table.extend((bytes.len() as u64).to_le_bytes());
        table.extend((header.bytes_of(column) as u64).to_le_bytes());
    }
    out.write_all(&table).map_err(stream)?;
    let mut totals = Totals::default();
    for (bytes, part) in streams {
        out.write_all(&bytes).map_err(stream)?;
        totals.join(part);
    }
    Ok(totals)
}

/// Writes a column and sums its errors.
fn pack(packer: &Packer, column: Column, out: &mut dyn Write) -> Result<Totals> {
    let mut totals = Totals::default();
    blocks::encode(
        packer.splats.len(),
        |rows| packer.pack(column, rows),
        |(bytes, part)| {
            totals.join(part);
            out.write_all(&bytes).map_err(stream)
        },
    )?;
    Ok(totals)
}
