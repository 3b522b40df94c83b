//! The live picture: three stores, the load, the two transfers with the moment of the kill, and what happened.

use super::plain::{arrival_words, bar_words, owed_words};
use super::score::{Bar, Standings};
use super::snapshot::{Snapshot, StoreNow};
use super::totals::Totals;
use crate::config::size_text;
use ratatui::Frame;
use ratatui::layout::{Constraint, Layout, Rect};
use ratatui::style::{Color, Style, Stylize};
use ratatui::text::{Line, Span};
use ratatui::widgets::{Block, BorderType, Paragraph, Sparkline, Wrap};

/// A pause that a person at a web page would feel.
const PAUSE_FELT_MS: u64 = 1_000;
/// Columns before an event's words.
const EVENT_TIME: usize = 10;
/// Name, bar and words of one transfer.
const BAR_LABEL: usize = 18;
const BAR_WORDS: usize = 12;

pub struct Picture {
    rule: String,
    ending: Option<(bool, String)>,
}

impl Picture {
    pub fn new(min_copies: usize, spool_counts: bool) -> Picture {
        let spool = if spool_counts { "" } else { ", no spool" };
        Picture { rule: format!("a write needs {min_copies} of 3 stores{spool}"), ending: None }
    }

    /// What stands at the foot once all is over.
    pub fn end(&mut self, totals: &Totals) {
        let objects = totals.stores.iter().map(|store| store.objects).min().unwrap_or_default();
        let words = match totals.good {
            true => format!("{objects} objects read back from each store alone: every byte is right"),
            false => format!("{} things went wrong: see below", totals.failures.max(totals.wrong.len() as u64)),
        };
        self.ending = Some((totals.good, words));
    }

    pub fn draw(&self, frame: &mut Frame, now: &Snapshot) {
        let [head, stores, load, transfers, events, foot] = Layout::vertical([
            Constraint::Length(1),
            Constraint::Length(8),
            Constraint::Length(5),
            Constraint::Length(4),
            Constraint::Min(3),
            Constraint::Length(1),
        ])
        .areas(frame.area());
        self.draw_head(frame, head, now);
        let thirds = Layout::horizontal([Constraint::Ratio(1, 3); 3]).split(stores);
        for (store, third) in now.stores.iter().zip(thirds.iter()) {
            draw_store(frame, *third, store);
        }
        draw_load(frame, load, &now.score);
        draw_transfers(frame, transfers, now);
        draw_events(frame, events, &now.score);
        self.draw_foot(frame, foot);
    }

    fn draw_head(&self, frame: &mut Frame, area: Rect, now: &Snapshot) {
        let line = Line::from(vec![
            " outlast demo ".bold().reversed(),
            format!("  {:.0} s   {}", now.at.as_secs_f64(), self.rule).into(),
        ]);
        frame.render_widget(line, area);
        frame.render_widget(Line::from("q leaves ").right_aligned().dim(), area);
    }

    fn draw_foot(&self, frame: &mut Frame, area: Rect) {
        if let Some((good, words)) = &self.ending {
            let colour = if *good { Color::Green } else { Color::Red };
            frame.render_widget(Line::from(format!(" {words}")).bold().fg(colour), area);
        }
    }
}

/// What the spool and other holders did for clients.
fn moved_words(now: &Snapshot) -> String {
    let mut words = String::new();
    if now.failed_over > 0 {
        words.push_str(&format!("{} reads went on from another store ", now.failed_over));
    }
    if now.spooled > 0 {
        words.push_str(&format!("{} writes in the spool ", now.spooled));
    }
    words
}

