//! What a merge will write: modules with their ranks, heads with their owners, and the output's configuration.

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};

use super::heads::{Heads, saved_modules};
use super::{AllSources, MergeConfig, MergeReport, ModuleReport, RankRule, fit};
use crate::adapter::{
    Adapter, AdapterConfig, LoraModule, ModuleKind, TargetModules, Tensor, aligned, targets,
};
use crate::{Error, Result};

/// One module of the output.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct PlannedModule {
    /// Full name.
    pub name: String,
    /// What the module is.
    pub kind: ModuleKind,
    /// Whether the output has a bias there.
    pub has_bias: bool,
    /// Rank of the result, `k_m`.
    pub rank: usize,
    /// `d_in`.
    pub n_inputs: usize,
    /// `d_out`.
    pub n_outputs: usize,
    /// Adapters that have the module, in the order given.
    pub members: Vec<usize>,
    /// The weight of each.
    pub weights: Vec<f64>,
    /// By which of the configuration's rules it is merged: 0, or the position of the override plus 1.
    pub(super) rule: usize,
}

/// A merge that is about to run: its adapters under common names, and everything about the output but its values.
#[derive(Debug)]
pub struct Plan<'a> {
    adapters: Cow<'a, [Adapter]>,
    merge: &'a MergeConfig,
    modules: Vec<PlannedModule>,
    heads: Heads,
    weights: Vec<f64>,
    config: AdapterConfig,
}

impl<'a> Plan<'a> {
    /// Checks that the adapters and settings fit, and decides ranks, heads and configuration.
    ///
    /// # Errors
    /// [`Error::Conflict`] for adapters that do not fit each other, [`grouping_core::Error::Setting`] for weights or a rank that do
    /// not fit.
    pub fn new(adapters: &'a [Adapter], merge: &'a MergeConfig) -> Result<Self> {
        Self::observed(adapters, merge, |_| ())
    }

    /// As [`Plan::new`], telling how far it has come: `on_ranked` is called, from any thread, after each module that had to
    /// be read for its rank, with the number of modules to read in planning and merging together.
    ///
    /// # Errors
    /// Those of [`Plan::new`].
    pub fn observed(
        adapters: &'a [Adapter],
        merge: &'a MergeConfig,
        on_ranked: impl Fn(usize) + Sync,
    ) -> Result<Self> {
        let adapters = aligned(adapters);
        let weights = merge.rules().map(|rule| weights(&adapters, rule)).collect::<Result<Vec<_>>>()?;
        for rule in merge.rules() {
            check(rule)?;
        }
        let mut modules = modules(&adapters, merge, &weights)?;
        let weights = weights.into_iter().next().unwrap_or_default();
        let heads = Heads::new(&adapters, merge.saved_modules, &weights)?;
        heads.check_apart(&adapters, &modules)?;
        let by_values: Vec<_> =
            merge.rules().map(|rule| rule.rank.filter(|rank| rank.needs_values())).collect();
        let n_steps = modules.iter().map(|m| 1 + usize::from(by_values[m.rule].is_some())).sum();
        for (i, rule) in merge.rules().enumerate() {
            if let Some(rank) = by_values[i] {
                find_ranks(&adapters, &mut modules, rank, i, rule.seed, || on_ranked(n_steps))?;
            }
        }
        let config = output_config(&adapters, &modules, heads.owners())?;
        Ok(Self { adapters, merge, modules, heads, weights, config })
    }

    /// The adapters, under names that they have in common.
    pub fn adapters(&self) -> &[Adapter] {
        &self.adapters
    }

    /// What is merged with.
    pub(super) fn merge(&self) -> &MergeConfig {
        self.merge
    }

    /// All modules, by name.
    pub fn modules(&self) -> &[PlannedModule] {
        &self.modules
    }

    /// Names of the heads that are carried, each with the adapter that it is taken from.
    pub fn heads(&self) -> &[(String, usize)] {
        self.heads.owners()
    }

    /// One weight an adapter.
    pub fn weights(&self) -> &[f64] {
        &self.weights
    }

    /// The output's configuration.
    pub fn config(&self) -> &AdapterConfig {
        &self.config
    }

    /// The output's modules, of scale 1.
    pub(super) fn outline(&self) -> Vec<LoraModule> {
        self.modules.iter().map(of_scale_one).collect()
    }

    /// Names and shapes of the heads.
    pub(super) fn head_shapes(&self) -> Vec<(String, Vec<usize>)> {
        let shape = |(name, owner): &(String, usize)| {
            (name.clone(), self.adapters[*owner].head_shape(name).unwrap_or_default())
        };
        self.heads().iter().map(shape).collect()
    }

