//! `kd_gqa.json`: the sizes of the groups of each layer, `{"layers":[{"groups":[2,0,2,2]}, …]}`. Where `"file"` names one, it is about that
//! file alone; other fields are left alone.

use std::path::Path;

use grouping_core::text::read_text;
use serde::Deserialize;

use crate::{Error, Groups, Result};

/// A list of a thousand layers of a thousand heads is smaller than this.
const LIMIT: u64 = 16 << 20;

#[derive(Deserialize)]
struct File {
    file: Option<String>,
    layers: Vec<Layer>,
}

#[derive(Deserialize)]
struct Layer {
    groups: Vec<usize>,
}

/// The groups of `n_layers` layers of `n_heads` query heads each by the file `path`; nothing where it is about another model file than
/// `of`.
///
/// # Errors
/// [`Error::Core`] where it cannot be read, [`Error::Format`] where the file is none, or does not fit.
pub fn read_layer_groups(
    path: &Path,
    of: &Path,
    n_layers: usize,
    n_heads: usize,
) -> Result<Option<Vec<Groups>>> {
    let text = read_text(path, LIMIT)?;
    let file: File = serde_json::from_str(&text)
        .map_err(|e| Error::format(path, "layers", "a list of objects with groups", e))?;
    if file.file.is_some_and(|name| of.file_name().is_none_or(|of| of != name.as_str())) {
        return Ok(None);
    }
    if file.layers.len() != n_layers {
        return Err(Error::format(path, "layers", format!("{n_layers} of them"), file.layers.len()));
    }
    let groups = file.layers.into_iter().enumerate().map(|(layer_idx, layer)| {
        let found = format!("{:?}", layer.groups);
        Groups::new(layer.groups, n_heads).map_err(|_| {
            let field = format!("layers[{layer_idx}].groups");
            Error::format(path, field, format!("sizes that sum to {n_heads}"), found)
        })
    });
    groups.collect::<Result<_>>().map(Some)
}
