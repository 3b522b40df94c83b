//! The one fault switch: the simulator turns it by seed, a drill by schedule, the demo to show what happens.
//!
//! A drill in production may refuse, hang or slow; everything that changes bytes is for tests.

mod setting;
mod spelling;
mod switch;

mod bodies;
mod drills;
mod faulty;

mod planned;
mod schedule;

pub use faulty::Faulty;
pub use planned::{Planned, Schedule, What};
pub use schedule::{SCHEDULE_BYTES_MAX, ScheduleMistakes};
pub use setting::{Apply, Class, Flap, Odds, Setting, Share, Trouble};
pub use spelling::classes_of;
pub use switch::{Over, SettingId, Switch};

#[cfg(test)]
mod drill_tests;
