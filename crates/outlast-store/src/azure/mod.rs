//! Azure Blob: our own thin client, one call one attempt; how it keeps what S3 has and Azure has not is told in
//! docs/decisions/0012-azure.md.

mod config;

mod names;

mod dress;
mod xml;

mod errors;

mod call;

mod containers;
mod listing;
mod objects;

mod aside;
mod copies;

mod uploads;

mod store;

pub use config::AzureConfig;
pub use store::AzureStore;
