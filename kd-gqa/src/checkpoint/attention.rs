//! Where the projections of one layer lie in its tensors, with their shapes checked, and how they are read.

use std::ops::Range;

use grouping_core::files::tensor_file::{Dtype, TensorFolder, is_float};
use grouping_core::matrix::Matrix;

use super::{AttentionPart, Names, QKV};
use crate::{Error, Result};

/// The attention of one layer: names of its tensors, and rows of its projections in them.
#[derive(Debug, Clone)]
pub struct Layer {
    /// Query, key, value and output.
    places: [StoredPart; 4],
    hidden_size: usize,
    /// Whether query, key and value lie in one tensor.
    is_fused: bool,
}

#[derive(Debug, Clone)]
struct StoredPart {
    weight: String,
    bias: Option<String>,
    rows: Range<usize>,
}

/// The projections of one layer in `f32`: `query [H·hd, d]`, `key` and `value` `[G·hd, d]`, `output [d, H·hd]`, and their biases.
#[derive(Debug, Clone, PartialEq)]
pub struct AttentionTensors {
    /// `W_Q [H·hd, d]`
    pub query: Matrix,
    /// `W_K [G·hd, d]`
    pub key: Matrix,
    /// `W_V [G·hd, d]`
    pub value: Matrix,
    /// `W_O [d, H·hd]`
    pub output: Matrix,
    /// Biases of query, key, value and output, where they have some.
    pub biases: [Option<Vec<f32>>; 4],
}

impl Layer {
    /// Finds and checks the tensors of layer `layer`.
    ///
    /// # Errors
    /// [`Error::FileField`](grouping_core::Error::FileField) for one that is missing, of another rank or shape than the others allow, or no floats.
    pub(super) fn find(tensors: &TensorFolder, names: &Names, layer: usize) -> Result<Self> {
        let shape = |projection: AttentionPart| weight_shape(tensors, &names.weight(layer, projection));
        // W_O says both sizes.
        let [hidden_size, n_query_rows] = shape(AttentionPart::Output)?;
        let check = |projection: AttentionPart, expected: [usize; 2]| {
            let (name, found) = (names.weight(layer, projection), shape(projection)?);
            if found == expected {
                return Ok(());
            }
            Err(misfit(tensors, &name, format!("shape {expected:?}"), format!("{found:?}")))
        };
        let n_kv_rows = if names.is_fused() {
            let [n_rows, n_cols] = shape(AttentionPart::Query)?;
            let rest = n_rows.checked_sub(n_query_rows).filter(|rest| *rest > 0 && rest.is_multiple_of(2));
            let n_kv_rows = rest.map_or(0, |rest| rest / 2);
            if n_cols != hidden_size || n_kv_rows == 0 || n_kv_rows > n_query_rows {
                let expected = format!(
                    "{n_query_rows} rows of queries, as many or fewer of keys and as many of values, of {hidden_size} columns"
                );
                let name = names.weight(layer, AttentionPart::Query);
                return Err(misfit(tensors, &name, expected, format!("shape {:?}", [n_rows, n_cols])));
            }
            n_kv_rows
        } else {
            let [n_kv_rows, _] = shape(AttentionPart::Key)?;
            check(AttentionPart::Query, [n_query_rows, hidden_size])?;
            check(AttentionPart::Key, [n_kv_rows, hidden_size])?;
            check(AttentionPart::Value, [n_kv_rows, hidden_size])?;
            n_kv_rows
        };
        let n_rows = [n_query_rows, n_kv_rows, n_kv_rows];
        let place = |projection: AttentionPart, rows: Range<usize>, n_rows_stored: usize| {
            let (weight, bias) = (names.weight(layer, projection), names.bias(layer, projection));
            let Some(found) = tensors.shape(&bias) else {
                return Ok(StoredPart { weight, bias: None, rows });
            };
            if found != [n_rows_stored] {
                return Err(misfit(
                    tensors,
                    &bias,
                    format!("shape {:?}", [n_rows_stored]),
                    format!("{found:?}"),
                ));
            }
            check_float(tensors, &bias)?;
            Ok(StoredPart { weight, bias: Some(bias), rows })
        };
        let mut start = 0;
        let [query, key, value] = [0, 1, 2].map(|i| {
            let rows = if names.is_fused() { start..start + n_rows[i] } else { 0..n_rows[i] };
            start += n_rows[i];
            place(QKV[i], rows, if names.is_fused() { n_rows.iter().sum() } else { n_rows[i] })
        });
        let output = place(AttentionPart::Output, 0..hidden_size, hidden_size)?;
        Ok(Self { places: [query?, key?, value?, output], hidden_size, is_fused: names.is_fused() })
    }

