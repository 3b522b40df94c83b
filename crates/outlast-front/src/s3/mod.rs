//! The S3 protocol over the engine: one file per family of operations.

mod absent;
mod body_in;
mod body_out;
mod buckets;
mod checksums;
mod conditions;
mod convert;
mod copy;
mod delete;
mod errors;
mod gateway;
mod listing;
mod multipart;
mod objects;
mod refuse;
mod service;
mod uploads;

#[cfg(test)]
mod fuzz;

pub use body_in::BODY_BYTES_MAX;
pub use errors::{from_read, from_upload, from_write};
pub use gateway::Gateway;
