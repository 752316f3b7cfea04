//! The strings of a coded picture, written and read by one code path.
//!
//! A prior walks through the latents in the order of decoding. For each string it knows the table of every symbol, and asks a [`Port`]
//! for the symbols: an encoder's port rounds them from the latents and codes them, a decoder's port decodes them. Both go on from the same
//! numbers, so that they cannot differ.
//!
//! In float arithmetic each string carries the CRC-32C of its rows' numbers, each as a little-endian u16, in the order of the symbols.
//! A decoder that finds other rows would read other symbols, and refuses. 0 says that there is no hash, as in a `.cai` file.

use std::collections::BTreeMap;

use crate::coder::{self, Decoder, Tables, scale_index};
use crate::container::{Coded, CodedString, Role};
use crate::{Error, Result};

/// The tables of a conditional Gaussian and the scale of each row.
#[derive(Debug)]
pub(super) struct Gaussian {
    pub(super) tables: Tables,
    pub(super) scales: Vec<f32>,
}

impl Gaussian {
    /// The row of each scale.
    ///
    /// # Errors
    /// For a scale that is not a number.
    pub(super) fn rows(&self, scales: &[f32]) -> Result<Vec<u16>> {
        check_finite("scales", scales)?;
        Ok(scales.iter().map(|&scale| scale_index(&self.scales, scale)).collect())
    }
}

/// One string as it was coded, for measurements and tests.
#[derive(Clone, Debug, PartialEq)]
pub struct StringTrace {
    /// What it holds.
    pub role: Role,
    /// The table row of each symbol.
    pub rows: Vec<u16>,
    /// The symbols.
    pub symbols: Vec<i32>,
    /// The latents.
    pub latents: Vec<f32>,
    /// Their means.
    pub means: Vec<f32>,
    /// The scale that each row follows from; none for an entropy bottleneck, and in integer arithmetic.
    pub scales: Vec<f32>,
}

/// Symbols of one string, and what is known of them.
#[derive(Clone, Copy, Debug)]
pub(super) struct Request<'a> {
    pub(super) role: Role,
    /// What the latents are, in errors.
    pub(super) what: &'static str,
    pub(super) tables: &'a Tables,
    pub(super) rows: &'a [u16],
    pub(super) scales: &'a [f32],
    /// Of the latents; as many as rows.
    pub(super) means: &'a [f32],
    /// The latents, where they are known.
    pub(super) latents: Option<&'a [f32]>,
    /// Whether all that the rows follow from was decoded.
    pub(super) is_known: bool,
}

/// What a [`Request`] is answered with.
#[derive(Debug)]
pub(super) struct Answer {
    pub(super) symbols: Vec<i32>,
    /// Whether they were decoded; else they are zeros.
    pub(super) is_known: bool,
}

/// The strings on the way out, or in.
#[derive(Debug)]
pub(super) enum Port<'a> {
    Out(Out),
    In(In<'a>),
}

/// Strings that are coded one after another.
#[derive(Debug, Default)]
pub(super) struct Out {
    pub(super) strings: Vec<CodedString>,
    /// What was coded, if it is wanted.
    pub(super) traces: Option<Vec<StringTrace>>,
    pub(super) hashes: bool,
}

/// Strings that are decoded, by role.
#[derive(Debug)]
pub(super) struct In<'a> {
    strings: BTreeMap<Role, &'a CodedString>,
    /// Roles that could not be decoded.
    pub(super) lost: Vec<Role>,
    accepts_loss: bool,
}

impl<'a> In<'a> {
    /// The strings of a picture of these roles. Where `whole` is given, those that it denies are passed over, and so is what depends on
    /// them; else every string is needed.
    pub(super) fn new(coded: &'a Coded, roles: &[Role], whole: Option<&[bool]>) -> Result<Self> {
        let mut strings = BTreeMap::new();
        for (i, string) in coded.strings.iter().enumerate() {
            if !roles.contains(&string.role) {
                let expected = format!("strings of the roles {roles:?}");
                return Err(Error::container("strings", expected, format!("{:?}", string.role)));
            }
            let is_whole = whole.is_none_or(|whole| whole.get(i).copied().unwrap_or(false));
            if is_whole && strings.insert(string.role, string).is_some() {
                let found = format!("{:?} twice", string.role);
                return Err(Error::container("strings", "each role once", found));
            }
        }
        Ok(Self { strings, lost: vec![], accepts_loss: whole.is_some() })
    }

    /// The string of a role, or nothing where its loss is accepted.
    fn string(&mut self, role: Role, is_known: bool) -> Result<Option<&'a CodedString>> {
        match self.strings.get(&role) {
            Some(&string) if is_known => Ok(Some(string)),
            _ if self.accepts_loss => {
                self.lost.push(role);
                Ok(None)
            }
            _ => Err(Error::container("strings", format!("one of the role {role:?}"), "none")),
        }
    }
}

/// The hash of rows, going on from `hash`.
fn hash(hash: u32, rows: &[u16]) -> u32 {
    let bytes: Vec<u8> = rows.iter().flat_map(|row| row.to_le_bytes()).collect();
    crc32c::crc32c_append(hash, &bytes)
}

fn check_hash(string: &CodedString, found: u32) -> Result<()> {
    if string.index_hash == 0 || string.index_hash == found {
        return Ok(());
    }
    let field = format!("index hash of {:?}", string.role);
    let expected = format!("{:#010x}, as the encoder found", string.index_hash);
    Err(Error::container(field, expected, format!("{found:#010x}: this machine computes other tables")))
}

