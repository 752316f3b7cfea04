//! How a fused operation is added: its passes over plain slices ([`FusedOp`]), and [`fused_op!`](crate::fused_op), which runs them.
//!
//! An operation is a value that holds its constants. On the CPU backend in f32 its forward pass runs, and where a gradient is wanted it is
//! recorded in Burn's graph with what the backward pass needs. On every other device or float type the fallback of plain tensor
//! operations runs, which Burn differentiates. The backward pass is not recorded itself: there are first derivatives only.
//!
//! ```
//! use burn::tensor::{Device, Tensor};
//! use grouping_core::fused_op;
//! use grouping_core::kernels::FusedOp;
//! use grouping_core::kernels::buffer::{CpuTensor, contiguous, tensor, tensor_like, values};
//!
//! /// `y_i = scale · Σ_j x_ij²`.
//! #[derive(Clone, Debug)]
//! struct SquareNorms {
//!     scale: f32,
//! }
//!
//! impl FusedOp<1> for SquareNorms {
//!     /// `x`.
//!     type Saved = CpuTensor;
//!
//!     fn forward(&self, [x]: [CpuTensor; 1]) -> (CpuTensor, CpuTensor) {
//!         let (x, shape) = (contiguous(x.clone()), x.layout().shape());
//!         let [n_rows, width] = [shape[0], shape[1]];
//!         let square_norm = |row: &[f32]| self.scale * row.iter().map(|x| x * x).sum::<f32>();
//!         (tensor(values(&x).chunks_exact(width).map(square_norm).collect(), [n_rows]), x)
//!     }
//!
//!     /// `∂x_ij = 2 · scale · g_i · x_ij`.
//!     fn backward(&self, x: CpuTensor, grad: CpuTensor, _: [bool; 1]) -> [Option<CpuTensor>; 1] {
//!         let (grad, width) = (contiguous(grad), x.layout().shape()[1]);
//!         let rows = values(&x).chunks_exact(width).zip(values(&grad));
//!         let x_grad = rows.flat_map(|(row, g)| row.iter().map(move |x| 2.0 * self.scale * g * x)).collect();
//!         [Some(tensor_like(x_grad, &x))]
//!     }
//! }
//!
//! /// `scale · Σ_j x_ij²`: `x [n, d]` → `[n]`.
//! fn square_norms(x: Tensor<2>, scale: f32) -> Tensor<1> {
//!     fused_op!(SquareNorms { scale }, [x], (x.clone() * x).sum_dim(1).mul_scalar(scale).squeeze_dim::<1>(1))
//! }
//!
//! let x = Tensor::<2>::from_floats([[1.0, 2.0], [3.0, 0.0]], &Device::flex().autodiff()).require_grad();
//! let y = square_norms(x.clone(), 0.5);
//! assert_eq!(y.to_data().try_to_vec::<f32>().unwrap(), [2.5, 4.5]);
//! let x_grad = x.grad(&y.sum().backward()).unwrap();
//! assert_eq!(x_grad.into_data().try_into_vec::<f32>().unwrap(), [1.0, 2.0, 3.0, 0.0]);
//! ```

use std::fmt::Debug;
use std::marker::PhantomData;

use burn::backend::autodiff::Autodiff;
use burn::backend::autodiff::checkpoint::{base::Checkpointer, strategy::CheckpointStrategy};
use burn::backend::autodiff::grads::Gradients;
use burn::backend::autodiff::ops::{Backward, Ops, OpsKind};
use burn::backend::tensor::FloatTensor;
use burn::backend::{
    Backend, BackendTensor, Dispatch, DispatchAutodiffContext, DispatchDevice, DispatchTensor,
    DispatchTensorKind, ExtensionType, Flex, backend_extension,
};
use burn::tensor::{DType, Tensor};

use super::buffer::CpuTensor;

/// An operation of `N` float tensors on the CPU backend in f32, with its constants; see [the module](self).
pub trait FusedOp<const N: usize>: Clone + Debug + Send + 'static {
    /// What the backward pass needs of the forward pass: inputs, and values on the way.
    type Saved: Clone + Debug + Send + 'static;

    /// The result, and what the backward pass needs.
    ///
    /// An input that is not saved and that nobody else holds may be written in place.
    fn forward(&self, inputs: [CpuTensor; N]) -> (CpuTensor, Self::Saved);

    /// The result where no gradient is wanted; for operations that can write in place then.
    fn infer(&self, inputs: [CpuTensor; N]) -> CpuTensor {
        self.forward(inputs).0
    }

    /// The gradients of the inputs, given that of the result: at least those that are `wanted`, each of its input's shape.
    fn backward(&self, saved: Self::Saved, grad: CpuTensor, wanted: [bool; N]) -> [Option<CpuTensor>; N];
}

