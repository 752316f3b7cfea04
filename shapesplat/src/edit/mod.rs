//! Changes of a scene, one after another: moved, turned, resized, filtered, with fewer harmonics, with the Gaussians that matter most.
//!
//! Elements of a PLY beside the Gaussians stay as they are, unless rows go to which they may refer.
//!
//! Everything acts in the frame of the file, on raw values: logarithms of scales grow by `ln s`, rotations and spherical harmonics
//! turn with the positions ([`crate::splats::turn`]), and rows keep their order. Sums are taken in f64 and rounded once.
//!
//! Deviation: splat-transform moves, turns and filters in its engine's frame, half a turn about z from the file's. Its x and y, and its
//! angles about them, are the negatives of ours.

mod filter;
mod importance;
mod merge;

use std::fmt;
use std::str::FromStr;

use rayon::prelude::*;

pub use self::filter::Filter;
pub use self::importance::importance;
pub use self::merge::{Merged, merge};
use crate::splats::frame::Frame;
use crate::splats::turn::Turn;
use crate::{Error, Result, Splats};

/// One change.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum Action {
    /// Adds to positions x, y and z.
    Translate([f64; 3]),
    /// Turns about x, then about the unturned y, then about the unturned z, by degrees ([`Turn::euler`]).
    Rotate([f64; 3]),
    /// Multiplies lengths by a factor above 0, about the origin.
    Scale(f64),
    /// Keeps the Gaussians that meet every condition.
    Filter(Filter),
    /// Keeps spherical harmonics of this degree at most.
    Degree(usize),
    /// Keeps the most important Gaussians ([`importance()`]); on ties the first.
    Keep(Amount),
    /// Goes over to another frame.
    Reframe {
        /// The frame of the scene.
        from: Frame,
        /// The frame it is wanted in.
        to: Frame,
        /// Whether handedness may change: coordinates are reflected then, with rotations and spherical harmonics.
        mirror: bool,
    },
}

/// How many Gaussians are kept.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Amount {
    /// This many, or all where there are fewer.
    Count(usize),
    /// This share of them, above 0 and at most 1, rounded up.
    Share(f64),
}

/// What an action did to the number of Gaussians, and to elements of a PLY beside them.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
pub struct Change {
    /// The action.
    pub action: String,
    /// Gaussians before it.
    pub before: usize,
    /// Gaussians after it.
    pub after: usize,
    /// What is to be known of elements beside the Gaussians, in words.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub notes: Vec<String>,
}

/// Does `actions` in the order given, and says of each how many Gaussians it left.
///
/// ```
/// use shapesplat::edit::{Action, apply};
/// use shapesplat::Splats;
/// let mut splats = Splats {
///     positions: [vec![1., 3.], vec![0., 0.], vec![0., 0.]],
///     scales: [vec![0., 0.], vec![0., 0.], vec![0., 0.]],
///     rotations: [vec![1., 1.], vec![0., 0.], vec![0., 0.], vec![0., 0.]],
///     opacities: vec![2., -2.],
///     dc: [vec![0., 0.], vec![0., 0.], vec![0., 0.]],
///     ..Splats::default()
/// };
/// let actions = [Action::Rotate([0., 0., 90.]), Action::Scale(2.), Action::Filter("opacity>0.5".parse()?)];
/// let changes = apply(&mut splats, &actions)?;
/// assert_eq!(splats.positions.map(|axis| axis[0]), [0., 2., 0.]);
/// assert_eq!((changes[2].before, changes[2].after), (2, 1));
/// # Ok::<(), shapesplat::Error>(())
/// ```
///
/// # Errors
/// [`Error::Core`] with a setting: numbers that are not finite, a factor that is not above 0, a change of handedness that was not
/// asked for, a column that is not there, a filter that no Gaussian passes.
pub fn apply(splats: &mut Splats, actions: &[Action]) -> Result<Vec<Change>> {
    let mut one = |action: &Action| {
        let (before, elements) = (splats.len(), splats.element_words());
        action.apply(splats)?;
        let reason = "not kept, since it may refer to rows, some of which are gone";
        let mut notes: Vec<String> =
            splats.lost_elements(elements).map(|words| format!("{words}: {reason}")).collect();
        if action.moves() {
            let others = splats.elements.iter().filter(|element| !element.names_rows());
            notes.extend(
                others.map(|element| format!("{}: kept as it is, and not moved along", element.words())),
            );
        }
        Ok(Change { action: action.to_string(), before, after: splats.len(), notes })
    };
    actions.iter().map(&mut one).collect()
}

impl Action {
    /// Whether places of the scene become others.
    fn moves(&self) -> bool {
        match self {
            Self::Translate(_) | Self::Rotate(_) | Self::Scale(_) | Self::Reframe { .. } => true,
            Self::Filter(_) | Self::Degree(_) | Self::Keep(_) => false,
        }
    }

