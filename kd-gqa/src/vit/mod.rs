//! The vision transformer (Dosovitskiy et al. 2021, "An Image is Worth 16x16 Words", §3.1), its attention in groups of any sizes.
//!
//! `x₀ = [class; patches·E + b] + positions`; a layer is `x + attention(norm(x))`, then `x + mlp(norm(x))` (norms first, as in timm and
//! Hugging Face), or `norm(x + attention(x))`, then `norm(x + mlp(x))` (norms after, as in `nn.TransformerEncoder`); the logits are
//! `norm(x_class)·W + b`. `mlp(x) = f(x·W₁ + b₁)·W₂ + b₂` with the exact GELU or ReLU.
//!
//! Shapes: images `[batch, channels, height, width]`, normalised as the model wants it → logits `[batch, classes]`.

mod config;
mod model;
mod positions;
mod read;
mod save;

pub use config::{VitConfig, VitSize};
pub use model::{Vit, VitLayer};
pub use positions::resample_positions;
pub use read::read_vit;