    fn place(&self, projection: AttentionPart) -> &StoredPart {
        &self.places[projection as usize]
    }

    /// Name of the tensor that holds a projection's weight.
    pub fn weight(&self, projection: AttentionPart) -> &str {
        &self.place(projection).weight
    }

    /// Name of the tensor that holds a projection's bias, if it has one.
    pub fn bias(&self, projection: AttentionPart) -> Option<&str> {
        self.place(projection).bias.as_deref()
    }

    /// Rows of a projection in the tensor that holds it.
    pub fn rows(&self, projection: AttentionPart) -> Range<usize> {
        self.place(projection).rows.clone()
    }

    /// Whether query, key and value lie in one tensor.
    pub fn is_fused(&self) -> bool {
        self.is_fused
    }

    pub(super) fn hidden_size(&self) -> usize {
        self.hidden_size
    }

    /// Names of all its tensors, fused ones several times.
    pub(crate) fn tensor_names(&self) -> impl Iterator<Item = &str> {
        self.places.iter().flat_map(|place| [Some(place.weight.as_str()), place.bias.as_deref()]).flatten()
    }

    /// Some rows of a projection's weight, row-major.
    ///
    /// # Errors
    /// [`Error::Core`] for values that are not finite, or rows that are not there.
    pub fn weight_rows(
        &self,
        tensors: &TensorFolder,
        projection: AttentionPart,
        rows: Range<usize>,
    ) -> Result<Vec<f32>> {
        let place = self.place(projection);
        let rows = place.rows.start + rows.start..place.rows.start + rows.end;
        Ok(tensors.holder(&place.weight)?.decode_rows(&place.weight, rows)?)
    }

    /// A projection's bias, if it has one.
    ///
    /// # Errors
    /// [`Error::Core`] for values that are not finite.
    pub fn bias_values(&self, tensors: &TensorFolder, projection: AttentionPart) -> Result<Option<Vec<f32>>> {
        let place = self.place(projection);
        let Some(bias) = &place.bias else { return Ok(None) };
        Ok(Some(tensors.holder(bias)?.decode_rows(bias, place.rows.clone())?))
    }

    pub(super) fn decode(&self, tensors: &TensorFolder) -> Result<AttentionTensors> {
        let matrix = |projection: AttentionPart| -> Result<Matrix> {
            let n_rows = self.rows(projection).len();
            let values = self.weight_rows(tensors, projection, 0..n_rows)?;
            Ok(Matrix::new(n_rows, values.len() / n_rows, values)?)
        };
        let bias = |projection| self.bias_values(tensors, projection);
        Ok(AttentionTensors {
            query: matrix(AttentionPart::Query)?,
            key: matrix(AttentionPart::Key)?,
            value: matrix(AttentionPart::Value)?,
            output: matrix(AttentionPart::Output)?,
            biases: [
                bias(AttentionPart::Query)?,
                bias(AttentionPart::Key)?,
                bias(AttentionPart::Value)?,
                bias(AttentionPart::Output)?,
            ],
        })
    }
}

fn misfit(tensors: &TensorFolder, name: &str, expected: impl Into<String>, found: impl ToString) -> Error {
    let path = tensors.shard_of(name).map_or(tensors.path(), |shard| shard.path());
    Error::format(path, name, expected, found)
}

fn weight_shape(tensors: &TensorFolder, name: &str) -> Result<[usize; 2]> {
    let found = tensors.shape(name).ok_or_else(|| misfit(tensors, name, "a tensor of this name", "none"))?;
    let shape = <[usize; 2]>::try_from(found);
    let shape = shape.map_err(|_| misfit(tensors, name, "two axes", format!("shape {found:?}")))?;
    if shape.contains(&0) {
        return Err(misfit(tensors, name, "a shape above zero", format!("{found:?}")));
    }
    check_float(tensors, name)?;
    Ok(shape)
}

fn check_float(tensors: &TensorFolder, name: &str) -> Result<()> {
    match tensors.shard_of(name).and_then(|shard| shard.dtype(name)) {
        Some(dtype) if !is_float(dtype) => {
            let other =
                if matches!(dtype, Dtype::F64) { "" } else { " (quantised checkpoints are not read)" };
            Err(misfit(tensors, name, format!("type F32, F16 or BF16{other}"), format!("{dtype:?}")))
        }
        _ => Ok(()),
    }
}
