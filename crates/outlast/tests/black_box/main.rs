//! The real binary, from the outside.

#[path = "../support/mod.rs"]
mod support;

mod adopting;
mod commands;
mod ejecting;
mod endings;
mod leaving;
mod mistakes;
mod trial;
