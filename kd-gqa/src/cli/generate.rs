//! `kd-gqa generate`.

use std::io::{Write, stdout};
use std::ops::ControlFlow;
use std::path::PathBuf;
use std::time::Instant;

use grouping_core::command::say;
use grouping_core::device::DeviceSpec;
use grouping_core::nn::{GenerationConfig, Stop};
use serde_json::json;

use kd_gqa::decoder::{LanguageModel, TextEvent};

/// Continue a text with a decoder of the Llama family
///
/// The prompt and its continuation go to stdout as they come; tokens a second and the bytes of the caches go to stderr.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// A folder of Llama, Mistral or Qwen2 (config.json, safetensors), or a checkpoint of llama2.c
    #[arg(long)]
    model: PathBuf,
    /// The text to continue
    #[arg(long, default_value = "")]
    prompt: String,
    /// A tokenizer.json or a tokenizer of llama2.c [default: the one in the folder or beside the checkpoint]
    #[arg(long)]
    tokenizer: Option<PathBuf>,
    /// Tokens to generate at most
    #[arg(long, default_value_t = 256, value_name = "N")]
    max_tokens: usize,
    /// 0 takes the most probable token; above, tokens are drawn
    #[arg(long, default_value_t = 0.0, value_name = "T", allow_negative_numbers = true)]
    temperature: f64,
    /// Draw from the most probable tokens that hold this part of the probability
    #[arg(long, default_value_t = 1.0, value_name = "P")]
    top_p: f64,
    /// Determines the draws
    #[arg(long, default_value_t = 0, value_name = "S")]
    seed: u64,
    /// Print one JSON object on one line in place of the text
    #[arg(long)]
    json: bool,
    /// flex (the CPU), wgpu[:i], vulkan[:i] or cuda[:i]
    #[arg(long, default_value = "flex")]
    device: DeviceSpec,
}

pub(super) fn run(args: &Args) -> anyhow::Result<()> {
    let device = args.device.open()?;
    let model = LanguageModel::open(&args.model, args.tokenizer.as_deref(), &device)?;
    let config = GenerationConfig::new()
        .with_max_tokens(args.max_tokens)
        .with_temperature(args.temperature)
        .with_top_p(args.top_p)
        .with_seed(args.seed);
    let (mut out, mut failure) = (stdout(), None);
    let mut write = |text: &str| {
        if args.json {
            return ControlFlow::Continue(());
        }
        match out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
            Ok(()) => ControlFlow::Continue(()),
            Err(error) => {
                failure = Some(error);
                ControlFlow::Break(())
            }
        }
    };
    let start = Instant::now();
    let mut prompt_done = start;
    let completion = model.complete(&args.prompt, &config, &mut |event| match event {
        TextEvent::Prompt { .. } => {
            prompt_done = Instant::now();
            write(&args.prompt)
        }
        TextEvent::Token { text, .. } | TextEvent::Rest { text } => write(text),
        _ => ControlFlow::Continue(()),
    })?;
    let decode_secs = prompt_done.elapsed().as_secs_f64();
    if let Some(error) = failure {
        return Err(error.into());
    }
    let generation = &completion.generation;
    let (n_prompt, n_tokens) = (completion.prompt_tokens.len(), generation.tokens.len());
    let stop = match generation.stop {
        Stop::Token { .. } => "token",
        Stop::Length => "length",
        Stop::Positions => "positions",
        _ => "observer",
    };
    if args.json {
        let object = json!({
            "text": format!("{}{}", args.prompt, completion.text),
            "completion": completion.text,
            "prompt_tokens": completion.prompt_tokens,
            "tokens": generation.tokens,
            "stop": stop,
            "cache_bytes": generation.cache_bytes,
        });
        writeln!(stdout(), "{object}")?;
    } else {
        writeln!(stdout())?;
    }
    say(format_args!(
        "{n_prompt} tokens of prompt in {:.3} s; {n_tokens} tokens in {decode_secs:.3} s, {:.1} tokens/s; stopped by {stop}; cache {} bytes",
        (prompt_done - start).as_secs_f64(),
        n_tokens as f64 / decode_secs.max(f64::MIN_POSITIVE),
        generation.cache_bytes,
    ));
    Ok(())
}
