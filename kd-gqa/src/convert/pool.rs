//! Pooling: the one key and value head that stands for a group: the mean of its heads (Ainslie et al. 2023, §2.1), its first, or a
//! weighted sum (Weighted GQA, arXiv 2407.10855, with a scalar for each head).
//!
//! The mean equals that of the released code bit for bit: a sum in `f32`, then one division. PyTorch's sum over the heads `x_0 … x_{s−1}` of a
//! group takes their values in columns. In whole blocks of 32 columns it adds heads in order, by sixteens; in the columns that remain it
//! adds every fourth head, `x_0 + x_4 + …`, `x_1 + x_5 + …` and so on, the rest to the first sum, and then the four sums.

use std::path::{Path, PathBuf};

use grouping_core::files::text::read_text;
use serde::Deserialize;

use super::calibrated::Calibrated;
use crate::{Error, Result};

/// Weights for a thousand layers of a thousand heads are fewer bytes than this.
const LIMIT: u64 = 64 << 20;

/// How the heads of a group become one.
#[derive(Debug, Clone, Default, PartialEq)]
#[non_exhaustive]
pub enum Pool {
    /// Their mean.
    #[default]
    Mean,
    /// The first of them.
    First,
    /// Their sum, weighted.
    Weighted(PoolWeights),
    /// Their sum, weighted in proportion to the root mean square of their activations on calibration data.
    Activations,
}

/// A weight for the key and one for the value of each key/value head of the source, layer by layer.
#[derive(Debug, Clone, PartialEq)]
pub struct PoolWeights {
    path: PathBuf,
    layers: Vec<LayerWeights>,
}

#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
struct LayerWeights {
    k: Vec<f64>,
    v: Vec<f64>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    layers: Vec<LayerWeights>,
}

/// How the heads of a layer become one a group, for keys or for values.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum LayerPool {
    Mean,
    First,
    /// A factor for each head of the source.
    Weights(Vec<f32>),
}

impl PoolWeights {
    /// Reads `{"layers":[{"k":[…],"v":[…]},…]}`.
    ///
    /// # Errors
    /// [`Error::Core`] for a file that cannot be read, [`Error::FileField`](grouping_core::Error::FileField) for one that says something else.
    pub fn read(path: &Path) -> Result<Self> {
        let text = read_text(path, LIMIT)?;
        let File { layers } = serde_json::from_str(&text)
            .map_err(|e| Error::format(path, "pool weights", "{\"layers\":[{\"k\":[…],\"v\":[…]},…]}", e))?;
        Ok(Self { path: path.to_path_buf(), layers })
    }

    /// Weights of key and value for each head of a layer, scaled to sum 1 in each group.
    ///
    /// # Errors
    /// [`Error::FileField`](grouping_core::Error::FileField) for another number of layers or heads than there are, and for weights that cannot be scaled so.
    fn of_layer(&self, layer: usize, n_layers: usize, members: &[Vec<usize>]) -> Result<[LayerPool; 2]> {
        if self.layers.len() != n_layers {
            return Err(Error::format(&self.path, "layers", format!("{n_layers} layers"), self.layers.len()));
        }
        let n_heads: usize = members.iter().map(Vec::len).sum();
        let LayerWeights { k, v } = &self.layers[layer];
        let scaled = |letter: &str, weights: &[f64]| {
            let field = format!("layers[{layer}].{letter}");
            if weights.len() != n_heads {
                return Err(Error::format(&self.path, field, format!("{n_heads} weights"), weights.len()));
            }
            let mut out = vec![0.0; n_heads];
            for group in members {
                let sum: f64 = group.iter().map(|&head| weights[head]).sum();
                if !sum.is_finite() || sum <= 0.0 {
                    let expected = format!("weights of the heads {group:?} whose sum is above zero");
                    return Err(Error::format(&self.path, field, expected, sum));
                }
                group.iter().for_each(|&head| out[head] = (weights[head] / sum) as f32);
            }
            Ok(LayerPool::Weights(out))
        };
        Ok([scaled("k", k)?, scaled("v", v)?])
    }
}

impl Pool {
    /// The pooling of keys and of values in one layer.
    pub(super) fn of_layer(
        &self,
        layer: usize,
        n_layers: usize,
        members: &[Vec<usize>],
        calibrated: Option<&Calibrated<'_>>,
    ) -> Result<[LayerPool; 2]> {
        match self {
            Self::Mean => Ok([LayerPool::Mean, LayerPool::Mean]),
            Self::First => Ok([LayerPool::First, LayerPool::First]),
            Self::Weighted(weights) => weights.of_layer(layer, n_layers, members),
            Self::Activations => match calibrated {
                Some(calibrated) => Ok(calibrated.weights(members).map(LayerPool::Weights)),
                None => {
                    Err(Error::setting("pool", "a file of weights or calibration data for weighted", "none"))
                }
            },
        }
    }
}

impl LayerPool {
    /// The one head that stands for `members`, whose values `read` gives.
    pub(crate) fn pooled(
        &self,
        members: &[usize],
        mut read: impl FnMut(usize) -> Result<Vec<f32>>,
    ) -> Result<Vec<f32>> {
        match self {
            Self::First => read(members[0]),
            Self::Mean if members.len() == 1 => read(members[0]),
            Self::Mean => {
                let mut sum = Sum::default();
                for &head in members {
                    sum.add(&read(head)?);
                }
                let n = members.len() as f32;
                Ok(sum.total().into_iter().map(|value| value / n).collect())
            }
            Self::Weights(weights) => {
                let mut sum: Vec<f32> = vec![];
                for &head in members {
                    let values = read(head)?;
                    sum.resize(values.len(), 0.0);
                    sum.iter_mut().zip(values).for_each(|(sum, value)| *sum += weights[head] * value);
                }
                Ok(sum)
            }
        }
    }
}

/// Columns that are added in the order of the rows.
const BLOCK: usize = 32;
/// Rows after which a partial sum is put away.
const CASCADE: usize = 16;
/// Partial sums of the columns beyond the last whole block.
const STRIDE: usize = 4;

/// A sum of rows in the order of PyTorch's.
#[derive(Default)]
struct Sum {
    /// Whole blocks: the sum of the last rows, and of those put away.
    part: Vec<f32>,
    away: Vec<f32>,
    /// The columns beyond, row by row.
    rest: Vec<Vec<f32>>,
    n_rows: usize,
}

impl Sum {
    fn add(&mut self, row: &[f32]) {
        let n = row.len() / BLOCK * BLOCK;
        self.part.resize(n, 0.0);
        self.away.resize(n, 0.0);
        self.part.iter_mut().zip(row).for_each(|(sum, value)| *sum += value);
        self.rest.push(row[n..].to_vec());
        self.n_rows += 1;
        if self.n_rows.is_multiple_of(CASCADE) {
            self.away.iter_mut().zip(&mut self.part).for_each(|(away, part)| *away += std::mem::take(part));
        }
    }

    fn total(self) -> Vec<f32> {
        let mut out: Vec<f32> = self.part.iter().zip(&self.away).map(|(part, away)| part + away).collect();
        let n_strided = self.rest.len() / STRIDE * STRIDE;
        for column in 0..self.rest.first().map_or(0, Vec::len) {
            let mut sums = [0.0f32; STRIDE];
            let (strided, last) = self.rest.split_at(n_strided);
            strided.iter().enumerate().for_each(|(i, row)| sums[i % STRIDE] += row[column]);
            last.iter().for_each(|row| sums[0] += row[column]);
            out.push(((sums[0] + sums[1]) + sums[2]) + sums[3]);
        }
        out
    }
}
