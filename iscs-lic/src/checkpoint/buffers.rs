//! The tensors that training does not change: constants of CompressAI's modules, masks, and the coder's tables.
//!
//! A file may hold them or not. The constants in a file must be those of CompressAI, because no other meaning of the parameters beside
//! them is known; what rounding to 16 bits leaves of them will do.

use super::design::{CONTEXT_KERNEL, Context, Design};

/// Added below the square root of a reparametrised parameter: 2⁻³⁶.
pub const PEDESTAL: f32 = 1.0 / (1u64 << 36) as f32;
/// The least stored value of γ: 2⁻¹⁸.
pub const GAMMA_BOUND: f32 = 1.0 / (1u64 << 18) as f32;
/// The least value of β.
const BETA_MIN: f64 = 1e-6;
/// The least likelihood in CompressAI's estimates of rates.
const LIKELIHOOD_BOUND: f32 = 1e-9;
/// The least scale of a conditional Gaussian.
const SCALE_BOUND: f32 = 0.11;
/// The logit of one half of the mass outside of an entropy bottleneck's quantiles: `ln(2 / 10⁻⁹ − 1)`.
const TARGET: f32 = 21.416_413;

/// The least stored value of β: `(10⁻⁶ + 2⁻³⁶)^½`.
pub fn beta_bound() -> f32 {
    (BETA_MIN + f64::from(PEDESTAL)).sqrt() as f32
}

/// What a tensor that training does not change holds.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Buffer {
    /// Constants.
    Values(Vec<f32>),
    /// Ones where the masked convolution sees, else zeros.
    Mask(Context),
    /// A table of the coder, of any length; checked when it is used.
    Table,
    /// The scales of a conditional Gaussian's rows, of any number.
    Scales,
}

impl Buffer {
    /// Its shape and values, if they are given.
    pub(super) fn constant(&self) -> Option<(Vec<usize>, Vec<f32>)> {
        match self {
            Self::Values(values) => Some((vec![values.len()], values.clone())),
            Self::Mask(context) => {
                let k = CONTEXT_KERNEL;
                let mut values = vec![1.0; context.n_out * context.n_in * k * k];
                context.mask.apply(&mut values);
                Some((vec![context.n_out, context.n_in, k, k], values))
            }
            Self::Table | Self::Scales => None,
        }
    }
}

/// The three tables of an entropy model, as their names end.
pub(super) const TABLES: [&str; 3] = ["_quantized_cdf", "_cdf_length", "_offset"];
/// The scales of a conditional Gaussian.
pub(super) const SCALE_TABLE: &str = "scale_table";

/// All of an architecture's buffers, by name.
pub(super) fn buffers(design: &Design) -> Vec<(String, Buffer)> {
    let mut all = vec![];
    let one = |value: f32| Buffer::Values(vec![value]);
    for network in &design.networks {
        for name in network.normalisations() {
            for (parameter, bound) in [("beta", beta_bound()), ("gamma", GAMMA_BOUND)] {
                all.push((format!("{name}.{parameter}_reparam.pedestal"), one(PEDESTAL)));
                all.push((format!("{name}.{parameter}_reparam.lower_bound.bound"), one(bound)));
            }
        }
    }
    for context in &design.contexts {
        all.push((format!("{}.mask", context.name), Buffer::Mask(context.clone())));
    }
    let tables = |name: &str| TABLES.map(|table| (format!("{name}.{table}"), Buffer::Table));
    let bottleneck = &design.bottleneck.0;
    all.extend(tables(bottleneck));
    all.push((format!("{bottleneck}.target"), Buffer::Values(vec![-TARGET, 0.0, TARGET])));
    all.push((format!("{bottleneck}.likelihood_lower_bound.bound"), one(LIKELIHOOD_BOUND)));
    for name in &design.gaussians {
        all.extend(tables(name));
        all.push((format!("{name}.{SCALE_TABLE}"), Buffer::Scales));
        all.push((format!("{name}.likelihood_lower_bound.bound"), one(LIKELIHOOD_BOUND)));
        for bound in ["scale_bound", "lower_bound_scale.bound"] {
            all.push((format!("{name}.{bound}"), one(SCALE_BOUND)));
        }
    }
    all
}

/// What rounding to bfloat16 can change of a constant, relatively.
const ROUNDING: f32 = 1.0 / 128.0;
/// What rounding to float16 leaves nothing of.
const FLOAT16_ZERO: f32 = 6e-8;

/// Whether `found` is the constant `expected`, but for rounding to 16 bits.
pub(super) fn is_constant(found: f32, expected: f32) -> bool {
    let is_near = (found - expected).abs() <= ROUNDING * expected.abs();
    is_near || found == 0.0 && expected.abs() <= FLOAT16_ZERO
}
