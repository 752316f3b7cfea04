//! Options of allocations, and an allocation from calibration images.

use burn::tensor::Device;
use grouping_core::command::bar;

use super::images::{CalibrationArgs, VitArgs};
use kd_gqa::allocation::{AllocationConfig, AllocationState, Fidelity, Method};
use kd_gqa::calibrate::allocate_vit;
use kd_gqa::vit::Vit;
use kd_gqa::{Error, Result};

/// How a method shares.
#[derive(Debug, clap::Args)]
pub(super) struct FidelityArgs {
    /// Whose arithmetic
    #[arg(long, value_enum, default_value_t)]
    pub(super) fidelity: Fidelity,
    /// Exponent of the norms in the robust shares: 0 gives equal groups [default: 1]
    #[arg(long, value_name = "T", allow_negative_numbers = true)]
    temperature: Option<f64>,
}

impl FidelityArgs {
    /// # Errors
    /// [`Error::Setting`](grouping_core::Error::Setting) for a temperature of what is not robust, or out of range.
    pub(super) fn config(&self, method: Method, seed: u64) -> Result<AllocationConfig> {
        if let Some(temperature) = self.temperature.filter(|_| self.fidelity != Fidelity::Robust) {
            return Err(Error::setting("--temperature", "--fidelity robust with it", temperature));
        }
        let config = AllocationConfig::new(method).with_fidelity(self.fidelity).with_seed(seed);
        let config = config.with_temperature(self.temperature.unwrap_or(1.0));
        config.check()?;
        Ok(config)
    }
}

/// How a method allocates and goes on.
#[derive(Debug, clap::Args)]
pub(super) struct AllocationArgs {
    #[command(flatten)]
    pub(super) share: FidelityArgs,
    /// Window of DGQA, in batches (of 100 calibration images) [default: 300]
    #[arg(long, value_name = "W")]
    window: Option<usize>,
}

impl AllocationArgs {
    /// # Errors
    /// [`Error::Setting`](grouping_core::Error::Setting) for settings out of range.
    pub(super) fn config(&self, method: Method, seed: u64) -> Result<AllocationConfig> {
        let config = self.share.config(method, seed)?;
        let config = match self.window {
            Some(window) => config.with_window(window),
            None => config,
        };
        config.check()?;
        Ok(config)
    }

    /// # Errors
    /// [`Error::Setting`](grouping_core::Error::Setting) where something is set that only an allocation uses.
    pub(super) fn check_unused(&self) -> Result<()> {
        let set = [("--temperature", self.share.temperature.is_some()), ("--window", self.window.is_some())];
        match set.into_iter().find(|(_, is_set)| *is_set) {
            Some((option, _)) => Err(Error::setting(option, "--allocation of a method with it", "none")),
            None => Ok(()),
        }
    }
}

/// Lets `state` see the key norms of `vit` over the calibration images, if there are some.
///
/// # Errors
/// Those of [`allocate_vit`] and of the images.
pub(super) fn shown_images(
    state: AllocationState,
    vit: &Vit,
    args: &VitArgs,
    calibration: &CalibrationArgs,
    seed: u64,
) -> Result<AllocationState> {
    let Some(data) = &calibration.calibration else { return Ok(state) };
    let images = calibration.images(data, seed)?;
    let preparation = args.preparation(vit.config().image_size)?;
    let bar = bar(images.len(), "calibration images");
    let state =
        allocate_vit(vit, &images, &preparation, &Device::flex(), state, |n| bar.set_position(n as u64));
    bar.finish_and_clear();
    state
}
