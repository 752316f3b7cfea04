//! The adapters of a recipe, ready to be merged.

use std::path::PathBuf;

use grouping_core::command::say;

use super::console::open;
use lego_merge::adapter::Adapter;
use lego_merge::dora::{BaseModel, Compression, compress};
use lego_merge::merge::RankRule;
use lego_merge::recipe::Recipe;

/// Opens a recipe's adapters and says what is odd about them.
pub(super) fn open_all(recipe: &Recipe) -> anyhow::Result<Vec<Adapter>> {
    let paths: Vec<PathBuf> = recipe.adapters.iter().map(|a| a.path.clone()).collect();
    open(&paths)
}

/// DoRA adapters as plain ones, where the base is given; others as they are.
pub(super) fn without_magnitudes(
    adapters: Vec<Adapter>,
    recipe: &Recipe,
) -> anyhow::Result<(Vec<Adapter>, Vec<Compression>)> {
    let Some(base) = recipe.base.as_deref() else { return Ok((adapters, vec![])) };
    let base = BaseModel::open(base)?;
    let rank = match recipe.merge.rank {
        Some(RankRule::Fixed(rank)) => Some(rank),
        _ => None,
    };
    let (mut out, mut all) = (vec![], vec![]);
    for adapter in adapters {
        if !adapter.modules().iter().any(|m| m.has_magnitude) {
            out.push(adapter);
            continue;
        }
        let (plain, lost) = compress(&adapter, &base, rank, recipe.merge.seed)?;
        let square = |of: fn(&Compression) -> f64| lost.iter().map(|c| of(c).powi(2)).sum::<f64>();
        let share = (square(|c| c.residual * c.norm) / square(|c| c.norm)).sqrt();
        say(format_args!(
            "note: {}: DoRA's update compressed to low rank; {share:.3} of its norm is lost",
            adapter.path().display()
        ));
        out.push(plain);
        all.extend(lost);
    }
    Ok((out, all))
}
