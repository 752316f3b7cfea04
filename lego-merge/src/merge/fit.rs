//! Whether adapters can be merged with each other at all: one base model, one layout, updates that are low-rank.

use crate::adapter::Adapter;
use crate::{Error, Result};

/// What to do with adapters that name different base models.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum BaseMismatch {
    /// An error.
    #[default]
    Refuse,
    /// Merge them.
    Allow,
}

pub(super) fn check(adapters: &[Adapter], bases: BaseMismatch) -> Result<()> {
    refuse_magnitudes(adapters)?;
    if bases == BaseMismatch::Refuse {
        check_bases(adapters)?;
    }
    check_layouts(adapters)
}

/// The base model that an adapter names, without a slash at its end; an empty name is none.
fn base(adapter: &Adapter) -> Option<&str> {
    let name = adapter.config().base_model_name_or_path.as_deref()?.trim_end_matches('/');
    (!name.is_empty()).then_some(name)
}

fn check_bases(adapters: &[Adapter]) -> Result<()> {
    let mut named = adapters.iter().filter_map(|a| Some((a, base(a)?)));
    let Some((first, expected)) = named.next() else { return Ok(()) };
    match named.find(|(_, name)| *name != expected) {
        None => Ok(()),
        Some((other, found)) => Err(Error::Conflict {
            path: other.path().into(),
            first: first.path().into(),
            field: "base_model_name_or_path (`allow_base_mismatch` merges them)".into(),
            expected: expected.into(),
            found: found.into(),
        }),
    }
}

fn check_layouts(adapters: &[Adapter]) -> Result<()> {
    let Some((first, others)) = adapters.split_first() else { return Ok(()) };
    let expected = first.config().fan_in_fan_out;
    match others.iter().find(|a| a.config().fan_in_fan_out != expected) {
        None => Ok(()),
        Some(other) => Err(Error::Conflict {
            path: other.path().into(),
            first: first.path().into(),
            field: "fan_in_fan_out".into(),
            expected: expected.to_string(),
            found: (!expected).to_string(),
        }),
    }
}

/// Magnitudes make an update that is not low-rank and depends on the base's weight.
fn refuse_magnitudes(adapters: &[Adapter]) -> Result<()> {
    for adapter in adapters {
        if let Some(module) = adapter.modules().iter().find(|m| m.has_magnitude) {
            let found = format!("true (magnitude of module {})", module.name);
            let reason = "DoRA's update depends on the base model's weights; `base` names them";
            return Err(Error::unsupported(adapter.path(), "use_dora", found, reason));
        }
    }
    Ok(())
}
