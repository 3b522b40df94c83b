//! One client of the load: it writes, deletes and reads, judges every answer, and ends when the gateway is killed.

use crate::asking::{Asker, BUCKET, Counts, Shared, Stop};
use crate::bodies::{BodyId, bytes_of};
use crate::client::{Account, Answer, Ask};
use crate::oracle::{Begun, Tick, Truth};
use crate::upload::PendingUpload;
use base64::Engine as _;
use md5::{Digest, Md5};
use rand::rngs::SmallRng;
use rand::{Rng, SeedableRng};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;
use tokio::time::sleep;

/// Keys that one client alone writes: every size of body has one at any time, and a round's comparison stays short.
const OWN_KEYS: u32 = 14;
/// Keys that all clients write at once.
const SHARED_KEYS: u32 = 3;
const REFUSED_WAIT: Duration = Duration::from_millis(50);
const MIB: u64 = 1024 * 1024;

/// Lives as long as the run; its connection as long as one gateway process.
pub(crate) struct Worker {
    number: u32,
    chance: SmallRng,
    asker: Asker,
    upload: Option<PendingUpload>,
    /// The largest body of one PUT.
    large: u64,
}

impl Worker {
    pub fn new(number: u32, seed: u64, shared: &Arc<Shared>, address: &str, account: &Arc<Account>) -> Worker {
        let chance = SmallRng::seed_from_u64(seed ^ (u64::from(number) + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15));
        Worker { number, chance, asker: Asker::new(shared, address, account), upload: None, large: 20 * MIB }
    }

    /// With smaller bodies: for stores that keep every version in memory.
    pub fn light(self) -> Worker {
        Worker { large: 2 * MIB, ..self }
    }

    pub fn number(&self) -> u32 {
        self.number
    }

    /// One small write.
    ///
    /// # Errors
    /// It is not acknowledged.
    pub async fn write_one(&mut self) -> Result<(), Stop> {
        let (key, size) = (self.own_key(), self.small());
        self.put(&key, size).await
    }

    /// A new process listens elsewhere.
    pub fn turn_to(&mut self, address: &str, account: &Arc<Account>) {
        self.asker = Asker::new(&self.asker.shared, address, account);
    }

    /// Works until the gateway is killed or the round is over.
    ///
    /// # Errors
    /// A promise was broken.
    pub async fn work(&mut self) -> Result<(), String> {
        while !self.asker.shared.resting.load(Ordering::SeqCst) {
            match self.step().await {
                Ok(()) => {}
                // Who is refused waits a little, as clients do.
                Err(Stop::Refused) => sleep(REFUSED_WAIT).await,
                Err(Stop::Killed) => return Ok(()),
                Err(Stop::Broken(why)) => return Err(format!("client {}: {why}", self.number)),
            }
        }
        Ok(())
    }

    async fn step(&mut self) -> Result<(), Stop> {
        if let Some(upload) = self.upload.take() {
            return self.go_on_with(upload).await;
        }
        match self.chance.random_range(0..100) {
            0..34 => {
                let (key, size) = (self.any_key(), self.small());
                self.put(&key, size).await
            }
            34..42 => {
                let key = self.any_key();
                self.put(&key, MIB).await
            }
            42..45 => {
                let key = self.own_key();
                self.put(&key, self.large).await
            }
            45..49 => {
                // Two whole parts and a rest.
                let size = 10 * MIB + self.chance.random_range(1..300_000);
                let upload = PendingUpload::new(self.own_key(), BodyId::new(self.chance.random(), size));
                self.go_on_with(upload).await
            }
            49..61 => {
                let key = self.any_key();
                self.delete(&key).await
            }
            61..65 => self.delete_some().await,
            65..69 => self.write_on_condition().await,
            69..72 => self.list_own().await,
            72..76 => {
                let key = self.any_key();
                self.read_range(&key).await
            }
            _ => {
                let key = self.any_key();
                self.read(&key).await
            }
        }
    }

