//! Mean cross-entropy of class scores against class indices, as PyTorch's `cross_entropy` with its defaults.
//!
//! `loss = mean_i ( log Σ_c e^{logits[i, c]} − logits[i, target_i] )`.
//!
//! Shapes: `logits [n, classes]`, `targets [n]` → `[1]`.

mod backward;
mod cpu;

use std::sync::Arc;

use burn::tensor::{Int, Tensor, activation};

use crate::fused_op;
use backward::CrossEntropy;

/// Mean over the rows of −log softmax(`logits`)\[target\]: `logits [n, classes]`, `targets [n]` → `[1]`.
///
/// # Panics
/// If the numbers of rows differ, there is no row, or a target is no class. On another device than the CPU the last
/// check waits for the targets to be read back.
///
/// ```
/// use burn::tensor::{Device, Int, Tensor};
/// use grouping_core::kernels::cross_entropy;
///
/// let device = Device::flex();
/// let logits = Tensor::<2>::zeros([3, 4], &device);
/// let targets = Tensor::<1, Int>::from_ints([0, 3, 1], &device);
/// let loss: f32 = cross_entropy(logits, targets).into_scalar();
/// assert!((loss - 4f32.ln()).abs() < 1e-6);
/// ```
pub fn cross_entropy(logits: Tensor<2>, targets: Tensor<1, Int>) -> Tensor<1> {
    check(&logits, &targets);
    let classes = classes(&targets, logits.dims()[1]);
    fused_op!(CrossEntropy { classes }, [logits], of_classes(logits, targets))
}

/// [`cross_entropy`] from Burn's tensor operations: any device, any float type.
pub fn composed(logits: Tensor<2>, targets: Tensor<1, Int>) -> Tensor<1> {
    check(&logits, &targets);
    classes(&targets, logits.dims()[1]);
    of_classes(logits, targets)
}

/// Cross-entropy against targets that are classes.
fn of_classes(logits: Tensor<2>, targets: Tensor<1, Int>) -> Tensor<1> {
    let [n_rows, _] = logits.dims();
    activation::log_softmax(logits, 1).gather(1, targets.reshape([n_rows, 1])).mean().neg()
}

/// The targets as class indices.
fn classes(targets: &Tensor<1, Int>, n_classes: usize) -> Arc<[usize]> {
    let class_of = |target: i64| match usize::try_from(target) {
        Ok(class) if class < n_classes => class,
        _ => panic!("cross_entropy: target {target} is not one of {n_classes} classes"),
    };
    targets.to_data().iter::<i64>().map(class_of).collect()
}

fn check(logits: &Tensor<2>, targets: &Tensor<1, Int>) {
    let [n_rows, _] = logits.dims();
    assert_eq!(targets.dims(), [n_rows], "cross_entropy: one target for each row of logits");
    assert!(n_rows > 0, "cross_entropy: the mean of no row is undefined");
}
