//! glTF: buffers in every place, accessors of every type, and what is refused.

use std::path::Path;

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use grouping_core::testing::assert_refused;
use serde_json::{Value, json};
use shapesplat::mesh::{Format, Mesh, Note};

/// Three positions, three indices of 16 bits and two bytes of nothing.
fn bytes() -> Vec<u8> {
    let positions = [0.0_f32, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0, 1.0, 0.0];
    let mut bytes: Vec<u8> = positions.iter().flat_map(|x| x.to_le_bytes()).collect();
    bytes.extend([0, 0, 1, 0, 2, 0, 0, 0]);
    bytes
}

fn document() -> Value {
    json!({
        "asset": {"version": "2.0"},
        "scene": 0,
        "scenes": [{"nodes": [0]}],
        "nodes": [{"mesh": 0, "name": "one"}],
        "meshes": [{"primitives": [{"attributes": {"POSITION": 0}, "indices": 1}]}],
        "accessors": [
            {"bufferView": 0, "componentType": 5126, "count": 3, "type": "VEC3", "min": [0, 0, 0], "max": [1, 1, 0]},
            {"bufferView": 1, "componentType": 5123, "count": 3, "type": "SCALAR"},
        ],
        "bufferViews": [{"buffer": 0, "byteLength": 36}, {"buffer": 0, "byteOffset": 36, "byteLength": 6}],
        "buffers": [{"byteLength": 44, "uri": format!("data:application/octet-stream;base64,{}", BASE64_STANDARD.encode(bytes()))}],
    })
}

fn read(document: &Value) -> shapesplat::Result<(Mesh, Vec<Note>)> {
    Mesh::read(document.to_string().into_bytes(), Format::Gltf, Path::new("a.gltf"))
}

/// The document with a value in the place of another.
fn with(place: &str, value: Value) -> Value {
    let mut document = document();
    let (parent, name) = place.rsplit_once('/').expect("a place below the document");
    let parent = document.pointer_mut(parent).expect("a place");
    match name.parse::<usize>() {
        Ok(index) => parent[index] = value,
        Err(_) => parent[name] = value,
    }
    document
}

fn glb(json: &[u8], blob: &[u8]) -> Vec<u8> {
    let mut chunks = vec![];
    for (kind, chunk) in [(&b"JSON"[..], json), (b"BIN\0", blob)] {
        chunks.extend((chunk.len() as u32).to_le_bytes());
        chunks.extend(kind);
        chunks.extend(chunk);
    }
    [&b"glTF\x02\0\0\0"[..], &(12 + chunks.len() as u32).to_le_bytes(), &chunks].concat()
}

#[test]
fn buffers_are_read_from_data_files_and_chunks() {
    let (plain, notes) = read(&document()).expect("a mesh");
    assert_eq!((plain.measures().area, notes, &plain.parts[0].name[..]), (0.5, vec![], "one"), "a data URI");
    let folder = tempfile::tempdir().expect("a folder");
    std::fs::create_dir(folder.path().join("sub")).expect("a folder");
    std::fs::write(folder.path().join("sub/a b.bin"), bytes()).expect("a buffer");
    let place = folder.path().join("a.gltf");
    std::fs::write(&place, with("/buffers/0/uri", json!("sub/a%20b.bin")).to_string()).expect("a file");
    assert_eq!(Mesh::open(&place).expect("a mesh").0, plain, "a file below the folder");
    let mut inside = document();
    inside["buffers"][0].as_object_mut().expect("a buffer").remove("uri");
    let file = glb(inside.to_string().as_bytes(), &bytes());
    let open = |file: &[u8]| Mesh::read(file.to_vec(), Format::Gltf, Path::new("a.glb"));
    assert_eq!(open(&file).expect("a mesh").0, plain, "a chunk");
    for end in 0..file.len() {
        assert!(open(&file[..end]).is_err(), "{end} bytes of {} are no mesh", file.len());
    }
    for (at, value, words) in [
        (4, 1, "`version`: expected glTF 2, found 1"),
        (11, 0xff, "expected a file of"),
        (15, 0xff, "`chunk`: expected a chunk of"),
        (16, b'K', "`chunk`: expected a chunk JSON, found none"),
    ] {
        let mut damaged = file.clone();
        damaged[at] = value;
        assert_refused(open(&damaged), words);
    }
}

