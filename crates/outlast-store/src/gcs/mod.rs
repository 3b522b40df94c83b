//! Google Cloud Storage by its own JSON interface: our own thin client, one call one attempt; what is different there is told in
//! docs/decisions/0013-gcs.md.

mod config;

mod names;

mod dress;
mod errors;

mod token;

mod call;

mod buckets;
mod listing;
mod objects;

mod uploads;

mod store;

pub use config::GcsConfig;
pub use store::GcsStore;
