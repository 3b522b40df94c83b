//! Listings: three ranges of names (see `names`), each in the order of its keys, merged into one.

use super::call::{Ask, Caller};
use super::errors::Asked;
use super::names::{self, Area};
use super::xml;
use crate::wire::{bare, http_date};
use crate::{Answer, CopyPage, ListedCopy};
use http::Method;
use serde::{Deserialize, Serialize};

/// A page of 1,000 names of 1,024 characters, each three bytes and escaped, with what is told of each.
const LIST_BYTES_MAX: usize = 16 * 1024 * 1024;
/// What a page may hold, ours and the service's.
const PAGE_MAX: usize = 1000;

/// What a listing tells besides names.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Include {
    Nothing,
    Metadata,
}

/// One blob of a listing.
#[derive(Debug, Default)]
pub(super) struct Blob {
    pub name: String,
    pub metadata: Vec<(String, String)>,
    size: Option<u64>,
    etag: String,
    modified: String,
}

/// How far one range of names has come.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Reached {
    /// The page after this marker (None: the first) has not been seen.
    Next(Option<String>),
    /// It was seen, but not all of it was given out.
    Again(Option<String>),
    End,
}

/// What `next` of a page says.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Bookmark {
    /// The last key given out; empty before the first.
    last: String,
    reached: [Reached; 3],
}

impl Bookmark {
    fn parse(after: Option<&str>) -> Option<Bookmark> {
        match after {
            Some(text) => serde_json::from_str(text).ok(),
            None => Some(Bookmark { last: String::new(), reached: [const { Reached::Next(None) }; 3] }),
        }
    }
}

/// One page of one range.
#[derive(Debug)]
struct Sheet {
    /// What may still be given out, in the order of keys.
    copies: Vec<ListedCopy>,
    /// Keys up to here are all known; None: the range has no more pages.
    horizon: Option<String>,
    here: Option<String>,
    next: Option<String>,
}

/// A page of one range in the order of keys, and up to where that is known if there are more. The service says that it sorts
/// names, not by what: within a page that does not matter, from page to page it does.
fn in_order(
    mut copies: Vec<ListedCopy>,
    more: bool,
    last: &str,
    seen: bool,
) -> Result<(Vec<ListedCopy>, Option<String>), &'static str> {
    copies.sort_by(|a, b| a.key.cmp(&b.key));
    if !seen && copies.first().is_some_and(|copy| copy.key.as_str() <= last) {
        return Err("its pages are in another order than that of the keys' bytes");
    }
    let horizon = more.then(|| copies.last().map_or(last.to_owned(), |copy| copy.key.clone()));
    Ok((copies, horizon))
}

/// The page that these sheets give, and how far each range has come with it.
fn merged(sheets: [Option<Sheet>; 3], last: String) -> CopyPage {
    let horizon = sheets.iter().flatten().filter_map(|sheet| sheet.horizon.clone()).min();
    let mut copies: Vec<ListedCopy> = Vec::new();
    let mut begun: [Option<(Vec<String>, Sheet)>; 3] = sheets.map(|sheet| {
        sheet.map(|mut sheet| {
            let mine = std::mem::take(&mut sheet.copies);
            let keys = mine.iter().map(|copy| copy.key.clone()).collect();
            copies.extend(mine);
            (keys, sheet)
        })
    });
    copies.sort_by(|a, b| a.key.cmp(&b.key));
    copies.retain(|copy| horizon.as_ref().is_none_or(|horizon| copy.key <= *horizon));
    copies.truncate(PAGE_MAX);
    let given = copies.last().map(|copy| copy.key.clone());
    let reached = begun.each_mut().map(|begun| match begun.take() {
        None => Reached::End,
        Some((keys, sheet)) => {
            let left = keys.last().is_some_and(|key| given.as_ref().is_none_or(|given| key > given));
            match (left, sheet.next) {
                (true, _) => Reached::Again(sheet.here),
                (false, Some(next)) => Reached::Next(Some(next)),
                (false, None) => Reached::End,
            }
        }
    });
    let over = reached.iter().all(|reached| *reached == Reached::End);
    let bookmark = Bookmark { last: given.unwrap_or(last), reached };
    let next = (!over).then(|| serde_json::to_string(&bookmark).expect("texts are JSON"));
    CopyPage { copies, next }
}

