//! A tensor taken apart along one axis, so that what belongs to a channel can be moved, dropped or added.

use grouping_core::files::tensor_file::Tensor;

/// The slabs of a tensor: for each index along the axis all values with that index, in row-major order.
#[derive(Clone, Debug)]
pub(super) struct Slabs {
    shape: Vec<usize>,
    axis: usize,
    pub(super) slabs: Vec<Vec<f32>>,
}

impl Slabs {
    /// # Panics
    /// When the tensor has no such axis, or is empty.
    pub(super) fn of(tensor: &Tensor, axis: usize) -> Self {
        let n = tensor.shape[axis];
        let inner: usize = tensor.shape[axis + 1..].iter().product();
        let mut slabs = vec![Vec::with_capacity(tensor.values.len() / n); n];
        for (line, values) in tensor.values.chunks_exact(inner).enumerate() {
            slabs[line % n].extend_from_slice(values);
        }
        Self { shape: tensor.shape.clone(), axis, slabs }
    }

    /// The tensor, whose axis is as long as there are slabs.
    pub(super) fn joined(self) -> Tensor {
        let Self { mut shape, axis, slabs } = self;
        let inner: usize = shape[axis + 1..].iter().product();
        let outer: usize = shape[..axis].iter().product();
        shape[axis] = slabs.len();
        let mut values = Vec::with_capacity(outer * slabs.len() * inner);
        for line in 0..outer {
            for slab in &slabs {
                values.extend_from_slice(&slab[line * inner..][..inner]);
            }
        }
        Tensor { shape, values }
    }

    /// Values of a slab: for each index of the first axis but the one taken apart, all that follow.
    pub(super) fn slab_len(&self) -> usize {
        self.slabs.first().map_or(0, Vec::len)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tensor_is_taken_apart_and_put_together() {
        let tensor = Tensor { shape: vec![2, 3, 2], values: (0..12).map(|i| i as f32).collect() };
        for axis in 0..3 {
            let slabs = Slabs::of(&tensor, axis);
            assert_eq!(slabs.slabs.len(), tensor.shape[axis], "slabs along axis {axis}");
            let joined = slabs.joined();
            assert_eq!(
                (joined.shape, joined.values),
                (tensor.shape.clone(), tensor.values.clone()),
                "axis {axis}"
            );
        }
        let mut middle = Slabs::of(&tensor, 1);
        assert_eq!(middle.slabs[1], [2.0, 3.0, 8.0, 9.0], "one index of the middle axis");
        middle.slabs.remove(0);
        let joined = middle.joined();
        assert_eq!(joined.shape, [2, 2, 2], "one slab less");
        assert_eq!(joined.values, [2.0, 3.0, 4.0, 5.0, 8.0, 9.0, 10.0, 11.0], "its values");
    }
}
