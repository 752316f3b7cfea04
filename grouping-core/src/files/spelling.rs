//! Names of tensors in checkpoints, as tables: each program spells the names of one model in its own way.
//!
//! A row of a table pairs a name of ours with the same tensor's name in their file. In both, `#` stands for one number and a final `*` for
//! one last word, so that `layers.#.norm1.*` is the weight and the bias of a norm in every layer. In a file all names of a model
//! may stand behind one prefix (`module.`, `vit.`), which is found, not told; a name that begins with `/` does not stand behind it.
//!
//! Several of our rows may have one name of theirs: parts that their program stores in one tensor.

use std::collections::BTreeSet;
use std::path::Path;

use indexmap::IndexMap;

use crate::{Error, Result};

/// How one program spells the names of a model's tensors.
///
/// ```
/// use std::path::Path;
/// use grouping_core::files::spelling::{Spelling, find};
///
/// const TIMM: Spelling = Spelling {
///     label: "timm",
///     mark: "blocks.#.attn.qkv.weight",
///     rows: &[("layers.#.output.*", "blocks.#.attn.proj.*"), ("layers.#.qkv.*", "blocks.#.attn.qkv.*")],
/// };
/// let names = ["m.blocks.0.attn.qkv.weight", "m.blocks.1.attn.qkv.weight", "m.head.weight"];
/// let found = find(Path::new("x.pth"), &[&TIMM], names.into_iter())?;
/// assert_eq!((found.which, found.prefix.as_str(), found.n_layers), (0, "m.", 2));
/// assert_eq!(TIMM.theirs("m.", "layers.1.output.bias").as_deref(), Some("m.blocks.1.attn.proj.bias"));
/// assert_eq!(TIMM.ours("blocks.1.attn.proj.bias").as_deref(), Some("layers.1.output.bias"));
/// # Ok::<(), grouping_core::Error>(())
/// ```
#[derive(Debug, Clone, Copy)]
pub struct Spelling {
    /// Whose names they are, in words.
    pub label: &'static str,
    /// The tensor by which these names are known, spelt as theirs: with `#` one that each layer has, without one that a model has once.
    pub mark: &'static str,
    /// Our name and theirs.
    pub rows: &'static [(&'static str, &'static str)],
}

/// The spelling of a file's names.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Found {
    /// Which of the spellings that were looked for.
    pub which: usize,
    /// What stands before all names of the model.
    pub prefix: String,
    /// The number of layers, which are numbered from 0 without gaps; 1 for a mark without `#`.
    pub n_layers: usize,
}

impl Spelling {
    /// Their name of the tensor that we call `ours`, behind the prefix; nothing where it has no row.
    pub fn theirs(&self, prefix: &str, ours: &str) -> Option<String> {
        self.rows.iter().find_map(|(from, to)| match to.strip_prefix('/') {
            Some(to) => Some(fill(to, &parts(from, ours)?)),
            None => Some(prefix.to_string() + &fill(to, &parts(from, ours)?)),
        })
    }

    /// Our name of the tensor that they call `theirs`, without the prefix; the first where their tensor holds several of ours.
    pub fn ours(&self, theirs: &str) -> Option<String> {
        let row = |(to, from): &(&str, &str)| Some(fill(to, &parts(from.trim_start_matches('/'), theirs)?));
        self.rows.iter().find_map(row)
    }
}

/// How many names or models a message shows.
const SHOWN: usize = 5;

/// Finds which of the spellings the names of a file have, each name behind a prefix that ends with a dot, or none.
///
/// # Errors
/// [`Error::FileField`] for names of no spelling or of several, saying what was looked for and what is there, and for a layer that is
/// missing, by the name of its mark.
pub fn find<'a>(
    path: &Path,
    spellings: &[&Spelling],
    names: impl Iterator<Item = &'a str> + Clone,
) -> Result<Found> {
    let mut found: IndexMap<(usize, &str), BTreeSet<usize>> = IndexMap::new();
    for name in names.clone() {
        for (which, spelling) in spellings.iter().enumerate() {
            if let Some((prefix, layer)) = marked(spelling.mark, name) {
                found.entry((which, prefix)).or_default().insert(layer);
            }
        }
    }
    let in_words = |prefix: &str, spelling: &Spelling| prefix.to_string() + &spelling.mark.replace('#', "N");
    let ((which, prefix), layers) = match (found.first(), found.len()) {
        (Some(one), 1) => one,
        (None, _) => {
            let marks = spellings.iter().map(|s| format!("{} ({})", in_words("", s), s.label));
            let expected = format!("the names of a known model: {}", marks.collect::<Vec<_>>().join(", "));
            return Err(Error::file_field(path, "names", expected, some(names)));
        }
        (_, n_found) => {
            let marks = found.keys().map(|(which, prefix)| in_words(prefix, spellings[*which]));
            let mut marks: Vec<String> = marks.take(SHOWN).collect();
            if n_found > SHOWN {
                marks.push(format!("{} more", n_found - SHOWN));
            }
            return Err(Error::file_field(path, "names", "those of one model", marks.join(" and ")));
        }
    };
    if let Some(missing) = (0..layers.len()).find(|layer| !layers.contains(layer)) {
        let name = prefix.to_string() + &spellings[*which].mark.replace('#', &missing.to_string());
        return Err(Error::file_field(path, name, "a tensor of this name", "none"));
    }
    Ok(Found { which: *which, prefix: (*prefix).to_string(), n_layers: layers.len() })
}

