//! One training step of the small decoder on two threads: 3 layers × 96, 4 heads, SwiGLU 256, 48 tokens, tied, batch 128 × 13 tokens,
//! loss at 6 answers a row, AdamW, gradients clipped to a norm of 1.
//!
//! `oracles/grouping-core/bench_training_step.py` is the same step in PyTorch, with one difference: `logits_at` takes only the
//! wanted places through the last feed-forward network (an eighth of all products), the script takes all.

use std::hint::black_box;

use burn::tensor::{Device, Int, Tensor, TensorData};
use criterion::{Criterion, criterion_group, criterion_main};
use grouping_core::kernels::cross_entropy;
use grouping_core::nn::{Decoder, DecoderConfig};
use grouping_core::train::{AdamWSettings, Objective, TrainConfig, Trainer, WarmupCosine};
use rand::RngExt;
use rand_chacha::ChaCha8Rng;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

const VOCAB: i32 = 48;
const BATCH: usize = 128;
const SEQ: usize = 13;
const N_ANSWERS: usize = 6;

struct RandomTokens {
    device: Device,
}

struct Batch {
    tokens: Tensor<2, Int>,
    places: Tensor<1, Int>,
    targets: Tensor<1, Int>,
}

impl Objective<Decoder> for RandomTokens {
    type Batch = Batch;

    fn batches(&self, _step: usize, n_shards: usize, rng: &mut ChaCha8Rng) -> Vec<Batch> {
        let n = BATCH / n_shards;
        let mut shard = |_| {
            let tokens: Vec<i32> = (0..n * SEQ).map(|_| rng.random_range(0..VOCAB)).collect();
            let targets: Vec<i32> = (0..n * N_ANSWERS).map(|_| rng.random_range(0..VOCAB)).collect();
            let places: Vec<i32> = (0..n)
                .flat_map(|row| (SEQ - N_ANSWERS..SEQ).map(move |position| (row * SEQ + position) as i32))
                .collect();
            let line = |values: Vec<i32>| {
                let n = values.len();
                Tensor::<1, Int>::from_data(TensorData::new(values, [n]), &self.device)
            };
            Batch { tokens: line(tokens).reshape([n, SEQ]), places: line(places), targets: line(targets) }
        };
        (0..n_shards).map(&mut shard).collect()
    }

    fn loss(&self, model: &Decoder, batch: &Batch) -> Tensor<1> {
        let logits = model.logits_at(batch.tokens.clone(), batch.places.clone());
        cross_entropy(logits, batch.targets.clone())
    }
}

fn training_step(criterion: &mut Criterion) {
    let device = Device::flex().autodiff();
    let decoder = DecoderConfig::new(VOCAB as usize, 96, 3, 4, 256).with_rope_theta(1000.0).init(0, &device);
    let adamw = AdamWSettings::new().with_beta_2(0.98).with_max_grad_norm(Some(1.0));
    let config = TrainConfig::new(WarmupCosine::new(1e-3, 100_000), adamw).with_n_threads(2);
    let mut trainer = Trainer::new(decoder, config).expect("threads start");
    let objective = RandomTokens { device };
    criterion.bench_function("training_step", |bencher| {
        bencher.iter(|| black_box(trainer.step(&objective).expect("the loss is finite")));
    });
}

criterion_group!(benches, training_step);
criterion_main!(benches);
