//! Starts the real program and the real tools, and ends them again: nothing here stands in for anything.

mod gateway;
mod tools;

pub use gateway::{Gateway, Launch, program};
pub use tools::Aws;
