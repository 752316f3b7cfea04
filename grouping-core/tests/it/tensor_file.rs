//! Files of tensors: what is written is read again, what is damaged is named, outputs appear whole.

use grouping_core::testing::assert_refused;
use std::collections::BTreeMap;
use std::fs::{self, File};
use std::path::Path;

use grouping_core::files::output::{Existing, write_file, write_folder, write_text};
use grouping_core::files::tensor_file::{
    Dtype, Planned, TensorFile, TensorFolder, TensorWriter, has_names, names,
};
use grouping_core::{Error, Result};
use proptest::prelude::*;

fn write(path: &Path, tensors: &[(Planned, Vec<f32>)], metadata: &BTreeMap<String, String>) -> Result<()> {
    let planned: Vec<Planned> = tensors.iter().map(|(planned, _)| planned.clone()).collect();
    write_file(path, Existing::Refuse, |file| {
        let writer = TensorWriter::safetensors(file, path, &planned, metadata)?;
        // In any order.
        for (planned, values) in tensors.iter().rev() {
            writer.write(&planned.name, values)?;
        }
        writer.finish()
    })
}

fn ramp(name: &str, shape: &[usize], dtype: Dtype) -> (Planned, Vec<f32>) {
    let n: usize = shape.iter().product();
    (Planned::new(name, shape.to_vec(), dtype), (0..n).map(|i| (i % 251) as f32 * 0.5).collect())
}

#[test]
fn what_is_written_is_read_by_both_readers() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("some.safetensors");
    let tensors = [
        ramp("half", &[3], Dtype::F16),
        ramp("brain", &[5, 1], Dtype::BF16),
        ramp("wide", &[7, 2], Dtype::F32),
        // More than one piece.
        ramp("large", &[1200, 2000], Dtype::F32),
        ramp("empty", &[0, 4], Dtype::F32),
    ];
    let metadata = BTreeMap::from([("format".to_string(), "pt".to_string())]);
    write(&path, &tensors, &metadata).expect("writes");

    let bytes = fs::read(&path).expect("a file");
    let reference = safetensors::SafeTensors::deserialize(&bytes).expect("the reference reader takes it");
    let file = TensorFile::open(&path).expect("our reader takes it");
    assert_eq!(file.metadata(), &metadata, "the metadata");
    for (planned, values) in &tensors {
        let name = planned.name.as_str();
        let view = reference.tensor(name).expect("the tensor is there");
        let address = view.data().as_ptr() as usize - bytes.as_ptr() as usize;
        assert_eq!(address % (planned.dtype.bitsize() / 8), 0, "{name} is aligned to its type");
        assert_eq!(&file.decode(name).expect("decodes").values, values, "values of {name}");
        let mut pieces = vec![];
        file.pieces(name, |at, piece| {
            assert_eq!(at, pieces.len(), "pieces follow each other");
            pieces.extend_from_slice(piece);
            Ok(())
        })
        .expect("pieces");
        assert!(pieces == view.data(), "bytes of {name}");
    }
    assert_eq!(file.decode_rows("wide", 2..4).expect("rows"), tensors[2].1[4..8], "two rows");
    let error = file.decode_rows("wide", 6..8).expect_err("beyond the last row").to_string();
    assert!(error.contains("`wide`: expected rows 6..8, found 7 rows"), "{error}");
    assert_eq!(names(&bytes).expect("names").len(), tensors.len(), "all names");
}

