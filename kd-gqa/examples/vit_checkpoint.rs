//! Writes what the benches of whole processes read: ViT-S/16 and ViT-B/16 with random weights, with a key/value head a query head
//! (in timm's names) and with half as many (`small_gqa.safetensors`), and eight images of one class.
//!
//! ```sh
//! cargo run --release --example vit_checkpoint -- bed
//! time target/release/kd-gqa classify --weights bed/small.safetensors bed/images/a/0.png
//! ```

use std::path::PathBuf;

use burn::tensor::Device;
use grouping_core::files::output::Existing;
use image::{Rgb, RgbImage};
use kd_gqa::vit::{VitConfig, VitSize};

fn main() -> anyhow::Result<()> {
    let Some(folder) = std::env::args().nth(1).map(PathBuf::from) else {
        anyhow::bail!("usage: vit_checkpoint FOLDER");
    };
    let images = folder.join("images/a");
    std::fs::create_dir_all(&images)?;
    for n in 0..8u32 {
        let pixel = |x: u32, y: u32| Rgb([x, y, 31 * n + x * y].map(|v| (v % 256) as u8));
        RgbImage::from_fn(224, 224, pixel).save(images.join(format!("{n}.png")))?;
    }
    for (size, name) in [(VitSize::Small, "small"), (VitSize::Base, "base")] {
        let config = VitConfig::of_size(size, 224, 16, 1000);
        let halved = config.clone().with_kv_heads(config.n_heads / 2)?;
        for (config, kind) in [(config, ""), (halved, "_gqa")] {
            let vit = config.init(0, &Device::flex())?;
            vit.save(&folder.join(format!("{name}{kind}.safetensors")), None, Existing::Replace)?;
        }
    }
    Ok(())
}
