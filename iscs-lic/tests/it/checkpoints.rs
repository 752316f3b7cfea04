//! Checkpoints: every architecture, container and spelling is understood, and what is not is named.

use std::collections::BTreeMap;
use std::path::Path;

use grouping_core::files::output::Existing;
use grouping_core::files::tensor_file::{Dtype, TensorFile};
use grouping_core::testing::assert_refused;
use iscs_lic::checkpoint::{Architecture, Checkpoint};
use iscs_lic::coder::SCALES;

use crate::recipe::{ARCHITECTURES, Tensors, data, open, parameters, small, write};

/// The tensors of the default model that training changes.
fn default_parameters() -> Tensors {
    let checkpoint = Checkpoint::default_model().expect("the model");
    let tensor = |(name, _): (String, Vec<usize>)| {
        let tensor = checkpoint.tensor(&name).expect("a tensor");
        (name, (tensor.shape, tensor.values))
    };
    checkpoint.design().parameters().into_iter().map(tensor).collect()
}

/// A tensor's name in another spelling.
type Rename<'a> = &'a dyn Fn(&str) -> String;

fn renamed(tensors: &Tensors, rename: impl Fn(&str) -> String) -> Tensors {
    tensors.iter().map(|(name, tensor)| (rename(name), tensor.clone())).collect()
}

#[test]
fn every_architecture_is_known_by_its_tensors() {
    for name in ARCHITECTURES {
        let checkpoint = small(name);
        assert_eq!(checkpoint.architecture().name(), name, "the architecture");
        let m = match name {
            "ms2020" => 20,
            _ if name.starts_with("cheng") => 8,
            _ => 16,
        };
        assert_eq!((checkpoint.n(), checkpoint.m()), (8, m), "(N, M) of {name}");
        let wanted: Vec<_> = parameters(name).into_iter().map(|(name, (shape, _))| (name, shape)).collect();
        assert_eq!(checkpoint.design().parameters(), wanted, "the parameters of {name}");
    }
    assert_eq!(small("elic2022-official").design().slices, [2, 2, 4, 8], "uneven slices");
    let even = small("ms2020");
    assert_eq!((&even.design().slices[..], even.design().n_support), (&[2; 10][..], 5), "even slices");
}

#[test]
fn the_default_model_is_the_fixture() {
    let checkpoint = Checkpoint::default_model().expect("the model");
    assert_eq!(checkpoint.architecture(), Architecture::MeanScaleHyperprior, "the architecture");
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("assets/ms_n32_m64.safetensors");
    let opened = Checkpoint::open(&file).expect("the same, from its file");
    assert_eq!(checkpoint.fingerprint(), opened.fingerprint(), "one fingerprint");
    let again = open(&default_parameters()).expect("the same, without tables");
    assert_eq!(checkpoint.fingerprint(), again.fingerprint(), "tables are no part of it");
    let mut other = default_parameters();
    other.get_mut("h_s.4.bias").expect("a tensor").1[7] += 1e-6;
    assert_ne!(checkpoint.fingerprint(), open(&other).expect("another").fingerprint(), "a changed value");
}

#[test]
fn tables_are_computed_where_there_are_none() {
    let stored = Checkpoint::default_model().expect("the model");
    let computed = open(&default_parameters()).expect("a model without tables");
    let renewed = Checkpoint::default_model().and_then(Checkpoint::updated).expect("tables anew");
    for which in ["entropy_bottleneck", "gaussian_conditional"] {
        let wanted = stored.tables(which).expect("stored tables").parts();
        assert!(computed.tables(which).expect("computed tables").parts() == wanted, "{which}, computed");
        assert!(renewed.tables(which).expect("computed tables").parts() == wanted, "{which}, anew");
    }
    assert_eq!(computed.scale_table("gaussian_conditional").expect("scales"), SCALES, "the scales");
    assert_refused(stored.tables("gaussian"), "expected one of gaussian_conditional, found gaussian");
}