#[test]
fn files_outside_the_folder_are_not_read() {
    let folder = tempfile::tempdir().expect("a folder");
    let inner = folder.path().join("inner");
    std::fs::create_dir(&inner).expect("a folder");
    std::fs::write(folder.path().join("secret.bin"), bytes()).expect("a file");
    let absolute = folder.path().join("secret.bin").display().to_string();
    for uri in [
        "../secret.bin",
        "x/../../secret.bin",
        "%2e%2e/secret.bin",
        &absolute,
        "file:///secret.bin",
        "http://a/secret.bin",
        "..\\secret.bin",
    ] {
        std::fs::write(inner.join("a.gltf"), with("/buffers/0/uri", json!(uri)).to_string()).expect("a file");
        assert_refused(Mesh::open(&inner.join("a.gltf")), "which is not below the folder of the file");
    }
    #[cfg(unix)]
    {
        std::os::unix::fs::symlink("../secret.bin", inner.join("link.bin")).expect("a link");
        std::fs::write(inner.join("a.gltf"), with("/buffers/0/uri", json!("link.bin")).to_string())
            .expect("a file");
        assert_refused(Mesh::open(&inner.join("a.gltf")), "which is not below the folder of the file");
    }
    std::fs::write(inner.join("a.gltf"), with("/buffers/0/uri", json!("absent.bin")).to_string())
        .expect("a file");
    assert_refused(Mesh::open(&inner.join("a.gltf")), "`buffers[0]`: expected a buffer that can be read");
}

#[test]
fn sparse_accessors_replace_what_they_name() {
    // The third position, by an index of 16 bits, is another.
    let sparse = |count: u64, index: u16, value: f32| {
        let mut document = document();
        let mut more = bytes();
        more.extend(index.to_le_bytes());
        more.extend([0, 0]);
        more.extend([0.0, value, 0.0].iter().flat_map(|x: &f32| x.to_le_bytes()));
        let uri = format!("data:application/octet-stream;base64,{}", BASE64_STANDARD.encode(&more));
        document["buffers"][0] = json!({"byteLength": more.len(), "uri": uri});
        let views = document["bufferViews"].as_array_mut().expect("views");
        views.push(json!({"buffer": 0, "byteOffset": 44, "byteLength": 2}));
        views.push(json!({"buffer": 0, "byteOffset": 48, "byteLength": 12}));
        document["accessors"][0]["sparse"] = json!({"count": count, "indices": {"bufferView": 2, "componentType": 5123}, "values": {"bufferView": 3}});
        document
    };
    let (mesh, _) = read(&sparse(1, 2, 8.0)).expect("a mesh");
    assert_eq!(mesh.positions, [[0.0, 0.0, 0.0], [1.0, 0.0, 0.0], [0.0, 8.0, 0.0]], "one of three");
    let mut zeros = sparse(1, 2, 8.0);
    zeros["accessors"][0].as_object_mut().expect("an accessor").remove("bufferView");
    let (mesh, _) = read(&zeros).expect("a mesh");
    assert_eq!(mesh.positions, [[0.0, 0.0, 0.0], [0.0, 0.0, 0.0], [0.0, 8.0, 0.0]], "zeros elsewhere");
    zeros["accessors"][0]["count"] = json!(1u64 << 50);
    assert_refused(read(&zeros), "`accessors[0]`: expected at most 960 elements");
    assert_refused(
        read(&sparse(1, 3, 8.0)),
        "`accessors[0]`: expected ascending sparse indices of 3 elements",
    );
    assert_refused(read(&sparse(2, 2, 8.0)), "`accessors[0]`: expected 2 elements of 2 bytes every 2");
    assert_refused(read(&sparse(4, 2, 8.0)), "`accessors[0]`: expected at most 3 sparse elements, found 4");
}

