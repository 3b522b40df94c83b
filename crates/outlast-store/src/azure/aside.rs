//! Blobs of ours beside the keys, under names that no listing shows: what is gathered or dressed before it becomes a copy.

use super::call::{Ask, Caller};
use super::dress::put_item;
use super::errors::Asked;
use super::names::UPLOADS;
use crate::wire::{RECORD, Record};
use crate::{Answer, Applied, At, Dress, Fault};
use http::Method;
use http::header::HeaderMap;

/// A blob of ours beside the key.
pub(super) struct Aside {
    pub name: String,
    pub etag: String,
}

impl Caller {
    /// An id, and the name of its blob.
    pub fn name_aside(&self) -> (String, String) {
        let id = self.ids().draw();
        let name = format!("{UPLOADS}{id}");
        (id, name)
    }

    /// Marks what is sent as being on the way to this key.
    pub fn put_record(&self, what: &str, at: &At, dress: &Dress, headers: &mut HeaderMap) -> Answer<()> {
        let record = Record::of(&at.key, dress).encode_to_fit();
        let record = record.map_err(|why| self.trace(what).error(Fault::BadRequest, Applied::NotSent, why))?;
        put_item(RECORD, &record, headers);
        Ok(())
    }

    /// What cannot be removed now is listed as an open upload, and removed as one.
    pub async fn drop_aside(&self, container: &str, name: &str) {
        let mut ask = Ask::container("drop the upload in", Asked::Write { fenced: false }, Method::DELETE, container);
        name.clone_into(&mut ask.name);
        if let Err(error) = self.gone(ask).await {
            tracing::info!("{error}: it stays there as an open upload");
        }
    }
}
