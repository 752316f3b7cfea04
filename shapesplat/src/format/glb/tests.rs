//! Files of other writers: types of numbers, strides, several primitives; and what is refused by name.

use std::path::Path;

use grouping_core::testing::assert_refused;
use serde_json::{Value, json};

use super::super::{WriteOptions, spz};
use super::read;
use crate::{Result, Splats};

fn glb(document: &Value, binary: &[u8]) -> Vec<u8> {
    let mut json = serde_json::to_vec(document).expect("JSON");
    json.resize(json.len().next_multiple_of(4), b' ');
    let mut bytes = b"glTF\x02\0\0\0".to_vec();
    bytes.extend((28 + json.len() as u32 + binary.len() as u32).to_le_bytes());
    bytes.extend((json.len() as u32).to_le_bytes());
    bytes.extend(b"JSON");
    bytes.extend(json);
    bytes.extend((binary.len() as u32).to_le_bytes());
    bytes.extend(b"BIN\0");
    bytes.extend(binary);
    bytes
}

/// Two Gaussians: positions of floats, 20 bytes apart; rotations of shorts; scales of bytes; opacities of normalised shorts.
fn packed() -> (Value, Vec<u8>) {
    let mut binary = Vec::new();
    for position in [[1.0f32, 2.0, 3.0], [-4.0, 5.5, -6.0]] {
        binary.extend(position.iter().flat_map(|v| v.to_le_bytes()));
        binary.extend([0xee; 8]);
    }
    let rotations_at = binary.len();
    for rotation in [[0i16, 0, 0, 32_767], [32_767, 0, 0, 0]] {
        binary.extend(rotation.iter().flat_map(|v| v.to_le_bytes()));
    }
    let scales_at = binary.len();
    binary.extend([1u8, 2, 3, 0, 51, 255]);
    binary.extend([0, 0]);
    let opacities_at = binary.len();
    binary.extend([0xff, 0xff, 0, 0x80]);
    let colours_at = binary.len();
    binary.extend([0.25f32, -0.5, 1.0, 0.0, 0.0, 2.0].iter().flat_map(|v| v.to_le_bytes()));
    let view = |from: usize, to: usize| json!({"buffer": 0, "byteOffset": from, "byteLength": to - from});
    let mut strided = view(0, rotations_at);
    strided["byteStride"] = json!(20);
    let accessor = |view: usize, kind: u32, normalized: bool, shape: &str| json!({"bufferView": view, "componentType": kind, "normalized": normalized, "count": 2, "type": shape});
    let document = json!({
        "asset": {"version": "2.0"},
        "extensionsUsed": ["KHR_gaussian_splatting"],
        "scene": 0,
        "scenes": [{"nodes": [0]}],
        "nodes": [{"children": [1]}, {"mesh": 0}],
        "meshes": [{"primitives": [{
            "attributes": {
                "POSITION": 0,
                "KHR_gaussian_splatting:ROTATION": 1,
                "KHR_gaussian_splatting:SCALE": 2,
                "KHR_gaussian_splatting:OPACITY": 3,
                "KHR_gaussian_splatting:SH_DEGREE_0_COEF_0": 4,
            },
            "mode": 0,
            "extensions": {"KHR_gaussian_splatting": {"kernel": "ellipse", "colorSpace": "srgb_rec709_display"}},
        }]}],
        "accessors": [
            accessor(0, 5126, false, "VEC3"), accessor(1, 5122, true, "VEC4"), accessor(2, 5121, false, "VEC3"),
            accessor(3, 5123, true, "SCALAR"), accessor(4, 5126, false, "VEC3"),
        ],
        "bufferViews": [
            strided, view(rotations_at, scales_at), view(scales_at, opacities_at - 2), view(opacities_at, colours_at),
            view(colours_at, binary.len()),
        ],
        "buffers": [{"byteLength": binary.len()}],
    });
    (document, binary)
}

fn read_changed(change: impl Fn(&mut Value)) -> Result<Splats> {
    read_extended(|document, _| change(document))
}

fn read_extended(change: impl Fn(&mut Value, &mut Vec<u8>)) -> Result<Splats> {
    let (mut document, mut binary) = packed();
    change(&mut document, &mut binary);
    read(&glb(&document, &binary), Path::new("a.glb"))
}

/// Adds a buffer view, and says its place.
fn view(document: &mut Value, binary: &mut Vec<u8>, bytes: &[u8]) -> Value {
    let views = document["bufferViews"].as_array_mut().expect("views");
    views.push(json!({"buffer": 0, "byteOffset": binary.len(), "byteLength": bytes.len()}));
    let place = json!(views.len() - 1);
    binary.extend(bytes);
    binary.resize(binary.len().next_multiple_of(4), 0);
    place
}