    /// The values of a head.
    pub(crate) fn head(&self, name: &str) -> Result<Tensor> {
        self.heads.tensor(&self.adapters, &self.weights, name)
    }

    pub(super) fn report(&self, modules: Vec<ModuleReport>) -> MergeReport {
        MergeReport {
            method: self.merge.method.info().name.into(),
            weights: self.weights.clone(),
            lambda: self.merge.lambda,
            modules,
            heads: self.heads.carried(),
            averaged_heads: self.heads.averaged(),
            dropped_heads: self.heads.dropped().to_vec(),
        }
    }
}

/// Reads the modules of one rule to find their ranks.
fn find_ranks(
    adapters: &[Adapter],
    modules: &mut [PlannedModule],
    rank: RankRule,
    rule: usize,
    seed: u64,
    on_ranked: impl Fn() + Sync,
) -> Result<()> {
    let ranks = AllSources::of_rule(adapters, modules, rule, seed).visit(|module| {
        let rank = rank.rank(module).map_err(Error::numeric(module.name));
        on_ranked();
        rank
    })?;
    let of_rule = modules.iter_mut().filter(|m| m.rule == rule);
    of_rule.zip(ranks).for_each(|(module, rank)| module.rank = rank);
    Ok(())
}

fn of_scale_one(module: &PlannedModule) -> LoraModule {
    let PlannedModule { name, kind, rank, n_inputs, n_outputs, has_bias, .. } = module.clone();
    LoraModule::of_scale_one(name, kind, rank, [n_outputs, n_inputs], has_bias)
}

fn weights(adapters: &[Adapter], config: &MergeConfig) -> Result<Vec<f64>> {
    let weights = config.weights.clone().unwrap_or_else(|| vec![1.0; adapters.len()]);
    if weights.len() != adapters.len() || adapters.is_empty() {
        let expected = format!("one weight for each of {} adapters", adapters.len());
        return Err(Error::setting("weights", expected, weights.len()));
    }
    match weights.iter().find(|w| !w.is_finite()) {
        None => Ok(weights),
        Some(bad) => Err(Error::setting("weights", "finite numbers", bad)),
    }
}

/// A factor must be finite, and a rank wanted by a method that takes one.
fn check(rule: &MergeConfig) -> Result<()> {
    if !rule.lambda.is_finite() {
        return Err(Error::setting("lambda", "a finite number", rule.lambda));
    }
    let method = rule.method.info();
    if let (Some(wanted), false) = (&rule.rank, method.rank.is_chosen()) {
        return Err(Error::setting("rank", format!("no rank with the method {}", method.name), wanted));
    }
    Ok(())
}

fn modules(adapters: &[Adapter], config: &MergeConfig, weights: &[Vec<f64>]) -> Result<Vec<PlannedModule>> {
    let mut members: BTreeMap<&str, Vec<usize>> = BTreeMap::new();
    for (i, adapter) in adapters.iter().enumerate() {
        for module in adapter.modules().iter().filter(|m| config.takes(&m.name)) {
            members.entry(&module.name).or_default().push(i);
        }
    }
    let all = adapters.iter().flat_map(|a| a.modules());
    let largest = all.map(|m| m.rank).max().unwrap_or(0);
    if members.is_empty() {
        let (name, beside) = match (&config.include, &config.exclude) {
            (None, _) => ("exclude", ""),
            (Some(_), None) => ("include", ""),
            (Some(_), Some(_)) => ("include", "with `exclude` "),
        };
        let expected = format!("{beside}a pattern that leaves a module to merge");
        return Err(Error::setting(name, expected, "none left"));
    }
    fit::check(adapters, config.base_mismatch)?;
    let has_bias = adapters.iter().flat_map(|a| a.modules()).any(|m| m.has_bias);
    let rules: Vec<&MergeConfig> = config.rules().collect();
    let mut most = vec![0; rules.len()];
    let mut out = Vec::with_capacity(members.len());
    for (name, members) in members {
        let found: Vec<_> = members.iter().filter_map(|&i| Some((i, adapters[i].module(name)?))).collect();
        let (first, module) = found[0];
        for &(i, other) in &found[1..] {
            if (other.n_inputs, other.n_outputs) != (module.n_inputs, module.n_outputs) {
                return Err(Error::Conflict {
                    path: adapters[i].path().into(),
                    first: adapters[first].path().into(),
                    field: format!("shape [d_out, d_in] of module {name}").into(),
                    expected: format!("[{}, {}]", module.n_outputs, module.n_inputs),
                    found: format!("[{}, {}]", other.n_outputs, other.n_inputs),
                });
            }
        }
        let kind = module.kind.clone();
        if let Some(&(i, other)) = found.iter().find(|(_, other)| !other.kind.fits(&kind)) {
            return Err(Error::Conflict {
                path: adapters[i].path().into(),
                first: adapters[first].path().into(),
                field: format!("kind of module {name}").into(),
                expected: kind.to_string(),
                found: other.kind.to_string(),
            });
        }
        if has_bias && kind == ModuleKind::Embedding {
            let reason = "beside an adapter with lora_bias, which PEFT does not open for embeddings";
            return Err(Error::unsupported(adapters[first].path(), format!("module {name}"), kind, reason));
        }
        let ranks: Vec<usize> = found.iter().map(|(_, m)| m.rank).collect();
        let rule = config.rule_of(name);
        most[rule] = most[rule].max(ranks.iter().sum());
        let wanted = match rules[rule].rank {
            Some(RankRule::Fixed(rank)) => Some(rank),
            _ => None,
        };
        let rank = rules[rule].method.info().rank.of(&ranks, wanted, largest);
        let (n_inputs, n_outputs) = (module.n_inputs, module.n_outputs);
        let weights = members.iter().map(|&i| weights[rule][i]).collect();
        let name = name.into();
        out.push(PlannedModule { name, kind, has_bias, rank, n_inputs, n_outputs, members, weights, rule });
    }
    for (rule, most) in rules.into_iter().zip(most) {
        if let Some(RankRule::Fixed(wanted)) = rule.rank
            && (wanted == 0 || (most > 0 && wanted > most))
        {
            let expected = format!("1 to {most}, the units of the largest module");
            return Err(Error::setting("rank", expected, wanted));
        }
    }
    Ok(out)
}

