//! Native buckets, and whether they keep versions.

use super::call::{Ask, Caller};
use super::errors::Asked;
use super::objects::{ANSWER_BYTES_MAX, LIST_BYTES_MAX};
use super::xml::{self, BucketsResult, VersioningResult};
use crate::wire::md5_header;
use crate::{Answer, Body, Fault};
use bytes::Bytes;
use http::Method;
use http::header::{CONTENT_TYPE, HeaderValue};
use md5::{Digest, Md5};

/// The one region that S3 wants unnamed; stores without regions use its name too.
const REGION_UNNAMED: &str = "us-east-1";
/// S3 allows a million buckets in pages of 10,000.
const BUCKET_PAGES_MAX: usize = 1_000;

impl Caller {
    pub async fn create_bucket(&self, bucket: &str) -> Answer<()> {
        let asked = Asked::Write { fenced: false };
        let mut ask = Ask::new("create bucket", asked, Method::PUT, bucket, "");
        let region = &self.config().region;
        if region != REGION_UNNAMED {
            ask.headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/xml"));
            ask.body = Body::Whole(Bytes::from(xml::location_document(region)));
        }
        match self.send(ask).await {
            Ok(answered) => answered.read(ANSWER_BYTES_MAX).await.map(|_| ()),
            Err(error) if error.code.as_deref() == Some("BucketAlreadyOwnedByYou") => Ok(()),
            Err(error) => Err(error),
        }
    }

    pub async fn delete_bucket(&self, bucket: &str) -> Answer<()> {
        let ask = Ask::new("delete bucket", Asked::Write { fenced: false }, Method::DELETE, bucket, "");
        self.send(ask).await?.read(ANSWER_BYTES_MAX).await.map(|_| ())
    }

    pub async fn head_bucket(&self, bucket: &str) -> Answer<()> {
        let ask = Ask::new("head bucket", Asked::HeadBucket, Method::HEAD, bucket, "");
        self.send(ask).await?.read(ANSWER_BYTES_MAX).await.map(|_| ())
    }

    pub async fn list_buckets(&self) -> Answer<Vec<String>> {
        let mut names = Vec::new();
        let mut token: Option<String> = None;
        for _ in 0..BUCKET_PAGES_MAX {
            let mut ask = Ask::new("list buckets", Asked::Read, Method::GET, "", "");
            if let Some(token) = &token {
                ask = ask.query("continuation-token", token);
            }
            let (_, _, trace, text) = self.send(ask).await?.read(LIST_BYTES_MAX).await?;
            let result: BucketsResult = self.document(&trace, &text, "ListAllMyBucketsResult")?;
            names.extend(result.buckets.bucket.into_iter().map(|bucket| bucket.name));
            let next = result.continuation_token.filter(|token| !token.is_empty());
            if next.is_none() {
                return Ok(names);
            }
            if next == token {
                return Err(trace.bad_answer("a list of buckets that goes on, but not where"));
            }
            token = next;
        }
        Err(self.trace("list buckets").bad_answer("a list of buckets without end"))
    }

    /// A store that does not know the question keeps none.
    pub async fn keeps_versions(&self, bucket: &str) -> Answer<bool> {
        let ask = Ask::new("ask versioning of", Asked::Read, Method::GET, bucket, "").query("versioning", "");
        let answered = match self.send(ask).await {
            Ok(answered) => answered,
            Err(error) if error.fault == Fault::Unsupported => {
                self.unversioned().learn(bucket, false);
                return Ok(false);
            }
            Err(error) => return Err(error),
        };
        let (_, _, trace, text) = answered.read(ANSWER_BYTES_MAX).await?;
        let result: VersioningResult = self
            .document(&trace, &text, "VersioningConfiguration")
            .or_else(|error| self.document(&trace, &text, "GetBucketVersioningResult").map_err(|_| error))?;
        let keeps = result.status.as_deref() == Some("Enabled");
        self.unversioned().learn(bucket, keeps);
        Ok(keeps)
    }

    pub async fn keep_versions(&self, bucket: &str) -> Answer<()> {
        let asked = Asked::Write { fenced: false };
        let mut ask = Ask::new("keep versions of", asked, Method::PUT, bucket, "").query("versioning", "");
        ask.headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/xml"));
        md5_header(Some(Md5::digest(xml::VERSIONING_ON).into()), &mut ask.headers);
        ask.body = Body::Whole(Bytes::from_static(xml::VERSIONING_ON.as_bytes()));
        let sent = match self.send(ask).await {
            Err(error) if error.fault == Fault::Unsupported => {
                self.unversioned().learn(bucket, false);
                return Err(error);
            }
            sent => sent?,
        };
        sent.read(ANSWER_BYTES_MAX).await?;
        self.unversioned().learn(bucket, true);
        Ok(())
    }

    pub fn learn_versions(&self, bucket: &str, keeps: bool) {
        self.unversioned().learn(bucket, keeps);
    }
}
