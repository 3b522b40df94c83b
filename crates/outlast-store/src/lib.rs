//! Far bytes, and how they fail. A store here does not know that another exists, and never retries.

mod api;
mod azure;
mod cause;
pub mod conformance;
mod disk;
mod faults;
mod gcs;
mod help;
mod late;
mod memory;
mod probe;
mod refusal;
mod s3;
mod wire;

pub use api::*;
pub use azure::{AzureConfig, AzureStore};
pub use cause::Cause;
pub use disk::{DiskOpenError, DiskStore};
pub use faults::{
    Apply, Class, Faulty, Flap, Odds, Over, Planned, SCHEDULE_BYTES_MAX, Schedule, ScheduleMistakes, Setting,
    SettingId, Share, Switch, Trouble, What, classes_of,
};
pub use gcs::{GcsConfig, GcsStore};
pub use help::help;
pub use late::LateDisk;
pub use memory::{Fences, Lying, MemoryStore, MemoryTraits, Now, Unmounted};
pub use probe::{ProbeReport, Treatment, Treatments, probe};
pub use s3::{S3Config, S3Store};
pub use wire::{Resolve, ServiceConfigError, SystemResolver, Timeouts};