fn output_config(
    adapters: &[Adapter],
    modules: &[PlannedModule],
    heads: &[(String, usize)],
) -> Result<AdapterConfig> {
    let first = &adapters[0];
    let mut config = first.config().clone();
    config.set_modules(&modules.iter().map(of_scale_one).collect::<Vec<_>>());
    config.target_modules = Some(TargetModules::Names(target_modules(adapters, modules)));
    config.modules_to_save = saved_modules(adapters, heads);
    if let Some(&(_, owner)) = heads.first() {
        let of_owner = adapters[owner].config();
        config.task_type.clone_from(&of_owner.task_type);
        match of_owner.other.get("auto_mapping") {
            Some(class) => config.other.insert("auto_mapping".into(), class.clone()),
            None => config.other.remove("auto_mapping"),
        };
    }
    for restricting in ["layers_to_transform", "layers_pattern", "exclude_modules"] {
        if let Some(value) = config.other.get_mut(restricting) {
            *value = serde_json::Value::Null;
        }
    }
    // How the sources began has no meaning for their merge, and some names would make PEFT change the base.
    config.other.insert("init_lora_weights".into(), true.into());
    for beginning in ["eva_config", "corda_config", "lora_ga_config"] {
        config.other.remove(beginning);
    }
    config.other.insert("inference_mode".into(), true.into());
    config.other.insert("lora_dropout".into(), 0.0.into());
    Ok(config)
}

/// Suffixes where they say exactly what the file holds, else full names.
///
/// A suffix that an unrestricted adapter targets stands for all of the base's modules of that suffix, so the union of
/// such suffixes covers the union of the modules, unless some were left out of the merge.
fn target_modules(adapters: &[Adapter], modules: &[PlannedModule]) -> Vec<String> {
    let merged: BTreeSet<&str> = modules.iter().map(|m| m.name.as_str()).collect();
    if adapters.iter().flat_map(Adapter::modules).any(|m| !merged.contains(m.name.as_str())) {
        return modules.iter().map(|m| m.name.clone()).collect();
    }
    let mut suffixes = BTreeSet::new();
    for adapter in adapters {
        let config = adapter.config();
        let restricted = ["layers_to_transform", "layers_pattern", "exclude_modules"]
            .iter()
            .any(|field| config.other.get(*field).is_some_and(|v| !v.is_null()));
        match &config.target_modules {
            Some(TargetModules::Names(names)) if !restricted => {
                let held = |n: &&String| adapter.modules().iter().any(|m| targets(n, &m.name));
                suffixes.extend(names.iter().filter(held).cloned());
            }
            _ => return modules.iter().map(|m| m.name.clone()).collect(),
        }
    }
    if modules.iter().all(|m| suffixes.iter().any(|s| targets(s, &m.name))) {
        suffixes.into_iter().collect()
    } else {
        modules.iter().map(|m| m.name.clone()).collect()
    }
}
