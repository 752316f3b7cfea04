//! Files of llama2.c in its first layout: seven whole numbers, then all weights in `f32`, each kind for all layers together.
//!
//! Header: `dim, hidden_dim, n_layers, n_heads, n_kv_heads, vocab_size, seq_len` as little-endian `i32`. A negative `vocab_size` says that
//! the output layer has weights of its own at the end. Weights: embedding `[V, d]`; attention norms `[L, d]`; `W_Q [L, d, d]`,
//! `W_K` and `W_V` `[L, G·hd, d]`, `W_O [L, d, d]`; feed-forward norms `[L, d]`; `w1` (gate) `[L, h, d]`, `w2` (down) `[L, d, h]`, `w3` (up) `[L, h, d]`;
//! the final norm `[d]`; cosines and sines of the positions `[S, hd/2]`, which no reader uses.
//!
//! Ours: `n_kv_heads` may be negative, too, which llama2.c never writes. Such a file is *marked*: its key/value heads are not all alike and are
//! described elsewhere, and plain readers fail instead of computing something else.

use std::fs::File;
use std::io::Read;
use std::path::Path;

use super::tensor_file::{Dtype, Planned, TensorFile};
use crate::{Error, Result};

/// What later layouts of llama2.c begin with.
const MAGIC: [u8; 4] = 0x616b_3432u32.to_le_bytes();
const FIELDS: [&str; 7] = ["dim", "hidden_dim", "n_layers", "n_heads", "n_kv_heads", "vocab_size", "seq_len"];
/// Length of the header.
const N_BYTES: usize = 4 * FIELDS.len();

/// The header of a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Header {
    /// Width of the residual stream d.
    pub hidden_size: usize,
    /// Width of the feed-forward part h.
    pub ffn_size: usize,
    /// Number of layers L.
    pub n_layers: usize,
    /// Number of query heads H.
    pub n_heads: usize,
    /// Number of key/value heads G.
    pub n_kv_heads: usize,
    /// Number of tokens V.
    pub vocab_size: usize,
    /// Positions S that the tables of cosines and sines have.
    pub n_positions: usize,
    /// Whether the output layer shares the embedding's weights.
    pub is_tied: bool,
    /// Whether the number of key/value heads is written negative.
    pub is_marked: bool,
}

impl Header {
    /// Reads and checks a file's header.
    ///
    /// # Errors
    /// [`Error::Io`] for a file that cannot be read, [`Error::FileField`] for numbers that are no model's, by name.
    pub fn read(path: &Path) -> Result<Self> {
        let mut file = File::open(path).map_err(Error::file(path, "open"))?;
        let mut bytes = vec![];
        file.by_ref().take(N_BYTES as u64).read_to_end(&mut bytes).map_err(Error::file(path, "read"))?;
        let n_bytes = file.metadata().map_err(Error::file(path, "read"))?.len();
        if bytes.starts_with(&MAGIC) {
            let expected = "a file of llama2.c in its first layout (version 0 of `export.py`)";
            return Err(Error::file_field(path, "magic number", expected, "a later one (ak42)"));
        }
        let words = bytes.as_chunks::<4>().0;
        let Ok(words) = <[[u8; 4]; 7]>::try_from(words) else {
            return Err(Error::file_field(
                path,
                "header",
                "seven whole numbers of llama2.c",
                format!("{n_bytes} bytes"),
            ));
        };
        let numbers = words.map(i32::from_le_bytes);
        for ((name, number), may_be_negative) in
            FIELDS.iter().zip(numbers).zip([false, false, false, false, true, true, false])
        {
            if number == 0 || (number < 0 && !may_be_negative) {
                return Err(Error::file_field(path, *name, "a number above zero", number));
            }
        }
        let [hidden_size, ffn_size, n_layers, n_heads, n_kv_heads, vocab_size, n_positions] =
            numbers.map(|n| n.unsigned_abs() as usize);
        let (is_tied, is_marked) = (numbers[5] > 0, numbers[4] < 0);
        let fits = |name: &str, fits: bool, expected: String, found: usize| {
            if fits { Ok(()) } else { Err(Error::file_field(path, name, expected, found)) }
        };
        fits(
            "n_heads",
            hidden_size.is_multiple_of(2 * n_heads),
            format!("a divisor of dim / 2 = {}", hidden_size / 2),
            n_heads,
        )?;
        fits("n_kv_heads", n_kv_heads <= n_heads, format!("at most n_heads = {n_heads}"), n_kv_heads)?;
        let is_divisor = is_marked || n_heads.is_multiple_of(n_kv_heads);
        fits("n_kv_heads", is_divisor, format!("a divisor of n_heads = {n_heads}"), n_kv_heads)?;
        // Each layer has nine tensors, so the file bounds what its header may ask for.
        let most = usize::try_from(n_bytes / 36).unwrap_or(usize::MAX);
        fits("n_layers", n_layers <= most, format!("at most {most} in a file of {n_bytes} bytes"), n_layers)?;
        Ok(Self {
            hidden_size,
            ffn_size,
            n_layers,
            n_heads,
            n_kv_heads,
            vocab_size,
            n_positions,
            is_tied,
            is_marked,
        })
    }

