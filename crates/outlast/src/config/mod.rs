//! The configuration: raw once, typed ever after, all mistakes together.

mod address;
mod judge;
mod load;
mod mistake;
mod raw;
mod secret;
mod section;
mod services;
mod stores;
mod typed;
mod units;
mod world;

#[cfg(test)]
mod fuzz;
#[cfg(test)]
mod tests;

pub use address::parse_listen;
pub use load::{LoadError, Loaded, judge_text, load};
pub use mistake::{Findings, Look, Weight};
pub use services::is_this_machine;
pub use typed::*;
pub use units::{count_text, duration_text, parse_duration, parse_size, size_text};
pub use world::{Secrets, plain_words};
