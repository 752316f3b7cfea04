//! Images to patches as rows: the convolution whose stride is its size, as a product.

use burn::tensor::Tensor;

/// `images [batch, channels, height, width]` → `[batch, patches, channels · patch height · patch width]`, patches row by row.
pub(super) fn patches(images: Tensor<4>, [patch_height, patch_width]: [usize; 2]) -> Tensor<3> {
    let [batch, channels, height, width] = images.dims();
    let (rows, columns) = (height / patch_height, width / patch_width);
    images
        .reshape([batch, channels, rows, patch_height, columns, patch_width])
        .permute([0, 2, 4, 1, 3, 5])
        .reshape([batch, rows * columns, channels * patch_height * patch_width])
}
