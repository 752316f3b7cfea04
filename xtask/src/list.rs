//! `cargo xtask list`: the experiments with their claims, scales and sizes.

use std::io::Write;
use std::path::Path;

use anyhow::Result;

use crate::experiment::plan::{Library, Plan};

pub(crate) fn list(root: &Path) -> Result<()> {
    let library = Library::read(&root.join("xtask/experiments"))?;
    let mut out = std::io::stdout().lock();
    for (id, experiment) in &library.experiments {
        writeln!(
            out,
            "{id}: {}\n  {}\n  ({})",
            experiment.title,
            experiment.claim.trim(),
            experiment.source
        )?;
        for (scale, spec) in &experiment.scales {
            let plan = Plan::new(&library, std::slice::from_ref(id), *scale)?;
            let (n, seeds) = (plan.nodes.len(), spec.seeds.len());
            let note = spec.note.as_deref().unwrap_or("");
            writeln!(out, "  --scale {:<6} {n:>4} stages, {seeds} seed(s)  {note}", scale.to_string())?;
        }
        writeln!(out)?;
    }
    Ok(())
}
