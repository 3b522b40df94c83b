//! What every S3 operation needs: the engine, and the names of bucket and key.

use super::errors;
use crate::trace::Trace;
use http::Extensions;
use outlast_engine::Engine;
use outlast_rules::{BucketName, Key, NameError};
use s3s::{S3Error, S3ErrorCode, S3Result};
use std::sync::Arc;

/// S3 over one engine.
pub struct Gateway {
    pub(super) engine: Arc<Engine>,
}

impl Gateway {
    pub fn new(engine: Arc<Engine>) -> Gateway {
        Gateway { engine }
    }
}

pub(super) fn bucket_name(text: &str) -> S3Result<BucketName> {
    BucketName::parse(text).map_err(errors::from_name)
}

/// A key that is to be: one that listings could not name is refused.
pub(super) fn key_to_create(text: &str) -> S3Result<Key> {
    Key::admit(text).map_err(errors::from_name)
}

/// A key that may exist, to be changed or removed; our own records are refused by name.
pub(super) fn key_to_write(text: &str) -> S3Result<Key> {
    Key::parse(text).map_err(errors::from_name)
}

/// A key to be read; our own records do not exist for clients.
pub(super) fn key_to_read(text: &str) -> S3Result<Key> {
    Key::parse(text).map_err(|fault| match fault {
        NameError::KeyReserved => S3Error::new(S3ErrorCode::NoSuchKey),
        other => errors::from_name(other),
    })
}

pub(super) fn trace(extensions: &Extensions) -> Option<Arc<Trace>> {
    extensions.get::<Arc<Trace>>().cloned()
}
