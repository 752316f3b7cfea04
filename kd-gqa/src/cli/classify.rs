//! `kd-gqa classify`.

use std::io::{Write, stdout};
use std::path::PathBuf;

use burn::tensor::{Device, activation};
use serde_json::json;

use super::images::VitArgs;
use grouping_core::image::LabelledImage;
use kd_gqa::Error;
use kd_gqa::evaluate::{batch_tensor, values};
use kd_gqa::inference::Inference;
use kd_gqa::vit::read_vit;

/// Classes that are shown of each image.
const SHOWN: usize = 5;

#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// A vision transformer: .safetensors, .pth, or a folder of Hugging Face
    #[arg(long, value_name = "W")]
    weights: PathBuf,
    /// PNG or JPEG files
    #[arg(required = true, value_name = "IMAGE")]
    images: Vec<PathBuf>,
    #[command(flatten)]
    vit: VitArgs,
    /// Print one JSON object a line for each image
    #[arg(long)]
    json: bool,
}

pub(super) fn run(args: &Args) -> anyhow::Result<()> {
    let source = args.vit.open(&args.weights)?;
    let vit = read_vit(&source, &Device::flex())?;
    if vit.config().n_classes.is_none() {
        return Err(Error::format(&args.weights, "head", "a head of classes", "none").into());
    }
    let preparation = args.vit.preparation(vit.config().image_size)?;
    let mut out = stdout();
    for path in &args.images {
        let image = LabelledImage { path: path.clone(), class: 0 };
        let batch = batch_tensor(&[image], &preparation, &Device::flex())?;
        let logits = match Inference::saved(&source)? {
            Inference::Own => vit.forward(batch)?,
            // From the saved state for each image, so that none depends on those before.
            mut inference => vit.forward_hooked(batch, &mut |call| inference.attend(call))?,
        };
        let shares = values(activation::softmax(logits, 1))?;
        let mut order: Vec<usize> = (0..shares.len()).collect();
        order.sort_by(|&a, &b| shares[b].total_cmp(&shares[a]));
        order.truncate(SHOWN);
        if args.json {
            let classes: Vec<_> =
                order.iter().map(|&class| json!({"class": class, "probability": shares[class]})).collect();
            let line = json!({"image": path.display().to_string(), "classes": classes});
            writeln!(out, "{line}")?;
        } else {
            let shown = order.iter().map(|&class| format!("{class} ({:.1} %)", 100.0 * shares[class]));
            writeln!(out, "{}: {}", path.display(), shown.collect::<Vec<_>>().join(", "))?;
        }
    }
    Ok(())
}
