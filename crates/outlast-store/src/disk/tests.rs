//! The disk store against its promises: places, links, foreign files, faults, leftovers. Power loss has its own file.

mod fuzz;
mod in_place;
mod power;

use super::*;
use crate::{Applied, Fault, conformance};
use bytes::Bytes;
use futures_util::StreamExt;
use outlast_rules::{Epoch, Head, Powers, Stamp, WriteId};
use rustix::io::Errno;
use seam::Step;
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Mutex;
use tempfile::TempDir;

/// In memory where the machine has such a folder: these tests are about order, not about how long a disk takes.
pub(super) fn new_root() -> TempDir {
    tempfile::tempdir_in("/dev/shm").or_else(|_| tempfile::tempdir()).unwrap()
}

pub(super) fn named() -> StoreName {
    StoreName::parse("nas").unwrap()
}

struct World {
    root: TempDir,
    store: DiskStore,
}

async fn world() -> World {
    world_on(Box::new(seam::Open)).await
}

async fn world_on(seam: Box<dyn Seam>) -> World {
    let root = new_root();
    let store = DiskStore::open_on(named(), root.path(), seam).unwrap();
    store.create_bucket("bkt").await.unwrap();
    World { root, store }
}

pub(super) fn stamped(write: u128, size: usize) -> Dress {
    let metadata = [("n".to_owned(), write.to_string())].into();
    let stamp = Stamp {
        epoch: Epoch(1),
        seq: None,
        write: WriteId(write),
        name: [3; 16],
        size: Some(size as u64),
        digest: None,
    };
    Dress { head: Head { metadata, ..Head::default() }, stamp: Some(stamp) }
}

pub(super) async fn put(store: &DiskStore, key: &str, content: &str) -> Answer<Pin> {
    let spec = PutSpec { dress: stamped(1, content.len()), ..PutSpec::default() };
    store.put(&At::new("bkt", key), &spec, Body::Whole(Bytes::from(content.to_owned()))).await
}

pub(super) async fn read(store: &DiskStore, key: &str) -> Answer<(Found, String)> {
    let (found, mut bytes) = store.get(&At::new("bkt", key), None, None).await?;
    let mut all = Vec::new();
    while let Some(chunk) = bytes.next().await {
        all.extend_from_slice(&chunk.unwrap());
    }
    Ok((found, String::from_utf8(all).unwrap()))
}

async fn keys(store: &DiskStore) -> Vec<String> {
    store.list("bkt", "", None).await.unwrap().copies.into_iter().map(|copy| copy.key).collect()
}

/// Files below a folder, with their sizes; our own folders too.
fn files(below: &Path) -> BTreeMap<String, u64> {
    let mut seen = BTreeMap::new();
    let mut open: Vec<PathBuf> = vec![below.to_owned()];
    while let Some(folder) = open.pop() {
        for entry in std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap()) {
            let kind = entry.file_type().unwrap();
            if kind.is_dir() {
                open.push(entry.path());
            } else {
                let name = entry.path().strip_prefix(below).unwrap().to_str().unwrap().to_owned();
                seen.insert(name, entry.path().symlink_metadata().unwrap().len());
            }
        }
    }
    seen
}

impl World {
    fn bucket(&self) -> PathBuf {
        self.root.path().join("bkt")
    }
}

#[tokio::test]
async fn plain_keys_lie_under_plain_names_and_leave_no_folders() {
    let w = world().await;
    put(&w.store, "photos/2026/cat.jpg", "miaow").await.unwrap();
    put(&w.store, "photos/dog.jpg", "wuff").await.unwrap();
    put(&w.store, ".outlast/store.json", "{}").await.unwrap();
    assert_eq!(std::fs::read(w.bucket().join("photos/2026/cat.jpg")).unwrap(), b"miaow");
    assert_eq!(std::fs::read(w.bucket().join(".outlast/store.json")).unwrap(), b"{}");
    assert_eq!(files(&w.bucket()).len(), 3, "{:?}", files(&w.bucket()));
    w.store.delete(&At::new("bkt", "photos/2026/cat.jpg"), None, None).await.unwrap();
    assert!(!w.bucket().join("photos/2026").exists() && w.bucket().join("photos").exists());
    w.store.delete(&At::new("bkt", "photos/dog.jpg"), None, None).await.unwrap();
    assert!(!w.bucket().join("photos").exists() && w.bucket().exists());
}

