//! A multipart upload that goes on where it was when the gateway is killed and started again.

use crate::asking::{Asker, BUCKET, Stop};
use crate::bodies::{BodyId, bytes_of};
use crate::client::Ask;
use crate::oracle::Truth;
use std::collections::BTreeMap;

/// The smallest that S3 allows for all but the last.
const PART_BYTES: usize = 5 * 1024 * 1024;

#[derive(Debug)]
pub(crate) struct PendingUpload {
    key: String,
    body: BodyId,
    id: Option<String>,
    /// Acknowledged parts with their ETags.
    parts: BTreeMap<usize, String>,
}

impl PendingUpload {
    pub fn new(key: String, body: BodyId) -> PendingUpload {
        PendingUpload { key, body, id: None, parts: BTreeMap::new() }
    }

    /// Does what is left of it.
    ///
    /// # Errors
    /// Killed: it can go on later. Broken: an acknowledged part or the upload itself is gone, or an answer is wrong.
    pub async fn go_on(&mut self, asker: &mut Asker) -> Result<(), Stop> {
        let id = match &self.id {
            Some(id) => id.clone(),
            None => self.create(asker).await?,
        };
        let body = bytes_of(self.body);
        for (number, start) in (1..).zip((0..body.len()).step_by(PART_BYTES)) {
            if self.parts.contains_key(&number) {
                continue;
            }
            let piece = body.slice(start..(start + PART_BYTES).min(body.len()));
            let ask = Ask::put(BUCKET, &self.key, piece).with("partNumber", number).with("uploadId", &id);
            let answer = asker.ask(ask).await?;
            let etag = answer.etag().filter(|_| answer.status == 200).map(str::to_owned);
            let Some(etag) = etag else { return Err(self.broken("part", answer.status, &answer.text())) };
            self.parts.insert(number, etag);
        }
        self.complete(asker, &id).await
    }

    async fn create(&mut self, asker: &mut Asker) -> Result<String, Stop> {
        let answer = asker.ask(Ask::post(BUCKET, &self.key, "").with("uploads", "")).await?;
        let id = answer.element("UploadId").filter(|_| answer.status == 200);
        let Some(id) = id else { return Err(self.broken("create", answer.status, &answer.text())) };
        self.id = Some(id.clone());
        Ok(id)
    }

    /// A repeat of one that got no answer is answered as the first would have been.
    async fn complete(&self, asker: &mut Asker, id: &str) -> Result<(), Stop> {
        let part = |(number, etag): (&usize, &String)| {
            format!("<Part><PartNumber>{number}</PartNumber><ETag>{}</ETag></Part>", etag.replace('"', "&quot;"))
        };
        let parts: String = self.parts.iter().map(part).collect();
        let list = format!("<CompleteMultipartUpload>{parts}</CompleteMultipartUpload>");
        let begun = asker.shared.oracle.begin(&self.key, Truth::Body(self.body));
        let ask = Ask::post(BUCKET, &self.key, list).with("uploadId", id);
        let answer = asker.write(ask, vec![begun], 200).await?;
        // A long Complete is answered with 200 at once, and with an error inside.
        if answer.element("ETag").is_none() {
            return Err(self.broken("complete", answer.status, &answer.text()));
        }
        Ok(())
    }

    fn broken(&self, step: &str, status: u16, text: &str) -> Stop {
        Stop::Broken(format!(
            "{step} of the upload of {} ({} parts acknowledged): {status} {text}",
            self.key,
            self.parts.len()
        ))
    }
}
