//! `iscs-lic analyze`.

use std::ops::ControlFlow;
use std::path::{Path, PathBuf};

use anyhow::Context;
use burn::tensor::Device;
use grouping_core::command::{bar, check_output, say};
use grouping_core::device::DeviceSpec;
use grouping_core::files::output::{Existing, write_text};
use grouping_core::image::files_below;
use iscs_lic::channels::{
    Ablation, AblationSource, Agreement, Core, PinkNoise, Preset, Profile, ablate, latent_variances,
    pink_noise, scores,
};
use iscs_lic::checkpoint::Checkpoint;
use iscs_lic::codec::Codec;
use iscs_lic::picture::Picture;

use super::channel_plots::plot;
use super::channel_report::{print_json, print_tables};
use super::model::PictureArgs;

#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// A checkpoint of CompressAI (.pth, .pth.tar, .safetensors); without it the small model that is built in
    #[arg(value_name = "MODEL")]
    model: Option<PathBuf>,
    /// What scores the channels
    #[arg(long, value_enum, default_value_t = PresetName::EntropyHead)]
    preset: PresetName,
    /// How many channels are salient: share=P of all, those deviations=K above the mean, or those with mass=P of the sum of scores
    #[arg(long, value_name = "RULE", default_value = "share=0.25")]
    core: Core,
    /// Correlation with a channel of the core from which on another is redundant
    #[arg(long, value_name = "R", default_value_t = iscs_lic::channels::REDUNDANT, value_parser = correlation)]
    redundant: f64,
    /// Take each channel away on --pictures, and show how well statistics and presets find what that costs
    #[arg(long)]
    oracle: bool,
    /// A picture, or a folder of pictures, for --oracle and the presets oracle and energy
    #[arg(long, value_name = "DIR")]
    pictures: Option<PathBuf>,
    /// Use the first N pictures by name
    #[arg(long, value_name = "N", requires = "pictures")]
    limit: Option<std::num::NonZeroUsize>,
    /// Use the middle of each picture, of SIDE × SIDE pixels
    #[arg(long, value_name = "SIDE", requires = "pictures")]
    crop: Option<std::num::NonZeroUsize>,
    #[command(flatten)]
    source: PictureArgs,
    /// Where the ablation is kept while it runs and for the next time [default: ablation-….json in the working folder, by model and pictures]
    #[arg(long, value_name = "FILE.json", requires = "pictures")]
    cache: Option<PathBuf>,
    /// Of the synthetic pictures of the preset pink-noise [default: 0]
    #[arg(long)]
    seed: Option<u64>,
    /// Where networks run: flex, wgpu[:index], vulkan[:index] or cuda[:index] [default: flex]
    #[arg(long)]
    device: Option<DeviceSpec>,
    /// Draw scores by rank, the kernels' correlations and, with the ablation, its agreement with the scores, as SVG
    #[arg(long, value_name = "FILE.svg")]
    plot: Option<PathBuf>,
    /// Replace a plot that exists
    #[arg(long)]
    force: bool,
    /// Show all channels, not the first sixteen
    #[arg(long)]
    all: bool,
    /// Print one JSON object
    #[arg(long)]
    json: bool,
}

/// A preset, as the command names it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum PresetName {
    /// Variance of the weights that write a channel, and magnitude of its bias: what the paper's abstract names
    Literal,
    /// Variance of the weights that give a channel's scale
    EntropyHead,
    /// Both
    Combined,
    /// Both, by rank
    Rank,
    /// Variance of y on eight synthetic pictures
    PinkNoise,
    /// Variance of y on --pictures
    Energy,
    /// Growth of the error on --pictures without the channel
    Oracle,
}

impl PresetName {
    fn preset(self) -> Preset {
        match self {
            Self::Literal => Preset::Literal,
            Self::EntropyHead => Preset::EntropyHead,
            Self::Combined => Preset::Combined,
            Self::Rank => Preset::Rank,
            Self::PinkNoise => Preset::PinkNoise,
            Self::Energy => Preset::Energy,
            Self::Oracle => Preset::Oracle,
        }
    }
}

fn correlation(text: &str) -> Result<f64, String> {
    let number = text.parse::<f64>().ok().filter(|number| (0.0..=1.0).contains(number));
    number.ok_or_else(|| "expected a number from 0 to 1".to_owned())
}

/// What was found.
pub(super) struct Found {
    pub(super) checkpoint: Checkpoint,
    pub(super) preset: Preset,
    pub(super) core: Core,
    pub(super) redundant: f64,
    pub(super) profile: Profile,
    /// Where it was asked for.
    pub(super) ablated: Option<Ablated>,
}

