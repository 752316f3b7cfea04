//! A network of a checkpoint, ready to run on planes, whole or in strips.

use burn::module::Module;
use burn::tensor::{Device, Tensor, TensorData};

use super::Planes;
use super::blocks::Step;
use super::convolution::Conv;
use super::reach::Reach;
use crate::Result;
use crate::checkpoint::{self, CONTEXT_KERNEL, Checkpoint, Context, Layer, Network};

/// Values of the widest layer that a strip of latents may have, where it has more rows than [`LEAST_ROWS`].
const STRIP_VALUES: usize = 16 << 20;
/// Rows of latents below which neighbouring strips would compute much of each other.
const LEAST_ROWS: usize = 16;

/// Layers one after another.
#[derive(Module, Debug)]
pub struct Sequence {
    steps: Vec<Step>,
}

impl Sequence {
    /// The network of a checkpoint.
    ///
    /// # Errors
    /// As [`Checkpoint::tensor`].
    pub fn load(checkpoint: &Checkpoint, network: &Network, device: &Device) -> Result<Self> {
        let steps = network
            .named()
            .map(|(name, layer)| Step::load(checkpoint, &name, layer, device))
            .collect::<Result<_>>()?;
        Ok(Self { steps })
    }

    /// The output of `x [b, in, h, w]`.
    ///
    /// A convolution applies the activation function behind it.
    pub fn forward(&self, x: Tensor<4>) -> Tensor<4> {
        let (mut x, mut steps) = (x, self.steps.iter().peekable());
        while let Some(step) = steps.next() {
            let behind = steps.peek().and_then(|next| next.rectifier()).filter(|_| step.takes_rectifier());
            x = match behind {
                Some(rectifier) => {
                    steps.next();
                    step.rectified(x, rectifier)
                }
                None => step.forward(x),
            };
        }
        x
    }
}

/// A network on a device, with what its layers see, for planes that lie in memory.
#[derive(Debug)]
pub(crate) struct Runner {
    sequence: Sequence,
    reach: Reach,
    device: Device,
}

impl Runner {
    pub(crate) fn load(checkpoint: &Checkpoint, network: &Network, device: &Device) -> Result<Self> {
        Ok(Self {
            sequence: Sequence::load(checkpoint, network, device)?,
            reach: Reach::of(network),
            device: device.clone(),
        })
    }

    /// A masked convolution alone.
    pub(crate) fn load_context(checkpoint: &Checkpoint, context: &Context, device: &Device) -> Result<Self> {
        let conv = checkpoint::Conv::new([context.n_in, context.n_out], CONTEXT_KERNEL, 1);
        let step = Step::Conv(Conv::load(checkpoint, &context.name, &conv, device)?);
        let network = Network { name: context.name.clone(), layers: vec![Layer::Conv(conv)] };
        let sequence = Sequence { steps: vec![step] };
        Ok(Self { sequence, reach: Reach::of(&network), device: device.clone() })
    }

    /// The output of all planes at once.
    fn run(&self, input: Planes) -> Result<Planes> {
        let Planes { channels, height, width, values } = input;
        let x = Tensor::from_data(TensorData::new(values, [1, channels, height, width]), &self.device);
        let y = self.sequence.forward(x);
        let [_, channels, height, width] = y.dims();
        let values = y.into_data().try_into_vec::<f32>();
        let values =
            values.map_err(|cause| grouping_core::Error::TensorRead { cause: format!("{cause:?}") })?;
        Ok(Planes { channels, height, width, values })
    }

    /// The output of planes of these sides, of which `rows(a..b)` gives some, in strips that bound what lies between the layers. A strip has
    /// about `strip` rows of the input, where that is given.
    pub(crate) fn run_bounded(
        &self,
        [height, width]: [usize; 2],
        strip: Option<usize>,
        rows: impl Fn(std::ops::Range<usize>) -> Planes,
    ) -> Result<Planes> {
        let n_rows = self.reach.rows(height);
        let mut all: Option<Planes> = None;
        self.run_strips(height, self.strip(width, strip), rows, |at, part| {
            if part.height == n_rows {
                all = Some(part);
            } else {
                let shape = [part.channels, n_rows, part.width];
                all.get_or_insert_with(|| Planes::zeros(shape)).put_rows(at, &part);
            }
            Ok(())
        })?;
        Ok(all.unwrap_or_else(|| Planes::zeros([0; 3])))
    }

    /// The output of planes, as [`run_bounded`](Self::run_bounded).
    pub(crate) fn run_planes(&self, input: &Planes, strip: Option<usize>) -> Result<Planes> {
        self.run_bounded([input.height, input.width], strip, |rows| input.rows(rows))
    }

    /// Rows of a strip of an input of `width` columns: `strip`, or as many as bound the memory of the layers.
    pub(crate) fn strip(&self, width: usize, strip: Option<usize>) -> usize {
        strip.unwrap_or_else(|| self.reach.strip(width, STRIP_VALUES, LEAST_ROWS))
    }

    /// The same output, computed strip by strip: `rows(a..b)` gives rows of the input, which has `height` of them, and `put(at, strip)`
    /// takes the rows of the output from row `at` on. A strip is computed from about `strip` rows of the input.
    pub(crate) fn run_strips(
        &self,
        height: usize,
        strip: usize,
        rows: impl Fn(std::ops::Range<usize>) -> Planes,
        mut put: impl FnMut(usize, Planes) -> Result<()>,
    ) -> Result<()> {
        for cut in self.reach.cuts(height, strip) {
            let out = self.run(rows(cut.input))?;
            let kept = cut.skip..cut.skip + cut.output.len();
            put(cut.output.start, if kept == (0..out.height) { out } else { out.rows(kept) })?;
        }
        Ok(())
    }
}
