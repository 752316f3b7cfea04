//! A check of this machine: ten pictures through the integer codec, against digests that are the same everywhere.
//!
//! Each picture is made by integer arithmetic, analysed, coded, decoded and synthesised with the model that comes with this crate. The digests are
//! SHA-256: of the symbols, z then y, each `[channels, height, width]`, as little-endian `i32`; and of the decoded picture's bytes
//! `[height, width, 3]`.

use sha2::{Digest as _, Sha256};

use super::analysis::{Analysis, Latents, symbol};
use super::kernel::Form;
use super::prior::{Ask, Prior, Symbols};
use super::synthesis::Synthesis;
use crate::checkpoint::Checkpoint;
use crate::coder::{self, Tables};
use crate::container::Role;
use crate::{Error, Result};

/// Width, height, and the digests of symbols and picture.
type Expected = (usize, usize, &'static str, &'static str);

/// By `oracles/iscs-lic/fixed.py`, another implementation of the format.
const EXPECTED: [Expected; 10] = [
    (
        1,
        1,
        "a5b4e04d8f007ee3b4c3758c2babdb7bd08dd2e52f29ddf757a2edb657103238",
        "680e571a2b73a5c4ad39c70bf2d61b2c0e90e9537ec353fc0dcaf7819ca68b85",
    ),
    (
        16,
        16,
        "cb9be3691aca93faeffe20cdfe917991349f5ede656ebb2ae3008735cba15816",
        "5d677a0154b397c6080765c94482e2bcedc2dd9a49edd4a6ea0f54bbcac7cacf",
    ),
    (
        17,
        31,
        "4999752dfbdef3399fe4f2f64c86b3b37b281353c3654ef3a507e6b161f96740",
        "7f41094df4a39d7a4b5a61cbfbacd2f17751be6d20fb3f8d54cd55861c99a6ea",
    ),
    (
        64,
        64,
        "00e8b787b11159fc76654bcfd05afc6f330cd551aee6b425e36a934b4dd5f385",
        "0c36e4e00f015856f2bfeb74c0c1d18c3f4655d32208d7b32c632465723ed4bb",
    ),
    (
        65,
        97,
        "55ef5df83b9c85c66e981262649014fbb1a74689f11b799a48a3523fe8773c3a",
        "8bb74cf98f59f98f2b72e34a7f9105d299da10d4f360fdf3a5833e4caa9d0713",
    ),
    (
        33,
        1,
        "405ca0ddeeef09a2c38db29654f532ca0a9edd4a4f9460205f714078acdb8e86",
        "bd2fb9ba0d472a57e6a935ca3648a8750979eca2bce2a3938a19444535002cc5",
    ),
    (
        1,
        70,
        "63a10fbe7befe11e6343eba49ce952b7bf3ca4b17e0c80f43caf87e341dc19b0",
        "72679f6222460d1e2589dc01ed44801c3f40379d84b48efeeffcf4603fc3295d",
    ),
    (
        128,
        48,
        "d178d59373b570aad1a33b5d8c204e9ba7d403f7753e351954cfdabf0dbfa346",
        "9f5c7ad7ba4c18759dcf949c42fff65469c0ce57add91a00711cb06baae80327",
    ),
    (
        100,
        75,
        "8e76a35cf1455dbab499e53c5cdc5b58256a4091770447e08d04a9488e722a2a",
        "688eaa2bba07a87d018857cd32538f646bcfa302df3138e386941f7b678875c6",
    ),
    (
        161,
        113,
        "c2d0f1227252252874a5ed08f3e7531c4ec63d00b7397df2fd225230b15eb6b4",
        "d681df052312824191cd0fd1c5f10764ba12d8d2045b3ece8a6421982372982e",
    ),
];

/// A SHA-256 digest as it should be, and as this machine computes it, in hexadecimal.
#[derive(Clone, PartialEq, Eq)]
pub struct Digest {
    /// On every machine.
    pub expected: String,
    /// On this one.
    pub found: String,
    /// What this machine computed, of which `found` is the digest.
    pub bytes: Vec<u8>,
}

impl std::fmt::Debug for Digest {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { expected, found, bytes } = self;
        write!(f, "Digest({found} of {} bytes, expected {expected})", bytes.len())
    }
}

/// One picture of the check.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Check {
    /// Columns.
    pub width: usize,
    /// Rows.
    pub height: usize,
    /// Of the symbols.
    pub symbols: Digest,
    /// Of the decoded picture.
    pub picture: Digest,
}

impl Check {
    /// Whether this machine computes what every machine should.
    pub fn holds(&self) -> bool {
        [&self.symbols, &self.picture].into_iter().all(|digest| digest.expected == digest.found)
    }
}

/// Codes ten pictures in integers.
///
/// # Errors
/// For strings that this machine does not decode to the symbols that it coded.
///
/// ```
/// let checks = iscs_lic::fixed::selftest()?;
/// assert!(checks.iter().all(|check| check.holds()));
/// # Ok::<(), iscs_lic::Error>(())
/// ```
pub fn selftest() -> Result<Vec<Check>> {
    selftest_with(Form::detect())
}

