//! Attention of groups of any sizes against plain f64 loops, gather and plain attention, and Burn's own; gradients against differences.

use burn::tensor::ops::AttentionModuleOptions;
use burn::tensor::{DType, Device, Tensor, TensorData, module::attention};
use grouping_core::Result;
use grouping_core::kernels::{AttentionOptions, Visibility, grouped_attention};

use crate::kernels::{Case, assert_close, floats, tensor};

/// Either form.
type Form = fn(Tensor<4>, Tensor<4>, Tensor<4>, &[usize], &AttentionOptions) -> Result<Tensor<4>>;

/// Both forms.
const FORMS: [Form; 2] = [grouped_attention, grouped_attention::composed];

/// An attention whose shapes fit.
fn attend(form: Form, [q, k, v]: [Tensor<4>; 3], sizes: &[usize], options: &AttentionOptions) -> Tensor<4> {
    form(q, k, v, sizes, options).expect("shapes fit")
}

/// The extents of an attention.
#[derive(Clone, Copy, Debug)]
struct Extents {
    batch: usize,
    seq_q: usize,
    seq_k: usize,
    dim: usize,
}

impl Extents {
    /// The shapes of `q`, `k` and `v` with tokens before heads: `[batch, seq, heads·dim]`.
    fn shapes(&self, sizes: &[usize]) -> Vec<[usize; 3]> {
        let kv = [self.batch, self.seq_k, sizes.len() * self.dim];
        vec![[self.batch, self.seq_q, sizes.iter().sum::<usize>() * self.dim], kv, kv]
    }

    /// A view `[batch, heads, seq, dim]` of `x [batch, seq, heads·dim]`.
    fn heads(&self, x: &Tensor<3>) -> Tensor<4> {
        let [batch, seq, width] = x.dims();
        x.clone().reshape([batch, seq, width / self.dim, self.dim]).swap_dims(1, 2)
    }

    fn joined(&self, x: Tensor<4>) -> Tensor<3> {
        let [batch, heads, seq, dim] = x.dims();
        x.swap_dims(1, 2).reshape([batch, seq, heads * dim])
    }

    /// Plain loops; `mask` holds one value for each query and key.
    fn reference(
        &self,
        inputs: &[Vec<f64>],
        sizes: &[usize],
        visibility: Visibility,
        mask: Option<&[f64]>,
    ) -> Vec<f64> {
        let &Self { batch, seq_q, seq_k, dim } = self;
        let n_heads = sizes.iter().sum::<usize>();
        let groups: Vec<usize> = (sizes.iter().enumerate()).flat_map(|(g, &s)| vec![g; s]).collect();
        let row = |which: usize, b: usize, token: usize, head: usize| {
            let (seq, heads) = if which == 0 { (seq_q, n_heads) } else { (seq_k, sizes.len()) };
            &inputs[which][((b * seq + token) * heads + head) * dim..][..dim]
        };
        let mut out = Vec::new();
        for (b, i) in (0..batch).flat_map(|b| (0..seq_q).map(move |i| (b, i))) {
            for (head, &group) in groups.iter().enumerate() {
                let position = (seq_k + i).checked_sub(seq_q);
                let sees = |j: usize| match visibility {
                    Visibility::Causal => position.is_some_and(|p| j <= p),
                    Visibility::Window(width) => position.is_some_and(|p| j <= p && j + width > p),
                    _ => true,
                };
                let q = row(0, b, i, head);
                let scores: Vec<f64> = (0..seq_k)
                    .map(|j| {
                        let k = row(1, b, j, group);
                        let dot: f64 = q.iter().zip(k).map(|(q, k)| q * k).sum();
                        let added = mask.map_or(0.0, |mask| mask[i * seq_k + j]);
                        if sees(j) { dot / (dim as f64).sqrt() + added } else { f64::NEG_INFINITY }
                    })
                    .collect();
                let top = scores.iter().copied().fold(f64::MIN, f64::max);
                let weights: Vec<f64> = scores.iter().map(|s| (s - top).exp()).collect();
                let sum: f64 = weights.iter().sum::<f64>().max(f64::MIN_POSITIVE);
                out.extend((0..dim).map(|d| {
                    let terms = weights.iter().enumerate().map(|(j, w)| w * row(2, b, j, group)[d]);
                    terms.sum::<f64>() / sum
                }));
            }
        }
        out
    }