/// Runs a [`FusedOp`](crate::kernels::FusedOp) where its CPU form applies, else a fallback: `fused_op!(operation, [inputs], fallback)`.
///
/// The inputs are names of float tensors. The operation and the fallback are evaluated only where they are run. See
/// [`kernels::fused`](crate::kernels::fused) for an example.
#[macro_export]
macro_rules! fused_op {
    ($op:expr, [$($input:ident),+ $(,)?], $fallback:expr $(,)?) => {
        if $($crate::kernels::fused::is_cpu_f32(&$input))&&+ {
            $crate::kernels::fused::run($op, [$($input.into_dispatch()),+])
        } else {
            $fallback
        }
    };
}

/// Whether the CPU form applies to `tensor`: the CPU backend, with or without autodiff, in f32.
pub fn is_cpu_f32<const D: usize>(tensor: &Tensor<D>) -> bool {
    let device = tensor.device().without_autodiff();
    tensor.dtype() == DType::F32 && matches!(device.as_dispatch(), DispatchDevice::Flex(_))
}

/// Runs the CPU form, and records it where a gradient is wanted.
///
/// # Panics
/// If [`is_cpu_f32`] does not hold for an input, or a gradient that is wanted is missing.
pub fn run<Op: FusedOp<N>, const N: usize, const D: usize>(op: Op, inputs: [DispatchTensor; N]) -> Tensor<D> {
    Tensor::from_dispatch(<Dispatch as FusedOps>::run(op, Inputs(inputs.into())))
}

/// The inputs of an operation on any backend.
struct Inputs<B: Backend>(Vec<FloatTensor<B>>);

impl<B: Backend> Inputs<B> {
    fn array<const N: usize>(self) -> [FloatTensor<B>; N] {
        self.0.try_into().expect("as many as `run` was given")
    }
}

impl<B: Backend> ExtensionType<B> for Inputs<B> {
    type Target = Inputs<Dispatch>;

    fn map_to_dispatch<F>(self, map_kind: F, autodiff: DispatchAutodiffContext) -> Self::Target
    where
        F: Fn(BackendTensor<B>) -> DispatchTensorKind,
    {
        let map = |x| DispatchTensor { kind: map_kind(BackendTensor::Float(x)), autodiff };
        Inputs(self.0.into_iter().map(map).collect())
    }

    fn map_from_dispatch<F>(target: Self::Target, unwrap_kind: F) -> Self
    where
        F: Fn(DispatchTensor) -> BackendTensor<B>,
    {
        Self(target.0.into_iter().map(|x| unwrap_kind(x).float()).collect())
    }

    fn routing_tensor(target: &Self::Target) -> Option<&DispatchTensor> {
        target.0.first()
    }

    fn routing_float_tensor(target: &Self::Target) -> Option<&DispatchTensor> {
        target.0.first()
    }

    fn autodiff_context(target: &Self::Target) -> DispatchAutodiffContext {
        target.0.iter().map(|x| x.autodiff).fold(DispatchAutodiffContext::Disabled, |all, x| all.merge(x))
    }
}

/// Any fused operation, as an operation of a backend.
#[backend_extension(Flex, Autodiff)]
trait FusedOps: Backend {
    /// See [`run`].
    fn run<Op: FusedOp<N>, const N: usize>(
        op: Op,
        #[extension_type] inputs: Inputs<Self>,
    ) -> FloatTensor<Self>;
}

impl FusedOps for Flex {
    fn run<Op: FusedOp<N>, const N: usize>(op: Op, inputs: Inputs<Self>) -> FloatTensor<Self> {
        op.infer(inputs.array())
    }
}

impl<C: CheckpointStrategy> FusedOps for Autodiff<Flex, C> {
    fn run<Op: FusedOp<N>, const N: usize>(op: Op, inputs: Inputs<Self>) -> FloatTensor<Self> {
        let inputs = inputs.array::<N>();
        let nodes = inputs.each_ref().map(|x| x.node());
        let inputs = inputs.map(|x| x.into_primitive());
        match Node::<Op>(PhantomData).prepare::<C>(nodes).compute_bound().stateful() {
            OpsKind::Tracked(prepared) => {
                let (y, saved) = op.forward(inputs);
                prepared.finish((op, saved), y)
            }
            OpsKind::UnTracked(prepared) => prepared.finish(op.infer(inputs)),
        }
    }
}

/// An operation's node in the graph.
#[derive(Debug)]
struct Node<Op>(PhantomData<fn() -> Op>);

impl<Op: FusedOp<N>, const N: usize> Backward<Flex, N> for Node<Op> {
    type State = (Op, Op::Saved);

    fn backward(self, ops: Ops<Self::State, N>, grads: &mut Gradients, _: &mut Checkpointer) {
        let (op, saved) = ops.state;
        let grad = grads.consume::<Flex>(&ops.node);
        let wanted = ops.parents.each_ref().map(Option::is_some);
        for (node, gradient) in ops.parents.into_iter().zip(op.backward(saved, grad, wanted)) {
            if let Some(node) = node {
                let gradient =
                    gradient.unwrap_or_else(|| panic!("{op:?} has no gradient of a tracked input"));
                grads.register::<Flex>(node.id, gradient);
            }
        }
    }
}
