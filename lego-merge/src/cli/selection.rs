//! Options that choose modules by their names.

use lego_merge::recipe::Recipe;

#[derive(Debug, clap::Args)]
pub(super) struct SelectionArgs {
    /// Only modules in whose names this regular expression is found
    #[arg(long, value_name = "REGEX")]
    include: Option<String>,
    /// No modules in whose names this regular expression is found
    #[arg(long, value_name = "REGEX")]
    exclude: Option<String>,
}

impl SelectionArgs {
    /// Writes the choice into a recipe.
    pub(super) fn record(&self, recipe: &mut Recipe) {
        recipe.include.clone_from(&self.include);
        recipe.exclude.clone_from(&self.exclude);
    }
}
