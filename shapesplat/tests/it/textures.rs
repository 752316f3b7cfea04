//! Materials and textures of OBJ files, with every spelling of MTL that is met.

use grouping_core::testing::assert_refused;
use image::RgbImage;
use shapesplat::mesh::{GREY, Mesh, Note, Wrap};

const OBJ: &str = "mtllib a.mtl\nv 0 0 0\nv 1 0 0\nv 0 1 0\nvt .25 .25\nvt .75 .25\nvt .25 .75\nusemtl one\nf 1/1 2/2 3/3\n";

/// Red, green; blue, white.
fn picture() -> RgbImage {
    RgbImage::from_vec(2, 2, vec![255, 0, 0, 0, 255, 0, 0, 0, 255, 255, 255, 255]).expect("four pixels")
}

/// The mesh of an OBJ, its library and the image `name`.
fn open(obj: &str, mtl: &str, name: &str) -> shapesplat::Result<(Mesh, Vec<Note>)> {
    let folder = tempfile::tempdir().expect("a folder");
    let place = |name: &str| folder.path().join(name);
    std::fs::create_dir_all(place(name).parent().expect("a folder")).expect("a folder");
    picture().save(place(name)).expect("an image");
    std::fs::write(place("a.mtl"), mtl).expect("a library");
    std::fs::write(place("a.obj"), obj).expect("a mesh");
    Mesh::open(&place("a.obj"))
}

#[test]
fn textures_are_found_whatever_stands_before_their_names() {
    for (statement, name) in [
        ("map_Kd t.png", "t.png"),
        ("map_Kd -s 1 1 1 t.png", "t.png"),
        ("map_Kd -o 0 0 0 -s 1 1 t.png", "t.png"),
        ("map_Kd -blendu on -mm 0 1 -bm 1.5 -imfchan l -type sphere t.png", "t.png"),
        ("map_Kd sub\\deeper\\t.png", "sub/deeper/t.png"),
        ("map_Kd a name with spaces.png", "a name with spaces.png"),
        ("map_Kd \"t.png\"", "t.png"),
        ("MAP_KD t.png", "t.png"),
        ("map_Kd C:\\Users\\somebody\\t.png", "t.png"),
        ("map_Kd /somewhere/else/t.png", "t.png"),
        ("  map_Kd\tt.png  ", "t.png"),
    ] {
        let mtl = format!("newmtl one\nKd 0 0 0\n{statement}\n");
        let (mesh, notes) = open(OBJ, &mtl, name).unwrap_or_else(|e| panic!("{statement}: {e}"));
        assert_eq!(notes, [], "{statement}: found");
        let colours = [[1.0, 0.0, 0.0], [0.0, 1.0, 0.0], [0.0, 0.0, 1.0]].map(|w| mesh.colour(0, w));
        assert_eq!(
            colours,
            [[0.0, 0.0, 1.0], [1.0; 3], [1.0, 0.0, 0.0]],
            "{statement}: v goes upwards, Kd is covered"
        );
    }
}

#[test]
fn scale_offset_and_clamping_move_the_texture() {
    let (mesh, _) =
        open(OBJ, "newmtl one\nmap_Kd -s 1 -1 -o 0.5 0 -clamp on t.png\n", "t.png").expect("a mesh");
    let texture = mesh.materials[0].texture.as_ref().expect("a texture");
    assert_eq!(texture.wrap, [Wrap::Clamp; 2], "clamped");
    assert_eq!(texture.transform, [[1.0, 0.0, 0.5], [0.0, -1.0, 0.0]], "moved");
    assert_eq!(mesh.colour(0, [1.0, 0.0, 0.0]), [1.0; 3], "(¼, ¼) became (¾, −¼), which is the lower border");
}

#[test]
fn libraries_are_read_in_every_spelling() {
    let (mesh, notes) = open(OBJ, "newmtl one\nKd 1 .5 0\nTr 0.25\nKe 1\nillum x\nmap_Bump n.png\n", "t.png")
        .expect("a mesh");
    let material = &mesh.materials[0];
    assert_eq!((material.colour, material.opacity, notes), ([1.0, 0.5, 0.0], 0.75, vec![]), "Tr is 1 − d");
    let (mesh, _) = open(OBJ, "newmtl one\nKd .5\nd -halo 0.5\n", "t.png").expect("a mesh");
    assert_eq!((mesh.materials[0].colour, mesh.materials[0].opacity), (GREY, 0.5), "one number is a grey");
    let (mesh, notes) =
        open(OBJ, "Kd 1 1 1\nnewmtl\nKd 1 0 0\nnewmtl one\nKd spectral a.rfl\n", "t.png").expect("a mesh");
    assert_eq!(mesh.colour(0, [1.0, 0.0, 0.0]), GREY, "no colour in numbers");
    assert_eq!(notes, [Note::LeftOut { what: "colours as spectra or in XYZ".into(), count: 1 }], "noted");
    for (mtl, words) in [
        ("newmtl one\nKd 1 nan 0\n", "a.mtl: `line 2`: expected a finite number, found `nan`"),
        ("newmtl one\nKd 1 0\n", "a.mtl: `line 2`: expected red, green and blue, found 2 numbers"),
        ("newmtl one\n\nd\n", "a.mtl: `line 3`: expected a finite number"),
    ] {
        assert_refused(open(OBJ, mtl, "t.png"), words);
    }
}

