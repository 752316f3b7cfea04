//! A classifier over a folder of images: logits by batches, and their score.

use burn::tensor::{Device, Tensor, TensorData};

use crate::{Error, Result};
use grouping_core::image::{LabelledImage, Preparation};
use grouping_core::score::Score;

/// Runs `logits` over all images, `batch_size` at a time and the rest in a last, smaller batch, and scores them against their classes.
///
/// Batches are in the order of `images`; `done` is told how many images are done.
///
/// # Errors
/// Those of reading an image, of `logits`, and [`Error::Setting`](grouping_core::Error::Setting) for a batch of no image.
pub fn evaluate(
    images: &[LabelledImage],
    preparation: &Preparation,
    batch_size: usize,
    device: &Device,
    mut logits: impl FnMut(Tensor<4>) -> Result<Tensor<2>>,
    done: impl FnMut(usize),
) -> Result<Score> {
    if batch_size == 0 {
        return Err(Error::setting("batch_size", "at least 1", 0));
    }
    let (mut all, mut n_classes) = (vec![], 0);
    let run = |_, batch| {
        let out = logits(batch)?;
        n_classes = out.dims()[1];
        all.extend(values(out)?);
        Ok(())
    };
    each_batch(images, preparation, batch_size, device, run, done)?;
    let classes: Vec<usize> = images.iter().map(|image| image.class).collect();
    if let Some(image) = images.iter().find(|image| image.class >= n_classes) {
        let folder = image.path.parent().unwrap_or(&image.path);
        let expected = format!("at most {n_classes} classes, as many as the model has");
        return Err(Error::format(folder, "class", expected, format!("class {}", image.class + 1)));
    }
    Ok(Score::of(&all, n_classes, &classes))
}

/// Calls `run` with the number and the tensor of each batch of images; `done` is told how many images are done.
///
/// # Errors
/// Those of reading an image and of `run`.
pub fn each_batch(
    images: &[LabelledImage],
    preparation: &Preparation,
    batch_size: usize,
    device: &Device,
    mut run: impl FnMut(usize, Tensor<4>) -> Result<()>,
    mut done: impl FnMut(usize),
) -> Result<()> {
    for (i, batch) in images.chunks(batch_size).enumerate() {
        run(i, batch_tensor(batch, preparation, device)?)?;
        done(i * batch_size + batch.len());
    }
    Ok(())
}

/// Images as a tensor `[n, 3, size, size]`.
///
/// # Errors
/// That of the first image that cannot be read.
pub fn batch_tensor(
    images: &[LabelledImage],
    preparation: &Preparation,
    device: &Device,
) -> Result<Tensor<4>> {
    let size = preparation.size();
    let data = TensorData::new(preparation.read_all(images)?, [images.len(), 3, size, size]);
    Ok(Tensor::from_data(data, device))
}

/// The values of a tensor, row-major.
///
/// # Errors
/// [`grouping_core::Error::TensorRead`] when the device does not deliver them.
pub fn values<const D: usize>(tensor: Tensor<D>) -> Result<Vec<f32>> {
    tensor.into_data().convert::<f32>().try_into_vec::<f32>().map_err(|e| {
        let cause = format!("{e:?}");
        Error::Core(grouping_core::Error::TensorRead { cause })
    })
}
