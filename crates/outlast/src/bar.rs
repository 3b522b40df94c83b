//! Progress of long work: a bar with rate and time left in a terminal, silence elsewhere.

use crate::orders::Progress;
use indicatif::{ProgressBar, ProgressStyle};
use std::io::IsTerminal;

/// One bar, drawn anew for each store.
pub struct Bar {
    quiet: bool,
    drawn: Option<(String, ProgressBar)>,
}

impl Bar {
    /// `quiet`: a program reads what we print.
    pub fn new(quiet: bool) -> Bar {
        Bar { quiet: quiet || !std::io::stderr().is_terminal(), drawn: None }
    }

    pub fn tell(&mut self, progress: &Progress) {
        if self.quiet {
            return;
        }
        if self.drawn.as_ref().is_none_or(|(store, _)| *store != progress.store) {
            self.end();
            let bar = if progress.of_objects > 0 {
                ProgressBar::new(progress.of_objects)
            } else {
                ProgressBar::new_spinner()
            };
            let template = if progress.of_objects > 0 {
                "{prefix} [{bar:30}] {pos}/{len} objects, {per_sec}, {eta} left, {msg}"
            } else {
                "{prefix} {spinner} {pos} objects, {per_sec}, {msg}"
            };
            bar.set_style(ProgressStyle::with_template(template).expect("a template of ours"));
            bar.set_prefix(progress.store.clone());
            self.drawn = Some((progress.store.clone(), bar));
        }
        if let Some((_, bar)) = &self.drawn {
            bar.set_position(progress.objects);
            bar.set_message(crate::config::size_text(progress.bytes));
        }
    }

    pub fn end(&mut self) {
        if let Some((_, bar)) = self.drawn.take() {
            bar.finish_and_clear();
        }
    }
}
