//! Writes the images of a folder as a model of one size reads them before normalisation: `[n, 3, size, size]`, f32 from 0 to 1, row-major and little-endian.
//!
//! For programs whose JPEG decoder rounds otherwise; classes and images in the order of their names.
//!
//! ```sh
//! cargo run --release --example image_values -- FOLDER 32 out.f32
//! ```

use std::error::Error;
use std::path::Path;

use grouping_core::image::{ImageFolder, Preparation};

fn main() -> Result<(), Box<dyn Error>> {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let [folder, size, out] = &args[..] else {
        return Err("usage: image_values FOLDER SIZE OUT".into());
    };
    let preparation = Preparation::new(size.parse()?).with_normalisation([0.0; 3], [1.0; 3]);
    let values = preparation.read_all(ImageFolder::open(Path::new(folder))?.images())?;
    let bytes: Vec<u8> = values.iter().flat_map(|value| value.to_le_bytes()).collect();
    Ok(std::fs::write(out, bytes)?)
}