    fn check(&self, sizes: &[usize], visibility: Visibility, mask: Option<&[f64]>) {
        let mask_shape = [1, self.seq_q, self.seq_k];
        let mask_tensor = mask.map(|mask| tensor(mask, mask_shape, &Device::flex()).unsqueeze());
        let options = AttentionOptions { mask: mask_tensor, ..AttentionOptions::new() };
        let options = options.with_visibility(visibility);
        let run = |x: &[Tensor<3>], form: Form| {
            self.joined(attend(form, [0, 1, 2].map(|i| self.heads(&x[i])), sizes, &options))
        };
        Case {
            name: format!("grouped_attention {sizes:?} {visibility:?} {self:?}"),
            shapes: self.shapes(sizes),
            scale: 1.0,
            reference: &|inputs| self.reference(inputs, sizes, visibility, mask),
            fused: &|x| run(x, grouped_attention),
            composed: &|x| run(x, grouped_attention::composed),
        }
        .check();
    }
}

/// All ways to write `n` as an ordered sum of `parts` numbers, zeros included.
fn compositions(n: usize, parts: usize) -> Vec<Vec<usize>> {
    if parts == 1 {
        return vec![vec![n]];
    }
    (0..=n)
        .flat_map(|first| {
            let rests = compositions(n - first, parts - 1);
            rests.into_iter().map(move |rest| [vec![first], rest].concat())
        })
        .collect()
}

#[test]
fn every_composition_of_six_heads_into_three_groups() {
    let extents = Extents { batch: 2, seq_q: 3, seq_k: 4, dim: 3 };
    let all = compositions(6, 3);
    assert_eq!(all.len(), 28, "ordered sums with zeros");
    for sizes in all {
        extents.check(&sizes, Visibility::All, None);
    }
}

#[test]
fn blocks_tails_and_visibilities() {
    // More rows than the form for few takes, odd lengths, rows of several blocks, one key.
    let mask =
        |n: usize| -> Vec<f64> { (0..n).map(|i| f64::from((i * 37 % 11) as u32) * 0.25 - 1.0).collect() };
    for (sizes, extents) in [
        (vec![1], Extents { batch: 1, seq_q: 1, seq_k: 1, dim: 1 }),
        (vec![2, 1], Extents { batch: 2, seq_q: 1, seq_k: 37, dim: 20 }),
        (vec![3, 0, 1], Extents { batch: 1, seq_q: 7, seq_k: 19, dim: 16 }),
        (vec![2, 2], Extents { batch: 1, seq_q: 150, seq_k: 150, dim: 5 }),
    ] {
        let mask = mask(extents.seq_q * extents.seq_k);
        for visibility in [Visibility::All, Visibility::Causal, Visibility::Window(3)] {
            extents.check(&sizes, visibility, None);
        }
        extents.check(&sizes, Visibility::Causal, Some(&mask));
    }
}

/// Uniform values that depend on `seed` alone.
fn waves(shape: [usize; 4], seed: usize, device: &Device) -> Tensor<4> {
    let n: usize = shape.iter().product();
    let values: Vec<f32> =
        (0..n).map(|i| ((i * 7919 + seed * 104_729) % 2003) as f32 / 500.0 - 2.0).collect();
    Tensor::from_data(TensorData::new(values, shape), device)
}

/// `q`, `k` and `v` for these sizes.
fn inputs(extents: Extents, sizes: &[usize], device: &Device) -> [Tensor<4>; 3] {
    let Extents { batch, seq_q, seq_k, dim } = extents;
    let kv = [batch, sizes.len(), seq_k, dim];
    let q = waves([batch, sizes.iter().sum(), seq_q, dim], 1, device);
    [q, waves(kv, 2, device), waves(kv, 3, device)]
}

