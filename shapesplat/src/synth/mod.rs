//! Ten classes of procedural meshes with textures, so that everything after runs without a download.
//!
//! Proportions, parts and the yaw are random; the frame is ShapeNet's (y upwards, the diagonal of the bounds 1, their middle the origin).
//! Colours come from materials that such things are made of, which classes share, and vary over each surface: they tell no object from
//! another and no class for sure, because colour that is one value an object is a shortcut that spoils what a model learns.
//!
//! The same seed gives the same bytes on every machine: sines are sums and products of our own.

mod class;
mod dataset;
mod finish;
mod furniture;
mod picture;
mod simple;
mod solid;
mod turn;

use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

pub use class::Class;
pub use dataset::{Dataset, Object, Split};
pub use picture::picture;

use self::solid::Solid;
use crate::mesh::{Material, Mesh, Texture};

/// An object of a class: one part, one material, one texture.
///
/// ```
/// use shapesplat::synth::{Class, object};
///
/// let mug = object(Class::Mug, 7);
/// assert_eq!(mug, object(Class::Mug, 7));
/// assert_ne!(mug, object(Class::Mug, 8));
/// let [x, y, z] = mug.measures().extents;
/// assert!(((x * x + y * y + z * z).sqrt() - 1.0).abs() < 1e-5);
/// ```
pub fn object(class: Class, seed: u64) -> Mesh {
    let mut draw = Draw(ChaCha8Rng::seed_from_u64(seed));
    let solid = class.shape(&mut draw);
    let texture = Texture::new(finish::atlas(&class.finishes(&mut draw), draw.seed()));
    let yaw = draw.between(0.0, 1.0);
    let material =
        Material { name: "surface".into(), colour: [1.0; 3], opacity: 1.0, texture: Some(texture) };
    placed(solid, yaw).mesh(class.name(), material)
}

/// Turned about the vertical, centred, with a diagonal of 1.
fn placed(mut solid: Solid, yaw: f64) -> Solid {
    let [cos, sin] = turn::turn(yaw);
    let turned = |[x, y, z]: [f64; 3]| [cos * x + sin * z, y, cos * z - sin * x];
    solid.positions.iter_mut().chain(&mut solid.normals).for_each(|v| *v = turned(*v));
    let fold = |start: f64, pick: fn(f64, f64) -> f64| -> [f64; 3] {
        std::array::from_fn(|i| solid.positions.iter().fold(start, |bound, p| pick(bound, p[i])))
    };
    let (least, most) = (fold(f64::INFINITY, f64::min), fold(f64::NEG_INFINITY, f64::max));
    let sides: [f64; 3] = std::array::from_fn(|i| most[i] - least[i]);
    let diagonal = (sides[0] * sides[0] + sides[1] * sides[1] + sides[2] * sides[2]).sqrt();
    for position in &mut solid.positions {
        *position = std::array::from_fn(|i| (position[i] - (least[i] + most[i]) / 2.0) / diagonal);
    }
    solid
}

/// Random choices of one object.
struct Draw(ChaCha8Rng);

impl Draw {
    fn between(&mut self, least: f64, most: f64) -> f64 {
        least + (most - least) * self.0.random::<f64>()
    }

    fn seed(&mut self) -> u64 {
        self.0.random()
    }

    /// Whether something happens that does so in this share of cases.
    fn chance(&mut self, share: f64) -> bool {
        self.0.random::<f64>() < share
    }

    fn of<T: Copy>(&mut self, choices: &[T]) -> T {
        choices[((self.0.random::<f64>() * choices.len() as f64) as usize).min(choices.len() - 1)]
    }
}
