//! The mixed load: clients that write, read, list and delete, each with keys of its own, and read what all share.

use super::content::Content;
use super::oracle::Oracle;
use super::reader::{Pace, Unwatched, get, key_of, s3_words};
use super::score::Score;
use super::stage::Stage;
use futures_util::{StreamExt, stream};
use outlast_engine::{ClientBody, Declared, DeleteAsk, ListQuery, Listed, PutAsk, WriteError};
use outlast_rules::{Conditions, Head};
use rand::rngs::SmallRng;
use rand::{Rng, SeedableRng};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::Instant;

/// Requests at once: enough to have one of each kind on its way when the store dies.
pub const CLIENTS: u64 = 6;
/// With all stores this bounds what the mixed load keeps on disk at 100 MiB.
const KEYS_EACH: u64 = 12;
/// Objects that are there before the load begins, read by all.
const SHARED: u64 = 24;
/// Between two requests of one client: the demo shows a load, it does not measure the machine.
const THINKING: Duration = Duration::from_millis(25);

const KIB: u64 = 1024;

/// What all of the demo's parts work with.
#[derive(Clone)]
pub struct House {
    pub stage: Arc<Stage>,
    pub score: Arc<Score>,
    pub oracle: Arc<Oracle>,
    pub seed: u64,
}

/// Mostly small, a few large, never the same twice.
fn size(chance: &mut SmallRng) -> u64 {
    match chance.random_range(0..10) {
        0..6 => chance.random_range(4 * KIB..64 * KIB),
        6..9 => chance.random_range(64 * KIB..512 * KIB),
        _ => chance.random_range(512 * KIB..3 * KIB * KIB),
    }
}

fn shared_key(number: u64) -> String {
    format!("shared/{number:02}")
}

impl House {
    /// PUTs a body as fast as it is taken. The answer is acknowledged, or failed, before this returns.
    ///
    /// # Errors
    /// As S3 clients see it.
    pub async fn put(&self, key: &str, content: Content) -> Result<(), String> {
        let ask = PutAsk {
            bucket: self.stage.bucket.clone(),
            key: key_of(key),
            head: Head::default(),
            body: ClientBody {
                len: content.len,
                bytes: stream::iter(content.pieces().map(Ok)).boxed(),
                declared: Declared::default(),
            },
            conditions: Conditions::default(),
        };
        let written = self.stage.engine.put(ask).await;
        self.told(key, Some(content), written.map(drop))
    }

    async fn delete(&self, key: &str) -> Result<(), String> {
        let ask = DeleteAsk {
            bucket: self.stage.bucket.clone(),
            key: key_of(key),
            conditions: Conditions::default(),
            user: "demo".to_owned(),
        };
        let deleted = self.stage.engine.delete(ask).await;
        self.told(key, None, deleted)
    }

    /// What the answer to a write means for what reads may find.
    fn told(&self, key: &str, content: Option<Content>, answer: Result<(), WriteError>) -> Result<(), String> {
        match answer {
            Ok(()) => {
                self.oracle.acknowledged(key, content);
                Ok(())
            }
            Err(error) => {
                self.oracle.failed(key, content);
                Err(s3_words(&outlast_front::from_write(error)))
            }
        }
    }

    /// The objects that are there before the load begins.
    ///
    /// # Errors
    /// A write failed although every store is well.
    pub async fn furnish(&self) -> Result<(), String> {
        let mut chance = SmallRng::seed_from_u64(self.seed);
        for number in 0..SHARED {
            let content = Content { seed: chance.random(), len: size(&mut chance) };
            self.put(&shared_key(number), content).await?;
        }
        Ok(())
    }

    /// One client, until it is dropped or the load ends.
    pub async fn client(self, number: u64, end: Instant) {
        let chance = SmallRng::seed_from_u64(self.seed.wrapping_add(number).wrapping_add(1));
        let mut client = Client { house: self, number, chance };
        while Instant::now() < end {
            client.turn().await;
            tokio::time::sleep(THINKING).await;
        }
    }
}

struct Client {
    house: House,
    number: u64,
    chance: SmallRng,
}

impl Client {
    fn prefix(&self) -> String {
        format!("client-{}/", self.number)
    }

    fn own_key(&mut self) -> String {
        format!("{}{:02}", self.prefix(), self.chance.random_range(0..KEYS_EACH))
    }

    async fn turn(&mut self) {
        let house = self.house.clone();
        let began = Instant::now();
        match self.chance.random_range(0..20) {
            0..7 => {
                let (key, content) = (self.own_key(), self.content());
                let put = house.put(&key, content).await;
                house.counted(&format!("PUT {key}"), put, began);
            }
            7..12 => {
                let key = self.own_key();
                get(&house.stage, &house.score, &house.oracle, &key, Pace::AsItComes, &mut Unwatched).await;
            }
            12..16 => {
                let key = shared_key(self.chance.random_range(0..SHARED));
                get(&house.stage, &house.score, &house.oracle, &key, Pace::AsItComes, &mut Unwatched).await;
            }
            16..18 => {
                let key = self.own_key();
                let deleted = house.delete(&key).await;
                house.counted(&format!("DELETE {key}"), deleted, began);
            }
            _ => {
                let prefix = self.prefix();
                let listed = house.list(&prefix).await;
                house.counted(&format!("LIST {prefix}"), listed, began);
            }
        }
    }

    fn content(&mut self) -> Content {
        Content { seed: self.chance.random(), len: size(&mut self.chance) }
    }
}

impl House {
    pub fn counted(&self, what: &str, answer: Result<(), String>, since: Instant) {
        match answer {
            Ok(()) => self.score.answered(what, since),
            Err(words) => self.score.failed(what, &words, since),
        }
    }

    /// A listing must show what was acknowledged below this prefix, in size and name; its writer lists it itself.
    async fn list(&self, prefix: &str) -> Result<(), String> {
        let query = ListQuery { prefix: prefix.to_owned(), limit: 1000, ..ListQuery::default() };
        let page = self.stage.engine.list(self.stage.bucket.clone(), query).await;
        let page = page.map_err(super::reader::read_words)?;
        let listed: BTreeMap<String, u64> = page
            .items
            .into_iter()
            .filter_map(|item| match item {
                Listed::Object(object) => Some((object.key.to_string(), object.size)),
                Listed::Prefix(_) => None,
            })
            .collect();
        for number in 0..KEYS_EACH {
            let key = format!("{prefix}{number:02}");
            let may_be = self.oracle.may_be(&key);
            let is = listed.get(&key).copied();
            if !may_be.iter().any(|content| content.map(|content| content.len) == is) {
                return Err(format!("{key} is listed with {is:?} bytes, acknowledged was {may_be:?}"));
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_mixed_and_bounded() {
        let mut chance = SmallRng::seed_from_u64(1);
        let sizes: Vec<u64> = (0..10_000).map(|_| size(&mut chance)).collect();
        assert!(sizes.iter().all(|size| (4 * KIB..3 * KIB * KIB).contains(size)));
        let mean = sizes.iter().sum::<u64>() / 10_000;
        let kept = (CLIENTS * KEYS_EACH + SHARED) * mean * super::super::stage::STORES.len() as u64;
        assert!(kept < 100 << 20, "{kept} bytes of small objects");
    }
}
