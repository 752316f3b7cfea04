//! One name a module across adapters: kohya's ids and names without a component follow the full names of other adapters.

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};

use super::format::{Format, component, kohya};
use super::{Adapter, format};

/// The adapters with modules renamed where others have the same module under its full name. Files are not read again.
pub(crate) fn aligned(adapters: &[Adapter]) -> Cow<'_, [Adapter]> {
    let folded = |a: &Adapter| a.modules().iter().any(|m| kohya::is_folded(&m.name));
    let in_pipelines = adapters.iter().any(|a| a.format() != Format::Peft);
    if !in_pipelines && !adapters.iter().any(folded) {
        return Cow::Borrowed(adapters);
    }
    let names = adapters.iter().flat_map(Adapter::modules).map(|m| m.name.as_str());
    let full: BTreeSet<&str> = names.filter(|name| !kohya::is_folded(name)).collect();
    let mut by_id = BTreeMap::new();
    for name in &full {
        for id in kohya::ids(name) {
            by_id.entry(id).or_insert(*name);
        }
    }
    let rename = |adapter: &Adapter| {
        let component = missing_component(adapter, &full);
        adapter.clone().renamed(|name| match (component, by_id.get(name)) {
            // An adapter that holds both spellings keeps them apart.
            (_, Some(full)) if kohya::is_folded(name) && adapter.module(full).is_none() => full.to_string(),
            (Some(component), _) => format!("{component}.{name}"),
            _ => name.to_string(),
        })
    };
    Cow::Owned(adapters.iter().map(rename).collect())
}

/// The component that a PEFT adapter of one model lacks in its names, when others have its modules below it.
fn missing_component(adapter: &Adapter, full: &BTreeSet<&str>) -> Option<&'static str> {
    if adapter.format() != Format::Peft || adapter.modules().iter().any(|m| component(&m.name).is_some()) {
        return None;
    }
    let hit = |component: &&str| {
        adapter.modules().iter().any(|m| full.contains(format!("{component}.{}", m.name).as_str()))
    };
    format::COMPONENTS.into_iter().find(hit)
}
