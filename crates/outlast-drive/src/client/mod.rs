//! An S3 client that hides nothing: one connection, one attempt per request, and an error wherever the answer is not whole.

mod ask;
mod connection;
mod outgoing;
mod signature;

pub use ask::Ask;
pub use connection::{Answer, Connection, Lost};
pub use outgoing::Outgoing;
pub use signature::Account;
