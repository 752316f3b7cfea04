//! Decoders in files of llama2.c ([`files::llama2c`](crate::files::llama2c)). θ is 10 000 and ε 1e-5, as in `run.c`.
//!
//! llama2.c turns the pairs (2j, 2j+1) of a head, Hugging Face and this decoder (j, j + d/2): the rows of wq and wk are permuted
//! when read and back when written, which changes no score.
//!
//! Deviation: `run.c` never looks at the cosines; here those of position 1 must be θ's, or the file is refused.

use std::path::Path;

use burn::tensor::Device;

use super::attention::{Attention, SelfAttention};
use super::config::{DecoderConfig, Family};
use super::decoder::Decoder;
use super::init::Initializer;
use super::weights::{self, Layout};
use crate::files::llama2c::Header;
use crate::files::output::{Existing, write_file};
use crate::files::source::TensorSource;
use crate::files::spelling::Spelling;
use crate::files::tensor_file::{TensorFile, TensorWriter};
use crate::kernels::RopeScaling;
use crate::{Error, Result};

const THETA: f64 = 10_000.0;
const EPS: f64 = 1e-5;

/// Paths of the decoder's parameters, and Meta's names.
const NAMES: Spelling = Spelling {
    label: "llama2.c",
    mark: "layers.#.attention.wq.weight",
    rows: &[
        ("model.embed_tokens.weight", "tok_embeddings.weight"),
        ("model.layers.#.input_layernorm.weight", "layers.#.attention_norm.weight"),
        ("model.layers.#.self_attn.q_proj.weight", "layers.#.attention.wq.weight"),
        ("model.layers.#.self_attn.k_proj.weight", "layers.#.attention.wk.weight"),
        ("model.layers.#.self_attn.v_proj.weight", "layers.#.attention.wv.weight"),
        ("model.layers.#.self_attn.o_proj.weight", "layers.#.attention.wo.weight"),
        ("model.layers.#.post_attention_layernorm.weight", "layers.#.ffn_norm.weight"),
        ("model.layers.#.mlp.gate_proj.weight", "layers.#.feed_forward.w1.weight"),
        ("model.layers.#.mlp.down_proj.weight", "layers.#.feed_forward.w2.weight"),
        ("model.layers.#.mlp.up_proj.weight", "layers.#.feed_forward.w3.weight"),
        ("model.norm.weight", "norm.weight"),
        ("lm_head.weight", "output.weight"),
    ],
};

/// Reads a decoder from the llama2.c checkpoint `path` to `device`.
///
/// # Errors
/// [`Error::Io`] for a file that cannot be read, [`Error::FileField`] for one that is damaged or holds what this decoder cannot be.
pub fn read_llama2c(path: &Path, device: &Device) -> Result<Decoder> {
    let Header { n_heads, n_kv_heads, is_marked, .. } = Header::read(path)?;
    if is_marked {
        let expected = format!("a divisor of n_heads = {n_heads}");
        return Err(Error::file_field(path, "n_kv_heads", expected, format!("-{n_kv_heads}")));
    }
    read_llama2c_with(path, device, SelfAttention::new)
}

/// As [`read_llama2c`], with the attention of each layer made by `attention`, as in [`DecoderConfig::init_with`]. Marked files are read too:
/// what their key and value heads are is the attention's matter.
///
/// # Errors
/// As [`read_llama2c`].
pub fn read_llama2c_with<A: Attention>(
    path: &Path,
    device: &Device,
    attention: impl FnMut(&DecoderConfig, usize, &mut Initializer) -> A,
) -> Result<Decoder<A>> {
    let header = Header::read(path)?;
    let file = header.open(path)?;
    check_cosines(&header, &file)?;
    let config = DecoderConfig::new(
        header.vocab_size,
        header.hidden_size,
        header.n_layers,
        header.n_heads,
        header.ffn_size,
    )
    .with_family(Family::Llama)
    .with_n_kv_heads(Some(header.n_kv_heads))
    .with_head_dim(Some(header.head_dim()))
    .with_rope_theta(THETA)
    .with_rms_norm_eps(EPS)
    .with_max_positions(header.n_positions)
    .with_tied_embeddings(header.is_tied);
    let source = Llama2cSource { head_dim: header.head_dim(), file };
    weights::load_from(config.init_with(0, device, attention), &source, Layout::Checkpoint)
}

fn check_cosines(header: &Header, file: &TensorFile) -> Result<()> {
    if header.n_positions == 1 {
        return Ok(());
    }
    let half = header.head_dim() / 2;
    for (j, found) in file.decode_rows("freqs_cos", 1..2)?.into_iter().enumerate() {
        let expected = frequency(j, half).cos() as f32;
        if (found - expected).abs() >= 1e-3 {
            let expected = format!("{expected}, the cosine of theta 10000");
            return Err(Error::file_field(file.path(), format!("freqs_cos[1][{j}]"), expected, found));
        }
    }
    Ok(())
}

/// A file's tensors by the paths of a decoder, their rows in its order.
struct Llama2cSource {
    head_dim: usize,
    file: TensorFile,
}

