//! Carrying out a plan: the attention of one layer, head by head, from the source's tensors to the written ones.
//!
//! At any time a group's heads of one projection are in memory, or a few rows of `W_O`. Values are computed in `f32` and rounded once to the
//! type of the source's tensor.

use std::ops::Range;

use grouping_core::files::tensor_file::TensorFolder;
use grouping_core::matrix::{Matrix, MatrixRef};

use super::plan::LayerPlan;
use super::sink::Sink;
use crate::Result;
use crate::checkpoint::{AttentionPart, Layer};

/// Values of `W_O` that are held at once.
const BLOCK: usize = 1 << 20;

/// One layer of the source, what happens to it, and where it is written.
pub(super) struct LayerWork<'a> {
    pub(super) tensors: &'a TensorFolder,
    pub(super) source: &'a Layer,
    /// Where each projection's rows begin in the tensor that is written.
    pub(super) first_rows: [usize; 4],
    pub(super) plan: &'a LayerPlan,
    pub(super) head_dim: usize,
    pub(super) sink: &'a Sink,
}

impl LayerWork<'_> {
    /// Writes all four projections and their biases.
    ///
    /// # Errors
    /// [`Error::Core`](crate::Error::Core) for values that are not finite or leave their type's range, and from the system.
    pub(super) fn write(&self) -> Result<()> {
        self.queries()?;
        self.pooled(AttentionPart::Key, 0)?;
        self.pooled(AttentionPart::Value, 1)?;
        self.output()
    }

    fn rotation(&self, side: usize, head: usize) -> Option<&Matrix> {
        self.plan.rotations[side].as_ref().map(|rotations| &rotations[head])
    }

    /// Rows of one head, or its part of a bias, turned as key/value head `head` is.
    fn turn(&self, side: usize, head: usize, values: Vec<f32>) -> Result<Vec<f32>> {
        match self.rotation(side, head) {
            Some(turn) => turned(turn, &values),
            None => Ok(values),
        }
    }

    fn head_rows(&self, head: usize) -> Range<usize> {
        head * self.head_dim..(head + 1) * self.head_dim
    }

    /// The rows of one head.
    fn head(&self, projection: AttentionPart, head: usize) -> Result<Vec<f32>> {
        self.source.weight_rows(self.tensors, projection, self.head_rows(head))
    }

    fn put(&self, projection: AttentionPart, head: usize, n_cols: usize, values: &[f32]) -> Result<()> {
        let row = self.first_rows[projection as usize] + head * self.head_dim;
        self.sink.write_from(self.source.weight(projection), row * n_cols, values)
    }

    fn put_bias(&self, projection: AttentionPart, head: usize, values: &[f32]) -> Result<()> {
        let Some(name) = self.source.bias(projection) else { return Ok(()) };
        self.sink.write_from(name, self.first_rows[projection as usize] + head * self.head_dim, values)
    }

    fn queries(&self) -> Result<()> {
        let bias = self.source.bias_values(self.tensors, AttentionPart::Query)?;
        for (place, &head) in self.plan.query_order.iter().enumerate() {
            let key = self.plan.kv_head_of_query[head];
            let rows = self.turn(0, key, self.head(AttentionPart::Query, head)?)?;
            self.put(AttentionPart::Query, place, rows.len() / self.head_dim, &rows)?;
            if let Some(bias) = &bias {
                let part = self.turn(0, key, bias[self.head_rows(head)].to_vec())?;
                self.put_bias(AttentionPart::Query, place, &part)?;
            }
        }
        Ok(())
    }

    /// Keys (side 0) or values (side 1): the heads of each group pooled, and written as often as the plan says.
    fn pooled(&self, projection: AttentionPart, side: usize) -> Result<()> {
        let bias = self.source.bias_values(self.tensors, projection)?;
        for (group, members) in self.plan.members.iter().enumerate() {
            let places = || (0..self.plan.copies.len()).filter(|&place| self.plan.copies[place] == group);
            let pool = &self.plan.pool[side];
            let rows = pool.pooled(members, |head| self.turn(side, head, self.head(projection, head)?))?;
            for place in places() {
                self.put(projection, place, rows.len() / self.head_dim, &rows)?;
            }
            let Some(bias) = &bias else { continue };
            let part =
                pool.pooled(members, |head| self.turn(side, head, bias[self.head_rows(head)].to_vec()))?;
            for place in places() {
                self.put_bias(projection, place, &part)?;
            }
        }
        Ok(())
    }

    /// `W_O`, whose columns take the new order of the query heads.
    fn output(&self) -> Result<()> {
        let (hd, n_rows) = (self.head_dim, self.source.rows(AttentionPart::Output).len());
        let n_cols = self.plan.query_order.len() * hd;
        let step = (BLOCK / n_cols).max(1);
        for first in (0..n_rows).step_by(step) {
            let rows = first..(first + step).min(n_rows);
            let values = self.source.weight_rows(self.tensors, AttentionPart::Output, rows)?;
            let mut out = vec![0.0f32; values.len()];
            for (from, to) in values.chunks_exact(n_cols).zip(out.chunks_exact_mut(n_cols)) {
                for (to, &head) in to.chunks_exact_mut(hd).zip(&self.plan.query_order) {
                    let from = &from[self.head_rows(head)];
                    match self.rotation(1, self.plan.kv_head_of_query[head]) {
                        // A row of W_O,h·Sᵀ is S times that row.
                        Some(turn) => to.copy_from_slice(&turned(turn, from)?),
                        None => to.copy_from_slice(from),
                    }
                }
            }
            self.sink.write_from(self.source.weight(AttentionPart::Output), first * n_cols, &out)?;
        }
        if let (Some(name), Some(bias)) = (
            self.source.bias(AttentionPart::Output),
            self.source.bias_values(self.tensors, AttentionPart::Output)?,
        ) {
            self.sink.write_from(name, 0, &bias)?;
        }
        Ok(())
    }
}

/// `turn·values` for values `[hd, n]`, accumulated in `f64`.
fn turned(turn: &Matrix, values: &[f32]) -> Result<Vec<f32>> {
    let n_cols = values.len() / turn.n_cols();
    let values = MatrixRef::new(turn.n_cols(), n_cols, values)?;
    let mut out = Vec::with_capacity(turn.n_rows() * n_cols);
    let mut sums = vec![0.0f64; n_cols];
    for i in 0..turn.n_rows() {
        sums.fill(0.0);
        for (j, &factor) in turn.view().row(i).iter().enumerate() {
            sums.iter_mut().zip(values.row(j)).for_each(|(sum, &v)| *sum += f64::from(factor) * f64::from(v));
        }
        out.extend(sums.iter().map(|&sum| sum as f32));
    }
    Ok(out)
}
