//! Attention over unequal groups against gathered heads, Burn's own attention and plain multi-head attention; the cache against
//! the whole sequence and against the bytes that are allocated.

use burn::tensor::ops::AttentionModuleOptions;
use burn::tensor::{Device, Tensor, TensorData, activation, module::attention};
use grouping_core::testing::assert_refused;
use kd_gqa::attention::{
    AttentionOptions, GroupedAttention, GroupedAttentionConfig, KvCache, Visibility, grouped_attention,
};
use kd_gqa::{Error, Groups};
use proptest::prelude::*;

use crate::allocated_bytes::live_bytes;

/// Values from −2 to 2 that depend on `seed` alone.
pub(crate) fn waves<const D: usize>(shape: [usize; D], seed: usize, device: &Device) -> Tensor<D> {
    let n: usize = shape.iter().product();
    let values: Vec<f32> =
        (0..n).map(|i| ((i * 7919 + seed * 104_729) % 2003) as f32 / 500.0 - 2.0).collect();
    Tensor::from_data(TensorData::new(values, shape), device)
}

pub(crate) fn floats<const D: usize>(tensor: Tensor<D>) -> Vec<f64> {
    tensor.into_data().iter::<f64>().collect()
}

pub(crate) fn assert_close(what: &str, found: &[f64], want: &[f64], tolerance: f64) {
    assert_eq!(found.len(), want.len(), "{what}: number of entries");
    for (i, (f, w)) in found.iter().zip(want).enumerate() {
        assert!((f - w).abs() <= tolerance, "{what}: entry {i} is {f}, expected {w} within {tolerance}");
    }
}

fn groups(sizes: &[usize]) -> Groups {
    Groups::new(sizes.to_vec(), sizes.iter().sum()).expect("sizes above zero")
}

/// Plain attention after giving every query head its own copy of its key head.
fn gathered([q, k, v]: [Tensor<4>; 3], groups: &Groups) -> Tensor<4> {
    let of_head = groups.heads().enumerate().flat_map(|(group, heads)| vec![group as i32; heads.len()]);
    let of_head: Vec<i32> = of_head.collect();
    let of_head = Tensor::from_ints(of_head.as_slice(), &q.device());
    let [k, v] = [k, v].map(|x| x.select(1, of_head.clone()));
    let scores = q.clone().matmul(k.swap_dims(2, 3)) / (q.dims()[3] as f64).sqrt();
    activation::softmax(scores, 3).matmul(v)
}

fn heads(sizes: &[usize], seq_q: usize, seq_k: usize) -> [Tensor<4>; 3] {
    let device = Device::flex();
    let kv = [2, sizes.len(), seq_k, 8];
    [waves([2, sizes.iter().sum(), seq_q, 8], 1, &device), waves(kv, 2, &device), waves(kv, 3, &device)]
}

#[test]
fn unequal_groups_equal_gathered_heads() {
    for sizes in [vec![3, 0, 1, 2], vec![6], vec![0, 6], vec![1; 6], vec![9, 1, 4, 4, 2, 6, 3, 3]] {
        for seq_q in [1, 7, 30] {
            let (qkv, groups) = (heads(&sizes, seq_q, 30), groups(&sizes));
            let want = floats(gathered(qkv.clone(), &groups));
            let [q, k, v] = qkv;
            let found =
                grouped_attention(q, k, v, groups.sizes(), &AttentionOptions::new()).expect("shapes fit");
            assert_close(&format!("{sizes:?}, {seq_q} queries"), &floats(found), &want, 1e-5);
        }
    }
}

#[test]
fn uniform_groups_equal_burns_own_attention() {
    for sizes in [vec![1; 4], vec![2; 3], vec![4]] {
        let [q, k, v] = heads(&sizes, 9, 9);
        let options = AttentionModuleOptions { is_causal: true, ..AttentionModuleOptions::default() };
        let want = floats(attention(q.clone(), k.clone(), v.clone(), None, None, options));
        let groups = Groups::uniform(sizes.iter().sum(), sizes.len()).expect("a divisor");
        let found =
            grouped_attention(q, k, v, groups.sizes(), &AttentionOptions::causal()).expect("shapes fit");
        assert_close(&format!("{sizes:?}"), &floats(found), &want, 1e-5);
    }
}

