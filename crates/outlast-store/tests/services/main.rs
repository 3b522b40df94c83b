//! The clients of services far away, against third parties' servers, and against peers that misbehave on demand.

mod script;
mod tools;

mod azure;
mod gcs;
mod s3;