impl Caller {
    pub async fn list(&self, bucket: &str, prefix: &str, after: Option<&str>) -> Answer<CopyPage> {
        let trace = self.trace(&format!("list {bucket}"));
        let Some(bookmark) = Bookmark::parse(after) else {
            return Err(trace.error(crate::Fault::BadRequest, crate::Applied::NotSent, "this is no page's end"));
        };
        let [plain, escaped, packed] = &bookmark.reached;
        let sheet = |area, reached| self.sheet(bucket, prefix, area, reached, &bookmark.last);
        let sheets = futures_util::future::try_join3(
            sheet(Area::Plain, plain),
            sheet(Area::Escaped, escaped),
            sheet(Area::Packed, packed),
        );
        let (plain, escaped, packed) = sheets.await?;
        Ok(merged([plain, escaped, packed], bookmark.last.clone()))
    }

    async fn sheet(
        &self,
        bucket: &str,
        prefix: &str,
        area: Area,
        reached: &Reached,
        last: &str,
    ) -> Answer<Option<Sheet>> {
        let (marker, seen) = match reached {
            Reached::End => return Ok(None),
            Reached::Next(marker) => (marker, false),
            Reached::Again(marker) => (marker, true),
        };
        let there = names::prefix_there(area, prefix);
        let (blobs, next) = self.blobs(bucket, &there, marker.as_deref(), Include::Nothing).await?;
        let copies: Vec<ListedCopy> = blobs.into_iter().filter_map(|blob| listed(blob, area)).collect();
        match in_order(copies, next.is_some(), last, seen) {
            Ok((mut copies, horizon)) => {
                copies.retain(|copy| copy.key.as_str() > last && copy.key.starts_with(prefix));
                Ok(Some(Sheet { copies, horizon, here: marker.clone(), next }))
            }
            Err(why) => Err(self.trace(&format!("list {bucket}")).bad_answer(why)),
        }
    }

    /// One page of blobs whose names begin with `prefix`, and where the next begins.
    pub async fn blobs(
        &self,
        container: &str,
        prefix: &str,
        marker: Option<&str>,
        include: Include,
    ) -> Answer<(Vec<Blob>, Option<String>)> {
        let mut ask = Ask::container("list", Asked::Read, Method::GET, container)
            .query("restype", "container")
            .query("comp", "list")
            .query("maxresults", PAGE_MAX.to_string());
        // Parameters without a value are signed otherwise by each party.
        if !prefix.is_empty() {
            ask = ask.query("prefix", prefix);
        }
        if let Some(marker) = marker {
            ask = ask.query("marker", marker);
        }
        if include == Include::Metadata {
            ask = ask.query("include", "metadata");
        }
        let (_, _, trace, text) = self.send(ask).await?.read(LIST_BYTES_MAX).await?;
        let (blobs, next) = read_page(&text).map_err(|why| trace.bad_answer(why))?;
        if next.is_some() && next.as_deref() == marker {
            return Err(trace.bad_answer("a listing that goes on, but not where"));
        }
        Ok((blobs, next))
    }
}

fn listed(blob: Blob, area: Area) -> Option<ListedCopy> {
    if blob.name.starts_with(names::UPLOADS) {
        return None;
    }
    let (found, key) = names::here(&blob.name)?;
    let modified = http_date(&blob.modified);
    // A folder of an account with a hierarchy has no size and is no copy.
    (found == area).then_some(())?;
    Some(ListedCopy { key, size: blob.size?, etag: bare(&blob.etag), modified })
}