#[test]
fn what_does_not_fit_is_a_typed_error() {
    let run = |sizes: &[usize], options: &AttentionOptions, seq_q: usize| {
        let [q, k, v] = heads(&[2, 1], seq_q, 5);
        grouped_attention(q, k, v, sizes, options).expect_err("does not fit").to_string()
    };
    let plain = AttentionOptions::new();
    let mask = |shape| AttentionOptions::new().with_mask(Tensor::zeros(shape, &Device::flex()));
    for (found, words) in [
        (run(&[2, 2], &plain, 5), "sizes: expected sizes that sum to the 3 heads of q, found [2, 2]"),
        (run(&[1, 1, 1], &plain, 5), "k: expected shape [2, 3, 5, 8], found [2, 2, 5, 8]"),
        (run(&[2, 1], &AttentionOptions::causal(), 6), "queries: expected at most 5, as many as keys"),
        (run(&[2, 1], &mask([1, 2, 5, 5]), 5), "mask: expected shape [2, 3, 5, 5], found [1, 2, 5, 5]"),
        (run(&[2, 1], &mask([1, 1, 5, 4]), 5), "mask: expected shape [2, 3, 5, 5], found [1, 1, 5, 4]"),
        (run(&[2, 1], &plain.clone().with_dropout(1.0, 0), 5), "dropout: expected a probability"),
        (run(&[2, 1], &plain.clone().with_visibility(Visibility::Window(0)), 5), "window: expected"),
    ] {
        assert!(found.contains(words), "the message is {found:?}, expected {words:?}");
    }
}

#[test]
fn scores_of_ten_thousand_stay_finite() {
    let [q, k, v] = heads(&[2, 1], 9, 9);
    let out = grouped_attention(q * 60.0, k * 60.0, v, &[2, 1], &AttentionOptions::new());
    let out = floats(out.expect("shapes fit"));
    assert!(out.iter().all(|x| x.abs() <= 2.0), "outputs are means of values");
}

fn module(config: &GroupedAttentionConfig) -> GroupedAttention {
    config.init(3, &Device::flex()).expect("a configuration that fits")
}

#[test]
fn the_module_with_a_group_a_head_is_multi_head_attention() {
    let device = Device::flex();
    let attention = module(&GroupedAttentionConfig::new(24, 3, 3));
    let x = waves([2, 5, 24], 4, &device);
    let project =
        |weight: Tensor<2>| x.clone().matmul(weight.unsqueeze()).reshape([2, 5, 3, 8]).swap_dims(1, 2);
    let [q, k, v] =
        [&attention.q_proj, &attention.k_proj, &attention.v_proj].map(|p| project(p.weight.val()));
    let scores = q.matmul(k.swap_dims(2, 3)) / 8f64.sqrt();
    let heads = activation::softmax(scores, 3).matmul(v).swap_dims(1, 2).reshape([2, 5, 24]);
    let want = floats(heads.matmul(attention.o_proj.weight.val().unsqueeze()));
    assert_close("multi-head", &floats(attention.forward(x)), &want, 1e-5);
}