/// An ablation, and how well each score finds what it finds.
pub(super) struct Ablated {
    pub(super) n_pictures: usize,
    pub(super) ablation: Ablation,
    pub(super) agreements: Vec<(&'static str, Agreement)>,
}

pub(super) fn run(args: &Args) -> anyhow::Result<()> {
    let preset = args.preset.preset();
    args.check(preset)?;
    let existing = Existing::replaced_if(args.force);
    if let Some(path) = &args.plot {
        existing.check(path)?;
        let inputs: Vec<&PathBuf> = args.model.iter().collect();
        check_output(path, "svg", &inputs)?;
    }
    let checkpoint = match &args.model {
        Some(path) => Checkpoint::open(path)?,
        None => Checkpoint::default_model()?,
    };
    let found = args.find(checkpoint, preset)?;
    if let Some(path) = &args.plot {
        write_text(path, existing, &plot(&found)?)?;
    }
    if args.json { print_json(&found) } else { print_tables(&found, args.all) }
}

impl Args {
    /// Refuses flags that would do nothing, and the lack of those that are needed.
    fn check(&self, preset: Preset) -> anyhow::Result<()> {
        let takes_pictures = self.ablates(preset) || preset == Preset::Energy;
        let wanted = "--oracle, --preset oracle or --preset energy";
        if takes_pictures && self.pictures.is_none() {
            let by = if self.oracle { "--oracle".into() } else { format!("--preset {preset}") };
            anyhow::bail!("--pictures: expected a folder with {by}, found none");
        }
        anyhow::ensure!(
            takes_pictures || self.pictures.is_none(),
            "--pictures: expected with {wanted}, found with --preset {preset}"
        );
        if let Some(flag) = self.source.given().filter(|_| !takes_pictures) {
            anyhow::bail!("{flag}: expected with {wanted}, found with --preset {preset}");
        }
        anyhow::ensure!(
            self.ablates(preset) || self.cache.is_none(),
            "--cache: expected with --oracle or --preset oracle, found with --preset {preset}"
        );
        anyhow::ensure!(
            self.ablates(preset) || preset == Preset::PinkNoise || self.seed.is_none(),
            "--seed: expected with --preset pink-noise or --oracle, found with --preset {preset}"
        );
        anyhow::ensure!(
            takes_pictures || preset == Preset::PinkNoise || self.device.is_none(),
            "--device: expected with a preset that runs networks, found with --preset {preset}"
        );
        Ok(())
    }

    fn ablates(&self, preset: Preset) -> bool {
        self.oracle || preset == Preset::Oracle
    }

    /// Scores the channels, and takes each away where that was asked for.
    fn find(&self, checkpoint: Checkpoint, preset: Preset) -> anyhow::Result<Found> {
        let (core, redundant) = (self.core, self.redundant);
        let by_parameters = || scores(&checkpoint, preset).with_context(|| format!("--preset {preset}"));
        if preset.formula().is_some() && !self.oracle {
            let profile = Profile::new(&checkpoint, by_parameters()?, core)?;
            return Ok(Found { checkpoint, preset, core, redundant, profile, ablated: None });
        }
        // What cannot be scored is refused before hours of ablation.
        let scored = preset.formula().is_some().then(by_parameters).transpose()?;
        let device = self.device.as_ref().map_or(Ok(Device::flex()), DeviceSpec::open)?;
        let codec = Codec::load(&checkpoint, &device)?;
        let noise = || pink_noise(&PinkNoise::default().with_seed(self.seed.unwrap_or(0)));
        let pictures =
            self.pictures.as_deref().map(|place| self.read(place)).transpose()?.unwrap_or_default();
        let ablation = match self.ablates(preset) {
            true => Some(self.ablation(&codec, &pictures)?),
            false => None,
        };
        let by_networks = |preset: Preset| match preset {
            Preset::PinkNoise => latent_variances(&codec, &noise()?),
            _ => latent_variances(&codec, &pictures),
        };
        let scored = match (scored, &ablation) {
            (Some(scored), _) => scored,
            (None, Some(ablation)) if preset == Preset::Oracle => ablation.delta_mse.clone(),
            (None, _) => by_networks(preset)?,
        };
        let profile = Profile::new(&checkpoint, scored, core)?;
        let ablated = match ablation {
            None => None,
            Some(ablation) => {
                let mut others = vec![];
                for other in [Preset::PinkNoise, Preset::Energy] {
                    let scores = if other == preset { profile.scores.clone() } else { by_networks(other)? };
                    others.push((other.name(), scores));
                }
                others.push(("bits", ablation.bits.clone()));
                let Ablation { delta_mse, bits, .. } = &ablation;
                let agreements = profile.agreements(&checkpoint, &others, delta_mse, bits);
                Some(Ablated { n_pictures: pictures.len(), agreements, ablation })
            }
        };
        Ok(Found { checkpoint, preset, core, redundant, profile, ablated })
    }

    /// The pictures, each cut where that was asked for.
    fn read(&self, place: &Path) -> anyhow::Result<Vec<Picture>> {
        let mut files = if place.is_dir() { files_below(place)? } else { vec![place.to_owned()] };
        anyhow::ensure!(!files.is_empty(), "{}: expected pictures, found none", place.display());
        files.truncate(self.limit.map_or(usize::MAX, usize::from));
        let read = |path: &PathBuf| -> anyhow::Result<Picture> {
            let (picture, notes) = Picture::read(path, &self.source.options())?;
            for note in notes {
                say(format_args!("note: {}: {note}", path.display()));
            }
            match self.crop.map(usize::from) {
                Some(side) => picture.middle(side, side).with_context(|| path.display().to_string()),
                None => Ok(picture),
            }
        };
        files.iter().map(read).collect()
    }

    /// Takes each channel away, or goes on with what is kept.
    fn ablation(&self, codec: &Codec, pictures: &[Picture]) -> anyhow::Result<Ablation> {
        let file = self
            .cache
            .clone()
            .unwrap_or_else(|| PathBuf::from(AblationSource::new(codec.checkpoint(), pictures).file_name()));
        let bar = bar(codec.checkpoint().m(), "channels");
        let ablation = ablate(codec, pictures, &file, |n_done, _| {
            bar.set_position(n_done as u64);
            ControlFlow::Continue(())
        });
        bar.finish_and_clear();
        ablation?.context("the ablation ended early")
    }
}
