//! Devices by name: `flex`, `wgpu[:i]`, `vulkan[:i]`, `cuda[:i]` → an opened device, or an error that says what is missing.
//!
//! Burn opens a device at its first use, and where there is none it panics in a thread of its own. Here a device is
//! looked for, and opened, before anything runs on it.

use std::fmt;
use std::str::FromStr;

use burn::tensor::Device;

use crate::{Error, Result};

/// A device as a user names it; the index counts the adapters or GPUs that the backend finds, from 0.
///
/// ```
/// use grouping_core::device::DeviceSpec;
///
/// let spec: DeviceSpec = "cuda:1".parse()?;
/// assert_eq!(spec, DeviceSpec::Cuda { index: Some(1) });
/// assert_eq!(spec.to_string(), "cuda:1");
/// assert!("gpu".parse::<DeviceSpec>().unwrap_err().to_string().contains("unknown device `gpu`"));
/// # #[cfg(feature = "flex")]
/// let cpu = DeviceSpec::default().open()?;
/// # Ok::<(), grouping_core::Error>(())
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum DeviceSpec {
    /// The CPU.
    #[default]
    Flex,
    /// A GPU through the graphics interface that wgpu prefers here.
    Wgpu {
        /// The adapter; absent: the one that wgpu prefers.
        index: Option<usize>,
    },
    /// A GPU through Vulkan.
    Vulkan {
        /// The adapter; absent: the one that wgpu prefers.
        index: Option<usize>,
    },
    /// An NVIDIA GPU.
    Cuda {
        /// The GPU; absent: the first.
        index: Option<usize>,
    },
}

impl FromStr for DeviceSpec {
    type Err = Error;

    /// # Errors
    /// [`Error::UnknownDevice`] of anything but `flex`, `wgpu[:i]`, `vulkan[:i]`, `cuda[:i]`.
    fn from_str(input: &str) -> Result<Self> {
        let unknown = || Error::UnknownDevice { input: input.to_owned() };
        let (name, index) = match input.split_once(':') {
            Some((name, digits)) if digits.bytes().all(|b| b.is_ascii_digit()) => {
                (name, Some(digits.parse().map_err(|_| unknown())?))
            }
            Some(_) => return Err(unknown()),
            None => (input, None),
        };
        match name {
            "flex" if index.is_none() => Ok(Self::Flex),
            "wgpu" => Ok(Self::Wgpu { index }),
            "vulkan" => Ok(Self::Vulkan { index }),
            "cuda" => Ok(Self::Cuda { index }),
            _ => Err(unknown()),
        }
    }
}

impl fmt::Display for DeviceSpec {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.feature())?;
        match self {
            Self::Wgpu { index: Some(i) }
            | Self::Vulkan { index: Some(i) }
            | Self::Cuda { index: Some(i) } => write!(f, ":{i}"),
            _ => Ok(()),
        }
    }
}

impl DeviceSpec {
    /// The feature of this crate that compiles the backend in, which is also its name.
    fn feature(&self) -> &'static str {
        match self {
            Self::Flex => "flex",
            Self::Wgpu { .. } => "wgpu",
            Self::Vulkan { .. } => "vulkan",
            Self::Cuda { .. } => "cuda",
        }
    }

    /// Finds and opens the device.
    ///
    /// # Errors
    /// [`Error::DeviceNotCompiled`] if the backend's feature is off, [`Error::NoDevice`] if there is no such adapter or it
    /// cannot be opened.
    pub fn open(&self) -> Result<Device> {
        match *self {
            #[cfg(feature = "flex")]
            Self::Flex => Ok(Device::flex()),
            #[cfg(feature = "wgpu")]
            Self::Wgpu { index } => {
                use burn::tensor::DeviceType;
                wgpu::open(self, DeviceType::Wgpu, wgpu::Api::Auto, index)
            }
            #[cfg(feature = "vulkan")]
            Self::Vulkan { index } => {
                use burn::tensor::DeviceType;
                wgpu::open(self, DeviceType::Vulkan, wgpu::Api::Vulkan, index)
            }
            #[cfg(feature = "cuda")]
            Self::Cuda { index } => cuda::open(self, index.unwrap_or(0)),
            #[allow(unreachable_patterns, reason = "with every backend compiled in")]
            _ => Err(Error::DeviceNotCompiled { device: self.to_string(), feature: self.feature() }),
        }
    }

    #[cfg(any(feature = "wgpu", feature = "cuda"))]
    fn missing(&self, reason: String) -> Error {
        Error::NoDevice { device: self.to_string(), reason }
    }

    /// The `index`-th of the devices that were found.
    #[cfg(any(feature = "wgpu", feature = "cuda"))]
    fn pick(&self, found: Vec<Device>, index: usize) -> Result<Device> {
        let n_found = found.len();
        found.into_iter().nth(index).ok_or_else(|| {
            let plural = if n_found == 1 { "" } else { "s" };
            self.missing(format!("found {n_found} device{plural}"))
        })
    }
}