#[test]
fn hooks_see_the_keys_and_may_change_groups_and_weights() {
    let device = Device::flex();
    let attention = module(&GroupedAttentionConfig::new(24, 6, 3).with_causal(true));
    let x = waves([2, 5, 24], 4, &device);
    let other = groups(&[4, 0, 2]);
    let want = floats(attention.forward_with(x.clone(), &other).expect("six heads, three groups"));
    assert_ne!(want, floats(attention.forward(x.clone())), "other groups, other outputs");

    let mut hook = |call: kd_gqa::attention::AttentionCall<'_>| {
        assert_eq!((call.layer_idx, call.k.dims()), (5, [2, 3, 5, 4]), "what the hook sees");
        assert_eq!(call.input.dims(), [2, 5, 24], "the input of the projections");
        call.run_with(&other)
    };
    let found = attention.forward_hooked(x.clone(), 5, &mut hook).expect("fits");
    assert_eq!(floats(found), want, "groups chosen by a hook");

    let mut by_weights = |call: kd_gqa::attention::AttentionCall<'_>| {
        let parts = call.weights(&other)?;
        let product =
            |(group, weights): (usize, Tensor<4>)| weights.matmul(call.v.clone().narrow(1, group, 1));
        Ok(Tensor::cat(parts.into_iter().map(product).collect(), 1))
    };
    let found = attention.forward_hooked(x, 0, &mut by_weights).expect("fits");
    assert_close("weights times values", &floats(found), &want, 1e-5);
}

#[test]
fn a_module_refuses_what_cannot_be() {
    let base = GroupedAttentionConfig::new(24, 6, 4);
    let message =
        |config: &GroupedAttentionConfig| config.init(0, &Device::flex()).expect_err("cannot be").to_string();
    assert!(message(&base).contains("4 key/value heads do not divide 6 heads"), "{}", message(&base));
    let sizes = base.clone().with_groups(Some(groups(&[2, 2, 2])));
    assert!(message(&sizes).contains("groups: expected 4 sizes, found 3"), "{}", message(&sizes));
    let heads = GroupedAttentionConfig::new(25, 6, 3);
    assert!(message(&heads).contains("d_model 25, 6 heads"), "{}", message(&heads));
    let dropout = GroupedAttentionConfig::new(24, 6, 3).with_dropout(1.5);
    assert!(message(&dropout).contains("dropout"), "{}", message(&dropout));
    let mut attention = module(&GroupedAttentionConfig::new(24, 6, 3));
    assert!(
        matches!(attention.set_groups(groups(&[2, 2])), Err(Error::Groups { n_heads: 6, .. })),
        "four heads"
    );
    assert_refused(attention.set_groups(groups(&[3, 3])), "expected 3 sizes, found 2");
    attention.set_groups(groups(&[1, 5, 0])).expect("six heads in three groups");
    assert_eq!(attention.groups().sizes(), [1, 5, 0], "the new groups");
}

