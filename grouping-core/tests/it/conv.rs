//! Convolutions and divisive normalisation against plain f64 loops, central differences, PyTorch (`oracles/grouping-core/conv.py`) and
//! their composed forms; and that a value depends on nothing but what it reads.

use burn::tensor::{Device, Tensor, TensorData};
use grouping_core::kernels::{
    Algorithm, ConvOptions, Rectifier, conv, conv_transpose2d, conv2d, conv2d_onto, gdn,
};
use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;
use serde::Deserialize;

use crate::kernels::{Case, assert_close, floats, normal};

type Image = [usize; 4];
/// [`conv2d_onto`] or its composed form.
type Onto = fn(Tensor<4>, Tensor<4>, Tensor<4>, Tensor<1>, ConvOptions) -> Tensor<4>;

/// A convolution's sizes.
#[derive(Clone, Copy, Debug)]
struct Sizes {
    transposed: bool,
    batch: usize,
    channels: [usize; 2],
    input: [usize; 2],
    kernel: [usize; 2],
    options: ConvOptions,
}

impl Sizes {
    fn x(&self) -> Image {
        [self.batch, self.channels[0], self.input[0], self.input[1]]
    }

    fn weight(&self) -> Image {
        let [c_in, c_out] = self.channels;
        let [kh, kw] = self.kernel;
        if self.transposed { [c_in, c_out, kh, kw] } else { [c_out, c_in, kh, kw] }
    }

    fn output(&self) -> [usize; 2] {
        let ConvOptions { stride, padding, output_padding, .. } = self.options;
        [0, 1].map(|axis| {
            let (n, k) = (self.input[axis], self.kernel[axis]);
            if self.transposed {
                (n - 1) * stride + k + output_padding - 2 * padding
            } else {
                (n + 2 * padding - k) / stride + 1
            }
        })
    }

    /// Adds each product of an input and a weight to its output; the definition.
    fn reference(&self, inputs: &[Vec<f64>]) -> Vec<f64> {
        let (x, w) = (&inputs[0], &inputs[1]);
        let ([c_in, c_out], [h, width], [kh, kw]) = (self.channels, self.input, self.kernel);
        let [oh, ow] = self.output();
        let ConvOptions { stride, padding, rectifier, .. } = self.options;
        let mut y = vec![0.0; self.batch * c_out * oh * ow];
        // Where input `i` meets output `o` along an axis: in the forward direction i = s·o + k − p, in the other the roles are swapped.
        let (outer, inner) = if self.transposed { ([h, width], [oh, ow]) } else { ([oh, ow], [h, width]) };
        for b in 0..self.batch {
            for (c, o) in (0..c_in).flat_map(|c| (0..c_out).map(move |o| (c, o))) {
                let kernel =
                    if self.transposed { (c * c_out + o) * kh * kw } else { (o * c_in + c) * kh * kw };
                for (i, j) in (0..outer[0]).flat_map(|i| (0..outer[1]).map(move |j| (i, j))) {
                    for (ky, kx) in (0..kh).flat_map(|ky| (0..kw).map(move |kx| (ky, kx))) {
                        let (Some(p), Some(q)) =
                            ((i * stride + ky).checked_sub(padding), (j * stride + kx).checked_sub(padding))
                        else {
                            continue;
                        };
                        if p >= inner[0] || q >= inner[1] {
                            continue;
                        }
                        let ((xi, xj), (yi, yj)) =
                            if self.transposed { ((i, j), (p, q)) } else { ((p, q), (i, j)) };
                        y[((b * c_out + o) * oh + yi) * ow + yj] +=
                            x[((b * c_in + c) * h + xi) * width + xj] * w[kernel + ky * kw + kx];
                    }
                }
            }
        }
        for (i, y) in y.iter_mut().enumerate() {
            *y += inputs.get(2).map_or(0.0, |bias| bias[i / (oh * ow) % c_out]);
            *y += inputs.get(3).map_or(0.0, |residual| residual[i]);
            *y *= if *y > 0.0 { 1.0 } else { f64::from(rectifier.slope()) };
        }
        y
    }

