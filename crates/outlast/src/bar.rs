//! Progress of long work: a bar with rate and time left in a terminal, silence elsewhere.

use crate::orders::Progress;
use indicatif::{ProgressBar, ProgressStyle};
use std::io::IsTerminal;

/// One bar, drawn anew for each store.
pub struct Bar {
    quiet: bool,
    /// What takes the time is bytes, not objects.
    by_bytes: bool,
    drawn: Option<(String, ProgressBar)>,
}

impl Bar {
    /// `quiet`: a program reads what we print.
    pub fn new(quiet: bool) -> Bar {
        Bar { quiet: quiet || !std::io::stderr().is_terminal(), by_bytes: false, drawn: None }
    }

    pub fn by_bytes(self, by_bytes: bool) -> Bar {
        Bar { by_bytes, ..self }
    }

    pub fn tell(&mut self, progress: &Progress) {
        if self.quiet {
            return;
        }
        if self.drawn.as_ref().is_none_or(|(store, _)| *store != progress.store) {
            self.end();
            let of = if self.by_bytes { progress.of_bytes } else { progress.of_objects };
            let bar = if of > 0 { ProgressBar::new(of) } else { ProgressBar::new_spinner() };
            let template = match (self.by_bytes, of > 0) {
                (true, true) => {
                    "{prefix} [{bar:30}] {binary_bytes}/{binary_total_bytes}, {binary_bytes_per_sec}, {eta} left, {msg}"
                }
                (true, false) => "{prefix} {spinner} {binary_bytes}, {binary_bytes_per_sec}, {msg}",
                (false, true) => "{prefix} [{bar:30}] {pos}/{len} objects, {per_sec}, {eta} left, {msg}",
                (false, false) => "{prefix} {spinner} {pos} objects, {per_sec}, {msg}",
            };
            bar.set_style(ProgressStyle::with_template(template).expect("a template of ours"));
            bar.set_prefix(progress.store.clone());
            self.drawn = Some((progress.store.clone(), bar));
        }
        if let Some((_, bar)) = &self.drawn {
            bar.set_position(if self.by_bytes { progress.bytes } else { progress.objects });
            bar.set_message(match self.by_bytes {
                true => crate::config::count_text(progress.objects, "object"),
                false => crate::config::size_text(progress.bytes),
            });
        }
    }

    pub fn end(&mut self) {
        if let Some((_, bar)) = self.drawn.take() {
            bar.finish_and_clear();
        }
    }
}