#[tokio::test]
async fn places_are_kept_over_a_restart() {
    let w = world().await;
    for key in ["a", "a/b", "a/b/c", "x//y", "dir/", "z/1", "z"] {
        put(&w.store, key, key).await.unwrap();
    }
    drop(w.store);
    let store = DiskStore::open(named(), w.root.path()).unwrap();
    assert_eq!(keys(&store).await, ["a", "a/b", "a/b/c", "dir/", "x//y", "z", "z/1"]);
    // The plain `a` goes; `a/b` stays where it is, and the next `a/b/d` finds the plain name free.
    store.delete(&At::new("bkt", "a"), None, None).await.unwrap();
    put(&store, "a/b/d", "a/b/d").await.unwrap();
    put(&store, "a/b", "anew").await.unwrap();
    assert_eq!(read(&store, "a/b").await.unwrap().1, "anew");
    assert_eq!(keys(&store).await, ["a/b", "a/b/c", "a/b/d", "dir/", "x//y", "z", "z/1"]);
    assert!(w.root.path().join("bkt/a/b/d").is_file());
}

#[tokio::test]
async fn an_empty_folder_gives_way() {
    let w = world().await;
    std::fs::create_dir(w.bucket().join("left")).unwrap();
    put(&w.store, "left", "file").await.unwrap();
    assert!(w.bucket().join("left").is_file());
}

#[tokio::test]
async fn links_are_never_followed() {
    let w = world().await;
    let outside = new_root();
    std::fs::write(outside.path().join("secret"), "secret").unwrap();
    std::os::unix::fs::symlink(outside.path(), w.bucket().join("folder")).unwrap();
    std::os::unix::fs::symlink(outside.path().join("secret"), w.bucket().join("file")).unwrap();
    std::os::unix::fs::symlink(outside.path(), w.root.path().join("bucket")).unwrap();
    let by_openat2 = &w.store;
    for key in ["folder/secret", "file"] {
        assert_eq!(read(by_openat2, key).await.unwrap_err().fault, Fault::NoKey, "{key}");
    }
    assert_eq!(by_openat2.head_bucket("bucket").await.unwrap_err().fault, Fault::NoBucket);
    assert_eq!(by_openat2.list_buckets().await.unwrap(), ["bkt"]);
    assert_eq!(keys(by_openat2).await, [""; 0]);
    for key in ["folder/secret", "folder/new", "file"] {
        put(by_openat2, key, "mine").await.unwrap();
        assert_eq!(read(by_openat2, key).await.unwrap().1, "mine");
        by_openat2.delete(&At::new("bkt", key), None, None).await.unwrap();
    }
    assert_eq!(files(outside.path()), [("secret".to_owned(), 6)].into(), "nothing outside was touched");
    assert!(w.bucket().join("file").is_symlink(), "somebody's link is not ours to remove");
}

#[tokio::test]
async fn without_openat2_and_on_a_poor_file_system_the_suite_passes_too() {
    let root = new_root();
    let mut opened = Root::open(root.path()).unwrap();
    opened.walk_by_hand();
    let seen = opened.try_names().unwrap();
    let poor = names::NameRules { folds_case: true, normalises: true, strict: true, name_bytes_max: 60 };
    assert_eq!(seen, names::NameRules::LINUX);
    let core = Arc::new(Core::new(opened, poor, Box::new(seam::Open)));
    let limits = DiskStore::limits_of(true);
    let store = DiskStore { name: named(), limits, core };
    let powers = Powers { pinned: false, fenced: true, unique: true };
    conformance::all(&store, "suite", conformance::Expect::everything(conformance::Expect::grades(powers))).await;
}

