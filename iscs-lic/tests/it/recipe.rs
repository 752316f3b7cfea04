//! Small models of every architecture, whose weights follow from their names as in `oracles/iscs-lic/networks.py`.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use grouping_core::files::output::{Existing, write_file};
use grouping_core::files::tensor_file::{Dtype, Planned, TensorFile, TensorWriter};
use iscs_lic::checkpoint::Checkpoint;

/// Tensors by name.
pub(crate) type Tensors = BTreeMap<String, (Vec<usize>, Vec<f32>)>;

/// Every architecture, by CompressAI's name.
pub(crate) const ARCHITECTURES: [&str; 10] = [
    "bmshj2018-factorized",
    "bmshj2018-factorized-relu",
    "bmshj2018-hyperprior",
    "mbt2018-mean",
    "mbt2018",
    "cheng2020-anchor",
    "cheng2020-attn",
    "cheng2020-anchor-checkerboard",
    "elic2022-official",
    "ms2020",
];

pub(crate) fn data(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data").join(name)
}

/// The goldens of all architectures.
pub(crate) fn goldens() -> TensorFile {
    TensorFile::open(&data("networks.safetensors")).expect("the goldens")
}

/// `n` numbers from −½ below ½, by a hash of the name and the index.
fn random(name: &str, n: usize) -> Vec<f32> {
    let seed = name.bytes().fold(2_166_136_261u32, |h, b| (h ^ u32::from(b)).wrapping_mul(16_777_619));
    let number = |i: usize| {
        let mut u = (i as u32).wrapping_mul(0x9E37_79B9).wrapping_add(seed);
        for (shift, factor) in [(16, 0x7FEB_352Du32), (15, 0x846C_A68B)] {
            u = (u ^ (u >> shift)).wrapping_mul(factor);
        }
        u ^= u >> 16;
        (u >> 8) as f32 / 16_777_216.0 - 0.5
    };
    (0..n).map(number).collect()
}

/// The parameter of this name and shape.
pub(crate) fn parameter(name: &str, shape: &[usize], gain: f64) -> Vec<f32> {
    let n = shape.iter().product();
    let mut values = random(name, n);
    let inside = name.split("entropy_bottleneck.").last().unwrap_or_default();
    let kind = name.rsplit('.').next().unwrap_or_default();
    let fan_in: usize = shape.iter().skip(1).product();
    let scale = ((12.0 / fan_in as f64).sqrt() * gain) as f32;
    for (i, r) in values.iter_mut().enumerate() {
        *r = match () {
            () if inside.starts_with("matrices.4") => *r * 0.5 - 0.125,
            () if inside.starts_with("matrices.") => *r - 1.5,
            () if inside.starts_with("biases.") => *r,
            () if inside.starts_with("factors.") => *r * 0.5,
            () if inside == "quantiles" => *r * 4.0 + [-10.0, 0.0, 10.0][i % 3],
            () if kind == "beta" => *r * 0.25 + 1.0,
            () if kind == "gamma" => *r * 0.125 + if i % (shape[0] + 1) == 0 { 0.3125 } else { 0.0 },
            () if kind == "bias" => *r * 0.25,
            () => *r * scale,
        };
    }
    values
}

/// The parameters of the small model of this architecture, by CompressAI's names.
pub(crate) fn parameters(architecture: &str) -> Tensors {
    let goldens = goldens();
    let metadata = goldens.metadata();
    let gains: BTreeMap<String, f64> = serde_json::from_str(&metadata["gains"]).expect("gains");
    let gain = gains.get(architecture).copied().unwrap_or(1.5);
    let shapes: BTreeMap<String, Vec<usize>> = serde_json::from_str(&metadata[architecture]).expect("shapes");
    let tensor = |(name, shape): (String, Vec<usize>)| {
        let values = parameter(&name, &shape, gain);
        (name, (shape, values))
    };
    shapes.into_iter().map(tensor).collect()
}

/// Writes tensors of this type.
pub(crate) fn write(path: &Path, tensors: &Tensors, dtype: Dtype) {
    let planned: Vec<Planned> =
        tensors.iter().map(|(name, (shape, _))| Planned::new(name.clone(), shape.clone(), dtype)).collect();
    write_file::<grouping_core::Error>(path, Existing::Replace, |file| {
        let writer = TensorWriter::safetensors(file, path, &planned, &BTreeMap::new())?;
        for (name, (_, values)) in tensors {
            writer.write(name, values)?;
        }
        writer.finish()
    })
    .expect("writes");
}

/// A checkpoint of these tensors, which opens or is refused.
pub(crate) fn open(tensors: &Tensors) -> iscs_lic::Result<Checkpoint> {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("model.safetensors");
    write(&path, tensors, Dtype::F32);
    Checkpoint::open(&path)
}

/// The small model of this architecture.
pub(crate) fn small(architecture: &str) -> Checkpoint {
    open(&parameters(architecture)).expect("a small model")
}
