//! The codec: decoding gives the encoder's own picture, for every architecture, size, padding and number of threads.

use burn::tensor::Device;
use grouping_core::testing::assert_refused;
use iscs_lic::checkpoint::Checkpoint;
use iscs_lic::codec::{Codec, EncodeOptions, Padding};
use iscs_lic::container::{Mode, Role};
use iscs_lic::picture::Picture;

use crate::recipe::{ARCHITECTURES, open, parameters, small};

/// A picture of gradients and grain.
fn picture(width: usize, height: usize) -> Picture {
    let sample = |x: usize, y: usize, c: usize| {
        let smooth = 128.0 + 80.0 * (x as f32 / (9.0 + c as f32)).sin() * (y as f32 / 7.0).cos();
        (smooth as usize + (37 * x + 59 * y + 83 * c + x * y) % 29).min(255) as u8
    };
    let pixels = (0..height).flat_map(|y| (0..width).map(move |x| (x, y)));
    let rgb = pixels.flat_map(|(x, y)| (0..3).map(move |c| sample(x, y, c))).collect();
    Picture::new(width, height, rgb).expect("a picture")
}

fn options(padding: Padding) -> EncodeOptions {
    EncodeOptions { padding, ..EncodeOptions::default() }
}

fn load(checkpoint: &Checkpoint) -> Codec {
    Codec::load(checkpoint, &Device::flex()).expect("loads")
}

fn default_codec() -> Codec {
    load(&Checkpoint::default_model().expect("the model"))
}

fn assert_round_trip(label: &str, codec: &Codec, picture: &Picture, padding: Padding) {
    let made = codec.reconstruct(picture, &options(padding)).unwrap_or_else(|e| panic!("{label}: {e}"));
    let size = (picture.width(), picture.height());
    assert_eq!((made.picture.width(), made.picture.height()), size, "{label}: the size");
    let roles: Vec<Role> = made.coded.strings.iter().map(|string| string.role).collect();
    assert_eq!(roles, codec.roles(), "{label}: the strings' roles");
    let decoded = codec.decode(&made.coded).unwrap_or_else(|e| panic!("{label}: {e}"));
    assert_eq!(decoded, made.picture, "{label}: {size:?} with {padding:?}");
    assert_eq!(
        codec.encode(picture, &options(padding)).expect("encodes"),
        made.coded,
        "{label}: encoded again"
    );
}

#[test]
fn every_architecture_decodes_to_the_encoders_picture() {
    for name in ARCHITECTURES {
        let codec = load(&small(name));
        for (width, height) in [(64, 64), (70, 130), (1, 1)] {
            for padding in [Padding::Edge, Padding::Zeros] {
                assert_round_trip(name, &codec, &picture(width, height), padding);
            }
        }
    }
}

#[test]
fn every_size_decodes_to_the_encoders_picture() {
    let codec = default_codec();
    for height in [1, 63, 64, 65, 97] {
        for width in 1..=70 {
            assert_round_trip("mbt2018-mean", &codec, &picture(width, height), Padding::Edge);
        }
        for width in [1, 64, 65] {
            assert_round_trip("mbt2018-mean", &codec, &picture(width, height), Padding::Zeros);
        }
    }
}

#[test]
fn a_factorised_prior_pads_to_multiples_of_sixteen() {
    let codec = load(&small("bmshj2018-factorized"));
    for (width, height) in [(1, 17), (33, 70), (16, 16), (65, 2)] {
        assert_round_trip("bmshj2018-factorized", &codec, &picture(width, height), Padding::Edge);
    }
    let coded = codec.encode(&picture(33, 17), &options(Padding::Edge)).expect("encodes");
    let pads = coded.pads;
    assert_eq!([pads.left, pads.right, pads.top, pads.bottom], [7, 8, 7, 8], "to 48×32");
}

