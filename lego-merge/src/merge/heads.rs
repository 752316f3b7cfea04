//! Tensors that adapters save whole (`modules_to_save`): which are carried, from which adapter.
//!
//! One that several adapters have is carried when they are equal to the bit; where they differ [`SavedModules`] decides. The average is
//! `Σ wᵢ·hᵢ / Σ wᵢ` over the adapters that have the tensor.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use super::PlannedModule;
use crate::adapter::{Adapter, Tensor, in_module, is_of_base};
use crate::{Error, Result};

/// What becomes of a module that several adapters save whole, where they differ.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "cli", derive(clap::ValueEnum))]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum SavedModules {
    /// An error
    #[default]
    #[cfg_attr(feature = "cli", value(skip))]
    Refuse,
    /// That of the first adapter that has it
    First,
    /// The mean by `weights`; shapes must be equal
    #[cfg_attr(feature = "cli", value(help = super::flags("The mean by `weights`; shapes must be equal")))]
    Average,
    /// Left out
    Drop,
}

/// Heads of the output.
#[derive(Debug, Clone, Default)]
pub(super) struct Heads {
    owners: Vec<(String, usize)>,
    averaged: BTreeMap<String, Vec<usize>>,
    dropped: Vec<String>,
}

impl Heads {
    pub(super) fn new(adapters: &[Adapter], rule: SavedModules, weights: &[f64]) -> Result<Self> {
        let mut owners: BTreeMap<&str, Vec<usize>> = BTreeMap::new();
        for (i, adapter) in adapters.iter().enumerate() {
            for name in adapter.heads() {
                owners.entry(name).or_default().push(i);
            }
        }
        let mut conflicts = BTreeMap::new();
        for (&name, owners) in &owners {
            if let Some(other) = first_that_differs(adapters, name, owners)? {
                conflicts.insert(name, other);
            }
        }
        // The tensors of one module stay together.
        let modules: BTreeSet<&str> = conflicts.keys().map(|name| parent(name)).collect();
        let mut out = Self::default();
        for (name, owners) in owners {
            let (first, disputed) = (owners[0], modules.contains(parent(name)));
            match rule {
                SavedModules::Drop if disputed => out.dropped.push(name.into()),
                SavedModules::Refuse if conflicts.contains_key(name) => {
                    return Err(conflict(adapters, name, first, conflicts[name])?);
                }
                SavedModules::Average if conflicts.contains_key(name) => {
                    check_average(adapters, weights, name, &owners)?;
                    out.owners.push((name.into(), first));
                    out.averaged.insert(name.into(), owners);
                }
                _ => out.owners.push((name.into(), first)),
            }
        }
        Ok(out)
    }

    /// Each head with the adapter that gives its shape, by name.
    pub(super) fn owners(&self) -> &[(String, usize)] {
        &self.owners
    }

    pub(super) fn carried(&self) -> Vec<String> {
        let names = self.owners.iter().map(|(name, _)| name.clone());
        names.filter(|name| !self.averaged.contains_key(name)).collect()
    }

    pub(super) fn averaged(&self) -> Vec<String> {
        self.averaged.keys().cloned().collect()
    }

    pub(super) fn dropped(&self) -> &[String] {
        &self.dropped
    }

    pub(super) fn tensor(&self, adapters: &[Adapter], weights: &[f64], name: &str) -> Result<Tensor> {
        let Some(owners) = self.averaged.get(name) else {
            let owner = self.owners.iter().find(|(head, _)| head == name).map_or(0, |(_, owner)| *owner);
            return adapters[owner].head(name);
        };
        let total: f64 = owners.iter().map(|&i| weights[i]).sum();
        let mut sum = Tensor { shape: vec![], values: vec![] };
        let mut values: Vec<f64> = vec![];
        for &i in owners {
            let head = adapters[i].head(name)?;
            values.resize(head.values.len(), 0.0);
            let share = weights[i] / total;
            values.iter_mut().zip(&head.values).for_each(|(v, &h)| *v += share * f64::from(h));
            sum.shape = head.shape;
        }
        sum.values = values.into_iter().map(|v| v as f32).collect();
        Ok(sum)
    }

