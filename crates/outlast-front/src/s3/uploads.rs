//! ListParts and ListMultipartUploads.

use super::checksums::{self, give_checksums};
use super::convert::{self, owner, timestamp};
use super::errors;
use super::gateway::{Gateway, bucket_name, key_to_write};
use super::listing::{Coding, page_size};
use crate::auth::OWNER;
use outlast_engine::{PartFacts, UploadFacts, UploadsPage};
use s3s::dto::*;
use s3s::{S3Request, S3Response, S3Result};

impl Gateway {
    pub(super) async fn parts(&self, req: S3Request<ListPartsInput>) -> S3Result<S3Response<ListPartsOutput>> {
        let input = req.input;
        let max = page_size(input.max_parts)?;
        let marker = input.part_number_marker.unwrap_or(0);
        let after = u32::try_from(marker).map_err(|_| errors::invalid("part-number-marker is no part number"))?;
        let (bucket, key) = (bucket_name(&input.bucket)?, key_to_write(&input.key)?);
        let limit = usize::try_from(max).unwrap_or(0);
        let page = self.engine.list_parts(bucket, key, input.upload_id.clone(), after, limit).await;
        let page = page.map_err(errors::from_upload)?;
        let truncated = page.truncated && limit > 0;
        let last = page.parts.last().map(|part| number(part.number));
        Ok(S3Response::new(ListPartsOutput {
            bucket: Some(input.bucket),
            key: Some(input.key),
            upload_id: Some(input.upload_id),
            max_parts: Some(max),
            part_number_marker: Some(marker),
            next_part_number_marker: last.filter(|_| truncated),
            is_truncated: Some(truncated),
            parts: Some(page.parts.iter().map(part).collect()),
            owner: Some(owner()),
            initiator: Some(initiator()),
            storage_class: Some(StorageClass::from_static(StorageClass::STANDARD)),
            checksum_algorithm: page.upload.checksum.map(checksums::algorithm),
            ..Default::default()
        }))
    }

    pub(super) async fn uploads(
        &self,
        req: S3Request<ListMultipartUploadsInput>,
    ) -> S3Result<S3Response<ListMultipartUploadsOutput>> {
        let input = req.input;
        let coding = Coding::of(input.encoding_type.as_ref())?;
        let max = page_size(input.max_uploads)?;
        let walk = Walk {
            prefix: input.prefix.clone().unwrap_or_default(),
            delimiter: input.delimiter.clone().unwrap_or_default(),
            max: usize::try_from(max).unwrap_or(0),
        };
        coding.check([walk.prefix.as_str(), &walk.delimiter, input.key_marker.as_deref().unwrap_or_default()])?;
        let start = (input.key_marker.clone().unwrap_or_default(), input.upload_id_marker.clone().unwrap_or_default());
        let found = self.walk(&input.bucket, &walk, start).await?;
        coding.check(found.uploads.iter().map(|upload| upload.key.as_str()))?;
        coding.check(found.prefixes.iter().map(String::as_str))?;
        let (next_key, next_upload) = found.next.unzip();
        Ok(S3Response::new(ListMultipartUploadsOutput {
            bucket: Some(input.bucket),
            prefix: Some(coding.text(walk.prefix)),
            delimiter: input.delimiter.filter(|text| !text.is_empty()).map(|text| coding.text(text)),
            key_marker: Some(coding.text(input.key_marker.unwrap_or_default())),
            upload_id_marker: Some(input.upload_id_marker.unwrap_or_default()),
            max_uploads: Some(max),
            is_truncated: Some(next_key.is_some()),
            next_key_marker: next_key.map(|text| coding.text(text)),
            next_upload_id_marker: next_upload,
            uploads: Some(found.uploads.into_iter().map(|upload| line(upload, coding)).collect()),
            common_prefixes: Some(found.prefixes.into_iter().map(|text| prefix_line(text, coding)).collect()),
            encoding_type: input.encoding_type,
            ..Default::default()
        }))
    }