    fn fused(&self, x: Tensor<4>, weight: Tensor<4>, bias: Option<Tensor<1>>) -> Tensor<4> {
        let op = if self.transposed { conv_transpose2d } else { conv2d };
        op(x, weight, bias, self.options)
    }

    fn composed(&self, x: Tensor<4>, weight: Tensor<4>, bias: Option<Tensor<1>>) -> Tensor<4> {
        let op = if self.transposed { conv::composed_transpose } else { conv::composed };
        op(x, weight, bias, self.options)
    }

    fn check_gradients(&self, has_bias: bool) {
        let ([oh, ow], [c_in, c_out], [h, w]) = (self.output(), self.channels, self.input);
        let out = [self.batch * c_out, oh, ow];
        let weight_shape = self.weight();
        let image = |x: &Tensor<3>| x.clone().reshape(self.x());
        let weight = |w: &Tensor<3>| w.clone().reshape(weight_shape);
        let bias = |x: &[Tensor<3>]| x.get(2).map(|b| b.clone().reshape([c_out]));
        let mut shapes = vec![
            [self.batch * c_in, h, w],
            [weight_shape[0] * weight_shape[1], self.kernel[0], self.kernel[1]],
        ];
        shapes.extend(has_bias.then_some([1, 1, c_out]));
        Case {
            name: format!("{self:?}, bias {has_bias}"),
            shapes,
            scale: 1.0,
            reference: &|inputs| self.reference(inputs),
            fused: &|x| self.fused(image(&x[0]), weight(&x[1]), bias(x)).reshape(out),
            composed: &|x| self.composed(image(&x[0]), weight(&x[1]), bias(x)).reshape(out),
        }
        .check();
    }
}

/// Convolutions on top of a residual: with each rectifier, by each algorithm.
fn onto_sizes() -> impl Iterator<Item = Sizes> {
    let shapes = [(1, 1, [3, 4], [5, 7]), (3, 2, [17, 16], [3, 5]), (3, 1, [16, 17], [4, 19])];
    shapes.into_iter().flat_map(|(kernel, stride, channels, input)| {
        [Algorithm::Direct, Algorithm::Minimal].into_iter().flat_map(move |algorithm| {
            [Rectifier::None, Rectifier::Relu, Rectifier::LeakyRelu].into_iter().map(move |rectifier| {
                let options = ConvOptions::new().with_stride(stride).with_padding(kernel / 2);
                let options = options.with_rectifier(rectifier).with_algorithm(algorithm);
                Sizes { transposed: false, batch: 2, channels, input, kernel: [kernel; 2], options }
            })
        })
    })
}

#[test]
fn convolutions_on_top_of_a_residual_equal_plain_loops_and_their_differences() {
    // Differences of a kernel of many channels take long: one of those.
    let is_one = |options: ConvOptions| {
        (options.algorithm, options.rectifier, options.stride) == (Algorithm::Minimal, Rectifier::Relu, 2)
    };
    for sizes in onto_sizes().filter(|sizes| sizes.channels[0] < 16 || is_one(sizes.options)) {
        let ([oh, ow], [c_in, c_out], [h, w], [kh, kw]) =
            (sizes.output(), sizes.channels, sizes.input, sizes.kernel);
        let out = [sizes.batch, c_out, oh, ow];
        let run = |x: &[Tensor<3>], op: Onto| {
            let [image, weight] = [x[0].clone().reshape(sizes.x()), x[1].clone().reshape(sizes.weight())];
            let (bias, residual) = (x[2].clone().reshape([c_out]), x[3].clone().reshape(out));
            op(residual, image, weight, bias, sizes.options).reshape([out[0] * out[1], oh, ow])
        };
        Case {
            name: format!("{sizes:?} on top of a residual"),
            shapes: vec![
                [sizes.batch * c_in, h, w],
                [c_out * c_in, kh, kw],
                [1, 1, c_out],
                [out[0] * out[1], oh, ow],
            ],
            scale: 1.0,
            reference: &|inputs| sizes.reference(inputs),
            fused: &|x| run(x, conv2d_onto),
            composed: &|x| run(x, conv::composed_onto),
        }
        .check();
    }
}

