//! Architectures from the names and shapes of a checkpoint's tensors, and the networks that each is made of.
//!
//! Sources: Ballé et al. 2018 (arXiv 1802.01436) for the factorised prior and the scale hyperprior; Minnen et al. 2018 (arXiv 1809.02736)
//! for the mean-scale hyperprior and the serial context; Cheng et al. 2020 (arXiv 2001.01568); He et al. 2021 (arXiv 2103.15306) for the
//! checkerboard; He et al. 2022 (arXiv 2203.10886), ELIC; Minnen & Singh 2020 (arXiv 2007.08739). Names and widths are CompressAI 1.2.8's.
//!
//! CompressAI has no model of Minnen & Singh 2020. Its networks are named as CompressAI would, after the parts of the authors'
//! `ms2020.py`: `g_a`, `g_s`, `h_a`, `h_mean_s`, `h_scale_s`, and for slice k `cc_mean_transforms.k`, `cc_scale_transforms.k`,
//! `lrp_transforms.k`. Deviation: the scale nets give scales, as in every model of CompressAI, and not indices of scales.

use super::design::{Architecture, Context, Design, Mask};
use super::layers::{Conv, Layer, Network};

fn conv(widths: [usize; 2], kernel: usize, stride: usize) -> Layer {
    Layer::Conv(Conv::new(widths, kernel, stride))
}

fn deconv(widths: [usize; 2], kernel: usize, stride: usize) -> Layer {
    Layer::Deconv(Conv::new(widths, kernel, stride))
}

/// What an architecture's widths follow from: the lengths of axes of tensors, by name.
pub(super) struct Widths<'a, E> {
    /// The length of one axis of a tensor of this rank, or an error that names the tensor.
    pub(super) axis: &'a dyn Fn(&str, usize, usize) -> Result<usize, E>,
    /// Whether there is a tensor of this name.
    pub(super) has: &'a dyn Fn(&str) -> bool,
}

impl<E> Widths<'_, E> {
    /// Output channels of the convolution `name`.
    fn out(&self, name: &str) -> Result<usize, E> {
        (self.axis)(&format!("{name}.weight"), 4, 0)
    }

    /// Output channels of the transposed convolution `name`.
    fn deconv_out(&self, name: &str) -> Result<usize, E> {
        (self.axis)(&format!("{name}.weight"), 4, 1)
    }

    /// How many of `stem.0.TAIL`, `stem.1.TAIL`… there are.
    fn count(&self, stem: &str, tail: &str) -> usize {
        (0..).take_while(|k| (self.has)(&format!("{stem}{k}{tail}"))).count()
    }
}

/// Which architecture the names are of.
pub(super) fn recognise<E>(widths: &Widths<'_, E>) -> Result<Architecture, E> {
    let has = |name: &str| (widths.has)(name);
    Ok(if has("g_a.0.conv1.weight") {
        match () {
            () if has("latent_codec.y.context_prediction.weight") => {
                Architecture::Cheng2020AnchorCheckerboard
            }
            () if has("g_a.3.conv_a.0.conv.0.weight") => Architecture::Cheng2020Attention,
            () => Architecture::Cheng2020Anchor,
        }
    } else if has("latent_codec.y.latent_codec.y0.context_prediction.weight") {
        Architecture::Elic2022
    } else if has("cc_mean_transforms.0.0.weight") {
        Architecture::ChannelConditional
    } else if has("context_prediction.weight") {
        Architecture::JointAutoregressive
    } else if has("h_a.0.weight") {
        // The scale hyperprior gives a scale to each channel of y, the other a mean too.
        if widths.out("h_s.4")? == widths.out("g_a.6")? {
            Architecture::ScaleHyperprior
        } else {
            Architecture::MeanScaleHyperprior
        }
    } else if has("g_a.1.beta") {
        Architecture::FactorizedPrior
    } else {
        Architecture::FactorizedPriorRelu
    })
}

/// The design of an architecture whose widths are these.
pub(super) fn design<E>(architecture: Architecture, widths: &Widths<'_, E>) -> Result<Design, E> {
    match architecture {
        Architecture::Cheng2020Anchor
        | Architecture::Cheng2020Attention
        | Architecture::Cheng2020AnchorCheckerboard => {
            Ok(cheng(architecture, (widths.axis)("g_a.0.conv1.weight", 4, 0)?))
        }
        Architecture::Elic2022 => elic(widths),
        Architecture::ChannelConditional => channel_conditional(widths),
        _ => {
            let (n, m) = (widths.out("g_a.0")?, widths.out("g_a.6")?);
            let inside = match architecture {
                Architecture::MeanScaleHyperprior | Architecture::JointAutoregressive => {
                    Inside::read(architecture, widths)?
                }
                _ => Inside::of_compressai(architecture, n, m),
            };
            Ok(google(architecture, n, m, &inside))
        }
    }
}

