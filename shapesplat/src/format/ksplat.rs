//! `.ksplat` of mkkellogg's GaussianSplats3D: sections of buckets of Gaussians, read only.
//!
//! A header of 4,096 bytes, a header of 1,024 bytes a section, then the sections: lengths of the partly filled buckets (`u32`), centres of
//! the buckets (three `f32`), rows. The rows of the full buckets come first, then those of the partly filled.
//!
//! | level | position | scale | rotation w x y z | colour and alpha | coefficients |
//! |---|---|---|---|---|---|
//! | 0 | `f32` | `f32` | `f32` | `u8` | `f32` |
//! | 1 | `u16` in the bucket | `f16` | `f16` | `u8` | `f16` |
//! | 2 | `u16` in the bucket | `f16` | `f16` | `u8` | `u8` between the header's bounds |
//!
//! Scales are linear; coefficients are those of degree 1, red then green then blue, then those of degree 2 alike. Degrees 0 to 2.

use std::path::Path;

use half::f16;

use super::activation::{ALPHA_MARGIN, dc, logit};
use super::dot_splat::log_scale;
use crate::{Error, Result, Splats};

const HEADER: usize = 4096;
const SECTION_HEADER: usize = 1024;
/// Bytes of a bucket's centre.
const CENTRE: u64 = 12;
/// Coefficients of the degrees 0 to 2.
const COEFFICIENTS: [usize; 3] = [0, 9, 24];
/// The bounds of coefficients of level 2 where the header has none.
const BOUND: f32 = 1.5;

/// Whether a file begins as one: version 0.1 or later of 0, and one of the three levels. The format has no magic number.
pub(super) fn is_one(start: &[u8]) -> bool {
    start.len() >= HEADER
        && start[0] == 0
        && start[1] >= 1
        && start[2..4] == [0, 0]
        && start[21] == 0
        && start[20] <= 2
}

/// Reads a `.ksplat`.
///
/// # Errors
/// A file that is truncated, another version or level, sections or buckets that do not fit, and no Gaussian at all.
pub(crate) fn read(bytes: &[u8], path: &Path) -> Result<Splats> {
    let header = Header::of(bytes, path)?;
    let sections = header.sections(bytes, path)?;
    let n: u64 = sections.iter().map(|section| section.n as u64).sum();
    if n != header.n || n == 0 {
        let expected = format!("{} Gaussians in the sections, and at least one", header.n);
        return Err(Error::format(path, "sections", expected, n));
    }
    let n_coefficients = sections.iter().map(|section| section.n_coefficients).max().unwrap_or(0);
    let mut splats =
        Splats { rest: vec![Vec::with_capacity(n as usize); n_coefficients], ..Splats::default() };
    for section in &sections {
        section.read(&header, &mut splats, path)?;
    }
    Ok(splats)
}

fn u16_at(bytes: &[u8], at: usize) -> u16 {
    u16::from_le_bytes([bytes[at], bytes[at + 1]])
}

fn u32_at(bytes: &[u8], at: usize) -> u32 {
    u32::from_le_bytes([bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3]])
}

fn f32_at(bytes: &[u8], at: usize) -> f32 {
    f32::from_bits(u32_at(bytes, at))
}

fn f16_at(bytes: &[u8], at: usize) -> f32 {
    f16::from_bits(u16_at(bytes, at)).to_f32()
}

struct Header {
    n: u64,
    n_sections: usize,
    level: u16,
    bounds: [f32; 2],
}

impl Header {
    fn of(bytes: &[u8], path: &Path) -> Result<Self> {
        if bytes.len() < HEADER {
            return Err(Error::format(path, "header", "4096 bytes", bytes.len()));
        }
        let (major, minor, level) = (bytes[0], bytes[1], u16_at(bytes, 20));
        if major != 0 || minor < 1 {
            return Err(Error::format(path, "version", "0.1 or later of 0", format!("{major}.{minor}")));
        }
        if level > 2 {
            return Err(Error::format(path, "compression level", "0, 1 or 2", level));
        }
        let n_sections = u32_at(bytes, 4);
        if u64::from(n_sections) > ((bytes.len() - HEADER) / SECTION_HEADER) as u64 {
            let expected = format!("headers of sections before the end at {}", bytes.len());
            return Err(Error::format(path, "sections", expected, n_sections));
        }
        let or = |value: f32, otherwise: f32| if value == 0.0 { otherwise } else { value };
        Ok(Self {
            n: u32_at(bytes, 16).into(),
            n_sections: n_sections as usize,
            level,
            bounds: [or(f32_at(bytes, 36), -BOUND), or(f32_at(bytes, 40), BOUND)],
        })
    }

    /// Bytes of a value of positions and scales, of a quaternion's part, and of a coefficient.
    fn value_bytes(&self) -> usize {
        if self.level == 0 { 4 } else { 2 }
    }

    fn coefficient_bytes(&self) -> usize {
        [4, 2, 1][usize::from(self.level)]
    }

    fn row_bytes(&self, n_coefficients: usize) -> usize {
        10 * self.value_bytes() + 4 + n_coefficients * self.coefficient_bytes()
    }

    fn sections<'a>(&self, bytes: &'a [u8], path: &Path) -> Result<Vec<Section<'a>>> {
        let mut data = bytes.get(HEADER + self.n_sections * SECTION_HEADER..).unwrap_or(&[]);
        let headers = bytes[HEADER..].chunks_exact(SECTION_HEADER).take(self.n_sections);
        headers.enumerate().map(|(i, header)| Section::take(self, header, &mut data, i, path)).collect()
    }

    fn coefficient(&self, row: &[u8], i: usize) -> f32 {
        let at = 10 * self.value_bytes() + 4 + i * self.coefficient_bytes();
        let [least, greatest] = self.bounds;
        match self.level {
            0 => f32_at(row, at),
            1 => f16_at(row, at),
            _ => least + f32::from(row[at]) / 255.0 * (greatest - least),
        }
    }
}

