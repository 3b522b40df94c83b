//! Everything the outside speaks: S3 over HTTP, the guard before it, and the admin address.

mod settings;
mod trace;

mod auth;
mod chunks;
mod hosts;
mod metrics;
mod s3;

mod guard;

mod patient;
mod tls;

mod listener;

mod admin;

mod front;

pub use front::Front;
pub use settings::{CONNECTIONS_MAX, CorsRule, FrontSettings, HEAD_TIMEOUT, Limits, REQUESTS_MAX, TlsFiles, User};
pub use tls::{TlsMistake, judge_tls};

/// What S3 clients are told of the engine's errors, for who speaks to people beside S3.
pub use s3::{from_read, from_upload, from_write};
pub use s3s::S3Error;
