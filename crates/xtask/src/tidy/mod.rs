//! The style rules of CONTRIBUTING.md as a test: what a reviewer would have to say again and again, said by a machine.

mod circles;
mod crates;
mod imports;
mod leftovers;
mod links;
mod promises;
mod report;
mod resolve;
mod shape;
mod source;

pub use report::{run, stage};
