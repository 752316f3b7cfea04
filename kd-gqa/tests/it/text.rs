//! Tokenizers and text from decoders: goldens by `oracles/kd-gqa/decoders.py` and `llama2c.py`.

use grouping_core::testing::assert_refused;
use std::ops::ControlFlow;
use std::path::Path;

use burn::tensor::{Device, Int, Tensor};
use grouping_core::nn::{GenerationConfig, Stop, generate};
use kd_gqa::decoder::{LanguageModel, TextEvent, read_decoder};
use kd_gqa::text::{TextStream, Tokenizer, open_tokenizer};
use proptest::prelude::*;
use serde::Deserialize;
use serde_json::Value;

use crate::data::{golden, real};

#[derive(Deserialize)]
struct Text {
    tokenizer: Option<String>,
    text: String,
    ids: Vec<u32>,
    decoded: String,
}

#[derive(Deserialize)]
struct Run {
    tokens: Vec<u32>,
    last_logits: Vec<f32>,
    greedy: Vec<u32>,
    text: String,
}

#[derive(Deserialize)]
struct Llama2c {
    texts: Vec<Text>,
    tied: Run,
    untied: Run,
}

fn json<T: serde::de::DeserializeOwned>(path: &Path) -> T {
    let text = std::fs::read_to_string(path).expect("the golden is committed");
    serde_json::from_str(&text).expect("the golden is valid")
}

fn check(tokenizer: &dyn Tokenizer, text: &Text) {
    assert_eq!(tokenizer.encode(&text.text).expect("it is cut"), text.ids, "tokens of {:?}", text.text);
    let decoded = tokenizer.decode(&text.ids).expect("it is put together");
    assert_eq!(decoded, text.decoded, "text of the tokens of {:?}", text.text);
    let mut stream = TextStream::new(tokenizer, &text.ids[..1.min(text.ids.len())]);
    let mut streamed = tokenizer.decode(&text.ids[..1.min(text.ids.len())]).expect("it is put together");
    for id in text.ids.iter().skip(1) {
        streamed += &stream.push(*id).expect("a known token");
    }
    streamed += &stream.finish().expect("the rest");
    assert_eq!(streamed, text.decoded, "{:?} in pieces", text.text);
}

#[test]
fn tokenizer_json_cuts_text_as_the_reference_does() {
    let folder = golden("decoders");
    for text in json::<Vec<Text>>(&folder.join("texts.json")) {
        let name = text.tokenizer.as_deref().expect("the golden names a tokenizer");
        check(&*open_tokenizer(&folder.join(name)).expect("the tokenizer is read"), &text);
    }
}

#[test]
fn llama2c_tokenizers_cut_text_as_the_reference_does() {
    let tokenizer = open_tokenizer(&golden("llama2c/tokenizer.bin")).expect("the tokenizer is read");
    for text in json::<Llama2c>(&golden("llama2c/expected.json")).texts {
        check(&*tokenizer, &text);
    }
    assert_eq!(tokenizer.n_tokens(), 277, "all its tokens");
    assert_refused(tokenizer.decode(&[277]), "one of its 277 tokens");
    assert_eq!(tokenizer.decode(&[1, 198, 1, 2]).expect("known tokens"), "\u{FFFD}", "half a character");
}

proptest! {
    #[test]
    fn any_text_comes_back(text in any::<String>(), like in "[ abcehtü]{0,40}") {
        let tokenizer = open_tokenizer(&golden("llama2c/tokenizer.bin")).expect("the tokenizer is read");
        for text in [text, like] {
            let ids = tokenizer.encode(&text).expect("every text is cut");
            prop_assert_eq!(tokenizer.decode(&ids).expect("its own tokens"), text, "bytes serve for all else");
        }
    }

    #[test]
    fn bytes_that_are_no_tokenizer_are_refused(bytes in prop::collection::vec(any::<u8>(), 0..4000)) {
        let file = tempfile::NamedTempFile::new().expect("a temporary file");
        std::fs::write(file.path(), bytes).expect("it can be written");
        // The field that is wrong: `header of token 0`, `length of token 7`, `tokens`; no path of a temporary file holds this word.
        assert_refused(open_tokenizer(file.path()), "token");
    }
}