#[cfg(feature = "wgpu")]
mod wgpu {
    //! Adapters of wgpu, opened once each: wgpu registers a device for the life of the process.

    use std::sync::{Mutex, PoisonError};

    pub(super) use burn::tensor::wgpu::WgpuBackend as Api;

    use burn::backend::{CubeDevice, DispatchDevice, WgpuDeviceKind};
    use burn::tensor::{Device, DeviceKind, DeviceType};

    use super::DeviceSpec;
    use crate::Result;

    static OPENED: Mutex<Vec<(Api, DeviceKind, Device)>> = Mutex::new(Vec::new());

    pub(super) fn open(
        spec: &DeviceSpec,
        device_type: DeviceType,
        api: Api,
        index: Option<usize>,
    ) -> Result<Device> {
        let kind = match index {
            None => DeviceKind::DefaultDevice,
            Some(index) => {
                let device = spec.pick(Device::enumerate(device_type).into_vec(), index)?;
                kind(&device).ok_or_else(|| spec.missing(format!("{device:?} has no kind to open it by")))?
            }
        };
        // A panic elsewhere leaves the list whole: it only grows, by complete entries.
        let mut opened = OPENED.lock().unwrap_or_else(PoisonError::into_inner);
        let known = opened.iter().find(|(a, k, _)| *a == api && *k == kind);
        if let Some((_, _, device)) = known {
            return Ok(device.clone());
        }
        let device = Device::wgpu_options()
            .graphics_api(api)
            .device_kind(kind.clone())
            .init()
            .map_err(|error| spec.missing(error.to_string()))?;
        opened.push((api, kind, device.clone()));
        Ok(device)
    }

    fn kind(device: &Device) -> Option<DeviceKind> {
        let DispatchDevice::Cube(CubeDevice::Wgpu(device)) = device.as_dispatch() else {
            return None;
        };
        match device.kind {
            WgpuDeviceKind::DiscreteGpu(index) => Some(DeviceKind::DiscreteGpu(index)),
            WgpuDeviceKind::IntegratedGpu(index) => Some(DeviceKind::IntegratedGpu(index)),
            WgpuDeviceKind::VirtualGpu(index) => Some(DeviceKind::VirtualGpu(index)),
            WgpuDeviceKind::Cpu => Some(DeviceKind::Cpu),
            _ => None,
        }
    }
}

#[cfg(feature = "cuda")]
mod cuda {
    //! GPUs of the CUDA driver; without a driver there is none.

    use std::panic::{AssertUnwindSafe, catch_unwind};

    use burn::tensor::{Device, DeviceType};

    use super::DeviceSpec;
    use crate::Result;

    pub(super) fn open(spec: &DeviceSpec, index: usize) -> Result<Device> {
        let device = spec.pick(Device::enumerate(DeviceType::Cuda).into_vec(), index)?;
        // A driver that lists a GPU may still refuse it, at first use, with a panic.
        match catch_unwind(AssertUnwindSafe(|| device.sync())) {
            Ok(Ok(())) => Ok(device),
            Ok(Err(error)) => Err(spec.missing(error.to_string())),
            Err(_) => Err(spec.missing("the driver refused it".to_owned())),
        }
    }
}