#[test]
fn whole_numbers_and_wide_floats_are_read_where_they_are_asked_for() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("wide.safetensors");
    let planned = [
        Planned::new("wide", vec![2], Dtype::F64),
        Planned::new("far", vec![1], Dtype::F64),
        Planned::new("counts", vec![3, 1], Dtype::I64),
        Planned::new("bytes", vec![2], Dtype::I8),
        Planned::new("none", vec![0], Dtype::I32),
    ];
    write_file::<Error>(&path, Existing::Refuse, |file| {
        let writer = TensorWriter::safetensors(file, &path, &planned, &BTreeMap::new())?;
        writer.write_bytes("wide", &[0.1f64, -2.5].map(f64::to_le_bytes).concat())?;
        writer.write_bytes("far", &1e300f64.to_le_bytes())?;
        writer.write_bytes("counts", &[1i64, -7, 1 << 40].map(i64::to_le_bytes).concat())?;
        writer.write_bytes("bytes", &[0xff, 3])?;
        writer.write_bytes("none", &[])?;
        writer.finish()
    })
    .expect("writes");
    let bytes: &'static [u8] = Box::leak(fs::read(&path).expect("a file").into_boxed_slice());
    let memory = TensorFile::in_memory(Path::new("in memory"), bytes).expect("the same bytes");
    for file in [&TensorFile::open(&path).expect("a file"), &memory] {
        assert_eq!(file.decode_rounded("wide").expect("floats").values, [0.1, -2.5], "rounded once");
        assert_refused(file.decode("wide"), "`wide`: expected type F32, F16 or BF16, found F64");
        assert_refused(file.decode_rounded("far"), "`far`: expected finite values, found inf");
        let counts = file.integers("counts").expect("whole numbers");
        assert_eq!((counts.shape, counts.values), (vec![3, 1], vec![1, -7, 1 << 40]), "64 bits");
        assert_eq!(file.integers("bytes").expect("whole numbers").values, [-1, 3], "8 bits");
        assert_eq!(file.integers("none").expect("whole numbers").values, [0i64; 0], "no values");
        assert_refused(file.integers("wide"), "`wide`: expected type I8 to I64 or U8 to U32, found F64");
    }
    assert_refused(memory.decode("other"), "in memory: `other`: expected a tensor of this name");
    assert_refused(TensorFile::in_memory(Path::new("cut"), &bytes[..40]), "cut: `header's length`");
}

#[test]
fn a_writer_keeps_to_its_plan() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("out");
    let planned = [Planned::new("x", vec![2, 2], Dtype::F16), Planned::new("y", vec![3], Dtype::F32)];
    let writer = |planned: &[Planned]| {
        TensorWriter::headed(File::create(&path).expect("a file"), &path, b"head", planned)
    };
    let begun = writer(&planned).expect("begins");
    assert_refused(begun.write("x", &[1.0; 3]), "expected 4 values, found 3");
    assert_refused(begun.write("z", &[1.0; 3]), "a tensor announced in the header");
    assert_refused(begun.write("x", &[1e6; 4]), "values in the range of F16");
    assert_refused(begun.write_from("x", 3, &[1.0; 2]), "expected at most");
    begun.write_from("x", 2, &[3.0, 4.0]).expect("the second row");
    begun.write_from("x", 0, &[1.0, 2.0]).expect("the first row");
    let error = begun.finish().expect_err("one tensor is missing").to_string();
    assert!(error.contains("`y`: expected 12 bytes, found 0 written"), "{error}");
    assert_eq!(fs::metadata(&path).expect("a file").len(), 4 + 8 + 12, "head and both tensors");

    let file = TensorFile::with_layout(&path, 4, &planned).expect("the same plan reads it");
    assert_eq!(file.decode("x").expect("decodes").values, [1.0, 2.0, 3.0, 4.0], "rows in place");
    let error = TensorFile::with_layout(&path, 8, &planned).expect_err("cut").to_string();
    assert!(
        error.contains("`y`: expected F32 values of shape [3] from byte 16 on, found a file of 24"),
        "{error}"
    );
    assert_refused(writer(&[planned[0].clone(), planned[0].clone()]), "each name once");
}

#[test]
fn files_with_names_are_told_from_plain_numbers() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("x.bin");
    let found = |bytes: &[u8]| {
        fs::write(&path, bytes).expect("writes");
        has_names(&path).expect("can be read")
    };
    let header = |numbers: [i32; 7]| numbers.iter().flat_map(|n| n.to_le_bytes()).collect::<Vec<u8>>();
    // Widths that begin as pickles of protocol 2 to 5 do, and numbers of layers that are the byte `{`.
    for width in [640, 896, 1152, 1408] {
        assert!(!found(&header([width, 1408, 123, 8, 8, 512, 32])), "{width}");
    }
    assert!(!found(b""), "nothing");
    assert!(found(b"PK\x03\x04 and so on"), "torch.save");
    assert!(found(b"\x80\x02\x8a\x0a\x6c\xfc\x9c\x46\xf9\x20\x6a\xa8\x50\x19."), "torch.save of old");
    let path = folder.path().join("x.safetensors");
    write(&path, &[ramp("x", &[2], Dtype::F32)], &BTreeMap::new()).expect("writes");
    assert!(has_names(&path).expect("can be read"), "safetensors");
}