/// The same in a form: for tests.
///
/// # Errors
/// As [`selftest`].
pub fn selftest_with(form: Form) -> Result<Vec<Check>> {
    let checkpoint = Checkpoint::default_model()?;
    let codec = IntegerCodec {
        analysis: Analysis::load(&checkpoint)?.with_form(form),
        prior: Prior::load(&checkpoint)?.with_form(form),
        synthesis: Synthesis::load(&checkpoint)?.with_form(form),
        z_tables: checkpoint.tables(&checkpoint.design().bottleneck.0)?,
        y_tables: checkpoint.tables(&checkpoint.design().gaussians[0])?,
    };
    EXPECTED
        .iter()
        .enumerate()
        .map(|(i, &(width, height, symbols, picture))| {
            let found = codec.bytes(&procedural(i, width, height), width, height)?;
            let [symbols, picture] = [symbols, picture]
                .into_iter()
                .zip(found)
                .map(|(expected, bytes)| Digest { expected: expected.into(), found: hex(&bytes), bytes })
                .collect::<Vec<_>>()
                .try_into()
                .expect("two digests");
            Ok(Check { width, height, symbols, picture })
        })
        .collect()
}

fn hex(bytes: &[u8]) -> String {
    Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect()
}

struct IntegerCodec {
    analysis: Analysis,
    prior: Prior,
    synthesis: Synthesis,
    z_tables: Tables,
    y_tables: Tables,
}

/// A picture of gradients, edges and grain, interleaved RGB.
fn procedural(seed: usize, width: usize, height: usize) -> Vec<u8> {
    let sample = |x: usize, y: usize, c: usize| {
        let waves = (x * (3 + seed) + y * (7 - seed % 5)) % 256;
        let triangle = if waves < 128 { waves } else { 255 - waves };
        let edge = if (x + 2 * y + 9 * c) % (41 + seed) > 20 { 60 } else { 0 };
        let grain = (37 * x + 59 * y + 83 * c + x * y) % (5 + 3 * seed);
        (triangle + edge + grain + 20 * c).min(255) as u8
    };
    (0..height).flat_map(|y| (0..width).flat_map(move |x| [0, 1, 2].map(|c| sample(x, y, c)))).collect()
}

/// The picture with its last row and column repeated, to sides of whole hyper-latents.
fn padded(picture: &[u8], width: usize, height: usize) -> (Vec<u8>, usize, usize) {
    let [wide, high] = [width, height].map(|side| side.next_multiple_of(64));
    let at = |x: usize, y: usize| (y.min(height - 1) * width + x.min(width - 1)) * 3;
    let pixels = (0..high).flat_map(|y| (0..wide).map(move |x| (x, y)));
    (pixels.flat_map(|(x, y)| picture[at(x, y)..][..3].to_vec()).collect(), wide, high)
}

impl IntegerCodec {
    fn tables(&self, role: Role) -> &Tables {
        if role == Role::Hyper { &self.z_tables } else { &self.y_tables }
    }

    /// Of the symbols, and of the decoded picture.
    fn bytes(&self, picture: &[u8], width: usize, height: usize) -> Result<[Vec<u8>; 2]> {
        let (picture, wide, high) = padded(picture, width, height);
        let (y, z) = self.analysis.latents(&picture, wide, high)?;
        let z = z.ok_or_else(|| Error::coding("the model", "a hyperprior", "none"))?;
        let [_, rows, columns] = y.shape;
        let mut encoder = Encoding { codec: self, y, z, symbols: vec![], strings: vec![] };
        let coded = self.prior.walk(&mut encoder, columns, rows)?;
        let mut decoder = Decoding { codec: self, strings: &encoder.strings, symbols: vec![] };
        let decoded = self.prior.walk(&mut decoder, columns, rows)?;
        if coded != decoded || encoder.symbols != decoder.symbols {
            return Err(Error::coding("decoded symbols", "those that were coded", "others"));
        }
        let shown = self.synthesis.crop(&decoded, columns, rows, 0..width, 0..height)?;
        let symbols: Vec<u8> = decoder.symbols.iter().flat_map(|symbol| symbol.to_le_bytes()).collect();
        Ok([symbols, shown])
    }
}

/// Answers with the symbols of latents, and codes them.
struct Encoding<'a> {
    codec: &'a IntegerCodec,
    y: Latents,
    z: Latents,
    symbols: Vec<i32>,
    strings: Vec<Vec<u8>>,
}

/// Answers from strings.
struct Decoding<'a> {
    codec: &'a IntegerCodec,
    strings: &'a [Vec<u8>],
    symbols: Vec<i32>,
}

impl Symbols for Encoding<'_> {
    fn string(&mut self, ask: Ask<'_>) -> Result<(Vec<i32>, bool)> {
        let latents = if ask.role == Role::Hyper { &self.z } else { &self.y };
        let symbols: Vec<i32> =
            latents.values.iter().zip(ask.means).map(|(&v, &mean)| symbol(v, mean)).collect();
        self.strings.push(coder::encode(&symbols, ask.rows, self.codec.tables(ask.role))?);
        self.symbols.extend_from_slice(&symbols);
        Ok((symbols, true))
    }
}

impl Symbols for Decoding<'_> {
    fn string(&mut self, ask: Ask<'_>) -> Result<(Vec<i32>, bool)> {
        let [string, rest @ ..] = self.strings else {
            return Err(Error::coding("strings", "two", "fewer"));
        };
        self.strings = rest;
        let symbols = coder::decode(string, ask.rows, self.codec.tables(ask.role))?;
        self.symbols.extend_from_slice(&symbols);
        Ok((symbols, true))
    }
}

#[cfg(test)]
mod tests {
    use super::{Form, selftest_with};

    #[test]
    fn every_form_and_number_of_threads_gives_the_digests() {
        for (i, form) in Form::supported().into_iter().enumerate() {
            let pool = rayon::ThreadPoolBuilder::new().num_threads([1, 2, 4][i % 3]).build();
            let checks = pool.expect("threads").install(|| selftest_with(form)).expect("a check");
            for check in checks {
                assert!(check.holds(), "{form:?}, {} threads: {check:?}", [1, 2, 4][i % 3]);
            }
        }
    }
}
