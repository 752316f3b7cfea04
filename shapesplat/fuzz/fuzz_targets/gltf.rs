//! Meshes as glTF and GLB, measured and sampled: `cargo fuzz run gltf`.
#![no_main]

use std::path::Path;

use shapesplat::mesh::{Format, Mesh};

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    // Nothing lies beside it.
    let Ok((mesh, _)) = Mesh::read(bytes.to_vec(), Format::Gltf, Path::new("/absent/mesh")) else { return };
    let measures = mesh.measures();
    assert!(measures.faces > 0, "a mesh has a face");
    if let Ok(points) = mesh.sample(8, 0) {
        assert_eq!(points.len(), 8, "as many as asked for");
    }
});