#[test]
fn shards_are_found_by_their_index() {
    let folder = tempfile::tempdir().expect("a folder");
    let shard = |name: &str, tensor: &str| {
        write(&folder.path().join(name), &[ramp(tensor, &[2], Dtype::F32)], &BTreeMap::new())
            .expect("writes");
    };
    shard("a.safetensors", "x");
    shard("b.safetensors", "y");
    let all = TensorFolder::open(folder.path()).expect("both files");
    assert_eq!(all.names().collect::<Vec<_>>(), ["x", "y"], "names of both");
    assert!(all.shard_of("y").expect("there").path().ends_with("b.safetensors"), "the file of y");
    assert!(all.holder("z").expect_err("no such tensor").to_string().contains("`z`"), "the name");

    let index = folder.path().join("model.safetensors.index.json");
    let says = |map: &str| fs::write(&index, format!("{{\"weight_map\": {map}}}")).expect("writes");
    says(r#"{"x": "a.safetensors"}"#);
    let all = TensorFolder::open(folder.path()).expect("the index leaves one out");
    assert_eq!(all.names().collect::<Vec<_>>(), ["x"], "names of the indexed file");
    for (map, found) in [
        (r#"{"x": "b.safetensors"}"#, "`x`: expected a tensor in b.safetensors"),
        (r#"{"x": "../a.safetensors"}"#, "`weight_map.x`: expected a file of this folder"),
        (r#"{"x": 1}"#, "names of tensors with their files"),
    ] {
        says(map);
        let error = TensorFolder::open(folder.path()).expect_err("a wrong index").to_string();
        assert!(error.contains(found), "{error}");
    }
    says(r#"{"y": "b.safetensors"}"#);
    let another = folder.path().join("consolidated.safetensors.index.json");
    fs::write(&another, r#"{"weight_map": {"x": "a.safetensors"}}"#).expect("writes");
    let all = TensorFolder::open(folder.path()).expect("the model's own index");
    assert_eq!(all.names().collect::<Vec<_>>(), ["y"], "not the other's");
    fs::remove_file(&another).expect("removes");
    fs::remove_file(&index).expect("removes");
    shard("c.safetensors", "x");
    let error = TensorFolder::open(folder.path()).expect_err("twice").to_string();
    assert!(error.contains("a tensor in one shard, found it in two"), "{error}");
}

#[test]
fn outputs_appear_whole_or_not_at_all() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("new/out.bin");
    let fill = |text: &'static str| {
        move |mut file: File| {
            std::io::Write::write_all(&mut file, text.as_bytes()).expect("writes");
            Ok::<(), Error>(())
        }
    };
    write_file(&path, Existing::Refuse, fill("one")).expect("a new file");
    assert_refused(write_file(&path, Existing::Refuse, fill("two")), "exists");
    assert_eq!(fs::read_to_string(&path).expect("a file"), "one", "the old content");
    write_file(&path, Existing::Replace, fill("two")).expect("replaces");
    assert_eq!(fs::read_to_string(&path).expect("a file"), "two", "the new content");
    let failed = write_file(&path, Existing::Replace, |_| Err(Error::NoConvergence { what: "x".into() }));
    assert_refused(failed, "no convergence");
    assert_eq!(fs::read_to_string(&path).expect("a file"), "two", "and changes nothing");
    let place = path.parent().expect("a folder");
    assert_refused(write_file(place, Existing::Replace, fill("x")), "a file to replace");
    let failed = write_folder(&folder.path().join("f"), Existing::Refuse, |staging| {
        fs::write(staging.join("x"), "x").expect("writes");
        Err(Error::NoConvergence { what: "x".into() })
    });
    assert_refused(failed, "no convergence");
    let left = |folder: &Path| fs::read_dir(folder).expect("a folder").count();
    assert_eq!((left(place), left(folder.path())), (1, 1), "nothing else is left");
}

#[cfg(unix)]
#[test]
fn a_link_is_replaced_and_what_it_leads_to_stays() {
    use std::os::unix::fs::symlink;
    let folder = tempfile::tempdir().expect("a folder");
    let [link, target] = ["link", "target"].map(|name| folder.path().join(name));
    let text = |path: &Path| fs::read_to_string(path).expect("a file");
    let put = |name: &'static str| {
        move |folder: &Path| {
            fs::write(folder.join(name), "new").expect("writes");
            Ok::<(), Error>(())
        }
    };
    let file = |existing| write_text(&link, existing, "new");
    for is_dangling in [false, true] {
        if !is_dangling {
            fs::write(&target, "old").expect("writes");
        }
        symlink(&target, &link).expect("a link");
        assert_refused(file(Existing::Refuse), "exists");
        assert_refused(write_folder(&link, Existing::Refuse, put("a")), "exists");
        file(Existing::Replace).expect("replaces the link");
        assert!(!link.is_symlink() && text(&link) == "new", "a file in place of the link");
        fs::remove_file(&link).expect("removes");
        if !is_dangling {
            assert_eq!(text(&target), "old", "untouched");
            symlink(&target, &link).expect("a link");
            assert_refused(write_folder(&link, Existing::Replace, put("a")), "a folder to replace");
            fs::remove_file(&link).expect("removes");
            fs::remove_file(&target).expect("removes");
            fs::create_dir(&target).expect("a folder");
            fs::write(target.join("a"), "old").expect("writes");
        }
        symlink(&target, &link).expect("a link");
        if !is_dangling {
            assert_refused(file(Existing::Replace), "a file to replace");
            assert_refused(write_folder(&link, Existing::Replace, put("b")), "holds \"a\"");
        }
        write_folder(&link, Existing::Replace, put("a")).expect("replaces the link");
        assert!(!link.is_symlink() && text(&link.join("a")) == "new", "a folder in place of the link");
        fs::remove_dir_all(&link).expect("removes");
        if !is_dangling {
            assert_eq!(text(&target.join("a")), "old", "untouched");
            fs::remove_dir_all(&target).expect("removes");
        }
        assert_eq!(fs::read_dir(folder.path()).expect("a folder").count(), 0, "nothing else is left");
    }
}

/// A pickle of a dictionary that holds a tensor under `weight`, behind a number and another tensor, in a dictionary of this name.
fn nested(name: &str) -> Vec<u8> {
    let text = |text: &str| [b"X", &(text.len() as u32).to_le_bytes()[..], text.as_bytes()].concat();
    let global = |module: &str, name: &str| format!("c{module}\n{name}\n").into_bytes();
    let storage = [
        b"(".to_vec(),
        text("storage"),
        global("torch", "FloatStorage"),
        text("0"),
        text("cpu"),
        b"K\x02tQ".to_vec(),
    ];
    let tensor = [
        global("torch._utils", "_rebuild_tensor_v2"),
        b"(".to_vec(),
        storage.concat(),
        b"K\x00K\x02\x85K\x01\x85\x89".to_vec(),
    ];
    // The last argument of a tensor is an empty OrderedDict.
    let hooks = [global("collections", "OrderedDict"), b")R".to_vec()].concat();
    let tensor = [tensor.concat(), hooks, b"tR".to_vec()].concat();
    let loss = [text("loss"), tensor.clone(), b"s".to_vec()].concat();
    let inner = [b"}".to_vec(), text("weight"), tensor, b"s".to_vec()].concat();
    let outer = [text("epoch"), b"K\x07s".to_vec(), loss, text(name), inner, b"s".to_vec()].concat();
    [b"\x80\x02}".to_vec(), outer, b".".to_vec()].concat()
}

#[test]
fn dictionaries_inside_others_are_found_under_known_names() {
    for name in ["state_dict", "model_state_dict", "model", "base_model", "network"] {
        // A bare pickle has no storages, so that the tensor is found and then missed.
        let error = names(&nested(name)).expect_err("no storage").to_string();
        assert!(error.contains("`weight`: expected a storage 0, found none"), "{name}: {error}");
    }
    let error = names(&nested("optimizer")).expect_err("no tensors").to_string();
    assert!(error.contains("`epoch`: expected a tensor, found a whole number"), "{error}");
    let code = b"\x80\x02cos\nsystem\nX\x04\x00\x00\x00true\x85R.";
    let error = names(code).expect_err("code");
    assert!(matches!(&error, Error::Unsupported { found, .. } if found.contains("os.system")), "{error}");
}

proptest! {
    #[test]
    fn damaged_files_are_errors(cut in 0usize..200, at in 0usize..200, value: u8) {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("x.safetensors");
        write(&path, &[ramp("x", &[4, 3], Dtype::BF16)], &BTreeMap::new()).expect("writes");
        for mut bytes in [fs::read(&path).expect("a file"), nested("model")] {
            bytes.truncate(bytes.len().saturating_sub(cut));
            if let Some(byte) = bytes.get_mut(at) {
                *byte = value;
            }
            let _ = names(&bytes);
        }
    }
}