impl TensorSource for Llama2cSource {
    fn read(&self, name: &str) -> Result<(Vec<usize>, Vec<f32>)> {
        let theirs = NAMES.theirs("", name).ok_or_else(|| {
            Error::file_field(self.file.path(), name, "a parameter of a llama2.c checkpoint", "another")
        })?;
        let tensor = self.file.decode(&theirs)?;
        Ok(if is_turned(name) {
            let values = permute_rows(&tensor.values, tensor.shape[1], self.head_dim, Order::HalfSplit);
            (tensor.shape, values)
        } else {
            (tensor.shape, tensor.values)
        })
    }

    fn path(&self, _name: &str) -> &Path {
        self.file.path()
    }
}

/// Writes `decoder` as the llama2.c checkpoint `path`, which appears whole or not at all.
///
/// # Errors
/// Those of [`write_file`]; [`Error::FileField`] or [`Error::Setting`] of what the format has no place for.
pub fn write_llama2c<A: Attention>(decoder: &Decoder<A>, path: &Path, existing: Existing) -> Result<()> {
    if let Some((name, _)) = decoder.projections().into_iter().find(|(_, p)| p.low_rank.is_some()) {
        return Err(Error::file_field(path, name, "no update of low rank (fold it first)", "one"));
    }
    if let Some(unsaid) = decoder.model.layers.iter().find_map(|layer| layer.self_attn.unsaid()) {
        return Err(Error::file_field(path, "attention", "what the format has a place for", unsaid));
    }
    let config = decoder.config();
    let header = header_of(config, path)?;
    let tensors = weights::collect(decoder, Layout::Checkpoint);
    let planned = header.tensors();
    let head = header.to_bytes()?;
    write_file(path, existing, |file| {
        let writer = TensorWriter::headed(file, path, &head, &planned)?;
        for theirs in planned.iter().map(|planned| planned.name.as_str()) {
            let ours = NAMES.ours(theirs);
            match (theirs, ours.and_then(|ours| Some((tensors.get(&ours)?, ours)))) {
                ("freqs_cos", _) => writer.write(theirs, &table(config, f64::cos))?,
                ("freqs_sin", _) => writer.write(theirs, &table(config, f64::sin))?,
                (_, Some(((shape, values), ours))) if is_turned(&ours) => {
                    let turned = permute_rows(values, shape[1], config.head_dim(), Order::Interleaved);
                    writer.write(theirs, &turned)?;
                }
                (_, Some(((_, values), _))) => writer.write(theirs, values)?,
                (_, None) => unreachable!("a decoder has a parameter for `{theirs}`"),
            }
        }
        writer.finish()
    })
}

fn table(config: &DecoderConfig, of: fn(f64) -> f64) -> Vec<f32> {
    let half = config.head_dim() / 2;
    let entries = (0..config.max_positions).flat_map(|position| (0..half).map(move |j| (position, j)));
    entries.map(|(position, j)| of(position as f64 * frequency(j, half)) as f32).collect()
}

fn frequency(j: usize, half: usize) -> f64 {
    THETA.powf(-(j as f64) / half as f64)
}

/// The header, where the format has a place for all that `config` says.
fn header_of(config: &DecoderConfig, path: &Path) -> Result<Header> {
    let refusals = [
        ("head_dim", config.head_dim() * config.n_heads != config.hidden_size, "hidden_size / n_heads"),
        ("rope_theta", config.rope_theta != THETA, "10000"),
        ("rope_scaling", config.rope_scaling != RopeScaling::None, "none"),
        ("rms_norm_eps", config.rms_norm_eps != EPS, "1e-5"),
        ("attention_bias", config.qkv_bias() || config.output_bias(), "none"),
        ("mlp_bias", config.mlp_bias, "none"),
        ("sliding_window", config.sliding_window.is_some_and(|w| w < config.max_positions), "none"),
    ];
    if let Some((field, _, expected)) = refusals.into_iter().find(|(_, refused, _)| *refused) {
        return Err(Error::file_field(
            path,
            field,
            format!("{expected} in a llama2.c checkpoint"),
            "another value",
        ));
    }
    Ok(Header {
        hidden_size: config.hidden_size,
        ffn_size: config.ffn_size,
        n_layers: config.n_layers,
        n_heads: config.n_heads,
        n_kv_heads: config.n_kv_heads(),
        vocab_size: config.vocab_size,
        n_positions: config.max_positions,
        is_tied: config.tied_embeddings,
        is_marked: false,
    })
}

/// Whether the outputs of the projection are turned by their positions.
fn is_turned(name: &str) -> bool {
    name.ends_with("self_attn.q_proj.weight") || name.ends_with("self_attn.k_proj.weight")
}

/// The order of a head's entries.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Order {
    /// Pair j is (2j, 2j + 1).
    Interleaved,
    /// Pair j is (j, j + d/2).
    HalfSplit,
}

/// The rows `[heads·head_dim, columns]` in the order `wanted`, from the other one.
fn permute_rows(values: &[f32], columns: usize, head_dim: usize, wanted: Order) -> Vec<f32> {
    let half = head_dim / 2;
    let mut out = Vec::with_capacity(values.len());
    for head in values.chunks_exact(head_dim * columns) {
        for row in 0..head_dim {
            let from = match wanted {
                Order::HalfSplit => 2 * (row % half) + row / half,
                Order::Interleaved => row / 2 + row % 2 * half,
            };
            out.extend_from_slice(&head[from * columns..][..columns]);
        }
    }
    out
}