#[test]
fn a_residual_is_added_as_a_sum_of_its_own_adds_it_and_stays_where_another_holds_it() {
    let (device, mut rng) = (Device::flex(), ChaCha8Rng::seed_from_u64(6));
    for sizes in onto_sizes().filter(|sizes| sizes.options.rectifier == Rectifier::None) {
        let [x, weight] = [sizes.x(), sizes.weight()].map(|shape| random(&mut rng, shape, &device));
        let c_out = sizes.channels[1];
        let bias: Tensor<1> = random(&mut rng, [1, 1, 1, c_out], &device).reshape([c_out]);
        let apart = conv2d(x.clone(), weight.clone(), Some(bias.clone()), sizes.options);
        let residual = random(&mut rng, apart.dims(), &device);
        let (before, want) = (bits(residual.clone()), bits(apart + residual.clone()));
        let onto = |residual| conv2d_onto(residual, x.clone(), weight.clone(), bias.clone(), sizes.options);
        assert_eq!(bits(onto(residual.clone())), want, "{sizes:?}, of a residual that is held");
        assert_eq!(bits(residual.clone()), before, "{sizes:?} changed a residual that is held");
        assert_eq!(bits(onto(residual)), want, "{sizes:?}, in place");
    }
}

/// The settings under which both directions are tested: kernel, stride, padding, output padding.
fn sizes(transposed: bool) -> impl Iterator<Item = Sizes> {
    let shapes = [([1, 1], [1, 1]), ([3, 4], [5, 7]), ([2, 5], [6, 3]), ([17, 9], [3, 18])];
    let kernels = [([1, 1], 1, 0, 0), ([3, 3], 1, 1, 0), ([5, 5], 2, 2, 1), ([3, 3], 2, 1, 1)];
    let odd = [([4, 2], 2, 1, 0), ([1, 1], 2, 0, 1), ([2, 3], 3, 0, 2), ([5, 5], 1, 2, 0)];
    kernels.into_iter().chain(odd).flat_map(move |(kernel, stride, padding, output_padding)| {
        shapes.into_iter().filter_map(move |(channels, input)| {
            let options = ConvOptions::new().with_stride(stride).with_padding(padding);
            let options = options.with_output_padding(if transposed { output_padding } else { 0 });
            let fits = |axis: usize| {
                if transposed {
                    (input[axis] - 1) * stride + kernel[axis] + output_padding > 2 * padding
                } else {
                    kernel[axis] <= input[axis] + 2 * padding
                }
            };
            let sizes = Sizes { transposed, batch: 2, channels, input, kernel, options };
            (fits(0) && fits(1)).then_some(sizes)
        })
    })
}

#[test]
fn convolutions_equal_plain_loops_and_their_differences() {
    for (i, sizes) in sizes(false).enumerate() {
        sizes.check_gradients(i % 2 == 0);
    }
}

#[test]
fn transposed_convolutions_equal_plain_loops_and_their_differences() {
    for (i, sizes) in sizes(true).enumerate() {
        sizes.check_gradients(i % 2 == 0);
    }
}

#[test]
fn rectified_convolutions_equal_plain_loops_and_their_differences() {
    for transposed in [false, true] {
        for rectifier in [Rectifier::Relu, Rectifier::LeakyRelu] {
            for (stride, output_padding) in [(1, 0), (2, 1)] {
                let options =
                    ConvOptions::new().with_stride(stride).with_padding(1).with_rectifier(rectifier);
                let options = options.with_output_padding(if transposed { output_padding } else { 0 });
                let (channels, input) = ([3, 5], [4, 6]);
                Sizes { transposed, batch: 1, channels, input, kernel: [3, 3], options }
                    .check_gradients(true);
            }
        }
    }
}

#[test]
fn minimal_filtering_equals_plain_loops_and_their_differences() {
    for transposed in [false, true] {
        for (kernel, stride, channels, input) in
            [(3, 1, [16, 17], [3, 5]), (5, 2, [17, 16], [5, 4]), (3, 2, [16, 16], [4, 3])]
        {
            let options = ConvOptions::new().with_stride(stride).with_padding(kernel / 2);
            let options = options.with_output_padding(if transposed { stride - 1 } else { 0 });
            let options = options.with_algorithm(Algorithm::Minimal);
            Sizes { transposed, batch: 2, channels, input, kernel: [kernel; 2], options }
                .check_gradients(true);
        }
    }
}

