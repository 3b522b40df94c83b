//! Calls about one object: PUT, HEAD, GET, copy, DELETE.

use super::call::{ANSWER_BYTES_MAX, Ask, Caller, object_path};
use super::dress::{Shown, Told};
use super::errors::Asked;
use crate::wire::{Answered, Trace, span_of, stream_of};
use crate::{Answer, Applied, At, Body, ByteRange, ByteStream, Fault, Found, PutSpec, StoreError};
use http::Method;
use http::header::{ACCEPT_ENCODING, HeaderValue, RANGE};
use outlast_rules::{Fence, Pin};
use serde::Deserialize;

/// A copy between places far apart is told in steps: each moves a gibibyte at least, and an object has five tebibytes at most.
const REWRITES_MAX: usize = 10_000;

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Rewritten {
    done: bool,
    rewrite_token: Option<String>,
    resource: Option<Shown>,
}

/// No object has this generation: they count microseconds since 1970.
const NEVER: &str = "1";

pub(super) fn pin_of(shown: &Shown, trace: &Trace) -> Answer<Pin> {
    shown.pin().map_err(|why| trace.bad_answer(why))
}

impl Caller {
    pub async fn put(&self, at: &At, spec: &PutSpec, body: Body) -> Answer<Pin> {
        let what = format!("put {}/{}", at.bucket, at.key);
        let told = Told::of(&spec.dress).md5(spec.md5).named(&self.name_of(&what, &at.key)?);
        let ask = self.insert(&what, &at.bucket, &told, body).fence(spec.fence.as_ref());
        let (shown, trace) = self.tell::<Shown>(ask, ANSWER_BYTES_MAX).await?;
        pin_of(&shown, &trace)
    }

    pub async fn head_key(&self, at: &At) -> Answer<Found> {
        let what = format!("head {}/{}", at.bucket, at.key);
        let name = self.name_of(&what, &at.key)?;
        let (shown, trace) = self.shown(&what, &at.bucket, &name, None).await?;
        shown.found().map_err(|why| trace.bad_answer(why))
    }

    /// What the service tells of an object, pinned where a generation is given.
    pub async fn shown(
        &self,
        what: &str,
        bucket: &str,
        name: &str,
        generation: Option<&str>,
    ) -> Answer<(Shown, Trace)> {
        let fence = generation.map(|generation| Fence::Matches(generation.to_owned()));
        let ask = Ask::new(what, Asked::READ, Method::GET, object_path(bucket, name)).fence(fence.as_ref());
        let (shown, trace) = self.tell::<Shown>(ask, ANSWER_BYTES_MAX).await?;
        match generation {
            Some(generation) if shown.generation != generation => Err(another(&trace, generation, &shown.generation)),
            _ => Ok((shown, trace)),
        }
    }

    /// Metadata and bytes are two questions here. Both are put at once where it is known which generation is meant.
    pub async fn get(&self, at: &At, pin: Option<&Pin>, range: Option<ByteRange>) -> Answer<(Found, ByteStream)> {
        let what = format!("get {}/{}", at.bucket, at.key);
        if let Some(pin) = pin {
            self.unversioned(&what, pin.version.as_deref())?;
        }
        if let Some(range) = range.filter(|range| range.start >= range.end) {
            let message = format!("the range {}..{} is empty", range.start, range.end);
            return Err(self.trace(&what).error(Fault::BadRequest, Applied::NotSent, message));
        }
        let name = self.name_of(&what, &at.key)?;
        let (shown, trace, answered) = match pin {
            Some(pin) => {
                let shown = self.shown(&what, &at.bucket, &name, Some(&pin.etag));
                let media = self.media(&what, &at.bucket, &name, &pin.etag, range);
                // What is not there is said in better words by the first.
                let (shown, media) = futures_util::future::join(shown, media).await;
                let (shown, trace) = shown?;
                (shown, trace, media?)
            }
            None => {
                let (shown, trace) = self.shown(&what, &at.bucket, &name, None).await?;
                let answered = self.media(&what, &at.bucket, &name, &pin_of(&shown, &trace)?.etag, range).await?;
                (shown, trace, answered)
            }
        };
        let found = shown.found().map_err(|why| trace.bad_answer(why))?;
        let (start, end, size) = span_of(&answered, range).map_err(|why| answered.trace.bad_answer(why))?;
        if size != found.size {
            return Err(answered.trace.bad_answer(format!("{size} bytes where {} are told", found.size)));
        }
        Ok((found, stream_of(answered, end - start)))
    }

