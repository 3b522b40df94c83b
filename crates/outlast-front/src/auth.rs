//! Who may come in: users from the settings. No request without a signature is ever served.

use crate::settings::User;
use crate::trace::Trace;
use s3s::access::{S3Access, S3AccessContext};
use s3s::auth::{S3Auth, SecretKey};
use s3s::path::S3Path;
use s3s::{S3Error, S3ErrorCode, S3Result};
use std::collections::HashMap;
use std::sync::Arc;

/// The owner that listings and ACLs name. One installation has one owner; access keys are its users.
pub const OWNER: &str = "outlast";
const EXPECTED_OWNER: &str = "x-amz-expected-bucket-owner";

/// Access key → who it is. Secrets are compared by s3s in constant time (its `Signature` is a `subtle` comparison of the HMACs).
#[derive(Clone)]
pub struct Users {
    by_key: Arc<HashMap<String, (String, SecretKey)>>,
}

impl Users {
    pub fn new(users: &[User]) -> Users {
        let entry =
            |user: &User| (user.access_key.clone(), (user.name.clone(), SecretKey::from(user.secret_key.as_str())));
        Users { by_key: Arc::new(users.iter().map(entry).collect()) }
    }

    fn name(&self, access_key: &str) -> Option<&str> {
        self.by_key.get(access_key).map(|(name, _)| name.as_str())
    }
}

#[async_trait::async_trait]
impl S3Auth for Users {
    async fn get_secret_key(&self, access_key: &str) -> S3Result<SecretKey> {
        match self.by_key.get(access_key) {
            Some((_, secret)) => Ok(secret.clone()),
            None => Err(S3Error::new(S3ErrorCode::InvalidAccessKeyId)),
        }
    }
}

#[async_trait::async_trait]
impl S3Access for Users {
    /// Runs for every operation, after the signature was checked.
    async fn check(&self, cx: &mut S3AccessContext<'_>) -> S3Result<()> {
        if let Some(trace) = cx.extensions_mut().get::<Arc<Trace>>().cloned() {
            note(&trace, cx);
        }
        let Some(credentials) = cx.credentials() else {
            return Err(S3Error::with_message(
                S3ErrorCode::AccessDenied,
                "Anonymous access is not served: sign the request.",
            ));
        };
        let known = self.name(&credentials.access_key).map(str::to_owned);
        let Some(name) = known else {
            return Err(S3Error::new(S3ErrorCode::InvalidAccessKeyId));
        };
        if let Some(trace) = cx.extensions_mut().get::<Arc<Trace>>() {
            trace.user.get_or_init(|| name);
        }
        match cx.headers().get(EXPECTED_OWNER) {
            Some(owner) if owner.as_bytes() != OWNER.as_bytes() => Err(S3Error::with_message(
                S3ErrorCode::AccessDenied,
                format!("{EXPECTED_OWNER} names another owner; every bucket here belongs to \"{OWNER}\"."),
            )),
            _ => Ok(()),
        }
    }
}

/// For requests whose signature was found right before.
pub struct Proven;

#[async_trait::async_trait]
impl S3Access for Proven {
    async fn check(&self, cx: &mut S3AccessContext<'_>) -> S3Result<()> {
        match cx.extensions_mut().get::<Arc<Trace>>() {
            Some(trace) if trace.is_signed() => Ok(()),
            _ => Err(S3Error::new(S3ErrorCode::AccessDenied)),
        }
    }
}

fn note(trace: &Trace, cx: &S3AccessContext<'_>) {
    trace.operation.get_or_init(|| cx.s3_op().name().to_owned());
    match cx.s3_path() {
        S3Path::Root => {}
        S3Path::Bucket { bucket } => {
            trace.bucket.get_or_init(|| bucket.to_string());
        }
        S3Path::Object { bucket, key } => {
            trace.bucket.get_or_init(|| bucket.to_string());
            trace.key.get_or_init(|| key.to_string());
        }
    }
}
