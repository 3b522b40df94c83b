//! The real servers and clients that the tests drive: which, how they get here, and which of them are here.

mod install;
mod inventory;
mod recipe;

pub use install::install_all;
pub use inventory::Inventory;
