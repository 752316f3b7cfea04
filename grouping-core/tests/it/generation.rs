//! Decoding step by step against the whole sequence at once, and generation.

use std::ops::ControlFlow;

use burn::tensor::{Device, Int, Tensor, TensorData};
use grouping_core::Error;
use grouping_core::kernels::RopeScaling;
use grouping_core::nn::{
    AttentionCache, Decoder, DecoderConfig, Family, GenerationConfig, GenerationEvent, Stop, generate,
};
use proptest::prelude::*;

fn tokens(ids: &[u32]) -> Tensor<2, Int> {
    let ids: Vec<i32> = ids.iter().map(|id| *id as i32).collect();
    let n = ids.len();
    Tensor::from_data(TensorData::new(ids, [1, n]), &Device::flex())
}

fn values<const D: usize>(tensor: Tensor<D>) -> Vec<f32> {
    tensor.into_data().try_into_vec().expect("f32 values")
}

fn configs() -> Vec<DecoderConfig> {
    let plain = DecoderConfig::new(13, 16, 2, 4, 24).with_n_kv_heads(Some(2)).with_rope_theta(100.0);
    let scaling = RopeScaling::Llama3 {
        factor: 4.0,
        low_freq_factor: 1.0,
        high_freq_factor: 3.0,
        original_max_positions: 24,
    };
    vec![
        plain.clone(),
        plain.clone().with_rope_scaling(scaling).with_attention_bias(true).with_tied_embeddings(false),
        plain.clone().with_family(Family::Mistral).with_sliding_window(Some(3)),
        plain.clone().with_family(Family::Mistral).with_sliding_window(Some(1)),
        plain.with_family(Family::Qwen2).with_sliding_window(Some(4)).with_full_attention_layers(vec![0]),
    ]
}

/// The logits after each token, in one go: `[seq][vocab]`.
fn whole(decoder: &Decoder, ids: &[u32]) -> Vec<Vec<f32>> {
    values(decoder.forward(tokens(ids)))
        .chunks_exact(decoder.config().vocab_size)
        .map(<[_]>::to_vec)
        .collect()
}

fn max_difference(a: &[f32], b: &[f32]) -> f32 {
    assert_eq!(a.len(), b.len(), "equally many values");
    a.iter().zip(b).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]
    #[test]
    fn any_cut_into_steps_gives_the_logits_of_the_whole(
        which in 0..configs().len(),
        steps in prop::collection::vec(prop::collection::vec(0u32..13, 1..5), 1..8),
        capacity in 1usize..20,
    ) {
        let decoder = configs()[which].init(7, &Device::flex());
        let ids: Vec<u32> = steps.concat();
        let expected = whole(&decoder, &ids);
        let mut caches = decoder.new_caches(1, capacity);
        let mut n_seen = 0;
        for step in &steps {
            let logits = values(decoder.forward_cached(tokens(step), &mut caches));
            n_seen += step.len();
            let difference = max_difference(&logits, &expected[n_seen - 1]);
            prop_assert!(difference < 1e-5, "config {which}, after {n_seen} tokens: {difference}");
            prop_assert!(caches.iter().all(|cache| cache.n_positions() == n_seen), "positions are counted");
        }
    }
}

#[test]
fn sequences_of_a_batch_do_not_meet() {
    let decoder = configs()[0].init(7, &Device::flex());
    let both = Tensor::cat(vec![tokens(&[1, 2, 3]), tokens(&[9, 8, 7])], 0);
    let mut caches = decoder.new_caches(2, 4);
    decoder.forward_cached(both, &mut caches);
    let next = Tensor::cat(vec![tokens(&[4]), tokens(&[6])], 0);
    let logits = values(decoder.forward_cached(next, &mut caches));
    for (row, ids) in logits.chunks_exact(13).zip([[1, 2, 3, 4], [9, 8, 7, 6]]) {
        let difference = max_difference(row, &whole(&decoder, &ids)[3]);
        assert!(difference < 1e-5, "{ids:?}: {difference}");
    }
}