struct Section<'a> {
    index: usize,
    n: usize,
    n_coefficients: usize,
    row_bytes: usize,
    bucket_size: usize,
    n_full: usize,
    /// Lengths of the buckets after the full ones, `u32` each.
    partial: &'a [u8],
    centres: &'a [u8],
    rows: &'a [u8],
    /// The middle of the range of `u16`, and the length of a step.
    zero: u32,
    step: f64,
}

impl<'a> Section<'a> {
    /// Takes the bytes of the section from the front of `data`.
    fn take(header: &Header, section: &[u8], data: &mut &'a [u8], index: usize, path: &Path) -> Result<Self> {
        let field = |name: &str| format!("section {index}: {name}");
        let (n, room) = (u32_at(section, 0), u32_at(section, 4));
        if n > room {
            return Err(Error::format(path, field("count"), format!("at most its room for {room}"), n));
        }
        let degree = u16_at(section, 40);
        let Some(&n_coefficients) = COEFFICIENTS.get(usize::from(degree)) else {
            return Err(Error::format(path, field("degree"), "spherical harmonics of degree 0 to 2", degree));
        };
        let (n_buckets, stored) = (u64::from(u32_at(section, 12)), u64::from(u16_at(section, 20)));
        if n_buckets > 0 && stored != CENTRE {
            return Err(Error::format(path, field("bytes of a bucket"), "12", stored));
        }
        let row_bytes = header.row_bytes(n_coefficients);
        let mut part = |name: &str, bytes: u64| {
            let split = usize::try_from(bytes).ok().and_then(|bytes| data.split_at_checked(bytes));
            let Some((part, rest)) = split else {
                let expected = format!("{bytes} bytes");
                return Err(Error::format(
                    path,
                    field(name),
                    expected,
                    format!("{} before the end", data.len()),
                ));
            };
            *data = rest;
            Ok(part)
        };
        let partial = part("lengths of partly filled buckets", 4 * u64::from(u32_at(section, 36)))?;
        let centres = part("centres of buckets", CENTRE * n_buckets)?;
        let rows = part("rows", row_bytes as u64 * u64::from(room))?;
        let zero = match u32_at(section, 24) {
            0 => 32_767,
            range => range,
        };
        Ok(Self {
            index,
            n: n as usize,
            n_coefficients,
            row_bytes,
            bucket_size: u32_at(section, 8) as usize,
            n_full: u32_at(section, 32) as usize,
            partial,
            centres,
            rows,
            zero,
            step: f64::from(f32_at(section, 16)) / 2.0 / f64::from(zero),
        })
    }

    /// The lengths of the buckets, the full ones first.
    fn lengths(&self) -> impl Iterator<Item = usize> {
        let partial = self.partial.chunks_exact(4).map(|length| u32_at(length, 0) as usize);
        std::iter::repeat_n(self.bucket_size, self.n_full).chain(partial)
    }

    fn read(&self, header: &Header, splats: &mut Splats, path: &Path) -> Result<()> {
        let mut rows = self.rows.chunks_exact(self.row_bytes).take(self.n);
        if header.level == 0 {
            rows.for_each(|row| self.push(header, row, [0.0; 3], splats));
            return Ok(());
        }
        for (centre, length) in self.centres.chunks_exact(CENTRE as usize).zip(self.lengths()) {
            let centre = [0, 4, 8].map(|at| f64::from(f32_at(centre, at)));
            rows.by_ref().take(length).for_each(|row| self.push(header, row, centre, splats));
        }
        match rows.count() {
            0 => Ok(()),
            left => {
                let field = format!("section {}: buckets", self.index);
                Err(Error::format(path, field, format!("room for {} Gaussians", self.n), self.n - left))
            }
        }
    }

    fn push(&self, header: &Header, row: &[u8], centre: [f64; 3], splats: &mut Splats) {
        let width = header.value_bytes();
        let value = |i: usize| if header.level == 0 { f32_at(row, 4 * i) } else { f16_at(row, 2 * i) };
        for (axis, centre) in centre.into_iter().enumerate() {
            splats.positions[axis].push(match header.level {
                0 => value(axis),
                _ => {
                    let steps = f64::from(u16_at(row, 2 * axis)) - f64::from(self.zero);
                    (steps * self.step + centre) as f32
                }
            });
            splats.scales[axis].push(log_scale(value(3 + axis)));
        }
        for part in 0..4 {
            splats.rotations[part].push(value(6 + part));
        }
        let colour = &row[10 * width..10 * width + 4];
        for (channel, &byte) in splats.dc.iter_mut().zip(colour) {
            channel.push(dc(f64::from(byte) / 255.0) as f32);
        }
        splats.opacities.push(logit(f64::from(colour[3]) / 255.0, ALPHA_MARGIN));
        let (kept, own) = (splats.rest.len() / 3, self.n_coefficients / 3);
        for channel in 0..3 {
            for k in 0..kept {
                // The three of degree 1 of each channel, then the five of degree 2.
                let at = if k < 3 { 3 * channel + k } else { 9 + 5 * channel + k - 3 };
                let value = if k < own { header.coefficient(row, at) } else { 0.0 };
                splats.rest[channel * kept + k].push(value);
            }
        }
    }
}
