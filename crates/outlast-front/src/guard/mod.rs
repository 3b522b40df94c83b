//! What stands before s3s: names every request, bounds it, refuses what s3s would let pass, finishes every answer.

mod answer;
mod cors;
mod ended;
mod expects;
mod ignored;
mod late;
mod limits;
mod service;
mod signature;
mod whole_body;

#[cfg(test)]
mod fuzz;

pub use cors::Cors;
pub use service::Guard;
pub use whole_body::DELETE_BYTES_MAX;
