//! Which model codes, on which device, and in which arithmetic: options that several commands share.

use std::path::PathBuf;

use burn::tensor::Device;
use grouping_core::device::DeviceSpec;
use iscs_lic::checkpoint::Checkpoint;
use iscs_lic::codec::Codec;
use iscs_lic::container::Mode;
use iscs_lic::picture::{ReadOptions, Transparency};

#[derive(Debug, clap::Args)]
pub(super) struct ModelArgs {
    /// A checkpoint of CompressAI (.pth, .pth.tar, .safetensors); without it a small model that is built in, for trying
    #[arg(long, value_name = "FILE")]
    model: Option<PathBuf>,
    /// Compute the entropy coder's tables anew instead of using those in the checkpoint
    #[arg(long)]
    update: bool,
    /// Where networks in floating point run: flex, wgpu[:index], vulkan[:index] or cuda[:index]
    #[arg(long, default_value = "flex")]
    device: DeviceSpec,
}

impl ModelArgs {
    pub(super) fn is_built_in(&self) -> bool {
        self.model.is_none()
    }

    /// The checkpoint, with tables as asked.
    pub(super) fn checkpoint(&self) -> anyhow::Result<Checkpoint> {
        let checkpoint = match &self.model {
            Some(path) => Checkpoint::open(path)?,
            None => Checkpoint::default_model()?,
        };
        Ok(if self.update { checkpoint.updated()? } else { checkpoint })
    }

    pub(super) fn device(&self) -> anyhow::Result<Device> {
        Ok(self.device.open()?)
    }

    pub(super) fn codec(&self) -> anyhow::Result<Codec> {
        Ok(Codec::load(&self.checkpoint()?, &self.device()?)?)
    }
}

/// What is computed in integers.
#[derive(Debug, Clone, Copy, clap::ValueEnum)]
pub(super) enum Deterministic {
    /// Whatever decides a symbol: every machine decodes the same latents
    Symbols,
    /// All of the decoder: every machine decodes the same picture
    Pixels,
}

/// The arithmetic that was asked for.
pub(super) fn mode(deterministic: Option<Deterministic>) -> Mode {
    match deterministic {
        None => Mode::Float,
        Some(Deterministic::Symbols) => Mode::Symbols,
        Some(Deterministic::Pixels) => Mode::Pixels,
    }
}

#[derive(Debug, clap::Args)]
pub(super) struct PictureArgs {
    /// Lay pixels that are not opaque over this colour (R,G,B from 0 to 255); without it a file with such pixels is refused
    #[arg(long, value_name = "R,G,B", value_parser = rgb)]
    background: Option<[u8; 3]>,
    /// Leave pixels as they are stored, although the file says how the camera was held
    #[arg(long)]
    as_stored: bool,
}

impl PictureArgs {
    /// The flag that was given, if one was.
    pub(super) fn given(&self) -> Option<&'static str> {
        match (self.background, self.as_stored) {
            (Some(_), _) => Some("--background"),
            (None, true) => Some("--as-stored"),
            (None, false) => None,
        }
    }

    pub(super) fn options(&self) -> ReadOptions {
        let transparency = self.background.map_or(Transparency::Refuse, Transparency::Over);
        ReadOptions { transparency, as_stored: self.as_stored }
    }
}

fn rgb(text: &str) -> Result<[u8; 3], String> {
    let parts: Result<Vec<u8>, _> = text.split(',').map(|part| part.trim().parse::<u8>()).collect();
    let parts = parts.ok().and_then(|parts| <[u8; 3]>::try_from(parts).ok());
    parts.ok_or_else(|| "expected three numbers from 0 to 255, as 255,255,255".to_owned())
}
