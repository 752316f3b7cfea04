//! Text to tokens and back: the byte-pair encoding of llama2.c, and `tokenizer.json` of Hugging Face.
//!
//! [`open_tokenizer`] reads either; [`TextStream`] gives the text of tokens that come one by one.

mod json;
mod llama2c;
mod stream;

use std::fmt::Debug;
use std::path::Path;

pub use json::JsonTokenizer;
pub use llama2c::Llama2cTokenizer;
pub use stream::TextStream;

use crate::Result;

/// Cuts text into tokens.
pub trait Tokenizer: Debug + Send + Sync {
    /// The tokens of `text`, after those that start every text (such as BOS).
    ///
    /// # Errors
    /// [`Error::FileField`](grouping_core::Error::FileField) where the tokenizer's file makes no tokens of it.
    fn encode(&self, text: &str) -> Result<Vec<u32>>;

    /// The text of `tokens`; tokens that control a model have none, and bytes that are no character become U+FFFD.
    ///
    /// # Errors
    /// [`Error::FileField`](grouping_core::Error::FileField) of a token that the tokenizer has not.
    fn decode(&self, tokens: &[u32]) -> Result<String>;

    /// The number of tokens.
    fn n_tokens(&self) -> usize;

    /// Tokens that end a text, as far as the tokenizer's file says.
    fn stop_tokens(&self) -> Vec<u32>;
}

/// Opens `path`: a `tokenizer.json`, where it ends in `.json`, else a tokenizer of llama2.c.
///
/// # Errors
/// [`Error::Core`](crate::Error::Core) or [`Error::FileField`](grouping_core::Error::FileField).
pub fn open_tokenizer(path: &Path) -> Result<Box<dyn Tokenizer>> {
    if path.extension().is_some_and(|extension| extension == "json") {
        Ok(Box::new(JsonTokenizer::open(path)?))
    } else {
        Ok(Box::new(Llama2cTokenizer::open(path)?))
    }
}