/// The design that CompressAI's class has for these widths, of an architecture without blocks and slices.
pub(super) fn of_compressai(architecture: Architecture, n: usize, m: usize) -> Design {
    google(architecture, n, m, &Inside::of_compressai(architecture, n, m))
}

/// Widths of layers that nothing outside of their networks depends on. CompressAI's classes have them follow from N and M; a model that was
/// pruned keeps those that it was trained with, whatever its M.
struct Inside {
    /// Outputs of the layers of `h_s`. With a context, its output is features; else it is scales and means, whose number follows from M.
    h_s: [usize; 3],
    /// Outputs of the context.
    context: usize,
    /// Outputs of the first two layers behind context and hyperprior.
    parameters: [usize; 2],
}

impl Inside {
    fn of_compressai(architecture: Architecture, n: usize, m: usize) -> Self {
        let is_scale = architecture == Architecture::ScaleHyperprior;
        let h_s = if is_scale { [n, n, m] } else { [m, m * 3 / 2, m * 2] };
        Self { h_s, context: m * 2, parameters: [m * 10 / 3, m * 8 / 3] }
    }

    fn read<E>(architecture: Architecture, widths: &Widths<'_, E>) -> Result<Self, E> {
        let h_s = [widths.deconv_out("h_s.0")?, widths.deconv_out("h_s.2")?];
        let mut inside = Self::of_compressai(architecture, widths.out("g_a.0")?, widths.out("g_a.6")?);
        [inside.h_s[0], inside.h_s[1]] = h_s;
        if architecture == Architecture::JointAutoregressive {
            // Even, as halves are: the integer networks take channels by pairs.
            inside.h_s[2] = widths.out("h_s.4")?.next_multiple_of(2);
            inside.context = widths.out("context_prediction")?;
            inside.parameters = [widths.out("entropy_parameters.0")?, widths.out("entropy_parameters.2")?];
        }
        Ok(inside)
    }
}

fn network(name: &str, layers: Vec<Layer>) -> Network {
    Network { name: name.into(), layers }
}

/// Four convolutions of 5×5 with stride 2, and as many transposed ones, with `forth` and `back` between them.
fn five_by_five(n: usize, m: usize, [forth, back]: [Layer; 2]) -> [Network; 2] {
    let (down, up) = (|widths| conv(widths, 5, 2), |widths| deconv(widths, 5, 2));
    let g_a = vec![down([3, n]), forth, down([n, n]), forth, down([n, n]), forth, down([n, m])];
    let g_s = vec![up([m, n]), back, up([n, n]), back, up([n, n]), back, up([n, 3])];
    [network("g_a", g_a), network("g_s", g_s)]
}

/// The models of Ballé et al. 2018 and Minnen et al. 2018.
fn google(architecture: Architecture, n: usize, m: usize, inside: &Inside) -> Design {
    let between = match architecture {
        Architecture::FactorizedPriorRelu => [Layer::Relu; 2],
        _ => [Layer::Gdn { channels: n }, Layer::InverseGdn { channels: n }],
    };
    let mut networks = five_by_five(n, m, between).to_vec();
    let is_factorized =
        matches!(architecture, Architecture::FactorizedPrior | Architecture::FactorizedPriorRelu);
    if !is_factorized {
        let is_scale = architecture == Architecture::ScaleHyperprior;
        let act = if is_scale { Layer::Relu } else { Layer::LeakyRelu };
        let h_a = vec![conv([m, n], 3, 1), act, conv([n, n], 5, 2), act, conv([n, n], 5, 2)];
        let [wide, wider, last] = inside.h_s;
        let mut h_s =
            vec![deconv([n, wide], 5, 2), act, deconv([wide, wider], 5, 2), act, conv([wider, last], 3, 1)];
        if is_scale {
            h_s.push(act);
        }
        networks.extend([network("h_a", h_a), network("h_s", h_s)]);
    }
    let mut design = Design {
        architecture,
        n,
        m,
        slices: vec![m],
        n_support: 0,
        networks,
        contexts: vec![],
        bottleneck: ("entropy_bottleneck".into(), if is_factorized { m } else { n }),
        gaussians: if is_factorized { vec![] } else { vec!["gaussian_conditional".into()] },
    };
    if architecture == Architecture::JointAutoregressive {
        serial(&mut design, inside);
    }
    design
}

/// A serial context over all of y: a masked convolution, and three 1×1 convolutions from its output and the hyperprior's.
fn serial(design: &mut Design, inside: &Inside) {
    design.networks.push(network("entropy_parameters", parameters(design.m, inside)));
    let name = "context_prediction".to_string();
    design.contexts.push(Context { name, mask: Mask::Raster, n_in: design.m, n_out: inside.context });
}

