//! A trained vision transformer as a file in timm's names: fused `qkv`, blocks in order.

use std::collections::BTreeMap;
use std::path::Path;

use safetensors::tensor::{Dtype, TensorView};

use crate::vit::Vit;
use crate::{Error, Result};

/// Writes `vit`, all of whose layers have a key/value head for each query head, to `path`.
///
/// # Errors
/// [`Error::Io`] for a file that cannot be written.
pub fn write(vit: &Vit, path: &Path) -> Result<()> {
    let tensors = renamed(vit.tensors().tensors);
    let bytes: Vec<Vec<u8>> =
        tensors.values().map(|(_, values)| values.iter().flat_map(|v| v.to_le_bytes()).collect()).collect();
    let views = tensors.iter().zip(&bytes).map(|((name, (shape, _)), bytes)| {
        let view = TensorView::new(Dtype::F32, shape.clone(), bytes).expect("four bytes a value");
        (name.as_str(), view)
    });
    safetensors::serialize_to_file(views, None, path)
        .map_err(|e| Error::io(path, "write")(std::io::Error::other(e)))
}

/// Shape and values by name.
type Tensors = BTreeMap<String, (Vec<usize>, Vec<f32>)>;

/// Neutral names to timm's.
fn renamed(mut neutral: Tensors) -> Tensors {
    let mut out = Tensors::new();
    for layer in 0.. {
        let mut any = false;
        for part in ["weight", "bias"] {
            let name = |projection: &str| format!("layers.{layer}.attention.{projection}.{part}");
            let fused: Vec<_> =
                ["query", "key", "value"].iter().filter_map(|p| neutral.remove(&name(p))).collect();
            if let Some((shape, _)) = fused.first() {
                any = true;
                let mut shape = shape.clone();
                shape[0] = fused.iter().map(|(shape, _)| shape[0]).sum();
                let values = fused.into_iter().flat_map(|(_, values)| values).collect();
                out.insert(format!("blocks.{layer}.attn.qkv.{part}"), (shape, values));
            }
        }
        if !any {
            break;
        }
    }
    for (name, (mut shape, values)) in neutral {
        // The class token and the positions have an axis of images in front.
        let n_axes = match name.as_str() {
            "cls_token" => 3,
            "pos_embed" => 3,
            _ => shape.len(),
        };
        while shape.len() < n_axes {
            shape.insert(0, 1);
        }
        let name = name
            .replacen("layers.", "blocks.", 1)
            .replacen(".attention.output.", ".attn.proj.", 1)
            .replacen("patch_embed.", "patch_embed.proj.", 1);
        out.insert(name, (shape, values));
    }
    out
}
