//! Networks: latents, scales, means, tables' rows, strings and pictures are the reference's.

use burn::tensor::Device;
use grouping_core::files::tensor_file::{Dtype, TensorFile};
use grouping_core::image::{Orientation, read_image};
use iscs_lic::checkpoint::Checkpoint;
use iscs_lic::codec::{Codec, EncodeOptions, Padding, Trace};
use iscs_lic::picture::Picture;

use crate::recipe::{ARCHITECTURES, data, goldens, small};

/// As CompressAI pads.
fn zeros() -> EncodeOptions {
    EncodeOptions { padding: Padding::Zeros, ..EncodeOptions::default() }
}

/// Largest difference of latents, scales and means; of pictures too.
const TOLERANCE: f32 = 1e-4;

fn floats(file: &TensorFile, name: &str) -> Vec<f32> {
    file.decode(name).unwrap_or_else(|e| panic!("{name}: {e}")).values
}

fn integers(file: &TensorFile, name: &str) -> Vec<i64> {
    file.integers(name).unwrap_or_else(|e| panic!("{name}: {e}")).values
}

fn assert_near(label: &str, found: &[f32], wanted: &[f32]) {
    assert_eq!(found.len(), wanted.len(), "{label}: another length");
    let off = found.iter().zip(wanted).map(|(a, b)| (a - b).abs()).fold(0.0f32, f32::max);
    assert!(off <= TOLERANCE, "{label} is off by {off}");
}

/// All strings' entries one after another, but for those of the hyper-latent.
fn joined<T: Clone>(trace: &Trace, of: impl Fn(&iscs_lic::codec::StringTrace) -> &Vec<T>) -> Vec<T> {
    let strings = trace.strings.iter().filter(|s| !s.scales.is_empty());
    strings.flat_map(|s| of(s).iter().cloned()).collect()
}

fn n_different<T: Copy + Into<i64>>(label: &str, found: &[T], wanted: &[i64]) -> usize {
    assert_eq!(found.len(), wanted.len(), "{label}: another length");
    found.iter().zip(wanted).filter(|&(&a, &b)| a.into() != b).count()
}

/// The picture of `[3, height, width]` samples of 8 bits.
fn picture(samples: &[i64], height: usize, width: usize) -> Picture {
    let area = height * width;
    let rgb = (0..area).flat_map(|i| (0..3).map(move |c| samples[c * area + i] as u8)).collect();
    Picture::new(width, height, rgb).expect("a picture")
}

#[test]
fn every_architecture_finds_what_the_reference_finds() {
    let golden = goldens();
    let shape = golden.shape("x").expect("the picture").to_vec();
    let picture = picture(&integers(&golden, "x"), shape[1], shape[2]);
    for name in ARCHITECTURES {
        let codec = Codec::load(&small(name), &Device::flex()).expect("loads");
        let trace = codec.trace(&picture, &zeros()).unwrap_or_else(|e| panic!("{name}: {e}"));
        let of = |what: &str| format!("{name}/{what}");
        assert_near(&of("y"), &trace.y.values, &floats(&golden, &of("y")));
        if golden.shape(&of("z")).is_some() {
            assert_near(&of("z"), &trace.strings[0].latents, &floats(&golden, &of("z")));
        }
        assert_near(&of("scales"), &joined(&trace, |s| &s.scales), &floats(&golden, &of("scales")));
        let (rows, symbols) = (joined(&trace, |s| &s.rows), joined(&trace, |s| &s.symbols));
        let n_flipped = n_different(&of("indexes"), &rows, &integers(&golden, &of("indexes")));
        let n_other = n_different(&of("symbols"), &symbols, &integers(&golden, &of("symbols")));
        // Another instruction set may round a number beside an edge to the other side of it; here none is.
        assert_eq!((n_flipped, n_other), (0, 0), "{name}: flipped rows and symbols");
        assert_near(&of("means"), &joined(&trace, |s| &s.means), &floats(&golden, &of("means")));
        for (i, string) in trace.coded.strings.iter().enumerate() {
            let wanted = golden.bytes(&of(&format!("strings.{i}"))).expect("a string");
            assert!(string.bytes == wanted, "{name}: string {i}, {:?}", string.role);
        }
        let no_more = golden.shape(&of(&format!("strings.{}", trace.coded.strings.len())));
        assert_eq!(no_more, None, "{name}: the number of strings");
        let (height, width) = (shape[1], shape[2]);
        let third = |c: usize| (0..height).step_by(3).map(move |row| (c * height + row) * width);
        let x_hat: Vec<f32> = (0..3)
            .flat_map(third)
            .flat_map(|from| trace.x_hat.values[from..from + width].iter().step_by(3))
            .map(|v| v.clamp(0.0, 1.0))
            .collect();
        assert_near(&of("x_hat"), &x_hat, &floats(&golden, &of("x_hat")));
    }
}