#[test]
fn normalisations_are_as_their_formula_has_them() {
    let checkpoint = small("bmshj2018-factorized");
    let gdn = checkpoint.gdn("g_a.1").expect("a normalisation");
    let pedestal = 2f64.powi(-36);
    let stored = checkpoint.tensor("g_a.1.gamma").expect("γ'");
    for (found, stored) in gdn.gamma.iter().zip(stored.values) {
        let wanted = f64::from(stored).max(2f64.powi(-18)).powi(2) - pedestal;
        assert!((f64::from(*found) - wanted).abs() <= 1e-7 * wanted.abs() + 1e-18, "{found}, not {wanted}");
    }
    let stored = checkpoint.tensor("g_a.1.beta").expect("β'");
    for (found, stored) in gdn.beta.iter().zip(stored.values) {
        let wanted = f64::from(stored).powi(2) - pedestal;
        assert!((f64::from(*found) - wanted).abs() <= 1e-6 * wanted, "{found}, not {wanted}");
    }
}

#[test]
fn masked_weights_are_zero_whatever_the_file_holds() {
    let serial = small("mbt2018").tensor("context_prediction.weight").expect("a weight");
    let board = small("cheng2020-anchor-checkerboard").tensor("latent_codec.y.context_prediction.weight");
    for (kernel, seen) in [(serial, 12), (board.expect("a weight"), 12)] {
        let n_kernels = kernel.values.len() / 25;
        let n_zeros = kernel.values.iter().filter(|&&v| v == 0.0).count();
        assert_eq!(n_zeros, n_kernels * (25 - seen), "zeros in {:?}", kernel.shape);
    }
}

#[test]
fn spellings_of_all_versions_are_one_model() {
    let ours = parameters("elic2022-official");
    let wanted = small("elic2022-official").fingerprint();
    let spell = |name: &str, kinds: [&str; 3]| {
        let mut name = name.to_string();
        for (kind, theirs) in ["matrices.", "biases.", "factors."].into_iter().zip(kinds) {
            name = name.replace(&format!("bottleneck.{kind}"), &format!("bottleneck.{theirs}"));
        }
        name
    };
    let newer = |name: &str| {
        let name = name.replace("latent_codec.hyper.h_", "latent_codec.h_");
        name.replace("latent_codec.hyper.entropy_bottleneck", "latent_codec.z.entropy_bottleneck")
    };
    let spellings: [(&str, Rename<'_>); 6] = [
        ("parameter lists", &|name| spell(name, ["_matrices.", "_biases.", "_factors."])),
        ("parameters", &|name| spell(name, ["_matrix", "_bias", "_factor"])),
        ("1.2.9", &newer),
        ("1.2.9 with parameter lists", &|name| newer(&spell(name, ["_matrices.", "_biases.", "_factors."]))),
        ("several devices", &|name| format!("module.{name}")),
        ("inside another model", &|name| format!("network.module.{name}")),
    ];
    for (label, spelling) in spellings {
        let checkpoint = open(&renamed(&ours, spelling)).unwrap_or_else(|e| panic!("{label}: {e}"));
        assert_eq!(checkpoint.fingerprint(), wanted, "{label}");
    }
    let old = renamed(&parameters("cheng2020-anchor"), |name| name.replace(".skip.", ".downsample."));
    let found = open(&old).expect("downsampling").fingerprint();
    assert_eq!(found, small("cheng2020-anchor").fingerprint(), "downsampling");
}

#[test]
fn what_training_scripts_save_is_one_model() {
    let files = ["trained.pth.tar", "half.pth", "double.pth"];
    let opened = files.map(|name| {
        let checkpoint = Checkpoint::open(&data("checkpoints").join(name));
        checkpoint.unwrap_or_else(|e| panic!("{name}: {e}"))
    });
    for (name, checkpoint) in files.iter().zip(&opened) {
        assert_eq!(checkpoint.architecture(), Architecture::FactorizedPrior, "{name}");
        assert_eq!((checkpoint.n(), checkpoint.m()), (2, 3), "{name}");
        assert_eq!(checkpoint.fingerprint(), opened[0].fingerprint(), "{name}");
        assert_eq!(checkpoint.tables("entropy_bottleneck").expect("tables").n_rows(), 3, "tables of {name}");
    }
    let [_, half, double] = opened;
    assert_refused(half.updated(), "`weights`: expected parameters of 32 or 64 bits");
    assert!(double.updated().is_ok(), "tables can be computed from 64 bits");
}

#[test]
fn what_is_saved_opens_as_the_same_model() {
    let folder = tempfile::tempdir().expect("a folder");
    for name in ARCHITECTURES {
        let (checkpoint, path) = (small(name), folder.path().join(name));
        checkpoint.save(&path, Existing::Refuse).expect("saves");
        let saved = Checkpoint::open(&path).expect("opens");
        assert_eq!(saved.architecture(), checkpoint.architecture(), "{name}");
        assert_eq!(saved.fingerprint(), checkpoint.fingerprint(), "{name}");
        for which in checkpoint.entropy_models() {
            let [found, wanted] = [&saved, &checkpoint].map(|c| c.tables(which).expect("tables").parts());
            assert!(found == wanted, "{which} of {name}");
            assert!(saved.shape(&format!("{which}._quantized_cdf")).is_some(), "tables of {name} are stored");
        }
        assert_refused(checkpoint.save(&path, Existing::Refuse), "exists already");
    }
}

#[test]
fn a_saved_file_has_all_that_the_reference_wants() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("saved.safetensors");
    Checkpoint::default_model().and_then(|c| c.save(&path, Existing::Refuse)).expect("saves");
    let reference = Path::new(env!("CARGO_MANIFEST_DIR")).join("assets/ms_n32_m64.safetensors");
    let [saved, reference] = [path, reference].map(|path| TensorFile::open(&path).expect("a file"));
    let mut names: Vec<&str> = saved.names().collect();
    let mut wanted: Vec<&str> = reference.names().collect();
    names.sort_unstable();
    wanted.sort_unstable();
    assert_eq!(names, wanted, "the names");
    for name in wanted {
        assert_eq!(saved.shape(name), reference.shape(name), "shape of {name}");
        assert_eq!(saved.dtype(name), reference.dtype(name), "type of {name}");
        assert!(saved.bytes(name) == reference.bytes(name), "values of {name}");
    }
}

