//! Fuzz targets: every key has one place, no two share one, and nothing leaves the root; whatever an attribute says, a copy
//! is what it is.

use super::super::core::Private;
use super::super::names::{NameRules, Piece, decode, encode, piece_of};
use super::super::read::Where;
use super::super::record::ATTRIBUTE;
use super::*;
use bolero::TypeGenerator;
use rustix::fs::{XattrFlags, fsetxattr};
use serde_json::Value;

/// What keys are made of where file systems differ: separators, folders with a meaning, our own letters, names that fold.
const ODD: [&str; 40] = [
    "/",
    "//",
    ".",
    "..",
    "/./",
    "/../",
    "=",
    "+",
    "%2f",
    ".2f",
    "~7e",
    "@41",
    "A",
    "a",
    "K",
    "\u{212a}",
    "é",
    "e\u{301}",
    "É",
    "ı",
    ":",
    " ",
    "*",
    "\\",
    "\n",
    "\u{1}",
    "\u{7f}",
    ".outlast",
    ".outlast/.disk",
    "/keys/",
    ".OUTLAST/.DISK",
    "-",
    "0",
    "z",
    "/a",
    "a/",
    "a=",
    "a+",
    "\u{ffff}",
    "\u{10ffff}",
];

#[derive(Debug, Clone, TypeGenerator)]
enum Bit {
    Odd(u8),
    Letter(char),
    /// The same once more and more, up to where names are cut.
    Run(u8, u8),
}

/// A key as the engine may give it: 1 to 1,024 bytes without NUL.
fn key_of(bits: &[Bit]) -> String {
    let odd = |at: u8| ODD[usize::from(at) % ODD.len()];
    let mut key: String = bits
        .iter()
        .map(|bit| match bit {
            Bit::Odd(at) => odd(*at).to_owned(),
            Bit::Letter(letter) => letter.to_string(),
            Bit::Run(at, times) => odd(*at).repeat(usize::from(*times)),
        })
        .collect();
    key.retain(|letter| letter != '\0');
    key.truncate(key.floor_char_boundary(1024));
    if key.is_empty() { "k".to_owned() } else { key }
}

#[derive(Debug, TypeGenerator)]
struct Two {
    folds_case: bool,
    normalises: bool,
    strict: bool,
    shortest: bool,
    a: Vec<Bit>,
    b: Vec<Bit>,
}

/// Where a key lies when nothing stands in its way.
fn place(rules: &NameRules, key: &str) -> String {
    if rules.is_plain(key) { Where::Plain.path(key) } else { Where::Escaped.path(key) }
}

/// As a file system with these habits sees a path.
fn seen(rules: &NameRules, path: &str) -> String {
    let names = path.split('/').map(|name| match rules.strict {
        true => name.trim_end_matches(['.', ' ']),
        false => name,
    });
    let path = names.collect::<Vec<_>>().join("/");
    if rules.folds_case { path.to_lowercase() } else { path }
}

fn judge(rules: &NameRules, key: &str) {
    let path = place(rules, key);
    let seen = seen(rules, &path);
    let keys = Private::Keys.path();
    for name in path.split('/') {
        assert!(!name.is_empty() && name != "." && name != ".." && !name.contains('\0'), "{key:?} at {path:?}");
        assert!(name.len() <= rules.name_bytes_max, "{key:?} at {path:?}");
    }
    assert!(path.len() < 4096 - 300, "{} bytes of path leave no room for a root's bucket", path.len());
    if rules.is_plain(key) {
        assert!(path == key && seen != ".outlast" && !format!("{seen}/").starts_with(".outlast/.disk/"), "{path:?}");
        assert!(path.is_ascii() || !(rules.normalises || rules.folds_case), "{path:?}");
        return;
    }
    let text = path.strip_prefix(&format!("{keys}/")).expect("below the folder of escaped keys");
    let (folders, file) = text.rsplit_once('/').map_or((None, text), |(folders, file)| (Some(folders), file));
    let mut spelt = String::new();
    for folder in folders.into_iter().flat_map(|folders| folders.split('/')) {
        let Some(Piece::GoesOn(piece)) = piece_of(folder) else { panic!("{folder:?} in {path:?}") };
        spelt.push_str(piece);
    }
    let Some(Piece::Ends(piece)) = piece_of(file) else { panic!("{file:?} in {path:?}") };
    spelt.push_str(piece);
    assert_eq!(decode(&spelt).as_deref(), Some(key), "{path:?}");
}

#[test]
fn names() {
    bolero::check!(name = "disk-names").with_type::<Two>().for_each(|two| {
        let rules = NameRules {
            folds_case: two.folds_case,
            normalises: two.normalises,
            strict: two.strict,
            name_bytes_max: if two.shortest { 143 } else { 255 },
        };
        let (a, b) = (key_of(&two.a), key_of(&two.b));
        judge(&rules, &a);
        judge(&rules, &b);
        let places = [&a, &b].map(|key| seen(&rules, &place(&rules, key)));
        assert_eq!(a == b, places[0] == places[1], "{a:?} and {b:?} at {places:?}");
        assert_eq!(a.cmp(&b), encode(&a).cmp(&encode(&b)), "{a:?} {b:?}");
        assert_eq!(b.starts_with(&a), encode(&b).starts_with(&encode(&a)), "{a:?} {b:?}");
    });
}