#[test]
fn strings_do_not_depend_on_the_number_of_threads() {
    let codecs = ["mbt2018-mean", "mbt2018", "elic2022-official"].map(|name| load(&small(name)));
    let picture = picture(200, 150);
    let code = |n_threads: usize| {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(n_threads).build().expect("threads");
        pool.install(|| {
            codecs.each_ref().map(|c| c.reconstruct(&picture, &options(Padding::Edge)).expect("encodes"))
        })
    };
    let one = code(1);
    for n_threads in [2, 4] {
        for (found, wanted) in code(n_threads).iter().zip(&one) {
            assert_eq!(found.coded, wanted.coded, "strings with {n_threads} threads");
            assert_eq!(found.picture, wanted.picture, "the picture with {n_threads} threads");
        }
    }
}

#[test]
fn no_byte_depends_on_the_height_of_strips() {
    let picture = picture(70, 270);
    for name in ARCHITECTURES {
        let checkpoint = small(name);
        let whole = load(&checkpoint).trace(&picture, &options(Padding::Edge)).expect("encodes");
        for rows in [16, 64, 130] {
            let strips = load(&checkpoint).with_strip_rows(rows).trace(&picture, &options(Padding::Edge));
            let strips = strips.expect("encodes");
            assert!(strips.y == whole.y, "y of {name} in strips of {rows} rows");
            assert_eq!(strips.coded, whole.coded, "strings of {name} in strips of {rows} rows");
            assert!(strips.x_hat == whole.x_hat, "x̂ of {name} in strips of {rows} rows");
        }
    }
}

#[test]
fn a_picture_of_other_tables_is_refused() {
    let codec = default_codec();
    let coded = codec.encode(&picture(100, 80), &options(Padding::Edge)).expect("encodes");
    let with = |edit: &dyn Fn(&mut iscs_lic::container::Coded)| {
        let mut coded = coded.clone();
        edit(&mut coded);
        codec.decode(&coded)
    };
    assert_refused(with(&|c| c.strings[1].index_hash ^= 1), "`index hash of Slice(0)`: expected 0x");
    assert_eq!(
        with(&|c| c.strings[1].index_hash = 0).expect("no hash"),
        codec.decode(&coded).expect("decodes"),
        "a container without hashes"
    );
    assert_refused(with(&|c| c.model[3] ^= 1), "`model`: expected");
    assert!(with(&|c| c.model = [0; 16]).is_ok(), "a container without fingerprints");
    assert_refused(with(&|c| c.plan[0] = 1), "`plan`: expected none");
    assert_refused(with(&|c| _ = c.strings.pop()), "expected one of the role Slice(0), found none");
    assert_refused(
        with(&|c| c.strings[1].role = Role::Anchors(0)),
        "expected strings of the roles [Hyper, Slice(0)], found Anchors(0)",
    );
    assert_refused(
        with(&|c| c.strings[1].role = Role::Hyper),
        "`strings`: expected each role once, found Hyper twice",
    );
    assert_refused(with(&|c| c.pads.left += 1), "`width`: expected a multiple of 64 with its pads");
    assert_refused(with(&|c| c.height = 0), "`height`");
    assert_refused(with(&|c| c.strings[1].bytes.truncate(8)), "stream");
    assert_refused(with(&|c| c.strings[0].bytes.extend([0; 4])), "no byte after the last symbol");
}

#[test]
fn latents_that_are_not_finite_are_refused_by_name() {
    let mut tensors = parameters("mbt2018-mean");
    tensors.get_mut("g_a.6.weight").expect("there").1.fill(1e38);
    let codec = load(&open(&tensors).expect("finite weights"));
    assert_refused(codec.encode(&picture(64, 64), &options(Padding::Edge)), "y: value");
    let mut tensors = parameters("mbt2018-mean");
    tensors.get_mut("h_s.4.bias").expect("there").1.fill(3e38);
    tensors.get_mut("h_s.4.weight").expect("there").1.fill(3e38);
    let codec = load(&open(&tensors).expect("finite weights"));
    assert_refused(codec.encode(&picture(64, 64), &options(Padding::Edge)), "is not finite");
    let mut tensors = parameters("bmshj2018-factorized");
    tensors.get_mut("g_a.6.bias").expect("there").1.fill(1e20);
    let codec = load(&open(&tensors).expect("finite weights"));
    assert_refused(codec.encode(&picture(64, 64), &options(Padding::Edge)), "expected magnitudes below 2³¹");
}

