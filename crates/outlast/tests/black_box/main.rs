//! The real binary, from the outside.

#[path = "../support/mod.rs"]
mod support;
#[path = "../support/waiting.rs"]
mod waiting;

mod adopting;
mod commands;
mod damaged;
mod drills;
mod ejecting;
mod encrypted;
mod endings;
mod full_disk;
mod leaving;
mod mistakes;
mod refusing;
mod settings;
mod trial;
mod two_disks;
