//! Progress of long work: a bar with rate and time left in a terminal; elsewhere a line now and then, for whoever reads the log.

use crate::config::{count_text, duration_text, size_text};
use crate::orders::Progress;
use indicatif::{ProgressBar, ProgressStyle};
use std::io::IsTerminal;
use std::time::{Duration, Instant};

/// Often enough to see that it goes on, and few enough for a log. Work that is done sooner says nothing.
const LINE_EVERY: Duration = Duration::from_secs(10);

pub struct Bar {
    /// What takes the time is bytes, not objects.
    by_bytes: bool,
    shown: Shown,
}

enum Shown {
    Nothing,
    Lines {
        begun: Instant,
        lines: Lines,
    },
    /// One bar, drawn anew for each store.
    Drawn(Option<(String, ProgressBar)>),
}

impl Bar {
    /// `quiet`: a program reads what we print.
    pub fn new(quiet: bool) -> Bar {
        let shown = match quiet {
            true => Shown::Nothing,
            false if std::io::stderr().is_terminal() => Shown::Drawn(None),
            false => Shown::Lines { begun: Instant::now(), lines: Lines::default() },
        };
        Bar { by_bytes: false, shown }
    }

    pub fn by_bytes(self, by_bytes: bool) -> Bar {
        Bar { by_bytes, ..self }
    }

    pub fn tell(&mut self, progress: &Progress) {
        match &mut self.shown {
            Shown::Nothing => {}
            Shown::Lines { begun, lines } => {
                if let Some(line) = lines.due(begun.elapsed(), progress, self.by_bytes) {
                    eprintln!("{line}");
                }
            }
            Shown::Drawn(drawn) => draw(drawn, progress, self.by_bytes),
        }
    }

    pub fn end(&mut self) {
        if let Shown::Drawn(drawn) = &mut self.shown {
            clear(drawn);
        }
    }
}

fn draw(drawn: &mut Option<(String, ProgressBar)>, progress: &Progress, by_bytes: bool) {
    if drawn.as_ref().is_none_or(|(store, _)| *store != progress.store) {
        clear(drawn);
        let of = if by_bytes { progress.of_bytes } else { progress.of_objects };
        let bar = if of > 0 { ProgressBar::new(of) } else { ProgressBar::new_spinner() };
        let template = match (by_bytes, of > 0) {
            (true, true) => {
                "{prefix} [{bar:30}] {binary_bytes}/{binary_total_bytes}, {binary_bytes_per_sec}, {eta} left, {msg}"
            }
            (true, false) => "{prefix} {spinner} {binary_bytes}, {binary_bytes_per_sec}, {msg}",
            (false, true) => "{prefix} [{bar:30}] {pos}/{len} objects, {per_sec}, {eta} left, {msg}",
            (false, false) => "{prefix} {spinner} {pos} objects, {per_sec}, {msg}",
        };
        bar.set_style(ProgressStyle::with_template(template).expect("a template of ours"));
        bar.set_prefix(progress.store.clone());
        *drawn = Some((progress.store.clone(), bar));
    }
    if let Some((_, bar)) = drawn {
        bar.set_position(if by_bytes { progress.bytes } else { progress.objects });
        bar.set_message(match by_bytes {
            true => count_text(progress.objects, "object"),
            false => size_text(progress.bytes),
        });
    }
}

fn clear(drawn: &mut Option<(String, ProgressBar)>) {
    if let Some((_, bar)) = drawn.take() {
        bar.finish_and_clear();
    }
}

/// Times are counted from the beginning of the work.
#[derive(Default)]
struct Lines {
    last: Duration,
    store: Option<Begun>,
}

/// What the rate is counted from: when a store was first heard of, and how far it was.
struct Begun {
    store: String,
    at: Duration,
    done: u64,
}

