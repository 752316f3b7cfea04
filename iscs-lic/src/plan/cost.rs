//! What a model's transforms cost: multiply-accumulates a pixel, and parameters.
//!
//! A convolution of `k × k` from `n_in` to `n_out` channels takes `k²·n_in·n_out` a position of its output; a transposed one, of its input;
//! a sub-pixel one four times as many of its input; GDN takes `channels²`. Activations, and sums beside the identity, count nothing.

use crate::checkpoint::{CONTEXT_KERNEL, Context, Design, Layer, Network};

/// Of one network.
#[derive(Clone, Debug, PartialEq)]
pub struct Cost {
    /// The network's name.
    pub network: String,
    /// Multiply-accumulates a pixel of the picture.
    pub multiply_adds: f64,
    /// Parameters.
    pub parameters: usize,
}

/// Positions of y a pixel.
const Y_DENSITY: f64 = 1.0 / (Design::Y_STRIDE * Design::Y_STRIDE) as f64;

/// The cost of every network of a design, and of its masked convolutions, whose masked taps count too.
///
/// ```
/// use iscs_lic::checkpoint::Checkpoint;
/// use iscs_lic::plan::multiply_adds;
///
/// let costs = multiply_adds(Checkpoint::default_model()?.design());
/// // The last layer of g_a: 25 · 32 · 64 multiply-accumulates for each of 256 pixels.
/// let last = 25.0 * 32.0 * 64.0 / 256.0;
/// assert_eq!((costs[0].network.as_str(), costs[0].multiply_adds > last), ("g_a", true));
/// # Ok::<(), iscs_lic::Error>(())
/// ```
pub fn multiply_adds(design: &Design) -> Vec<Cost> {
    let z_density = Y_DENSITY / (design.z_stride() * design.z_stride()) as f64;
    let of = |network: &Network| {
        // `latent_codec.hyper.h_s`, `h_mean_s`.
        let name = network.name.rsplit('.').next().unwrap_or_default();
        let density = match name {
            "g_a" => 1.0,
            _ if name.starts_with("h_") && name.ends_with("_s") => z_density,
            _ => Y_DENSITY,
        };
        let parameters = network.parameters().iter().map(|(_, shape)| shape.iter().product::<usize>()).sum();
        Cost { network: network.name.clone(), multiply_adds: of_layers(&network.layers, density), parameters }
    };
    let of_context = |context: &Context| {
        let taps = CONTEXT_KERNEL * CONTEXT_KERNEL * context.n_in * context.n_out;
        let multiply_adds = taps as f64 * Y_DENSITY;
        Cost { network: context.name.clone(), multiply_adds, parameters: taps + context.n_out }
    };
    design.networks.iter().map(of).chain(design.contexts.iter().map(of_context)).collect()
}

/// Of layers in sequence, whose input has so many positions a pixel.
fn of_layers(layers: &[Layer], density: f64) -> f64 {
    let (mut density, mut sum) = (density, 0.0);
    for layer in layers {
        let (cost, after) = of_layer(layer, density);
        sum += cost;
        density = after;
    }
    sum
}

/// The cost of a layer, and the positions a pixel of its output.
fn of_layer(layer: &Layer, density: f64) -> (f64, f64) {
    let square = |n: usize| (n * n) as f64;
    let taps = |c: &crate::checkpoint::Conv| square(c.kernel) * (c.n_in * c.n_out) as f64;
    match layer {
        Layer::Conv(c) => (taps(c) * density / square(c.stride), density / square(c.stride)),
        Layer::Deconv(c) => (taps(c) * density, density * square(c.stride)),
        Layer::Subpel(c) => (4.0 * taps(c) * density, 4.0 * density),
        Layer::Gdn { channels } | Layer::InverseGdn { channels } => (square(*channels) * density, density),
        Layer::Relu | Layer::LeakyRelu => (0.0, density),
        Layer::ResidualDown(_)
        | Layer::ResidualUp(_)
        | Layer::Residual { .. }
        | Layer::Bottleneck { .. }
        | Layer::Attention { .. } => {
            let (mut sum, mut after) = (0.0, density);
            for (part, inner) in layer.inner() {
                // A branch beside the others begins where the layer does.
                let begins = part == ".skip" || part == ".upsample";
                let (cost, out) = of_layer(&inner, if begins { density } else { after });
                (sum, after) = (sum + cost, out);
            }
            (sum, after)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::checkpoint::Conv;

    #[test]
    fn layers_cost_what_their_formula_says() {
        let conv = Layer::Conv(Conv::new([3, 8], 5, 2));
        assert_eq!(of_layer(&conv, 1.0), (25.0 * 24.0 / 4.0, 0.25), "a convolution with stride 2");
        let deconv = Layer::Deconv(Conv::new([8, 4], 5, 2));
        assert_eq!(of_layer(&deconv, 0.25), (25.0 * 32.0 / 4.0, 1.0), "a transposed one");
        // Two convolutions of 3×3 and GDN on a quarter of the positions, and 1×1 beside them.
        let down = Layer::ResidualDown([3, 4]);
        assert_eq!(
            of_layer(&down, 1.0),
            ((9.0 * 12.0 + 9.0 * 16.0 + 16.0 + 12.0) / 4.0, 0.25),
            "a block with stride 2"
        );
        let up = Layer::ResidualUp([4, 4]);
        let wanted = 4.0 * 9.0 * 16.0 + 4.0 * 9.0 * 16.0 + 4.0 * 16.0 + 4.0 * 9.0 * 16.0;
        assert_eq!(of_layer(&up, 1.0), (wanted, 4.0), "a block that doubles both sides");
    }
}