fn frame_of(title: Line<'_>) -> Block<'_> {
    Block::bordered().border_type(BorderType::Rounded).title(title)
}

fn draw_store(frame: &mut Frame, area: Rect, store: &StoreNow) {
    let (colour, word) = match store.standing.as_str() {
        "up" => (Color::Green, "up"),
        "trial" => (Color::Yellow, "on trial"),
        _ => (Color::Red, "DOWN"),
    };
    let title = Line::from(vec![
        format!(" {} ", store.name).bold(),
        Span::styled(format!("● {word} "), Style::new().fg(colour).bold()),
    ]);
    let mut lines = vec![Line::from(format!("holds {} copies", store.copies))];
    if store.owed_objects == 0 {
        lines.push(Line::from("is owed nothing").dim());
    } else {
        lines.push(Line::from(owed_words(store)).yellow());
        lines.push(Line::from(arrival_words(store)).yellow());
    }
    if !store.reason.is_empty() {
        lines.push(Line::from(store.reason.clone()).fg(colour));
    }
    let block = frame_of(title).border_style(Style::new().fg(colour));
    frame.render_widget(Paragraph::new(lines).wrap(Wrap { trim: true }).block(block), area);
}

fn draw_load(frame: &mut Frame, area: Rect, score: &Standings) {
    let failures = format!("{} failed", score.failures);
    let failures = if score.failures == 0 { failures.green().bold() } else { failures.red().bold() };
    let pause = format!("longest pause {} ms", score.longest.ms);
    let pause = if score.longest.ms < PAUSE_FELT_MS { pause.into() } else { pause.yellow() };
    let title = Line::from(vec![
        " requests ".bold(),
        format!("{}/s, {} so far, ", score.rate(), score.requests).into(),
        failures,
        ", ".into(),
        pause,
        " ".into(),
    ]);
    let block = frame_of(title);
    let inner = block.inner(area);
    let shown = &score.per_tick[score.per_tick.len().saturating_sub(usize::from(inner.width))..];
    frame.render_widget(block, area);
    frame.render_widget(Sparkline::default().data(shown).style(Style::new().cyan()), inner);
}

fn draw_transfers(frame: &mut Frame, area: Rect, now: &Snapshot) {
    let score = &now.score;
    let block = frame_of(Line::from(vec![" long transfers ".bold(), moved_words(now).into()]));
    let inner = block.inner(area);
    frame.render_widget(block, area);
    let width = usize::from(inner.width).saturating_sub(BAR_LABEL + BAR_WORDS);
    let lines = vec![bar_line("download", &score.download, width), bar_line("upload", &score.upload, width)];
    frame.render_widget(Paragraph::new(lines), inner);
}

fn bar_line(name: &str, bar: &Bar, width: usize) -> Line<'static> {
    let of = if bar.of == 0 { String::new() } else { size_text(bar.of) };
    let colour = if bar.failed { Color::Red } else { Color::Cyan };
    let mut spans: Vec<Span> = vec![format!(" {name:<9}{of:>7} ").into()];
    for cell in bar_cells(bar, width) {
        spans.push(match cell {
            Cell::Full => "█".fg(colour),
            Cell::Empty => "░".dim(),
            Cell::Struck => "╳".red().bold(),
        });
    }
    spans.push(format!(" {}", bar_words(bar)).into());
    Line::from(spans)
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Cell {
    Full,
    Empty,
    /// Here the store stopped.
    Struck,
}

fn bar_cells(bar: &Bar, width: usize) -> Vec<Cell> {
    let cell_of = |bytes: u64| (bytes as u128 * width as u128 / u128::from(bar.of.max(1))) as usize;
    let full = cell_of(bar.done);
    let struck = bar.struck_at.map(|at| cell_of(at).min(width.saturating_sub(1)));
    let cell = |at: usize| match at {
        at if struck == Some(at) => Cell::Struck,
        at if at < full => Cell::Full,
        _ => Cell::Empty,
    };
    (0..width).map(cell).collect()
}

fn draw_events(frame: &mut Frame, area: Rect, score: &Standings) {
    let block = frame_of(Line::from(" what happened ".bold()));
    let room = usize::from(block.inner(area).height);
    let width = usize::from(block.inner(area).width).saturating_sub(EVENT_TIME);
    let newest = score.events.len().saturating_sub(room);
    let lines: Vec<Line> = score.events[newest..]
        .iter()
        .map(|event| {
            Line::from(vec![format!(" {:5.1} s  ", event.at.as_secs_f64()).dim(), clipped(&event.text, width).into()])
        })
        .collect();
    frame.render_widget(Paragraph::new(lines).block(block), area);
}

fn clipped(text: &str, width: usize) -> String {
    if text.chars().count() <= width {
        return text.to_owned();
    }
    text.chars().take(width.saturating_sub(1)).chain(['…']).collect()
}

#[cfg(test)]
mod tests {
    use super::super::score::Event;
    use super::*;
    use ratatui::Terminal;
    use ratatui::backend::TestBackend;
    use std::time::Duration;

    fn store(name: &str, standing: &str, reason: &str, owed: u64) -> StoreNow {
        StoreNow {
            name: name.into(),
            standing: standing.into(),
            reason: reason.into(),
            copies: 80,
            owed_objects: owed,
            owed_bytes: owed * 100_000,
            arrival_ms: None,
        }
    }

    fn snapshot() -> Snapshot {
        let bar = Bar { done: 48, of: 64, struck_at: Some(24), failed: false };
        Snapshot {
            at: Duration::from_secs(9),
            stores: vec![
                store("one", "up", "", 0),
                store("two", "down", "connection refused: nothing listens at its address", 27),
                store("three", "up", "", 0),
            ],
            score: Standings {
                requests: 1_204,
                per_tick: vec![25, 35, 22],
                download: bar,
                events: vec![Event { at: Duration::from_millis(5_060), text: "two stops answering".into() }],
                ..Standings::default()
            },
            ..Snapshot::default()
        }
    }

    fn drawn(width: u16, height: u16) -> String {
        let mut terminal = Terminal::new(TestBackend::new(width, height)).unwrap();
        let mut picture = Picture::new(2, true);
        picture.end(&Totals::of(1, Standings::default(), Some(1), vec![], vec![]));
        terminal.draw(|frame| picture.draw(frame, &snapshot())).unwrap();
        terminal.backend().to_string()
    }

    #[test]
    fn says_who_is_down_why_what_is_owed_and_what_failed() {
        let picture = drawn(100, 28);
        for words in [
            "a write needs 2 of 3 stores",
            "two ● DOWN",
            "is owed 27 objects, 2.6 MiB",
            "has all: after its return",
            "connection refused",
            "1204 so far, 0 failed",
            "75 %",
            "two stops answering",
        ] {
            assert!(picture.contains(words), "{words} is missing in\n{picture}");
        }
    }

    #[test]
    fn the_smallest_terminal_does_no_harm() {
        for (width, height) in [(80, 24), (40, 10), (10, 4), (1, 1)] {
            assert!(!drawn(width, height).is_empty());
        }
    }

    #[test]
    fn a_bar_keeps_the_mark_of_the_kill() {
        let bar = |done, struck_at| Bar { done, of: 8, struck_at, failed: false };
        let cells = |bar| {
            let words = |cell| match cell {
                Cell::Full => '#',
                Cell::Empty => '.',
                Cell::Struck => 'x',
            };
            bar_cells(&bar, 4).into_iter().map(words).collect::<String>()
        };
        assert_eq!(cells(bar(0, None)), "....");
        assert_eq!(cells(bar(4, Some(4))), "##x.");
        assert_eq!(cells(bar(8, Some(4))), "##x#");
        assert_eq!(cells(bar(8, Some(8))), "###x");
    }
}