#[test]
fn minimal_filtering_of_any_width_equals_the_composed_form() {
    let (device, mut rng) = (Device::flex(), ChaCha8Rng::seed_from_u64(8));
    for (kernel, stride) in [(3, 1), (5, 2)] {
        for transposed in [false, true] {
            for width in (1..=70).chain([200]) {
                let options = ConvOptions::new().with_stride(stride).with_padding(kernel / 2);
                let options = options.with_output_padding(if transposed { stride - 1 } else { 0 });
                let options = options.with_algorithm(Algorithm::Minimal);
                let options = options.with_rectifier(Rectifier::LeakyRelu);
                let (channels, input) = ([[16, 18], [33, 16]][width % 2], [width % 5 + 1, width]);
                let sizes = Sizes { transposed, batch: 1, channels, input, kernel: [kernel; 2], options };
                let x = random(&mut rng, sizes.x(), &device);
                let weight = random(&mut rng, sizes.weight(), &device);
                let want = floats(sizes.composed(x.clone(), weight.clone(), None));
                assert_close(&format!("{sizes:?}"), &floats(sizes.fused(x, weight, None)), &want, 4e-6);
            }
        }
    }
}

fn random(rng: &mut ChaCha8Rng, shape: Image, device: &Device) -> Tensor<4> {
    let values: Vec<f32> =
        normal(rng, shape.iter().product(), 1.0).into_iter().map(|value| value as f32).collect();
    Tensor::from_data(TensorData::new(values, shape), device)
}

#[test]
fn every_width_equals_the_composed_form() {
    let (device, mut rng) = (Device::flex(), ChaCha8Rng::seed_from_u64(3));
    for (kernel, stride) in [(1, 1), (3, 1), (3, 2), (5, 1), (5, 2)] {
        for transposed in [false, true] {
            for width in 1..=70 {
                let channels = [[3, 10], [9, 3], [4, 4]][width % 3];
                let options = ConvOptions::new().with_stride(stride).with_padding(kernel / 2);
                let options = options.with_output_padding(if transposed { stride - 1 } else { 0 });
                let input = [width % 4 + 1, width];
                let sizes = Sizes { transposed, batch: 1, channels, input, kernel: [kernel; 2], options };
                let x = random(&mut rng, sizes.x(), &device);
                let weight = random(&mut rng, sizes.weight(), &device);
                let want = floats(sizes.composed(x.clone(), weight.clone(), None));
                assert_close(&format!("{sizes:?}"), &floats(sizes.fused(x, weight, None)), &want, 2e-6);
            }
        }
    }
}

#[test]
fn many_channels_into_few_and_few_into_many_equal_the_composed_form() {
    let (device, mut rng) = (Device::flex(), ChaCha8Rng::seed_from_u64(4));
    for (transposed, channels, input) in [
        (false, [3, 128], [34, 70]),
        (false, [128, 131], [9, 20]),
        (true, [128, 3], [18, 37]),
        (true, [100, 70], [7, 9]),
    ] {
        let options = ConvOptions::new().with_stride(2).with_padding(2);
        let options = options.with_output_padding(usize::from(transposed));
        let sizes = Sizes { transposed, batch: 2, channels, input, kernel: [5, 5], options };
        let x = random(&mut rng, sizes.x(), &device);
        let weight = random(&mut rng, sizes.weight(), &device);
        let want = floats(sizes.composed(x.clone(), weight.clone(), None));
        // Sums of 3,200 products in f32.
        assert_close(&format!("{sizes:?}"), &floats(sizes.fused(x, weight, None)), &want, 1e-5);
    }
}

/// Bits of all values.
fn bits(x: Tensor<4>) -> Vec<u32> {
    x.into_data().iter::<f32>().map(f32::to_bits).collect()
}

