//! The end of the story: every object is read back from each store alone, past the engine, and compared.

use super::content::{Comparison, Content};
use super::oracle::Oracle;
use super::reader::key_of;
use super::stage::{Actor, Stage};
use futures_util::StreamExt;
use outlast_engine::{GetAsk, ReadError};
use outlast_rules::Conditions;
use outlast_store::{At, Store};
use std::collections::{BTreeMap, BTreeSet};

/// Differences told in full; the rest are counted.
const DIFFERENCES_TOLD: usize = 20;
/// Our own records.
const RESERVED: &str = ".outlast/";

/// One store alone.
#[derive(Debug, Clone, Default, serde::Serialize)]
pub struct Proven {
    pub store: String,
    /// Objects whose every byte is the one that was acknowledged.
    pub objects: u64,
    pub bytes: u64,
    pub differences: u64,
    /// The first of them.
    pub told: Vec<String>,
}

impl Proven {
    fn differs(&mut self, words: String) {
        self.differences += 1;
        if self.told.len() < DIFFERENCES_TOLD {
            self.told.push(words);
        }
    }
}

/// Writes that failed may have been applied or not; what the engine shows now is what it must stay with.
///
/// # Errors
/// A key shows what nobody ever wrote there, or cannot be read.
pub async fn settle_doubts(stage: &Stage, oracle: &Oracle) -> Result<(), String> {
    for key in oracle.doubtful() {
        let may_be = oracle.may_be(&key);
        let ask =
            GetAsk { bucket: stage.bucket.clone(), key: key_of(&key), range: None, conditions: Conditions::default() };
        let is = match stage.engine.head(ask).await {
            Ok(facts) => Some(facts.size),
            Err(ReadError::NoKey) => None,
            Err(error) => return Err(format!("{key}: {error}")),
        };
        let which = may_be.into_iter().find(|content| content.map(|content| content.len) == is);
        match which {
            Some(content) => oracle.acknowledged(&key, content),
            None => return Err(format!("{key}: {is:?} bytes, which nobody wrote")),
        }
    }
    Ok(())
}

/// Reads everything from one store, and looks whether there is anything else.
pub async fn prove(actor: &Actor, bucket: &str, objects: &BTreeMap<String, Content>) -> Proven {
    let mut proven = Proven { store: actor.name.to_string(), ..Proven::default() };
    for (key, content) in objects {
        match compare(actor, &At::new(bucket, key.as_str()), *content).await {
            Ok(()) => {
                proven.objects += 1;
                proven.bytes += content.len;
            }
            Err(words) => proven.differs(format!("{key} on {}: {words}", actor.name)),
        }
    }
    match listed(actor, bucket).await {
        Ok(keys) => {
            for key in keys.iter().filter(|key| !objects.contains_key(*key)) {
                proven.differs(format!("{key} on {}: was deleted, or never acknowledged", actor.name));
            }
            for key in objects.keys().filter(|key| !keys.contains(*key)) {
                proven.differs(format!("{key} on {}: not in its listing", actor.name));
            }
        }
        Err(words) => proven.differs(format!("{}: {words}", actor.name)),
    }
    proven
}

async fn compare(actor: &Actor, at: &At, content: Content) -> Result<(), String> {
    let (found, mut bytes) = actor.disk.get(at, None, None).await.map_err(|error| error.to_string())?;
    if found.size != content.len {
        return Err(format!("{} bytes instead of {}", found.size, content.len));
    }
    let mut comparison = Comparison::with(content);
    while let Some(chunk) = bytes.next().await {
        comparison.next(&chunk.map_err(|error| error.to_string())?)?;
    }
    comparison.end()
}

async fn listed(actor: &Actor, bucket: &str) -> Result<BTreeSet<String>, String> {
    let mut keys = BTreeSet::new();
    let mut after: Option<String> = None;
    loop {
        let page = actor.disk.list(bucket, "", after.as_deref()).await.map_err(|error| error.to_string())?;
        keys.extend(page.copies.into_iter().map(|copy| copy.key).filter(|key| !key.starts_with(RESERVED)));
        after = page.next;
        if after.is_none() {
            return Ok(keys);
        }
    }
}