#[test]
fn numbers_of_every_type_are_read() {
    let splats = read_changed(|_| {}).expect("read");
    assert_eq!(
        splats.positions,
        [vec![-1.0, 4.0], vec![-2.0, -5.5], vec![3.0, -6.0]],
        "turned back, with a stride"
    );
    // The first is none in glTF: a half turn about z in PLY's frame; the second about x: about y.
    let turns: Vec<[f32; 4]> =
        (0..2).map(|row| splats.rotations.each_ref().map(|part| part[row].abs())).collect();
    assert_eq!(turns, [[0.0, 0.0, 0.0, 1.0], [0.0, 0.0, 1.0, 0.0]], "rotations");
    assert_eq!(splats.scales[1][0], 2f32.ln(), "a whole number is a scale");
    assert!(splats.scales[0][1] < -80.0 && splats.scales[0][1].is_finite(), "0 is flat");
    assert!(splats.opacities[0] > 15.0 && splats.opacities[0].is_finite(), "alpha 1");
    assert!(splats.opacities[1].abs() < 1e-4, "alpha ½");
    assert_eq!(splats.dc[2], [1.0, 2.0], "coefficients are raw");
    let fractions = read_changed(|d| d["accessors"][2]["normalized"] = json!(true)).expect("read");
    assert!((fractions.scales[1][1] - 0.2f32.ln()).abs() < 1e-6, "a fifth: {}", fractions.scales[1][1]);
}

#[test]
fn sparse_accessors_replace_what_they_name() {
    for (kind, index) in [(5121, &[1u8][..]), (5123, &[1, 0]), (5125, &[1, 0, 0, 0])] {
        let splats = read_extended(|d, binary| {
            let indices = json!({"bufferView": view(d, binary, index), "componentType": kind});
            let values: Vec<u8> = [7.0f32, 0.0, -0.5].iter().flat_map(|v| v.to_le_bytes()).collect();
            let values = json!({"bufferView": view(d, binary, &values)});
            d["accessors"][4]["sparse"] = json!({"count": 1, "indices": indices, "values": values});
        })
        .expect("read");
        assert_eq!(splats.dc, [[0.25, 7.0], [-0.5, 0.0], [1.0, -0.5]], "the second of two, by {kind}");
        assert_eq!(splats.scales[1][0], 2f32.ln(), "others are as they were");
    }
    let zeros = read_changed(|d| {
        drop(d["accessors"][4].as_object_mut().expect("an object").remove("bufferView"));
    });
    assert_eq!(zeros.expect("read").dc, [[0.0; 2]; 3], "what no view holds is 0");
    let alphas = read_extended(|d, binary| {
        let indices = json!({"bufferView": view(d, binary, &[0]), "componentType": 5121});
        let values = json!({"bufferView": view(d, binary, &[0x00, 0x80])});
        d["accessors"][3]["sparse"] = json!({"count": 1, "indices": indices, "values": values});
        drop(d["accessors"][3].as_object_mut().expect("an object").remove("bufferView"));
    })
    .expect("read");
    assert!(alphas.opacities[0].abs() < 1e-4, "in the type of the accessor: {}", alphas.opacities[0]);
    assert!(alphas.opacities[1] < -80.0, "0 elsewhere: {}", alphas.opacities[1]);
}

#[test]
fn damaged_sparse_accessors_are_refused() {
    let with = |count: u64, kind: u32, indices: &[u8], values: usize| {
        read_extended(|d, binary| {
            let indices = json!({"bufferView": view(d, binary, indices), "componentType": kind});
            let values = json!({"bufferView": view(d, binary, &vec![0; values])});
            d["accessors"][4]["sparse"] = json!({"count": count, "indices": indices, "values": values});
        })
    };
    with(2, 5121, &[0, 1], 24).expect("both of two");
    let name = "SH_DEGREE_0_COEF_0, sparse indices`";
    assert_refused(with(3, 5121, &[0, 1, 2], 36), &format!("{name}: expected at most 2, found 3"));
    assert_refused(with(1 << 60, 5121, &[0, 1, 2], 36), "expected at most 2");
    assert_refused(with(1, 5121, &[2], 12), "ascending rows of 2, the next from 0 on, found 2");
    assert_refused(with(2, 5121, &[1, 1], 24), "ascending rows of 2, the next from 2 on, found 1");
    assert_refused(
        with(1, 5126, &[0; 4], 12),
        "unsigned bytes, shorts or ints (5121, 5123, 5125), found 5126",
    );
    assert_refused(with(1, 5125, &[0; 2], 12), "expected elements within the 2 bytes of the view");
    assert_refused(with(1, 5121, &[0], 8), "expected elements within the 8 bytes of the view");
}