/// By `oracles/iscs-lic/states.py`: a model's `load_state_dict`, strict, takes these names and shapes and no others.
#[test]
fn what_is_saved_is_what_the_reference_loads() {
    let text = std::fs::read_to_string(data("states.json")).expect("the reference's states");
    let states: BTreeMap<String, BTreeMap<String, String>> = serde_json::from_str(&text).expect("JSON");
    let folder = tempfile::tempdir().expect("a folder");
    for name in ARCHITECTURES {
        let path = folder.path().join(name);
        small(name).save(&path, Existing::Refuse).expect("saves");
        let saved = TensorFile::open(&path).expect("a file");
        let entry = |tensor: &str| {
            let (dtype, shape) =
                (saved.dtype(tensor).expect("a type"), saved.shape(tensor).expect("a shape"));
            (tensor.to_owned(), format!("{dtype:?} {shape:?}"))
        };
        let found: BTreeMap<String, String> = saved.names().map(entry).collect();
        let wanted = &states[name];
        let absent: Vec<_> = wanted.iter().filter(|entry| found.get(entry.0) != Some(entry.1)).collect();
        let beyond: Vec<_> = found.iter().filter(|entry| wanted.get(entry.0) != Some(entry.1)).collect();
        assert!(absent.is_empty() && beyond.is_empty(), "{name}: lacks {absent:?}, has {beyond:?}");
    }
}