#[test]
fn several_libraries_and_names_with_spaces_are_found() {
    let folder = tempfile::tempdir().expect("a folder");
    let write = |name: &str, text: &str| std::fs::write(folder.path().join(name), text).expect("a file");
    write("my own.mtl", "newmtl red\nKd 1 0 0\n");
    write("b.mtl", "newmtl green\nKd 0 1 0\n");
    let faces = "v 0 0 0\nv 1 0 0\nv 0 1 0\nusemtl red\nf 1 2 3\nusemtl green\nf 3 2 1\n";
    for libraries in ["mtllib my own.mtl\nmtllib b.mtl\n", "mtllib b.mtl\nmtllib \"my own.mtl\"\n"] {
        write("a.obj", &format!("{libraries}{faces}"));
        let (mesh, notes) = Mesh::open(&folder.path().join("a.obj")).expect("a mesh");
        assert_eq!(notes, [], "{libraries}");
        let colours = [0, 1].map(|triangle| mesh.colour(triangle, [1.0, 0.0, 0.0]));
        assert_eq!(colours, [[1.0, 0.0, 0.0], [0.0, 1.0, 0.0]], "{libraries}");
    }
    write("c.mtl", "newmtl red\nKd 1 0 0\n");
    write("a.obj", &format!("mtllib b.mtl c.mtl\n{faces}"));
    let (mesh, notes) = Mesh::open(&folder.path().join("a.obj")).expect("a mesh");
    assert_eq!((mesh.materials.len(), notes), (2, vec![]), "two in a line");
}

#[test]
fn what_is_missing_is_grey_and_noted() {
    let (mesh, notes) = open(OBJ, "newmtl one\nKd 1 0 0\nmap_Kd absent.png\n", "t.png").expect("a mesh");
    assert!(matches!(&notes[..], [Note::MissingTexture { file, .. }] if file == "absent.png"), "{notes:?}");
    assert_eq!(mesh.sample(3, 0).expect("points").colours, [[128; 3]; 3], "a missing texture");
    let (mesh, notes) = open(&OBJ.replace("a.mtl", "b.mtl"), "", "t.png").expect("a mesh");
    assert!(matches!(&notes[..], [Note::MissingMaterials { .. }]), "{notes:?}");
    assert_eq!(mesh.sample(3, 0).expect("points").colours, [[128; 3]; 3], "a missing library");
    let (_, notes) = open(OBJ, "newmtl two\nKd 1 0 0\n", "t.png").expect("a mesh");
    assert_eq!(notes, [Note::UndefinedMaterial { name: "one".into() }], "a material that is not there");
    let (mesh, notes) =
        open(&OBJ.replace("f 1/1 2/2 3/3", "f 1 2 3"), "newmtl one\nKd 1 0 0\nmap_Kd t.png\n", "t.png")
            .expect("a mesh");
    assert_eq!(notes, [Note::NoPlace { file: "t.png".into() }], "a texture without coordinates");
    assert_eq!(mesh.colour(0, [1.0, 0.0, 0.0]), [1.0, 0.0, 0.0], "the base colour");
    let text = OBJ.replace("f 1/1 2/2 3/3", "f 1/1 2/2 3/3\nf 1 2 3");
    let (_, notes) = open(&text, "newmtl one\nmap_Kd t.png\n", "t.png").expect("a mesh");
    assert_eq!(notes, [Note::NoTextureCoordinates { count: 3 }], "corners without coordinates");
}

#[test]
fn colours_of_vertices_cover_base_colours() {
    let text = "mtllib a.mtl\nv 0 0 0 1 0 0\nv 1 0 0 1 0 0\nv 0 1 0 1 0 0\nusemtl one\nf 1 2 3\n";
    let (mesh, _) = open(text, "newmtl one\nKd .1 .1 .1\n", "t.png").expect("a mesh");
    assert_eq!(mesh.colour(0, [0.2, 0.3, 0.5]), [1.0, 0.0, 0.0], "red, not dark red");
}

#[test]
fn between_pixels_lie_their_means() {
    let (mesh, _) = open(OBJ, "newmtl one\nmap_Kd t.png\n", "t.png").expect("a mesh");
    let middle = mesh.colour(0, [0.0, 0.5, 0.5]);
    assert_eq!(middle, [0.5, 0.5, 0.5], "red, green, blue and white");
}
