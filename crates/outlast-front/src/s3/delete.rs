//! DeleteObject and DeleteObjects.

use super::conditions::{conditions, on_write};
use super::errors;
use super::gateway::{Gateway, bucket_name, key_to_write};
use super::refuse;
use crate::trace::Trace;
use outlast_engine::DeleteAsk;
use outlast_rules::{Conditions, Key};
use s3s::dto::*;
use s3s::{S3Error, S3ErrorCode, S3Request, S3Response, S3Result};
use std::sync::Arc;

/// S3's bound for one DeleteObjects.
const KEYS_MAX: usize = 1000;

impl Gateway {
    pub(super) async fn delete(&self, req: S3Request<DeleteObjectInput>) -> S3Result<S3Response<DeleteObjectOutput>> {
        refuse::subresource(&req.uri)?;
        let user = user_of(&req.extensions);
        let input = req.input;
        refuse::version_to_remove(input.version_id.as_deref())?;
        if input.if_match_size.is_some() || input.if_match_last_modified_time.is_some() {
            return Err(errors::not_here("deletes conditional on size or time"));
        }
        let ask = DeleteAsk {
            bucket: bucket_name(&input.bucket)?,
            key: key_to_write(&input.key)?,
            conditions: on_write(input.if_match.as_ref(), None, &req.headers),
            user,
        };
        self.engine.delete(ask).await.map_err(errors::from_write)?;
        Ok(S3Response::new(DeleteObjectOutput::default()))
    }

    pub(super) async fn delete_many(
        &self,
        req: S3Request<DeleteObjectsInput>,
    ) -> S3Result<S3Response<DeleteObjectsOutput>> {
        let user = user_of(&req.extensions);
        let bucket = bucket_name(&req.input.bucket)?;
        let Delete { objects, quiet } = req.input.delete;
        if objects.is_empty() || objects.len() > KEYS_MAX {
            return Err(S3Error::new(S3ErrorCode::MalformedXML));
        }
        let mut errors_out = Vec::new();
        let mut asked = Vec::new();
        for object in objects {
            let name = object.key.clone();
            match one(object) {
                Ok(ask) => asked.push(ask),
                Err(fault) => errors_out.push(failed(name, &fault)),
            }
        }
        // The bucket itself must answer even when no key is left to be deleted.
        let done = if asked.is_empty() {
            self.engine.head_bucket(bucket).await.map_err(errors::from_bucket)?;
            Vec::new()
        } else {
            self.engine.delete_many(bucket, user, asked).await
        };
        let mut deleted = Vec::new();
        for (key, result) in done {
            match result {
                Ok(()) => deleted.push(DeletedObject { key: Some(key.to_string()), ..Default::default() }),
                Err(fault) => {
                    let fault = errors::from_write(fault);
                    if *fault.code() == S3ErrorCode::NoSuchBucket {
                        return Err(fault);
                    }
                    errors_out.push(failed(key.to_string(), &fault));
                }
            }
        }
        let deleted = if quiet == Some(true) { Vec::new() } else { deleted };
        let output = DeleteObjectsOutput {
            deleted: (!deleted.is_empty()).then_some(deleted),
            errors: (!errors_out.is_empty()).then_some(errors_out),
            ..Default::default()
        };
        Ok(S3Response::new(output))
    }
}

/// Whose budget a delete is counted against; every served request has a user.
fn user_of(extensions: &http::Extensions) -> String {
    let trace = extensions.get::<Arc<Trace>>();
    trace.and_then(|trace| trace.user.get().cloned()).unwrap_or_default()
}

fn one(object: ObjectIdentifier) -> S3Result<(Key, Conditions)> {
    refuse::version_to_remove(object.version_id.as_deref())?;
    if object.size.is_some() || object.last_modified_time.is_some() {
        return Err(errors::not_here("deletes conditional on size or time"));
    }
    let etag = object.e_tag.map(ETagCondition::ETag);
    Ok((key_to_write(&object.key)?, conditions(etag.as_ref(), None, None, None)))
}

fn failed(key: String, fault: &S3Error) -> Error {
    Error {
        code: Some(fault.code().as_str().to_owned()),
        key: Some(key),
        message: fault.message().map(str::to_owned),
        version_id: None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_key_is_judged_alone() {
        let object = |key: &str| ObjectIdentifier { key: key.to_owned(), ..Default::default() };
        let (key, conditions) =
            one(ObjectIdentifier { e_tag: Some(ETag::Strong("e".into())), ..object("a//b") }).expect("fine");
        assert_eq!((key.as_str(), conditions.if_match.as_deref()), ("a//b", Some("e")));
        assert!(one(object(".outlast/store.json")).is_err());
        assert!(one(ObjectIdentifier { version_id: Some("3f".into()), ..object("a") }).is_err());
        assert!(one(ObjectIdentifier { size: Some(1), ..object("a") }).is_err());
        let fault = one(object("")).expect_err("no key is empty");
        let line = failed(String::new(), &fault);
        assert_eq!(line.code.as_deref(), Some("KeyTooLongError"));
    }
}
