//! A vision transformer as a file in timm's names, with its heads and groups, and how they go on.

use std::collections::BTreeMap;
use std::path::Path;

use grouping_core::Activation;
use grouping_core::files::output::Existing;
use grouping_core::files::tensor_file::{Dtype, Planned, TensorWriter};

use super::config::TIMM_EPS;
use super::model::Vit;
use super::weights::NamedTensors;
use crate::allocation::AllocationState;
use crate::checkpoint::{HeadsRecord, Keeps, RECORD_FILE, write_recorded};
use crate::{Error, Result};

impl Vit {
    /// Writes the model to `path`, a `.safetensors` file in timm's names (`f32`) that [`Checkpoint::open`](crate::checkpoint::Checkpoint::open)
    /// reads; its heads and groups lie in the header as `kd_gqa.json`, and beside the file where groups are unequal. With an
    /// `allocation`, the groups in use are its, and its state is saved with them.
    ///
    /// ```
    /// use burn::tensor::Device;
    /// use grouping_core::files::output::Existing;
    /// use kd_gqa::allocation::{AllocationConfig, AllocationState, Method};
    /// use kd_gqa::checkpoint::Checkpoint;
    /// use kd_gqa::vit::VitConfig;
    ///
    /// let vit = VitConfig::new([32, 32], [8, 8], 48, 2, 6, 96).with_kv_heads(3)?.init(7, &Device::flex())?;
    /// let state = AllocationState::new(AllocationConfig::new(Method::DgqaEma), 6, &[3, 3])?;
    /// let path = tempfile::tempdir()?.path().join("vit.safetensors");
    /// vit.save(&path, Some(&state), Existing::Refuse)?;
    /// assert_eq!(Checkpoint::open(&path)?.allocation(), Some(&state));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// [`Error::Option`] for a model that timm would not compute as it is (norms after the sums, ReLU, another ε than 1e-6, another grid
    /// than a square, updates of low rank), and for an allocation of other heads; [`Error::Core`] for a file that is there and not to be replaced; those of the system.
    pub fn save(&self, path: &Path, allocation: Option<&AllocationState>, existing: Existing) -> Result<()> {
        let config = self.config();
        self.check_timm()?;
        let own = self.groups();
        let record = match allocation {
            None => HeadsRecord::new(self.layers[0].attention.head_dim(), &own),
            Some(state) => {
                let n_kv_heads: Vec<usize> = own.iter().map(|groups| groups.n_kv_heads()).collect();
                state.check_heads(config.n_heads, &n_kv_heads)?;
                HeadsRecord::of_allocation(self.layers[0].attention.head_dim(), state)
            }
        };
        let tensors = renamed(self.tensors())?;
        let planned: Vec<Planned> =
            tensors.iter().map(|(name, (shape, _))| Planned::new(name, shape.clone(), Dtype::F32)).collect();
        let metadata = [("format", "pt".to_string()), (RECORD_FILE, record.to_json())];
        let metadata = metadata.map(|(key, value)| (key.to_string(), value)).into();
        write_recorded(path, &record, Keeps::Within, existing, |file| {
            let writer = TensorWriter::safetensors(file, path, &planned, &metadata)?;
            tensors.iter().try_for_each(|(name, (_, values))| writer.write(name, values))?;
            Ok(writer.finish()?)
        })
    }

    /// Whether timm computes what the model does, from a file in its names.
    fn check_timm(&self) -> Result<()> {
        let config = self.config();
        let refuse = |expected: &str, found: String| Err(Error::option("model", expected, found));
        if !config.norm_first || config.activation != Activation::Gelu {
            let found = format!("norm_first {}, {:?}", config.norm_first, config.activation);
            return refuse("norms first and GELU, as in timm", found);
        }
        if config.norm_eps != TIMM_EPS {
            return refuse("norms of ε 1e-6, as in timm", format!("{:e}", config.norm_eps));
        }
        if config.image_size[0] != config.image_size[1] || config.patch_size[0] != config.patch_size[1] {
            return refuse(
                "square images and patches",
                format!("{:?}, {:?}", config.image_size, config.patch_size),
            );
        }
        match self.projections().into_iter().find(|(_, projection)| projection.low_rank.is_some()) {
            None => Ok(()),
            Some((name, _)) => {
                refuse("updates of low rank folded into the weights", format!("one beside {name}"))
            }
        }
    }
}

/// Shape and values.
type Tensor = (Vec<usize>, Vec<f32>);
type Tensors = BTreeMap<String, Tensor>;

/// Neutral names to timm's: query, key and value in one tensor, an axis of images before tokens and positions.
///
/// # Errors
/// [`Error::Option`] where one of the three has a bias and another has none.
fn renamed(neutral: NamedTensors) -> Result<Tensors> {
    let mut out = Tensors::new();
    // Sorted by name, a layer's keys come before its queries and values: they are put in order.
    let mut fused: BTreeMap<String, [Option<Tensor>; 3]> = BTreeMap::new();
    for (name, (mut shape, values)) in neutral.tensors {
        let name = name
            .replacen("layers.", "blocks.", 1)
            .replacen(".attention.output.", ".attn.proj.", 1)
            .replacen(".attention.query_norm.", ".attn.q_norm.", 1)
            .replacen(".attention.key_norm.", ".attn.k_norm.", 1)
            .replacen("patch_embed.", "patch_embed.proj.", 1);
        let part =
            ["query", "key", "value"].iter().position(|part| name.contains(&format!(".attention.{part}.")));
        if let (Some(part), Some((block, rest))) = (part, name.split_once(".attention.")) {
            let kind = rest.rsplit('.').next().unwrap_or(rest);
            fused.entry(format!("{block}.attn.qkv.{kind}")).or_default()[part] = Some((shape, values));
            continue;
        }
        let n_axes = if ["cls_token", "pos_embed"].contains(&name.as_str()) { 3 } else { shape.len() };
        while shape.len() < n_axes {
            shape.insert(0, 1);
        }
        out.insert(name, (shape, values));
    }
    for (name, parts) in fused {
        let [Some(query), Some(key), Some(value)] = parts else {
            return Err(Error::option("model", "query, key and value, all with biases or none", name));
        };
        let parts = [query, key, value];
        let mut shape = parts[0].0.clone();
        shape[0] = parts.iter().map(|(shape, _)| shape[0]).sum();
        out.insert(name, (shape, parts.into_iter().flat_map(|(_, values)| values).collect()));
    }
    Ok(out)
}