#[derive(Debug, TypeGenerator)]
enum Step {
    Put(u8, u8),
    Delete(u8),
    List(u8, u8),
}

#[derive(Debug, TypeGenerator)]
struct Story {
    keys: Vec<Vec<Bit>>,
    steps: Vec<Step>,
}

/// All keys of a listing, page by page.
async fn listed(store: &DiskStore, prefix: &str, after: Option<&str>) -> Vec<(String, u64)> {
    let (mut found, mut after) = (Vec::new(), after.map(str::to_owned));
    loop {
        let page = store.list("bkt", prefix, after.as_deref()).await.unwrap();
        found.extend(page.copies.into_iter().map(|copy| (copy.key, copy.size)));
        match page.next {
            Some(next) => after = Some(next),
            None => return found,
        }
    }
}

/// The same operations on a disk and on a map.
async fn play(story: &Story) {
    let outside = new_root();
    std::fs::write(outside.path().join("neighbour"), "not ours").unwrap();
    let root = outside.path().join("root");
    std::fs::create_dir(&root).unwrap();
    let store = DiskStore::open(named(), &root).unwrap();
    store.create_bucket("bkt").await.unwrap();
    let mut keys: Vec<String> = story.keys.iter().take(6).map(|bits| key_of(bits)).collect();
    keys.push("a".into());
    let key = |at: u8| keys[usize::from(at) % keys.len()].clone();
    let mut map: BTreeMap<String, String> = BTreeMap::new();
    for step in story.steps.iter().take(24) {
        match step {
            Step::Put(at, size) => {
                let content = char::from(b'a' + at % 26).to_string().repeat(usize::from(*size));
                put(&store, &key(*at), &content).await.unwrap();
                map.insert(key(*at), content);
            }
            Step::Delete(at) => {
                store.delete(&At::new("bkt", key(*at)), None, None).await.unwrap();
                map.remove(&key(*at));
            }
            Step::List(prefix, after) => {
                let (prefix, after) = (key(*prefix), key(*after));
                let prefix = &prefix[..prefix.floor_char_boundary(prefix.len() / 2)];
                let due = map.iter().filter(|(key, _)| key.starts_with(prefix) && **key > after);
                let due: Vec<(String, u64)> = due.map(|(key, content)| (key.clone(), content.len() as u64)).collect();
                assert_eq!(listed(&store, prefix, Some(&after)).await, due, "{prefix:?} after {after:?}");
            }
        }
    }
    for key in &keys {
        let got = match store.get(&At::new("bkt", key.as_str()), None, None).await {
            Ok((_, mut bytes)) => {
                let mut text = String::new();
                while let Some(piece) = bytes.next().await {
                    text.push_str(std::str::from_utf8(&piece.unwrap()).unwrap());
                }
                Some(text)
            }
            Err(error) if error.fault == Fault::NoKey => None,
            Err(error) => panic!("{error}"),
        };
        assert_eq!(got.as_ref(), map.get(key), "{key:?}");
    }
    let due: Vec<(String, u64)> = map.iter().map(|(key, content)| (key.clone(), content.len() as u64)).collect();
    assert_eq!(listed(&store, "", None).await, due);
    let mut around: Vec<_> = std::fs::read_dir(outside.path()).unwrap().map(|file| file.unwrap().file_name()).collect();
    around.sort();
    assert_eq!(around, ["neighbour", "root"]);
    let mut below: Vec<_> = std::fs::read_dir(&root).unwrap().map(|file| file.unwrap().file_name()).collect();
    below.retain(|name| name != ".outlast.lock");
    assert_eq!(below, ["bkt"]);
    assert_eq!(std::fs::read(outside.path().join("neighbour")).unwrap(), b"not ours");
}

fn on_one_thread(work: impl Future<Output = ()>) {
    tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(work);
}

#[test]
fn keys() {
    bolero::check!(name = "disk-keys").with_type::<Story>().for_each(|story| on_one_thread(play(story)));
}

/// A file with somebody's attribute: read as it is, and with a stamp only where the attribute is a whole record of ours
/// about a file of this size.
async fn describe(attribute: &[u8]) {
    let root = new_root();
    let store = DiskStore::open(named(), root.path()).unwrap();
    store.create_bucket("bkt").await.unwrap();
    let file = std::fs::File::create(root.path().join("bkt/k")).unwrap();
    std::io::Write::write_all(&mut &file, b"four").unwrap();
    fsetxattr(&file, ATTRIBUTE, attribute, XattrFlags::empty()).unwrap();
    let found = store.head(&At::new("bkt", "k"), None).await.unwrap();
    assert_eq!(found.size, 4);
    assert_eq!(listed(&store, "", None).await, [("k".to_owned(), 4)]);
    let record: Value = serde_json::from_slice(attribute).unwrap_or_default();
    let ours = record["format"] == 1 && record["size"] == 4 && record["aside"] != true;
    if !ours || !record["etag"].is_string() {
        assert!(found.dress == Dress::default() && found.pin.etag.starts_with("f-"), "{found:?} of {record}");
    }
    if let Some(stamp) = &found.dress.stamp {
        let text = record["stamp"].as_str().expect("only a stamp makes a stamp");
        assert_eq!(Stamp::parse(text).as_ref(), Ok(stamp));
    }
}

#[test]
fn attributes() {
    bolero::check!(name = "disk-record").for_each(|bytes: &[u8]| on_one_thread(describe(bytes)));
}
