//! Convolutions and divisive normalisation at the sizes of a network that takes a picture of 768×512 down to a sixteenth and up again, on one
//! thread and two.
//!
//! `down` is four 5×5 convolutions of stride 2, from 3 channels over 128 to 192, with a normalisation after each but the last; `up` is the way
//! back in transposed ones; both by minimal filtering, and `…_direct` without. The others are single layers of them and of their kind; `…_gradients` is a layer in training, forward and
//! backward, on eight crops. Names as in `oracles/grouping-core/bench_conv.py`, which does the same in PyTorch.

use std::hint::black_box;
use std::time::Duration;

use burn::tensor::{Device, Distribution, Tensor};
use criterion::{Criterion, SamplingMode, criterion_group, criterion_main};
use grouping_core::kernels::{Algorithm, ConvOptions, conv_transpose2d, conv2d, gdn};

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn normal<const D: usize>(shape: [usize; D], scale: f64, device: &Device) -> Tensor<D> {
    Tensor::random(shape, Distribution::Normal(0.0, scale), device)
}

/// A convolution with its weight and bias.
struct Layer {
    weight: Tensor<4>,
    bias: Tensor<1>,
    options: ConvOptions,
    transposed: bool,
}

impl Layer {
    fn new(
        [c_in, c_out]: [usize; 2],
        kernel: usize,
        stride: usize,
        transposed: bool,
        device: &Device,
    ) -> Self {
        let channels = if transposed { [c_in, c_out] } else { [c_out, c_in] };
        let scale = 1.0 / ((c_in * kernel * kernel) as f64).sqrt();
        let options = ConvOptions::new().with_stride(stride).with_padding(kernel / 2);
        Self {
            weight: normal([channels[0], channels[1], kernel, kernel], scale, device),
            bias: normal([c_out], 1.0, device),
            options: options.with_output_padding(if transposed { stride - 1 } else { 0 }),
            transposed,
        }
    }

    fn by(&self, algorithm: Algorithm) -> Self {
        let Self { weight, bias, options, transposed } = self;
        let options = options.with_algorithm(algorithm);
        Self { weight: weight.clone(), bias: bias.clone(), options, transposed: *transposed }
    }

    fn run(&self, x: Tensor<4>) -> Tensor<4> {
        let op = if self.transposed { conv_transpose2d } else { conv2d };
        op(x, self.weight.clone(), Some(self.bias.clone()), self.options)
    }
}

/// The parameters of a normalisation of 128 channels.
fn norm(device: &Device) -> (Tensor<1>, Tensor<2>) {
    (Tensor::ones([128], device), Tensor::full([128, 128], 0.01, device))
}

/// Times `run` of a tensor of this shape.
fn time(
    criterion: &mut Criterion,
    name: &str,
    shape: [usize; 4],
    run: &(dyn Fn(Tensor<4>) -> Tensor<4> + Sync),
) {
    let mut group = criterion.benchmark_group(name);
    group.sample_size(10).sampling_mode(SamplingMode::Flat);
    group.warm_up_time(Duration::from_millis(300)).measurement_time(Duration::from_millis(1500));
    for n_threads in [1, 2] {
        group.bench_function(format!("threads_{n_threads}"), |bencher| {
            let pool = rayon::ThreadPoolBuilder::new().num_threads(n_threads).build().expect("threads start");
            let x = normal(shape, 1.0, &Device::flex());
            pool.install(|| bencher.iter(|| black_box(run(x.clone()))));
        });
    }
    group.finish();
}

fn networks(criterion: &mut Criterion) {
    let device = Device::flex();
    device.seed(1);
    let down = [[3, 128], [128, 128], [128, 128], [128, 192]].map(|c| Layer::new(c, 5, 2, false, &device));
    let up = [[192, 128], [128, 128], [128, 128], [128, 3]].map(|c| Layer::new(c, 5, 2, true, &device));
    let (beta, gamma) = norm(&device);
    let run = |layers: &[Layer; 4], inverse: bool, x: Tensor<4>| {
        let [first, second, third, last] = layers;
        let normalised = |x| gdn(x, beta.clone(), gamma.clone(), inverse);
        last.run(normalised(third.run(normalised(second.run(normalised(first.run(x)))))))
    };
    for (suffix, algorithm) in [("", Algorithm::Minimal), ("_direct", Algorithm::Direct)] {
        let [down, up] = [&down, &up].map(|layers| layers.each_ref().map(|layer| layer.by(algorithm)));
        time(criterion, &format!("conv/down{suffix}"), [1, 3, 512, 768], &|x| run(&down, false, x));
        time(criterion, &format!("conv/up{suffix}"), [1, 192, 32, 48], &|x| run(&up, true, x));
    }
}

fn layers(criterion: &mut Criterion) {
    let device = Device::flex();
    device.seed(2);
    for (name, channels, kernel, stride, transposed, [h, w]) in [
        ("conv/5x5_stride2_3_to_128", [3, 128], 5, 2, false, [512, 768]),
        ("conv/5x5_stride2_128_to_128", [128, 128], 5, 2, false, [256, 384]),
        ("conv/3x3_192_to_192", [192, 192], 3, 1, false, [128, 192]),
        ("conv/1x1_192_to_192", [192, 192], 1, 1, false, [128, 192]),
        ("conv/transposed_5x5_stride2_128_to_128", [128, 128], 5, 2, true, [128, 192]),
        ("conv/transposed_5x5_stride2_128_to_3", [128, 3], 5, 2, true, [256, 384]),
    ] {
        let layer = Layer::new(channels, kernel, stride, transposed, &device);
        let shape = [1, channels[0], h, w];
        time(criterion, name, shape, &|x| layer.run(x));
        if kernel > 1 && channels.iter().all(|&channels| channels >= 16) {
            let layer = layer.by(Algorithm::Minimal);
            time(criterion, &format!("{name}_minimal"), shape, &|x| layer.run(x));
        }
    }
    let (beta, gamma) = norm(&device);
    for (name, inverse) in [("gdn/128", false), ("gdn/128_inverse", true)] {
        time(criterion, name, [1, 128, 256, 384], &|x| gdn(x, beta.clone(), gamma.clone(), inverse));
    }
}

fn gradients(criterion: &mut Criterion) {
    let device = Device::flex().autodiff();
    device.seed(3);
    let layer = Layer::new([128, 128], 5, 2, false, &device);
    let layer = Layer { weight: layer.weight.require_grad(), bias: layer.bias.require_grad(), ..layer };
    let (beta, gamma) = norm(&device);
    let gamma = gamma.require_grad();
    let tracked = |x: Tensor<4>| Tensor::from_inner(x).require_grad();
    time(criterion, "conv/5x5_stride2_128_to_128_gradients", [8, 128, 64, 64], &|x| {
        let x = tracked(x);
        let grads = layer.run(x.clone()).sum().backward();
        x.grad(&grads).expect("tracked")
    });
    time(criterion, "gdn/128_gradients", [8, 128, 64, 64], &|x| {
        let x = tracked(x);
        let grads = gdn(x.clone(), beta.clone(), gamma.clone(), false).sum().backward();
        x.grad(&grads).expect("tracked")
    });
}

criterion_group!(benches, networks, layers, gradients);
criterion_main!(benches);
