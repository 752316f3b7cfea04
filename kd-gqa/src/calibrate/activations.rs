//! What calibration keeps of a model's keys and values: the Gram matrices of each layer's heads.

use super::gram::HeadGram;
use crate::Groups;

/// The keys and values of every layer over all calibration data, by their inner products.
#[derive(Debug, Clone, PartialEq)]
pub struct Calibration {
    layers: Vec<LayerActivations>,
}

/// The keys and values of one layer.
#[derive(Debug, Clone, PartialEq)]
pub struct LayerActivations {
    /// Keys as they are projected, biases included, before rotary positions.
    pub keys: HeadGram,
    /// Values as they are projected, biases included.
    pub values: HeadGram,
}

impl Calibration {
    /// Of no data yet, for layers of these groups.
    pub fn new(groups: &[Groups], head_dim: usize) -> Self {
        let gram = |groups: &Groups| HeadGram::new(groups.n_kv_heads(), head_dim);
        let layers = groups.iter().map(|g| LayerActivations { keys: gram(g), values: gram(g) }).collect();
        Self { layers }
    }

    /// All layers in order.
    pub fn layers(&self) -> &[LayerActivations] {
        &self.layers
    }

    /// Takes in keys and values of one layer, each `[rows, G · head_dim]` row-major.
    ///
    /// # Panics
    /// If there is no such layer, or these are no whole rows.
    pub fn add(&mut self, layer: usize, keys: &[f32], values: &[f32]) {
        self.layers[layer].keys.add(keys);
        self.layers[layer].values.add(values);
    }
}
