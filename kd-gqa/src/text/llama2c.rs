//! The tokenizer of llama2.c: byte-pair encoding by scores (Sennrich et al. 2016, as SentencePiece has it), with bytes to fall back on.
//!
//! The file is little-endian: the length of the longest piece (i32), then for each token its score (f32), the length of its piece
//! (i32) and the piece. Tokens 0, 1, 2 are unknown, BOS and EOS; token 3 + b is the byte b, spelt `<0xHH>`.
//!
//! A text is BOS, then a space and the text in characters, each a token or its bytes. Then, as long as two neighbours make a
//! token, those with the best score, the first among equals, become it. A space that follows BOS is not part of the text.
//!
//! Deviation: `run.c` takes the first 259 tokens for ordinary pieces, so a text that spells one becomes it; here it does not, and
//! BOS and EOS have no text.

use std::cmp::Ordering;
use std::collections::{BinaryHeap, HashMap};
use std::path::{Path, PathBuf};

use grouping_core::files::text::read_bytes;

use super::Tokenizer;
use crate::{Error, Result};

/// A million tokens of thirty bytes take less.
const LIMIT: u64 = 64 << 20;
const BOS: u32 = 1;
const EOS: u32 = 2;
const FIRST_BYTE: u32 = 3;
const FIRST_PIECE: u32 = FIRST_BYTE + 256;

/// A tokenizer of llama2.c.
///
/// ```no_run
/// use kd_gqa::text::{Llama2cTokenizer, Tokenizer};
///
/// let tokenizer = Llama2cTokenizer::open("tok512.bin".as_ref())?;
/// let tokens = tokenizer.encode("Once upon a time")?;
/// assert_eq!(tokenizer.decode(&tokens)?, "Once upon a time");
/// # Ok::<(), kd_gqa::Error>(())
/// ```
#[derive(Debug)]
pub struct Llama2cTokenizer {
    path: PathBuf,
    pieces: Vec<Vec<u8>>,
    scores: Vec<f32>,
    /// The first token of each piece, without the first 259.
    tokens: HashMap<Vec<u8>, u32>,
}

impl Llama2cTokenizer {
    /// Reads `path`.
    ///
    /// # Errors
    /// [`Error::Core`] or [`Error::FileField`](grouping_core::Error::FileField).
    pub fn open(path: &Path) -> Result<Self> {
        let bytes = read_bytes(path, LIMIT)?;
        Self::parse(path, &bytes)
    }

    fn parse(path: &Path, bytes: &[u8]) -> Result<Self> {
        let mut reader = Reader { path, rest: bytes, n_tokens: 0 };
        reader.number("header")?;
        let (mut pieces, mut scores, mut tokens) = (Vec::new(), Vec::new(), HashMap::new());
        while !reader.rest.is_empty() {
            let score = f32::from_le_bytes(reader.number("score")?);
            if !score.is_finite() {
                return Err(reader.misfit("score", "a finite number", score));
            }
            let length = i32::from_le_bytes(reader.number("length")?);
            let piece = usize::try_from(length).ok().and_then(|length| reader.rest.split_at_checked(length));
            let Some((piece, rest)) = piece else {
                let expected = format!("a length of at most the {} bytes that follow", reader.rest.len());
                return Err(reader.misfit("length", expected, length));
            };
            let token = reader.n_tokens;
            if (FIRST_BYTE..FIRST_PIECE).contains(&token) {
                let expected = format!("<0x{:02X}>", token - FIRST_BYTE);
                if piece != expected.as_bytes() {
                    return Err(reader.misfit("piece", expected, String::from_utf8_lossy(piece)));
                }
            } else if token >= FIRST_PIECE {
                tokens.entry(piece.to_vec()).or_insert(token);
            }
            pieces.push(piece.to_vec());
            scores.push(score);
            reader.rest = rest;
            reader.n_tokens += 1;
        }
        if reader.n_tokens < FIRST_PIECE {
            let expected = format!("at least the {FIRST_PIECE} of control and bytes");
            return Err(Error::format(path, "tokens", expected, reader.n_tokens));
        }
        Ok(Self { path: path.to_owned(), pieces, scores, tokens })
    }

    /// The token that `left` and `right` make.
    fn merged(&self, left: u32, right: u32) -> Option<u32> {
        if left < FIRST_PIECE || right < FIRST_PIECE {
            return None;
        }
        let piece = [&*self.pieces[left as usize], &self.pieces[right as usize]].concat();
        self.tokens.get(&piece).copied()
    }

