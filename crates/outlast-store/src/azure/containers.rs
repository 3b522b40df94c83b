//! Containers are Azure's buckets.

use super::call::{Ask, Caller};
use super::errors::Asked;
use super::listing::Include;
use super::objects::ANSWER_BYTES_MAX;
use super::xml;
use crate::{Answer, Applied, Fault};
use http::Method;

/// A page of 5,000 containers with what is told of each.
const LIST_BYTES_MAX: usize = 8 * 1024 * 1024;
/// Five million containers, or blobs of ours in one that is to go; whoever has more is not looked through.
const PAGES_MAX: usize = 1_000;

impl Caller {
    fn container_ask<'a>(&self, verb: &str, asked: Asked, method: Method, container: &'a str) -> Ask<'a> {
        Ask::container(verb, asked, method, container).query("restype", "container")
    }

    pub async fn create_container(&self, container: &str) -> Answer<()> {
        let ask = self.container_ask("create bucket", Asked::Write { fenced: false }, Method::PUT, container);
        match self.send(ask).await {
            Ok(answered) => answered.read(ANSWER_BYTES_MAX).await.map(|_| ()),
            // Containers belong to the account: this one is ours.
            Err(error) if error.code.as_deref() == Some("ContainerAlreadyExists") => Ok(()),
            Err(error) => Err(error),
        }
    }

    /// The service removes a container with all that is in it and knows no condition for it. So it is looked at first; what
    /// is written between the look and the call is lost with it.
    pub async fn delete_container(&self, container: &str) -> Answer<()> {
        let mut marker: Option<String> = None;
        for _ in 0..PAGES_MAX {
            let (blobs, next) = self.blobs(container, "", marker.as_deref(), Include::Nothing).await?;
            if !blobs.is_empty() {
                let trace = self.trace(&format!("delete bucket {container}"));
                let mut error = trace.error(Fault::BadRequest, Applied::No, "the bucket is not empty");
                error.code = Some("BucketNotEmpty".to_owned());
                return Err(error);
            }
            if next.is_none() {
                let ask =
                    self.container_ask("delete bucket", Asked::Write { fenced: false }, Method::DELETE, container);
                return self.send(ask).await?.read(ANSWER_BYTES_MAX).await.map(|_| ());
            }
            marker = next;
        }
        Err(self.trace(&format!("delete bucket {container}")).bad_answer("a listing without end"))
    }

    pub async fn head_container(&self, container: &str) -> Answer<()> {
        let ask = self.container_ask("head bucket", Asked::Read, Method::HEAD, container);
        self.send(ask).await?.read(ANSWER_BYTES_MAX).await.map(|_| ())
    }

    pub async fn list_containers(&self) -> Answer<Vec<String>> {
        let mut names = Vec::new();
        let mut marker: Option<String> = None;
        for _ in 0..PAGES_MAX {
            let mut ask = Ask::container("list buckets", Asked::Read, Method::GET, "").query("comp", "list");
            if let Some(marker) = &marker {
                ask = ask.query("marker", marker);
            }
            let (_, _, trace, text) = self.send(ask).await?.read(LIST_BYTES_MAX).await?;
            let mut next = None;
            let read = xml::read(&text, "EnumerationResults", |ended| {
                let path: Vec<&str> = ended.path.iter().skip(1).map(String::as_str).collect();
                match path[..] {
                    ["Containers", "Container", "Name"] => names.push(ended.text.to_owned()),
                    ["NextMarker"] if !ended.text.is_empty() => next = Some(ended.text.to_owned()),
                    _ => {}
                }
            });
            read.map_err(|why| trace.bad_answer(why))?;
            if next.is_none() {
                return Ok(names);
            }
            if next == marker {
                return Err(trace.bad_answer("a list of buckets that goes on, but not where"));
            }
            marker = next;
        }
        Err(self.trace("list buckets").bad_answer("a list of buckets without end"))
    }
}
