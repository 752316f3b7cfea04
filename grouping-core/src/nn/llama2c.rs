//! Checkpoints of llama2.c in its first layout: seven numbers, then f32 tensors one after another, all little-endian.
//!
//! The numbers are i32: hidden, ffn, layers, heads, key/value heads, vocabulary (negative: the head is not the embedding),
//! positions. A negative number of key/value heads marks groups of unequal sizes, which stand elsewhere. The tensors, those of all layers of a kind together: embedding, norms before attention, wq, wk, wv, wo, norms
//! before the feed-forward network, w1 (gate), w2 (down), w3 (up), last norm, cosines and sines `[positions, head_dim/2]`, and the
//! head where it is not the embedding. θ is 10 000 and ε 1e-5, as in `run.c`.
//!
//! llama2.c turns the pairs (2j, 2j+1) of a head, Hugging Face and this decoder (j, j + d/2): the rows of wq and wk are permuted
//! when read and back when written, which changes no score.
//!
//! Deviation: `run.c` never looks at the cosines; here those of position 1 must be θ's, or the file is refused.

use std::io::{BufWriter, Write};
use std::path::{Path, PathBuf};

use burn::tensor::Device;
use memmap2::Mmap;

use super::attention::{Attention, SelfAttention};
use super::config::{DecoderConfig, Family};
use super::decoder::Decoder;
use super::init::Initializer;
use super::weights::{self, Layout, NamedTensors, TensorSource};
use crate::files::output::{Existing, write_file};
use crate::kernels::RopeScaling;
use crate::stats::finite::first_not_finite;
use crate::{Error, Result};

const HEADER_BYTES: usize = 7 * size_of::<i32>();
const THETA: f64 = 10_000.0;
const EPS: f64 = 1e-5;

/// Reads a decoder from the llama2.c checkpoint `path` to `device`.
///
/// # Errors
/// [`Error::File`], [`Error::FileField`] or [`Error::NotFinite`] when the file is absent, damaged, or holds what this decoder cannot be.
pub fn read_llama2c(path: &Path, device: &Device) -> Result<Decoder> {
    let Llama2cConfig { decoder, equal_groups } = read_llama2c_config(path)?;
    let (n_heads, n_kv_heads) = (decoder.n_heads, decoder.n_kv_heads());
    if !equal_groups || !n_heads.is_multiple_of(n_kv_heads) {
        let expected = format!("a divisor of n_heads = {n_heads}");
        let found =
            if equal_groups { n_kv_heads.to_string() } else { format!("-{n_kv_heads} (unequal groups)") };
        return Err(misfit(path, "n_kv_heads", expected, found));
    }
    read_llama2c_with(path, device, SelfAttention::new)
}

/// As [`read_llama2c`], with the attention of each layer made by `attention`, as in [`DecoderConfig::init_with`].
///
/// It is not checked that the key and value heads divide the query heads: groups are the attention's matter.
///
/// # Errors
/// As [`read_llama2c`].
pub fn read_llama2c_with<A: Attention>(
    path: &Path,
    device: &Device,
    attention: impl FnMut(&DecoderConfig, usize, &mut Initializer) -> A,
) -> Result<Decoder<A>> {
    let file = Checkpoint::open(path)?;
    weights::load_from(file.config.init_with(0, device, attention), &file, Layout::Checkpoint)
}

/// What the header of a llama2.c checkpoint says.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct Llama2cConfig {
    /// The decoder.
    pub decoder: DecoderConfig,
    /// Whether each key and value head serves equally many query heads.
    pub equal_groups: bool,
}

/// Reads the header of the llama2.c checkpoint `path`.
///
/// # Errors
/// As [`read_llama2c`].
pub fn read_llama2c_config(path: &Path) -> Result<Llama2cConfig> {
    let Checkpoint { config, equal_groups, .. } = Checkpoint::open(path)?;
    Ok(Llama2cConfig { decoder: config, equal_groups })
}

