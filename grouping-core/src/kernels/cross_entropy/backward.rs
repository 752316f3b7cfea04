//! Cross-entropy in Burn's graph: the CPU backend's operation and its node under autodiff.

use burn::backend::autodiff::Autodiff;
use burn::backend::autodiff::checkpoint::{base::Checkpointer, strategy::CheckpointStrategy};
use burn::backend::autodiff::grads::Gradients;
use burn::backend::autodiff::ops::{Backward, Ops, OpsKind};
use burn::backend::tensor::{FloatTensor, IntTensor};
use burn::backend::{Backend, Flex, backend_extension};
use burn::tensor::DType;

use super::{class_of, cpu};
use crate::kernels::buffer::{contiguous, tensor, values};
use crate::simd::Level;

/// Cross-entropy as an operation of a backend.
#[backend_extension(Flex, Autodiff)]
pub(super) trait CrossEntropyOps: Backend {
    /// See [`cross_entropy`](super::cross_entropy).
    fn cross_entropy(logits: FloatTensor<Self>, targets: IntTensor<Self>) -> FloatTensor<Self>;
}

/// The gradient of [`CrossEntropyOps`].
pub(super) trait CrossEntropyGradient: CrossEntropyOps {
    /// The loss, and what the backward pass needs of each row's softmax.
    fn cross_entropy_forward(
        logits: FloatTensor<Self>,
        targets: IntTensor<Self>,
    ) -> (FloatTensor<Self>, FloatTensor<Self>);

    /// The gradient of `logits`, given that of the loss.
    fn cross_entropy_backward(
        logits: FloatTensor<Self>,
        targets: IntTensor<Self>,
        norms: FloatTensor<Self>,
        grad: FloatTensor<Self>,
    ) -> FloatTensor<Self>;
}

/// The class indices in `targets`, each below `n_classes`.
fn classes(targets: &IntTensor<Flex>, n_classes: usize) -> Vec<usize> {
    let targets = targets.to_contiguous();
    if targets.dtype() == DType::I64 {
        let targets: &[i64] = targets.as_slice().expect("a contiguous i64 tensor");
        targets.iter().map(|&t| class_of(t, n_classes)).collect()
    } else {
        let targets: &[i32] =
            targets.as_slice().expect("a contiguous i32 tensor, as the public function checks");
        targets.iter().map(|&t| class_of(t.into(), n_classes)).collect()
    }
}

impl CrossEntropyOps for Flex {
    fn cross_entropy(logits: FloatTensor<Self>, targets: IntTensor<Self>) -> FloatTensor<Self> {
        Self::cross_entropy_forward(logits, targets).0
    }
}

impl CrossEntropyGradient for Flex {
    fn cross_entropy_forward(
        logits: FloatTensor<Self>,
        targets: IntTensor<Self>,
    ) -> (FloatTensor<Self>, FloatTensor<Self>) {
        let n_classes = logits.layout().shape()[1];
        let logits = contiguous(logits);
        let targets = classes(&targets, n_classes);
        let (loss, norms) = cpu::forward(Level::detect(), values(&logits), &targets);
        (tensor(vec![loss], [1]), tensor(norms, [targets.len(), 2]))
    }

    fn cross_entropy_backward(
        logits: FloatTensor<Self>,
        targets: IntTensor<Self>,
        norms: FloatTensor<Self>,
        grad: FloatTensor<Self>,
    ) -> FloatTensor<Self> {
        let n_classes = logits.layout().shape()[1];
        let (mut logits, grad) = (contiguous(logits), contiguous(grad));
        let targets = classes(&targets, n_classes);
        let weight = (f64::from(values(&grad)[0]) / targets.len() as f64) as f32;
        cpu::backward(Level::detect(), logits.storage_mut(), &targets, values(&norms), weight);
        logits
    }
}

impl<B: CrossEntropyGradient, C: CheckpointStrategy> CrossEntropyOps for Autodiff<B, C> {
    fn cross_entropy(logits: FloatTensor<Self>, targets: IntTensor<Self>) -> FloatTensor<Self> {
        #[derive(Debug)]
        struct Step;

        impl<B: CrossEntropyGradient> Backward<B, 1> for Step {
            type State = (FloatTensor<B>, IntTensor<B>, FloatTensor<B>);

            fn backward(self, ops: Ops<Self::State, 1>, grads: &mut Gradients, _: &mut Checkpointer) {
                let [logits_node] = ops.parents;
                let (logits, targets, norms) = ops.state;
                let grad = grads.consume::<B>(&ops.node);
                if let Some(node) = logits_node {
                    let logits_grad = B::cross_entropy_backward(logits, targets, norms, grad);
                    grads.register::<B>(node.id, logits_grad);
                }
            }
        }

        match Step.prepare::<C>([logits.node()]).compute_bound().stateful() {
            OpsKind::Tracked(prepared) => {
                let logits = logits.into_primitive();
                let (loss, norms) = B::cross_entropy_forward(logits.clone(), targets.clone());
                prepared.finish((logits, targets, norms), loss)
            }
            OpsKind::UnTracked(prepared) => {
                prepared.finish(B::cross_entropy(logits.into_primitive(), targets))
            }
        }
    }
}
