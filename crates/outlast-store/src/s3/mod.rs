//! Any service that speaks S3: our own thin client, one call one attempt (docs/decisions/0002-store-client.md).

mod config;

mod sign;

mod dress;
mod spelling;
mod versions;
mod xml;

mod errors;

mod call;

mod buckets;
mod objects;
mod uploads;

mod store;

pub use config::S3Config;
pub use store::S3Store;