/// Writes `decoder` as the llama2.c checkpoint `path`, which appears whole or not at all.
///
/// # Errors
/// [`Error::File`] when `path` exists and is not to be replaced, or cannot be written, [`Error::FileField`] or [`Error::Shape`] of what the format has no place for.
pub fn write_llama2c<A: Attention>(decoder: &Decoder<A>, path: &Path, existing: Existing) -> Result<()> {
    if let Some((name, _)) = decoder.projections().into_iter().find(|(_, p)| p.low_rank.is_some()) {
        return Err(misfit(path, &name, "no update of low rank (fold it first)", "one"));
    }
    if let Some(unsaid) = decoder.model.layers.iter().find_map(|layer| layer.self_attn.unsaid()) {
        return Err(misfit(path, "attention", "what the format has a place for", unsaid));
    }
    let config = decoder.config();
    let header = header_of(config, path)?;
    let mut tensors = weights::collect(decoder, Layout::Checkpoint);
    for part in parts(config) {
        for name in part.names(config.n_layers) {
            let n_values = values_of(&tensors, &name).len();
            if n_values as u64 != part.n_values {
                let what = format!("{}: tensor `{name}`", path.display());
                let found = tensors[&name].0.clone();
                return Err(Error::Shape { what, expected: part.shape.to_vec(), found });
            }
        }
    }
    for (name, (shape, values)) in &mut tensors {
        if is_turned(name) {
            *values = permute_rows(values, shape[1], config.head_dim(), Order::Interleaved);
        }
    }
    write_file(path, existing, |file| {
        let failed = |e: std::io::Error| Error::File { path: path.to_owned(), reason: e.to_string() };
        let mut file = BufWriter::new(file);
        for number in header {
            file.write_all(&number.to_le_bytes()).map_err(failed)?;
        }
        let mut write =
            |values: &[f32]| values.iter().try_for_each(|v| file.write_all(&v.to_le_bytes()).map_err(failed));
        for part in parts(config) {
            match part.content {
                Content::Tensors(_) => {
                    for name in part.names(config.n_layers) {
                        write(values_of(&tensors, &name))?;
                    }
                }
                Content::Cosines => write(&table(config, f64::cos))?,
                Content::Sines => write(&table(config, f64::sin))?,
            }
        }
        file.flush().map_err(failed)
    })
}

fn values_of<'a>(tensors: &'a NamedTensors, name: &str) -> &'a [f32] {
    let (_, values) = tensors.get(name).unwrap_or_else(|| panic!("a decoder has a tensor `{name}`"));
    values
}

fn table(config: &DecoderConfig, of: fn(f64) -> f64) -> Vec<f32> {
    let half = config.head_dim() / 2;
    let entries = (0..config.max_positions).flat_map(|position| (0..half).map(move |j| (position, j)));
    entries.map(|(position, j)| of(position as f64 * frequency(j, half)) as f32).collect()
}

fn frequency(j: usize, half: usize) -> f64 {
    THETA.powf(-(j as f64) / half as f64)
}

/// The seven numbers, where the format has a place for all that `config` says.
fn header_of(config: &DecoderConfig, path: &Path) -> Result<[i32; 7]> {
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
        return Err(misfit(path, field, format!("{expected} in a llama2.c checkpoint"), "another value"));
    }
    let sizes = [
        ("hidden_size", config.hidden_size),
        ("ffn_size", config.ffn_size),
        ("n_layers", config.n_layers),
        ("n_heads", config.n_heads),
        ("n_kv_heads", config.n_kv_heads()),
        ("vocab_size", config.vocab_size),
        ("max_positions", config.max_positions),
    ];
    let mut header = [0; 7];
    for (number, (field, size)) in header.iter_mut().zip(sizes) {
        *number = i32::try_from(size).map_err(|_| misfit(path, field, "at most 2147483647", size))?;
    }
    if !config.tied_embeddings {
        header[5] = -header[5];
    }
    Ok(header)
}

/// What stands between two others in the file.
struct Part {
    content: Content,
    /// Values, of one layer where there is one for each.
    n_values: u64,
    /// Rows and columns; one row is a vector.
    shape: [usize; 2],
}

enum Content {
    /// The tensor of this name, or, where it starts with a dot, one of each layer.
    Tensors(&'static str),
    Cosines,
    Sines,
}

impl Part {
    fn names(&self, n_layers: usize) -> Vec<String> {
        match self.content {
            Content::Tensors(name) if name.starts_with('.') => {
                (0..n_layers).map(|layer_idx| format!("model.layers.{layer_idx}{name}")).collect()
            }
            Content::Tensors(name) => vec![name.to_owned()],
            Content::Cosines | Content::Sines => Vec::new(),
        }
    }

