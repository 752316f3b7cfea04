//! Calibration of a decoder on text or tokens.

use std::path::Path;

use burn::tensor::{Device, Int, Tensor, TensorData};
use grouping_core::files::text::read_text;
use grouping_core::matching::procrustes::PairLayout;
use grouping_core::nn::Attention;

use super::Calibration;
use super::vit::rows;
use crate::checkpoint::Checkpoint;
use crate::decoder::{GroupedDecoder, GroupedSelfAttention, LanguageModel, read_decoder};
use crate::{Error, Groups, Result};

/// Tokens that go through the decoder at once, and all of them at most.
const SEQUENCE: usize = 512;
const N_TOKENS: usize = 1 << 16;
/// Four times as many bytes as so many tokens of text have, and more than they take as numbers.
const LIMIT: u64 = 64 << 20;

/// The keys and values of a decoder's checkpoint over `data`: a text, cut by the model's tokenizer, or, where the name ends in `.json`, a list of lists of
/// tokens. At most 65,536 tokens are taken, in sequences of 512; `done` is told how many are done, of how many.
///
/// # Errors
/// Those of reading files, [`Error::FileField`](grouping_core::Error::FileField) for data without tokens or with tokens that the decoder has not.
pub fn calibrate_decoder(
    checkpoint: &Checkpoint,
    data: &Path,
    mut done: impl FnMut(usize, usize),
) -> Result<Calibration> {
    let device = Device::flex();
    let (decoder, sequences) = sequences(checkpoint, data, &device)?;
    let groups: Vec<Groups> =
        decoder.model.layers.iter().map(|layer| layer.self_attn.groups().clone()).collect();
    let mut calibration = Calibration::new(&groups, checkpoint.head_dim());
    let n_tokens = sequences.iter().map(Vec::len).sum();
    let mut n_done = 0;
    for tokens in sequences {
        n_done += tokens.len();
        let interleaved = checkpoint.dialect().rotary_pairs() == Some(PairLayout::Interleaved);
        run(&decoder, tokens, interleaved, &mut calibration)?;
        done(n_done, n_tokens);
    }
    Ok(calibration)
}

/// The decoder and the tokens it is run on.
fn sequences(
    checkpoint: &Checkpoint,
    data: &Path,
    device: &Device,
) -> Result<(GroupedDecoder, Vec<Vec<u32>>)> {
    let text = read_text(data, LIMIT)?;
    let (decoder, all) = if data.extension().is_some_and(|extension| extension == "json") {
        let lists: Vec<Vec<u32>> = serde_json::from_str(&text)
            .map_err(|e| Error::format(data, "tokens", "lists of tokens, [[1,2,…],…]", e))?;
        (read_decoder(checkpoint.path(), device)?, lists)
    } else {
        let model = LanguageModel::open(checkpoint.path(), None, device)?;
        let tokens = model.tokenizer.encode(&text)?;
        (model.decoder, vec![tokens])
    };
    let vocab = decoder.config().vocab_size;
    if let Some(token) = all.iter().flatten().find(|&&token| token as usize >= vocab) {
        return Err(Error::format(data, "tokens", format!("tokens below {vocab}"), token));
    }
    let mut rest = N_TOKENS;
    let mut sequences = vec![];
    for part in all.iter().flat_map(|tokens| tokens.chunks(SEQUENCE)).filter(|part| part.len() > 1) {
        let part = &part[..part.len().min(rest)];
        rest -= part.len();
        if !part.is_empty() {
            sequences.push(part.to_vec());
        }
    }
    if sequences.is_empty() {
        return Err(Error::format(data, "tokens", "at least two in a row", "none"));
    }
    Ok((decoder, sequences))
}

/// Runs one sequence, layer by layer, and takes in what each projects.
fn run(
    decoder: &GroupedDecoder,
    tokens: Vec<u32>,
    interleaved: bool,
    calibration: &mut Calibration,
) -> Result<()> {
    let n = tokens.len();
    let embedding = decoder.model.embed_tokens.weight.val();
    let device = embedding.device();
    let tokens: Vec<i32> = tokens.into_iter().map(|token| token as i32).collect();
    let places = Tensor::<1, Int>::from_data(TensorData::new(tokens, [n]), &device);
    let mut x = embedding.select(0, places).unsqueeze::<3>();
    for (i, layer) in decoder.model.layers.iter().enumerate() {
        let normed = layer.input_layernorm.forward(x.clone());
        let [keys, values] = projected(&layer.self_attn, &normed);
        let keys = if interleaved { in_file_order(keys) } else { keys };
        calibration.add(i, &rows(&keys)?, &rows(&values)?);
        x = layer.self_attn.forward_onto(x, normed);
        let normed = layer.post_attention_layernorm.forward(x.clone());
        x = layer.mlp.forward_onto(x, normed);
    }
    Ok(())
}

/// Keys, before rotary positions, and values: `[1, G, seq, head_dim]`.
fn projected(attention: &GroupedSelfAttention, x: &Tensor<3>) -> [Tensor<4>; 2] {
    [&attention.k_proj, &attention.v_proj].map(|projection| {
        let out = projection.forward(x.clone());
        let ([batch, seq, width], n_heads) = (out.dims(), attention.groups().n_kv_heads());
        out.reshape([batch, seq, n_heads, width / n_heads]).swap_dims(1, 2)
    })
}

/// Rotary pairs lie half a head apart in the decoder; a file of llama2.c has them side by side.
fn in_file_order(heads: Tensor<4>) -> Tensor<4> {
    let dim = heads.dims()[3];
    let order: Vec<i32> = (0..dim as i32).map(|at| at / 2 + at % 2 * (dim as i32 / 2)).collect();
    let order = Tensor::<1, Int>::from_data(TensorData::new(order, [dim]), &heads.device());
    heads.select(3, order)
}