/// The integer that a latent less its mean rounds to, halves to the even one.
fn symbol(what: &str, index: usize, difference: f32) -> Result<i32> {
    let rounded = difference.round_ties_even();
    // Below 2³¹ in magnitude; NaN is not.
    if rounded.abs() < 2_147_483_648.0 {
        Ok(rounded as i32)
    } else {
        let (what, value) = (format!("{what} less its mean"), f64::from(difference));
        if difference.is_finite() {
            let found = format!("{value} at index {index}");
            return Err(Error::coding(what, "magnitudes below 2³¹", found));
        }
        Err(grouping_core::Error::NotFinite { what, index, value }.into())
    }
}

/// # Errors
/// For the first value that is not finite.
pub(super) fn check_finite(what: &str, values: &[f32]) -> Result<()> {
    match values.iter().position(|v| !v.is_finite()) {
        Some(index) => {
            let value = f64::from(values[index]);
            Err(grouping_core::Error::NotFinite { what: what.into(), index, value }.into())
        }
        None => Ok(()),
    }
}

impl Port<'_> {
    /// The symbols of one string.
    ///
    /// # Errors
    /// For latents or means that are not finite, rows that are not the encoder's, and a string that is no stream of these rows.
    pub(super) fn symbols(&mut self, request: Request<'_>) -> Result<Answer> {
        let Request { role, what, tables, rows, scales, means, latents, is_known } = request;
        check_finite("means", means)?;
        match self {
            Port::Out(out) => {
                let latents = latents.expect("an encoder knows the latents");
                let differences = latents.iter().zip(means).map(|(y, mean)| y - mean).enumerate();
                let symbols = differences.map(|(i, d)| symbol(what, i, d)).collect::<Result<Vec<_>>>()?;
                let bytes = coder::encode(&symbols, rows, tables)?;
                let index_hash = if out.hashes { hash(0, rows) } else { 0 };
                out.strings.push(CodedString { role, bytes, index_hash });
                if let Some(traces) = &mut out.traces {
                    traces.push(StringTrace {
                        role,
                        rows: rows.to_vec(),
                        symbols: symbols.clone(),
                        latents: latents.to_vec(),
                        means: means.to_vec(),
                        scales: scales.to_vec(),
                    });
                }
                Ok(Answer { symbols, is_known: true })
            }
            Port::In(input) => {
                let Some(string) = input.string(role, is_known)? else {
                    return Ok(Answer { symbols: vec![0; rows.len()], is_known: false });
                };
                check_hash(string, hash(0, rows))?;
                Ok(Answer { symbols: coder::decode(&string.bytes, rows, tables)?, is_known: true })
            }
        }
    }

    /// Starts a string whose next rows follow from symbols of its own. Nothing where the string is lost.
    pub(super) fn serial<'b>(&'b mut self, role: Role, is_known: bool) -> Result<Option<SerialPort<'b>>> {
        match self {
            Port::Out(out) => Ok(Some(SerialPort::Out {
                out,
                trace: StringTrace {
                    role,
                    rows: vec![],
                    symbols: vec![],
                    latents: vec![],
                    means: vec![],
                    scales: vec![],
                },
            })),
            Port::In(input) => match input.string(role, is_known)? {
                Some(string) => {
                    Ok(Some(SerialPort::In { string, decoder: Decoder::new(&string.bytes)?, hash: 0 }))
                }
                None => Ok(None),
            },
        }
    }
}

/// A string whose symbols are exchanged step by step.
#[derive(Debug)]
pub(super) enum SerialPort<'a> {
    Out { out: &'a mut Out, trace: StringTrace },
    In { string: &'a CodedString, decoder: Decoder<'a>, hash: u32 },
}

impl SerialPort<'_> {
    /// The next symbols, one a row: an encoder's of `latent(i)` less its mean.
    ///
    /// # Errors
    /// As [`Port::symbols`].
    pub(super) fn next(
        &mut self,
        gaussian: &Gaussian,
        scales: &[f32],
        means: &[f32],
        latent: impl Fn(usize) -> f32,
        symbols: &mut [i32],
    ) -> Result<()> {
        check_finite("means", means)?;
        let rows = gaussian.rows(scales)?;
        match self {
            Self::Out { trace, .. } => {
                for (i, (to, mean)) in symbols.iter_mut().zip(means).enumerate() {
                    *to = symbol("y", i, latent(i) - mean)?;
                }
                trace.rows.extend_from_slice(&rows);
                trace.symbols.extend_from_slice(symbols);
                trace.latents.extend((0..symbols.len()).map(latent));
                trace.means.extend_from_slice(means);
                trace.scales.extend_from_slice(scales);
                Ok(())
            }
            Self::In { decoder, hash: seen, .. } => {
                *seen = hash(*seen, &rows);
                decoder.next(&rows, &gaussian.tables, symbols)
            }
        }
    }

    /// Ends the string.
    ///
    /// # Errors
    /// As [`Port::symbols`].
    pub(super) fn finish(self, gaussian: &Gaussian) -> Result<()> {
        match self {
            Self::Out { out, trace } => {
                let bytes = coder::encode(&trace.symbols, &trace.rows, &gaussian.tables)?;
                let index_hash = if out.hashes { hash(0, &trace.rows) } else { 0 };
                out.strings.push(CodedString { role: trace.role, bytes, index_hash });
                if let Some(traces) = &mut out.traces {
                    traces.push(trace);
                }
                Ok(())
            }
            Self::In { string, decoder, hash } => {
                check_hash(string, hash)?;
                decoder.finish()
            }
        }
    }
}
