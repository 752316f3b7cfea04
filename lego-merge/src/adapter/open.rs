//! Finding an adapter at a path: a PEFT folder, a folder with a file of diffusers, or a single file.

use std::fs;
use std::path::{Path, PathBuf};

use grouping_core::files::text::read_text;

use super::assemble::{Declared, assemble, header_configs};
use super::config::{AdapterConfig, CONFIG_FILE};
use super::format::KeySpelling;
use super::tensors::Tensors;
use super::{Adapter, TENSOR_FILE};
use crate::{Error, Result};

/// A configuration is a few kilobytes; nobody needs more than this to be read.
const CONFIG_LIMIT: u64 = 16 << 20;
/// PEFT's file before safetensors.
const PICKLE_FILE: &str = "adapter_model.bin";
/// Files of diffusers in a folder.
const DIFFUSERS_FILES: [&str; 2] = ["pytorch_lora_weights.safetensors", "pytorch_lora_weights.bin"];
/// The header's entry in which a single file in PEFT's names keeps its configuration.
pub(super) const CONFIG_METADATA: &str = "adapter_config";

pub(super) fn open(path: &Path) -> Result<Adapter> {
    if !fs::metadata(path).map_err(Error::io(path, "read"))?.is_dir() {
        return open_file(path, path);
    }
    let config = path.join(CONFIG_FILE);
    let here = |name: &str| path.join(name).exists();
    if !config.exists()
        && let Some(name) = DIFFUSERS_FILES.iter().find(|name| here(name))
    {
        return open_file(path, &path.join(name));
    }
    let declared = Declared::Config(Box::new(read_config(&config)?));
    let name = [TENSOR_FILE, PICKLE_FILE].into_iter().find(|name| here(name)).unwrap_or(TENSOR_FILE);
    assemble(path, &config, declared, Tensors::open(&path.join(name))?)
}

fn open_file(label: &Path, file: &Path) -> Result<Adapter> {
    let tensors = Tensors::open(file)?;
    if KeySpelling::of(tensors.names()) != KeySpelling::Peft {
        let declared = Declared::Header(header_configs(file, &tensors)?);
        return assemble(label, file, declared, tensors);
    }
    let (config, declared_in) = match tensors.metadata().get(CONFIG_METADATA) {
        Some(text) => (AdapterConfig::parse(&file.join(CONFIG_METADATA), text)?, file.to_path_buf()),
        None => {
            let beside: PathBuf = file.with_file_name(CONFIG_FILE);
            if !beside.exists() {
                let expected = format!("{CONFIG_FILE} beside it, or `{CONFIG_METADATA}` in its header");
                return Err(Error::format(file, "configuration", expected, "neither"));
            }
            (read_config(&beside)?, beside)
        }
    };
    assemble(label, &declared_in, Declared::Config(Box::new(config)), tensors)
}

fn read_config(path: &Path) -> Result<AdapterConfig> {
    AdapterConfig::parse(path, &read_text(path, CONFIG_LIMIT)?)
}
