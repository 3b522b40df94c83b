//! Adopting: which of several copies is the truth and which are equal to it; and what adopting again makes of a key that an
//! earlier try has taken over: left alone, taken as it is now, or looked at.

use crate::{Entry, Epoch, Head, Pin, Seq, StoreName, WriteId};

/// What a HEAD of the source showed.
#[derive(Debug, Clone, Copy)]
pub struct SourceCopy<'a> {
    pub size: u64,
    pub pin: &'a Pin,
    pub head: &'a Head,
    /// The write that its stamp names, where it has one that is bound to this key.
    pub stamped: Option<WriteId>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Again {
    /// The very copy that was taken over.
    Known,
    /// Its owner has written the key since: the entry names a copy that is not there any more.
    Anew,
    /// A copy of ours that is not the one we know, or ours without its stamp: catch-up tells these apart (protocol.md 2.6).
    Look,
}

/// `entry` is an object of a bucket that is not served yet, so what changed on the source `from` was changed by its owner.
pub fn adopt_again(entry: &Entry, from: &StoreName, copy: SourceCopy<'_>) -> Again {
    let is_pinned = entry.holders.get(from) == Some(copy.pin) && entry.size == copy.size;
    match copy.stamped {
        Some(write) if write == entry.write && is_pinned => Again::Known,
        Some(_) => Again::Look,
        None if entry.is_adopted_on(from) => match is_pinned && entry.head == *copy.head {
            true => Again::Known,
            false => Again::Anew,
        },
        None if entry.size == copy.size && (is_pinned || entry.etag == copy.pin.etag) => Again::Look,
        None => Again::Anew,
    }
}

/// One store's copy of a key that is adopted from several, as its listing, a HEAD and, where needed, its bytes showed it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Candidate {
    pub size: u64,
    /// The store's ETag, where it is made of the bytes. Equal ones are equal bytes; other ones may be the same bytes cut otherwise.
    pub etag: Option<String>,
    /// MD5 of all bytes in hexadecimal: an ETag that is one, or read.
    pub md5: Option<String>,
    /// BLAKE3 of all bytes, read.
    pub digest: Option<[u8; 32]>,
    /// Whose stamp it has, where that is bound to this key: epoch and seq where known, and the write.
    pub stamped: Option<(Epoch, Option<Seq>, WriteId)>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Likeness {
    Equal,
    Unlike,
    /// As large, and nothing that both have tells more: their bytes would.
    Unsure,
}

/// Are these the same bytes? Only what is made of the bytes tells; dates and names do not.
pub fn likeness(one: &Candidate, other: &Candidate) -> Likeness {
    if one.size != other.size {
        return Likeness::Unlike;
    }
    if let (Some(one), Some(other)) = (&one.digest, &other.digest) {
        return if one == other { Likeness::Equal } else { Likeness::Unlike };
    }
    if let (Some(one), Some(other)) = (&one.md5, &other.md5) {
        return if one.eq_ignore_ascii_case(other) { Likeness::Equal } else { Likeness::Unlike };
    }
    let write = |candidate: &Candidate| candidate.stamped.map(|(_, _, write)| write);
    let same_etag = one.etag.is_some() && one.etag == other.etag;
    let same_write = write(one).is_some() && write(one) == write(other);
    if same_etag || same_write { Likeness::Equal } else { Likeness::Unsure }
}

/// What becomes of several copies of one key: which is the truth, and what each of the others is to it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Chosen {
    pub winner: usize,
    /// By candidate; the winner is equal to itself.
    pub likeness: Vec<Likeness>,
}

