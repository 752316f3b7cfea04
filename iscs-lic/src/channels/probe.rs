//! The variance of each latent channel on pictures: its energy, and, on synthetic pictures, a probe that needs no data.
//!
//! `Var(y_c)` is that of a population, over all positions of all pictures, before y is rounded; a picture of other sides than the model takes is
//! padded by its edges.

use grouping_core::stats::norms::{Moments, moments};

use crate::codec::{Codec, Padding};
use crate::picture::Picture;
use crate::{Error, Result};

/// The variance of each channel of y, `[M]`.
///
/// ```
/// use burn::tensor::Device;
/// use iscs_lic::channels::{PinkNoise, latent_variances, pink_noise};
/// use iscs_lic::checkpoint::Checkpoint;
/// use iscs_lic::codec::Codec;
///
/// let codec = Codec::load(&Checkpoint::default_model()?, &Device::flex())?;
/// let pictures = pink_noise(&PinkNoise::default().with_pictures(1).with_side(64))?;
/// assert_eq!(latent_variances(&codec, &pictures)?.len(), 64);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// # Errors
/// [`Error::Core`] for no pictures, and as [`Codec::latents_of`].
pub fn latent_variances(codec: &Codec, pictures: &[Picture]) -> Result<Vec<f64>> {
    if pictures.is_empty() {
        return Err(Error::setting("pictures", "at least one", "none"));
    }
    let mut all: Vec<Moments> = vec![];
    for picture in pictures {
        let y = codec.latents_of(picture, Padding::Edge)?;
        let of_picture = moments(&y.values, &y.shape(), &[1, 2])?.values;
        all.resize(of_picture.len(), Moments::default());
        all.iter_mut().zip(&of_picture).for_each(|(all, one)| *all = all.merge(one));
    }
    Ok(all.iter().map(|moments| moments.variance(0)).collect())
}
