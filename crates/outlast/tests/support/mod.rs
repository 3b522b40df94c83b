//! Starts the real program and the real tools, and ends them again: nothing here stands in for anything.

mod gateway;
mod tools;

#[allow(unused_imports, reason = "each test binary uses its own share")]
pub use gateway::{Gateway, Launch, free_address, program};
pub use tools::Aws;