    /// The bytes of exactly this generation.
    async fn media(
        &self,
        what: &str,
        bucket: &str,
        name: &str,
        generation: &str,
        range: Option<ByteRange>,
    ) -> Answer<Answered> {
        let fence = Fence::Matches(generation.to_owned());
        let mut ask = Ask::new(what, Asked::READ, Method::GET, object_path(bucket, name))
            .query("alt", "media")
            .fence(Some(&fence));
        // Otherwise the service unpacks what is stored as gzip, and tells neither its length nor its digest.
        ask.headers.insert(ACCEPT_ENCODING, HeaderValue::from_static("gzip"));
        if let Some(range) = range {
            let value = format!("bytes={}-{}", range.start, range.end - 1);
            ask.headers.insert(RANGE, HeaderValue::try_from(value).expect("digits are a header value"));
        }
        let answered = self.send(ask).await?;
        match answered.text_of("x-goog-generation") {
            Some(found) if found == generation => Ok(answered),
            Some(found) => Err(another(&answered.trace, generation, found)),
            None => Err(answered.trace.bad_answer("bytes that do not say of which generation")),
        }
    }

    pub async fn copy(&self, from: &At, pin: &Pin, to: &At, spec: &PutSpec) -> Answer<Pin> {
        let what = format!("copy to {}/{}", to.bucket, to.key);
        self.unversioned(&what, pin.version.as_deref())?;
        let (from_name, to_name) = (self.name_of(&what, &from.key)?, self.name_of(&what, &to.key)?);
        let path = format!(
            "{}/rewriteTo{}",
            object_path(&from.bucket, &from_name),
            object_path(&to.bucket, &to_name).trim_start_matches("/storage/v1")
        );
        let told = Told::of(&spec.dress);
        let mut token: Option<String> = None;
        for _ in 0..REWRITES_MAX {
            let mut ask = Ask::new(&what, Asked::WRITE, Method::POST, path.clone())
                .query("ifSourceGenerationMatch", pin.etag.clone())
                .fence(spec.fence.as_ref())
                .json(&told);
            if let Some(token) = token {
                ask = ask.query("rewriteToken", token);
            }
            let (step, trace) = self.tell::<Rewritten>(ask, ANSWER_BYTES_MAX).await?;
            match step {
                Rewritten { done: true, resource: Some(shown), .. } => return pin_of(&shown, &trace),
                Rewritten { done: false, rewrite_token: Some(next), .. } => token = Some(next),
                _ => return Err(trace.bad_answer("a copy that is neither done nor goes on")),
            }
        }
        Err(self.trace(&what).bad_answer("a copy without end"))
    }

    pub async fn delete(&self, at: &At, version: Option<&str>, fence: Option<&Fence>) -> Answer<()> {
        let what = format!("delete {}/{}", at.bucket, at.key);
        let name = self.name_of(&what, &at.key)?;
        if version.is_some() {
            // No version is ever there, so it is gone; but only who may delete is told so.
            let never = Fence::Matches(NEVER.to_owned());
            return match self.remove(&what, &at.bucket, &name, Some(&never)).await {
                Err(error) if matches!(error.fault, Fault::Precondition | Fault::NoKey) => Ok(()),
                other => other,
            };
        }
        match self.remove(&what, &at.bucket, &name, fence).await {
            // If-Match on a key that is not there: the condition failed.
            Err(error) if error.fault == Fault::NoKey && fence.is_some() => {
                Err(StoreError { fault: Fault::Precondition, ..error })
            }
            Err(error) if error.fault == Fault::NoKey => Ok(()),
            other => other,
        }
    }

    pub async fn remove(&self, what: &str, bucket: &str, name: &str, fence: Option<&Fence>) -> Answer<()> {
        let ask = Ask::new(what, Asked::WRITE, Method::DELETE, object_path(bucket, name)).fence(fence);
        self.send(ask).await?.read(ANSWER_BYTES_MAX).await.map(|_| ())
    }

    /// No version is ever there, whatever is current.
    pub async fn head_version(&self, at: &At, version: &str) -> Answer<Found> {
        self.head_key(at).await?;
        let trace = self.trace(&format!("head {}/{}", at.bucket, at.key));
        Err(trace.error(Fault::NoKey, Applied::No, format!("there is no version {version}: they are not used here")))
    }

    /// No pin of ours has a version here: whoever asks for one means another store, and must not get what is current.
    pub fn unversioned(&self, what: &str, version: Option<&str>) -> Answer<()> {
        match version {
            None => Ok(()),
            Some(_) => {
                let message = "older generations are not used";
                Err(self.trace(what).error(Fault::Unsupported, Applied::NotSent, message))
            }
        }
    }
}

fn another(trace: &Trace, asked: &str, found: &str) -> StoreError {
    trace.error(Fault::Precondition, Applied::No, format!("asked for generation {asked}, got {found}"))
}
