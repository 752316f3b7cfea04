//! Folding an n-dimensional array over some of its axes, in one pass over memory.
//!
//! Axes of length 1 vanish and neighbouring axes of one kind (kept or folded) merge, so any choice of axes becomes an
//! alternation of kept and folded ones: rows of the innermost axis are either folded whole or spread over neighbouring
//! groups.

use super::{Reduced, axes_error};
use crate::{Error, Result};

/// What accumulates in a group; `Default` is the empty group.
pub(super) trait Fold: Clone + Default {
    fn push(&mut self, x: f32);

    fn push_all(&mut self, values: &[f32]) {
        values.iter().for_each(|&x| self.push(x));
    }
}

struct Axis {
    len: usize,
    folded: bool,
}

pub(super) fn fold_axes<F: Fold>(values: &[f32], shape: &[usize], axes: &[usize]) -> Result<Reduced<F>> {
    let n_values = shape.iter().try_fold(1usize, |n, &len| n.checked_mul(len));
    if n_values != Some(values.len()) {
        let (expected, found) = (shape.to_vec(), vec![values.len()]);
        return Err(Error::Shape { what: "array".into(), expected, found });
    }
    let mut folded = vec![false; shape.len()];
    for &axis in axes {
        match folded.get_mut(axis) {
            Some(f) if !*f => *f = true,
            _ => return Err(axes_error(format!("distinct axes below {}", shape.len()), axes)),
        }
    }
    let kept: Vec<usize> = shape.iter().zip(&folded).filter(|(_, f)| !**f).map(|(&l, _)| l).collect();
    let mut groups = vec![F::default(); kept.iter().product()];
    if !values.is_empty() {
        fold_rows(values, &merged(shape, &folded), &mut groups);
    }
    Ok(Reduced { shape: kept, values: groups })
}

fn merged(shape: &[usize], folded: &[bool]) -> Vec<Axis> {
    let mut axes: Vec<Axis> = vec![];
    for (&len, &folded) in shape.iter().zip(folded).filter(|(len, _)| **len != 1) {
        match axes.last_mut() {
            Some(last) if last.folded == folded => last.len *= len,
            _ => axes.push(Axis { len, folded }),
        }
    }
    axes
}

fn fold_rows<F: Fold>(values: &[f32], axes: &[Axis], groups: &mut [F]) {
    let Some((inner, outer)) = axes.split_last() else {
        return groups[0].push_all(values);
    };
    // Distance in `groups` of neighbours along each outer axis; 0 along folded ones.
    let mut strides = vec![0; outer.len()];
    let mut stride = if inner.folded { 1 } else { inner.len };
    for (s, axis) in strides.iter_mut().zip(outer).rev() {
        if !axis.folded {
            *s = stride;
            stride *= axis.len;
        }
    }
    let mut position = vec![0; outer.len()];
    let mut group = 0;
    for row in values.chunks_exact(inner.len) {
        if inner.folded {
            groups[group].push_all(row);
        } else {
            groups[group..group + inner.len].iter_mut().zip(row).for_each(|(g, &x)| g.push(x));
        }
        for (a, axis) in outer.iter().enumerate().rev() {
            position[a] += 1;
            group += strides[a];
            if position[a] < axis.len {
                break;
            }
            position[a] = 0;
            group -= strides[a] * axis.len;
        }
    }
}
