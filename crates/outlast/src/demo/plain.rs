//! The demo in lines, for logs and CI: one a second, and one for whatever happens.

use super::score::{Bar, Event};
use super::snapshot::{Snapshot, StoreNow};
use crate::config::{duration_text, size_text};

pub fn event_line(event: &Event) -> String {
    format!("{:5.1} s  * {}", event.at.as_secs_f64(), event.text)
}

pub fn second_line(now: &Snapshot) -> String {
    let stores: Vec<String> = now.stores.iter().map(store_words).collect();
    format!(
        "{:5.1} s  {:>3} requests/s, {} failed | {} | download {}, upload {}",
        now.at.as_secs_f64(),
        now.score.rate(),
        now.score.failures,
        stores.join(" | "),
        bar_words(&now.score.download),
        bar_words(&now.score.upload),
    )
}

fn store_words(store: &StoreNow) -> String {
    let mut words = format!("{} {}, {} copies", store.name, store.standing, store.copies);
    if store.owed_objects > 0 {
        words.push_str(&format!(", {}, {}", owed_words(store), arrival_words(store)));
    }
    if !store.reason.is_empty() {
        words.push_str(&format!(" ({})", store.reason));
    }
    words
}

/// Deletes are owed too, and have no bytes.
pub fn owed_words(store: &StoreNow) -> String {
    let objects = if store.owed_objects == 1 { "object" } else { "objects" };
    let bytes = if store.owed_bytes == 0 { String::new() } else { format!(", {}", size_text(store.owed_bytes)) };
    format!("is owed {} {objects}{bytes}", store.owed_objects)
}

pub fn arrival_words(store: &StoreNow) -> String {
    match store.arrival_ms {
        Some(ms) => format!("has all in {}", duration_text(ms.max(1000))),
        None if store.standing == "down" => "has all: after its return".to_owned(),
        None => "has all: not known yet".to_owned(),
    }
}

pub fn bar_words(bar: &Bar) -> String {
    match (bar.done, bar.of) {
        (_, 0) => "not begun".to_owned(),
        _ if bar.failed => "FAILED".to_owned(),
        (done, of) if done == of => "done".to_owned(),
        (done, of) => format!("{} %", done * 100 / of),
    }
}
