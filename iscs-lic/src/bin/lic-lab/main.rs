//! `lic-lab`: the experiment bed of learned codecs. It draws procedural pictures, and codes pictures with networks and classic codecs.
//!
//! Each command parses, makes one call and sets an exit code. Everything on stdout is lines of JSON.

mod determinism;
mod rates;
mod textures;

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Context, Result, ensure};
use burn::tensor::Device;
use clap::{Parser, Subcommand};
use grouping_core::command::{self, Flags, FreedPages};
use grouping_core::train::JsonLines;
use iscs_lic::checkpoint::Checkpoint;
use iscs_lic::codec::{Codec, EncodeOptions, Padding};
use iscs_lic::measure::classic::Classic;
use iscs_lic::measure::evaluate::PictureCodec;
use iscs_lic::measure::learned::Learned;

/// A bed for experiments with learned image codecs.
///
/// Results and progress are lines of JSON on stdout. Exit codes: 0 done, 2 usage or failure.
#[derive(Debug, Parser)]
#[command(name = "lic-lab", version, args_override_self = true)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Write pictures into a folder: procedural ones, or those of Kodak.
    Pictures {
        /// Which.
        kind: PicturesName,
        /// Folder to write.
        #[arg(long)]
        out: PathBuf,
        /// How many, at most.
        #[arg(long, default_value_t = 8)]
        n: usize,
        /// Pixels a side of procedural ones.
        #[arg(long, default_value_t = 256)]
        side: usize,
        /// Seed of procedural ones.
        #[arg(long, default_value_t = 0)]
        seed: u64,
    },
    /// Code pictures with the model that is built in.
    Learned {
        /// Folder of pictures.
        #[arg(long)]
        data: PathBuf,
        /// Results to write.
        #[arg(long)]
        out: PathBuf,
    },
    /// Bytes and dB of each arithmetic.
    Costs {
        /// Folder of pictures.
        #[arg(long)]
        data: PathBuf,
    },
    /// Decode float files in arithmetic that is slightly another.
    Perturb {
        /// Folder of pictures.
        #[arg(long)]
        data: PathBuf,
        /// How many other arithmetics.
        #[arg(long, default_value = "4")]
        trials: std::num::NonZeroUsize,
        /// Units in the last place by which each weight is off.
        #[arg(long, default_value_t = 1)]
        ulps: u32,
        /// Seed of the perturbations.
        #[arg(long, default_value_t = 0)]
        seed: u64,
    },
    /// Code pictures with a classic codec at several qualities.
    Classic {
        /// Which.
        codec: ClassicName,
        /// Folder of pictures.
        #[arg(long)]
        data: PathBuf,
        /// Results to write.
        #[arg(long)]
        out: PathBuf,
        /// Its qualities; else 5,10,20,35,50,65,80,90, of JPEG 2000 24,27,30,33,36,39,42,46.
        #[arg(long, value_delimiter = ',')]
        qualities: Option<Vec<u8>>,
        /// Of AVIF: the preset, from 0 (slow) to 10 (fast); else 6.
        #[arg(long, value_parser = clap::value_parser!(u8).range(0..=10))]
        speed: Option<u8>,
    },
    /// How far the points of one codec lie above the curve of another.
    Above {
        /// Results of the one.
        own: PathBuf,
        /// Results of the other.
        anchor: PathBuf,
    },
}

#[derive(Debug, Clone, Copy, clap::ValueEnum)]
enum PicturesName {
    /// Dead leaves with textures.
    Procedural,
    /// `kodak` in $GROUPING_DATA.
    Kodak,
}

#[derive(Debug, Clone, Copy, clap::ValueEnum)]
enum ClassicName {
    /// Progressive JPEG, 4:2:0.
    Jpeg,
    /// Progressive JPEG, 4:4:4.
    Jpeg444,
    /// WebP.
    Webp,
    /// AVIF, 4:4:4.
    #[cfg(feature = "avif")]
    Avif,
    /// JPEG 2000, 4:4:4; its qualities are dB.
    #[cfg(feature = "jpeg2000")]
    Jpeg2000,
}

