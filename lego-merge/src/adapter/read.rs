//! Reading a PEFT folder: every tensor is a factor or a head, and what the configuration says must hold.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;

use super::config::{AdapterConfig, CONFIG_FILE, TargetModules};
use super::tensors::Tensors;
use super::{Adapter, LoraModule, PREFIX, TENSOR_FILE};
use crate::{Error, Result};

/// A configuration is a few kilobytes; nobody needs more than this to be read.
const CONFIG_LIMIT: u64 = 16 << 20;

pub(super) fn read(folder: &Path) -> Result<Adapter> {
    let path = folder.join(CONFIG_FILE);
    let size = fs::metadata(&path).map_err(Error::io(&path, "read"))?.len();
    if size > CONFIG_LIMIT {
        return Err(Error::format(&path, "size", format!("at most {CONFIG_LIMIT} bytes"), size));
    }
    let text = fs::read_to_string(&path).map_err(Error::io(&path, "read"))?;
    let config = AdapterConfig::parse(&path, &text)?;
    let file = folder.join(TENSOR_FILE);
    if !file.exists() && folder.join("adapter_model.bin").exists() {
        let reason = "only safetensors are read";
        let (path, field, found) = (folder.to_path_buf(), "file".into(), "adapter_model.bin".into());
        return Err(Error::Unsupported { path, field, found, reason });
    }
    assemble(folder, &path, config, Tensors::open(&file)?)
}

/// Checks the tensors' names and shapes against the configuration of the file `config_path`.
pub(super) fn assemble(
    folder: &Path,
    config_path: &Path,
    config: AdapterConfig,
    tensors: Tensors,
) -> Result<Adapter> {
    let path = tensors.path().unwrap_or(folder).to_path_buf();
    let patterns = config.patterns(config_path)?;
    let (mut sides, mut heads) = (BTreeMap::<String, [Option<Vec<usize>>; 2]>::new(), vec![]);
    for (key, shape) in tensors.shapes() {
        let Some(name) = key.strip_prefix(PREFIX) else {
            return Err(Error::format(&path, key, format!("a name that begins with {PREFIX}"), "none"));
        };
        if let Some(module) = name.strip_suffix(".lora_A.weight") {
            sides.entry(module.into()).or_default()[0] = Some(shape);
        } else if let Some(module) = name.strip_suffix(".lora_B.weight") {
            sides.entry(module.into()).or_default()[1] = Some(shape);
        } else if name.contains(".lora_")
            || name.ends_with(".base_layer.bias")
            || name.contains("token_adapter")
        {
            let (field, found) = (name.to_string(), format!("{shape:?}"));
            let reason = "only factors of linear layers and whole heads are read";
            return Err(Error::Unsupported { path, field, found, reason });
        } else {
            heads.push(name.to_string());
        }
    }
    let mut modules = Vec::with_capacity(sides.len());
    for (name, [a, b]) in sides {
        let side = |letter: &str, shape: Option<Vec<usize>>| -> Result<[usize; 2]> {
            let field = format!("{name}.lora_{letter}.weight");
            let shape =
                shape.ok_or_else(|| Error::format(&path, &field, "both factors of the module", "none"))?;
            <[usize; 2]>::try_from(shape).map_err(|s| {
                Error::format(&path, &field, "two axes (a linear layer)", format!("shape {s:?}"))
            })
        };
        let ([rank, n_inputs], [n_outputs, rank_b]) = (side("A", a)?, side("B", b)?);
        if rank == 0 {
            return Err(Error::format(&path, format!("rank of module {name}"), "at least 1", 0));
        }
        if rank != rank_b {
            let field = format!("rank of module {name}");
            let expected = format!("{rank} as lora_A has");
            return Err(Error::format(&path, field, expected, format!("{rank_b} in lora_B")));
        }
        let want = patterns.rank(&name);
        if want != rank {
            let field = format!("rank of module {name}");
            let expected = format!("{want} as {} says", config_path.display());
            return Err(Error::format(&path, field, expected, format!("{rank} in the tensors")));
        }
        let scale = patterns.scale(&name);
        modules.push(LoraModule { name, rank, n_inputs, n_outputs, scale });
    }
    if modules.is_empty() {
        return Err(Error::format(&path, "tensors", "at least one module with lora_A and lora_B", "none"));
    }
    let warnings = warnings(&config, &modules, &heads);
    Ok(Adapter { path: folder.to_path_buf(), config, modules, heads, warnings, tensors })
}

/// Lists of names that differ from the file: the file is followed.
fn warnings(config: &AdapterConfig, modules: &[LoraModule], heads: &[String]) -> Vec<String> {
    let mut out = vec![];
    if let Some(TargetModules::Names(names)) = &config.target_modules {
        for name in names.iter().filter(|n| !modules.iter().any(|m| targets(n, &m.name))) {
            out.push(format!("target_modules lists `{name}`, which the file does not hold"));
        }
        let hit = |m: &LoraModule| names.iter().any(|n| targets(n, &m.name));
        if let Some(module) = modules.iter().find(|m| !hit(m)) {
            out.push(format!("the file holds `{}`, which target_modules does not list", module.name));
        }
    }
    let saved = config.modules_to_save.as_deref().unwrap_or_default();
    for name in saved.iter().filter(|n| !heads.iter().any(|h| in_module(n, h))) {
        out.push(format!("modules_to_save lists `{name}`, which the file does not hold"));
    }
    let unlisted: BTreeSet<&str> = heads
        .iter()
        .filter(|h| !saved.iter().any(|n| in_module(n, h)))
        .map(|h| h.rsplit_once('.').map_or(h.as_str(), |(module, _)| module))
        .collect();
    for module in unlisted {
        out.push(format!("the file holds `{module}`, which modules_to_save does not list"));
    }
    out
}

/// PEFT's rule for `target_modules`: the whole name, or its end after a dot.
pub(crate) fn targets(target: &str, module: &str) -> bool {
    module == target || module.strip_suffix(target).is_some_and(|rest| rest.ends_with('.'))
}

/// Whether the tensor `head` lies in a module whose name ends with `module`.
pub(crate) fn in_module(module: &str, head: &str) -> bool {
    let parents = head.match_indices('.').map(|(i, _)| &head[..i]);
    parents.into_iter().any(|parent| targets(module, parent))
}