    /// A module with factors in one adapter and saved whole in another: PEFT would load one of the two only.
    pub(super) fn check_apart(&self, adapters: &[Adapter], modules: &[PlannedModule]) -> Result<()> {
        for (head, owner) in self.owners.iter().filter(|(head, _)| !is_of_base(head)) {
            let inside = |m: &&PlannedModule| {
                head.strip_prefix(&m.name).is_some_and(|rest| rest.starts_with('.'))
                    || adapters[*owner].config().modules_to_save.iter().flatten().any(|saved| {
                        in_module(saved, head) && in_module(saved, &format!("{}.weight", m.name))
                    })
            };
            if let Some(module) = modules.iter().find(inside) {
                return Err(Error::Conflict {
                    path: adapters[module.members[0]].path().into(),
                    first: adapters[*owner].path().into(),
                    field: format!("module {}", module.name).into(),
                    expected: format!("no factors beside the saved `{head}`"),
                    found: "lora_A and lora_B".into(),
                });
            }
        }
        Ok(())
    }
}

/// The module that holds a tensor.
fn parent(head: &str) -> &str {
    head.rsplit_once('.').map_or(head, |(module, _)| module)
}

/// The first owner whose tensor is not that of the first owner to the bit.
fn first_that_differs(adapters: &[Adapter], name: &str, owners: &[usize]) -> Result<Option<usize>> {
    let Some((&first, others)) = owners.split_first() else { return Ok(None) };
    if others.is_empty() {
        return Ok(None);
    }
    let bits = |tensor: &Tensor| tensor.values.iter().map(|v| v.to_bits()).collect::<Vec<_>>();
    let ours = adapters[first].head(name)?;
    for &i in others {
        let theirs = adapters[i].head(name)?;
        if ours.shape != theirs.shape || bits(&ours) != bits(&theirs) {
            return Ok(Some(i));
        }
    }
    Ok(None)
}

fn conflict(adapters: &[Adapter], name: &str, first: usize, other: usize) -> Result<Error> {
    let shape = |i: usize| adapters[i].head_shape(name).unwrap_or_default();
    Ok(Error::Conflict {
        path: adapters[other].path().into(),
        first: adapters[first].path().into(),
        field: format!("head {name} (`modules_to_save` first, average or drop decides)").into(),
        expected: format!("the same values, shape {:?}", shape(first)),
        found: format!("others, shape {:?}", shape(other)),
    })
}

fn check_average(adapters: &[Adapter], weights: &[f64], name: &str, owners: &[usize]) -> Result<()> {
    let shape = |i: usize| adapters[i].head_shape(name);
    if let Some(&other) = owners.iter().find(|&&i| shape(i) != shape(owners[0])) {
        return Err(conflict(adapters, name, owners[0], other)?);
    }
    let total: f64 = owners.iter().map(|&i| weights[i]).sum();
    if total == 0.0 || !total.is_finite() {
        let expected = format!("weights whose sum is not 0, to average the head {name}");
        return Err(Error::setting("weights", expected, total));
    }
    Ok(())
}

/// Modules of the heads: as their owners list them, else the module that holds the tensor.
pub(super) fn saved_modules(adapters: &[Adapter], heads: &[(String, usize)]) -> Option<Vec<String>> {
    let mut out = BTreeSet::new();
    for (name, owner) in heads.iter().filter(|(name, _)| !is_of_base(name)) {
        let listed = adapters[*owner].config().modules_to_save.as_deref().unwrap_or_default();
        let module = || name.rsplit_once('.').map_or(name.as_str(), |(module, _)| module);
        out.insert(listed.iter().find(|m| in_module(m, name)).map_or_else(|| module().into(), String::clone));
    }
    (!out.is_empty()).then(|| out.into_iter().collect())
}