#[test]
fn damaged_tokenizers_are_named() {
    let whole = std::fs::read(golden("llama2c/tokenizer.bin")).expect("the golden is committed");
    let at = |index: usize, bytes: &[u8]| {
        let mut damaged = whole.clone();
        damaged[index..index + bytes.len()].copy_from_slice(bytes);
        damaged
    };
    for (bytes, wanted) in [
        (vec![], "header of token 0"),
        (whole[..2].to_vec(), "header of token 0"),
        (whole[..4].to_vec(), "tokens"),
        (whole[..whole.len() - 1].to_vec(), "length of token 276"),
        (at(4, &f32::NAN.to_le_bytes()), "score of token 0"),
        (at(8, &(-5i32).to_le_bytes()), "length of token 0"),
        (at(8, &i32::MAX.to_le_bytes()), "length of token 0"),
        (at(52, b"<0x01>"), "piece of token 3"),
        ([&whole[..], &[0]].concat(), "score of token 277"),
    ] {
        let dir = tempfile::tempdir().expect("a temporary folder");
        let path = dir.path().join("tok.bin");
        std::fs::write(&path, bytes).expect("it can be written");
        let error = open_tokenizer(&path).expect_err("it is damaged").to_string();
        assert!(error.contains("tok.bin") && error.contains(wanted), "`{wanted}` is named in: {error}");
    }
    let dir = tempfile::tempdir().expect("a temporary folder");
    let path = dir.path().join("tokenizer.json");
    let error = open_tokenizer(&path).expect_err("it is absent").to_string();
    assert!(error.contains("tokenizer.json") && error.contains("read"), "{error}");
    std::fs::write(&path, "{\"version\": \"1.0\"}").expect("it can be written");
    let error = open_tokenizer(&path).expect_err("it is none").to_string();
    assert!(error.contains("tokenizer.json") && error.contains("expected a tokenizer.json"), "{error}");
}

#[test]
fn tokenizers_without_an_end_are_not_held() {
    let dir = tempfile::tempdir().expect("a temporary folder");
    for name in ["tokenizer.json", "tokenizer.bin"] {
        let path = dir.path().join(name);
        let file = std::fs::File::create(&path).expect("it can be created");
        file.set_len(1 << 40).expect("a file with a hole");
        let error = open_tokenizer(&path).expect_err("it is refused").to_string();
        assert!(error.contains(name) && error.contains("expected at most"), "{error}");
    }
}

#[test]
fn llama2c_checkpoints_compute_what_the_reference_computes() {
    let golden_runs: Llama2c = json(&golden("llama2c/expected.json"));
    for (name, run) in [("tied", golden_runs.tied), ("untied", golden_runs.untied)] {
        let path = golden("llama2c").join(format!("{name}.bin"));
        let decoder = read_decoder(&path, &Device::flex()).expect("the checkpoint is read");
        let ids: Vec<i32> = run.tokens.iter().map(|id| *id as i32).collect();
        let tokens = Tensor::<1, Int>::from_data(&*ids, &Device::flex()).unsqueeze();
        let logits: Vec<f32> = decoder.forward(tokens).into_data().try_into_vec().expect("f32 values");
        let last = &logits[logits.len() - run.last_logits.len()..];
        let difference = last.iter().zip(&run.last_logits).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
        assert!(difference < 1e-4, "{name}: logits differ by {difference}");
        let config = GenerationConfig::new().with_max_tokens(12);
        let found = generate(&decoder, &run.tokens, &config, &mut |_| ControlFlow::Continue(()));
        assert_eq!(found.expect("the prompt fits").tokens, run.greedy, "{name}: the greedy text");

        let model = LanguageModel::open(&path, None, &Device::flex()).expect("the tokenizer lies beside");
        let mut streamed = String::new();
        let completion = model
            .complete("the cab", &config, &mut |event| {
                if let TextEvent::Token { text, .. } | TextEvent::Rest { text } = event {
                    streamed.push_str(text);
                }
                ControlFlow::Continue(())
            })
            .expect("the prompt fits");
        assert_eq!(format!("the cab{}", completion.text), run.text, "{name}: the text");
        assert_eq!(streamed, completion.text, "{name}: the pieces make the text");
        assert_eq!(completion.generation.stop, Stop::Length, "{name}: twelve tokens");
    }
}

