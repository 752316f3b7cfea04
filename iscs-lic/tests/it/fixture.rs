//! The committed checkpoint and what CompressAI computed with it.

use std::path::Path;

use grouping_core::files::tensor_file::{Dtype, TensorFile};
use iscs_lic::coder::Tables;

/// A file of this crate.
pub(crate) fn open(name: &str) -> TensorFile {
    TensorFile::open(&Path::new(env!("CARGO_MANIFEST_DIR")).join(name)).expect("a committed file of tensors")
}

/// The checkpoint.
pub(crate) fn checkpoint() -> TensorFile {
    open("assets/ms_n32_m64.safetensors")
}

/// What CompressAI computed for one picture.
pub(crate) fn golden() -> TensorFile {
    open("tests/data/golden_256x128.safetensors")
}

/// A tensor of 32-bit integers.
pub(crate) fn integers(file: &TensorFile, name: &str) -> Vec<i32> {
    let (dtype, _, bytes) = file.stored(name).expect("a stored tensor");
    assert_eq!(dtype, Dtype::I32, "`{name}` holds 32-bit integers");
    let (values, rest) = bytes.as_chunks::<4>();
    assert!(rest.is_empty(), "`{name}` is whole");
    values.iter().map(|&bytes| i32::from_le_bytes(bytes)).collect()
}

/// The buffers of an entropy model of the checkpoint: counts, width, lengths, offsets.
pub(crate) fn parts(model: &str) -> (Vec<i32>, usize, Vec<i32>, Vec<i32>) {
    let file = checkpoint();
    let of = |buffer: &str| integers(&file, &format!("{model}.{buffer}"));
    let width = file.shape(&format!("{model}._quantized_cdf")).expect("a table")[1];
    (of("_quantized_cdf"), width, of("_cdf_length"), of("_offset"))
}

/// The stored tables of an entropy model of the checkpoint.
pub(crate) fn tables(model: &str) -> Tables {
    let (cdf, width, lengths, offsets) = parts(model);
    Tables::from_parts(&cdf, width, &lengths, &offsets).expect("stored tables are tables")
}
