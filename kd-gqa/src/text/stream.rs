//! The text of tokens that come one by one: each piece as soon as its characters are whole.
//!
//! A token may hold a part of a character, and what a token stands for may depend on the one before it. So the text of the last
//! whole stretch and of all since is decoded together, and what is longer is new.

use super::Tokenizer;
use crate::Result;

/// Gives the text of each token after a prompt.
///
/// ```no_run
/// use kd_gqa::text::{TextStream, open_tokenizer};
///
/// let tokenizer = open_tokenizer("tokenizer.json".as_ref())?;
/// let mut stream = TextStream::new(&*tokenizer, &tokenizer.encode("Once upon")?);
/// let piece = stream.push(17)?;
/// let rest = stream.finish()?;
/// # Ok::<(), kd_gqa::Error>(())
/// ```
#[derive(Debug)]
pub struct TextStream<'a> {
    tokenizer: &'a dyn Tokenizer,
    /// The last stretch whose text was given, and the tokens since.
    tokens: Vec<u32>,
    n_given: usize,
}

impl<'a> TextStream<'a> {
    /// A stream that goes on after `prompt`.
    pub fn new(tokenizer: &'a dyn Tokenizer, prompt: &[u32]) -> Self {
        Self { tokenizer, tokens: prompt.to_vec(), n_given: prompt.len() }
    }

    /// The text that `token` completes; none while a character is open.
    ///
    /// # Errors
    /// As [`Tokenizer::decode`].
    pub fn push(&mut self, token: u32) -> Result<String> {
        self.tokens.push(token);
        let (given, all) = self.texts()?;
        // An open character decodes to the replacement character.
        if all.ends_with(char::REPLACEMENT_CHARACTER) {
            return Ok(String::new());
        }
        Ok(self.give(&given, &all))
    }

    /// What is left when no token follows: the replacement of a character that stayed open.
    ///
    /// # Errors
    /// As [`Tokenizer::decode`].
    pub fn finish(&mut self) -> Result<String> {
        let (given, all) = self.texts()?;
        Ok(self.give(&given, &all))
    }

    fn texts(&self) -> Result<(String, String)> {
        let given = self.tokenizer.decode(&self.tokens[..self.n_given])?;
        Ok((given, self.tokenizer.decode(&self.tokens)?))
    }

    fn give(&mut self, given: &str, all: &str) -> String {
        let new = all.get(given.len()..).unwrap_or_default().to_owned();
        if !new.is_empty() {
            self.tokens.drain(..self.n_given);
            self.n_given = self.tokens.len();
        }
        new
    }
}
