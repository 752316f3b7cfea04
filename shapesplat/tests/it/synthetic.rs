//! Procedural objects: whole, closed, the same by seed, and of colours that are no shortcut to their class.

use std::collections::BTreeSet;
use std::path::Path;

use grouping_core::files::output::Existing;
use grouping_core::testing::assert_refused;
use shapesplat::mesh::Mesh;
use shapesplat::synth::{Class, Dataset, Split, object, picture};

#[test]
fn objects_are_closed_centred_and_of_one_size() {
    for class in Class::ALL {
        for seed in 0..12 {
            let mesh = object(class, seed);
            let measures = mesh.measures();
            let what = format!("{} {seed}", class.name());
            assert!(measures.watertight, "{what} has no hole: {measures:?}");
            assert!(
                measures.volume.is_some_and(|volume| volume > 1e-4),
                "{what} is turned outwards: {measures:?}"
            );
            assert_eq!((measures.degenerate, measures.duplicate), (0, 0), "{what} has no flaw");
            let diagonal = measures.extents.iter().map(|e| e * e).sum::<f64>().sqrt();
            assert!((diagonal - 1.0).abs() < 1e-5, "{what}: a diagonal of {diagonal}");
            let middle: Vec<f64> = (0..3).map(|i| measures.bounds[0][i] + measures.bounds[1][i]).collect();
            assert!(middle.iter().all(|x| x.abs() < 1e-5), "{what} lies around the origin: {middle:?}");
            for triangle in 0..mesh.triangles.len() {
                let third = [1.0 / 3.0; 3];
                let [a, b, c] = mesh.corners(triangle);
                let (u, v): ([f64; 3], [f64; 3]) =
                    (std::array::from_fn(|i| b[i] - a[i]), std::array::from_fn(|i| c[i] - a[i]));
                let flat = [u[1] * v[2] - u[2] * v[1], u[2] * v[0] - u[0] * v[2], u[0] * v[1] - u[1] * v[0]];
                let along: f64 =
                    mesh.normal(triangle, third).iter().zip(flat).map(|(&n, f)| f64::from(n) * f).sum();
                assert!(along > 0.0, "{what}: normals look outwards at triangle {triangle}");
            }
        }
    }
}

#[test]
fn a_folder_holds_what_its_manifest_says() {
    let folder = tempfile::tempdir().expect("a folder");
    let out = folder.path().join("toys");
    let dataset = Dataset::write(&out, 6, 3, Existing::Refuse, || ()).expect("a folder");
    assert_eq!((dataset.objects.len(), &dataset.classes[..2]), (60, &["box", "capsule"][..]), "classes");
    let n_test = dataset.objects.iter().filter(|object| object.split == Split::Test).count();
    assert_eq!(n_test, 10, "one in five, rounded down");
    assert_eq!(dataset.objects[5].path, "box/test/box_0006/model.obj", "numbers go on");
    let manifest = std::fs::read_to_string(out.join("manifest.json")).expect("a manifest");
    let manifest: serde_json::Value = serde_json::from_str(&manifest).expect("JSON");
    assert_eq!(manifest, serde_json::to_value(&dataset).expect("JSON"), "the manifest");
    for written in &dataset.objects {
        let (mesh, notes) = Mesh::open(&out.join(&written.path)).expect("a mesh");
        assert_eq!(notes, [], "{}: nothing is missing", written.path);
        let made = object(Class::ALL[written.label], written.seed);
        assert_eq!(mesh.triangles.len(), written.faces, "{}", written.path);
        assert_eq!(mesh.materials, made.materials, "{}: the texture", written.path);
        let [read, drawn] = [&mesh, &made].map(|mesh| mesh.sample(40, 1).expect("points"));
        assert_eq!(read, drawn, "{}: the same surface", written.path);
    }
    let sheet = image::open(out.join("contact-sheet.png")).expect("an image").into_rgb8();
    assert_eq!(sheet.dimensions(), (6 * 98 + 2, 10 * 98 + 2), "six in a row");
    assert_refused(Dataset::write(&out, 6, 3, Existing::Refuse, || ()), "exists already");
    assert_refused(Dataset::write(&out, 0, 3, Existing::Replace, || ()), "1 to 9999 objects, found 0");
    Dataset::write(&out, 1, 4, Existing::Replace, || ()).expect("replaced");
}