    /// Folds uploads below a delimiter. Each page read makes progress; a common prefix is skipped whole.
    async fn walk(&self, bucket: &str, walk: &Walk, start: (String, String)) -> S3Result<Found> {
        let bucket = bucket_name(bucket)?;
        let mut found = Found::default();
        let mut after = start;
        if walk.max == 0 {
            self.engine.head_bucket(bucket).await.map_err(errors::from_bucket)?;
            return Ok(found);
        }
        loop {
            let (key, id) = after.clone();
            // A marker without an upload id means: after every upload of that key.
            let id = if id.is_empty() && !key.is_empty() { LAST.to_string() } else { id };
            let page = self.engine.list_uploads(bucket.clone(), walk.prefix.clone(), key, id, walk.max).await;
            let UploadsPage { uploads, truncated } = page.map_err(errors::from_upload)?;
            let mut skipped = None;
            for upload in uploads {
                let key = upload.key.to_string();
                if skipped.as_ref().is_some_and(|prefix: &String| key.starts_with(prefix)) {
                    continue;
                }
                if found.len() == walk.max {
                    found.next = Some(after);
                    return Ok(found);
                }
                match walk.common_prefix(&key) {
                    Some(prefix) => {
                        after = (format!("{prefix}{LAST}"), String::new());
                        found.prefixes.push(prefix.clone());
                        skipped = Some(prefix);
                    }
                    None => {
                        after = (key, upload.id.clone());
                        found.uploads.push(upload);
                    }
                }
            }
            if !truncated {
                return Ok(found);
            }
        }
    }
}

/// Sorts after everything that clients can name below a prefix, and after every upload id.
const LAST: char = '\u{10FFFF}';

struct Walk {
    prefix: String,
    delimiter: String,
    max: usize,
}

impl Walk {
    fn common_prefix(&self, key: &str) -> Option<String> {
        if self.delimiter.is_empty() {
            return None;
        }
        let rest = key.strip_prefix(&self.prefix)?;
        let at = rest.find(&self.delimiter)?;
        Some(format!("{}{}", self.prefix, &rest[..at + self.delimiter.len()]))
    }
}

#[derive(Default)]
struct Found {
    uploads: Vec<UploadFacts>,
    prefixes: Vec<String>,
    /// Key and upload id that the next page comes after.
    next: Option<(String, String)>,
}

impl Found {
    fn len(&self) -> usize {
        self.uploads.len() + self.prefixes.len()
    }
}

fn number(number: u32) -> i32 {
    i32::try_from(number).unwrap_or(i32::MAX)
}

fn part(facts: &PartFacts) -> Part {
    let mut part = Part {
        part_number: Some(number(facts.number)),
        size: Some(convert::signed(facts.size)),
        e_tag: Some(convert::etag(&facts.etag)),
        last_modified: Some(timestamp(facts.modified)),
        ..Default::default()
    };
    give_checksums!(part, &facts.checksums);
    part
}

fn line(upload: UploadFacts, coding: Coding) -> MultipartUpload {
    MultipartUpload {
        key: Some(coding.text(upload.key.to_string())),
        upload_id: Some(upload.id),
        initiated: Some(timestamp(upload.began)),
        initiator: Some(initiator()),
        owner: Some(owner()),
        storage_class: Some(StorageClass::from_static(StorageClass::STANDARD)),
        checksum_algorithm: upload.checksum.map(checksums::algorithm),
        ..Default::default()
    }
}

fn prefix_line(prefix: String, coding: Coding) -> CommonPrefix {
    CommonPrefix { prefix: Some(coding.text(prefix)) }
}

fn initiator() -> Initiator {
    Initiator { display_name: Some(OWNER.to_owned()), id: Some(OWNER.to_owned()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn common_prefixes_begin_after_the_prefix() {
        let walk = |prefix: &str, delimiter: &str| Walk { prefix: prefix.into(), delimiter: delimiter.into(), max: 10 };
        assert_eq!(walk("", "/").common_prefix("a/b/c").as_deref(), Some("a/"));
        assert_eq!(walk("a/", "/").common_prefix("a/b/c").as_deref(), Some("a/b/"));
        assert_eq!(walk("a/", "/").common_prefix("a/b"), None);
        assert_eq!(walk("a", "").common_prefix("a/b"), None);
        assert_eq!(walk("", "--").common_prefix("x--y").as_deref(), Some("x--"));
    }
}