    fn merge(&self, tokens: &[u32]) -> Vec<u32> {
        let mut chain = Chain::new(tokens);
        let mut pairs: BinaryHeap<Pair> =
            (1..tokens.len()).filter_map(|right| self.pair(&chain, right - 1)).collect();
        while let Some(pair) = pairs.pop() {
            // Either side may have gone into another token since.
            if chain.tokens[pair.at] != Some(pair.left) || self.pair(&chain, pair.at) != Some(pair) {
                continue;
            }
            chain.join(pair.at, pair.token);
            let before = chain.before[pair.at];
            pairs.extend(before.into_iter().chain([pair.at]).filter_map(|at| self.pair(&chain, at)));
        }
        chain.tokens.into_iter().flatten().collect()
    }

    /// What the token at `at` and its neighbour make.
    fn pair(&self, chain: &Chain, at: usize) -> Option<Pair> {
        let (left, right) = (chain.tokens[at]?, chain.tokens[chain.after[at]?]?);
        let token = self.merged(left, right)?;
        Some(Pair { score: self.scores[token as usize], at, left, token })
    }
}

/// A field's bytes after another's.
struct Reader<'a> {
    path: &'a Path,
    rest: &'a [u8],
    n_tokens: u32,
}

impl Reader<'_> {
    fn number(&mut self, field: &str) -> Result<[u8; 4]> {
        let Some((number, rest)) = self.rest.split_first_chunk() else {
            return Err(self.misfit(field, "4 bytes", self.rest.len()));
        };
        self.rest = rest;
        Ok(*number)
    }

    fn misfit(&self, field: &str, expected: impl Into<String>, found: impl ToString) -> Error {
        Error::format(self.path, format!("{field} of token {}", self.n_tokens), expected, found)
    }
}

/// Two neighbours that make a token.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Pair {
    score: f32,
    at: usize,
    left: u32,
    token: u32,
}

impl Eq for Pair {}

impl Ord for Pair {
    /// The better score first, then the earlier place.
    fn cmp(&self, other: &Self) -> Ordering {
        self.score.total_cmp(&other.score).then(other.at.cmp(&self.at))
    }
}

impl PartialOrd for Pair {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

/// Tokens at places; those that went into another are gone.
struct Chain {
    tokens: Vec<Option<u32>>,
    before: Vec<Option<usize>>,
    after: Vec<Option<usize>>,
}

impl Chain {
    fn new(tokens: &[u32]) -> Self {
        let n = tokens.len();
        Self {
            tokens: tokens.iter().copied().map(Some).collect(),
            before: (0..n).map(|at| at.checked_sub(1)).collect(),
            after: (1..=n).map(|at| (at < n).then_some(at)).collect(),
        }
    }

    /// Puts `token` in the place of the one at `at` and its neighbour.
    fn join(&mut self, at: usize, token: u32) {
        self.tokens[at] = Some(token);
        if let Some(right) = self.after[at] {
            self.tokens[right] = None;
            self.after[at] = self.after[right];
            if let Some(next) = self.after[at] {
                self.before[next] = Some(at);
            }
        }
    }
}

impl Tokenizer for Llama2cTokenizer {
    fn encode(&self, text: &str) -> Result<Vec<u32>> {
        let mut tokens = Vec::new();
        let mut buffer = [0; 4];
        for character in (!text.is_empty()).then_some(' ').into_iter().chain(text.chars()) {
            let bytes = character.encode_utf8(&mut buffer).as_bytes();
            match self.tokens.get(bytes) {
                Some(token) => tokens.push(*token),
                None => tokens.extend(bytes.iter().map(|byte| FIRST_BYTE + u32::from(*byte))),
            }
        }
        let mut tokens = self.merge(&tokens);
        tokens.insert(0, BOS);
        Ok(tokens)
    }

    fn decode(&self, tokens: &[u32]) -> Result<String> {
        let mut bytes = Vec::new();
        let mut after_bos = false;
        for &token in tokens {
            match token {
                0..FIRST_BYTE => {}
                FIRST_BYTE..FIRST_PIECE => bytes.push((token - FIRST_BYTE) as u8),
                _ => {
                    let Some(piece) = self.pieces.get(token as usize) else {
                        let expected = format!("one of its {} tokens", self.pieces.len());
                        return Err(Error::format(&self.path, "token", expected, token));
                    };
                    let piece = piece.strip_prefix(b" ").filter(|_| after_bos).unwrap_or(piece);
                    bytes.extend_from_slice(piece);
                }
            }
            after_bos = token == BOS;
        }
        Ok(String::from_utf8_lossy(&bytes).into_owned())
    }

    fn n_tokens(&self) -> usize {
        self.pieces.len()
    }

    fn stop_tokens(&self) -> Vec<u32> {
        vec![BOS, EOS]
    }
}