    /// The length of a head.
    pub fn head_dim(&self) -> usize {
        self.hidden_size / self.n_heads
    }

    /// The header's bytes.
    ///
    /// # Errors
    /// [`Error::Setting`] for a size that the format has no room for.
    pub fn to_bytes(&self) -> Result<Vec<u8>> {
        let sizes = [
            self.hidden_size,
            self.ffn_size,
            self.n_layers,
            self.n_heads,
            self.n_kv_heads,
            self.vocab_size,
            self.n_positions,
        ];
        let mut bytes = Vec::with_capacity(N_BYTES);
        for (name, size) in FIELDS.into_iter().zip(sizes) {
            let number = i32::try_from(size).map_err(|_| Error::Setting {
                name: name.into(),
                expected: "at most 2147483647 in a file of llama2.c".into(),
                found: size.to_string(),
            })?;
            let is_negative = name == "vocab_size" && !self.is_tied || name == "n_kv_heads" && self.is_marked;
            bytes.extend(if is_negative { -number } else { number }.to_le_bytes());
        }
        Ok(bytes)
    }

    /// All tensors in the order of the file, under Meta's names, layer by layer.
    pub fn tensors(&self) -> Vec<Planned> {
        let (d, h, kv) = (self.hidden_size, self.ffn_size, self.n_kv_heads * self.head_dim());
        let mut out = vec![];
        let mut add =
            |name: String, shape: &[usize]| out.push(Planned::new(name, shape.to_vec(), Dtype::F32));
        add("tok_embeddings.weight".into(), &[self.vocab_size, d]);
        let kinds: [(&str, &[usize]); 9] = [
            ("attention_norm.weight", &[d]),
            ("attention.wq.weight", &[d, d]),
            ("attention.wk.weight", &[kv, d]),
            ("attention.wv.weight", &[kv, d]),
            ("attention.wo.weight", &[d, d]),
            ("ffn_norm.weight", &[d]),
            ("feed_forward.w1.weight", &[h, d]),
            ("feed_forward.w2.weight", &[d, h]),
            ("feed_forward.w3.weight", &[h, d]),
        ];
        for (name, shape) in kinds {
            for layer in 0..self.n_layers {
                add(format!("layers.{layer}.{name}"), shape);
            }
        }
        add("norm.weight".into(), &[d]);
        for name in ["freqs_cos", "freqs_sin"] {
            add(name.into(), &[self.n_positions, self.head_dim() / 2]);
        }
        if !self.is_tied {
            add("output.weight".into(), &[self.vocab_size, d]);
        }
        out
    }

    /// Maps the file's tensors.
    ///
    /// # Errors
    /// [`Error::FileField`] for a file that is shorter than the header says, naming the tensor that is cut, and for one that is longer.
    pub fn open(&self, path: &Path) -> Result<TensorFile> {
        let tensors = self.tensors();
        let file = TensorFile::with_layout(path, N_BYTES, &tensors)?;
        let n_values: usize = tensors.iter().map(|t| t.shape.iter().product::<usize>()).sum();
        let expected = N_BYTES + 4 * n_values;
        if file.n_bytes() != expected {
            return Err(Error::file_field(
                path,
                "length",
                format!("{expected} bytes for this header"),
                file.n_bytes(),
            ));
        }
        Ok(file)
    }
}
