//! Image folders and their preparation.

use std::path::Path;

use grouping_core::image::{ImageFolder, Preparation};
use image::{Rgb, RgbImage};

/// Writes three images of each of ten classes below `dir`, and a text among them.
fn ten_classes(dir: &Path) -> Vec<String> {
    let classes: Vec<String> = (0..10).map(|class| format!("class{class}")).collect();
    for class in &classes {
        let folder = dir.join(class);
        std::fs::create_dir(&folder).expect("a folder");
        for i in [7, 5, 6] {
            RgbImage::from_pixel(2, 2, Rgb([i; 3]))
                .save(folder.join(format!("0000{i}.png")))
                .expect("a file");
        }
        std::fs::write(folder.join("notes.txt"), "no image").expect("a file");
    }
    classes
}

#[test]
fn a_folder_a_class_is_listed_in_order_and_taken_in_turn() {
    let folder = tempfile::tempdir().expect("a folder");
    let classes = ten_classes(folder.path());
    let images = ImageFolder::open(folder.path()).expect("an image folder");
    assert_eq!(images.classes(), classes, "folders are classes, in the order of their names");
    assert_eq!(images.images().len(), 30, "three images a class, and no text");
    let first = images.first(20);
    assert!(first.iter().take(10).map(|i| i.class).eq(0..10), "one of each class in turn");
    assert!(first[0].path.ends_with("class0/00005.png"), "the first by name: {:?}", first[0].path);
    assert_eq!(images.first(99).len(), 30, "no more than there are");
    assert_eq!(images.sample(10, 3), images.sample(10, 3), "a seed, a sample");
    assert_ne!(images.sample(10, 3), images.sample(10, 4), "another seed, another sample");
    let flat = ImageFolder::open(&folder.path().join("class3")).expect("a flat folder");
    assert_eq!((flat.classes().len(), flat.images().len()), (0, 3), "a flat folder has no classes");
}

#[test]
fn folders_and_files_that_are_none_are_named() {
    let folder = tempfile::tempdir().expect("a folder");
    let message = |path: &Path| ImageFolder::open(path).expect_err("no images").to_string();
    assert!(message(folder.path()).contains("found none"), "{}", message(folder.path()));
    assert!(message(&folder.path().join("absent")).contains("absent"), "the folder is named");
    for (name, bytes) in
        [("text.png", &b"no image at all"[..]), ("cut.png", b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR")]
    {
        let path = folder.path().join(name);
        std::fs::write(&path, bytes).expect("a file");
        let error = Preparation::new(32).read(&path).expect_err("no image").to_string();
        assert!(error.contains(name) && error.contains("PNG or JPEG"), "{error}");
    }
}

#[test]
fn an_image_of_the_models_size_is_only_normalised() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("a.png");
    RgbImage::from_fn(4, 4, |x, y| Rgb([x as u8 * 50, y as u8 * 60, 255])).save(&path).expect("a file");
    let values = Preparation::new(4)
        .with_normalisation([0.5, 0.4, 0.3], [0.5, 0.2, 0.1])
        .read(&path)
        .expect("an image");
    let at = |channel: usize, y: usize, x: usize| values[(channel * 4 + y) * 4 + x];
    assert_eq!(at(0, 1, 3), (150.0 / 255.0 - 0.5) / 0.5, "red grows along x");
    assert_eq!(at(1, 2, 0), (120.0 / 255.0 - 0.4) / 0.2, "green grows along y");
    assert_eq!(at(2, 3, 3), (1.0 - 0.3) / 0.1, "blue is full");
}

#[test]
fn other_sizes_are_resized_and_cropped_around_the_centre() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("a.png");
    for (width, height) in [(64, 40), (40, 64), (9, 31), (33, 32)] {
        let red = |x: u32| if x < width / 2 { 0 } else { 255 };
        RgbImage::from_fn(width, height, |x, _| Rgb([red(x), 77, 0])).save(&path).expect("a file");
        let values =
            Preparation::new(16).with_normalisation([0.0; 3], [1.0; 3]).read(&path).expect("an image");
        assert_eq!(values.len(), 3 * 16 * 16, "{width} × {height}: the model's size");
        let row = &values[8 * 16..9 * 16];
        assert!(row[1] < 0.1 && row[14] > 0.9, "{width} × {height}: the middle stays the middle: {row:?}");
        let green = &values[16 * 16..2 * 16 * 16];
        assert!(
            green.iter().all(|v| (v - 77.0 / 255.0).abs() < 1e-6),
            "{width} × {height}: flat colours stay"
        );
    }
}
