//! A decoder with its tokenizer: text in, text out.

use std::ops::ControlFlow;
use std::path::{Path, PathBuf};

use burn::tensor::Device;
use grouping_core::files::json::Fields;
use grouping_core::files::model_config::CONFIG_FILE;
use grouping_core::nn::{Generation, GenerationConfig, GenerationEvent, generate};
use serde_json::Value;

use super::{GroupedDecoder, read_decoder};
use crate::text::{TextStream, Tokenizer, open_tokenizer};
use crate::{Error, Result};

/// A decoder, its tokenizer, and the tokens that end a text.
#[derive(Debug)]
pub struct LanguageModel {
    /// The decoder.
    pub decoder: GroupedDecoder,
    /// The tokenizer.
    pub tokenizer: Box<dyn Tokenizer>,
    /// Tokens that end a text.
    pub stop_tokens: Vec<u32>,
}

/// What happens while a text is continued.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum TextEvent<'a> {
    /// The prompt went through the decoder.
    Prompt {
        /// Its length in tokens.
        n_tokens: usize,
    },
    /// A token was chosen.
    Token {
        /// The token.
        token: u32,
        /// The text that it completes; nothing where it is a part of a character.
        text: &'a str,
    },
    /// The text that was still open when the last token came.
    Rest {
        /// The text.
        text: &'a str,
    },
}

/// A continued text.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Completion {
    /// The tokens of the prompt.
    pub prompt_tokens: Vec<u32>,
    /// The text after the prompt.
    pub text: String,
    /// Its tokens, why there are no more, and the size of the caches.
    pub generation: Generation,
}

impl LanguageModel {
    /// Opens a decoder as [`read_decoder`] does, with the tokenizer `tokenizer`.
    ///
    /// Without one, it is `tokenizer.json` in a folder, and `tokenizer.bin` or `tok<vocabulary>.bin` beside a checkpoint of llama2.c. A
    /// text ends at the `eos_token_id` of `generation_config.json` or `config.json`; with llama2.c, at BOS or EOS.
    ///
    /// # Errors
    /// [`Error::FileField`](grouping_core::Error::FileField) where no tokenizer is found, or one with more tokens than the decoder has; and as [`read_decoder`].
    pub fn open(path: &Path, tokenizer: Option<&Path>, device: &Device) -> Result<Self> {
        let decoder = read_decoder(path, device)?;
        let vocab_size = decoder.config().vocab_size;
        let is_folder = path.is_dir();
        let tokenizer_path = match tokenizer {
            Some(tokenizer) => tokenizer.to_owned(),
            None => find_tokenizer(path, is_folder, vocab_size)?,
        };
        let tokenizer = open_tokenizer(&tokenizer_path)?;
        if tokenizer.n_tokens() > vocab_size {
            let expected = format!("at most the {vocab_size} of the decoder");
            return Err(Error::format(&tokenizer_path, "tokens", expected, tokenizer.n_tokens()));
        }
        let mut stop_tokens = tokenizer.stop_tokens();
        if is_folder {
            stop_tokens.extend(eos_tokens(path)?);
        }
        Ok(Self { decoder, tokenizer, stop_tokens })
    }

    /// Continues `prompt`; `observer` hears of every piece of text as it comes, and may break off.
    ///
    /// The stop tokens of `config` count beside the model's own.
    ///
    /// # Errors
    /// [`Error::Setting`](grouping_core::Error::Setting) of a prompt that makes no tokens, and as [`generate`].
    pub fn complete(
        &self,
        prompt: &str,
        config: &GenerationConfig,
        observer: &mut dyn FnMut(TextEvent<'_>) -> ControlFlow<()>,
    ) -> Result<Completion> {
        let prompt_tokens = self.tokenizer.encode(prompt)?;
        if prompt_tokens.is_empty() {
            let expected = "a text, as this tokenizer starts texts with no token of its own";
            return Err(Error::setting("prompt", expected, format!("{prompt:?}")));
        }
        let mut config = config.clone();
        config.stop_tokens.extend(&self.stop_tokens);
        let mut stream = TextStream::new(&*self.tokenizer, &prompt_tokens);
        let (mut text, mut failure) = (String::new(), None);
        let generation = generate(&self.decoder, &prompt_tokens, &config, &mut |event| match event {
            GenerationEvent::Prompt { n_tokens } => observer(TextEvent::Prompt { n_tokens }),
            GenerationEvent::Token { token } => match stream.push(token) {
                Ok(piece) => {
                    text.push_str(&piece);
                    observer(TextEvent::Token { token, text: &piece })
                }
                Err(error) => {
                    failure = Some(error);
                    ControlFlow::Break(())
                }
            },
            _ => ControlFlow::Continue(()),
        })?;
        if let Some(error) = failure {
            return Err(error);
        }
        let rest = stream.finish()?;
        if !rest.is_empty() {
            text.push_str(&rest);
            let _ = observer(TextEvent::Rest { text: &rest });
        }
        Ok(Completion { prompt_tokens, text, generation })
    }
}

fn find_tokenizer(path: &Path, is_folder: bool, vocab_size: usize) -> Result<PathBuf> {
    let names = if is_folder {
        vec!["tokenizer.json".to_owned()]
    } else {
        vec!["tokenizer.bin".to_owned(), format!("tok{vocab_size}.bin")]
    };
    let place = |name: &String| if is_folder { path.join(name) } else { path.with_file_name(name) };
    let found = names.iter().map(place).find(|file| file.exists());
    found.ok_or_else(|| {
        let place = if is_folder { "in the folder" } else { "beside the checkpoint" };
        let expected = format!("{} {place}, or one by name", names.join(" or "));
        Error::format(path, "tokenizer", expected, "none")
    })
}

/// `eos_token_id`, one or several, of the file that has it.
fn eos_tokens(dir: &Path) -> Result<Vec<u32>> {
    for name in ["generation_config.json", CONFIG_FILE] {
        let path = dir.join(name);
        if !path.exists() {
            continue;
        }
        let fields = Fields::read(&path)?;
        let tokens = match fields.present("eos_token_id") {
            None => continue,
            Some(Value::Array(tokens)) => tokens.as_slice(),
            Some(token) => std::slice::from_ref(token),
        };
        let token = |token: &Value| token.as_u64().and_then(|token| u32::try_from(token).ok());
        let tokens = tokens.iter().map(token).collect::<Option<Vec<u32>>>();
        return Ok(tokens.ok_or_else(|| fields.misfit("eos_token_id", "a token or a list of tokens"))?);
    }
    Ok(Vec::new())
}