#[test]
fn quantised_positions_are_what_their_nodes_make_of_them() {
    let quantised = |extensions: Value| {
        read_extended(|d, binary| {
            let shorts = [16_384i16, -32_768, 1, 0, 100, 0];
            let bytes: Vec<u8> = shorts.iter().flat_map(|v| v.to_le_bytes()).collect();
            d["accessors"][0]["bufferView"] = view(d, binary, &bytes);
            d["accessors"][0]["componentType"] = json!(5122);
            d["nodes"][1]["scale"] = json!([0.25, 0.25, 0.25]);
            d["nodes"][1]["translation"] = json!([0, 1, 0]);
            d["extensionsRequired"] = extensions.clone();
        })
    };
    let splats = quantised(json!(["KHR_gaussian_splatting", "KHR_mesh_quantization"])).expect("read");
    assert_eq!(
        splats.positions,
        [[-4096.0, -0.0], [8191.0, -26.0], [0.25, 0.0]],
        "scaled, shifted, turned back"
    );
    let expected = (2f32.ln() - 4f32.ln()).abs();
    assert!(
        (splats.scales[1][0].abs() - expected).abs() < 1e-6,
        "Gaussians shrink too: {}",
        splats.scales[1][0]
    );
    assert_refused(quantised(json!([])), "POSITION`: expected components of floats");
}

#[test]
fn primitives_are_joined_and_lower_degrees_padded() {
    let joined = read_changed(|d| {
        let mut second = d["meshes"][0]["primitives"][0].clone();
        for n in 0..3 {
            second["attributes"][format!("KHR_gaussian_splatting:SH_DEGREE_1_COEF_{n}")] = json!(4);
        }
        d["meshes"][0]["primitives"].as_array_mut().expect("primitives").push(second);
    })
    .expect("read");
    assert_eq!((joined.len(), joined.degree()), (4, 1), "two and two");
    assert_eq!(joined.rest[0], [0.0, 0.0, -0.25, -0.0], "the first two have none; m = -1 changes its sign");
    assert_eq!(joined.rest[1], [0.0, 0.0, 0.25, 0.0], "m = 0 does not");
}

