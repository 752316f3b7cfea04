//! What grouping saves, against known counts.

use grouping_core::testing::assert_refused;
use kd_gqa::Groups;
use kd_gqa::account::{AccountConfig, Biases, Body, ModelShape, account};

#[test]
fn parameters_equal_those_of_the_models() {
    // timm 1.0.7: sum(p.numel() for p in timm.create_model(name).parameters()).
    let counts = [
        (192, 12, 3, 5_717_416),
        (384, 12, 6, 22_050_664),
        (768, 12, 12, 86_567_656),
        (1024, 24, 16, 304_326_632),
    ];
    for (hidden, n_layers, n_heads, expected) in counts {
        let shape = ModelShape::vit(n_layers, hidden, n_heads, 224, 16, 1000);
        assert_eq!(shape.n_parameters(), expected, "ViT of {hidden}");
    }
    // The 811,146 of a torch TransformerEncoder with 65 tokens of 4×4 patches.
    let mut small = ModelShape::vit(6, 128, 8, 32, 4, 10);
    small.feed_forward = 256;
    assert_eq!(small.n_parameters(), 811_146, "ViT of 128");
    assert_eq!(ModelShape::llama(32, 4096, 32, 11008, 32000).n_parameters(), 6_738_415_616, "Llama-2-7B");
    // Qwen2-0.5B: 14 heads over 2, biases on q, k and v, the embedding tied.
    let mut qwen = ModelShape::llama(24, 896, 14, 4864, 151_936).with_kv_heads(2);
    qwen.body = Body::Decoder { n_vocab: 151_936, tied: true };
    let mut biases = Biases::default();
    biases.qkv = true;
    qwen.biases = biases;
    assert_eq!(qwen.n_parameters(), 494_032_768, "Qwen2-0.5B");
}

#[test]
fn a_cache_shrinks_with_the_heads() {
    let llama = ModelShape::llama(32, 4096, 32, 11008, 32000);
    let counted = account(&llama, &[8; 32], AccountConfig::new(4096)).expect("counted");
    assert_eq!(
        [counted.before.cache_bytes, counted.after.cache_bytes],
        [2_147_483_648, 536_870_912],
        "bytes"
    );
    let saved = counted.before.parameters - counted.after.parameters;
    assert_eq!(saved, 32 * 2 * 4096 * 128 * 24, "weights of keys and values");
    assert_eq!(counted.before.macs - counted.after.macs, saved, "as many MACs for a token");
    let wide = AccountConfig::new(4096).with_batch(3).with_value_bytes(4);
    let counted = account(&llama, &[8; 32], wide).expect("counted");
    assert_eq!(counted.after.cache_bytes, 6 * 536_870_912, "three sequences of f32");
    let mut mixed = [32; 32];
    mixed[5] = 1;
    let counted = account(&llama, &mixed, AccountConfig::new(10)).expect("counted");
    assert_eq!(counted.layers[4].before, counted.layers[4].after, "layer 4 stays");
    assert_eq!(counted.layers[5].after.cache_bytes, 2 * 10 * 128 * 2, "layer 5 has one head");
    let error = account(&llama, &[8; 31], AccountConfig::new(1)).expect_err("a layer is missing");
    assert_eq!(
        error.to_string(),
        "n_kv_heads: expected a number for each of 32 layers, found 31",
        "the message"
    );
    for g in [0, 33] {
        assert_refused(account(&llama, &[g; 32], AccountConfig::new(1)), "expected 1 to 32 heads");
    }
}

#[test]
fn a_vit_saves_no_cache() {
    let small = ModelShape::vit(12, 384, 6, 224, 16, 1000);
    let counted = account(&small, &[3; 12], AccountConfig::new(4096)).expect("counted");
    assert_eq!(counted.after.parameters, 20_276_584, "ViT-S at half the heads");
    assert_eq!(
        [counted.before.cache_bytes, counted.after.cache_bytes, u64::from(counted.has_cache)],
        [0; 3],
        "none"
    );
    let saved = counted.before.macs - counted.after.macs;
    assert_eq!(saved, 12 * 2 * 197 * 384 * 384 / 2, "2·P·d²·(1 − G/H) a layer");
    // timm's 4.6 GMACs of ViT-S with scores and values.
    assert!((4.5e9..4.7e9).contains(&(counted.before.macs as f64)), "{} MACs", counted.before.macs);
    let groups: Vec<Groups> = (0..12).map(|_| Groups::new(vec![4, 1, 1], 6).expect("groups")).collect();
    let ragged = small.clone().with_groups(&groups).expect("groups of this model");
    assert_eq!(ragged.n_parameters(), counted.after.parameters, "sizes do not matter, their number does");
    assert_refused(small.with_groups(&groups[..3]), "expected those of 12 layers, found 3");
}

#[test]
fn json_says_before_and_after() {
    let small = ModelShape::vit(12, 384, 6, 224, 16, 1000);
    let counted = account(&small, &[3; 12], AccountConfig::new(1)).expect("counted");
    let json = serde_json::to_value(&counted).expect("JSON");
    assert_eq!(json["after"]["parameters"], 20_276_584, "{json}");
    assert_eq!(json["layers"][0]["n_kv_heads"], serde_json::json!([6, 3]), "{json}");
}