#[test]
fn a_strip_with_margins_gives_the_bytes_of_the_whole() {
    let (device, mut rng) = (Device::flex(), ChaCha8Rng::seed_from_u64(5));
    let (c_in, c_out) = (40, 19);
    let [height, width] = [41, 53];
    let both = |kernel, stride| [Algorithm::Direct, Algorithm::Minimal].map(|a| (kernel, stride, a));
    for (kernel, stride, algorithm) in [both(5, 2), both(3, 1), both(1, 1)].concat() {
        let x = random(&mut rng, [3, c_in, height, width], &device);
        let weight = random(&mut rng, [c_out, c_in, kernel, kernel], &device);
        let options = ConvOptions::new().with_stride(stride).with_padding(kernel / 2);
        let options = options.with_algorithm(algorithm);
        let whole = conv2d(x.clone(), weight.clone(), None, options);
        // The rows and columns of the input that outputs from 4 to 9 and 6 to 17 read, without padding.
        let (top, left) = (4 * stride - kernel / 2, 6 * stride - kernel / 2);
        let strip = x.clone().narrow(0, 1, 1).narrow(2, top, 5 * stride + kernel).narrow(
            3,
            left,
            11 * stride + kernel,
        );
        let part = conv2d(strip, weight, None, options.with_padding(0));
        let want = whole.narrow(0, 1, 1).narrow(2, 4, 6).narrow(3, 6, 12);
        assert_eq!(bits(part), bits(want), "{algorithm:?}, kernel {kernel}, stride {stride}");

        let weight = random(&mut rng, [c_in, c_out, kernel, kernel], &device);
        let options = options.with_output_padding(stride - 1);
        let whole = conv_transpose2d(x.clone(), weight.clone(), None, options);
        let strip = x.narrow(0, 2, 1).narrow(2, 8, 12).narrow(3, 6, 20);
        let part = conv_transpose2d(strip, weight, None, options);
        // Two inputs of margin; inside of it the strip's outputs are those of the whole.
        let inner = |y: Tensor<4>, [row, column]: [usize; 2]| {
            y.narrow(2, row * stride, 8 * stride).narrow(3, column * stride, 16 * stride)
        };
        let want = inner(whole.narrow(0, 2, 1), [10, 8]);
        assert_eq!(
            bits(inner(part, [2, 2])),
            bits(want),
            "{algorithm:?}, transposed, kernel {kernel}, stride {stride}"
        );
    }
    let x = random(&mut rng, [2, 20, 30, 41], &device);
    let (beta, gamma) = (Tensor::ones([20], &device), Tensor::full([20, 20], 0.1, &device));
    let whole =
        gdn(x.clone(), beta.clone(), gamma.clone(), false).narrow(0, 1, 1).narrow(2, 3, 9).narrow(3, 5, 7);
    let part = gdn(x.narrow(0, 1, 1).narrow(2, 3, 9).narrow(3, 5, 7), beta, gamma, false);
    assert_eq!(bits(part), bits(whole), "divisive normalisation");
}

#[test]
fn any_number_of_threads_gives_the_same_bytes() {
    let run = |n_threads: usize, algorithm: Algorithm| {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(n_threads).build().expect("a pool");
        pool.install(|| {
            let (device, mut rng) = (Device::flex().autodiff(), ChaCha8Rng::seed_from_u64(6));
            let mut leaf = |shape| random(&mut rng, shape, &device).require_grad();
            let x = leaf([2, 16, 60, 47]);
            let [first, last] = [leaf([30, 16, 5, 5]), leaf([30, 18, 5, 5])];
            let [beta, gamma] = [Tensor::<1>::ones([30], &device), Tensor::full([30], 0.1, &device)];
            let gamma = (gamma.unsqueeze::<2>().repeat_dim(0, 30)).require_grad();
            let options = ConvOptions::new().with_stride(2).with_padding(2).with_algorithm(algorithm);
            let y = gdn(conv2d(x.clone(), first.clone(), None, options), beta, gamma.clone(), false);
            let y = conv_transpose2d(y, last.clone(), None, options.with_output_padding(1));
            let grads = y.clone().powi_scalar(2).sum().backward();
            let mut all = bits(y);
            for leaf in [&x, &first, &last] {
                all.extend(bits(leaf.grad(&grads).expect("tracked")));
            }
            all.extend(bits(gamma.grad(&grads).expect("tracked").unsqueeze()));
            all
        })
    };
    for algorithm in [Algorithm::Direct, Algorithm::Minimal] {
        assert!(run(1, algorithm) == run(2, algorithm), "{algorithm:?}: one thread and two differ");
    }
}