#[tokio::test]
async fn a_file_put_there_by_somebody_else_has_no_stamp() {
    let w = world().await;
    std::fs::create_dir(w.bucket().join("by")).unwrap();
    std::fs::write(w.bucket().join("by/hand"), "foreign").unwrap();
    let (found, content) = read(&w.store, "by/hand").await.unwrap();
    assert_eq!((content.as_str(), found.dress.clone()), ("foreign", Dress::default()));
    assert!(found.pin.etag.starts_with("f-"), "{}", found.pin.etag);
    assert_eq!(keys(&w.store).await, ["by/hand"]);
    assert_eq!(w.store.get(&At::new("bkt", "by/hand"), Some(&found.pin), None).await.unwrap().0, found);

    let at = At::new("bkt", "by/hand");
    let fence = |etag: &str| PutSpec { fence: Some(Fence::Matches(etag.into())), ..PutSpec::default() };
    let wrong = w.store.put(&at, &fence("f-0"), Body::Whole(Bytes::new())).await;
    assert_eq!(wrong.unwrap_err().fault, Fault::Precondition);
    w.store.put(&at, &fence(&found.pin.etag), Body::Whole(Bytes::from_static(b"ours"))).await.unwrap();
    assert_eq!(read(&w.store, "by/hand").await.unwrap().1, "ours");
}

#[tokio::test]
async fn a_file_changed_by_somebody_else_loses_its_stamp() {
    let w = world().await;
    let ours = put(&w.store, "k", "ours").await.unwrap();
    let mut bytes = std::fs::OpenOptions::new().append(true).open(w.bucket().join("k")).unwrap();
    std::io::Write::write_all(&mut bytes, b" and more").unwrap();
    let (found, content) = read(&w.store, "k").await.unwrap();
    assert_eq!((content.as_str(), found.dress.stamp), ("ours and more", None));
    assert_ne!(found.pin.etag, ours.etag);
}

#[tokio::test]
async fn two_processes_do_not_share_a_root() {
    let w = world().await;
    let second = DiskStore::open(named(), w.root.path()).err().unwrap();
    let words = second.to_string();
    assert!(words.contains("in use by another Outlast") && words.contains(&std::process::id().to_string()), "{words}");
    drop(w.store);
    drop(DiskStore::open(named(), w.root.path()).unwrap());
    let again = Root::open(w.root.path()).unwrap();
    assert_eq!(again.names_known(), Some(names::NameRules::LINUX), "a full disk needs no trial");
    let missing = DiskStore::open(named(), &w.root.path().join("nowhere")).err().unwrap();
    assert!(missing.to_string().contains("is the disk mounted?"), "{missing}");
    let file = DiskStore::open(named(), &w.root.path().join(".outlast.lock")).err().unwrap();
    assert!(matches!(file, DiskOpenError::NotAFolder(_)), "{file}");
}

#[tokio::test]
async fn an_emptied_disk_and_a_removed_root_are_told_apart() {
    let w = world().await;
    put(&w.store, "k", "v").await.unwrap();
    std::fs::remove_dir_all(w.bucket()).unwrap();
    assert_eq!(read(&w.store, "k").await.unwrap_err().fault, Fault::NoBucket);
    std::fs::remove_dir_all(w.root.path()).unwrap();
    for answer in [
        read(&w.store, "k").await.map(drop),
        put(&w.store, "k", "v").await.map(drop),
        w.store.head_bucket("bkt").await,
        w.store.list_buckets().await.map(drop),
        w.store.create_bucket("bkt").await,
    ] {
        assert_eq!(answer.unwrap_err().fault, Fault::Disk);
    }
}

