//! From a store's configuration to the store itself.

use crate::config::{
    AzureConfig, GcsConfig, S3Config, SETTLE_MS_DEFAULT, StoreConfig, StoreKind, Timeouts, is_this_machine,
};
use crate::trial::Make;
use outlast_engine::{NativeNames, StoreSetup};
use outlast_rules::StoreName;
use outlast_store::{AzureStore, DiskOpenError, DiskStore, GcsStore, LateDisk, S3Store, ServiceConfigError, Store};
use std::sync::Arc;
use std::time::Duration;

/// Why a store cannot be used; its words are for an operator.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    #[error(transparent)]
    Disk(#[from] DiskOpenError),
    #[error(transparent)]
    Service(#[from] ServiceConfigError),
}

impl OpenError {
    /// What to do about it, where the error does not say it itself.
    pub fn help(&self) -> Option<&'static str> {
        Some(match self {
            OpenError::Disk(DiskOpenError::Missing(_)) => {
                "mount it, or make the folder: outlast init makes those that it names"
            }
            OpenError::Disk(DiskOpenError::NotAFolder(_)) => "write a folder into path",
            OpenError::Disk(DiskOpenError::Io { .. }) => {
                "the user that runs Outlast has to own this folder, on a file system that is mounted for writing"
            }
            OpenError::Service(ServiceConfigError::CaFile { .. }) => {
                "ca_file has to be PEM, from BEGIN CERTIFICATE on; without it the public issuers are trusted"
            }
            OpenError::Disk(DiskOpenError::Locked { .. }) | OpenError::Service(_) => return None,
        })
    }
}

/// Opens a store: a disk is locked by this, a service hears nothing yet. Blocks.
///
/// # Errors
/// The disk is not there, is locked, or cannot be written; the service's settings cannot be used.
pub fn open(
    name: &StoreName,
    config: &StoreConfig,
    timeouts: &Timeouts,
    make: Make,
) -> Result<Arc<dyn Store>, OpenError> {
    match &config.kind {
        StoreKind::Disk(disk) => {
            let open = if make == Make::Everything { DiskStore::open_or_make } else { DiskStore::open };
            let store = open(name.clone(), &disk.path)?;
            Ok(Arc::new(if disk.network_fs { store.on_network() } else { store }))
        }
        StoreKind::S3(s3) => Ok(Arc::new(S3Store::new(s3_settings(name, s3, timeouts))?)),
        StoreKind::Gcs(gcs) => Ok(Arc::new(GcsStore::new(gcs_settings(name, gcs, timeouts))?)),
        StoreKind::Azure(azure) => Ok(Arc::new(AzureStore::new(azure_settings(name, azure, timeouts))?)),
    }
}

/// The same for `serve`: a disk that is not there now is waited for, so that one unmounted disk stops nobody's reads.
///
/// # Errors
/// What waiting does not mend: the disk is locked by another process, or its path is no folder.
pub fn open_or_wait(
    name: &StoreName,
    config: &StoreConfig,
    timeouts: &Timeouts,
    make: Make,
) -> Result<Arc<dyn Store>, OpenError> {
    match (open(name, config, timeouts, make), &config.kind) {
        (Err(OpenError::Disk(why @ (DiskOpenError::Missing(_) | DiskOpenError::Io { .. }))), StoreKind::Disk(disk)) => {
            tracing::warn!(store = %name, "{why}; going on without it until it is there");
            Ok(Arc::new(LateDisk::new(name.clone(), &disk.path, disk.network_fs, &why)))
        }
        (opened, _) => opened,
    }
}

/// What the engine wants to know of it.
pub fn setup(store: Arc<dyn Store>, config: &StoreConfig) -> StoreSetup {
    let usual = if store.limits().never_given_up { 0 } else { SETTLE_MS_DEFAULT };
    StoreSetup {
        names: names(config),
        settle_ms: config.settle_ms.unwrap_or(usual),
        read_cost: config.price.egress_per_gib.unwrap_or_default(),
        store,
    }
}

pub fn names(config: &StoreConfig) -> NativeNames {
    NativeNames {
        prefix: config.names.prefix.clone(),
        buckets: config.names.buckets.clone(),
        system_bucket: config.names.system_bucket.clone(),
    }
}

fn s3_settings(name: &StoreName, config: &S3Config, timeouts: &Timeouts) -> outlast_store::S3Config {
    let mut settings = outlast_store::S3Config::new(
        name.clone(),
        &config.endpoint,
        &config.region,
        &config.access_key,
        config.secret_key.reveal(),
    );
    settings.session_token = config.session_token.as_ref().map(|token| token.reveal().to_owned());
    settings.path_style = config.path_style;
    settings.ca_file = config.ca_file.clone();
    settings.nested = config.nested;
    settings.metered = is_metered(config.metered, &config.endpoint);
    settings.timeouts = wire_timeouts(timeouts);
    settings
}

fn azure_settings(name: &StoreName, config: &AzureConfig, timeouts: &Timeouts) -> outlast_store::AzureConfig {
    let mut settings = outlast_store::AzureConfig::new(name.clone(), &config.account, config.account_key.reveal());
    settings.endpoint.clone_from(&config.endpoint);
    settings.path_style = config.path_style;
    settings.ca_file = config.ca_file.clone();
    settings.metered = is_metered(config.metered, &config.endpoint);
    settings.timeouts = wire_timeouts(timeouts);
    settings
}

fn gcs_settings(name: &StoreName, config: &GcsConfig, timeouts: &Timeouts) -> outlast_store::GcsConfig {
    let credentials = config.credentials.as_ref().map(|credentials| credentials.reveal().to_owned());
    let mut settings = outlast_store::GcsConfig::new(name.clone(), credentials);
    settings.endpoint.clone_from(&config.endpoint);
    settings.project.clone_from(&config.project);
    settings.location.clone_from(&config.location);
    settings.ca_file = config.ca_file.clone();
    settings.metered = is_metered(config.metered, &config.endpoint);
    settings.timeouts = wire_timeouts(timeouts);
    settings
}

/// What the configuration leaves open: only what runs on this machine costs nothing.
fn is_metered(said: Option<bool>, endpoint: &str) -> bool {
    let host = endpoint.split_once("://").map_or(endpoint, |(_, host)| host);
    said.unwrap_or_else(|| !is_this_machine(host))
}

fn wire_timeouts(timeouts: &Timeouts) -> outlast_store::Timeouts {
    outlast_store::Timeouts {
        connect: Duration::from_millis(timeouts.connect_ms),
        write_idle: Duration::from_millis(timeouts.idle_ms),
        first_byte: Duration::from_millis(timeouts.first_byte_ms),
        read_idle: Duration::from_millis(timeouts.idle_ms),
        request: Duration::from_millis(timeouts.request_ms),
    }
}
