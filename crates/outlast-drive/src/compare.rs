//! After catch-up: everything as it was promised, through the gateway and in the plain files of every store.

use crate::asking::BUCKET;
use crate::bodies::BodyId;
use crate::client::{Ask, Connection};
use crate::listing;
use crate::oracle::{Oracle, Truth};
use crate::worker::truth_of;
use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

/// What all comparisons of a run together found right, so that a run that compared nothing is not taken for a good one.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Seen {
    pub times: u32,
    pub present: u64,
    /// Deleted, or never there: no store and no listing has them.
    pub absent: u64,
}

impl Seen {
    /// One comparison that found everything right.
    pub fn add(&mut self, truths: &BTreeMap<String, Truth>) {
        let absent = truths.values().filter(|truth| **truth == Truth::Absent).count();
        self.times += 1;
        self.absent += absent as u64;
        self.present += (truths.len() - absent) as u64;
    }
}

/// What the gateway says of every key that was ever written; the keys stay so.
///
/// # Errors
/// Every difference, in words.
pub(crate) async fn through_gateway(
    connection: &mut Connection,
    oracle: &Oracle,
) -> Result<BTreeMap<String, Truth>, Vec<String>> {
    let (mut found, mut wrong) = (BTreeMap::new(), Vec::new());
    for (key, allowed) in oracle.all() {
        let answer = connection.ask(Ask::get(BUCKET, &key)).await.map_err(|lost| vec![format!("GET {key}: {lost}")])?;
        match truth_of(&answer) {
            Ok(truth) if allowed.contains(&truth) => {
                oracle.settle(&key, truth);
                found.insert(key, truth);
            }
            Ok(truth) => {
                let words: Vec<String> = allowed.iter().map(ToString::to_string).collect();
                wrong.push(format!("{key}: {truth}, allowed is {}", words.join(" or ")));
            }
            Err(why) => wrong.push(format!("{key}: {why}")),
        }
    }
    let listed = list_all(connection).await.map_err(|why| vec![why])?;
    let objects = found.iter().filter_map(|(key, truth)| match truth {
        Truth::Absent => None,
        Truth::Body(id) => Some((key.clone(), id.size())),
    });
    let objects: BTreeMap<String, u64> = objects.collect();
    wrong.extend(differences("the listing", &objects, &listed, |size| format!("{size} bytes")));
    if wrong.is_empty() { Ok(found) } else { Err(wrong) }
}

async fn list_all(connection: &mut Connection) -> Result<BTreeMap<String, u64>, String> {
    let (mut keys, mut token) = (BTreeMap::new(), None);
    loop {
        let mut ask = Ask::list(BUCKET).with("max-keys", 50);
        if let Some(token) = token {
            ask = ask.with("continuation-token", token);
        }
        let answer = connection.ask(ask).await.map_err(|lost| format!("LIST: {lost}"))?;
        if answer.status != 200 {
            return Err(format!("LIST: {} {}", answer.status, answer.text()));
        }
        let page = listing::page(&answer.text());
        keys.extend(page.keys);
        token = page.next;
        if token.is_none() {
            return Ok(keys);
        }
    }
}

/// What lies in the folder of a bucket, our own things aside: exactly these objects, byte for byte.
pub(crate) fn plain_files(store: &str, folder: &Path, truths: &BTreeMap<String, Truth>) -> Vec<String> {
    let mut found = BTreeMap::new();
    if let Err(error) = gather(folder, "", &mut found) {
        return vec![format!("{store}: {} cannot be read: {error}", folder.display())];
    }
    against(store, truths, &found)
}

