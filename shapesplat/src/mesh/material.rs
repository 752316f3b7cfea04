//! Materials: a base colour and a texture, looked up between its pixels.
//!
//! Values are those that image files store (sRGB, not linear light), and are interpolated as stored; where a base colour, a texture and
//! colours of vertices meet, they multiply in linear light.

use std::sync::Arc;

use image::RgbImage;

/// What has no colour of its own.
pub const GREY: [f32; 3] = [0.5; 3];

/// What the faces of a part are made of.
#[derive(Clone, Debug, PartialEq)]
pub struct Material {
    /// As the file names it; may be empty.
    pub name: String,
    /// Red, green, blue, which multiply those of the texture.
    pub colour: [f32; 3],
    /// From 0, invisible, to 1.
    pub opacity: f32,
    /// What covers the colour.
    pub texture: Option<Texture>,
}

impl Default for Material {
    fn default() -> Self {
        Self { name: String::new(), colour: GREY, opacity: 1.0, texture: None }
    }
}

/// An image over texture coordinates.
#[derive(Clone, Debug, PartialEq)]
pub struct Texture {
    /// The pixels.
    pub image: Arc<RgbImage>,
    /// What lies beyond 0 and 1, of u and of v.
    pub wrap: [Wrap; 2],
    /// Rows of an affine map from the mesh's texture coordinates to the image's, `[a, b, c]`: `a·u + b·v + c`.
    pub transform: [[f64; 3]; 2],
}

/// What a texture shows beyond its borders.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Wrap {
    /// Itself, again and again.
    #[default]
    Repeat,
    /// The pixels of its border.
    Clamp,
    /// Itself, every other time mirrored.
    Mirror,
}

impl Texture {
    /// An image that repeats itself.
    pub fn new(image: RgbImage) -> Self {
        let transform = [[1.0, 0.0, 0.0], [0.0, 1.0, 0.0]];
        Self { image: Arc::new(image), wrap: [Wrap::Repeat; 2], transform }
    }

    /// The colour at texture coordinates, interpolated between the centres of the four pixels around; v goes upwards.
    pub fn colour(&self, [u, v]: [f64; 2]) -> [f32; 3] {
        let [u, v] = self.transform.map(|[a, b, c]| a * u + b * v + c);
        let (width, height) = self.image.dimensions();
        if width == 0 || height == 0 {
            return GREY;
        }
        let (x, y) = (u * f64::from(width) - 0.5, (1.0 - v) * f64::from(height) - 0.5);
        let (left, top) = (x.floor(), y.floor());
        let (right_share, lower_share) = ((x - left) as f32, (y - top) as f32);
        let columns = [left, left + 1.0].map(|x| self.wrap[0].index(x, width));
        let rows = [top, top + 1.0].map(|y| self.wrap[1].index(y, height));
        let at = |column: usize, row: usize| self.image.get_pixel(columns[column], rows[row]).0;
        let [a, b, c, d] = [at(0, 0), at(1, 0), at(0, 1), at(1, 1)];
        std::array::from_fn(|i| {
            let between = |p: u8, q: u8, share: f32| f32::from(p) + (f32::from(q) - f32::from(p)) * share;
            let (upper, lower) = (between(a[i], b[i], right_share), between(c[i], d[i], right_share));
            (upper + (lower - upper) * lower_share) / 255.0
        })
    }
}

impl Wrap {
    /// The pixel that stands at a whole number, which may lie outside.
    fn index(self, x: f64, size: u32) -> u32 {
        let n = f64::from(size);
        // What is not finite becomes pixel 0.
        let inside = match self {
            Self::Clamp => x.clamp(0.0, n - 1.0),
            Self::Repeat => x.rem_euclid(n),
            Self::Mirror => {
                let x = x.rem_euclid(2.0 * n);
                if x < n { x } else { 2.0 * n - 1.0 - x }
            }
        };
        (inside as u32).min(size - 1)
    }
}

/// The product of two colours in linear light; white changes nothing, not even by rounding.
pub(super) fn product(a: [f32; 3], b: [f32; 3]) -> [f32; 3] {
    std::array::from_fn(|i| match (a[i], b[i]) {
        (1.0, x) | (x, 1.0) => x,
        (x, y) => encoded(linear(x) * linear(y)),
    })
}

/// From linear light to sRGB.
pub(super) fn encoded(x: f32) -> f32 {
    let x = x.clamp(0.0, 1.0);
    if x == 1.0 {
        1.0
    } else if x <= 0.003_130_8 {
        12.92 * x
    } else {
        1.055 * x.powf(1.0 / 2.4) - 0.055
    }
}

/// From sRGB to linear light.
fn linear(x: f32) -> f32 {
    if x <= 0.040_45 { x / 12.92 } else { ((x + 0.055) / 1.055).powf(2.4) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn texture() -> Texture {
        Texture::new(RgbImage::from_fn(2, 2, |x, y| image::Rgb([(x * 200) as u8, (y * 100) as u8, 7])))
    }

    #[test]
    fn centres_of_pixels_are_exact_and_between_them_lie_means() {
        let texture = texture();
        let at = |u, v| texture.colour([u, v]).map(|x| x * 255.0);
        assert_eq!(at(0.25, 0.75), [0.0, 0.0, 7.0], "upper left");
        assert_eq!(at(0.75, 0.25), [200.0, 100.0, 7.0], "lower right");
        assert_eq!(at(0.5, 0.5), [100.0, 50.0, 7.0], "the middle");
        assert_eq!(at(0.0, 0.75), [100.0, 0.0, 7.0], "beyond the left border stands the right one");
    }

    #[test]
    fn wrapping_is_as_asked() {
        for (wrap, wanted) in [
            (Wrap::Repeat, [1, 0, 1, 0, 1, 0]),
            (Wrap::Clamp, [0, 0, 0, 0, 1, 1]),
            (Wrap::Mirror, [1, 1, 0, 0, 1, 1]),
        ] {
            let found = [-3.0, -2.0, -1.0, 0.0, 1.0, 2.0].map(|x| wrap.index(x, 2));
            assert_eq!(found, wanted, "{wrap:?}");
        }
        assert_eq!(Wrap::Repeat.index(f64::NAN, 5), 0, "no number");
    }

    #[test]
    fn white_is_neutral_and_linear_light_multiplies() {
        assert_eq!(product([0.3, 0.2, 0.1], [1.0; 3]), [0.3, 0.2, 0.1], "white");
        let half = encoded(0.5);
        let quarter = product([half; 3], [half; 3])[0];
        assert!((quarter - encoded(0.25)).abs() < 1e-6, "half of half of the light: {quarter}");
    }
}