#[test]
fn a_cache_holds_what_it_says_and_forgets_what_no_query_sees() {
    let [plain, _, windowed, ..] = &configs()[..] else { panic!("there are several configurations") };
    let bytes = |config: &DecoderConfig, n_positions: usize| {
        let decoder = config.init(7, &Device::flex());
        let mut caches = decoder.new_caches(1, n_positions);
        for token in 0..40 {
            decoder.forward_cached(tokens(&[token % 13]), &mut caches);
        }
        caches.iter().map(AttentionCache::n_bytes).sum::<usize>()
    };
    // Layers · (keys, values) · heads · positions · head_dim · 4 bytes.
    assert_eq!(bytes(plain, 40), 2 * 2 * 2 * 40 * 4 * 4, "as many positions as were announced");
    assert_eq!(bytes(plain, 10), 2 * 2 * 2 * 40 * 4 * 4, "10, 20, 40: it doubles");
    assert_eq!(bytes(windowed, 40), 2 * 2 * 2 * 6 * 4 * 4, "two windows of three");
}

#[test]
fn greedy_generation_takes_the_best_token_of_the_whole() {
    for (which, config) in configs().iter().enumerate() {
        let decoder = config.init(3, &Device::flex());
        let mut ids = vec![5, 1, 2];
        let mut events = Vec::new();
        let settings = GenerationConfig::new().with_max_tokens(9);
        let generation = generate(&decoder, &ids, &settings, &mut |event| {
            events.push(event);
            ControlFlow::Continue(())
        })
        .expect("the prompt fits");
        for token in &generation.tokens {
            let logits = whole(&decoder, &ids).pop().expect("a row a token");
            let best = logits.iter().copied().fold(f32::MIN, f32::max);
            let chosen = logits[*token as usize];
            assert!(chosen > best - 1e-5, "config {which}: {chosen} was chosen, {best} is the best");
            ids.push(*token);
        }
        assert_eq!((generation.tokens.len(), generation.stop), (9, Stop::Length), "config {which}");
        let mut expected = vec![GenerationEvent::Prompt { n_tokens: 3 }];
        expected.extend(generation.tokens.iter().map(|token| GenerationEvent::Token { token: *token }));
        assert_eq!(events, expected, "config {which}: the observer hears of all");
    }
}

#[test]
fn generation_stops_where_it_should() {
    let decoder = configs()[0].clone().with_max_positions(8).init(3, &Device::flex());
    let run = |settings: &GenerationConfig, patience: usize| {
        let mut left = patience;
        generate(&decoder, &[5, 1, 2], settings, &mut |_| {
            left -= 1;
            if left == 0 { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
        })
        .expect("the prompt fits")
    };
    let free = run(&GenerationConfig::new(), 100);
    // Positions 0 to 7 are fed, and the last of them gives a token, too.
    assert_eq!((free.tokens.len(), free.stop), (6, Stop::Positions), "eight positions");
    assert_eq!(free.cache_bytes, 2 * 2 * 2 * 8 * 4 * 4, "as many positions as can be");
    let token = free.tokens[3];
    let first = free.tokens.iter().position(|t| *t == token).expect("it is among them");
    let stopped = run(&GenerationConfig::new().with_stop_tokens(vec![token]), 100);
    assert_eq!(stopped.tokens, free.tokens[..first], "a stop token is no part of the text");
    assert_eq!(stopped.stop, Stop::Token { token }, "and is named");
    let observed = run(&GenerationConfig::new(), 3);
    assert_eq!((observed.tokens.len(), observed.stop), (2, Stop::Observer), "the prompt, and two tokens");
    assert_eq!(
        run(&GenerationConfig::new().with_max_tokens(0), 100).tokens,
        [0u32; 0],
        "nothing is asked for"
    );
    let drawn = |seed| run(&GenerationConfig::new().with_temperature(2.0).with_seed(seed), 100).tokens;
    assert_eq!(drawn(4), drawn(4), "equal seeds draw equally");
    assert!((5..20).any(|seed| drawn(seed) != drawn(4)), "other seeds draw otherwise");
}

#[test]
fn prompts_that_do_not_fit_are_refused() {
    let decoder = configs()[0].clone().with_max_positions(8).init(3, &Device::flex());
    for (prompt, wanted) in [(&[][..], "found 0"), (&[1; 9], "1 to 8 tokens"), (&[1, 13], "tokens below 13")]
    {
        let error = generate(&decoder, prompt, &GenerationConfig::new(), &mut |_| ControlFlow::Continue(()))
            .expect_err("the prompt does not fit");
        assert!(matches!(error, Error::Setting { .. }), "{error}");
        assert!(error.to_string().contains(wanted), "`{wanted}` is named in: {error}");
    }
}