/// Fails the n-th step of a kind.
struct Fails {
    kind: fn(&Step<'_>) -> bool,
    left: Arc<Mutex<Option<u32>>>,
    errno: Errno,
}

impl Seam for Fails {
    fn step(&self, step: Step<'_>) -> rustix::io::Result<()> {
        let mut left = self.left.lock().unwrap();
        match (&mut *left, (self.kind)(&step)) {
            (Some(0), true) => {
                *left = None;
                Err(self.errno)
            }
            (Some(n), true) => {
                *n -= 1;
                Ok(())
            }
            _ => Ok(()),
        }
    }
}

#[tokio::test]
async fn each_failure_is_told_as_what_it_is_and_leaves_nothing() {
    type Kind = fn(&Step<'_>) -> bool;
    let cases: [(&str, Kind, Errno, Fault, Applied, &str); 6] = [
        ("write", |s| matches!(s, Step::Write), Errno::NOSPC, Fault::Full, Applied::No, "old"),
        ("write", |s| matches!(s, Step::Write), Errno::DQUOT, Fault::Full, Applied::No, "old"),
        ("sync of the file", |s| matches!(s, Step::SyncFile(_)), Errno::IO, Fault::Disk, Applied::No, "old"),
        ("rename", |s| matches!(s, Step::Rename), Errno::ROFS, Fault::Disk, Applied::No, "old"),
        ("rename", |s| matches!(s, Step::Rename), Errno::IO, Fault::Disk, Applied::Unknown, "old"),
        ("sync of the folder", |s| matches!(s, Step::SyncFolder(_)), Errno::IO, Fault::Disk, Applied::Unknown, "new"),
    ];
    for (what, kind, errno, fault, applied, left_there) in cases {
        let left = Arc::new(Mutex::new(None));
        let w = world_on(Box::new(Fails { kind, left: Arc::clone(&left), errno })).await;
        put(&w.store, "k", "old").await.unwrap();
        let before = files(&w.bucket()).len();
        *left.lock().unwrap() = Some(0);
        let error = put(&w.store, "k", "new").await.unwrap_err();
        assert_eq!((error.fault, error.applied), (fault, applied), "{what}: {error}");
        assert_eq!(files(&w.bucket()).len(), before, "{what} leaves nothing: {:?}", files(&w.bucket()));
        assert_eq!(read(&w.store, "k").await.unwrap().1, left_there, "{what}");
        put(&w.store, "k", "newer").await.unwrap();
    }
}

#[tokio::test]
async fn a_failed_put_leaves_no_folders() {
    let left = Arc::new(Mutex::new(None));
    let kind = |s: &Step<'_>| matches!(s, Step::Rename);
    let w = world_on(Box::new(Fails { kind, left: Arc::clone(&left), errno: Errno::ROFS })).await;
    *left.lock().unwrap() = Some(0);
    put(&w.store, "p/q/r", "new").await.unwrap_err();
    assert!(!w.bucket().join("p").exists());
}

#[tokio::test]
async fn leftovers_go_at_the_next_open() {
    let w = world().await;
    let at = At::new("bkt", "k");
    let open = w.store.create_upload(&at, &stamped(1, 1)).await.unwrap();
    let half = w.store.create_upload(&at, &stamped(1, 1)).await.unwrap();
    w.store.put_part(&at, &open, 1, Body::Whole(Bytes::from_static(b"part")), None).await.unwrap();
    drop(w.store);
    let private = w.root.path().join("bkt/.outlast/.disk");
    std::fs::write(private.join("tmp/0123456789abcdef0123456789abcdef-0123456789abcdef"), "half").unwrap();
    std::fs::remove_file(private.join(format!("uploads/{half}/about"))).unwrap();
    let store = DiskStore::open(named(), w.root.path()).unwrap();
    assert_eq!(files(&private.join("tmp")).len(), 0);
    assert!(!private.join(format!("uploads/{half}")).exists());
    assert_eq!(store.list_uploads("bkt").await.unwrap(), [("k".to_owned(), open.clone())]);
    let parts = store.list_parts(&at, &open).await.unwrap();
    assert_eq!(parts.iter().map(|part| (part.number, part.size)).collect::<Vec<_>>(), [(1, 4)]);
    store.complete_upload(&at, &open, &parts, None).await.unwrap();
    assert_eq!(read(&store, "k").await.unwrap().1, "part");
}

#[tokio::test]
async fn a_reader_keeps_the_copy_that_it_began() {
    let w = world().await;
    let old = "o".repeat(2_000_000);
    let pin = put(&w.store, "k", &old).await.unwrap();
    let (_, mut bytes) = w.store.get(&At::new("bkt", "k"), Some(&pin), None).await.unwrap();
    let mut got = bytes.next().await.unwrap().unwrap().len();
    put(&w.store, "k", "n").await.unwrap();
    w.store.delete(&At::new("bkt", "k"), None, None).await.unwrap();
    while let Some(chunk) = bytes.next().await {
        let chunk = chunk.unwrap();
        assert!(chunk.iter().all(|&b| b == b'o'));
        got += chunk.len();
    }
    assert_eq!(got, old.len());
}

/// Renames wait until they are let through.
struct Gate(Mutex<std::sync::mpsc::Receiver<()>>);

impl Seam for Gate {
    fn step(&self, step: Step<'_>) -> rustix::io::Result<()> {
        match step {
            Step::Rename => self.0.lock().unwrap().recv().map_err(|_| Errno::IO),
            _ => Ok(()),
        }
    }
}

#[tokio::test]
async fn a_call_that_nobody_waits_for_is_finished() {
    let (open, gate) = std::sync::mpsc::channel();
    let w = world_on(Box::new(Gate(Mutex::new(gate)))).await;
    let mut call = Box::pin(put(&w.store, "k", "v"));
    assert!(futures_util::poll!(call.as_mut()).is_pending());
    drop(call);
    assert_eq!(read(&w.store, "k").await.unwrap_err().fault, Fault::NoKey);
    open.send(()).unwrap();
    while w.store.head(&At::new("bkt", "k"), None).await.is_err() {
        tokio::task::yield_now().await;
    }
    assert_eq!(read(&w.store, "k").await.unwrap().1, "v");
}

#[tokio::test]
async fn folders_that_come_and_go_take_no_key_along() {
    let w = world().await;
    for round in 0..100 {
        put(&w.store, "x/y/1", "one").await.unwrap();
        let at = At::new("bkt", "x/y/1");
        let (gone, second, third) =
            tokio::join!(w.store.delete(&at, None, None), put(&w.store, "x/y/2", "two"), put(&w.store, "x/y", "three"));
        gone.and(second).and(third).unwrap_or_else(|error| panic!("round {round}: {error}"));
        assert_eq!(keys(&w.store).await, ["x/y", "x/y/2"], "round {round}");
        for key in ["x/y/2", "x/y"] {
            w.store.delete(&At::new("bkt", key), None, None).await.unwrap();
        }
        assert!(!w.bucket().join("x").exists(), "round {round}");
    }
}

#[tokio::test]
async fn a_key_in_both_places_is_one_key() {
    let w = world().await;
    put(&w.store, "a", "file").await.unwrap();
    put(&w.store, "a/b", "escaped").await.unwrap();
    for (key, is_plain) in [("a", true), ("a/b", false)] {
        assert_eq!(w.store.is_plain(&At::new("bkt", key)).await.unwrap(), is_plain, "{key}");
    }
    w.store.delete(&At::new("bkt", "a"), None, None).await.unwrap();
    std::fs::create_dir(w.bucket().join("a")).unwrap();
    std::fs::write(w.bucket().join("a/b"), "by hand").unwrap();
    assert_eq!(keys(&w.store).await, ["a/b"]);
    assert_eq!(read(&w.store, "a/b").await.unwrap().1, "by hand");
    w.store.delete(&At::new("bkt", "a/b"), None, None).await.unwrap();
    assert_eq!(read(&w.store, "a/b").await.unwrap_err().fault, Fault::NoKey, "nothing comes back from below");
    assert_eq!(files(&w.bucket()), BTreeMap::new());
}

#[tokio::test]
async fn large_folders_are_read_in_turns() {
    let w = world().await;
    let count = list::NAMES_HELD_MAX + 1500;
    for n in 0..count {
        std::fs::write(w.bucket().join(format!("f{n:06}")), "").unwrap();
    }
    let (mut seen, mut after) = (0, None);
    loop {
        let page = w.store.list("bkt", "f", after.as_deref()).await.unwrap();
        for copy in &page.copies {
            assert_eq!(copy.key, format!("f{seen:06}"));
            seen += 1;
        }
        after = page.next;
        if after.is_none() {
            break;
        }
    }
    assert_eq!(seen, count);
}

#[tokio::test]
async fn a_body_that_breaks_off_applied_nothing_and_leaves_nothing() {
    let w = world().await;
    let at = At::new("bkt", "k");
    let empty = files(&w.bucket());
    for (said, sent, breaks) in [(10, 9, false), (10, 11, false), (3_000_000, 2_500_000, true)] {
        let body = || {
            let end = breaks.then(|| Err(std::io::Error::other("gone")));
            let pieces = futures_util::stream::iter([Ok(Bytes::from(vec![0; sent]))].into_iter().chain(end));
            Body::Stream { len: said, bytes: pieces.boxed() }
        };
        let put = w.store.put(&at, &PutSpec::default(), body()).await.unwrap_err();
        assert_eq!(files(&w.bucket()), empty);
        let id = w.store.create_upload(&at, &Dress::default()).await.unwrap();
        let part = w.store.put_part(&at, &id, 1, body(), None).await.unwrap_err();
        for error in [put, part] {
            assert_eq!((error.fault, error.applied), (Fault::Body, Applied::No), "{error}");
        }
        // Its place in the upload's body may have been written to: it is no part, may be written again, and goes with the upload.
        assert_eq!(w.store.list_parts(&at, &id).await.unwrap(), []);
        let again = w.store.put_part(&at, &id, 1, Body::Whole(Bytes::from("again")), None).await.unwrap();
        assert_eq!(w.store.list_parts(&at, &id).await.unwrap().first().map(|part| &part.etag), Some(&again));
        w.store.abort_upload(&at, &id).await.unwrap();
        assert_eq!(files(&w.bucket()), empty);
    }
}

/// A Complete takes its key's lock while it holds its upload's: with one set of locks for both, one Complete in as many as
/// there are locks waited for itself, for ever.
#[tokio::test]
async fn an_upload_locks_no_key() {
    let w = world().await;
    let _upload = w.store.core.lock_upload("bkt", "0123456789abcdef");
    // Far more names than locks: each lock is met.
    for number in 0..100_000 {
        let at = At::new("bkt", format!("key {number}"));
        assert!(w.store.core.key_lock(&at).try_lock().is_ok(), "{at:?} is locked by an upload");
    }
}

/// The page docs/formats/disk.md and stamp.md by hand: a disk written by format 1 is read for ever.
#[tokio::test]
async fn format_1_is_read_for_ever() {
    const STAMP: &str = "1.1.4d.EjRWeJCrze8SNFZ4kKvN7w.AAECAwQFBgcICQoLDA0ODw.5.BwcHBwcHBwcHBwcHBwcHBw";
    let w = world().await;
    let place = |path: &str| w.bucket().join(path);
    let keys = place(".outlast/.disk/keys");
    for path in [place("plain"), keys.join("@43ats.2f.2fa.2ejpg="), place("aside")] {
        std::fs::write(path, "bytes").unwrap();
    }
    let set = |path: PathBuf, text: String| {
        let file = std::fs::File::open(path).unwrap();
        rustix::fs::fsetxattr(file, record::ATTRIBUTE, text.as_bytes(), rustix::fs::XattrFlags::empty()).unwrap();
    };
    let full = format!(
        r#"{{"format":1,"etag":"0123456789abcdef","size":5,"stamp":"{STAMP}","head":{{"content_type":"image/jpeg"}}}}"#
    );
    set(place("plain"), full.clone());
    set(keys.join("@43ats.2f.2fa.2ejpg="), full.clone());
    set(place("aside"), r#"{"format":1,"etag":"0123456789abcdef","size":5,"aside":true}"#.to_owned());
    let number = std::os::unix::fs::MetadataExt::ino(&std::fs::metadata(place("aside")).unwrap());
    let hash = &blake3::hash(b"aside").to_hex()[..32];
    let side = place(".outlast/.disk/side").join(&hash[..2]);
    std::fs::create_dir_all(&side).unwrap();
    let text = format!(r#"{{"key":"aside","inode":{number},"record":{full}}}"#);
    std::fs::write(side.join(format!("{hash}-{number:x}")), text).unwrap();

    for key in ["plain", "Cats//a.jpg", "aside"] {
        let (found, bytes) = read(&w.store, key).await.unwrap();
        assert_eq!((bytes.as_str(), found.pin.etag.as_str()), ("bytes", "0123456789abcdef"), "{key}");
        assert_eq!(found.dress.stamp.map(|stamp| stamp.encode()).as_deref(), Some(STAMP), "{key}");
        assert_eq!(found.dress.head.content_type.as_deref(), Some("image/jpeg"), "{key}");
    }
    // A stranger's file with the number of one of ours: no ETag of ours, so its record is not believed.
    std::fs::write(place("aside"), "other").unwrap();
    rustix::fs::removexattr(place("aside"), record::ATTRIBUTE).unwrap();
    assert_eq!(read(&w.store, "aside").await.unwrap().0.dress, Dress::default());
}
