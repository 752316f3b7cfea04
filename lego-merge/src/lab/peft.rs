//! Adapters of the bed as PEFT folders: `adapter_config.json` and `adapter_model.safetensors`.
//!
//! Tensors are named `base_model.model.{module}.lora_A.weight [rank, in]` and `….lora_B.weight [out, rank]`. A module's scale is
//! α/r, or α/√r with `use_rslora`; entries of `rank_pattern` and `alpha_pattern` replace r and α where `(.*\.)?(key)` matches
//! the whole module name, the first entry first.

use std::path::Path;

use anyhow::{Context, Result, bail, ensure};
use burn::tensor::{Tensor, TensorData};
use grouping_core::folder::{Existing, write_folder};
use grouping_core::nn::Decoder;
use half::{bf16, f16};
use indexmap::IndexMap;
use regex::Regex;
use safetensors::tensor::TensorView;
use safetensors::{Dtype, SafeTensors};
use serde::Deserialize;
use serde_json::json;

use super::bed::AdaptSettings;

const CONFIG_FILE: &str = "adapter_config.json";
const WEIGHTS_FILE: &str = "adapter_model.safetensors";
const PREFIX: &str = "base_model.model.";

/// Writes the updates of `decoder` as the folder `dir`, which appears whole or not at all.
pub(super) fn write(
    decoder: &Decoder,
    settings: &AdaptSettings,
    dir: &Path,
    existing: Existing,
) -> Result<()> {
    let mut tensors = Vec::new();
    for (name, projection) in decoder.projections() {
        if let Some(update) = &projection.low_rank {
            let ([d_in, d_out], rank) = (projection.dims(), update.rank());
            let (a, b) = update.factors();
            tensors.push((format!("{PREFIX}{name}.lora_A.weight"), vec![rank, d_in], to_bytes(&a)));
            tensors.push((format!("{PREFIX}{name}.lora_B.weight"), vec![d_out, rank], to_bytes(&b)));
        }
    }
    let views = tensors
        .iter()
        .map(|(name, shape, bytes)| Ok((name, TensorView::new(Dtype::F32, shape.clone(), bytes)?)))
        .collect::<Result<Vec<_>>>()?;
    let metadata = [("format".to_owned(), "pt".to_owned())].into_iter().collect();
    let weights = safetensors::serialize(views, Some(metadata))?;
    // A whole α as PEFT itself writes it.
    let alpha =
        if settings.alpha.fract() == 0.0 { json!(settings.alpha as i64) } else { json!(settings.alpha) };
    let config = json!({
        "peft_type": "LORA",
        "task_type": "CAUSAL_LM",
        "base_model_name_or_path": null,
        "r": settings.rank,
        "lora_alpha": alpha,
        "target_modules": settings.targets,
        "bias": "none",
        "fan_in_fan_out": false,
        "inference_mode": true,
        "init_lora_weights": true,
        "lora_dropout": 0.0,
        "modules_to_save": null,
        "use_dora": false,
        "use_rslora": false,
        "rank_pattern": {},
        "alpha_pattern": {},
    });
    let config = serde_json::to_string_pretty(&config)? + "\n";
    write_folder(dir, existing, |staging| {
        for (file, bytes) in [(CONFIG_FILE, config.as_bytes()), (WEIGHTS_FILE, &weights)] {
            let path = staging.join(file);
            std::fs::write(&path, bytes)
                .map_err(|e| grouping_core::Error::File { path, reason: e.to_string() })?;
        }
        Ok(())
    })?;
    Ok(())
}

fn to_bytes(values: &[f32]) -> Vec<u8> {
    values.iter().flat_map(|value| value.to_le_bytes()).collect()
}

/// The fields that decide what an adapter adds.
#[derive(Deserialize)]
struct Config {
    r: usize,
    lora_alpha: f64,
    #[serde(default)]
    use_rslora: Option<bool>,
    #[serde(default)]
    use_dora: Option<bool>,
    #[serde(default)]
    rank_pattern: Option<IndexMap<String, usize>>,
    #[serde(default)]
    alpha_pattern: Option<IndexMap<String, f64>>,
}

