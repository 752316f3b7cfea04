//! Several scenes as one, their Gaussians one after another.
//!
//! The degree is the highest; missing coefficients are zeros. A further column is kept where it has one type wherever it is; scenes
//! without it get zeros, which is said. Comments are joined, each once. Elements of a PLY beside the Gaussians are those of the first scene,
//! whose rows stay where they are, but for those that have a row a Gaussian.

use crate::splats::{Extra, Values};
use crate::{Error, Result, Splats};

/// Scenes that became one.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Merged {
    /// The scene.
    pub splats: Splats,
    /// What was made up or lost, in words: zeros for missing values, and flags that do not agree.
    pub notes: Vec<String>,
}

/// Joins scenes in their order; their frames have to be one.
///
/// # Errors
/// [`Error::Core`] with a setting: no scene, or a further column that has two types.
pub fn merge(scenes: Vec<Splats>) -> Result<Merged> {
    let n_scenes = scenes.len();
    let mut scenes = scenes.into_iter();
    let mut whole = scenes.next().ok_or_else(|| Error::setting("inputs", "at least one scene", "none"))?;
    if n_scenes == 1 {
        return Ok(Merged { splats: whole, notes: vec![] });
    }
    let degree = whole.degree();
    let (mut degrees, mut is_one_flag) = ((degree, degree), true);
    // In how many scenes each further column is.
    let mut holders = vec![1; whole.extras.len()];
    let mut lost = whole.element_words();
    let n_first = whole.len();
    whole.elements.retain(|element| !element.is_parallel(n_first));
    lost = whole.lost_elements(lost).collect();
    for scene in scenes {
        lost.extend(scene.element_words());
        let degree = scene.degree();
        degrees = (degrees.0.min(degree), degrees.1.max(degree));
        is_one_flag &= whole.antialiased == scene.antialiased;
        append(&mut whole, scene, &mut holders)?;
    }
    let mut notes = vec![];
    if degrees.0 < degrees.1 {
        let note = format!(
            "degrees {} to {}: zeros for missing coefficients of spherical harmonics",
            degrees.0, degrees.1
        );
        notes.push(note);
    }
    for (extra, n) in whole.extras.iter().zip(holders).filter(|(_, n)| *n < n_scenes) {
        notes.push(format!(
            "column `{}`: zeros for {} of {n_scenes} scenes, which lack it",
            extra.name,
            n_scenes - n
        ));
    }
    notes.extend(
        lost.into_iter().map(|words| format!("{words}: not kept, since its scene is no longer alone")),
    );
    if !is_one_flag {
        whole.antialiased = None;
        notes.push("antialiasing: the scenes do not say the same of it, so the result says nothing".into());
    }
    Ok(Merged { splats: whole, notes })
}

/// Puts a scene behind another.
fn append(whole: &mut Splats, mut scene: Splats, holders: &mut Vec<usize>) -> Result<()> {
    let (before, after) = (whole.len(), whole.len() + scene.len());
    let n_rest = whole.rest.len().max(scene.rest.len());
    pad_degree(whole, n_rest);
    pad_degree(&mut scene, n_rest);
    for (column, other) in whole.columns_mut().zip(scene.columns_mut()) {
        column.append(other);
    }
    for Extra { name, values } in scene.extras {
        let place = whole.extras.iter().position(|extra| extra.name == name).unwrap_or_else(|| {
            let mut zeros = values.none_alike();
            zeros.pad(before);
            whole.extras.push(Extra { name: name.clone(), values: zeros });
            holders.push(0);
            whole.extras.len() - 1
        });
        let into: &mut Values = &mut whole.extras[place].values;
        let (expected, found) = (into.type_name(), values.type_name());
        if !into.append(values) {
            let expected = format!("column `{name}` of one type in all of them, as {expected} in the first");
            return Err(Error::setting("inputs", expected, found));
        }
        holders[place] += 1;
    }
    whole.extras.iter_mut().for_each(|extra| extra.values.pad(after));
    for comment in scene.comments {
        if !whole.comments.contains(&comment) {
            whole.comments.push(comment);
        }
    }
    Ok(())
}

/// Adds columns of zeros up to `n_rest`, the coefficients of a higher degree.
fn pad_degree(splats: &mut Splats, n_rest: usize) {
    let (n, n_old, n_new) = (splats.len(), splats.rest.len() / 3, n_rest / 3);
    if n_old == n_new {
        return;
    }
    let mut old = std::mem::take(&mut splats.rest).into_iter();
    for _ in 0..3 {
        splats.rest.extend(old.by_ref().take(n_old));
        splats.rest.extend((n_old..n_new).map(|_| vec![0.0; n]));
    }
}