impl Lines {
    /// The line of this moment, if it is time for one.
    fn due(&mut self, now: Duration, progress: &Progress, by_bytes: bool) -> Option<String> {
        let (done, of) = match by_bytes {
            true => (progress.bytes, progress.of_bytes),
            false => (progress.objects, progress.of_objects),
        };
        if self.store.as_ref().is_none_or(|begun| begun.store != progress.store) {
            self.store = Some(Begun { store: progress.store.clone(), at: now, done });
        }
        if now < self.last + LINE_EVERY {
            return None;
        }
        self.last = now;
        let begun = self.store.as_ref()?;
        let (since, more) = (now.saturating_sub(begun.at), done.saturating_sub(begun.done));
        let per_second = if since.is_zero() { 0.0 } else { more as f64 / since.as_secs_f64() };
        let mut words = vec![match (by_bytes, of) {
            (true, 0) => size_text(done),
            (true, _) => format!("{} of {}", size_text(done), size_text(of)),
            (false, 0) => count_text(done, "object"),
            (false, _) => format!("{done} of {}", count_text(of, "object")),
        }];
        words.push(if by_bytes { count_text(progress.objects, "object") } else { size_text(progress.bytes) });
        if per_second > 0.0 {
            words.push(match by_bytes {
                true => format!("{}/s", size_text(per_second as u64)),
                false => format!("{per_second:.0}/s"),
            });
            if of > done {
                let left = ((of - done) as f64 / per_second).ceil();
                words.push(format!("{} left", duration_text(left as u64 * 1_000)));
            }
        }
        Some(format!("{}: {}", progress.store, words.join(", ")))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MIB: u64 = 1 << 20;

    fn progress(store: &str, objects: u64, bytes: u64, of_objects: u64, of_bytes: u64) -> Progress {
        Progress { store: store.to_owned(), objects, bytes, of_objects, of_bytes }
    }

    /// Moments in seconds, how far it is then, and what is said.
    #[track_caller]
    fn check(by_bytes: bool, story: &[(f64, Progress, Option<&str>)]) {
        let mut lines = Lines::default();
        for (now, progress, said) in story {
            let line = lines.due(Duration::from_secs_f64(*now), progress, by_bytes);
            assert_eq!(line.as_deref(), *said, "at {now} s");
        }
    }

    #[test]
    fn by_objects() {
        let nas = |objects, bytes| progress("nas", objects, bytes, 1_000, 0);
        check(
            false,
            &[
                (0.0, nas(0, 0), None),
                (9.9, nas(99, MIB), None),
                (10.0, nas(100, 2 * MIB), Some("nas: 100 of 1000 objects, 2 MiB, 10/s, 1m 30s left")),
                (10.2, nas(110, 2 * MIB), None),
                (20.0, nas(1_000, 4 * MIB), Some("nas: 1000 of 1000 objects, 4 MiB, 50/s")),
            ],
        );
    }

    /// The rate is of the store that is being looked at, and one that stands still has none.
    #[test]
    fn each_store_has_its_own_rate() {
        let of = |store, objects| progress(store, objects, 0, 400, 0);
        check(
            false,
            &[
                (0.0, of("a", 0), None),
                (8.0, of("a", 400), None),
                (9.0, of("b", 0), None),
                (10.0, of("b", 0), Some("b: 0 of 400 objects, 0 B")),
                (21.0, of("b", 24), Some("b: 24 of 400 objects, 0 B, 2/s, 3m 8s left")),
            ],
        );
    }

    #[test]
    fn by_bytes() {
        let b2 = |objects, mib| progress("b2", objects, mib * MIB, 3, 4_096 * MIB);
        check(
            true,
            &[
                (0.0, b2(0, 0), None),
                (16.0, b2(1, 1_024), Some("b2: 1 GiB of 4 GiB, 1 object, 64 MiB/s, 48s left")),
                (32.0, b2(1, 2_048), Some("b2: 2 GiB of 4 GiB, 1 object, 64 MiB/s, 32s left")),
            ],
        );
    }

    #[test]
    fn of_nobody_knows_how_many() {
        let found = |objects| progress("nas", objects, 0, 0, 0);
        check(false, &[(0.0, found(0), None), (10.0, found(50), Some("nas: 50 objects, 0 B, 5/s"))]);
        check(true, &[(0.0, found(0), None), (10.0, found(1), Some("nas: 0 B, 1 object"))]);
    }
}