#[test]
fn nodes_turn_scale_and_mirror() {
    let half = std::f32::consts::FRAC_1_SQRT_2;
    let node = json!({"mesh": 0, "rotation": [0.0, 0.0, half, half], "scale": [2.0, 3.0, 1.0], "translation": [5.0, 0.0, 0.0]});
    let (mesh, _) = read(&with("/nodes/0", node)).expect("a mesh");
    for (found, wanted) in mesh.positions.iter().zip([[5.0, 0.0, 0.0], [5.0, 2.0, 0.0], [2.0, 0.0, 0.0]]) {
        assert!((0..3).all(|i| (found[i] - wanted[i]).abs() < 1e-6), "{found:?}, not {wanted:?}");
    }
    let mut tree = document();
    tree["nodes"] = json!([{"children": [1], "translation": [1, 0, 0]}, {"mesh": 0, "matrix": [-1,0,0,0, 0,1,0,0, 0,0,1,0, 0,2,0,1]}]);
    let (mesh, _) = read(&tree).expect("a mesh");
    assert_eq!(
        mesh.positions,
        [[1.0, 2.0, 0.0], [0.0, 2.0, 0.0], [1.0, 3.0, 0.0]],
        "the parent's after the own"
    );
    assert_eq!(mesh.triangles, [[0, 2, 1]], "a mirror turns triangles");
    tree["nodes"][1]["children"] = json!([0]);
    assert_refused(read(&tree), "expected one parent at most");
}

#[test]
fn colours_become_srgb_and_textures_keep_theirs() {
    let mut coloured = document();
    coloured["materials"] =
        json!([{"name": "half", "pbrMetallicRoughness": {"baseColorFactor": [0.5, 1.0, 0.0, 0.25]}}]);
    coloured["meshes"][0]["primitives"][0]["material"] = json!(0);
    let (mesh, _) = read(&coloured).expect("a mesh");
    let material = &mesh.materials[0];
    assert!(
        (material.colour[0] - 0.735_357).abs() < 1e-5,
        "half the light is 0.735 as sRGB: {:?}",
        material.colour
    );
    assert_eq!(
        (material.colour[1], material.colour[2], material.opacity),
        (1.0, 0.0, 0.25),
        "white, black, alpha"
    );
    coloured["images"] = json!([{"uri": "absent.png"}]);
    coloured["textures"] = json!([{"source": 0}]);
    coloured["materials"][0]["pbrMetallicRoughness"]["baseColorTexture"] = json!({"index": 0});
    let (mesh, notes) = read(&coloured).expect("a mesh");
    assert!(matches!(&notes[..], [Note::MissingTexture { file, .. }] if file == "absent.png"), "{notes:?}");
    assert_eq!(mesh.materials[0].colour, shapesplat::mesh::GREY, "grey");
}

#[test]
fn quantised_positions_strips_and_fans_are_read() {
    let mut document = document();
    let mut bytes = vec![];
    for (x, y) in [(0_i8, 0_i8), (127, 0), (0, 127), (127, 127)] {
        bytes.extend([x as u8, y as u8, 0, 0]);
    }
    document["extensionsRequired"] = json!(["KHR_mesh_quantization"]);
    document["extensionsUsed"] = json!(["KHR_mesh_quantization"]);
    document["buffers"] = json!([{"byteLength": 16, "uri": format!("data:;base64,{}", BASE64_STANDARD.encode(bytes).trim_end_matches('='))}]);
    document["bufferViews"] = json!([{"buffer": 0, "byteLength": 16, "byteStride": 4}]);
    document["accessors"] = json!([{"bufferView": 0, "componentType": 5120, "normalized": true, "count": 4, "type": "VEC3", "min": [0, 0, 0], "max": [1, 1, 0]}]);
    for (mode, area) in [(5, 1.0), (6, 1.0)] {
        document["meshes"] = json!([{"primitives": [{"attributes": {"POSITION": 0}, "mode": mode}]}]);
        let (mesh, _) = read(&document).expect("a mesh");
        assert_eq!((mesh.triangles.len(), mesh.measures().area), (2, area), "mode {mode}");
    }
    document["meshes"] = json!([{"primitives": [{"attributes": {"POSITION": 0}, "mode": 5}, {"attributes": {"POSITION": 0}, "mode": 1}]}]);
    let (_, notes) = read(&document).expect("a mesh");
    assert_eq!(notes, [Note::LeftOut { what: "primitives of points or lines".into(), count: 1 }], "lines");
    let strip: Vec<f64> = {
        let (mesh, _) = read(&document).expect("a mesh");
        (0..2).map(|i| f64::from(mesh.normal(i, [1.0, 0.0, 0.0])[2])).collect()
    };
    assert_eq!(strip, [1.0, 1.0], "both triangles of a strip look the same way");
}