#[test]
fn every_projection_is_trained() {
    let device = Device::flex().autodiff();
    let config =
        GroupedAttentionConfig::new(24, 6, 3).with_groups(Some(groups(&[3, 1, 2]))).with_dropout(0.1);
    let attention = config.init(3, &device).expect("fits");
    let x = waves([2, 5, 24], 4, &device);
    let out = attention.forward_train(x.clone(), 1);
    assert_eq!(floats(out.clone()), floats(attention.forward_train(x.clone(), 1)), "one seed");
    assert_ne!(floats(out.clone()), floats(attention.forward_train(x, 2)), "another");
    let grads = out.powi_scalar(2).sum().backward();
    let all = [&attention.q_proj, &attention.k_proj, &attention.v_proj, &attention.o_proj];
    for (name, projection) in ["q", "k", "v", "o"].iter().zip(all) {
        let weight = floats(projection.weight.val().grad(&grads).expect("tracked"));
        let bias = projection.bias.as_ref().expect("a bias").val().grad(&grads).expect("tracked");
        assert!(weight.iter().any(|g| g.abs() > 1e-6), "the weight of {name} has no gradient");
        // A bias of the keys shifts all scores of a query alike.
        assert!(*name == "k" || floats(bias).iter().any(|g| g.abs() > 1e-6), "the bias of {name}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn a_cache_decodes_as_the_whole_sequence(
        sizes in prop::collection::vec(0usize..4, 1..4),
        chunks in prop::collection::vec(1usize..40, 1..6),
    ) {
        prop_assume!(sizes.iter().sum::<usize>() > 0);
        let seq: usize = chunks.iter().sum();
        let ([q, k, v], groups) = (heads(&sizes, seq, seq), groups(&sizes));
        let causal = AttentionOptions::causal();
        let whole = grouped_attention(q.clone(), k.clone(), v.clone(), groups.sizes(), &causal).expect("fits");
        let mut cache = KvCache::new([2, sizes.len(), 8], seq, &Device::flex()).expect("a bound");
        let (mut outs, mut first) = (Vec::new(), 0);
        for n in chunks {
            let part = |x: &Tensor<4>| x.clone().narrow(2, first, n);
            cache.append(part(&k), part(&v)).expect("room");
            outs.push(cache.attend(part(&q), &groups, &causal).expect("fits"));
            first += n;
        }
        prop_assert_eq!(cache.len(), seq, "all tokens are stored");
        let (found, want) = (floats(Tensor::cat(outs, 2)), floats(whole));
        for (f, w) in found.iter().zip(&want) {
            prop_assert!((f - w).abs() < 1e-5, "{} is not {}", f, w);
        }
    }
}

#[test]
fn a_cache_counts_the_bytes_that_are_allocated() {
    let device = Device::flex();
    let shape = [2, 3, 32];
    let new = |n: usize| waves([2, 3, n, 32], 1, &device);
    let mut cache = KvCache::new(shape, 500, &device).expect("a bound");
    assert_eq!(cache.n_bytes(), 0, "nothing is stored");
    let before = live_bytes();
    let mut capacities = Vec::new();
    for n in [1, 10, 80, 300, 109] {
        cache.append(new(n), new(n)).expect("room");
        let allocated = live_bytes() - before;
        let counted = cache.n_bytes() as i64;
        assert_eq!(counted, 2 * 2 * 3 * 32 * 4 * cache.capacity() as i64, "the formula");
        // Shapes, strides and reference counts are not counted.
        assert!(
            (0..2048).contains(&(allocated - counted)),
            "{allocated} bytes are allocated, {counted} counted"
        );
        capacities.push(cache.capacity());
    }
    assert_eq!(capacities, [64, 64, 128, 391, 500], "the buffers double, up to the bound");
    let error = cache.append(new(1), new(1)).expect_err("full").to_string();
    assert_eq!(error, "cache: expected at most 500 tokens, found 501", "a full cache");
    drop(cache);
    assert!(live_bytes() - before < 2048, "a dropped cache holds nothing");
}

#[test]
fn a_cache_writes_in_place_and_forgets() {
    let device = Device::flex();
    let mut cache = KvCache::new([1, 2, 4], 64, &device).expect("a bound");
    cache.reserve(64).expect("room");
    let base = live_bytes();
    for token in 0..64 {
        let new = Tensor::full([1, 2, 1, 4], token as f64, &device);
        cache.append(new.clone(), new).expect("room");
        assert!(live_bytes() - base < 1024, "token {token} took memory");
    }
    assert_eq!(floats(cache.keys().narrow(2, 63, 1)), [63.0; 8], "the last token");
    cache.truncate(10);
    assert_eq!((cache.len(), cache.keys().dims()), (10, [1, 2, 10, 4]), "the first ten stay");
    cache.truncate(0);
    assert_eq!((cache.is_empty(), cache.values().dims()), (true, [1, 2, 0, 4]), "nothing is left");
    let error = cache.append(Tensor::zeros([1, 3, 1, 4], &device), Tensor::zeros([1, 2, 1, 4], &device));
    let error = error.expect_err("three heads").to_string();
    assert_eq!(error, "k: expected shape [1, 2, 1, 4], found [1, 3, 1, 4]", "another number of heads");
    assert_refused(KvCache::new([1, 0, 4], 64, &device), "extents above 0 whose product");
    assert_refused(KvCache::new([1 << 30, 1 << 30, 4], 64, &device), "extents above 0 whose product");
}