#[test]
fn integer_modes_decode_to_the_encoders_picture() {
    for name in ARCHITECTURES {
        let codec = load(&small(name));
        for mode in [Mode::Symbols, Mode::Pixels] {
            let options = EncodeOptions { mode, ..EncodeOptions::default() };
            for (width, height) in [(70, 130), (1, 1)] {
                let made = codec.reconstruct(&picture(width, height), &options).expect("encodes");
                let hashes = made.coded.strings.iter().map(|string| string.index_hash);
                assert!(hashes.into_iter().all(|hash| hash == 0), "{name}, {mode:?}: no hashes of rows");
                let decoded = codec.decode(&made.coded).unwrap_or_else(|e| panic!("{name}, {mode:?}: {e}"));
                assert_eq!(decoded, made.picture, "{name}, {mode:?}: {width}×{height}");
            }
        }
    }
}

#[test]
fn modes_cost_little() {
    let (codec, picture) = (default_codec(), picture(192, 128));
    let made = |mode| {
        let options = EncodeOptions { mode, ..EncodeOptions::default() };
        let made = codec.reconstruct(&picture, &options).expect("encodes");
        let n_bytes: usize = made.coded.strings.iter().map(|string| string.bytes.len()).sum();
        (n_bytes, psnr(picture.rgb(), made.picture.rgb()))
    };
    let [float, symbols, pixels] = [Mode::Float, Mode::Symbols, Mode::Pixels].map(made);
    assert_eq!(symbols.0, pixels.0, "the same strings in both integer modes");
    // On 24 Kodak pictures 0.02 % of the bytes and 0.0015 dB.
    assert!(symbols.0 * 100 <= float.0 * 101, "{} bytes instead of {}", symbols.0, float.0);
    assert!((symbols.1 - float.1).abs() < 0.05, "{} dB instead of {}", symbols.1, float.1);
    assert!((pixels.1 - symbols.1).abs() < 0.01, "{} dB instead of {}", pixels.1, symbols.1);
}

fn psnr(a: &[u8], b: &[u8]) -> f64 {
    let error: u64 = a.iter().zip(b).map(|(a, b)| u64::from(a.abs_diff(*b)).pow(2)).sum();
    10.0 * (255.0 * 255.0 * a.len() as f64 / error as f64).log10()
}

#[test]
fn what_does_not_depend_on_the_damage_is_decoded() {
    let picture = picture(64, 64);
    let partial = |name: &str, damaged: usize| {
        let codec = load(&small(name));
        let coded = codec.encode(&picture, &options(Padding::Edge)).expect("encodes");
        let whole: Vec<bool> = (0..coded.strings.len()).map(|i| i != damaged).collect();
        codec.decode_partial(&coded, &whole).map(|partial| partial.lost)
    };
    assert_eq!(partial("mbt2018-mean", 1).expect("means"), [Role::Slice(0)], "no latents");
    assert_refused(partial("mbt2018-mean", 0), "expected the hyper-latent");
    let rest: Vec<Role> = [3u8].into_iter().flat_map(|k| [Role::Anchors(k), Role::NonAnchors(k)]).collect();
    assert_eq!(partial("elic2022-official", 7).expect("slices"), rest, "the last slice");
    assert_eq!(partial("elic2022-official", 8).expect("slices"), rest[1..], "its second half");
    // Five slices support the others: one of them takes the later ones with it, one of the others only itself.
    assert_eq!(partial("ms2020", 8).expect("slices"), [Role::Slice(7)], "an unsupporting slice");
    let lost: Vec<Role> = (3..10).map(Role::Slice).collect();
    assert_eq!(partial("ms2020", 4).expect("slices"), lost, "a supporting slice");
    let codec = load(&small("ms2020"));
    let coded = codec.encode(&picture, &options(Padding::Edge)).expect("encodes");
    let all = codec.decode_partial(&coded, &[true; 11]).expect("decodes");
    assert_eq!((all.lost.len(), all.picture), (0, codec.decode(&coded).expect("decodes")), "nothing is lost");
}
