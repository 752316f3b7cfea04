//! Images to patches as rows: with a [`Projection`](super::Projection) after it, the convolution whose stride is its size
//! (Dosovitskiy et al. 2021, "An Image is Worth 16x16 Words", Eq. 1).

use burn::tensor::Tensor;

/// `images [batch, channels, height, width]` → `[batch, patches, channels · patch height · patch width]`, patches row by row.
///
/// A product with a weight `[channels · patch height · patch width, d_model]` embeds them.
///
/// # Panics
/// If height or width are not whole patches.
///
/// ```
/// use burn::tensor::{Device, Tensor};
/// use grouping_core::nn::patches;
///
/// let image = Tensor::<4>::from_floats([[[[1.0, 2.0, 3.0, 4.0], [5.0, 6.0, 7.0, 8.0]]]], &Device::flex());
/// let rows = patches(image, [2, 2]);
/// assert_eq!(rows.dims(), [1, 2, 4]);
/// assert_eq!(rows.into_data().try_into_vec::<f32>().unwrap(), [1.0, 2.0, 5.0, 6.0, 3.0, 4.0, 7.0, 8.0]);
/// ```
pub fn patches(images: Tensor<4>, [patch_height, patch_width]: [usize; 2]) -> Tensor<3> {
    let [batch, channels, height, width] = images.dims();
    let (rows, columns) = (height / patch_height, width / patch_width);
    images
        .reshape([batch, channels, rows, patch_height, columns, patch_width])
        .permute([0, 2, 4, 1, 3, 5])
        .reshape([batch, rows * columns, channels * patch_height * patch_width])
}
