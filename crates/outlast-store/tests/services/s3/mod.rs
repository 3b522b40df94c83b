//! The S3 client.

mod faults;
mod peers;
mod support;
mod tls;
mod wire;