fn bytes_below(folder: &Path) -> Vec<(String, Vec<u8>)> {
    let mut all = vec![];
    let mut stack = vec![folder.to_path_buf()];
    while let Some(place) = stack.pop() {
        for entry in std::fs::read_dir(place).expect("a folder") {
            let path = entry.expect("an entry").path();
            if path.is_dir() {
                stack.push(path);
            } else {
                let name = path.strip_prefix(folder).expect("below").to_string_lossy().into_owned();
                all.push((name, std::fs::read(path).expect("a file")));
            }
        }
    }
    all.sort();
    all
}

#[test]
fn the_same_seed_gives_the_same_bytes_for_any_number_of_threads() {
    let folder = tempfile::tempdir().expect("a folder");
    let write = |name: &str, n_threads: usize, seed: u64| {
        let out = folder.path().join(name);
        let pool = rayon::ThreadPoolBuilder::new().num_threads(n_threads).build().expect("threads");
        pool.install(|| Dataset::write(&out, 2, seed, Existing::Refuse, || ())).expect("a folder");
        bytes_below(&out)
    };
    let first = write("a", 1, 9);
    assert_eq!(first.len(), 10 * 2 * 3 + 2, "three files an object, a manifest and a sheet");
    assert!(first == write("b", 3, 9), "the same bytes");
    assert!(first != write("c", 1, 10), "another seed, other bytes");
}

#[test]
fn colour_tells_neither_the_object_nor_the_class() {
    const N: u64 = 20;
    let mut means = vec![];
    for class in Class::ALL {
        for seed in 0..N {
            let colours = object(class, 1000 + seed).sample(300, seed).expect("points").colours;
            let mean: [f64; 3] =
                std::array::from_fn(|i| colours.iter().map(|c| f64::from(c[i])).sum::<f64>() / 300.0);
            let spread = colours
                .iter()
                .flat_map(|c| (0..3).map(move |i| (f64::from(c[i]) - mean[i]).powi(2)))
                .sum::<f64>();
            let deviation = (spread / 900.0).sqrt();
            assert!(deviation > 3.0, "{} {seed}: colours vary by {deviation} over the surface", class.name());
            means.push((class, mean));
        }
    }
    // Each object by the nearest mean colour of another.
    let right = means.iter().enumerate().filter(|&(i, (class, mean))| {
        let distance = |other: &[f64; 3]| (0..3).map(|k| (mean[k] - other[k]).powi(2)).sum::<f64>();
        let others = means.iter().enumerate().filter(|(j, _)| *j != i).map(|(_, other)| other);
        others
            .min_by(|a, b| distance(&a.1).total_cmp(&distance(&b.1)))
            .is_some_and(|nearest| nearest.0 == *class)
    });
    let accuracy = right.count() as f64 / means.len() as f64;
    // Chance is a tenth.
    assert!(accuracy < 0.5, "mean colour alone tells {accuracy} of the classes");
}

#[test]
fn pictures_show_objects() {
    let pictures: BTreeSet<Vec<u8>> =
        (0..3).map(|seed| picture(&object(Class::Chair, seed), 48).into_raw()).collect();
    assert_eq!(pictures.len(), 3, "three chairs look different");
    let white = picture(&object(Class::Box, 0), 48).pixels().filter(|pixel| pixel.0 == [255; 3]).count();
    assert!(white > 300 && white < 2000, "a box on white: {white} white pixels of 2304");
}
