//! The flags that change a scene, done in the order given.

use clap::{Arg, ArgAction, ArgMatches, Command, FromArgMatches, value_parser};
use shapesplat::edit::{Action, Amount, Filter};
use shapesplat::splats::frame::Frame;
use shapesplat::splats::harmonics::MAX_DEGREE;

/// Changes of a scene, in the order of their flags.
#[derive(Clone, Debug, Default)]
pub(crate) struct Edits {
    /// To be done one after another.
    pub(crate) actions: Vec<Action>,
}

/// Three numbers with commas between them.
fn vector(text: &str) -> Result<[f64; 3], String> {
    let numbers: Option<Vec<f64>> = text.split(',').map(|number| number.trim().parse().ok()).collect();
    numbers.and_then(|numbers| numbers.try_into().ok()).ok_or_else(|| "expected three numbers x,y,z".into())
}

fn flag(name: &'static str, value: &'static str, help: &'static str) -> Arg {
    Arg::new(name)
        .long(name)
        .value_name(value)
        .help(help)
        .help_heading("Changes, done in the order given")
        .allow_hyphen_values(true)
}

impl clap::Args for Edits {
    fn augment_args(command: Command) -> Command {
        let many = |name, value, help| flag(name, value, help).action(ArgAction::Append);
        command
            .arg(many("translate", "X,Y,Z", "Move").value_parser(vector))
            .arg(
                many("rotate", "X,Y,Z", "Turn about x, then y, then z of the file, by degrees; harmonics turn too")
                    .value_parser(vector),
            )
            .arg(many("scale", "S", "Resize about the origin").value_parser(value_parser!(f64)))
            .arg(
                many("filter", "EXPR", "Keep the Gaussians that meet conditions such as \"opacity>0.1 && -1<x<=1\"")
                    .long_help(FILTER_HELP)
                    .value_parser(value_parser!(Filter)),
            )
            .arg(
                many("degree", "N", "Keep spherical harmonics up to this degree")
                    .value_parser(value_parser!(u8).range(..=MAX_DEGREE as i64)),
            )
            .arg(
                many("keep", "N", "Keep the N (or N%) most important Gaussians, by alpha and area")
                    .value_parser(value_parser!(Amount)),
            )
            .arg(
                flag("from", "FRAME", "The frame of the input, such as RDF: x right, y down, z forward")
                    .requires("to")
                    .value_parser(value_parser!(Frame)),
            )
            .arg(
                flag("to", "FRAME", "Go over to this frame, such as RUB: right, up, back")
                    .requires("from")
                    .value_parser(value_parser!(Frame)),
            )
            .arg(
                Arg::new("mirror")
                    .long("mirror")
                    .action(ArgAction::SetTrue)
                    .requires("to")
                    .help_heading("Changes, done in the order given")
                    .help("Let --to be of the other handedness: coordinates are reflected, harmonics and rotations rightly too"),
            )
    }

    fn augment_args_for_update(command: Command) -> Command {
        Self::augment_args(command)
    }
}

const FILTER_HELP: &str = "Keep the Gaussians that meet conditions, such as \"opacity>0.1 && -1<x<=1\" or opacity,gt,0.1

Names: x y z; opacity (alpha, 0 to 1); scale_0 scale_1 scale_2 (lengths), scale (the greatest of them); f_dc_0 f_dc_1 f_dc_2 (red, \
                           green, blue, 0 to 1); each of these with _raw as the file stores it; rot_N, f_rest_N and further columns of a PLY.";

impl FromArgMatches for Edits {
    fn from_arg_matches(matches: &ArgMatches) -> Result<Self, clap::Error> {
        fn each<'a, T: Clone + Send + Sync + 'static>(
            matches: &'a ArgMatches,
            name: &'static str,
            action: impl Fn(T) -> Action + 'a,
        ) -> impl Iterator<Item = (usize, Action)> + 'a {
            let values = matches.get_many::<T>(name).into_iter().flatten().cloned();
            matches.indices_of(name).into_iter().flatten().zip(values.map(action))
        }
        let mut actions: Vec<(usize, Action)> = vec![];
        actions.extend(each(matches, "translate", Action::Translate));
        actions.extend(each(matches, "rotate", Action::Rotate));
        actions.extend(each(matches, "scale", Action::Scale));
        actions.extend(each(matches, "filter", Action::Filter));
        actions.extend(each(matches, "degree", |degree: u8| Action::Degree(degree.into())));
        actions.extend(each(matches, "keep", Action::Keep));
        if let Some(&from) = matches.get_one::<Frame>("from") {
            let mirror = matches.get_flag("mirror");
            actions.extend(each(matches, "to", |to| Action::Reframe { from, to, mirror }));
        }
        actions.sort_by_key(|(place, _)| *place);
        Ok(Self { actions: actions.into_iter().map(|(_, action)| action).collect() })
    }

    fn update_from_arg_matches(&mut self, matches: &ArgMatches) -> Result<(), clap::Error> {
        *self = Self::from_arg_matches(matches)?;
        Ok(())
    }
}