#[test]
fn uniform_groups_equal_burns_own_attention() {
    let device = Device::flex();
    for (sizes, seq_q) in [(vec![1; 4], 9), (vec![3; 2], 9), (vec![2; 3], 1), (vec![4], 70)] {
        let [q, k, v] = inputs(Extents { batch: 2, seq_q, seq_k: 70, dim: 16 }, &sizes, &device);
        let options = AttentionModuleOptions::default();
        let want = floats(attention(q.clone(), k.clone(), v.clone(), None, None, options));
        for form in FORMS {
            let qkv = [q.clone(), k.clone(), v.clone()];
            let found = floats(attend(form, qkv, &sizes, &AttentionOptions::new()));
            assert_close(&format!("{sizes:?}"), &found, &want, 1e-5);
        }
    }
}

#[test]
fn unequal_groups_equal_gathered_heads() {
    let device = Device::flex();
    for sizes in [vec![3, 0, 1, 2], vec![0, 0, 6], vec![5, 1]] {
        for seq_q in [1, 5, 40] {
            let [q, k, v] = inputs(Extents { batch: 2, seq_q, seq_k: 40, dim: 16 }, &sizes, &device);
            let of_head: Vec<i32> =
                sizes.iter().enumerate().flat_map(|(group, &size)| vec![group as i32; size]).collect();
            let of_head = Tensor::from_ints(of_head.as_slice(), &device);
            let [gk, gv] = [&k, &v].map(|x| x.clone().select(1, of_head.clone()));
            let want = floats(attention(q.clone(), gk, gv, None, None, AttentionModuleOptions::default()));
            let found = floats(attend(grouped_attention, [q, k, v], &sizes, &AttentionOptions::new()));
            assert_close(&format!("{sizes:?} with {seq_q} queries"), &found, &want, 1e-5);
        }
    }
}

#[test]
fn keys_are_read_inside_a_larger_buffer() {
    let device = Device::flex();
    let sizes = [3, 1];
    for seq_q in [1, 30] {
        let [q, k, v] = inputs(Extents { batch: 2, seq_q, seq_k: 64, dim: 8 }, &sizes, &device);
        let run =
            |k, v| floats(attend(grouped_attention, [q.clone(), k, v], &sizes, &AttentionOptions::causal()));
        let parts = [&k, &v].map(|x| x.clone().narrow(2, 5, 41));
        let copies = parts.clone().map(|x| Tensor::<4>::from_data(x.into_data(), &device));
        let [pk, pv] = parts;
        let [ck, cv] = copies;
        assert_eq!(run(pk, pv), run(ck, cv), "a view of {seq_q} queries' keys");
    }
}

/// Value and gradients of the sum of squares.
fn values_and_gradients(
    form: Form,
    leaves: [Tensor<4>; 3],
    sizes: &[usize],
    options: &AttentionOptions,
) -> [Vec<f64>; 4] {
    let leaves = leaves.map(Tensor::require_grad);
    let out = attend(form, leaves.clone(), sizes, options);
    let grads = out.clone().powi_scalar(2).sum().backward();
    let [q, k, v] = leaves.map(|leaf| floats(leaf.grad(&grads).expect("tracked")));
    [floats(out), q, k, v]
}

#[test]
fn both_forms_agree_on_masks_and_dropout() {
    let device = Device::flex().autodiff();
    let sizes = [2, 0, 3];
    let extents = Extents { batch: 2, seq_q: 6, seq_k: 11, dim: 4 };
    for (mask, dropout) in [(Some([2, 5]), 0.0), (Some([2, 1]), 0.0), (Some([1, 5]), 0.4), (None, 0.4)] {
        let mask = mask.map(|[batch, heads]| waves([batch, heads, 6, 11], 9, &Device::flex()));
        let options = AttentionOptions { mask, ..AttentionOptions::causal() };
        let options = options.with_scale(0.7).with_dropout(dropout, 5);
        let run = |form| values_and_gradients(form, inputs(extents, &sizes, &device), &sizes, &options);
        let (fused, composed) = (run(grouped_attention), run(grouped_attention::composed));
        for (name, (fused, composed)) in ["value", "q", "k", "v"].iter().zip(fused.iter().zip(&composed)) {
            assert_close(&format!("{name} with dropout {dropout}"), fused, composed, 2e-5);
        }
    }
}

