//! From a file to the values that a vision transformer reads.
//!
//! As timm evaluates: the shorter side is resized to `⌊size / crop⌋` by an antialiased bicubic filter, the centre is cropped to `size × size`, and each
//! channel becomes `(x / 255 − mean) / std`. An image that has the model's size already is neither resized nor cropped.

use std::path::Path;

use fast_image_resize::images::Image;
use fast_image_resize::{FilterType, PixelType, ResizeAlg, ResizeOptions, Resizer};
use image::RgbImage;
use rayon::prelude::*;

use super::file::{Orientation, read_image};
use super::folder::LabelledImage;
use crate::Result;

/// Orientation, size, crop and normalisation.
#[derive(Debug, Clone, PartialEq)]
pub struct Preparation {
    orientation: Orientation,
    size: usize,
    crop: f64,
    mean: [f32; 3],
    std: [f32; 3],
}

impl Preparation {
    /// For a model that reads `size × size` pixels: crop 0.9, mean and deviation 0.5, as timm's models from ImageNet-21k have them.
    pub fn new(size: usize) -> Self {
        Self { orientation: Orientation::Stored, size, crop: 0.9, mean: [0.5; 3], std: [0.5; 3] }
    }

    /// What happens to the orientation that a camera writes; at first nothing.
    pub fn with_orientation(self, orientation: Orientation) -> Self {
        Self { orientation, ..self }
    }

    /// The share of the shorter side that the crop keeps, above 0 and at most 1.
    pub fn with_crop(mut self, crop: f64) -> Self {
        assert!(crop > 0.0 && crop <= 1.0, "a crop keeps a share above 0 and at most 1, not {crop}");
        self.crop = crop;
        self
    }

    /// Mean and standard deviation of each channel, of values from 0 to 1.
    pub fn with_normalisation(mut self, mean: [f32; 3], std: [f32; 3]) -> Self {
        (self.mean, self.std) = (mean, std);
        self
    }

    /// Side of the square, in pixels.
    pub fn size(&self) -> usize {
        self.size
    }

    /// The number of values of an image.
    pub fn n_values(&self) -> usize {
        3 * self.size * self.size
    }

    /// Reads a file: `[3, size, size]`, row-major.
    ///
    /// # Errors
    /// Those of [`read_image`].
    pub fn read(&self, path: &Path) -> Result<Vec<f32>> {
        Ok(self.normalised(&self.fitted(read_image(path, self.orientation)?)))
    }

    /// Reads several files side by side: `[n, 3, size, size]`, row-major.
    ///
    /// # Errors
    /// That of the first file that cannot be read.
    pub fn read_all(&self, images: &[LabelledImage]) -> Result<Vec<f32>> {
        let read: Vec<Vec<f32>> =
            images.par_iter().map(|image| self.read(&image.path)).collect::<Result<_>>()?;
        Ok(read.concat())
    }

    /// Resized and cropped to the model's size.
    fn fitted(&self, image: RgbImage) -> RgbImage {
        let size = self.size as u32;
        let (width, height) = image.dimensions();
        if (width, height) == (size, size) {
            return image;
        }
        let shorter = ((f64::from(size) / self.crop).floor() as u32).max(size);
        let longer =
            |long: u32, short: u32| (u64::from(shorter) * u64::from(long) / u64::from(short.max(1))) as u32;
        let (new_width, new_height) =
            if width <= height { (shorter, longer(height, width)) } else { (longer(width, height), shorter) };
        let resized = resize(image, new_width.max(size), new_height.max(size));
        // Half a pixel is rounded to the even one, as Python's `round` does.
        let offset = |length: u32| (f64::from(length - size) / 2.0).round_ties_even() as u32;
        let (x, y) = (offset(resized.width()), offset(resized.height()));
        image::imageops::crop_imm(&resized, x, y, size, size).to_image()
    }

    fn normalised(&self, image: &RgbImage) -> Vec<f32> {
        let n_pixels = self.size * self.size;
        let mut values = vec![0.0; 3 * n_pixels];
        for (channel, plane) in values.chunks_exact_mut(n_pixels).enumerate() {
            let (mean, std) = (self.mean[channel], self.std[channel]);
            for (value, pixel) in plane.iter_mut().zip(image.pixels()) {
                *value = (f32::from(pixel[channel]) / 255.0 - mean) / std;
            }
        }
        values
    }
}

fn resize(image: RgbImage, width: u32, height: u32) -> RgbImage {
    let (old_width, old_height) = image.dimensions();
    let source = Image::from_vec_u8(old_width, old_height, image.into_raw(), PixelType::U8x3)
        .expect("an RGB image has three bytes a pixel");
    let mut out = Image::new(width, height, PixelType::U8x3);
    let options = ResizeOptions::new().resize_alg(ResizeAlg::Convolution(FilterType::CatmullRom));
    Resizer::new().resize(&source, &mut out, &options).expect("both images have pixels of one type");
    RgbImage::from_raw(width, height, out.into_vec()).expect("three bytes a pixel")
}
