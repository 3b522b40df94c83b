//! The one fault switch: the simulator turns it by seed, a drill by schedule, the demo to show what happens.
//!
//! A drill in production may refuse, hang or slow; everything that changes bytes is for tests.

mod bodies;
mod faulty;
mod setting;
mod switch;

pub use faulty::Faulty;
pub use setting::{Apply, Class, Flap, Odds, Setting, Share, Trouble};
pub use switch::{SettingId, Switch};
