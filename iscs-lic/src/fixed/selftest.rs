//! A check of this machine: ten pictures through the integer codec, against digests that are the same everywhere.
//!
//! Each picture is made by integer arithmetic, analysed, coded, decoded and synthesised with the model that comes with this crate. The digests are
//! BLAKE3: of the symbols, z then y, as little-endian `i32`, and of the decoded picture's bytes.

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
        "94c8f01f3e5985c00639a8cbb291ec58955e36b58dee202c1a57ff6c6c882562",
        "943ce493c0c18119e7a65e2b3324c21645525c5b4fca90361d40794642ba6f70",
    ),
    (
        16,
        16,
        "7ad524719ed5c6af7d19594a7ec69edfe5ab27d119e675e2ac54ba74b0fc2ad2",
        "05207730ecdd25711f37a0c03afadcba5b7051c286e377cc7988f6afcfb0ba75",
    ),
    (
        17,
        31,
        "b841f29570d75db867ad935b2169ca5149be47ef1a3fa4d9f48fa82049bbb659",
        "5925753f6ec6a9a803d06500c6c02f92575c0f6fce7d0b6488dd2c5ee8946ddb",
    ),
    (
        64,
        64,
        "6a72b3b17506beceb3fa51df3aa14fea55d30ca85286f727d6d1f96175020367",
        "f83ff72d11e713e02c496eaec34e65f0829637787a59f402357bfd67b8a0724c",
    ),
    (
        65,
        97,
        "3551ccca887d7ca2e5202a332d75ed0979ee4775650a196b24cdb3cf8ef8fc8b",
        "e0e514789d73d3612b1b07f01469fa1f1e3bcaf0e166eee9ab5976e0a7d7e458",
    ),
    (
        33,
        1,
        "a09148f4338b2ac826cd57953f9d6b5aa34df2d41dbbb4445717b6f2c4bc0212",
        "e396c5f5752a3c2ce00c3748a3343462051b8ef9a0ba4d8057d59bf7b5219005",
    ),
    (
        1,
        70,
        "b4ea684a92012c11302593a308ab0852f28d57ae138cd227f6c138a9e108186e",
        "32166bd4afd51f16992527b34a5fd28996b843ceea180e69d5bec641697a6e49",
    ),
    (
        128,
        48,
        "469dbdae711c5c9e1e573235a0b163659e8e535ab1408e02dec2a27dbf749ad3",
        "c6068ca81084009c226473e70255dceac64ea801affbe333ff28b16d33a9ea7d",
    ),
    (
        100,
        75,
        "6d35e8abd566a3f6a14d87fc2c99bc492a4c2c76cd53a1281a412adf5bd65bf5",
        "abe57e9e1718f154297d8b6d41f3d487155d5f7bab907788c718dc87d599d550",
    ),
    (
        161,
        113,
        "cdf0aef8aeced3384122d9628d98d509ef76a5a4b733bd997e218d92a2e575bc",
        "290403aacaab2410e31dc860d655f6696588dfc018b1e0c86162381912965553",
    ),
];

/// A digest as it should be, and as this machine computes it, in hexadecimal.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Digest {
    /// On every machine.
    pub expected: String,
    /// On this one.
    pub found: String,
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
            let found = codec.digests(&procedural(i, width, height), width, height)?;
            let [symbols, picture] = [symbols, picture]
                .into_iter()
                .zip(found)
                .map(|(expected, found)| Digest { expected: expected.into(), found })
                .collect::<Vec<_>>()
                .try_into()
                .expect("two digests");
            Ok(Check { width, height, symbols, picture })
        })
        .collect()
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

    fn digests(&self, picture: &[u8], width: usize, height: usize) -> Result<[String; 2]> {
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
        Ok([symbols, shown].map(|bytes| blake3::hash(&bytes).to_hex().to_string()))
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
