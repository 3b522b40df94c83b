//! The front over TCP, before a whole engine on stores in memory: what clients see, byte by byte.

mod admin;
mod bodies;
mod buckets;
mod guard;
mod house;
mod listing;
mod multipart;
mod objects;
mod signer;
mod stopping;
mod wire;
