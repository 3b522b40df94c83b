//! The client for Google Cloud Storage: against a service written after its public documents (`google`), which judges every
//! condition, and against fake-gcs-server, which others have written and which judges only those of uploads.

mod google;
mod imitation;
mod peers;
mod support;
mod wire;