#[test]
fn what_is_not_understood_is_refused_by_name() {
    let extension = |d: &mut Value, key: &str, value: Value| {
        d["meshes"][0]["primitives"][0]["extensions"]["KHR_gaussian_splatting"][key] = value;
    };
    type Change = Box<dyn Fn(&mut Value)>;
    let cases: [(Change, &str); 23] = [
        (
            Box::new(move |d| extension(d, "kernel", json!("sphere"))),
            "kernel`: expected `ellipse`, found `sphere`",
        ),
        (
            Box::new(move |d| extension(d, "colorSpace", json!("lin_rec709_display"))),
            "found `lin_rec709_display`",
        ),
        (
            Box::new(move |d| extension(d, "projection", json!("fisheye"))),
            "projection`: expected `perspective`",
        ),
        (
            Box::new(move |d| extension(d, "sortingMethod", json!("depth"))),
            "sortingMethod`: expected `cameraDistance`",
        ),
        (
            Box::new(move |d| extension(d, "extensions", json!({"EXT_other": {}}))),
            "EXT_other is not supported",
        ),
        (
            Box::new(|d| d["extensionsRequired"] = json!(["KHR_draco_mesh_compression"])),
            "KHR_draco_mesh_compression is not supported",
        ),
        (
            Box::new(|d| d["bufferViews"][1]["extensions"] = json!({"EXT_meshopt_compression": {}})),
            "EXT_meshopt_compression is not supported",
        ),
        (Box::new(|d| d["buffers"][0]["uri"] = json!("a.bin")), "only the binary chunk of the file is read"),
        (
            Box::new(|d| d["nodes"][0]["scale"] = json!([-1, 1, 1])),
            "nodes[1] = a transform that mirrors is not supported",
        ),
        (
            Box::new(|d| {
                d["nodes"][0]["scale"] = json!([1, 2, 1]);
                d["nodes"][1]["rotation"] = json!([0, 0, 0.6, 0.8]);
            }),
            "nodes[1] = a transform that shears is not supported",
        ),
        (Box::new(|d| d["nodes"][1]["scale"] = json!([1, 0, 1])), "nodes[1] = a transform that flattens"),
        (Box::new(|d| d["nodes"][1]["scale"] = json!([1e300, 1e300, 1e300])), "numbers too great"),
        (Box::new(|d| d["nodes"][1]["skin"] = json!(0)), "nodes[1] = a skin is not supported"),
        (
            Box::new(|d| d["nodes"][1]["extensions"] = json!({"EXT_mesh_gpu_instancing": {}})),
            "nodes[1] = EXT_mesh_gpu_instancing is not supported",
        ),
        (
            Box::new(|d| d["meshes"][0]["primitives"][0]["targets"] = json!([{}])),
            "morph targets is not supported",
        ),
        (Box::new(|d| d["nodes"][1]["children"] = json!([0])), "expected one parent"),
        (
            Box::new(|d| d["accessors"][0]["componentType"] = json!(5123)),
            "POSITION`: expected components of floats",
        ),
        (
            Box::new(|d| d["accessors"][1]["type"] = json!("VEC3")),
            "ROTATION`: expected type VEC4, found VEC3",
        ),
        (
            Box::new(|d| d["accessors"][3]["count"] = json!(3)),
            "OPACITY`: expected 2 elements, as of POSITION, found 3",
        ),
        (
            Box::new(|d| d["bufferViews"][0]["byteStride"] = json!(8)),
            "expected elements within the 40 bytes of the view",
        ),
        (
            Box::new(|d| d["bufferViews"][4]["byteLength"] = json!(1u64 << 40)),
            "bufferViews[4]`: expected a range of the",
        ),
        (Box::new(|d| d["meshes"][0]["primitives"][0]["mode"] = json!(4)), "expected points (mode 0)"),
        (
            Box::new(|d| d["meshes"][0]["primitives"][0]["extensions"] = json!({})),
            "a primitive with the extension KHR_gaussian_splatting",
        ),
    ];
    for (change, words) in cases {
        assert_refused(read_changed(change), words);
    }
    let without = |name: &'static str| {
        read_changed(move |d| {
            d["meshes"][0]["primitives"][0]["attributes"].as_object_mut().expect("an object").remove(name);
        })
    };
    for name in ["POSITION", "KHR_gaussian_splatting:SCALE", "KHR_gaussian_splatting:SH_DEGREE_0_COEF_0"] {
        assert_refused(without(name), &format!("attributes`: expected `{name}`, found none"));
    }
    // A degree is whole or not there.
    let partial = read_changed(|d| {
        d["meshes"][0]["primitives"][0]["attributes"]["KHR_gaussian_splatting:SH_DEGREE_1_COEF_2"] = json!(4);
    });
    assert_refused(partial, "expected `KHR_gaussian_splatting:SH_DEGREE_1_COEF_0`, found none");
}

#[test]
fn many_nodes_of_one_mesh_take_no_more_than_the_file_can_hold() {
    let (mut document, binary) = packed();
    let n = 3000;
    document["scenes"][0]["nodes"] = (0..n).collect();
    document["nodes"] = (0..n).map(|_| json!({"mesh": 0})).collect();
    document["meshes"][0]["primitives"] =
        (0..n).map(|_| document["meshes"][0]["primitives"][0].clone()).collect();
    // Of no Gaussian, too, which would take no memory of columns.
    for count in [2, 0] {
        document["accessors"]
            .as_array_mut()
            .expect("accessors")
            .iter_mut()
            .for_each(|a| a["count"] = json!(count));
        let bytes = glb(&document, &binary);
        assert!(bytes.len() + (1 << 18) < n * n, "more than the bound");
        assert_refused(read(&bytes, Path::new("a.glb")), "`count`: expected at most");
    }
}

#[test]
fn a_spz_in_a_buffer_view_is_read() {
    let plain = read_changed(|_| {}).expect("read");
    let mut content = Vec::new();
    spz::write(&plain, &WriteOptions::default(), &mut content).expect("written");
    let expected = spz::read(&content, Path::new("a.spz"), &mut Vec::new()).expect("read");
    let (mut document, _) = packed();
    document["bufferViews"] = json!([{"buffer": 0, "byteLength": content.len()}]);
    document["meshes"][0]["primitives"][0]["extensions"]["KHR_gaussian_splatting"]["extensions"] =
        json!({"KHR_gaussian_splatting_compression_spz_2": {"bufferView": 0}});
    content.resize(content.len().next_multiple_of(4), 0);
    let found = read(&glb(&document, &content), Path::new("a.glb")).expect("read");
    // RUB of a .spz to RDF: y and z change their signs.
    assert_eq!(found.positions[0], expected.positions[0], "x");
    assert!(found.positions[1].iter().zip(&expected.positions[1]).all(|(a, b)| *a == -b), "y");
    assert_eq!(
        (&found.scales, &found.opacities, &found.dc),
        (&expected.scales, &expected.opacities, &expected.dc),
        "others"
    );
}
