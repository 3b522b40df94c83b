//! Server-side copies within the account. Copy Blob gives the target new metadata, but always its source's own headers; where
//! others are wanted, a copy aside gets them first.

use super::aside::Aside;
use super::call::{Ask, Caller};
use super::dress::{put_metadata_anew, put_properties, same_properties};
use super::errors::Asked;
use super::objects::{ANSWER_BYTES_MAX, pin_of};
use crate::wire::{before, quoted};
use crate::{Answer, Applied, At, Dress, Fault, PutSpec};
use http::Method;
use http::header::HeaderValue;
use outlast_rules::{Fence, Pin};

/// One blob to be copied over another.
pub(super) struct Copying<'a> {
    pub what: &'a str,
    pub from: (&'a str, &'a str),
    /// ETag of the source.
    pub pin: &'a str,
    pub to: (&'a str, &'a str),
    pub fence: Option<&'a Fence>,
}

impl Caller {
    pub async fn copy(&self, from: &At, pin: &Pin, to: &At, spec: &PutSpec) -> Answer<Pin> {
        let what = format!("copy to {}/{}", to.bucket, to.key);
        self.unversioned(&what, pin.version.as_deref())?;
        let source = self.head_key(from).await.map_err(before)?;
        if source.pin.etag != pin.etag {
            let message = format!("the source was {}, and is {}", pin.etag, source.pin.etag);
            return Err(self.trace(&what).error(Fault::Precondition, Applied::No, message));
        }
        let (from_name, to_name) = (super::names::there(&from.key), super::names::there(&to.key));
        let copying = Copying {
            what: &what,
            from: (&from.bucket, &from_name),
            pin: &pin.etag,
            to: (&to.bucket, &to_name),
            fence: spec.fence.as_ref(),
        };
        if from != to && same_properties(&source.dress.head, &spec.dress.head) {
            return self.copy_blob(&copying, &spec.dress).await;
        }
        let aside = self.copy_aside(&copying, to, &spec.dress).await.map_err(before)?;
        let (container, name) = (to.bucket.as_str(), aside.name.as_str());
        let copying = Copying { from: (container, name), pin: &aside.etag, ..copying };
        let answer = self.copy_blob(&copying, &spec.dress).await;
        self.drop_aside(container, &aside.name).await;
        answer
    }

    /// A copy under a name of ours, with the headers that the target is to have.
    async fn copy_aside(&self, copying: &Copying<'_>, to: &At, dress: &Dress) -> Answer<Aside> {
        let (_, name) = self.name_aside();
        let mut ask = self.copy_ask(&Copying { to: (&to.bucket, &name), fence: Some(&Fence::Absent), ..*copying });
        self.put_record(copying.what, to, dress, &mut ask.headers)?;
        let made = self.copied(ask).await?;
        let set = async {
            let mut ask = Ask::container(copying.what, Asked::Write { fenced: true }, Method::PUT, &to.bucket)
                .query("comp", "properties")
                .fence(Some(&Fence::Matches(made.etag)));
            ask.name.clone_from(&name);
            put_properties(&dress.head, &mut ask.headers);
            let (_, headers, trace, _) = self.send(ask).await?.read(ANSWER_BYTES_MAX).await?;
            pin_of(&headers, &trace)
        };
        match set.await {
            Ok(pin) => Ok(Aside { name, etag: pin.etag }),
            Err(error) => {
                self.drop_aside(&to.bucket, &name).await;
                Err(error)
            }
        }
    }

    pub async fn copy_blob(&self, copying: &Copying<'_>, dress: &Dress) -> Answer<Pin> {
        let mut ask = self.copy_ask(copying);
        put_metadata_anew(dress, &mut ask.headers);
        self.copied(ask).await
    }

    fn copy_ask<'a>(&self, copying: &Copying<'a>) -> Ask<'a> {
        let asked = Asked::Write { fenced: false };
        let mut ask = Ask::container("copy", asked, Method::PUT, copying.to.0)
            .header("x-ms-copy-source", self.source_of(copying.from.0, copying.from.1))
            .header("x-ms-source-if-match", quoted(copying.pin))
            .fence(copying.fence);
        copying.what.clone_into(&mut ask.what);
        copying.to.1.clone_into(&mut ask.name);
        ask
    }

    /// Within one account the service copies before it answers; where it does not, nothing is certain yet.
    async fn copied(&self, ask: Ask<'_>) -> Answer<Pin> {
        let (_, headers, trace, _) = self.send(ask).await?.read(ANSWER_BYTES_MAX).await?;
        match headers.get("x-ms-copy-status").map(HeaderValue::as_bytes) {
            Some(b"success") => pin_of(&headers, &trace),
            _ => Err(trace.error(Fault::Server, Applied::Unknown, "the service copies it later")),
        }
    }
}
