//! Native buckets. Their names are shared by everybody in the world.

use super::call::{ANSWER_BYTES_MAX, Ask, Caller, bucket_path};
use super::errors::Asked;
use crate::{Answer, Fault};
use http::Method;
use serde::{Deserialize, Serialize};

/// A page of 1,000 buckets with what is told of each.
const LIST_BYTES_MAX: usize = 8 * 1024 * 1024;
const PAGES_MAX: usize = 1_000;

#[derive(Serialize)]
struct New<'a> {
    name: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    location: Option<&'a str>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Page {
    kind: String,
    #[serde(default)]
    next_page_token: Option<String>,
    #[serde(default)]
    items: Vec<Named>,
}

#[derive(Debug, Deserialize)]
struct Named {
    name: String,
}

impl Caller {
    pub async fn create_bucket(&self, bucket: &str) -> Answer<()> {
        let what = format!("create bucket {bucket}");
        let new = New { name: bucket, location: self.config().location.as_deref() };
        let ask = Ask::new(&what, Asked::WRITE_NEW, Method::POST, "/storage/v1/b".to_owned())
            .query("project", self.project(&what)?)
            .json(&new);
        match self.send(ask).await {
            Ok(answered) => answered.read(ANSWER_BYTES_MAX).await.map(|_| ()),
            // Somebody's: ours if we may look at it.
            Err(error) if error.status == Some(409) => match self.head_bucket(bucket).await {
                Ok(()) => Ok(()),
                Err(other) if matches!(other.fault, Fault::Denied | Fault::NoBucket) => Err(error),
                Err(other) => Err(other),
            },
            Err(error) => Err(error),
        }
    }

    pub async fn delete_bucket(&self, bucket: &str) -> Answer<()> {
        let ask = Ask::new(format!("delete bucket {bucket}"), Asked::WRITE_NEW, Method::DELETE, bucket_path(bucket));
        match self.send(ask).await {
            Ok(answered) => answered.read(ANSWER_BYTES_MAX).await.map(|_| ()),
            // The service says 409; fake-gcs-server says 412, though no condition was sent.
            Err(error) if error.fault == Fault::Precondition => {
                Err(crate::StoreError { fault: Fault::BadRequest, ..error })
            }
            Err(error) => Err(error),
        }
    }

    pub async fn head_bucket(&self, bucket: &str) -> Answer<()> {
        let ask = Ask::new(format!("head bucket {bucket}"), Asked::READ_BUCKET, Method::GET, bucket_path(bucket))
            .query("fields", "name");
        let (named, trace) = self.tell::<Named>(ask, ANSWER_BYTES_MAX).await?;
        if named.name == bucket { Ok(()) } else { Err(trace.bad_answer(format!("told of {} instead", named.name))) }
    }

    pub async fn list_buckets(&self) -> Answer<Vec<String>> {
        let what = "list buckets";
        let project = self.project(what)?;
        let mut names = Vec::new();
        let mut token: Option<String> = None;
        for _ in 0..PAGES_MAX {
            let mut ask = Ask::new(what, Asked::READ_BUCKET, Method::GET, "/storage/v1/b".to_owned())
                .query("project", project.clone())
                .query("fields", "kind,nextPageToken,items(name)");
            if let Some(token) = &token {
                ask = ask.query("pageToken", token.clone());
            }
            let (page, trace) = self.tell::<Page>(ask, LIST_BYTES_MAX).await?;
            if page.kind != "storage#buckets" {
                return Err(trace.bad_answer(format!("a {} where storage#buckets was due", page.kind)));
            }
            names.extend(page.items.into_iter().map(|item| item.name));
            let next = page.next_page_token.filter(|token| !token.is_empty());
            if next.is_none() {
                return Ok(names);
            }
            if next == token {
                return Err(trace.bad_answer("a list of buckets that goes on, but not where"));
            }
            token = next;
        }
        Err(self.trace(what).bad_answer("a list of buckets without end"))
    }
}