#[test]
fn dropout_keeps_the_mean_and_follows_its_seed() {
    let device = Device::flex();
    let extents = Extents { batch: 1, seq_q: 200, seq_k: 300, dim: 1 };
    let [q, k, _] = inputs(extents, &[2], &device);
    let v = Tensor::<4>::ones([1, 1, 300, 1], &device);
    let run = |seed| {
        let options = AttentionOptions::new().with_dropout(0.25, seed);
        floats(attend(grouped_attention, [q.clone(), k.clone(), v.clone()], &[2], &options))
    };
    let out = run(1);
    let mean = out.iter().sum::<f64>() / out.len() as f64;
    assert!((mean - 1.0).abs() < 0.01, "weights that sum to 1 have the mean {mean} under dropout");
    assert!(out.iter().any(|sum| (sum - 1.0).abs() > 0.01), "nothing was dropped");
    assert_eq!(out, run(1), "one seed, one choice");
    assert_ne!(out, run(2), "another seed, another choice");
}

#[test]
fn scores_of_ten_thousand_stay_finite() {
    let device = Device::flex().autodiff();
    for seq_q in [1, 40] {
        let extents = Extents { batch: 1, seq_q, seq_k: 40, dim: 4 };
        let [q, k, v] = inputs(extents, &[2, 1], &device);
        let [q, k] = [q, k].map(|x| x * 50.0);
        for form in FORMS {
            let leaves = [q.clone(), k.clone(), v.clone()].map(|x| Tensor::from_data(x.into_data(), &device));
            for values in values_and_gradients(form, leaves, &[2, 1], &AttentionOptions::new()) {
                assert!(values.iter().all(|x| x.is_finite()), "not finite at {seq_q} queries");
            }
        }
    }
}

#[test]
fn a_query_that_sees_nothing_gives_zeros_and_no_gradient() {
    let device = Device::flex().autodiff();
    for seq_q in [2, 40] {
        let extents = Extents { batch: 1, seq_q, seq_k: 40, dim: 4 };
        let mut mask = vec![0.0f32; seq_q * 40];
        mask[..40].fill(f32::NEG_INFINITY);
        let mask = Tensor::from_data(TensorData::new(mask, [1, 1, seq_q, 40]), &Device::flex());
        let options = AttentionOptions::new().with_mask(mask);
        for form in FORMS {
            let [out, q, k, v] = values_and_gradients(form, inputs(extents, &[1], &device), &[1], &options);
            assert_eq!(out[..4], [0.0; 4], "the output of the hidden row");
            assert_eq!(q[..4], [0.0; 4], "the gradient of the hidden query");
            let all = [q, k, v].concat();
            assert!(all.iter().all(|x| x.is_finite()), "gradients at {seq_q} queries");
        }
    }
}

#[test]
fn the_same_bytes_for_any_number_of_threads() {
    let run = |n_threads: usize| {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(n_threads).build().expect("a pool");
        pool.install(|| {
            let device = Device::flex().autodiff();
            let mut bytes = Vec::new();
            for (seq_q, dropout) in [(1, 0.0), (130, 0.1)] {
                let extents = Extents { batch: 3, seq_q, seq_k: 700, dim: 24 };
                let sizes = [5, 0, 2, 1];
                let options = AttentionOptions::new().with_dropout(dropout, 3);
                let inputs = inputs(extents, &sizes, &device);
                let all = values_and_gradients(grouped_attention, inputs, &sizes, &options);
                bytes.extend(all.into_iter().flatten().map(f64::to_bits));
            }
            bytes
        })
    };
    let one = run(1);
    assert!(one.iter().any(|&bits| bits << 1 != 0), "the run computed only zeros");
    for n_threads in [2, 3, 5] {
        assert!(one == run(n_threads), "{n_threads} threads give other bytes than one");
    }
}

#[test]
fn other_float_types_take_the_composed_form() {
    let device = Device::flex();
    let extents = Extents { batch: 1, seq_q: 5, seq_k: 7, dim: 4 };
    let [q, k, v] = inputs(extents, &[2, 1], &device);
    let run = |qkv| attend(grouped_attention, qkv, &[2, 1], &AttentionOptions::causal());
    let want = floats(run([q.clone(), k.clone(), v.clone()]));
    let found = run([q, k, v].map(|x| x.cast(DType::F64)));
    assert_eq!(found.dtype(), DType::F64, "the type is kept");
    assert_close("f64", &floats(found), &want, 1e-6);
}