/// The first wins: whoever names the sources says which is the truth, and clocks are not asked. Only among copies that bear
/// our stamps is the order of writes known: there the later write wins. None: there is no copy.
pub fn choose_copy(candidates: &[Candidate]) -> Option<Chosen> {
    let order = |at: usize| candidates[at].stamped.and_then(|(epoch, seq, _)| Some((epoch, seq?)));
    let first = candidates.first()?;
    let mut winner = 0;
    if first.stamped.is_some() {
        let later =
            (0..candidates.len()).filter(|at| order(*at).is_some()).max_by_key(|at| (order(*at), usize::MAX - at));
        winner = later.unwrap_or(0);
    }
    let like = |at: usize| if at == winner { Likeness::Equal } else { likeness(&candidates[winner], &candidates[at]) };
    let likeness = (0..candidates.len()).map(like).collect();
    Some(Chosen { winner, likeness })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Adopted, EntryKind, Layout, Moment};
    use std::collections::BTreeMap;

    fn pin(etag: &str) -> Pin {
        Pin { etag: etag.into(), version: None }
    }

    fn check(adopted: bool, copy: SourceCopy<'_>, again: Again) {
        let from = StoreName::parse("s0").unwrap();
        let entry = Entry {
            write: WriteId(1),
            seq: Seq(1),
            kind: EntryKind::Object,
            size: 5,
            etag: "e1".into(),
            modified: Moment(1),
            head: Head::default(),
            layout: Layout::Whole,
            checksums: vec![],
            holders: BTreeMap::from([(from.clone(), pin("e1"))]),
            adopted_from: Adopted::of(adopted.then(|| from.clone())),
            predecessors: vec![],
            record: None,
        };
        assert_eq!(adopt_again(&entry, &from, copy), again, "adopted: {adopted}, {copy:?}");
    }

    #[test]
    fn only_what_its_owner_wrote_since_is_taken_anew() {
        let (one, two) = (pin("e1"), pin("e2"));
        let (plain, image) = (Head::default(), Head { content_type: Some("image/png".into()), ..Head::default() });
        let same = SourceCopy { size: 5, pin: &one, head: &plain, stamped: None };
        check(true, same, Again::Known);
        check(true, SourceCopy { pin: &two, ..same }, Again::Anew);
        check(true, SourceCopy { size: 6, ..same }, Again::Anew);
        check(true, SourceCopy { head: &image, ..same }, Again::Anew);
        let version = Pin { version: Some("v2".into()), ..pin("e1") };
        check(true, SourceCopy { pin: &version, ..same }, Again::Anew);
        check(false, same, Again::Look);
        check(false, SourceCopy { pin: &two, ..same }, Again::Anew);
        for adopted in [true, false] {
            check(adopted, SourceCopy { stamped: Some(WriteId(1)), ..same }, Again::Known);
            check(adopted, SourceCopy { stamped: Some(WriteId(1)), pin: &two, ..same }, Again::Look);
            check(adopted, SourceCopy { stamped: Some(WriteId(2)), ..same }, Again::Look);
            check(adopted, SourceCopy { stamped: Some(WriteId(2)), pin: &two, size: 6, ..same }, Again::Look);
        }
    }

    fn candidate(size: u64, etag: Option<&str>, md5: Option<&str>) -> Candidate {
        let text = |text: &str| text.to_owned();
        Candidate { size, etag: etag.map(text), md5: md5.map(text), digest: None, stamped: None }
    }

    #[test]
    fn only_what_is_made_of_the_bytes_tells() {
        use Likeness::{Equal, Unlike, Unsure};
        let plain = candidate(5, Some("aa"), Some("aa"));
        let check = |other: &Candidate, like: Likeness| {
            assert_eq!(likeness(&plain, other), like, "{other:?}");
            assert_eq!(likeness(other, &plain), like, "{other:?}");
        };
        check(&plain, Equal);
        check(&candidate(6, Some("aa"), Some("aa")), Unlike);
        check(&candidate(5, Some("bb"), Some("bb")), Unlike);
        check(&candidate(5, Some("cc-2"), None), Unsure);
        check(&candidate(5, None, None), Unsure);
        check(&candidate(5, None, Some("AA")), Equal);
        let parts = candidate(5, Some("cc-2"), None);
        assert_eq!(likeness(&parts, &parts), Equal, "cut alike, and each part the same");
        assert_eq!(likeness(&parts, &candidate(5, Some("dd-3"), None)), Unsure);
        let read = |byte: u8| Candidate { digest: Some([byte; 32]), ..candidate(5, None, Some("aa")) };
        assert_eq!(likeness(&read(1), &read(1)), Equal);
        assert_eq!(likeness(&read(1), &read(2)), Unlike, "the stronger digest decides");
        let ours = |write: u128, md5: Option<&str>| Candidate {
            stamped: Some((Epoch(1), None, WriteId(write))),
            ..candidate(5, None, md5)
        };
        assert_eq!(likeness(&ours(1, None), &ours(1, None)), Equal, "copies of one write");
        assert_eq!(likeness(&ours(1, None), &ours(2, None)), Unsure);
        assert_eq!(likeness(&ours(1, Some("aa")), &ours(1, Some("bb"))), Unlike, "one of them was damaged on its way");
    }

    #[test]
    fn the_first_is_the_truth_but_for_the_order_of_our_own_writes() {
        let plain = |size: u64| candidate(size, None, None);
        let ours = |epoch: u64, seq: Option<u64>| Candidate {
            stamped: Some((Epoch(epoch), seq.map(Seq), WriteId(u128::from(epoch * 100 + seq.unwrap_or(0))))),
            ..plain(epoch * 100 + seq.unwrap_or(0))
        };
        let winner = |all: &[Candidate]| choose_copy(all).map(|chosen| chosen.winner);
        assert_eq!(winner(&[]), None);
        assert_eq!(winner(&[plain(1), plain(2)]), Some(0));
        assert_eq!(winner(&[plain(1), ours(1, Some(7))]), Some(0), "somebody's copy was named first");
        assert_eq!(winner(&[ours(1, Some(7)), plain(1)]), Some(0));
        assert_eq!(winner(&[ours(1, Some(7)), plain(1), ours(1, Some(8))]), Some(2));
        assert_eq!(winner(&[ours(2, Some(1)), ours(1, Some(8))]), Some(0), "a later life of the ledger");
        assert_eq!(winner(&[ours(1, Some(7)), ours(1, Some(7))]), Some(0), "the first of equals");
        assert_eq!(winner(&[ours(1, None), ours(1, Some(8))]), Some(1));
        assert_eq!(winner(&[ours(1, None), ours(1, None)]), Some(0));
        let chosen = choose_copy(&[plain(1), plain(2), plain(1)]).unwrap();
        assert_eq!(chosen.likeness[0], Likeness::Equal, "itself, whatever is known of it");
        assert_eq!(chosen.likeness[1], Likeness::Unlike);
        assert_eq!(chosen.likeness[2], Likeness::Unsure);
    }
}