fn gdn_reference(inputs: &[Vec<f64>], [batch, channels, plane]: [usize; 3], inverse: bool) -> Vec<f64> {
    let [x, beta, gamma] = inputs else { panic!("three inputs") };
    let at = |b: usize, c: usize, p: usize| x[(b * channels + c) * plane + p];
    let value = |b: usize, c: usize, p: usize| {
        let sum: f64 = (0..channels).map(|j| gamma[c * channels + j].powi(2) * at(b, j, p).powi(2)).sum();
        let root = (beta[c].powi(2) + 0.5 + sum).sqrt();
        if inverse { at(b, c, p) * root } else { at(b, c, p) / root }
    };
    let of_channel = |b: usize, c: usize| (0..plane).map(move |p| value(b, c, p));
    (0..batch).flat_map(|b| (0..channels).flat_map(move |c| of_channel(b, c))).collect()
}

#[test]
fn divisive_normalisation_equals_plain_loops_and_their_differences() {
    for (batch, channels, h, w) in [(1, 1, 1, 1), (2, 3, 4, 5), (2, 17, 1, 3), (1, 5, 7, 130), (1, 20, 2, 9)]
    {
        for inverse in [false, true] {
            // Squares keep the parameters positive.
            let beta = |x: &[Tensor<3>]| x[1].clone().reshape([channels]).powi_scalar(2) + 0.5;
            let gamma = |x: &[Tensor<3>]| x[2].clone().reshape([channels; 2]).powi_scalar(2);
            let image = |x: &[Tensor<3>]| x[0].clone().reshape([batch, channels, h, w]);
            let out = [batch * channels, h, w];
            Case {
                name: format!("gdn {batch}×{channels}×{h}×{w}, inverse {inverse}"),
                shapes: vec![out, [1, 1, channels], [1, channels, channels]],
                scale: 1.0,
                reference: &|inputs| gdn_reference(inputs, [batch, channels, h * w], inverse),
                fused: &|x| gdn(image(x), beta(x), gamma(x), inverse).reshape(out),
                composed: &|x| gdn::composed(image(x), beta(x), gamma(x), inverse).reshape(out),
            }
            .check();
        }
    }
}

#[test]
fn normalising_leaves_an_input_that_is_held_elsewhere_as_it_was() {
    let device = Device::flex();
    let x = Tensor::<4>::from_floats([[[[3.0]], [[4.0]]]], &device);
    let y = gdn(x.clone(), Tensor::zeros([2], &device), Tensor::ones([2, 2], &device), false);
    assert_close("normalised", &floats(y), &[0.6, 0.8], 1e-6);
    assert_eq!(floats(x), [3.0, 4.0], "the input");
}

#[derive(Deserialize)]
struct Golden {
    op: String,
    stride: usize,
    padding: usize,
    output_padding: usize,
    inputs: Vec<Values>,
    output: Values,
}

#[derive(Deserialize)]
struct Values {
    shape: Vec<usize>,
    values: Vec<f64>,
    grad: Vec<f64>,
}

impl Values {
    fn leaf<const D: usize>(&self, device: &Device) -> Tensor<D> {
        let values: Vec<f32> = self.values.iter().map(|&value| value as f32).collect();
        Tensor::from_data(TensorData::new(values, self.shape.clone()), device).require_grad()
    }
}