    fn n_copies(&self, n_layers: usize) -> u64 {
        match self.content {
            Content::Tensors(name) if name.starts_with('.') => n_layers as u64,
            _ => 1,
        }
    }
}

/// The file's parts in their order.
fn parts(config: &DecoderConfig) -> Vec<Part> {
    let (hidden, ffn, vocab) = (config.hidden_size, config.ffn_size, config.vocab_size);
    let kv = config.n_kv_heads() * config.head_dim();
    let table = [config.max_positions, config.head_dim() / 2];
    let tensors = Content::Tensors;
    let mut parts = vec![
        (tensors("model.embed_tokens.weight"), [vocab, hidden]),
        (tensors(".input_layernorm.weight"), [1, hidden]),
        (tensors(".self_attn.q_proj.weight"), [hidden, hidden]),
        (tensors(".self_attn.k_proj.weight"), [kv, hidden]),
        (tensors(".self_attn.v_proj.weight"), [kv, hidden]),
        (tensors(".self_attn.o_proj.weight"), [hidden, hidden]),
        (tensors(".post_attention_layernorm.weight"), [1, hidden]),
        (tensors(".mlp.gate_proj.weight"), [ffn, hidden]),
        (tensors(".mlp.down_proj.weight"), [hidden, ffn]),
        (tensors(".mlp.up_proj.weight"), [ffn, hidden]),
        (tensors("model.norm.weight"), [1, hidden]),
        (Content::Cosines, table),
        (Content::Sines, table),
    ];
    if !config.tied_embeddings {
        parts.push((tensors("lm_head.weight"), [vocab, hidden]));
    }
    // Sizes are below 2³¹, so products of two fit.
    let part = |(content, shape): (Content, [usize; 2])| Part {
        content,
        shape,
        n_values: shape[0] as u64 * shape[1] as u64,
    };
    parts.into_iter().map(part).collect()
}

/// An open file whose length is that of its header.
struct Checkpoint {
    path: PathBuf,
    map: Mmap,
    config: DecoderConfig,
    equal_groups: bool,
}

impl Checkpoint {
    fn open(path: &Path) -> Result<Self> {
        let fail = |e: std::io::Error| Error::File { path: path.to_owned(), reason: e.to_string() };
        let file = std::fs::File::open(path).map_err(fail)?;
        // SAFETY: the map is read only while this process holds it; as with every memory-mapped checkpoint, another
        // process that shortens the file meanwhile ends this one, and one that rewrites it changes the values read.
        let map = unsafe { Mmap::map(&file) }.map_err(fail)?;
        let (config, equal_groups) = parse_header(path, &map)?;
        let n_values: u128 = parts(&config)
            .iter()
            .map(|part| u128::from(part.n_values) * u128::from(part.n_copies(config.n_layers)))
            .sum();
        let expected = HEADER_BYTES as u128 + 4 * n_values;
        if map.len() as u128 != expected {
            let reason = format!("expected {expected} bytes by its header, found {}", map.len());
            return Err(Error::File { path: path.to_owned(), reason });
        }
        let file = Self { path: path.to_owned(), map, config, equal_groups };
        file.check_cosines()?;
        Ok(file)
    }

    fn check_cosines(&self) -> Result<()> {
        let half = self.config.head_dim() / 2;
        let cosines =
            parts(&self.config).into_iter().take_while(|part| !matches!(part.content, Content::Cosines));
        let first: u64 = cosines.map(|part| part.n_values * part.n_copies(self.config.n_layers)).sum();
        let row = first as usize + half;
        for j in 0..if self.config.max_positions > 1 { half } else { 0 } {
            let (found, expected) = (self.value(row + j), frequency(j, half).cos() as f32);
            // NaN differs, too.
            if (found - expected).abs() < 1e-3 {
                continue;
            }
            let expected = format!("{expected}, the cosine of theta 10000");
            return Err(misfit(&self.path, &format!("cosines[1][{j}]"), expected, found));
        }
        Ok(())
    }

