//! Listings: two ranges of names (see `names`), each in the order of its keys, merged into one. Where a page begins is said by a
//! key, so a bookmark is the last one that was given out.

use super::call::{Ask, Caller, bucket_path};
use super::dress::Shown;
use super::errors::Asked;
use super::names::{self, Area};
use crate::wire::xml_date;
use crate::{Answer, Applied, CopyPage, Fault, ListedCopy};
use http::Method;
use serde::Deserialize;

/// A page of 1,000 objects, each with 8 KiB of metadata.
const LIST_BYTES_MAX: usize = 16 * 1024 * 1024;
const PAGE_MAX: usize = 1000;
/// The letters before the key of a bookmark: is the escaped range still to be asked?
const BOTH: char = 'b';
const PLAIN: char = 'p';

/// What a listing tells besides names.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Include {
    Nothing,
    Metadata,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Page {
    /// A page of a proxy, read without looking at this, would be an empty listing.
    kind: String,
    #[serde(default)]
    next_page_token: Option<String>,
    #[serde(default)]
    items: Vec<Shown>,
}

/// One page of one range.
#[derive(Debug, Default)]
struct Sheet {
    /// What may still be given out, in the order of keys.
    copies: Vec<ListedCopy>,
    /// Keys up to here are all known; None: the range has no more pages.
    horizon: Option<String>,
}

fn merged(plain: Sheet, escaped: Sheet) -> CopyPage {
    let known = [&plain, &escaped].into_iter().filter_map(|sheet| sheet.horizon.clone()).min();
    let escaped_left = escaped.horizon.is_some() || !escaped.copies.is_empty();
    let mut copies = plain.copies;
    copies.extend(escaped.copies);
    copies.sort_by(|a, b| a.key.cmp(&b.key));
    let all = copies.len();
    copies.retain(|copy| known.as_ref().is_none_or(|known| copy.key <= *known));
    copies.truncate(PAGE_MAX);
    let last = if copies.len() == PAGE_MAX || known.is_none() {
        copies.last().map(|copy| copy.key.clone())
    } else {
        known.clone()
    };
    let more = known.is_some() || copies.len() < all;
    let letter = if escaped_left { BOTH } else { PLAIN };
    let next = last.filter(|_| more).map(|last| format!("{letter}{last}"));
    CopyPage { copies, next }
}

impl Caller {
    pub async fn list(&self, bucket: &str, prefix: &str, after: Option<&str>) -> Answer<CopyPage> {
        let what = format!("list {bucket}");
        let (escaped_too, last) = match after.and_then(|after| after.split_at_checked(1)) {
            None => (true, None),
            Some((letter, last)) if letter.starts_with(BOTH) => (true, Some(last)),
            Some((letter, last)) if letter.starts_with(PLAIN) => (false, Some(last)),
            Some(_) => {
                return Err(self.trace(&what).error(Fault::BadRequest, Applied::NotSent, "this is no page's end"));
            }
        };
        let escaped = async {
            if escaped_too {
                self.sheet(&what, bucket, prefix, Area::Escaped, last).await
            } else {
                Ok(Sheet::default())
            }
        };
        let plain = self.sheet(&what, bucket, prefix, Area::Plain, last);
        let (plain, escaped) = futures_util::future::try_join(plain, escaped).await?;
        let page = merged(plain, escaped);
        if page.next.is_some() && page.next.as_deref() == after {
            return Err(self.trace(&what).bad_answer("a listing that goes on, but not where"));
        }
        Ok(page)
    }

