//! The adapters of a recipe, ready to be merged.

use grouping_core::command::say;
use lego_merge::adapter::Adapter;
use lego_merge::dora::{Compression, share_lost};
use lego_merge::recipe::Recipe;

use super::console::warn;

/// Opens a recipe's adapters, DoRA compressed; says what is odd about them and what is lost.
pub(super) fn open(recipe: &Recipe) -> anyhow::Result<(Vec<Adapter>, Vec<Compression>)> {
    let adapters = recipe.open()?;
    warn(&adapters);
    let (adapters, compressions) = recipe.without_magnitudes(adapters)?;
    for lost in compressions.iter().filter(|lost| !lost.is_empty()) {
        let (adapter, share) = (&lost[0].adapter, share_lost(lost));
        say(format_args!(
            "note: {adapter}: DoRA's update compressed to low rank; {share:.3} of its norm is lost"
        ));
    }
    Ok((adapters, compressions.concat()))
}
