//! `tokenizer.json` of Hugging Face, through the crate `tokenizers`.

use std::path::{Path, PathBuf};

use grouping_core::files::text::read_bytes;

use super::Tokenizer;
use crate::{Error, Result};

/// The largest tokenizers, of a quarter of a million tokens, are a fourth of this.
const LIMIT: u64 = 128 << 20;

/// A tokenizer of Hugging Face.
#[derive(Debug)]
pub struct JsonTokenizer {
    path: PathBuf,
    inner: tokenizers::Tokenizer,
}

impl JsonTokenizer {
    /// Reads `path`.
    ///
    /// # Errors
    /// [`Error::Core`] or [`Error::FileField`](grouping_core::Error::FileField).
    pub fn open(path: &Path) -> Result<Self> {
        let bytes = read_bytes(path, LIMIT)?;
        let inner = tokenizers::Tokenizer::from_bytes(&bytes)
            .map_err(|e| Error::format(path, "tokenizer", "a tokenizer.json", e))?;
        Ok(Self { path: path.to_owned(), inner })
    }
}

impl Tokenizer for JsonTokenizer {
    fn encode(&self, text: &str) -> Result<Vec<u32>> {
        let encoding = self.inner.encode(text, true);
        let encoding =
            encoding.map_err(|e| Error::format(&self.path, "tokenizer", "one that fits the text", e))?;
        Ok(encoding.get_ids().to_vec())
    }

    fn decode(&self, tokens: &[u32]) -> Result<String> {
        let n_tokens = self.n_tokens();
        if let Some(token) = tokens.iter().find(|token| self.inner.id_to_token(**token).is_none()) {
            let expected = format!("one of its {n_tokens} tokens");
            return Err(Error::format(&self.path, "token", expected, token));
        }
        let text = self.inner.decode(tokens, true);
        text.map_err(|e| Error::format(&self.path, "decoder", "one that fits the tokens", e))
    }

    fn n_tokens(&self) -> usize {
        self.inner.get_vocab_size(true)
    }

    fn stop_tokens(&self) -> Vec<u32> {
        Vec::new()
    }
}
