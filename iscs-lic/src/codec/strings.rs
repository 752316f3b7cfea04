//! The strings of a coded picture, written and read by one code path.
//!
//! A prior walks through the latents in the order of decoding. For each string it knows the table of every symbol, and asks a [`Port`]
//! for the symbols: an encoder's port rounds them from the latents and codes them, a decoder's port decodes them. Both go on from the same
//! numbers, so that they cannot differ.
//!
//! In float arithmetic each string carries the [hash](index_hash) of its rows' numbers, in the order of the symbols. A decoder that finds
//! other rows would read other symbols, and refuses. 0 says that there is no hash, as in a `.cai` file.

use std::collections::BTreeMap;

use crate::coder::{self, Decoder, Tables, scale_index};
use crate::container::{Coded, CodedString, IndexHash, Role, index_hash};
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

/// The numbers that symbols come from, where there are any; for traces.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Numbers<'a> {
    pub(super) latents: &'a [f32],
    pub(super) means: &'a [f32],
    pub(super) scales: &'a [f32],
}

/// One string, as far as its symbols are not needed to know it.
#[derive(Debug)]
pub(super) struct Request<'a> {
    pub(super) role: Role,
    pub(super) tables: &'a Tables,
    /// The table row of each symbol.
    pub(super) rows: &'a [u16],
    /// An encoder's symbols.
    pub(super) symbols: Option<Vec<i32>>,
    pub(super) numbers: Numbers<'a>,
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

impl StringTrace {
    fn new(role: Role) -> Self {
        Self { role, rows: vec![], symbols: vec![], latents: vec![], means: vec![], scales: vec![] }
    }

    fn add(&mut self, Numbers { latents, means, scales }: Numbers<'_>) {
        self.latents.extend_from_slice(latents);
        self.means.extend_from_slice(means);
        self.scales.extend_from_slice(scales);
    }
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
    /// The string that was begun.
    pub(super) open: Option<StringTrace>,
}

impl Out {
    /// Codes a string.
    fn put(
        &mut self,
        role: Role,
        tables: &Tables,
        rows: &[u16],
        symbols: &[i32],
        numbers: Numbers<'_>,
    ) -> Result<()> {
        let bytes = coder::encode(symbols, rows, tables)?;
        let index_hash = if self.hashes { index_hash(rows) } else { 0 };
        self.strings.push(CodedString { role, bytes, index_hash });
        if let Some(traces) = &mut self.traces {
            let mut trace = StringTrace::new(role);
            (trace.rows, trace.symbols) = (rows.to_vec(), symbols.to_vec());
            trace.add(numbers);
            traces.push(trace);
        }
        Ok(())
    }
}

/// Strings that are decoded, by role.
#[derive(Debug)]
pub(super) struct In<'a> {
    strings: BTreeMap<Role, &'a CodedString>,
    /// Roles that could not be decoded.
    pub(super) lost: Vec<Role>,
    accepts_loss: bool,
    /// The string that was begun.
    open: Option<Reading<'a>>,
}

/// A string that is decoded step by step.
#[derive(Debug)]
struct Reading<'a> {
    string: &'a CodedString,
    decoder: Decoder<'a>,
    /// Of the rows so far.
    hash: IndexHash,
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
        Ok(Self { strings, lost: vec![], accepts_loss: whole.is_some(), open: None })
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

fn check_hash(string: &CodedString, found: u32) -> Result<()> {
    if string.index_hash == 0 || string.index_hash == found {
        return Ok(());
    }
    let field = format!("index hash of {:?}", string.role);
    let expected = format!("{:#010x}, as the encoder found", string.index_hash);
    Err(Error::container(field, expected, format!("{found:#010x}: this machine computes other tables")))
}