#[test]
fn what_breaks_the_format_is_refused_with_its_place() {
    for (place, value, words) in [
        (
            "/accessors/0/count",
            json!(4),
            "`accessors[0]`: expected 4 elements of 12 bytes every 12 from byte 0, found a view of 36 bytes",
        ),
        ("/accessors/0/count", json!(4_000_000_000_u64), "`accessors[0]`: expected 4000000000 elements"),
        ("/accessors/0/count", json!(u64::MAX), "`accessors[0]`: expected"),
        ("/accessors/0/byteOffset", json!(u64::MAX - 3), "`accessors[0]`: expected"),
        ("/accessors/0/count", json!(0), "expected indices of its 0 vertices"),
        ("/accessors/0/type", json!("VEC2"), "`accessors[0]`: expected vectors of 3, found of 2"),
        ("/accessors/1/count", json!(2), "three indices a triangle, found 2 indices"),
        ("/accessors/1/componentType", json!(5126), "`accessors[1]`: expected 3 elements of 4 bytes"),
        ("/bufferViews/0/byteLength", json!(45), "`bufferViews[0]`: expected 45 bytes from byte 0"),
        ("/bufferViews/0/byteOffset", json!(u64::MAX), "`bufferViews[0]`: expected 36 bytes"),
        ("/bufferViews/0/buffer", json!(1), "`bufferViews[0].buffer`"),
        ("/buffers/0/byteLength", json!(45), "`buffers[0]`: expected 45 bytes, found 44 bytes"),
        (
            "/buffers/0/uri",
            json!("data:;base64,???"),
            "`buffers[0]`: expected a buffer that can be read, found no base64",
        ),
        ("/buffers/0/uri", json!("data:text/plain,abc"), "a data URI that is not base64"),
        ("/nodes/0/mesh", json!(7), "`nodes[0].mesh`"),
        ("/meshes/0/primitives/0/attributes", json!({}), "`meshes[0].primitives[0]"),
        ("/asset/version", json!(2), "expected the JSON of a glTF"),
    ] {
        assert_refused(read(&with(place, value)), words);
    }
    for (name, words) in [
        ("KHR_draco_mesh_compression", "geometry that is not compressed, found `KHR_draco_mesh_compression`"),
        ("KHR_gaussian_splatting", "expected a mesh, found Gaussians (KHR_gaussian_splatting)"),
    ] {
        let mut document = document();
        document["extensionsUsed"] = json!([name]);
        document["extensionsRequired"] = json!([name]);
        assert_refused(read(&document), words);
    }
    let mut indices = bytes();
    indices[40] = 3;
    let uri = format!("data:;base64,{}", BASE64_STANDARD.encode(indices));
    assert_refused(
        read(&with("/buffers/0/uri", json!(uri))),
        "`meshes[0].primitives[0]`: expected indices of its 3 vertices",
    );
    let mut nan = bytes();
    nan[12..16].copy_from_slice(&f32::NAN.to_le_bytes());
    let uri = format!("data:;base64,{}", BASE64_STANDARD.encode(nan));
    assert_refused(read(&with("/buffers/0/uri", json!(uri))), "`accessors[0]`: expected finite numbers");
}

#[test]
fn repeated_meshes_are_bounded_by_the_file() {
    let mut document = document();
    document["nodes"] = Value::Array(vec![json!({"mesh": 0}); 3]);
    document["scenes"] = json!([{"nodes": [0, 1, 2]}]);
    assert_eq!(read(&document).expect("a mesh").0.triangles.len(), 3, "three instances");
    // A mesh of many primitives, in many nodes: the product is far beyond the file.
    let primitive = json!({"attributes": {"POSITION": 0}});
    document["meshes"] = json!([{"primitives": vec![primitive; 1500]}]);
    document["nodes"] = Value::Array(vec![json!({"mesh": 0}); 1500]);
    document["scenes"] = json!([{"nodes": (0..1500).collect::<Vec<u32>>()}]);
    assert_refused(read(&document), "nodes that make at most 16 vertices a byte of the file");
}
