//! Text generation, token by token: the prompt goes through the decoder once, then each chosen token alone.

use std::ops::ControlFlow;

use burn::config::Config;
use burn::tensor::{Device, Int, Tensor, TensorData};

use super::cached::{AttentionCache, CachedAttention};
use super::decoder::Decoder;
use super::sampling::Sampler;
use crate::Error;

/// Tokens of the prompt that go through the decoder at once; it bounds the memory of their scores.
const CHUNK: usize = 512;

/// How [`generate`] chooses tokens, and when it stops.
#[derive(Config, Debug, PartialEq)]
pub struct GenerationConfig {
    /// Tokens to generate at most.
    #[config(default = 256)]
    pub max_tokens: usize,
    /// 0 takes the most probable token; above, tokens are drawn, the more evenly the higher.
    #[config(default = 0.0)]
    pub temperature: f64,
    /// Draws are from the fewest most probable tokens that hold this part of the probability; in (0, 1].
    #[config(default = 1.0)]
    pub top_p: f64,
    /// Determines the draws.
    #[config(default = 0)]
    pub seed: u64,
    /// Tokens that end the text, and are no part of it.
    #[config(default = "Vec::new()")]
    pub stop_tokens: Vec<u32>,
}

/// What happens while [`generate`] runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum GenerationEvent {
    /// The prompt went through the decoder.
    Prompt {
        /// Its length.
        n_tokens: usize,
    },
    /// A token was chosen.
    Token {
        /// The token.
        token: u32,
    },
}

/// Why a text ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Stop {
    /// A stop token was chosen.
    Token {
        /// The token.
        token: u32,
    },
    /// There are `max_tokens` of them.
    Length,
    /// The decoder was made for no more positions ([`max_positions`](super::DecoderConfig::max_positions)).
    Positions,
    /// The observer broke off.
    Observer,
}

/// A generated text.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Generation {
    /// The tokens after the prompt.
    pub tokens: Vec<u32>,
    /// Why there are no more.
    pub stop: Stop,
    /// Bytes of the caches of all layers at the end.
    pub cache_bytes: usize,
}

/// Continues `prompt`; `observer` hears of every token as it is chosen, and may break off.
///
/// # Errors
/// [`Error::Setting`] of an empty prompt, one longer than the decoder was made for, a token that it has not, or a setting out of range,
/// [`Error::NotFinite`] of logits that are no numbers, [`Error::TensorRead`].
///
/// ```
/// use std::ops::ControlFlow;
///
/// use burn::tensor::Device;
/// use grouping_core::nn::{DecoderConfig, GenerationConfig, generate};
///
/// let decoder = DecoderConfig::new(48, 32, 2, 4, 64).init(7, &Device::flex());
/// let config = GenerationConfig::new().with_max_tokens(5);
/// let generation = generate(&decoder, &[1, 2, 3], &config, &mut |_event| ControlFlow::Continue(()))?;
/// assert_eq!(generation.tokens.len(), 5);
/// # Ok::<(), grouping_core::Error>(())
/// ```
pub fn generate<A: CachedAttention>(
    decoder: &Decoder<A>,
    prompt: &[u32],
    config: &GenerationConfig,
    observer: &mut dyn FnMut(GenerationEvent) -> ControlFlow<()>,
) -> crate::Result<Generation> {
    let shape = decoder.config();
    check_prompt(prompt, shape.vocab_size, shape.max_positions)?;
    let mut sampler = Sampler::new(config.temperature, config.top_p, config.seed)?;
    let device = decoder.device();
    let longest = prompt.len().saturating_add(config.max_tokens).min(shape.max_positions);
    let mut caches = decoder.new_caches(1, longest);
    let mut logits = Vec::new();
    for chunk in prompt.chunks(CHUNK) {
        let last = decoder.forward_cached(row(chunk, &device), &mut caches);
        logits = read(last)?;
    }
    let mut tokens = Vec::new();
    let mut stop = match observer(GenerationEvent::Prompt { n_tokens: prompt.len() }) {
        ControlFlow::Continue(()) => None,
        ControlFlow::Break(()) => Some(Stop::Observer),
    };
    let stop = loop {
        if let Some(stop) = stop {
            break stop;
        }
        if tokens.len() == config.max_tokens {
            break Stop::Length;
        }
        let token = sampler.choose(&logits)?;
        if config.stop_tokens.contains(&token) {
            break Stop::Token { token };
        }
        tokens.push(token);
        if observer(GenerationEvent::Token { token }).is_break() {
            stop = Some(Stop::Observer);
        } else if tokens.len() < config.max_tokens {
            if prompt.len() + tokens.len() > shape.max_positions {
                stop = Some(Stop::Positions);
            } else {
                logits = read(decoder.forward_cached(row(&[token], &device), &mut caches))?;
            }
        }
    };
    let cache_bytes = caches.iter().map(AttentionCache::n_bytes).sum();
    Ok(Generation { tokens, stop, cache_bytes })
}

fn check_prompt(prompt: &[u32], vocab_size: usize, max_positions: usize) -> crate::Result<()> {
    let misfit =
        |expected: String, found: String| Err(Error::Setting { name: "prompt".into(), expected, found });
    if prompt.is_empty() || prompt.len() > max_positions {
        return misfit(format!("1 to {max_positions} tokens"), prompt.len().to_string());
    }
    match prompt.iter().find(|token| **token as usize >= vocab_size) {
        Some(token) => misfit(format!("tokens below {vocab_size}"), token.to_string()),
        None => Ok(()),
    }
}

/// `[1, tokens]`.
fn row(tokens: &[u32], device: &Device) -> Tensor<2, Int> {
    let ids: Vec<i32> = tokens.iter().map(|token| *token as i32).collect();
    let n_tokens = ids.len();
    Tensor::from_data(TensorData::new(ids, [1, n_tokens]), device)
}

fn read(logits: Tensor<2>) -> crate::Result<Vec<f32>> {
    let data = logits.into_data().convert::<f32>();
    data.try_into_vec().map_err(|e| Error::TensorRead { cause: format!("{e:?}") })
}
