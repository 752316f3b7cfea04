//! Files of llama2.c in its first layout: seven whole numbers, then all weights in `f32`, each kind for all layers together.
//!
//! Header: `dim, hidden_dim, n_layers, n_heads, n_kv_heads, vocab_size, seq_len` as `i32`. A negative `vocab_size` says that the output
//! layer has weights of its own at the end. Weights: embedding `[V, d]`; attention norms `[L, d]`; `W_Q [L, d, d]`,
//! `W_K` and `W_V [L, G·hd, d]`, `W_O [L, d, d]`; feed-forward norms `[L, d]`; `w1 [L, h, d]`, `w2 [L, d, h]`, `w3 [L, h, d]`; the final norm
//! `[d]`; cosines and sines of the positions `[S, hd/2]`, which no reader uses.
//!
//! Ours: a negative `n_kv_heads` says that the groups are of unequal sizes, listed in `kd_gqa.json` beside the file. The format has no
//! other place for them, and readers that know nothing of it fail instead of computing something else.

use std::fs::File;
use std::io::Read;
use std::path::Path;

use grouping_core::files::tensor_file::{Dtype, Planned, TensorFile};

use crate::{Error, Result};

/// What later layouts of llama2.c begin with.
const MAGIC: [u8; 4] = 0x616b_3432u32.to_le_bytes();
const FIELDS: [&str; 7] = ["dim", "hidden_dim", "n_layers", "n_heads", "n_kv_heads", "vocab_size", "seq_len"];
/// Length of the header.
const N_BYTES: usize = 28;

/// The header.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Header {
    pub(crate) hidden_size: usize,
    pub(crate) ffn_size: usize,
    pub(crate) n_layers: usize,
    pub(crate) n_heads: usize,
    pub(crate) n_kv_heads: usize,
    pub(crate) vocab_size: usize,
    pub(crate) n_positions: usize,
    /// Whether the output layer shares the embedding's weights.
    pub(crate) is_tied: bool,
    /// Whether all groups have one size.
    pub(crate) is_uniform: bool,
}

impl Header {
    /// Reads and checks a file's header.
    ///
    /// # Errors
    /// [`Error::Io`] for a file that cannot be read, [`Error::Format`] for numbers that are no model's, by name.
    pub(crate) fn read(path: &Path) -> Result<Self> {
        let mut file = File::open(path).map_err(Error::io(path, "open"))?;
        let mut bytes = vec![];
        file.by_ref().take(N_BYTES as u64).read_to_end(&mut bytes).map_err(Error::io(path, "read"))?;
        let n_bytes = file.metadata().map_err(Error::io(path, "look at"))?.len();
        if bytes.starts_with(&MAGIC) {
            let expected = "a file of llama2.c in its first layout (`export.py --version 0`)";
            return Err(Error::format(path, "magic number", expected, "a later one (ak42)"));
        }
        let words = bytes.as_chunks::<4>().0;
        let Ok(words) = <[[u8; 4]; 7]>::try_from(words) else {
            return Err(Error::format(
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
                return Err(Error::format(path, *name, "a number above zero", number));
            }
        }
        let [hidden_size, ffn_size, n_layers, n_heads, n_kv_heads, vocab_size, n_positions] =
            numbers.map(|n| n.unsigned_abs() as usize);
        let (is_tied, is_uniform) = (numbers[5] > 0, numbers[4] > 0);
        let fits = |name: &str, fits: bool, expected: String, found: usize| {
            if fits { Ok(()) } else { Err(Error::format(path, name, expected, found)) }
        };
        fits(
            "n_heads",
            hidden_size.is_multiple_of(2 * n_heads),
            format!("a divisor of dim / 2 = {}", hidden_size / 2),
            n_heads,
        )?;
        fits("n_kv_heads", n_kv_heads <= n_heads, format!("at most n_heads = {n_heads}"), n_kv_heads)?;
        let is_divisor = !is_uniform || n_heads.is_multiple_of(n_kv_heads);
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
            is_uniform,
        })
    }

    pub(crate) fn head_dim(&self) -> usize {
        self.hidden_size / self.n_heads
    }

    /// The header with another number of key/value heads.
    pub(crate) fn with_kv_heads(&self, n_kv_heads: usize, is_uniform: bool) -> Self {
        Self { n_kv_heads, is_uniform, ..self.clone() }
    }

    /// The header's bytes.
    pub(crate) fn to_bytes(&self) -> Vec<u8> {
        let signed = |n: usize, positive: bool| if positive { n as i32 } else { -(n as i32) };
        let numbers = [
            self.hidden_size as i32,
            self.ffn_size as i32,
            self.n_layers as i32,
            self.n_heads as i32,
            signed(self.n_kv_heads, self.is_uniform),
            signed(self.vocab_size, self.is_tied),
            self.n_positions as i32,
        ];
        numbers.iter().flat_map(|n| n.to_le_bytes()).collect()
    }

    /// All tensors in the order of the file, under Meta's names, layer by layer.
    pub(crate) fn tensors(&self) -> Vec<Planned> {
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
    /// [`Error::Core`] for a file that is shorter than the header says, naming the tensor that is cut, [`Error::Format`] for
    /// one that is longer.
    pub(crate) fn open(&self, path: &Path) -> Result<TensorFile> {
        let tensors = self.tensors();
        let file = TensorFile::with_layout(path, N_BYTES, &tensors)?;
        let n_values: usize = tensors.iter().map(|t| t.shape.iter().product::<usize>()).sum();
        let expected = N_BYTES + 4 * n_values;
        if file.n_bytes() != expected {
            return Err(Error::format(
                path,
                "length",
                format!("{expected} bytes for this header"),
                file.n_bytes(),
            ));
        }
        Ok(file)
    }
}