/// What `run.c` prints at temperature 0 with no prompt, as `oracles/kd-gqa/llama2c.py` computes it.
const STORY: &str = "Once upon a time, there was a little girl named Lily. She loved to play outside in the park. \
                     One day, she saw a big, red ball. She wanted to play with it, but it was too high.\n\
                     Lily's mom said, \"Lily, let's go to the park.\" Lily was sad and didn't know what to do.";

#[test]
fn the_small_story_model_tells_its_story() {
    let test = "the_small_story_model_tells_its_story";
    let Some(path) = real(test, "models/stories260K.bin") else { return };
    let tokenizer = real(test, "models/tok512.bin");
    let model = LanguageModel::open(&path, tokenizer.as_deref(), &Device::flex()).expect("the model is read");
    let config = GenerationConfig::new().with_max_tokens(256);
    let observe = &mut |_: TextEvent<'_>| ControlFlow::Continue(());
    let story = model.complete("", &config, observe).expect("the model runs");
    assert!(story.text.starts_with(STORY), "the documented story, found: {}", story.text);
    // Layers · (keys, values) · key/value heads · positions · head_dim · 4 bytes.
    assert_eq!(story.generation.cache_bytes, 5 * 2 * 4 * 257 * 8 * 4, "BOS and 256 tokens");
    let prompt = "Once upon a time, there was a little girl";
    let continued = model.complete(prompt, &config, observe).expect("the model runs");
    assert!(format!("{prompt}{}", continued.text).starts_with(STORY), "from the middle: {}", continued.text);
    // Without a name it is found beside the checkpoint, by the size of the vocabulary.
    LanguageModel::open(&path, None, &Device::flex()).expect("tok512.bin lies beside");
}

#[test]
fn a_folder_continues_text_with_its_tokenizer() {
    let folder = golden("decoders/llama3");
    let model = LanguageModel::open(&folder, None, &Device::flex()).expect("the folder is read");
    assert_eq!(model.stop_tokens, [2], "the configuration's");
    let config = GenerationConfig::new().with_max_tokens(20).with_temperature(1.5).with_seed(3);
    let observe = &mut |_: TextEvent<'_>| ControlFlow::Continue(());
    let completion = model.complete("once upon a time", &config, observe).expect("the model runs");
    let all = [&completion.prompt_tokens[..], &completion.generation.tokens].concat();
    let text = model.tokenizer.decode(&all).expect("its own tokens");
    assert_eq!(format!("once upon a time{}", completion.text), text, "prompt and continuation");
    let texts: Value = json(&golden("decoders/texts.json"));
    let ids: Vec<u32> = serde_json::from_value(texts[0]["ids"].clone()).expect("the golden is valid");
    assert_eq!(completion.prompt_tokens, ids, "BOS and the prompt");
    let bytes = golden("decoders/bytes.json");
    let error = LanguageModel::open(&folder, Some(&bytes), &Device::flex()).expect_err("it has more tokens");
    assert!(error.to_string().contains("at most the 48"), "{error}");
    let absent =
        LanguageModel::open(&golden("decoders/qwen2"), None, &Device::flex()).expect_err("none there");
    assert!(absent.to_string().contains("tokenizer.json in the folder"), "{absent}");
}
