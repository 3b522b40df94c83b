//! Wakes among the parts of one connection stay inside it: each of them would send the whole call through the scheduler again,
//! and on a machine with idle threads to another one.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Wake, Waker};

/// Turns within one poll. A part that wakes itself every time gets the others their turn after these.
const TURNS_MAX: usize = 4;

/// Stands for the waker of whoever drives a connection. hyper's two ends wake each other with every message that they hand
/// over; while both are being polled anyway, such a wake means another turn and no more.
#[derive(Default)]
pub(crate) struct Relay {
    outer: Mutex<Option<Waker>>,
    woken: AtomicBool,
    inside: AtomicBool,
}

impl Relay {
    /// Polls until nothing inside asks for another turn.
    pub fn turns<T>(
        self: &Arc<Relay>,
        outer: &mut Context<'_>,
        mut poll: impl FnMut(&mut Context<'_>) -> Poll<T>,
    ) -> Poll<T> {
        self.answer_to(outer.waker());
        let inner = Waker::from(self.clone());
        let mut inner = Context::from_waker(&inner);
        for _ in 0..TURNS_MAX {
            self.inside.store(true, Ordering::SeqCst);
            self.woken.store(false, Ordering::SeqCst);
            let polled = poll(&mut inner);
            // In this order: a wake from another thread finds either that nobody is inside, or that it is seen here.
            self.inside.store(false, Ordering::SeqCst);
            let woken = self.woken.load(Ordering::SeqCst);
            if polled.is_ready() || !woken {
                return polled;
            }
        }
        outer.waker().wake_by_ref();
        Poll::Pending
    }

    fn answer_to(&self, waker: &Waker) {
        let mut outer = self.outer.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
        if !outer.as_ref().is_some_and(|held| held.will_wake(waker)) {
            *outer = Some(waker.clone());
        }
    }
}

impl Wake for Relay {
    fn wake(self: Arc<Relay>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Relay>) {
        self.woken.store(true, Ordering::SeqCst);
        if self.inside.load(Ordering::SeqCst) {
            return;
        }
        let outer = self.outer.lock().unwrap_or_else(|poisoned| poisoned.into_inner()).clone();
        if let Some(outer) = outer {
            outer.wake();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::AtomicUsize;

    #[derive(Default)]
    struct Count(AtomicUsize);

    impl Wake for Count {
        fn wake(self: Arc<Count>) {
            self.0.fetch_add(1, Ordering::SeqCst);
        }
    }

    fn counted() -> (Arc<Count>, Waker) {
        let count = Arc::new(Count::default());
        (count.clone(), Waker::from(count))
    }

    #[test]
    fn a_wake_from_inside_is_another_turn_and_none_for_the_outside() {
        let (count, waker) = counted();
        let mut turns = 0;
        let polled = Arc::new(Relay::default()).turns(&mut Context::from_waker(&waker), |cx| {
            turns += 1;
            if turns == 1 {
                cx.waker().wake_by_ref();
                return Poll::Pending;
            }
            Poll::Ready(turns)
        });
        assert_eq!(polled, Poll::Ready(2));
        assert_eq!(count.0.load(Ordering::SeqCst), 0);
    }

    #[test]
    fn a_wake_between_polls_reaches_the_outside() {
        let (count, waker) = counted();
        let mut held = None;
        let polled: Poll<()> = Arc::new(Relay::default()).turns(&mut Context::from_waker(&waker), |cx| {
            held = Some(cx.waker().clone());
            Poll::Pending
        });
        assert!(polled.is_pending());
        assert_eq!(count.0.load(Ordering::SeqCst), 0);
        held.expect("polled").wake();
        assert_eq!(count.0.load(Ordering::SeqCst), 1);
    }

    #[test]
    fn the_newest_of_the_outside_is_woken() {
        let relay = Arc::new(Relay::default());
        let (first, second) = (counted(), counted());
        let mut held = None;
        for waker in [&first.1, &second.1] {
            let _: Poll<()> = relay.turns(&mut Context::from_waker(waker), |cx| {
                held = Some(cx.waker().clone());
                Poll::Pending
            });
        }
        held.expect("polled").wake();
        assert_eq!((first.0.0.load(Ordering::SeqCst), second.0.0.load(Ordering::SeqCst)), (0, 1));
    }

    #[test]
    fn a_part_that_wakes_itself_for_ever_yields() {
        let (count, waker) = counted();
        let mut turns = 0;
        let polled: Poll<()> = Arc::new(Relay::default()).turns(&mut Context::from_waker(&waker), |cx| {
            turns += 1;
            cx.waker().wake_by_ref();
            Poll::Pending
        });
        assert!(polled.is_pending());
        assert_eq!((turns, count.0.load(Ordering::SeqCst)), (TURNS_MAX, 1));
    }
}