/// From the outputs of hyperprior and context to 2·M; in CompressAI from 4·M over ⌊10·M/3⌋ and ⌊8·M/3⌋.
fn parameters(m: usize, Inside { h_s, context, parameters: [first, second] }: &Inside) -> Vec<Layer> {
    pointwise(&[h_s[2] + context, *first, *second, 2 * m], Layer::LeakyRelu)
}

fn pointwise(widths: &[usize], act: Layer) -> Vec<Layer> {
    let mut layers: Vec<_> = widths.windows(2).flat_map(|w| [conv([w[0], w[1]], 1, 1), act]).collect();
    layers.pop();
    layers
}

/// The models of Cheng et al. 2020, and the checkerboard of He et al. 2021.
fn cheng(architecture: Architecture, n: usize) -> Design {
    let attention =
        (architecture == Architecture::Cheng2020Attention).then_some(Layer::Attention { channels: n });
    let same = Layer::Residual { channels: n };
    let (down, up) = (|n_in| Layer::ResidualDown([n_in, n]), Layer::ResidualUp([n, n]));
    let subpel = |widths| Layer::Subpel(Conv::new(widths, 3, 1));
    let three = |widths, stride| conv(widths, 3, stride);
    let g_a = [Some(down(3)), Some(same), Some(down(n)), attention, Some(same), Some(down(n)), Some(same)];
    let g_a = g_a.into_iter().chain([Some(three([n, n], 2)), attention]).flatten().collect();
    let g_s = [attention, Some(same), Some(up), Some(same), Some(up), attention, Some(same), Some(up)];
    let g_s = g_s.into_iter().chain([Some(same), Some(subpel([n, 3]))]).flatten().collect();
    let (act, wide) = (Layer::LeakyRelu, n * 3 / 2);
    let h_a = vec![
        three([n, n], 1),
        act,
        three([n, n], 1),
        act,
        three([n, n], 2),
        act,
        three([n, n], 1),
        act,
        three([n, n], 2),
    ];
    let h_s = vec![
        three([n, n], 1),
        act,
        subpel([n, n]),
        act,
        three([n, wide], 1),
        act,
        subpel([wide, wide]),
        act,
        three([wide, 2 * n], 1),
    ];
    let is_checkerboard = architecture == Architecture::Cheng2020AnchorCheckerboard;
    let prefix = if is_checkerboard { "latent_codec.hyper." } else { "" };
    let named = |name: &str, layers| network(&format!("{prefix}{name}"), layers);
    let gaussian =
        if is_checkerboard { "latent_codec.y.y.gaussian_conditional" } else { "gaussian_conditional" };
    let mut design = Design {
        architecture,
        n,
        m: n,
        slices: vec![n],
        n_support: 0,
        networks: vec![network("g_a", g_a), network("g_s", g_s), named("h_a", h_a), named("h_s", h_s)],
        contexts: vec![],
        bottleneck: (format!("{prefix}entropy_bottleneck"), n),
        gaussians: vec![gaussian.into()],
    };
    let inside = Inside::of_compressai(architecture, n, n);
    if is_checkerboard {
        design.networks.push(network("latent_codec.y.entropy_parameters", parameters(n, &inside)));
        let name = "latent_codec.y.context_prediction".to_string();
        design.contexts.push(Context { name, mask: Mask::Checkerboard, n_in: n, n_out: 2 * n });
    } else {
        serial(&mut design, &inside);
    }
    design
}