    async fn go_on_with(&mut self, mut upload: PendingUpload) -> Result<(), Stop> {
        let end = upload.go_on(&mut self.asker).await;
        match end {
            Ok(()) => drop(self.asker.shared.done.uploads.fetch_add(1, Ordering::Relaxed)),
            // What was begun is finished after the restart: uploads survive it.
            Err(Stop::Killed | Stop::Refused) => self.upload = Some(upload),
            Err(Stop::Broken(_)) => {}
        }
        end
    }

    pub(crate) fn small(&mut self) -> u64 {
        // Mostly the size of a thumbnail or a record, now and then across the borders of a block.
        if self.chance.random_bool(0.8) {
            self.chance.random_range(16..8_192)
        } else {
            self.chance.random_range(60_000..140_000)
        }
    }

    pub(crate) fn own_key(&mut self) -> String {
        format!("own-{}/object-{:02}", self.number, self.chance.random_range(0..OWN_KEYS))
    }

    fn any_key(&mut self) -> String {
        if self.chance.random_bool(0.15) {
            return format!("shared/object-{}", self.chance.random_range(0..SHARED_KEYS));
        }
        self.own_key()
    }

    async fn put(&mut self, key: &str, size: u64) -> Result<(), Stop> {
        let id = self.body_of(size);
        let body = bytes_of(id);
        let etag = format!("\"{}\"", hex(&Md5::digest(&body)));
        let begun = self.begin(key, Truth::Body(id));
        let answer = self.asker.write(Ask::put(BUCKET, key, body), vec![begun], 200).await?;
        if answer.etag() != Some(etag.as_str()) {
            return Err(Stop::Broken(format!("PUT {key}: ETag {:?} and not {etag}", answer.etag())));
        }
        self.asker.shared.done.writes.fetch_add(1, Ordering::Relaxed);
        Ok(())
    }

    /// One of so many.
    pub(crate) fn pick(&mut self, count: u32) -> u32 {
        self.chance.random_range(0..count)
    }

    /// A new one.
    pub(crate) fn body_of(&mut self, size: u64) -> BodyId {
        BodyId::new(self.chance.random(), size)
    }

    /// What a read that began now may see.
    pub(crate) fn may_be(&self, key: &str) -> Vec<Truth> {
        let oracle = &self.asker.shared.oracle;
        oracle.allowed(key, oracle.now())
    }

    pub(crate) fn begin(&self, key: &str, truth: Truth) -> Begun {
        self.asker.shared.oracle.begin(key, truth)
    }

    pub(crate) async fn ask(&mut self, ask: Ask) -> Result<Answer, Stop> {
        self.asker.ask(ask).await
    }

    /// `declined`: what says that a condition did not hold, and nothing was changed.
    pub(crate) async fn write_unless(&mut self, ask: Ask, begun: Begun, declined: &[u16]) -> Result<Answer, Stop> {
        self.asker.write_unless(ask, vec![begun], 200, declined).await
    }

    pub(crate) fn done(&self) -> &Counts {
        &self.asker.shared.done
    }

    async fn delete(&mut self, key: &str) -> Result<(), Stop> {
        let begun = self.begin(key, Truth::Absent);
        self.asker.write(Ask::delete(BUCKET, key), vec![begun], 204).await?;
        self.asker.shared.done.deletes.fetch_add(1, Ordering::Relaxed);
        Ok(())
    }