impl Config {
    fn rank_and_scale(&self, module: &str) -> Result<(usize, f64)> {
        let rank = matching(self.rank_pattern.as_ref(), module)?.unwrap_or(self.r);
        let alpha = matching(self.alpha_pattern.as_ref(), module)?.unwrap_or(self.lora_alpha);
        ensure!(rank > 0, "{CONFIG_FILE}: `r`: expected a rank above zero for {module}, found 0");
        let divisor = if self.use_rslora == Some(true) { (rank as f64).sqrt() } else { rank as f64 };
        Ok((rank, alpha / divisor))
    }
}

fn matching<T: Copy>(patterns: Option<&IndexMap<String, T>>, module: &str) -> Result<Option<T>> {
    for (key, value) in patterns.into_iter().flatten() {
        let pattern = Regex::new(&format!(r"^(?:.*\.)?(?:{key})$"))
            .with_context(|| format!("{CONFIG_FILE}: a pattern's key {key:?}"))?;
        if pattern.is_match(module) {
            return Ok(Some(*value));
        }
    }
    Ok(None)
}

/// What the adapter in `dir` adds to each projection of `base`: its name, and `s·(B·A)ᵀ [in, out]`.
pub(super) fn read_deltas(dir: &Path, base: &Decoder) -> Result<Vec<(String, Tensor<2>)>> {
    let config = std::fs::read_to_string(dir.join(CONFIG_FILE)).context(CONFIG_FILE)?;
    let config: Config = serde_json::from_str(&config).context(CONFIG_FILE)?;
    ensure!(config.use_dora != Some(true), "{CONFIG_FILE}: `use_dora`: expected false, found true");
    let bytes = std::fs::read(dir.join(WEIGHTS_FILE)).context(WEIGHTS_FILE)?;
    let tensors = SafeTensors::deserialize(&bytes).context(WEIGHTS_FILE)?;
    let device = burn::tensor::Device::flex();
    let mut n_used = 0;
    let mut deltas = Vec::new();
    for (module, projection) in base.projections() {
        let name = |factor| format!("{PREFIX}{module}.lora_{factor}.weight");
        let (name_a, name_b) = (name("A"), name("B"));
        if tensors.tensor(&name_a).is_err() && tensors.tensor(&name_b).is_err() {
            continue;
        }
        let ([d_in, d_out], (rank, scale)) = (projection.dims(), config.rank_and_scale(&module)?);
        let a = read_factor(&tensors, &name_a, [rank, d_in])?;
        let b = read_factor(&tensors, &name_b, [d_out, rank])?;
        let a = Tensor::<2>::from_data(TensorData::new(a, [rank, d_in]), &device);
        let b = Tensor::<2>::from_data(TensorData::new(b, [d_out, rank]), &device);
        deltas.push((module, a.transpose().matmul(b.transpose()).mul_scalar(scale)));
        n_used += 2;
    }
    if n_used < tensors.len() {
        let known: Vec<String> = deltas.iter().map(|(module, _)| format!("{PREFIX}{module}.lora_")).collect();
        let mut unknown: Vec<&str> = tensors.names();
        unknown.retain(|name| !known.iter().any(|prefix| name.starts_with(prefix.as_str())));
        unknown.sort_unstable();
        bail!("{WEIGHTS_FILE}: expected updates of the base's projections, found {unknown:?}");
    }
    Ok(deltas)
}

fn read_factor(tensors: &SafeTensors<'_>, name: &str, shape: [usize; 2]) -> Result<Vec<f32>> {
    let view = tensors.tensor(name).with_context(|| format!("{WEIGHTS_FILE}: {name}"))?;
    ensure!(
        view.shape() == shape,
        "{WEIGHTS_FILE}: tensor `{name}`: expected shape {shape:?}, found {:?}",
        view.shape()
    );
    let (halves, _) = view.data().as_chunks::<2>();
    let values: Vec<f32> = match view.dtype() {
        Dtype::F32 => view.data().as_chunks::<4>().0.iter().map(|bytes| f32::from_le_bytes(*bytes)).collect(),
        Dtype::F16 => halves.iter().map(|bytes| f16::from_le_bytes(*bytes).to_f32()).collect(),
        Dtype::BF16 => halves.iter().map(|bytes| bf16::from_le_bytes(*bytes).to_f32()).collect(),
        other => bail!("{WEIGHTS_FILE}: tensor `{name}`: expected F32, F16 or BF16, found {other:?}"),
    };
    ensure!(values.iter().all(|v| v.is_finite()), "{WEIGHTS_FILE}: tensor `{name}`: a value is not finite");
    Ok(values)
}
