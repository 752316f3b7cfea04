//! Networks in floating point on a device, and files that the CPU decodes.

use burn::tensor::{Device, DeviceType};
use grouping_core::device::DeviceSpec;
use iscs_lic::Error;
use iscs_lic::checkpoint::Checkpoint;
use iscs_lic::codec::{Codec, EncodeOptions};
use iscs_lic::container::Mode;
use iscs_lic::picture::Picture;

use crate::classic::picture;
use crate::commands::{answers, run};
use crate::recipe::small;

/// The preferred adapter of wgpu, or `None` (and a line that says so) where the machine has none.
fn adapter(test: &str) -> Option<Device> {
    match (DeviceSpec::Wgpu { index: None }).open() {
        Ok(device) => Some(device),
        Err(error) => {
            let found = Device::enumerate(DeviceType::Wgpu).into_vec();
            assert!(found.is_empty(), "an adapter is there, but {error}");
            // Past the capture of passing tests, so that it is seen and counted.
            let line = format!("skipped: {test} needs an adapter: {error}\n");
            let _ = std::io::Write::write_all(&mut std::io::stderr(), line.as_bytes());
            None
        }
    }
}

/// The samples that differ, and the greatest difference.
fn differences(a: &Picture, b: &Picture) -> (usize, u8) {
    let off = a.rgb().iter().zip(b.rgb()).map(|(a, b)| a.abs_diff(*b)).filter(|off| *off > 0);
    off.fold((0, 0), |(n, most), off| (n + 1, most.max(off)))
}

#[test]
fn what_a_device_encodes_in_integers_the_cpu_decodes_to_the_same() {
    let Some(gpu) = adapter("what_a_device_encodes_in_integers_the_cpu_decodes_to_the_same") else { return };
    let models = [
        ("the built-in model", Checkpoint::default_model().expect("the model")),
        ("bmshj2018-hyperprior", small("bmshj2018-hyperprior")),
        ("elic2022-official", small("elic2022-official")),
    ];
    for (name, checkpoint) in models {
        let on_gpu = Codec::load(&checkpoint, &gpu).expect("loads on the device");
        let on_cpu = Codec::load(&checkpoint, &Device::flex()).expect("loads on the CPU");
        let picture = picture(100, 70);
        let coded = |mode| {
            let options = EncodeOptions { mode, ..EncodeOptions::default() };
            let made = on_gpu.reconstruct(&picture, &options).unwrap_or_else(|e| panic!("{name}: {e}"));
            let decoded = on_cpu.decode(&made.coded).unwrap_or_else(|e| panic!("{name}, {mode:?}: {e}"));
            (made, decoded)
        };
        let (made, decoded) = coded(Mode::Pixels);
        assert_eq!(decoded, made.picture, "{name}: the encoder's own picture, every sample");
        let (made, decoded) = coded(Mode::Symbols);
        // The latents are equal; what each makes of them in floats rounds now and then to another sample.
        let (n, most) = differences(&decoded, &made.picture);
        assert!(most <= 1 && n * 100 <= decoded.rgb().len(), "{name}: {n} samples differ, by up to {most}");
        let again = on_gpu.decode(&made.coded).expect("decodes on the device");
        assert_eq!(again, made.picture, "{name}: on the device itself, every sample");
    }
}

#[test]
fn what_a_device_encodes_in_floats_is_decoded_or_refused() {
    let Some(gpu) = adapter("what_a_device_encodes_in_floats_is_decoded_or_refused") else { return };
    let checkpoint = Checkpoint::default_model().expect("the model");
    let on_gpu = Codec::load(&checkpoint, &gpu).expect("loads on the device");
    let on_cpu = Codec::load(&checkpoint, &Device::flex()).expect("loads on the CPU");
    for (width, height) in [(64, 64), (200, 130), (333, 90)] {
        let made = on_gpu.reconstruct(&picture(width, height), &EncodeOptions::default()).expect("encodes");
        assert_eq!(on_gpu.decode(&made.coded).expect("decodes"), made.picture, "on the device itself");
        match on_cpu.decode(&made.coded) {
            Ok(decoded) => {
                let (n, most) = differences(&decoded, &made.picture);
                assert!(most <= 1 && n * 100 <= decoded.rgb().len(), "{n} samples differ, by up to {most}");
            }
            Err(Error::Container { field, .. }) if field.starts_with("index hash") => {}
            Err(other) => panic!("{width}×{height}: {other}"),
        }
    }
}

#[test]
fn the_command_encodes_on_a_device() {
    if adapter("the_command_encodes_on_a_device").is_none() {
        return;
    }
    let folder = tempfile::tempdir().expect("a folder");
    let place = folder.path();
    let write = |name: &str, picture: &Picture| {
        picture.write_png(&place.join(name), grouping_core::files::output::Existing::Refuse).expect("a file");
    };
    write("a.png", &picture(90, 60));
    for what in ["symbols", "pixels"] {
        answers(
            place,
            &format!("encode a.png -o {what}.iscs --deterministic {what} --device wgpu --check"),
            0,
            "dB",
        );
        answers(place, &format!("decode {what}.iscs -o {what}.png"), 0, what);
    }
    answers(place, "decode pixels.iscs -o device.png --device wgpu", 0, "device.png");
    answers(place, "verify pixels.iscs --decoded device.png", 0, "the decoded picture is equal");
    answers(place, "encode a.png -o float.iscs --device wgpu", 0, "float.iscs");
    match run(place, "decode float.iscs -o float.png") {
        (Some(0), _) => assert!(place.join("float.png").exists(), "a picture"),
        (status, said) => {
            assert!(status == Some(2) && said.contains("other tables"), "{status:?}: {said}");
            assert!(!place.join("float.png").exists(), "no picture");
        }
    }
}