/// ELIC (He et al. 2022), with any number of slices of any widths.
fn elic<E>(widths: &Widths<'_, E>) -> Result<Design, E> {
    let (n, m) = (widths.out("g_a.0")?, widths.out("g_a.13")?);
    let bottlenecks = [Layer::Bottleneck { channels: n }; 3];
    let attention = |channels| [Layer::Attention { channels }];
    let (down, up) = (|widths| [conv(widths, 5, 2)], |widths| [deconv(widths, 5, 2)]);
    let g_a = [
        &down([3, n])[..],
        &bottlenecks,
        &down([n, n]),
        &bottlenecks,
        &attention(n),
        &down([n, n]),
        &bottlenecks,
        &down([n, m]),
        &attention(m),
    ];
    let g_s = [
        &attention(m)[..],
        &up([m, n]),
        &bottlenecks,
        &up([n, n]),
        &attention(n),
        &bottlenecks,
        &up([n, n]),
        &bottlenecks,
        &up([n, 3]),
    ];
    let (act, wide) = (Layer::Relu, n * 3 / 2);
    let h_a = vec![conv([m, n], 3, 1), act, conv([n, n], 5, 2), act, conv([n, n], 5, 2)];
    let h_s = vec![deconv([n, n], 5, 2), act, deconv([n, wide], 5, 2), act, deconv([wide, 2 * n], 3, 1)];
    let mut networks = vec![
        network("g_a", g_a.concat()),
        network("g_s", g_s.concat()),
        network("latent_codec.hyper.h_a", h_a),
        network("latent_codec.hyper.h_s", h_s),
    ];
    let (mut contexts, mut gaussians, mut slices) = (vec![], vec![], vec![]);
    for k in 0..widths.count("latent_codec.y.latent_codec.y", ".context_prediction.weight") {
        let stem = format!("latent_codec.y.latent_codec.y{k}");
        let context = format!("{stem}.context_prediction");
        let channels = (widths.axis)(&format!("{context}.weight"), 4, 1)?;
        let n_before: usize = slices.iter().sum();
        let mut n_parameters = 2 * channels + 2 * n;
        if k > 0 {
            let name = format!("latent_codec.y.channel_context.y{k}");
            let (first, second) = (widths.out(&format!("{name}.0"))?, widths.out(&format!("{name}.2"))?);
            let layers = vec![
                conv([n_before, first], 5, 1),
                act,
                conv([first, second], 5, 1),
                act,
                conv([second, 2 * channels], 5, 1),
            ];
            networks.push(network(&name, layers));
            n_parameters += 2 * channels;
        }
        let name = format!("{stem}.entropy_parameters");
        let between = [widths.out(&format!("{name}.0"))?, widths.out(&format!("{name}.2"))?];
        let ramp = [n_parameters, between[0], between[1], 2 * channels];
        networks.push(network(&name, pointwise(&ramp, act)));
        contexts.push(Context {
            name: context,
            mask: Mask::Checkerboard,
            n_in: channels,
            n_out: 2 * channels,
        });
        gaussians.push(format!("{stem}.y.gaussian_conditional"));
        slices.push(channels);
    }
    Ok(Design {
        architecture: Architecture::Elic2022,
        n,
        m,
        slices,
        n_support: 0,
        networks,
        contexts,
        bottleneck: ("latent_codec.hyper.entropy_bottleneck".into(), n),
        gaussians,
    })
}

/// Minnen & Singh 2020, with any number of even slices, and any widths of the nets between.
fn channel_conditional<E>(widths: &Widths<'_, E>) -> Result<Design, E> {
    let (n, m) = (widths.out("g_a.0")?, widths.out("g_a.6")?);
    let between = [Layer::Gdn { channels: n }, Layer::InverseGdn { channels: n }];
    let mut networks = five_by_five(n, m, between).to_vec();
    let act = Layer::Relu;
    let (first, second, n_hyper) = (widths.out("h_a.0")?, widths.out("h_a.2")?, widths.out("h_a.4")?);
    // The authors' last layer has no bias.
    let last = Conv { has_bias: (widths.has)("h_a.4.bias"), ..Conv::new([second, n_hyper], 5, 2) };
    let h_a = vec![conv([m, first], 3, 1), act, conv([first, second], 5, 2), act, Layer::Conv(last)];
    networks.push(network("h_a", h_a));
    let mut n_side = 0;
    for name in ["h_mean_s", "h_scale_s"] {
        let inner = |i: usize| widths.deconv_out(&format!("{name}.{i}"));
        let (first, second, last) = (inner(0)?, inner(2)?, widths.out(&format!("{name}.4"))?);
        let layers = vec![
            deconv([n_hyper, first], 5, 2),
            act,
            deconv([first, second], 5, 2),
            act,
            conv([second, last], 3, 1),
            act,
        ];
        networks.push(network(name, layers));
        n_side = last;
    }
    let n_slices = widths.count("cc_mean_transforms.", ".0.weight");
    let channels = m / n_slices.max(1);
    let input = format!("cc_mean_transforms.{}.0.weight", n_slices.saturating_sub(1));
    let n_support = (widths.axis)(&input, 4, 1)?.saturating_sub(n_side) / channels.max(1);
    for k in 0..n_slices {
        let n_in = n_side + k.min(n_support) * channels;
        for (stem, n_in) in
            [("cc_mean_transforms", n_in), ("cc_scale_transforms", n_in), ("lrp_transforms", n_in + channels)]
        {
            let name = format!("{stem}.{k}");
            let (first, second) = (widths.out(&format!("{name}.0"))?, widths.out(&format!("{name}.2"))?);
            let layers = vec![
                conv([n_in, first], 5, 1),
                act,
                conv([first, second], 5, 1),
                act,
                conv([second, channels], 3, 1),
            ];
            networks.push(network(&name, layers));
        }
    }
    Ok(Design {
        architecture: Architecture::ChannelConditional,
        n,
        m,
        slices: vec![channels; n_slices],
        n_support,
        networks,
        contexts: vec![],
        bottleneck: ("entropy_bottleneck".into(), n_hyper),
        gaussians: vec!["gaussian_conditional".into()],
    })
}