#[test]
fn the_trained_model_codes_as_the_reference_does() {
    let golden = TensorFile::open(&data("golden_256x128.safetensors")).expect("the golden");
    let image = read_image(&data("in_256x128.png"), Orientation::Stored).expect("the picture");
    let picture = Picture::new(256, 128, image.into_raw()).expect("a picture");
    let checkpoint = Checkpoint::default_model().expect("the model");
    let codec = Codec::load(&checkpoint, &Device::flex()).expect("loads");
    let trace = codec.trace(&picture, &zeros()).expect("encodes");
    let [hyper, y] = &trace.strings[..] else { panic!("two strings") };
    assert_near("y", &trace.y.values, &floats(&golden, "y"));
    assert_near("z", &hyper.latents, &floats(&golden, "z"));
    assert_near("scales", &y.scales, &floats(&golden, "scales"));
    assert_near("means", &y.means, &floats(&golden, "means"));
    assert_eq!(n_different("indexes", &y.rows, &integers(&golden, "indexes")), 0, "flipped rows");
    let symbols = match golden.dtype("y_sym") {
        Some(Dtype::F32) => floats(&golden, "y_sym").into_iter().map(|v| v as i64).collect(),
        _ => integers(&golden, "y_sym"),
    };
    assert_eq!(n_different("symbols", &y.symbols, &symbols), 0, "other symbols");
    assert_near("ŷ", &trace.y_hat.values, &floats(&golden, "y_hat"));
    let x_hat: Vec<f32> = floats(&golden, "x_hat").iter().map(|v| v.clamp(0.0, 1.0)).collect();
    let found: Vec<f32> = trace.x_hat.values.iter().map(|v| v.clamp(0.0, 1.0)).collect();
    assert_near("x̂", &found, &x_hat);
    for (string, file) in trace.coded.strings.iter().zip(["z.bin", "y.bin"]) {
        let wanted = std::fs::read(data(file)).expect("a string");
        assert!(string.bytes == wanted, "{file}");
    }
    let decoded = codec.decode(&trace.coded).expect("decodes");
    assert_shown(&decoded, &x_hat);
}

/// That a picture has the reference's samples, but for those that the tolerance takes over the edge between two.
fn assert_shown(found: &Picture, x_hat: &[f32]) {
    let wanted = Picture::from_planes(found.width(), found.height(), x_hat).expect("a picture");
    let n_pixels = found.width() * found.height();
    for (i, (&found, &wanted)) in found.rgb().iter().zip(wanted.rgb()).enumerate() {
        let scaled = x_hat[i % 3 * n_pixels + i / 3] * 255.0;
        let is_on_edge = (scaled.fract() - 0.5).abs() <= 255.0 * TOLERANCE;
        assert!(
            found == wanted || is_on_edge && found.abs_diff(wanted) == 1,
            "sample {i}: {found}, not {scaled}"
        );
    }
}