/// The integers that latents less their means round to, halves to the even one.
///
/// # Errors
/// For a difference that is not finite, or of 2³¹ and more.
pub(super) fn rounded(what: &str, latents: impl Iterator<Item = f32>, means: &[f32]) -> Result<Vec<i32>> {
    let symbol = |(index, (latent, mean)): (usize, (f32, &f32))| {
        let difference = latent - mean;
        let rounded = difference.round_ties_even();
        // NaN is not below either.
        if rounded.abs() < 2_147_483_648.0 {
            return Ok(rounded as i32);
        }
        let (what, value) = (format!("{what} less its mean"), f64::from(difference));
        if difference.is_finite() {
            let found = format!("{value} at index {index}");
            return Err(Error::coding(what, "magnitudes below 2³¹", found));
        }
        Err(grouping_core::Error::NotFinite { what, index, value }.into())
    };
    latents.zip(means).enumerate().map(symbol).collect()
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
    /// Whether what is coded is kept for measurements and tests.
    pub(super) fn is_traced(&self) -> bool {
        matches!(self, Port::Out(Out { traces: Some(_), .. }))
    }

    /// The symbols of one string.
    ///
    /// # Errors
    /// For rows that are not the encoder's, and a string that is no stream of these rows.
    pub(super) fn symbols(&mut self, request: Request<'_>) -> Result<Answer> {
        let Request { role, tables, rows, symbols, numbers, is_known } = request;
        match self {
            Port::Out(out) => {
                let symbols = symbols.expect("an encoder knows the symbols");
                out.put(role, tables, rows, &symbols, numbers)?;
                Ok(Answer { symbols, is_known: true })
            }
            Port::In(input) => {
                let Some(string) = input.string(role, is_known)? else {
                    return Ok(Answer { symbols: vec![0; rows.len()], is_known: false });
                };
                check_hash(string, index_hash(rows))?;
                Ok(Answer { symbols: coder::decode(&string.bytes, rows, tables)?, is_known: true })
            }
        }
    }

    /// Begins a string whose next rows follow from symbols of its own; `false` where it is lost.
    ///
    /// # Errors
    /// For a string that is missing, or no stream.
    pub(super) fn begin(&mut self, role: Role, is_known: bool) -> Result<bool> {
        match self {
            Port::Out(out) => out.open = Some(StringTrace::new(role)),
            Port::In(input) => match input.string(role, is_known)? {
                Some(string) => {
                    input.open = Some(Reading {
                        string,
                        decoder: Decoder::new(&string.bytes)?,
                        hash: IndexHash::new(),
                    });
                }
                None => return Ok(false),
            },
        }
        Ok(true)
    }

    /// The next symbols of the string that was begun, one a row: an encoder's are in `symbols`, a decoder's are written there.
    ///
    /// # Errors
    /// As [`Port::symbols`].
    pub(super) fn next(
        &mut self,
        tables: &Tables,
        rows: &[u16],
        symbols: &mut [i32],
        numbers: Numbers<'_>,
    ) -> Result<()> {
        match self {
            Port::Out(out) => {
                let trace = out.open.as_mut().expect("a string was begun");
                trace.rows.extend_from_slice(rows);
                trace.symbols.extend_from_slice(symbols);
                if out.traces.is_some() {
                    trace.add(numbers);
                }
                Ok(())
            }
            Port::In(input) => {
                let reading = input.open.as_mut().expect("a string was begun");
                reading.hash.update(rows);
                reading.decoder.next(rows, tables, symbols)
            }
        }
    }

    /// Ends the string that was begun.
    ///
    /// # Errors
    /// As [`Port::symbols`].
    pub(super) fn end(&mut self, tables: &Tables) -> Result<()> {
        match self {
            Port::Out(out) => {
                let trace = out.open.take().expect("a string was begun");
                let StringTrace { role, rows, symbols, latents, means, scales } = &trace;
                out.put(*role, tables, rows, symbols, Numbers { latents, means, scales })
            }
            Port::In(input) => {
                let Reading { string, decoder, hash } = input.open.take().expect("a string was begun");
                check_hash(string, hash.finish())?;
                decoder.finish()
            }
        }
    }
}
