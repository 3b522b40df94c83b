//! An assertion of the engine that fails is a broken promise: it is told with the run, not on the terminal.

use crate::books::Books;
use std::cell::RefCell;
use std::sync::Once;

thread_local! {
    static WATCHED: RefCell<Option<Books>> = const { RefCell::new(None) };
}

/// From now on panics of this thread are told to these books.
pub fn watch(books: &Books) {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        let before = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |panic| {
            let books = WATCHED.with(|watched| watched.borrow().clone());
            match books {
                Some(books) => books.fail(format!("an assertion failed: {panic}")),
                None => before(panic),
            }
        }));
    });
    WATCHED.with(|watched| *watched.borrow_mut() = Some(books.clone()));
}

pub fn unwatch() {
    WATCHED.with(|watched| *watched.borrow_mut() = None);
}
