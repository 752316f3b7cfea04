//! Names of devices, and what opening one says where it is missing.

use grouping_core::Error;
use grouping_core::device::DeviceSpec;
use proptest::prelude::*;

/// The preferred adapter of wgpu, or `None` (and a line that says so) where the machine has none.
#[cfg(feature = "wgpu")]
pub(crate) fn adapter(test: &str) -> Option<burn::tensor::Device> {
    match (DeviceSpec::Wgpu { index: None }).open() {
        Ok(device) => Some(device),
        Err(error) => {
            let found = burn::tensor::Device::enumerate(burn::tensor::DeviceType::Wgpu).into_vec();
            assert!(found.is_empty(), "an adapter is there, but {error}");
            // Past the capture of passing tests, so that it is seen and counted.
            let line = format!("skipped: {test} needs an adapter: {error}\n");
            let _ = std::io::Write::write_all(&mut std::io::stderr(), line.as_bytes());
            None
        }
    }
}

#[test]
fn device_names_are_read_and_written_alike() {
    for (name, spec) in [
        ("flex", DeviceSpec::Flex),
        ("wgpu", DeviceSpec::Wgpu { index: None }),
        ("wgpu:0", DeviceSpec::Wgpu { index: Some(0) }),
        ("vulkan", DeviceSpec::Vulkan { index: None }),
        ("vulkan:3", DeviceSpec::Vulkan { index: Some(3) }),
        ("cuda", DeviceSpec::Cuda { index: None }),
        ("cuda:12", DeviceSpec::Cuda { index: Some(12) }),
    ] {
        assert_eq!(name.parse(), Ok(spec), "reading {name}");
        assert_eq!(spec.to_string(), name, "writing {spec:?}");
    }
}

#[test]
fn a_name_that_is_no_device_is_refused_with_what_is_accepted() {
    for input in [
        "",
        ":",
        "gpu",
        "Flex",
        "flex:0",
        "cuda:",
        "cuda:-1",
        "cuda:+1",
        "cuda: 1",
        "cuda:1:2",
        "wgpu:x",
        "cuda:99999999999999999999999",
    ] {
        let error = input.parse::<DeviceSpec>().expect_err("no device has this name");
        assert_eq!(error, Error::UnknownDevice { input: input.to_owned() }, "{input}");
        let message = error.to_string();
        assert!(
            message.contains(&format!("`{input}`")) && message.contains("cuda[:index]"),
            "the message names the input and what is accepted: {message}"
        );
    }
}

proptest! {
    #[test]
    fn a_device_name_that_parses_is_written_back(name in "(flex|wgpu|vulkan|cuda|gpu)(:[0-9a]{0,3})?") {
        if let Ok(spec) = name.parse::<DeviceSpec>() {
            let again = spec.to_string().parse::<DeviceSpec>();
            prop_assert_eq!(again, Ok(spec), "{} and {}", name, spec);
        }
    }
}

#[test]
fn the_cpu_device_opens() {
    let device = DeviceSpec::default().open().expect("the CPU is always there");
    let sum: f32 = burn::tensor::Tensor::<1>::ones([3], &device).sum().into_scalar();
    assert_eq!(sum, 3.0, "a sum on {device:?}");
}

#[test]
fn a_device_that_is_not_compiled_in_names_its_feature() {
    let specs = [
        (cfg!(feature = "wgpu"), "wgpu"),
        (cfg!(feature = "vulkan"), "vulkan"),
        (cfg!(feature = "cuda"), "cuda"),
    ];
    for (compiled, feature) in specs {
        let device = format!("{feature}:7");
        let spec: DeviceSpec = device.parse().expect("a device");
        let error = spec.open().expect_err("no machine has eight of them");
        if compiled {
            assert!(matches!(&error, Error::NoDevice { device: d, .. } if *d == device), "{error}");
        } else {
            assert_eq!(error, Error::DeviceNotCompiled { device, feature });
        }
    }
}

#[cfg(feature = "wgpu")]
mod wgpu {
    //! Software Vulkan serves as an adapter, see `.ci/run`; where there is none, opening must say so.

    use burn::tensor::{Device, DeviceType, Tensor};
    use grouping_core::device::DeviceSpec;

    #[test]
    fn a_wgpu_device_opens_as_often_as_it_is_asked_for_or_says_why_not() {
        let found = Device::enumerate(DeviceType::Wgpu).into_vec().len();
        for name in ["wgpu", "wgpu:0", "wgpu"] {
            let spec: DeviceSpec = name.parse().expect("a device");
            match spec.open() {
                Ok(device) => {
                    assert!(found > 0, "{name} opened without an adapter");
                    let sum: f32 = Tensor::<1>::ones([5], &device).sum().into_scalar();
                    assert_eq!(sum, 5.0, "a sum on {name}");
                }
                Err(error) => {
                    assert_eq!(found, 0, "{name} did not open beside {found} adapters: {error}");
                    assert!(error.to_string().contains(&format!("`{name}` is not available")), "{error}");
                }
            }
        }
        let beyond = DeviceSpec::Wgpu { index: Some(found) };
        let error = beyond.open().expect_err("one past the last adapter");
        assert!(error.to_string().contains(&format!("found {found} device")), "{error}");
    }
}