    async fn sheet(&self, what: &str, bucket: &str, prefix: &str, area: Area, last: Option<&str>) -> Answer<Sheet> {
        let there = names::prefix_there(area, prefix);
        let begin = last.map(|last| names::prefix_there(area, last));
        let (items, next) = self.objects(what, bucket, &there, begin.as_deref(), None, Include::Nothing).await?;
        let horizon = match (next, items.last()) {
            (None, _) => None,
            (Some(_), Some(item)) => Some(key_of(&item.name, area)),
            (Some(_), None) => return Err(self.trace(what).bad_answer("a page of nothing that goes on")),
        };
        let mut copies = Vec::with_capacity(items.len());
        for item in items {
            if item.name.starts_with(names::UPLOADS) {
                continue;
            }
            let Some((found, key)) = names::here(&item.name) else { continue };
            if found != area || last.is_some_and(|last| key.as_str() <= last) || !key.starts_with(prefix) {
                continue;
            }
            let size = item.size.parse().map_err(|_| self.trace(what).bad_answer("an object without a size"))?;
            let modified = item.updated.as_deref().and_then(xml_date);
            copies.push(ListedCopy { key, size, etag: item.generation, modified });
        }
        if !copies.is_sorted_by(|a, b| a.key < b.key) {
            return Err(self.trace(what).bad_answer("a page in another order than that of the keys' bytes"));
        }
        Ok(Sheet { copies, horizon })
    }

    /// One page of objects whose names begin with `prefix`, from the name `begin` on or after a page's token.
    pub async fn objects(
        &self,
        what: &str,
        bucket: &str,
        prefix: &str,
        begin: Option<&str>,
        token: Option<&str>,
        include: Include,
    ) -> Answer<(Vec<Shown>, Option<String>)> {
        let path = format!("{}/o", bucket_path(bucket));
        let metadata = if include == Include::Metadata { ",metadata" } else { "" };
        let mut ask = Ask::new(what, Asked::READ_BUCKET, Method::GET, path)
            .query("maxResults", PAGE_MAX.to_string())
            .query("fields", format!("kind,nextPageToken,items(name,generation,size,updated{metadata})"));
        for (name, value) in [("prefix", Some(prefix)), ("startOffset", begin), ("pageToken", token)] {
            if let Some(value) = value.filter(|value| !value.is_empty()) {
                ask = ask.query(name, value);
            }
        }
        let (page, trace) = self.tell::<Page>(ask, LIST_BYTES_MAX).await?;
        if page.kind != "storage#objects" {
            return Err(trace.bad_answer(format!("a {} where storage#objects was due", page.kind)));
        }
        let next = page.next_page_token.filter(|token| !token.is_empty());
        if next.is_some() && next.as_deref() == token {
            return Err(trace.bad_answer("a listing that goes on, but not where"));
        }
        Ok((page.items, next))
    }
}

/// Of a name in our area that is not ours, what stands there: it only says how far the range is known.
fn key_of(name: &str, area: Area) -> String {
    match names::here(name) {
        Some((found, key)) if found == area => key,
        _ => name.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sheet(keys: &[&str], horizon: Option<&str>) -> Sheet {
        let copy = |key: &&str| ListedCopy { key: key.to_string(), size: 1, etag: "1".into(), modified: None };
        Sheet { copies: keys.iter().map(copy).collect(), horizon: horizon.map(str::to_owned) }
    }

    fn check(plain: Sheet, escaped: Sheet, keys: &[&str], next: Option<&str>) {
        let page = merged(plain, escaped);
        assert_eq!(page.copies.iter().map(|copy| copy.key.as_str()).collect::<Vec<_>>(), keys);
        assert_eq!(page.next.as_deref(), next);
    }

    #[test]
    fn ranges_are_merged_as_far_as_both_are_known() {
        check(sheet(&["a", "c"], None), sheet(&["b"], None), &["a", "b", "c"], None);
        check(sheet(&["a", "c"], Some("c")), sheet(&["b", "d"], None), &["a", "b", "c"], Some("bc"));
        check(sheet(&["a", "c"], Some("c")), sheet(&[], None), &["a", "c"], Some("pc"));
        // A page of nothing but names that are not shown.
        check(sheet(&[], Some(".outlast/uploads/7")), sheet(&["d"], None), &[], Some("b.outlast/uploads/7"));
        check(sheet(&[], None), sheet(&[], None), &[], None);
    }

    #[test]
    fn a_page_has_its_bound() {
        let keys: Vec<String> = (0..1500).map(|n| format!("{n:05}")).collect();
        let keys: Vec<&str> = keys.iter().map(String::as_str).collect();
        check(sheet(&keys[..800], None), sheet(&keys[800..], None), &keys[..1000], Some("b00999"));
        check(sheet(&keys[..1000], None), sheet(&[], None), &keys[..1000], None);
    }
}