#[test]
fn nothing_in_gives_nothing_out() {
    let device = Device::flex();
    for form in FORMS {
        let run = |batch, seq_k| {
            let inputs = inputs(Extents { batch, seq_q: 2, seq_k, dim: 4 }, &[2, 1], &device);
            attend(form, inputs, &[2, 1], &AttentionOptions::new())
        };
        assert_eq!(run(0, 3).dims(), [0, 3, 2, 4], "no batch");
        assert_eq!(floats(run(1, 0)), [0.0; 24], "no key");
    }
}

#[test]
fn what_does_not_fit_is_a_typed_error() {
    let device = Device::flex();
    let mask = |shape: [usize; 4]| AttentionOptions::new().with_mask(Tensor::zeros(shape, &device));
    let (plain, causal) = (AttentionOptions::new(), AttentionOptions::causal());
    let window = plain.clone().with_visibility(Visibility::Window(0));
    for (sizes, options, seq_q, words) in [
        (&[2, 2][..], &plain, 5, "sizes: expected sizes that sum to the 3 heads of q, found [2, 2]"),
        (&[usize::MAX, 4], &plain, 5, "sizes: expected sizes that sum to the 3 heads of q"),
        (&[], &plain, 5, "sizes: expected sizes that sum to the 3 heads of q, found []"),
        (&[1, 1, 1], &plain, 5, "k: expected shape [2, 3, 5, 8], found [2, 2, 5, 8]"),
        (&[2, 1], &causal, 6, "queries: expected at most 5, as many as keys"),
        (&[2, 1], &mask([1, 2, 5, 5]), 5, "mask: expected shape [2, 3, 5, 5], found [1, 2, 5, 5]"),
        (&[2, 1], &mask([1, 1, 5, 4]), 5, "mask: expected shape [2, 3, 5, 5], found [1, 1, 5, 4]"),
        (&[2, 1], &plain.clone().with_dropout(1.0, 0), 5, "dropout: expected a probability"),
        (&[2, 1], &window, 5, "window: expected at least one key, found 0"),
    ] {
        for form in FORMS {
            let [q, k, v] = inputs(Extents { batch: 2, seq_q, seq_k: 5, dim: 8 }, &[2, 1], &device);
            let found = form(q, k, v, sizes, options).expect_err("does not fit").to_string();
            assert!(found.contains(words), "the message is {found:?}, expected {words:?}");
        }
    }
}

#[test]
fn a_frozen_input_gets_no_gradient() {
    let device = Device::flex().autodiff();
    let extents = Extents { batch: 1, seq_q: 2, seq_k: 3, dim: 4 };
    let [q, k, v] = inputs(extents, &[2], &device);
    let q = q.require_grad();
    let qkv = [q.clone(), k.clone(), v];
    let out = attend(grouped_attention, qkv, &[2], &AttentionOptions::new());
    let grads = out.sum().backward();
    assert!(q.grad(&grads).is_some(), "q is tracked");
    assert!(k.grad(&grads).is_none(), "k is not");
}

/// On another device than the CPU: values and gradients equal the CPU's.
#[cfg(feature = "wgpu")]
#[test]
fn wgpu_gives_the_attention_of_the_cpu() {
    let Some(gpu) = crate::device::adapter("wgpu_gives_the_attention_of_the_cpu") else { return };
    let extents = Extents { batch: 2, seq_q: 5, seq_k: 9, dim: 4 };
    let options = AttentionOptions::new().with_visibility(Visibility::Window(4)).with_dropout(0.2, 8);
    let run = |device: Device| {
        let inputs = inputs(extents, &[2, 0, 1], &device.autodiff());
        values_and_gradients(grouped_attention, inputs, &[2, 0, 1], &options)
    };
    for (found, want) in run(gpu).iter().zip(&run(Device::flex())) {
        assert_close("wgpu", found, want, 1e-5);
    }
}