/// The same of a store that speaks S3, asked without us.
pub(crate) async fn plain_objects(
    store: &str,
    connection: &mut Connection,
    truths: &BTreeMap<String, Truth>,
) -> Vec<String> {
    let listed = match list_all(connection).await {
        Ok(listed) => listed,
        Err(why) => return vec![format!("{store}: {why}")],
    };
    let mut found = BTreeMap::new();
    for key in listed.into_keys().filter(|key| !key.starts_with(".outlast/")) {
        let body = match connection.ask(Ask::get(BUCKET, &key)).await {
            Ok(answer) if answer.status == 200 => BodyId::of(&answer.body),
            Ok(answer) => Err(format!("listed, and then {}", answer.status)),
            Err(lost) => Err(format!("listed, and then {lost}")),
        };
        found.insert(key, body);
    }
    against(store, truths, &found)
}

fn against(
    store: &str,
    truths: &BTreeMap<String, Truth>,
    found: &BTreeMap<String, Result<BodyId, String>>,
) -> Vec<String> {
    let wanted = truths.iter().filter_map(|(key, truth)| match truth {
        Truth::Absent => None,
        Truth::Body(id) => Some((key.clone(), Ok(*id))),
    });
    let words = |body: &Result<BodyId, String>| match body {
        Ok(id) => format!("body {id}"),
        Err(why) => why.clone(),
    };
    differences(store, &wanted.collect(), found, words)
}

fn gather(folder: &Path, prefix: &str, into: &mut BTreeMap<String, Result<BodyId, String>>) -> std::io::Result<()> {
    for file in fs::read_dir(folder)? {
        let file = file?;
        let name = file.file_name().to_string_lossy().into_owned();
        if prefix.is_empty() && name == ".outlast" {
            continue;
        }
        let key = format!("{prefix}{name}");
        if file.file_type()?.is_dir() {
            gather(&file.path(), &format!("{key}/"), into)?;
        } else {
            into.insert(key, BodyId::of(&fs::read(file.path())?));
        }
    }
    Ok(())
}

fn differences<T: PartialEq>(
    place: &str,
    wanted: &BTreeMap<String, T>,
    found: &BTreeMap<String, T>,
    words: impl Fn(&T) -> String,
) -> Vec<String> {
    let mut wrong = Vec::new();
    for (key, want) in wanted {
        match found.get(key) {
            None => wrong.push(format!("{place}: {key} is missing, it is {}", words(want))),
            Some(have) if have != want => {
                wrong.push(format!("{place}: {key} is {} and not {}", words(have), words(want)));
            }
            Some(_) => {}
        }
    }
    let extra = found.iter().filter(|(key, _)| !wanted.contains_key(*key));
    wrong.extend(extra.map(|(key, have)| format!("{place}: {key} should not be there, it is {}", words(have))));
    wrong
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bodies::bytes_of;

    #[test]
    fn files_that_are_missing_wrong_or_too_many() {
        let dir = std::env::temp_dir().join(format!("outlast-drive-compare-{}", std::process::id()));
        fs::create_dir_all(dir.join("a")).unwrap();
        fs::create_dir_all(dir.join(".outlast/tomb")).unwrap();
        fs::write(dir.join(".outlast/tomb/x"), "ours").unwrap();
        let (one, two) = (BodyId::new(1, 100), BodyId::new(2, 100));
        fs::write(dir.join("a/right"), bytes_of(one)).unwrap();
        fs::write(dir.join("a/wrong"), bytes_of(two)).unwrap();
        fs::write(dir.join("extra"), bytes_of(two)).unwrap();
        let truth = |key: &str, truth| (key.to_owned(), truth);
        let truths = BTreeMap::from([
            truth("a/gone", Truth::Absent),
            truth("a/missing", Truth::Body(one)),
            truth("a/right", Truth::Body(one)),
            truth("a/wrong", Truth::Body(one)),
        ]);
        let found = plain_files("nas", &dir, &truths);
        fs::remove_dir_all(&dir).unwrap();
        assert_eq!(
            found,
            [
                format!("nas: a/missing is missing, it is body {one}"),
                format!("nas: a/wrong is body {two} and not body {one}"),
                format!("nas: extra should not be there, it is body {two}"),
            ]
        );
    }
}
