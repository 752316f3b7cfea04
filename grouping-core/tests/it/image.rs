//! Image folders and their preparation, single files, contact sheets.

use std::path::Path;

use grouping_core::files::output::Existing;
use grouping_core::image::{
    Captions, ImageFolder, Orientation, Preparation, contact_sheet, read_image, write_png,
};
use image::{ImageBuffer, Rgb, RgbImage};

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
        assert!(error.contains(name) && error.contains("PNG, JPEG"), "{error}");
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

/// A JPEG file of a 16 × 8 image, its left half black, with an EXIF orientation.
fn jpeg_with_orientation(path: &Path, orientation: u8) {
    let image = RgbImage::from_fn(16, 8, |x, _| Rgb([if x < 8 { 0 } else { 255 }; 3]));
    let mut bytes = std::io::Cursor::new(vec![]);
    image.write_to(&mut bytes, image::ImageFormat::Jpeg).expect("a JPEG image");
    let jpeg = bytes.into_inner();
    // One directory of one entry: tag 0x0112, a number of 16 bits.
    let tiff =
        [b"MM\0\x2a\0\0\0\x08\0\x01\x01\x12\0\x03\0\0\0\x01\0".as_slice(), &[orientation], &[0; 6]].concat();
    let exif = [b"Exif\0\0".as_slice(), &tiff].concat();
    let length = (exif.len() as u16 + 2).to_be_bytes();
    let file = [&jpeg[..2], &[0xff, 0xe1], &length, &exif, &jpeg[2..]].concat();
    std::fs::write(path, file).expect("a file");
}

#[test]
fn cameras_orientation_is_applied_only_where_asked_for() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("a.jpg");
    // Orientation, dimensions, and a pixel in the middle of the black half.
    for (orientation, size, black) in
        [(1, (16, 8), (4, 4)), (3, (16, 8), (12, 4)), (6, (8, 16), (4, 4)), (8, (8, 16), (4, 12))]
    {
        jpeg_with_orientation(&path, orientation);
        let stored = read_image(&path, Orientation::Stored).expect("an image");
        assert_eq!((stored.dimensions(), stored.get_pixel(4, 4)[0] < 20), ((16, 8), true), "as it is stored");
        let upright = read_image(&path, Orientation::Upright).expect("an image");
        assert_eq!(upright.dimensions(), size, "orientation {orientation} turned");
        let value = upright.get_pixel(black.0, black.1)[0];
        assert!(value < 20, "orientation {orientation}: {value} in the middle of the black half");
    }
    jpeg_with_orientation(&path, 3);
    let values = |preparation: Preparation| preparation.read(&path).expect("an image");
    let [stored, upright] = [Orientation::Stored, Orientation::Upright]
        .map(|orientation| values(Preparation::new(8).with_orientation(orientation)));
    assert_eq!(values(Preparation::new(8)), stored, "without a wish, as it is stored");
    assert_ne!(stored, upright, "turned by half a circle");
}

#[test]
fn samples_of_16_bits_keep_their_full_range() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("a.png");
    let samples = [0u16, 257, 257 * 128, 257 * 128 + 128, 257 * 128 + 129, 65535];
    let image = ImageBuffer::<Rgb<u16>, _>::from_fn(6, 1, |x, _| Rgb([samples[x as usize]; 3]));
    image.save(&path).expect("a file");
    let read = read_image(&path, Orientation::Stored).expect("an image");
    let found: Vec<u8> = read.pixels().map(|pixel| pixel[0]).collect();
    assert_eq!(found, [0, 1, 128, 128, 129, 255], "divided by 257 and rounded");
}

#[test]
fn png_files_come_back_and_replace_nothing_unasked() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("a.png");
    let image = RgbImage::from_fn(5, 3, |x, y| Rgb([x as u8, y as u8, 7]));
    write_png(&path, &image, Existing::Refuse).expect("a file");
    assert_eq!(read_image(&path, Orientation::Stored).expect("an image"), image, "the same pixels");
    let error = write_png(&path, &RgbImage::new(1, 1), Existing::Refuse).expect_err("it exists").to_string();
    assert!(error.contains("a.png") && error.contains("exists"), "{error}");
    assert_eq!(read_image(&path, Orientation::Stored).expect("an image"), image, "untouched");
    write_png(&path, &RgbImage::new(1, 1), Existing::Replace).expect("a file");
    assert_eq!(read_image(&path, Orientation::Stored).expect("an image").dimensions(), (1, 1), "replaced");
    let left = std::fs::read_dir(folder.path()).expect("a folder").count();
    assert_eq!(left, 1, "nothing beside the file");
}

#[test]
fn contact_sheets_place_images_and_indices() {
    let images: Vec<RgbImage> = (0..12).map(|i| RgbImage::from_pixel(9, 4, Rgb([i * 20; 3]))).collect();
    let sheet = contact_sheet(&images, 5, Captions::Indices).expect("a sheet");
    let (cell_width, cell_height) = (9 + 2, 4 + 6 + 2);
    assert_eq!(sheet.dimensions(), (2 + 5 * cell_width, 2 + 3 * cell_height), "three rows of five");
    for (i, image) in images.iter().enumerate() {
        let (x, y) = (2 + (i as u32 % 5) * cell_width, 2 + (i as u32 / 5) * cell_height);
        let cut = image::imageops::crop_imm(&sheet, x, y, 9, 4).to_image();
        assert_eq!(&cut, image, "image {i} is whole");
    }
    // The 11 below the last image: two strokes of five pixels each, with serifs.
    let dark = |x: u32, y: u32| sheet.get_pixel(x, y)[0] == 0;
    let (x, y) = (2 + cell_width, 2 + 2 * cell_height + 4 + 1);
    assert!((0..5).all(|row| dark(x + 1, y + row) && dark(x + 5, y + row)), "the digits 1 and 1");
    assert!(!dark(x, y) && !dark(x + 2, y + 1) && dark(x, y + 1), "with space around them");
    let plain = contact_sheet(&images[..2], 5, Captions::None).expect("a sheet");
    assert_eq!(
        plain.dimensions(),
        (2 + 2 * cell_width, 2 + 4 + 2),
        "no wider than its images, and no captions"
    );
}

#[test]
fn sheets_of_nothing_or_of_unequal_images_are_refused() {
    let (one, other) = (RgbImage::new(2, 3), RgbImage::new(3, 2));
    let message = |images: &[RgbImage], n_columns| {
        contact_sheet(images, n_columns, Captions::None).expect_err("no sheet").to_string()
    };
    assert!(message(&[], 3).contains("at least one image"), "{}", message(&[], 3));
    assert!(
        message(std::slice::from_ref(&one), 0).contains("0 columns"),
        "{}",
        message(std::slice::from_ref(&one), 0)
    );
    let unequal = message(&[one, other], 2);
    assert!(unequal.contains("[3, 2]") && unequal.contains("[2, 3]"), "{unequal}");
    // Columns without pixels take no memory, but a sheet of them would.
    assert!(message(&[RgbImage::new(0, 1 << 27)], 1).contains("2²⁸"), "too many pixels");
}
