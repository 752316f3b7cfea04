//! A vision transformer as a file in timm's names, with its heads and groups, and how they go on.

use std::path::Path;

use grouping_core::Activation;
use grouping_core::files::output::Existing;
use grouping_core::files::source::NamedTensors;
use grouping_core::files::tensor_file::{Dtype, Planned, TensorWriter};
use grouping_core::nn::Projection;

use super::model::Vit;
use crate::allocation::AllocationState;
use crate::checkpoint::{Dialect, HeadsRecord, Keeps, RECORD_FILE, TIMM_EPS, write_recorded};
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
    /// assert_eq!(AllocationState::of(&Checkpoint::open(&path)?)?, Some(state));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// [`Error::Setting`](grouping_core::Error::Setting) for a model that timm would not compute as it is (norms after the sums, ReLU, another ε than 1e-6, another grid
    /// than a square, updates of low rank), and for an allocation of other heads; [`Error::Exists`](grouping_core::Error::Exists) for a file that is there and not to be replaced; those of the system.
    pub fn save(&self, path: &Path, allocation: Option<&AllocationState>, existing: Existing) -> Result<()> {
        let config = self.config();
        self.check_timm()?;
        let own = self.groups();
        let groups = match allocation {
            None => own,
            Some(state) => {
                let n_kv_heads: Vec<usize> = own.iter().map(|groups| groups.n_kv_heads()).collect();
                state.check_heads(config.n_heads, &n_kv_heads)?;
                state.all_groups()
            }
        };
        let head_dim = self.layers[0].attention.head_dim();
        let record = HeadsRecord::new(head_dim, &groups).with_allocation(allocation);
        let tensors = self.in_timms_names()?;
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
        let refuse = |expected: &str, found: String| Err(Error::setting("model", expected, found));
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
        match self.projections().find(|(_, projection)| projection.low_rank.is_some()) {
            None => Ok(()),
            Some((name, _)) => {
                refuse("updates of low rank folded into the weights", format!("one beside {name}"))
            }
        }
    }

    /// Every product with its neutral name.
    fn projections(&self) -> impl Iterator<Item = (String, &Projection)> {
        let layers = self.layers.iter().enumerate().flat_map(|(i, layer)| {
            let (attention, mlp) = (&layer.attention, &layer.mlp);
            let parts = [
                ("attention.q_proj", &attention.q_proj),
                ("attention.k_proj", &attention.k_proj),
                ("attention.v_proj", &attention.v_proj),
                ("attention.o_proj", &attention.o_proj),
                ("mlp.fc1", &mlp.fc1),
                ("mlp.fc2", &mlp.fc2),
            ];
            parts.map(|(part, projection)| (format!("layers.{i}.{part}"), projection))
        });
        let patches = std::iter::once(("patch_embed".to_string(), &self.patch_embed));
        patches.chain(layers).chain(self.head.iter().map(|head| ("head".to_string(), head)))
    }

    /// The parameters in timm's names and shapes: query, key and value in one tensor, an axis of images before tokens and positions.
    ///
    /// # Errors
    /// [`Error::Setting`](grouping_core::Error::Setting) where one of the three has a bias and another has none.
    fn in_timms_names(&self) -> Result<NamedTensors> {
        let mut neutral: Vec<_> = self.tensors().into_iter().collect();
        // Sorted by name, a layer's keys come before its queries: they are put in the order of the fused tensor.
        neutral.sort_by_key(|(name, _)| {
            ["q_proj", "k_proj", "v_proj"].iter().position(|part| name.contains(part))
        });
        let mut out = NamedTensors::new();
        for (name, (mut shape, values)) in neutral {
            let theirs = Dialect::Timm.spec().names.theirs("", &name).expect("timm names every parameter");
            match name.as_str() {
                "cls_token" | "pos_embed" => shape = [&vec![1; 3 - shape.len()][..], &shape].concat(),
                "patch_embed.weight" => {
                    let [height, width] = self.config.patch_size;
                    shape = vec![shape[0], self.config.n_channels, height, width];
                }
                _ => {}
            }
            match out.get_mut(&theirs) {
                None => _ = out.insert(theirs, (shape, values)),
                Some((all_shape, all_values)) => {
                    all_shape[0] += shape[0];
                    all_values.extend(values);
                }
            }
        }
        for (name, (shape, _)) in &out {
            let bias = name.strip_suffix("qkv.weight").and_then(|stem| out.get(&format!("{stem}qkv.bias")));
            if bias.is_some_and(|(of_bias, _)| of_bias[0] != shape[0]) {
                return Err(Error::setting("model", "query, key and value, all with biases or none", name));
            }
        }
        Ok(out)
    }
}
