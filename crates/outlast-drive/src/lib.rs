//! Drives a running gateway from the outside, as a client and as fate: load, kill -9, and an oracle of what was acknowledged.

mod client;

mod asking;
mod bodies;
mod process;

mod gateway;
mod listing;
mod oracle;
mod upload;
mod worker;

mod compare;
mod conditional;
mod world;

mod plan;

mod blows;
mod crew;
mod ground;
mod network;
mod peer;
mod siege;
mod tmpfs;

mod torture;

pub use bodies::{BodyId, bytes_of};
pub use client::{Account, Answer, Ask, Connection, Lost, Outgoing};
pub use gateway::{Gateway, Launch};
pub use network::in_own_network;
pub use plan::{Broken, Plan, Tally, any_seed};
pub use tmpfs::Tmpfs;
pub use torture::torture;
pub use world::World;