#[test]
fn what_is_wrong_with_a_checkpoint_is_named() {
    let refuse = |architecture: &str, edit: &dyn Fn(&mut Tensors), words: &str| {
        let mut tensors = parameters(architecture);
        edit(&mut tensors);
        assert_refused(open(&tensors), words);
    };
    let zeros = |shape: &[usize]| (shape.to_vec(), vec![0.0; shape.iter().product()]);
    refuse(
        "mbt2018-mean",
        &|t| _ = t.remove("h_s.4.bias"),
        "`h_s.4.bias`: expected a tensor of this name, found none",
    );
    refuse(
        "mbt2018-mean",
        &|t| _ = t.remove("g_a.6.weight"),
        "`g_a.6.weight`: expected a tensor of this name",
    );
    refuse("mbt2018-mean", &|t| _ = t.remove("entropy_bottleneck.biases.2"), "`entropy_bottleneck.biases.2`");
    refuse(
        "mbt2018-mean",
        &|t| _ = t.insert("h_s.5.bias".into(), zeros(&[3])),
        "`h_s.5.bias`: expected a tensor of mbt2018-mean",
    );
    refuse(
        "mbt2018-mean",
        &|t| _ = t.insert("optimizer.lr".into(), zeros(&[1])),
        "`optimizer.lr`: expected a tensor of mbt2018-mean",
    );
    refuse(
        "mbt2018-mean",
        &|t| t.get_mut("g_a.6.weight").expect("there").0 = vec![16 * 8, 25],
        "`g_a.6.weight`: expected 4 axes, found shape [128, 25]",
    );
    refuse(
        "mbt2018-mean",
        &|t| t.get_mut("g_s.2.weight").expect("there").0 = vec![64, 25],
        "`g_s.2.weight`: expected shape [8, 8, 5, 5], found [64, 25]",
    );
    refuse(
        "mbt2018-mean",
        &|t| _ = t.insert("g_a.0.weight".into(), zeros(&[9, 3, 5, 5])),
        "expected shape [9, 3, 1], found [8, 3, 1]",
    );
    refuse(
        "mbt2018-mean",
        &|t| _ = t.insert("g_a.0.weight".into(), zeros(&[0, 3, 5, 5])),
        "`g_a.0.weight`: expected a width from 1 to 65535",
    );
    refuse(
        "mbt2018-mean",
        &|t| _ = t.insert("g_a.0.weight".into(), zeros(&[1 << 40, 3, 0, 5])),
        "a width from 1 to 65535",
    );
    refuse(
        "mbt2018-mean",
        &|t| t.get_mut("h_a.2.bias").expect("there").1[1] = f32::NAN,
        "`h_a.2.bias`: expected finite values, found NaN at index 1",
    );
    refuse(
        "mbt2018-mean",
        &|t| *t = renamed(t, |n| n.replace("g_a.", "encoder.")),
        "expected the names of a known model",
    );
    refuse(
        "mbt2018-mean",
        &|t| _ = t.insert("gaussian_conditional.scale_bound".into(), (vec![1], vec![0.2])),
        "`gaussian_conditional.scale_bound`: expected CompressAI's constant 0.11 at index 0, found 0.2",
    );
    refuse(
        "mbt2018-mean",
        &|t| _ = t.insert("g_a.1.beta_reparam.lower_bound.bound".into(), (vec![1], vec![0.01])),
        "CompressAI's constant 0.001",
    );
    refuse(
        "mbt2018-mean",
        &|t| _ = t.insert("h_s.0.weight".into(), zeros(&[8, 15, 5, 5])),
        "`h_s.0.bias`: expected shape [15], found [16]",
    );
    refuse(
        "mbt2018",
        &|t| _ = t.insert("h_s.4.weight".into(), zeros(&[31, 24, 3, 3])),
        "`h_s.4.weight`: expected shape [32, 24, 3, 3], found [31, 24, 3, 3]",
    );
    refuse(
        "mbt2018",
        &|t| _ = t.insert("context_prediction.mask".into(), (vec![32, 16, 5, 5], vec![1.0; 12800])),
        "`context_prediction.mask`: expected CompressAI's constant 0 at index 12, found 1",
    );
    refuse(
        "bmshj2018-factorized",
        &|t| t.extend([("entropy_bottleneck._matrix0".to_string(), zeros(&[16, 3, 1]))]),
        "expected each tensor once, found it as",
    );
    refuse(
        "elic2022-official",
        &|t| _ = t.insert("latent_codec.hyper.h_s.4.weight".into(), zeros(&[32, 12, 3, 3])),
        "found elic2022-chandelier",
    );
    refuse(
        "elic2022-official",
        &|t| t.retain(|n, _| !n.starts_with("latent_codec.y.latent_codec.y3")),
        "`slices of y`: expected 16 channels in all, found 3 slices of [2, 2, 4]",
    );
    refuse("ms2020", &|t| t.retain(|n, _| !n.starts_with("cc_mean_transforms.9")), "slices");
    refuse(
        "ms2020",
        &|t| _ = t.remove("cc_scale_transforms.4.2.weight"),
        "`cc_scale_transforms.4.2.weight`: expected a tensor of this name",
    );
}

