//! Fused operations beside their composed forms, forward and with gradients, at the sizes of a small decoder's training
//! step: 128 sequences of 13 tokens, hidden 96, 4 heads, feed-forward 256, 48 classes. Also attention over 512 tokens.

use std::hint::black_box;

use burn::tensor::{Device, Distribution, Int, Tensor};
use criterion::{Criterion, criterion_group, criterion_main};
use grouping_core::kernels::{RopeAttention, cross_entropy, rms_norm, rope_attention, swiglu};

const BATCH: usize = 128;
const SEQ: usize = 13;
const HIDDEN: usize = 96;

type Op<'a> = &'a dyn Fn(&[Tensor<3>]) -> Tensor<3>;

fn normal(shape: [usize; 3], device: &Device) -> Tensor<3> {
    Tensor::random(shape, Distribution::Normal(0.0, 1.0), device)
}

/// Times `op` without a graph, and with one including the gradients of all inputs.
fn compare(criterion: &mut Criterion, name: &str, shapes: &[[usize; 3]], forms: [(&str, Op<'_>); 2]) {
    let plain = Device::flex();
    plain.seed(1);
    let inputs: Vec<_> = shapes.iter().map(|&shape| normal(shape, &plain)).collect();
    let tracked: Vec<_> = (inputs.iter())
        .map(|input| Tensor::from_data(input.to_data(), &Device::flex().autodiff()))
        .map(Tensor::require_grad)
        .collect();
    let mut group = criterion.benchmark_group(name);
    for (form, op) in forms {
        group.bench_function(format!("{form}/forward"), |b| b.iter(|| black_box(op(&inputs))));
        group.bench_function(format!("{form}/gradients"), |b| b.iter(|| black_box(op(&tracked).backward())));
    }
    group.finish();
}

fn kernels(criterion: &mut Criterion) {
    let weight = |x: &Tensor<3>| x.clone().reshape([HIDDEN]);
    compare(
        criterion,
        "rms_norm",
        &[[BATCH, SEQ, HIDDEN], [1, 1, HIDDEN]],
        [
            ("fused", &|x| rms_norm(x[0].clone(), weight(&x[1]), 1e-6)),
            ("composed", &|x| rms_norm::composed(x[0].clone(), weight(&x[1]), 1e-6)),
        ],
    );
    compare(
        criterion,
        "swiglu",
        &[[BATCH, SEQ, 256]; 2],
        [
            ("fused", &|x| swiglu(x[0].clone(), x[1].clone())),
            ("composed", &|x| swiglu::composed(x[0].clone(), x[1].clone())),
        ],
    );
    let classes = 48;
    let rows = BATCH * SEQ;
    let targets: Vec<i32> = (0..rows).map(|i| (i * 7 % classes) as i32).collect();
    let ids = |x: &Tensor<3>| Tensor::<1, Int>::from_ints(targets.as_slice(), &x.device());
    let logits = |x: &Tensor<3>| x.clone().reshape([rows, classes]);
    compare(
        criterion,
        "cross_entropy",
        &[[BATCH, SEQ, classes]],
        [
            ("fused", &|x| cross_entropy(logits(&x[0]), ids(&x[0])).reshape([1, 1, 1])),
            ("composed", &|x| cross_entropy::composed(logits(&x[0]), ids(&x[0])).reshape([1, 1, 1])),
        ],
    );
    for (name, batch, seq, config) in [
        ("attention/128x13x4x24", BATCH, SEQ, RopeAttention::new(4, 4, 24)),
        ("attention/128x13x4x24-grouped", BATCH, SEQ, RopeAttention::new(4, 2, 24)),
        ("attention/2x512x4x64", 2, 512, RopeAttention::new(4, 4, 64)),
    ] {
        let kv = [batch, seq, config.n_kv_heads * config.head_dim];
        compare(
            criterion,
            name,
            &[[batch, seq, config.n_heads * config.head_dim], kv, kv],
            [
                ("fused", &|x| rope_attention(x[0].clone(), x[1].clone(), x[2].clone(), &config)),
                ("composed", &|x| {
                    rope_attention::composed(x[0].clone(), x[1].clone(), x[2].clone(), &config)
                }),
            ],
        );
    }
}

criterion_group!(benches, kernels);
criterion_main!(benches);