impl ClassicName {
    fn label(self) -> &'static str {
        match self {
            Self::Jpeg => "JPEG 4:2:0",
            Self::Jpeg444 => "JPEG 4:4:4",
            Self::Webp => "WebP",
            #[cfg(feature = "avif")]
            Self::Avif => "AVIF",
            #[cfg(feature = "jpeg2000")]
            Self::Jpeg2000 => "JPEG 2000",
        }
    }

    /// Qualities of a curve, unless others are given.
    fn qualities(self) -> [u8; 8] {
        match self {
            #[cfg(feature = "jpeg2000")]
            Self::Jpeg2000 => [24, 27, 30, 33, 36, 39, 42, 46],
            _ => [5, 10, 20, 35, 50, 65, 80, 90],
        }
    }

    /// At a quality, and with the preset where there are presets.
    fn at(self, quality: u8, speed: Option<u8>) -> Result<Classic> {
        let at = match self {
            Self::Jpeg => Classic::Jpeg { quality, halves_color: true },
            Self::Jpeg444 => Classic::Jpeg { quality, halves_color: false },
            Self::Webp => Classic::WebP { quality },
            #[cfg(feature = "avif")]
            Self::Avif => return Ok(Classic::Avif { quality, speed: speed.unwrap_or(6) }),
            #[cfg(feature = "jpeg2000")]
            Self::Jpeg2000 => Classic::Jpeg2000 { quality },
        };
        ensure!(speed.is_none(), "--speed: expected with avif, found with {}", self.label());
        Ok(at)
    }
}

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    command::freed_pages(FreedPages::Kept);
    let flags = Flags {
        renamed: &[],
        wrapped: |cause| cause.downcast_ref::<iscs_lic::Error>().and_then(iscs_lic::Error::core),
        is_of_settings: |_| false,
    };
    command::run(flags, |cli: Cli| execute(cli.command))
}

fn execute(command: Command) -> Result<()> {
    let mut lines = JsonLines::new(std::io::stdout());
    match command {
        Command::Pictures { kind: PicturesName::Procedural, out, n, side, seed } => {
            textures::write(&out, n, side, seed)?;
        }
        Command::Pictures { kind: PicturesName::Kodak, out, n, .. } => rates::copy_kodak(&out, n)?,
        Command::Learned { data, out } => {
            let codec = Codec::load(&Checkpoint::default_model()?, &Device::flex())?;
            let options = EncodeOptions { padding: Padding::Zeros, ..EncodeOptions::default() };
            let learned: Box<dyn PictureCodec + '_> = Box::new(Learned::new(&codec, options));
            let name = codec.architecture().name();
            rates::measure(name, &[(format!("{name}, built in"), learned)], &data, &out, &mut lines)?;
        }
        Command::Costs { data } => determinism::costs(&data, &mut lines)?,
        Command::Perturb { data, trials, ulps, seed } => {
            determinism::perturb(&data, trials.get(), ulps, seed, &mut lines)?;
        }
        Command::Classic { codec, data, out, qualities, speed } => {
            let at = |&quality: &u8| -> Result<(String, Box<dyn PictureCodec>)> {
                Ok((format!("{}, quality {quality}", codec.label()), Box::new(codec.at(quality, speed)?)))
            };
            let qualities = qualities.unwrap_or_else(|| codec.qualities().to_vec());
            let codecs = qualities.iter().map(at).collect::<Result<Vec<_>>>()?;
            let name = codec.at(50, speed)?.name();
            rates::measure(&name, &codecs, &data, &out, &mut lines)?;
        }
        Command::Above { own, anchor } => rates::above(&own, &anchor, &mut lines)?,
    }
    lines.finish().context("standard output")?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    #[test]
    fn the_command_line_is_consistent() {
        super::Cli::command().debug_assert();
    }
}