#[test]
fn tables_that_do_not_fit_are_named() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("saved.safetensors");
    small("mbt2018-mean").save(&path, Existing::Refuse).expect("saves");
    let file = TensorFile::open(&path).expect("a file");
    let mut all = Tensors::new();
    for name in file.names() {
        let shape = file.shape(name).expect("a shape").to_vec();
        let values = match file.dtype(name) {
            Some(Dtype::F32) => file.decode(name).expect("floats").values,
            _ => file.integers(name).expect("integers").values.iter().map(|&v| v as f32).collect(),
        };
        all.insert(name.into(), (shape, values));
    }
    // Whole numbers as floats are refused, and so are tables of other lengths.
    let refuse = |tensors: &Tensors, which: &str, words: &str| {
        assert_refused(open(tensors).and_then(|c| c.tables(which)), words);
    };
    refuse(&all, "entropy_bottleneck", "`entropy_bottleneck._quantized_cdf`: expected type I8 to I64");
    let empty = |tensors: &Tensors, ends: &[&str]| {
        let mut tensors = tensors.clone();
        for (name, (shape, values)) in &mut tensors {
            if ends.iter().any(|end| name.ends_with(end)) {
                (*shape, *values) = (vec![0], vec![]);
            }
        }
        tensors
    };
    let tables = ["_quantized_cdf", "_cdf_length", "_offset", "scale_table"];
    let untrained = open(&empty(&all, &tables)).expect("tables of shape (0,)");
    assert_eq!(untrained.tables("gaussian_conditional").expect("computed").n_rows(), 64, "computed tables");
    refuse(&empty(&all, &tables[..1]), "entropy_bottleneck", "`entropy_bottleneck._quantized_cdf`");
    let mut descending = empty(&all, &tables[..3]);
    descending.get_mut("gaussian_conditional.scale_table").expect("there").1.reverse();
    refuse(
        &descending,
        "gaussian_conditional",
        "`gaussian_conditional.scale_table`: expected at most 65535 scales that ascend",
    );
}

#[test]
fn damaged_files_are_refused_by_name() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("half.safetensors");
    write(&path, &parameters("mbt2018-mean"), Dtype::BF16);
    assert!(Checkpoint::open(&path).is_ok(), "16 bits without tables");
    let whole = std::fs::read(&path).expect("a file");
    std::fs::write(&path, &whole[..whole.len() / 2]).expect("writes");
    assert_refused(Checkpoint::open(&path), "half.safetensors");
    assert_refused(Checkpoint::open(&folder.path().join("none.pth")), "none.pth: cannot open");
}

#[test]
fn no_damage_to_a_file_is_more_than_an_error() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("damaged.pth");
    for name in ["trained.pth.tar", "half.pth", "double.pth"] {
        let whole = std::fs::read(data("checkpoints").join(name)).expect("a checkpoint");
        for (i, at) in (0..whole.len()).step_by(211).enumerate() {
            let mut bytes = whole.clone();
            bytes[at] ^= 1 << (i % 8);
            std::fs::write(&path, &bytes).expect("writes");
            // Values may change unseen; names, shapes and archives may not end the process.
            if let Ok(checkpoint) = Checkpoint::open(&path) {
                assert_eq!(checkpoint.architecture(), Architecture::FactorizedPrior, "byte {at} of {name}");
                let _ = checkpoint.tables("entropy_bottleneck");
            }
        }
    }
}
