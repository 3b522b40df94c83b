//! The terminal is taken for the picture and always given back: at the end, on `q`, on Ctrl-C and on a panic.

use ratatui::crossterm::event::{self, Event, KeyCode, KeyEventKind, KeyModifiers};
use ratatui::{DefaultTerminal, Frame};
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;
use tokio::sync::Notify;

/// A key is noticed within this, and the thread that waits for keys ends within it.
const KEYS_LOOK: Duration = Duration::from_millis(100);

pub struct Screen {
    terminal: DefaultTerminal,
    left: Arc<Notify>,
    closed: Arc<AtomicBool>,
}

impl Screen {
    /// # Errors
    /// The terminal cannot be switched to its other screen.
    pub fn open() -> io::Result<Screen> {
        // Installs the hook that restores the terminal before a panic's words are printed.
        let terminal = ratatui::try_init()?;
        let screen = Screen { terminal, left: Arc::default(), closed: Arc::default() };
        let (left, closed) = (screen.left.clone(), screen.closed.clone());
        tokio::task::spawn_blocking(move || {
            while !closed.load(Ordering::Relaxed) {
                match is_leaving() {
                    Ok(false) => {}
                    // Without keys the demo still ends by itself.
                    Err(_) => return,
                    Ok(true) => left.notify_one(),
                }
            }
        });
        Ok(screen)
    }

    pub fn draw(&mut self, picture: impl FnOnce(&mut Frame)) -> io::Result<()> {
        self.terminal.draw(picture).map(drop)
    }

    /// Returns when the one who watches wants to leave.
    pub async fn left(&self) {
        self.left.notified().await;
    }
}

impl Drop for Screen {
    fn drop(&mut self) {
        self.closed.store(true, Ordering::Relaxed);
        ratatui::restore();
    }
}

fn is_leaving() -> io::Result<bool> {
    if !event::poll(KEYS_LOOK)? {
        return Ok(false);
    }
    let Event::Key(key) = event::read()? else { return Ok(false) };
    let control_c = key.code == KeyCode::Char('c') && key.modifiers.contains(KeyModifiers::CONTROL);
    Ok(key.kind == KeyEventKind::Press && (control_c || matches!(key.code, KeyCode::Char('q') | KeyCode::Esc)))
}
