//! What calibration data decide in one layer: how far apart heads are, how they are turned, how much each weighs.
//!
//! Keys and values count alike in the distance `D_ij = Σ_M min_Q ‖M_j·Q − M_i‖² / ‖M‖²`; without alignment `Q` is the identity.

use std::sync::Arc;

use grouping_core::matrix::Matrix;

use super::search::Distances;
use crate::calibrate::{Calibration, HeadGram, LayerActivations, Maps, align, distances};
use crate::checkpoint::Checkpoint;
use crate::{Error, Result};

/// Whether heads are turned towards each other before they are pooled.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[cfg_attr(feature = "cli", derive(clap::ValueEnum))]
#[non_exhaustive]
pub enum Align {
    /// Heads as they are
    #[default]
    None,
    /// Rotations by orthogonal Procrustes, which need calibration data
    Procrustes,
}

/// The activations of one layer and the maps that may turn its heads.
pub(super) struct Calibrated<'a> {
    layer: &'a LayerActivations,
    maps: [Maps; 2],
}

/// Which maps may turn keys (with their queries) and values. A norm by coordinate, with weights of its own, stands between a
/// projection and its heads under QK-norm: no map of the projection's rows is one of the heads, so keys stay as they are.
fn maps(source: &Checkpoint, wanted: Align) -> [Maps; 2] {
    let keys = match source.dialect().rotary_pairs() {
        _ if source.has_qk_norm() => Maps::Identity,
        Some(pairs) => Maps::Planar(pairs),
        None => Maps::Orthogonal,
    };
    match wanted {
        Align::None => [Maps::Identity; 2],
        Align::Procrustes => [keys, Maps::Orthogonal],
    }
}

impl<'a> Calibrated<'a> {
    /// All layers of `source`.
    ///
    /// # Errors
    /// [`Error::Setting`](grouping_core::Error::Setting) for data of other heads.
    pub(super) fn layers(
        calibration: &'a Calibration,
        source: &Checkpoint,
        align: Align,
    ) -> Result<Vec<Self>> {
        check(calibration, source)?;
        let maps = maps(source, align);
        Ok(calibration.layers().iter().map(|layer| Self { layer, maps }).collect())
    }

    fn grams(&self) -> [&HeadGram; 2] {
        [&self.layer.keys, &self.layer.values]
    }

    /// Distances of the heads.
    ///
    /// # Errors
    /// That of a decomposition that does not converge.
    pub(super) fn distances(&self) -> Result<Distances> {
        let [keys, values] = self.grams();
        let [of_keys, of_values] = [distances(keys, self.maps[0])?, distances(values, self.maps[1])?];
        let sum: Vec<f64> = of_keys.iter().zip(&of_values).map(|(k, v)| k + v).collect();
        Ok(Distances::new(keys.n_heads(), &sum))
    }

    /// Rotations `R_j` of keys and `S_j` of values by head, such that `R_j·W_K,j` is turned; none where nothing is turned.
    ///
    /// # Errors
    /// That of a decomposition that does not converge.
    pub(super) fn rotations(&self, members: &[Vec<usize>]) -> Result<[Option<Arc<Vec<Matrix>>>; 2]> {
        let mut out = [None, None];
        for ((gram, maps), out) in self.grams().into_iter().zip(self.maps).zip(&mut out) {
            if maps == Maps::Identity {
                continue;
            }
            let dim = gram.head_dim();
            let identity = || Matrix::from_fn(dim, dim, |i, j| if i == j { 1.0 } else { 0.0 });
            let mut by_head: Vec<Matrix> = (0..gram.n_heads()).map(|_| identity()).collect();
            for group in members {
                for (&head, q) in group.iter().zip(align(gram, group, maps)?) {
                    // Activations are turned by `M·Q`, weights `[head_dim, d]` by `Qᵀ·W`.
                    by_head[head] = Matrix::from_fn(dim, dim, |i, j| q[j * dim + i] as f32);
                }
            }
            *out = Some(Arc::new(by_head));
        }
        Ok(out)
    }

    /// Weights in proportion to the root mean square of each head's activations, of sum 1 in each group; equal ones where all are zero.
    pub(super) fn weights(&self, members: &[Vec<usize>]) -> [Vec<f32>; 2] {
        self.grams().map(|gram| {
            let mut weights = vec![0.0; gram.n_heads()];
            for group in members {
                let sum: f64 = group.iter().map(|&head| gram.rms(head)).sum();
                for &head in group {
                    let share = if sum > 0.0 { gram.rms(head) / sum } else { 1.0 / group.len() as f64 };
                    weights[head] = share as f32;
                }
            }
            weights
        })
    }
}

fn check(calibration: &Calibration, source: &Checkpoint) -> Result<()> {
    let of_source = source.groups().iter().map(|groups| [groups.n_kv_heads(), source.head_dim()]);
    let of_data = calibration.layers().iter().map(|layer| [layer.keys.n_heads(), layer.keys.head_dim()]);
    let (expected, found): (Vec<_>, Vec<_>) = (of_source.collect(), of_data.collect());
    if expected != found {
        let say = |heads: &[[usize; 2]]| format!("[heads, length] by layer {heads:?}");
        return Err(Error::setting("calibration", say(&expected), say(&found)));
    }
    Ok(())
}