#[test]
fn values_and_gradients_equal_pytorchs() {
    let goldens: Vec<Golden> =
        serde_json::from_str(include_str!("../data/conv.json")).expect("the golden file parses");
    let device = Device::flex().autodiff();
    for (i, golden) in goldens.iter().enumerate() {
        let what = format!("case {i}, {}", golden.op);
        let options = ConvOptions::new().with_stride(golden.stride).with_padding(golden.padding);
        let options = options.with_output_padding(golden.output_padding);
        let x: Tensor<4> = golden.inputs[0].leaf(&device);
        // Nine digits of the file, and sums of up to 100 products.
        let check = |name: &str, found: Vec<f64>, want: &[f64]| {
            assert_close(&format!("{what}: {name}"), &found, want, 2e-6);
        };
        let backward = |y: &Tensor<4>| {
            assert_eq!(y.dims().as_slice(), golden.output.shape, "{what}: shape");
            let grad: Vec<f32> = golden.output.grad.iter().map(|&value| value as f32).collect();
            let grad = Tensor::from_data(TensorData::new(grad, y.dims()), &device);
            (y.clone() * grad).sum().backward()
        };
        if golden.op.ends_with("gdn") {
            let (beta, gamma): (Tensor<1>, Tensor<2>) =
                (golden.inputs[1].leaf(&device), golden.inputs[2].leaf(&device));
            let y = gdn(x.clone(), beta.clone(), gamma.clone(), golden.op == "inverse_gdn");
            let grads = backward(&y);
            check("value", floats(y), &golden.output.values);
            check("x", floats(x.grad(&grads).expect("tracked")), &golden.inputs[0].grad);
            check("beta", floats(beta.grad(&grads).expect("tracked")), &golden.inputs[1].grad);
            check("gamma", floats(gamma.grad(&grads).expect("tracked")), &golden.inputs[2].grad);
        } else {
            let (weight, bias): (Tensor<4>, Tensor<1>) =
                (golden.inputs[1].leaf(&device), golden.inputs[2].leaf(&device));
            let op = if golden.op == "conv2d" { conv2d } else { conv_transpose2d };
            let y = op(x.clone(), weight.clone(), Some(bias.clone()), options);
            let grads = backward(&y);
            check("value", floats(y), &golden.output.values);
            check("x", floats(x.grad(&grads).expect("tracked")), &golden.inputs[0].grad);
            check("weight", floats(weight.grad(&grads).expect("tracked")), &golden.inputs[1].grad);
            check("bias", floats(bias.grad(&grads).expect("tracked")), &golden.inputs[2].grad);
        }
    }
}

#[test]
fn shapes_that_do_not_fit_are_refused() {
    let refused = |expected: &str, run: &(dyn Fn(&Device) -> Tensor<4> + std::panic::RefUnwindSafe)| {
        let panic = std::panic::catch_unwind(|| drop(run(&Device::flex()))).expect_err("refused");
        let text = panic.downcast_ref::<String>().expect("a message");
        assert!(text.contains(expected), "`{text}` does not say `{expected}`");
    };
    let image = |shape: Image, device: &Device| Tensor::<4>::zeros(shape, device);
    let plain = ConvOptions::new();
    refused("a weight of 2 input channels", &|d| {
        conv2d(image([1, 3, 4, 4], d), image([1, 2, 3, 3], d), None, plain)
    });
    refused("does not fit into an input of [4, 4] padded by 0", &|d| {
        conv2d(image([1, 1, 4, 4], d), image([1, 1, 5, 5], d), None, plain)
    });
    refused("must be below the stride 2", &|d| {
        let options = plain.with_stride(2).with_output_padding(2);
        conv_transpose2d(image([1, 1, 4, 4], d), image([1, 1, 5, 5], d), None, options)
    });
    refused("smaller than its padding of 3", &|d| {
        conv_transpose2d(image([1, 1, 1, 1], d), image([1, 1, 5, 5], d), None, plain.with_padding(3))
    });
    refused("a value for each output channel", &|d| {
        let bias = Tensor::zeros([2], d);
        conv2d(image([1, 1, 4, 4], d), image([1, 1, 3, 3], d), Some(bias), plain)
    });
    refused("the shape of the result", &|d| {
        let (bias, weight) = (Tensor::zeros([1], d), image([1, 1, 3, 3], d));
        conv2d_onto(image([1, 1, 4, 4], d), image([1, 1, 4, 4], d), weight, bias, plain)
    });
    refused("beta must have a value for each channel", &|d| {
        gdn(image([1, 3, 4, 4], d), Tensor::zeros([2], d), Tensor::zeros([3, 3], d), false)
    });
}