    fn apply(&self, splats: &mut Splats) -> Result<()> {
        match self {
            Self::Translate(by) => {
                finite("translate", by)?;
                each_position(splats, |axis, p| p + by[axis]);
            }
            Self::Rotate(degrees) => {
                finite("rotate", degrees)?;
                Turn::euler(*degrees).apply(splats);
            }
            Self::Scale(factor) => scale(splats, *factor)?,
            Self::Filter(filter) => {
                let is_kept = filter.rows(splats)?;
                if !splats.is_empty() && !is_kept.contains(&true) {
                    let found = format!("`{filter}`, which none of {} meets", splats.len());
                    return Err(Error::setting("filter", "a condition that some Gaussian meets", found));
                }
                splats.retain_rows(&is_kept);
            }
            Self::Degree(degree) => lower_degree(splats, *degree),
            Self::Keep(amount) => {
                let n = amount.of(splats.len())?;
                splats.retain_rows(&importance::greatest(&importance(splats), n));
            }
            Self::Reframe { from, to, mirror } => {
                let turn = Turn::between(*from, *to);
                if turn.reflects() && !mirror {
                    let hand = |frame: &Frame| if frame.is_right_handed() { "right" } else { "left" };
                    let expected =
                        format!("a {}-handed frame, as {from} of `from` is, or `mirror`", hand(from));
                    return Err(Error::setting(
                        "to",
                        expected,
                        format!("{to}, which is {}-handed", hand(to)),
                    ));
                }
                turn.apply(splats);
            }
        }
        Ok(())
    }
}

impl fmt::Display for Action {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Translate([x, y, z]) => write!(f, "translate {x},{y},{z}"),
            Self::Rotate([x, y, z]) => write!(f, "rotate {x},{y},{z}"),
            Self::Scale(factor) => write!(f, "scale {factor}"),
            Self::Filter(filter) => write!(f, "filter {filter}"),
            Self::Degree(degree) => write!(f, "degree {degree}"),
            Self::Keep(Amount::Count(n)) => write!(f, "keep {n}"),
            Self::Keep(Amount::Share(share)) => write!(f, "keep {}%", 100.0 * share),
            Self::Reframe { from, to, .. } => write!(f, "from {from} to {to}"),
        }
    }
}

impl Amount {
    /// The number of `n` that are kept.
    fn of(self, n: usize) -> Result<usize> {
        match self {
            Self::Count(0) => Err(Error::setting("keep", "at least 1", 0)),
            Self::Count(count) => Ok(count.min(n)),
            Self::Share(share) if share > 0.0 && share <= 1.0 => Ok((share * n as f64).ceil() as usize),
            Self::Share(share) => Err(Error::setting("keep", "more than 0 and at most 100 %", 100.0 * share)),
        }
    }
}

/// `5000` or `50%`.
impl FromStr for Amount {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let percent = text.strip_suffix('%');
        let number = percent.map_or_else(
            || text.parse().ok().map(Self::Count),
            |percent| percent.trim().parse().ok().map(|percent: f64| Self::Share(percent / 100.0)),
        );
        let amount = number
            .ok_or_else(|| Error::setting("keep", "a number of Gaussians, or a share such as 50%", text))?;
        amount.of(1).map(|_| amount)
    }
}

fn finite(name: &str, values: &[f64]) -> Result<()> {
    match values.iter().find(|value| !value.is_finite()) {
        None => Ok(()),
        Some(value) => Err(Error::setting(name, "finite numbers", value)),
    }
}

fn scale(splats: &mut Splats, factor: f64) -> Result<()> {
    if !(factor > 0.0 && factor.is_finite()) {
        return Err(Error::setting("scale", "a finite factor above 0", factor));
    }
    each_position(splats, |_, p| p * factor);
    let shift = factor.ln();
    splats.scales.par_iter_mut().flatten().for_each(|s| *s = (f64::from(*s) + shift) as f32);
    Ok(())
}

/// Changes every coordinate, given its axis.
fn each_position(splats: &mut Splats, change: impl Fn(usize, f64) -> f64 + Sync) {
    for (axis, column) in splats.positions.iter_mut().enumerate() {
        column.par_iter_mut().for_each(|p| *p = change(axis, f64::from(*p)) as f32);
    }
}

/// Drops coefficients of degrees above `degree`.
fn lower_degree(splats: &mut Splats, degree: usize) {
    let (n_old, n_new) = (splats.rest.len() / 3, (degree + 1) * (degree + 1) - 1);
    if n_new < n_old {
        let mut place = 0..;
        splats.rest.retain(|_| place.next().is_some_and(|i| i % n_old < n_new));
    }
}
