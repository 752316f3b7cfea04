//! Cross-entropy as a fused operation: its passes on the CPU backend.

use std::sync::Arc;

use super::cpu;
use crate::kernels::FusedOp;
use crate::kernels::buffer::{CpuTensor, contiguous, tensor, values};
use crate::simd::Level;

/// See [`cross_entropy`](super::cross_entropy).
#[derive(Clone, Debug)]
pub(super) struct CrossEntropy {
    /// The class of each row.
    pub(super) classes: Arc<[usize]>,
}

impl FusedOp<1> for CrossEntropy {
    /// The logits, and what the backward pass needs of each row's softmax.
    type Saved = (CpuTensor, Vec<f32>);

    fn forward(&self, [logits]: [CpuTensor; 1]) -> (CpuTensor, Self::Saved) {
        let logits = contiguous(logits);
        let (loss, norms) = cpu::forward(Level::detect(), values(&logits), &self.classes);
        (tensor(vec![loss], [1]), (logits, norms))
    }

    fn backward(&self, saved: Self::Saved, grad: CpuTensor, _: [bool; 1]) -> [Option<CpuTensor>; 1] {
        let ((mut logits, norms), grad) = (saved, contiguous(grad));
        let weight = (f64::from(values(&grad)[0]) / self.classes.len() as f64) as f32;
        cpu::backward(Level::detect(), logits.storage_mut(), &self.classes, &norms, weight);
        [Some(logits)]
    }
}
