//! If-Match and its kin, judged against the entry by the ledger alone (RFC 9110 13.2.2; S3's own order is the same).

use crate::{Entry, Moment};

/// What a client asked to hold. ETags without quotes; `*` is `Some("*")`. Times have whole seconds.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Conditions {
    pub if_match: Option<String>,
    pub if_none_match: Option<String>,
    pub if_modified_since: Option<Moment>,
    pub if_unmodified_since: Option<Moment>,
    /// Of reads: the range is meant only while this holds.
    pub if_range: Option<IfRange>,
}

/// If-Range: a client that has some bytes of an object asks for the others, or for all if it is another object by now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum IfRange {
    /// Without quotes.
    ETag(String),
    Date(Moment),
    /// A weak ETag or no validator at all: nothing is as strong as bytes side by side want it (RFC 9110 13.1.5).
    Never,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Refusal {
    /// 304
    NotModified,
    /// 412
    PreconditionFailed,
    /// If-Match on a key that does not exist: S3 answers 404 NoSuchKey.
    NoSuchKey,
}

impl Conditions {
    pub fn is_empty(&self) -> bool {
        *self == Conditions::default()
    }
}

fn names(list: &str, etag: &str) -> bool {
    list.trim() == "*" || list.split(',').any(|one| one.trim().trim_start_matches("W/").trim_matches('"') == etag)
}

/// For GET and HEAD of an object that exists.
pub fn judge_read(conditions: &Conditions, entry: &Entry) -> Result<(), Refusal> {
    let modified = entry.modified.0 / 1000;
    match (&conditions.if_match, conditions.if_unmodified_since) {
        (Some(list), _) if !names(list, &entry.etag) => return Err(Refusal::PreconditionFailed),
        (Some(_), _) => {}
        (None, Some(limit)) if modified > limit.0 / 1000 => return Err(Refusal::PreconditionFailed),
        (None, _) => {}
    }
    match (&conditions.if_none_match, conditions.if_modified_since) {
        (Some(list), _) if names(list, &entry.etag) => Err(Refusal::NotModified),
        (Some(_), _) => Ok(()),
        (None, Some(limit)) if modified <= limit.0 / 1000 => Err(Refusal::NotModified),
        (None, _) => Ok(()),
    }
}

/// Is the range still meant? A date must be the very one that clients were told (RFC 9110 13.1.5).
pub fn keeps_range(conditions: &Conditions, entry: &Entry) -> bool {
    match &conditions.if_range {
        None => true,
        Some(IfRange::ETag(etag)) => *etag == entry.etag,
        Some(IfRange::Date(date)) => date.0 / 1000 == entry.modified.0 / 1000,
        Some(IfRange::Never) => false,
    }
}

/// For PUT, copy, Complete and DELETE; `object` is the entry if it is an object.
pub fn judge_write(conditions: &Conditions, object: Option<&Entry>) -> Result<(), Refusal> {
    if let Some(list) = &conditions.if_match {
        match object {
            None => return Err(Refusal::NoSuchKey),
            Some(entry) if !names(list, &entry.etag) => return Err(Refusal::PreconditionFailed),
            Some(_) => {}
        }
    }
    if let (Some(list), Some(entry)) = (&conditions.if_none_match, object)
        && names(list, &entry.etag)
    {
        return Err(Refusal::PreconditionFailed);
    }
    if let (Some(limit), Some(entry)) = (conditions.if_unmodified_since, object)
        && conditions.if_match.is_none()
        && entry.modified.0 / 1000 > limit.0 / 1000
    {
        return Err(Refusal::PreconditionFailed);
    }
    if let (Some(limit), Some(entry)) = (conditions.if_modified_since, object)
        && conditions.if_none_match.is_none()
        && entry.modified.0 / 1000 <= limit.0 / 1000
    {
        return Err(Refusal::PreconditionFailed);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{EntryKind, Head, Layout, Seq, WriteId};

    fn entry() -> Entry {
        Entry {
            write: WriteId(1),
            seq: Seq(1),
            kind: EntryKind::Object,
            size: 10,
            etag: "e".into(),
            modified: Moment(7_123),
            head: Head::default(),
            layout: Layout::Whole,
            checksums: vec![],
            holders: Default::default(),
            adopted_from: None,
            predecessors: vec![],
            record: None,
        }
    }

    #[test]
    fn a_range_is_kept_for_the_very_same_object_only() {
        let keeps = |if_range| keeps_range(&Conditions { if_range, ..Conditions::default() }, &entry());
        assert!(keeps(None));
        assert!(keeps(Some(IfRange::ETag("e".into()))) && !keeps(Some(IfRange::ETag("f".into()))));
        assert!(!keeps(Some(IfRange::ETag("*".into()))), "it is no list of ETags");
        assert!(keeps(Some(IfRange::Date(Moment(7_000)))));
        assert!(!keeps(Some(IfRange::Date(Moment(6_000)))) && !keeps(Some(IfRange::Date(Moment(8_000)))));
        assert!(!keeps(Some(IfRange::Never)));
    }
}