/// The number and the last word that a name has where its pattern has `#` and `*`; nothing for another name.
fn parts<'a>(pattern: &str, name: &'a str) -> Option<(&'a str, &'a str)> {
    let (number, rest, pattern) = match pattern.split_once('#') {
        None => ("", name, pattern),
        Some((before, after)) => {
            let (number, rest) = leading_number(name.strip_prefix(before)?)?;
            (number, rest, after)
        }
    };
    match pattern.strip_suffix('*') {
        None => (rest == pattern).then_some((number, "")),
        Some(stem) => {
            let word = rest.strip_prefix(stem)?;
            (!word.is_empty() && !word.contains('.')).then_some((number, word))
        }
    }
}

/// The digits of a number that a text begins with, and what follows; none for leading zeros.
fn leading_number(text: &str) -> Option<(&str, &str)> {
    let (number, rest) = text.split_at(text.bytes().take_while(u8::is_ascii_digit).count());
    (number == "0" || !number.is_empty() && !number.starts_with('0')).then_some((number, rest))
}

fn fill(pattern: &str, (number, word): &(&str, &str)) -> String {
    pattern.replace('#', number).replace('*', word)
}

/// The prefix before the mark in a name, and the number in it.
fn marked<'a>(mark: &str, name: &'a str) -> Option<(&'a str, usize)> {
    let (prefix, layer) = match mark.split_once('#') {
        None => (name.strip_suffix(mark)?, 0),
        Some((before, after)) => {
            let rest = name.strip_suffix(after)?;
            let stem = rest.trim_end_matches(|c: char| c.is_ascii_digit());
            let (number, _) = leading_number(&rest[stem.len()..])?;
            (stem.strip_suffix(before)?, number.parse().ok()?)
        }
    };
    (prefix.is_empty() || prefix.ends_with('.')).then_some((prefix, layer))
}

/// How many names there are, and some of them.
fn some<'a>(names: impl Iterator<Item = &'a str> + Clone) -> String {
    let n_names = names.clone().count();
    let mut some: Vec<&str> = names.take(SHOWN).collect();
    if n_names > some.len() {
        some.push("…");
    }
    format!("{n_names} tensors: {}", some.join(", "))
}

#[cfg(test)]
mod tests {
    use super::*;

    const OLD: Spelling = Spelling {
        label: "old",
        mark: "layer.#.query.weight",
        rows: &[
            ("layers.#.q.*", "layer.#.query.*"),
            ("layers.#.qkv.*", "layer.#.in_proj_*"),
            ("matrix.#", "_matrix#"),
            ("head.*", "/classifier.*"),
        ],
    };
    const NEW: Spelling = Spelling { label: "new", mark: "layers.#.q.weight", rows: &[] };
    const ONCE: Spelling = Spelling { label: "once", mark: "g_a.0.weight", rows: &[] };

    #[test]
    fn names_are_those_of_the_table_both_ways() {
        for (ours, theirs) in [
            ("layers.12.q.bias", "layer.12.query.bias"),
            ("layers.0.qkv.weight", "layer.0.in_proj_weight"),
            ("matrix.3", "_matrix3"),
        ] {
            assert_eq!(OLD.theirs("m.", ours), Some(format!("m.{theirs}")), "{ours}");
            assert_eq!(OLD.ours(theirs).as_deref(), Some(ours), "{theirs}");
        }
        assert_eq!(OLD.theirs("m.", "head.bias").as_deref(), Some("classifier.bias"), "behind no prefix");
        for other in
            ["layers.q.bias", "layers.01.q.bias", "layers.1.q", "layers.1.q.", "layers.1.q.a.b", "matrix."]
        {
            assert_eq!(OLD.theirs("", other), None, "{other}");
        }
    }

    #[test]
    fn what_is_not_understood_is_named() {
        let find = |names: &[&str]| find(Path::new("x"), &[&OLD, &NEW, &ONCE], names.iter().copied());
        let error = |names: &[&str]| find(names).expect_err("refused").to_string();
        let found = find(&["a.layers.1.q.weight", "a.layers.0.q.weight", "b"]).expect("new names");
        assert_eq!(found, Found { which: 1, prefix: "a.".into(), n_layers: 2 }, "any order");
        let found = find(&["module.g_a.0.weight", "module.g_a.2.weight"]).expect("a model without layers");
        assert_eq!(found, Found { which: 2, prefix: "module.".into(), n_layers: 1 }, "no numbers, no gaps");
        let unknown = error(&["conv1.weight", "fc.bias"]);
        assert!(unknown.contains("layer.N.query.weight (old), layers.N.q.weight (new)"), "{unknown}");
        assert!(unknown.contains("2 tensors: conv1.weight, fc.bias"), "what is there: {unknown}");
        let gap = error(&["layer.0.query.weight", "layer.2.query.weight"]);
        assert!(gap.contains("layer.1.query.weight`: expected a tensor"), "the missing layer: {gap}");
        let two = error(&["a.layer.0.query.weight", "b.layer.0.query.weight"]);
        assert!(two.contains("a.layer.N") && two.contains("b.layer.N"), "both models: {two}");
        let part = error(&["other_layer.0.query.weight"]);
        assert!(part.contains("known model"), "a prefix ends with a dot: {part}");
    }

    #[test]
    fn a_message_shows_few_of_many_models() {
        let names: Vec<String> = (0..100_000).map(|i| format!("m{i}.layers.0.q.weight")).collect();
        let error = find(Path::new("x"), &[&OLD, &NEW], names.iter().map(String::as_str));
        let message = error.expect_err("many models").to_string();
        assert!(message.contains("m4.layers.N") && !message.contains("m5."), "{message}");
        assert!(message.ends_with("and 99995 more"), "{message}");
    }
}