    fn value(&self, index: usize) -> f32 {
        let at = HEADER_BYTES + 4 * index;
        f32::from_le_bytes([self.map[at], self.map[at + 1], self.map[at + 2], self.map[at + 3]])
    }

    /// The shape of the tensor `name` and the index of its first value.
    fn place(&self, name: &str) -> Option<([usize; 2], usize)> {
        let mut first = 0;
        for part in parts(&self.config) {
            let n_values = part.n_values as usize;
            if let Some(copy) = part.names(self.config.n_layers).iter().position(|own| own == name) {
                return Some((part.shape, first + copy * n_values));
            }
            first += n_values * part.n_copies(self.config.n_layers) as usize;
        }
        None
    }
}

fn parse_header(path: &Path, bytes: &[u8]) -> Result<(DecoderConfig, bool)> {
    let Some(header) = bytes.get(..HEADER_BYTES) else {
        let reason = format!("expected a header of {HEADER_BYTES} bytes, found {}", bytes.len());
        return Err(Error::File { path: path.to_owned(), reason });
    };
    let mut numbers = [0i32; 7];
    for (number, b) in numbers.iter_mut().zip(header.chunks_exact(4)) {
        *number = i32::from_le_bytes([b[0], b[1], b[2], b[3]]);
    }
    let (equal_groups, tied) = (numbers[4] > 0, numbers[5] > 0);
    for number in &mut numbers[4..6] {
        *number = number.saturating_abs();
    }
    let names = ["dim", "hidden_dim", "n_layers", "n_heads", "n_kv_heads", "vocab_size", "seq_len"];
    for (number, name) in numbers.into_iter().zip(names) {
        if number < 1 {
            return Err(misfit(path, name, "a number above zero", number));
        }
    }
    let [hidden, ffn, n_layers, n_heads, n_kv_heads, vocab, positions] = numbers.map(|n| n as usize);
    if hidden % n_heads != 0 || (hidden / n_heads) % 2 != 0 {
        let expected = format!("an even multiple of n_heads = {n_heads}");
        return Err(misfit(path, "dim", expected, hidden));
    }
    if n_kv_heads > n_heads {
        return Err(misfit(path, "n_kv_heads", format!("at most n_heads = {n_heads}"), n_kv_heads));
    }
    let config = DecoderConfig::new(vocab, hidden, n_layers, n_heads, ffn)
        .with_family(Family::Llama)
        .with_n_kv_heads(Some(n_kv_heads))
        .with_head_dim(Some(hidden / n_heads))
        .with_rope_theta(THETA)
        .with_rms_norm_eps(EPS)
        .with_max_positions(positions)
        .with_tied_embeddings(tied);
    Ok((config, equal_groups))
}

impl TensorSource for Checkpoint {
    fn read(&self, name: &str) -> Result<(Vec<usize>, Vec<f32>)> {
        let Some(([rows, columns], first)) = self.place(name) else {
            let reason = format!("expected a tensor `{name}`, found none in a llama2.c checkpoint");
            return Err(Error::File { path: self.path.clone(), reason });
        };
        let at = HEADER_BYTES + 4 * first;
        let bytes = self.map[at..at + 4 * rows * columns].chunks_exact(4);
        let values: Vec<f32> = bytes.map(|b| f32::from_le_bytes([b[0], b[1], b[2], b[3]])).collect();
        if let Some(index) = first_not_finite(&values) {
            let what = format!("{}: tensor `{name}`", self.path.display());
            return Err(Error::NotFinite { what, index, value: f64::from(values[index]) });
        }
        let is_vector = name.ends_with("norm.weight");
        let shape = if is_vector { vec![columns] } else { vec![rows, columns] };
        Ok(if is_turned(name) {
            (shape, permute_rows(&values, columns, self.config.head_dim(), Order::HalfSplit))
        } else {
            (shape, values)
        })
    }

    fn path(&self, _name: &str) -> &Path {
        &self.path
    }
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

fn misfit(path: &Path, field: &str, expected: impl Into<String>, found: impl ToString) -> Error {
    let (field, expected, found) = (field.to_owned(), expected.into(), found.to_string());
    Error::FileField { path: path.to_owned(), field, expected, found }
}
