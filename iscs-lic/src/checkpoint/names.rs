//! The spellings of tensors' names: those of every version of CompressAI become those of 1.2.8.
//!
//! | in a file | neutral |
//! |---|---|
//! | `entropy_bottleneck._matrices.0`, `entropy_bottleneck._matrix0` | `entropy_bottleneck.matrices.0`; biases and factors alike |
//! | `latent_codec.h_a.`, `latent_codec.h_s.` (1.2.9) | `latent_codec.hyper.h_a.`, `latent_codec.hyper.h_s.` |
//! | `latent_codec.z.entropy_bottleneck.` (1.2.9) | `latent_codec.hyper.entropy_bottleneck.` |
//! | `….downsample.…` | `….skip.…` |
//!
//! All names may stand behind one prefix, such as `module.` of a model that was trained on several devices.

use std::path::Path;

use grouping_core::files::spelling::{Spelling, find};

use crate::{Error, Result};

/// Convolutions come first in every model that is known: bare, or in a residual block.
const MARKS: [Spelling; 2] = [
    Spelling { label: "convolutions", mark: "g_a.0.weight", rows: &[] },
    Spelling { label: "residual blocks", mark: "g_a.0.conv1.weight", rows: &[] },
];

/// The parameters of an entropy bottleneck, behind its name.
const BOTTLENECK: Spelling = Spelling {
    label: "CompressAI before 1.2.6",
    mark: "_matrices.0",
    rows: &[
        ("matrices.#", "_matrices.#"),
        ("biases.#", "_biases.#"),
        ("factors.#", "_factors.#"),
        ("matrices.#", "_matrix#"),
        ("biases.#", "_bias#"),
        ("factors.#", "_factor#"),
    ],
};

/// What names begin with: theirs and ours.
const BEGINNINGS: [(&str, &str); 3] = [
    ("latent_codec.h_a.", "latent_codec.hyper.h_a."),
    ("latent_codec.h_s.", "latent_codec.hyper.h_s."),
    ("latent_codec.z.entropy_bottleneck.", "latent_codec.hyper.entropy_bottleneck."),
];

/// The prefix of all names of the model in the file `path`.
///
/// # Errors
/// As [`find`].
pub(super) fn prefix<'a>(path: &Path, names: impl Iterator<Item = &'a str> + Clone) -> Result<String> {
    let [first, second] = &MARKS;
    Ok(find(path, &[first, second], names)?.prefix)
}

/// The neutral name of the tensor `name` of the file `path`.
///
/// # Errors
/// A name that does not stand behind the prefix.
pub(super) fn neutral(path: &Path, prefix: &str, name: &str) -> Result<String> {
    let Some(bare) = name.strip_prefix(prefix) else {
        let expected = format!("a tensor of the model, whose names begin with `{prefix}`");
        return Err(Error::format(path, name, expected, "another"));
    };
    let mut out = bare.replace(".downsample.", ".skip.");
    for (theirs, ours) in BEGINNINGS {
        if let Some(rest) = out.strip_prefix(theirs) {
            out = format!("{ours}{rest}");
        }
    }
    if let Some((stem, rest)) = out.split_once("entropy_bottleneck.")
        && let Some(ours) = BOTTLENECK.ours(rest)
    {
        out = format!("{stem}entropy_bottleneck.{ours}");
    }
    Ok(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_spelling_becomes_the_newest() {
        let path = Path::new("x");
        for (theirs, ours) in [
            ("module.entropy_bottleneck._matrices.4", "entropy_bottleneck.matrices.4"),
            ("module.entropy_bottleneck._bias0", "entropy_bottleneck.biases.0"),
            ("module.entropy_bottleneck.factors.3", "entropy_bottleneck.factors.3"),
            ("module.entropy_bottleneck._offset", "entropy_bottleneck._offset"),
            ("module.g_a.0.downsample.weight", "g_a.0.skip.weight"),
            ("module.latent_codec.h_s.2.0.bias", "latent_codec.hyper.h_s.2.0.bias"),
            ("module.latent_codec.hyper.h_a.0.bias", "latent_codec.hyper.h_a.0.bias"),
            (
                "module.latent_codec.z.entropy_bottleneck._factors.2",
                "latent_codec.hyper.entropy_bottleneck.factors.2",
            ),
        ] {
            assert_eq!(neutral(path, "module.", theirs).expect("known"), ours, "{theirs}");
        }
        let error = neutral(path, "module.", "g_a.0.weight").expect_err("no prefix").to_string();
        assert!(error.contains("`g_a.0.weight`: expected a tensor of the model"), "{error}");
    }
}