fn read_page(text: &str) -> Result<(Vec<Blob>, Option<String>), String> {
    let (mut blobs, mut blob, mut next, mut unreadable) = (Vec::new(), Blob::default(), None, false);
    xml::read(text, "EnumerationResults", |ended| {
        let path: Vec<&str> = ended.path.iter().skip(1).map(String::as_str).collect();
        match path[..] {
            ["NextMarker"] if !ended.text.is_empty() => next = Some(ended.text.to_owned()),
            ["Blobs", "Blob", "Name"] => ended.text.clone_into(&mut blob.name),
            ["Blobs", "Blob", "Properties", "Content-Length"] => {
                blob.size = ended.text.trim().parse().ok();
                unreadable |= blob.size.is_none();
            }
            ["Blobs", "Blob", "Properties", "Etag"] => ended.text.clone_into(&mut blob.etag),
            ["Blobs", "Blob", "Properties", "Last-Modified"] => ended.text.clone_into(&mut blob.modified),
            ["Blobs", "Blob", "Metadata", name] => {
                blob.metadata.push((name.to_ascii_lowercase(), ended.text.to_owned()))
            }
            ["Blobs", "Blob"] => blobs.push(std::mem::take(&mut blob)),
            _ => {}
        }
    })?;
    if unreadable { Err("a size that is no number".to_owned()) } else { Ok((blobs, next)) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn copies(keys: &[&str]) -> Vec<ListedCopy> {
        let copy = |key: &&str| ListedCopy { key: key.to_string(), size: 1, etag: "e".into(), modified: None };
        keys.iter().map(copy).collect()
    }

    fn sheet(keys: &[&str], next: Option<&str>) -> Option<Sheet> {
        let copies = copies(keys);
        let horizon = next.map(|_| copies.last().map_or(String::new(), |copy| copy.key.clone()));
        Some(Sheet { copies, horizon, here: Some("m".into()), next: next.map(str::to_owned) })
    }

    fn check(sheets: [Option<Sheet>; 3], keys: &[&str], next: Option<(&str, [Reached; 3])>) {
        let page = merged(sheets, "before".into());
        assert_eq!(page.copies.iter().map(|copy| copy.key.as_str()).collect::<Vec<_>>(), keys);
        let bookmark = page.next.map(|text| Bookmark::parse(Some(&text)).expect("our own"));
        assert_eq!(bookmark, next.map(|(last, reached)| Bookmark { last: last.into(), reached }));
    }

    #[test]
    fn ranges_are_merged_as_far_as_all_are_known() {
        use Reached::{Again, End, Next};
        let again = || Again(Some("m".into()));
        check([sheet(&["a", "c"], None), sheet(&["b"], None), None], &["a", "b", "c"], None);
        let next = Some(("c", [Next(Some("n".into())), again(), End]));
        check([sheet(&["a", "c"], Some("n")), sheet(&["b", "d"], None), None], &["a", "b", "c"], next);
        // A page of nothing but names of another range: go on, nothing is given out.
        let next = Some(("before", [Next(Some("n".into())), again(), End]));
        check([sheet(&[], Some("n")), sheet(&["d"], None), None], &[], next);
        check([sheet(&[], None), None, None], &[], None);
    }

    #[test]
    fn a_page_has_its_bound() {
        let keys: Vec<String> = (0..1500).map(|n| format!("{n:05}")).collect();
        let keys: Vec<&str> = keys.iter().map(String::as_str).collect();
        let last = (keys[999], [Reached::Again(Some("m".into())), Reached::Again(Some("m".into())), Reached::End]);
        check(
            [sheet(&keys[..800], None), sheet(&keys[800..], None), None],
            &keys[..1000],
            Some(("00999", [Reached::End, last.1[1].clone(), Reached::End])),
        );
    }

    /// U+FF01 sorts before U+1F408 as UTF-8, and after it as UTF-16.
    #[test]
    fn another_order_is_mended_within_a_page_and_told_between_pages() {
        let (sorted, horizon) = in_order(copies(&["🐈", "！"]), true, "", false).expect("one page");
        assert_eq!(sorted, copies(&["！", "🐈"]));
        assert_eq!(horizon.as_deref(), Some("🐈"));
        assert!(in_order(copies(&["！"]), false, "🐈", false).is_err(), "it should have come a page earlier");
        assert!(in_order(copies(&["！"]), false, "🐈", true).is_ok(), "it did");
        assert_eq!(in_order(Vec::new(), true, "k", false), Ok((Vec::new(), Some("k".to_owned()))));
    }

    #[test]
    fn pages_are_read() {
        let text = "\u{feff}<?xml version=\"1.0\"?><EnumerationResults ContainerName=\"c\"><Blobs>\
            <Blob><Name> a </Name><Properties><Last-Modified>Thu, 01 Jan 1970 00:00:01 GMT</Last-Modified>\
            <Etag>0x8D</Etag><Content-Length>3</Content-Length></Properties><Metadata><Outlast>s</Outlast></Metadata></Blob>\
            <Blob><Name>folder</Name><Properties><ResourceType>directory</ResourceType></Properties></Blob>\
            </Blobs><NextMarker>m2</NextMarker></EnumerationResults>";
        let (blobs, next) = read_page(text).expect("readable");
        assert_eq!((blobs.len(), next.as_deref()), (2, Some("m2")));
        assert_eq!(blobs[0].metadata, [("outlast".to_owned(), "s".to_owned())]);
        let copies: Vec<_> = blobs.into_iter().filter_map(|blob| listed(blob, Area::Plain)).collect();
        assert_eq!(copies.len(), 1);
        assert_eq!((copies[0].key.as_str(), copies[0].size, copies[0].etag.as_str()), (" a ", 3, "0x8D"));
        assert!(read_page(&text.replace(">3<", ">three<")).is_err());
        assert!(read_page("<EnumerationResults><Blobs>").is_err());
    }
}
