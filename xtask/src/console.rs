//! What people see while something runs: bars on a terminal, plain lines elsewhere, all on stderr.

use std::io::{IsTerminal, Write};

use indicatif::{MultiProgress, ProgressBar, ProgressDrawTarget, ProgressStyle};

#[derive(Clone)]
pub(crate) struct Console {
    bars: MultiProgress,
    terminal: bool,
}

impl Console {
    pub(crate) fn new() -> Console {
        let terminal = std::io::stderr().is_terminal();
        let target = if terminal { ProgressDrawTarget::stderr() } else { ProgressDrawTarget::hidden() };
        Console { bars: MultiProgress::with_draw_target(target), terminal }
    }

    /// One line, above the bars.
    pub(crate) fn note(&self, line: &str) {
        if self.terminal {
            // A closed terminal is no reason to stop.
            let _ = self.bars.println(line);
        } else {
            let _ = writeln!(std::io::stderr(), "{line}");
        }
    }

    /// The bar of the whole run.
    pub(crate) fn total(&self, n_stages: usize) -> ProgressBar {
        let bar = self.bars.add(ProgressBar::new(n_stages as u64));
        bar.set_style(style("{elapsed_precise} [{bar:32}] {pos}/{len} stages"));
        bar
    }

    /// The bar of one running stage, above that of the whole run.
    pub(crate) fn stage(&self, title: &str) -> ProgressBar {
        let bar = self.bars.insert_from_back(1, ProgressBar::new(0));
        bar.set_style(style("  [{bar:24}] {pos}/{len} {msg}"));
        bar.set_message(title.to_owned());
        bar
    }
}

fn style(template: &str) -> ProgressStyle {
    // The templates are constants; a wrong one would show as the default bar.
    let style = ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_bar());
    style.progress_chars("━╸ ")
}