    async fn delete_some(&mut self) -> Result<(), Stop> {
        let mut keys: Vec<String> = (0..3).map(|_| self.own_key()).collect();
        keys.sort();
        keys.dedup();
        let objects: String = keys.iter().map(|key| format!("<Object><Key>{key}</Key></Object>")).collect();
        let body = format!("<Delete>{objects}</Delete>");
        let md5 = base64::engine::general_purpose::STANDARD.encode(Md5::digest(&body));
        let begun = keys.iter().map(|key| self.asker.shared.oracle.begin(key, Truth::Absent)).collect();
        let ask = Ask::post(BUCKET, "", body).with("delete", "").header("content-md5", md5);
        let answer = self.asker.write(ask, begun, 200).await?.text();
        let refused = keys.iter().find(|key| !answer.contains(&format!("<Deleted><Key>{key}</Key>")));
        if let Some(key) = refused {
            return Err(Stop::Broken(format!("DeleteObjects with {key}: {answer}")));
        }
        self.asker.shared.done.deletes.fetch_add(keys.len() as u64, Ordering::Relaxed);
        Ok(())
    }

    /// Reads a key whole and judges what came.
    pub async fn read(&mut self, key: &str) -> Result<(), Stop> {
        let from = self.asker.shared.oracle.now();
        let answer = self.asker.ask(Ask::get(BUCKET, key)).await?;
        let seen = truth_of(&answer).map_err(|why| Stop::Broken(format!("GET {key}: {why}")))?;
        self.expect(key, from, &format!("GET {key}: {seen}"), |truth| truth == seen)
    }

    async fn read_range(&mut self, key: &str) -> Result<(), Stop> {
        let from = self.asker.shared.oracle.now();
        let begin = self.chance.random_range(0..16_384_u64);
        let end = begin + self.chance.random_range(0..100_000_u64);
        let answer = self.asker.ask(Ask::get(BUCKET, key).header("range", format!("bytes={begin}-{end}"))).await?;
        let fits = |truth: Truth| match (truth, answer.status) {
            (Truth::Absent, status) => status == 404,
            (Truth::Body(id), 416) => begin >= id.size(),
            (Truth::Body(id), 206) if begin < id.size() => {
                answer.body == bytes_of(id).slice(begin as usize..(end + 1).min(id.size()) as usize)
            }
            _ => false,
        };
        let seen = format!("GET {key} from {begin} to {end}: {} with {} bytes", answer.status, answer.body.len());
        self.expect(key, from, &seen, fits)
    }

    async fn list_own(&mut self) -> Result<(), Stop> {
        let from = self.asker.shared.oracle.now();
        let prefix = format!("own-{}/", self.number);
        let answer = self.asker.ask(Ask::list(BUCKET).with("prefix", &prefix)).await?;
        if answer.status != 200 {
            return Err(Stop::Broken(format!("LIST {prefix}: {} {}", answer.status, answer.text())));
        }
        let listed = crate::listing::page(&answer.text());
        for key in (0..OWN_KEYS).map(|number| format!("{prefix}object-{number:02}")) {
            let size = listed.keys.get(&key).copied();
            let fits = |truth: Truth| match truth {
                Truth::Absent => size.is_none(),
                Truth::Body(id) => size == Some(id.size()),
            };
            self.expect(&key, from, &format!("LIST {prefix}: {key} with size {size:?}"), fits)?;
        }
        Ok(())
    }

    fn expect(&self, key: &str, from: Tick, seen: &str, fits: impl Fn(Truth) -> bool) -> Result<(), Stop> {
        self.asker.shared.done.reads.fetch_add(1, Ordering::Relaxed);
        let allowed = self.asker.shared.oracle.allowed(key, from);
        if allowed.iter().any(|truth| fits(*truth)) {
            return Ok(());
        }
        let words: Vec<String> = allowed.iter().map(ToString::to_string).collect();
        Err(Stop::Broken(format!("{seen}, allowed is {}", words.join(" or "))))
    }
}

/// What a GET of a whole key showed.
///
/// # Errors
/// An error of the gateway, or bytes that nobody wrote.
pub(crate) fn truth_of(answer: &Answer) -> Result<Truth, String> {
    match answer.status {
        404 if answer.text().contains("NoSuchKey") => Ok(Truth::Absent),
        200 => BodyId::of(&answer.body).map(Truth::Body),
        status => Err(format!("{status} {}", answer.text())),
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
