//! What neither names nor shapes say of a vision transformer: read from `config.json`, kept in the [`HeadsRecord`](super::HeadsRecord) of
//! what this crate writes, or said by the user.

use grouping_core::files::json::Fields;
use grouping_core::{Activation, Result};
use serde::{Deserialize, Serialize};

/// Constants of a vision transformer; absent, they are as the dialect's library has them by default.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct VitSettings {
    /// Height and width of the images that the positions are of.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub image_size: Option<[usize; 2]>,
    /// The feed-forward part's function.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub activation: Option<Activation>,
    /// ε of the norms.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub norm_eps: Option<f64>,
    /// Norms stand before attention and feed-forward part, not after their sums.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub norm_first: Option<bool>,
}

impl VitSettings {
    /// What a Hugging Face configuration says.
    ///
    /// # Errors
    /// [`Error::FileField`](grouping_core::Error::FileField) for values that no such model here has.
    pub(super) fn of_config(fields: &Fields) -> Result<Self> {
        let activation = match fields.present("hidden_act").map(|act| act.as_str()) {
            None => None,
            Some(Some("gelu")) => Some(Activation::Gelu),
            Some(Some("relu")) => Some(Activation::Relu),
            Some(_) => return Err(fields.misfit("hidden_act", "gelu or relu")),
        };
        let norm_eps = match fields.present("layer_norm_eps") {
            None => None,
            Some(eps) => {
                let eps = eps.as_f64().filter(|eps| eps.is_finite() && *eps >= 0.0);
                Some(eps.ok_or_else(|| fields.misfit("layer_norm_eps", "a number from 0 on"))?)
            }
        };
        Ok(Self { image_size: image_size(fields)?, activation, norm_eps, norm_first: None })
    }

    /// These, and where they say nothing `other`.
    pub fn or(self, other: Self) -> Self {
        Self {
            image_size: self.image_size.or(other.image_size),
            activation: self.activation.or(other.activation),
            norm_eps: self.norm_eps.or(other.norm_eps),
            norm_first: self.norm_first.or(other.norm_first),
        }
    }

    /// Whether they say nothing.
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}

/// Height and width of images: one number for both, or two.
fn image_size(fields: &Fields) -> Result<Option<[usize; 2]>> {
    match fields.present("image_size").and_then(|size| size.as_array()) {
        None => Ok(fields.optional_size("image_size")?.map(|size| [size; 2])),
        Some(sizes) => {
            let sizes: Option<Vec<usize>> =
                sizes.iter().map(|size| size.as_u64().map(|n| n as usize)).collect();
            let sizes = sizes.and_then(|sizes| <[usize; 2]>::try_from(sizes).ok());
            sizes.map(Some).ok_or_else(|| fields.misfit("image_size", "height and width"))
        }
    }
}
