//! `.glb` files: JSON and binary values that the input draws, within chunks that fit: `cargo fuzz run glb`.
#![no_main]

use std::path::Path;

use grouping_core::files::output::Existing;
use shapesplat::format::{WriteOptions, load_bytes, read, write};
use shapesplat::splats::Bad;

fn glb(json: &[u8], binary: &[u8]) -> Vec<u8> {
    let mut file = b"glTF\x02\0\0\0".to_vec();
    file.extend((28 + json.len() as u32 + binary.len() as u32).to_le_bytes());
    for (kind, content) in [(b"JSON", json), (b"BIN\0", binary)] {
        file.extend((content.len() as u32).to_le_bytes());
        file.extend(kind);
        file.extend(content);
    }
    file
}

/// A scene of `n` Gaussians, each attribute in a view of its own from a byte that the input draws, the first row of some replaced, under a
/// node that turns and scales.
fn document(n: u8, stride: u8, kinds: &[u8; 5], at: &[u8; 5]) -> String {
    let names = ["ROTATION", "SCALE", "OPACITY", "SH_DEGREE_0_COEF_0"];
    let mut attributes = "\"POSITION\":0".to_owned();
    names.iter().enumerate().for_each(|(i, name)| {
        attributes += &format!(",\"KHR_gaussian_splatting:{name}\":{}", i + 1);
    });
    let (mut accessors, mut views) = (Vec::new(), Vec::new());
    for (i, shape) in ["VEC3", "VEC4", "VEC3", "SCALAR", "VEC3"].iter().enumerate() {
        let kind = [5126, 5120, 5121, 5122, 5123][usize::from(kinds[i] % 5)];
        let sparse = if kinds[i] & 64 == 0 {
            String::new()
        } else {
            format!(
                ",\"sparse\":{{\"count\":1,\"indices\":{{\"bufferView\":{i},\"componentType\":{}}},\"values\":{{\"bufferView\":4}}}}",
                [5121, 5123, 5125][usize::from(kinds[i] >> 3 & 1)]
            )
        };
        accessors.push(format!(
            "{{\"bufferView\":{i},\"componentType\":{kind},\"normalized\":{},\"count\":{n},\"type\":\"{shape}\"{sparse}}}",
            kinds[i] & 128 != 0
        ));
        let stride = if stride > 3 { format!(",\"byteStride\":{stride}") } else { String::new() };
        views.push(format!("{{\"buffer\":0,\"byteOffset\":{},\"byteLength\":{}{stride}}}", at[i], 16 * usize::from(n)));
    }
    let [a, b, c, d, _] = at.map(|byte| (f64::from(byte) + 1.0) / 16.0);
    format!(
        "{{\"scenes\":[{{\"nodes\":[0]}}],\"nodes\":[{{\"mesh\":0,\"scale\":[{a},{b},{c}],\"rotation\":[{c},{d},{a},{b}],\"translation\":[{d},{a},0]}}],\"meshes\":[{{\"primitives\":[{{\"attributes\":{{{attributes}}},\
         \"extensions\":{{\"KHR_gaussian_splatting\":{{\"kernel\":\"ellipse\"}}}}}}]}}],\"accessors\":[{}],\"bufferViews\":[{}]}}   ",
        accessors.join(","),
        views.join(",")
    )
}

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    let _ = load_bytes(bytes, Path::new("in.glb"), Bad::Keep);
    let split = bytes.len() / 2;
    let _ = load_bytes(&glb(&bytes[..split], &bytes[split..]), Path::new("in.glb"), Bad::Keep);
    let Some((&[n, stride], rest)) = bytes.split_first_chunk() else { return };
    let Some((kinds, rest)) = rest.split_first_chunk() else { return };
    let Some((at, binary)) = rest.split_first_chunk() else { return };
    let mut json = document(n, stride, kinds, at);
    json.truncate(json.len() / 4 * 4);
    let Ok(loaded) = load_bytes(&glb(json.as_bytes(), binary), Path::new("in.glb"), Bad::Drop) else { return };
    if loaded.splats.is_empty() {
        return;
    }
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("out.glb");
    write(&loaded.splats, &path, Existing::Refuse, &WriteOptions::default()).expect("sound values are written");
    assert_eq!(read(&path).expect("and read").positions, loaded.splats.positions, "positions are exact");
});
