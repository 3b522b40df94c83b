//! One unbroken body out of several stores: every block checked before it leaves, the next holder goes on at the exact byte.

use crate::asks::{ReadError, offered};
use crate::counters::count;
use crate::engine::Engine;
use crate::hedging::Opening;
use crate::seats::Seat;
use crate::spool::body_name;
use bytes::{Bytes, BytesMut};
use futures_util::StreamExt;
use outlast_ledger::Change;
use outlast_rules::{
    Block, BucketName, Debt, DebtKind, Digests, Entry, Key, Mutant, OpClass, Pin, ReadNow, Source, StoreName, broken,
    digest_of, is_worth_hedging, name_hash, plan_copy, plan_read,
};
use outlast_store::{Answer, Applied, At, ByteRange, ByteStream, Fault, Found, StoreError};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::Instant;

/// A body that stands still this long has stopped. Protocol.md 3.3 allows 2 s; what is left of them is for the next holder's
/// first byte, so that a client sees no pause of 2 s.
const BODY_SILENCE_MAX: Duration = Duration::from_millis(1500);
/// Before its first byte, while another holder has not been asked: a client waits a second for all of them.
const FIRST_SILENCE_MAX: Duration = Duration::from_millis(750);
/// Other calls have shown that the store is down: so long a body may stand still all the same, as bodies do when a disk is busy.
const BODY_SILENCE_MAX_DOWN: Duration = Duration::from_millis(500);
/// How often a body that stands still looks whether its store is down.
const BODY_SILENCE_LOOK: Duration = Duration::from_millis(250);
/// Each holder is tried this often for one body: a second time because the first failure may have been its moment.
const ROUNDS_MAX: usize = 2;

/// A read on its way.
pub(crate) struct Reading {
    engine: Arc<Engine>,
    bucket: BucketName,
    key: Key,
    entry: Arc<Entry>,
    digests: Option<Arc<Digests>>,
    sources: Vec<Source>,
    tried: usize,
    /// The next byte that leaves.
    at: u64,
    end: u64,
    /// Where it began.
    start: u64,
    open: Option<Open>,
    first: Option<Bytes>,
    why: Vec<String>,
    /// Which bytes of a copy were others than those that were written.
    differs: Option<String>,
    /// What the last source that failed said, where that tells of the store and nothing of the copy.
    silence: Option<StoreError>,
    /// Every source so far said "not this copy": the entry may have changed under us.
    only_misses: bool,
    /// Stores that missed before another one answered: suspect, if the key has not moved meanwhile.
    missed: Vec<StoreName>,
    /// Where copies of a displaced write lie now; None: the key's present entry is read.
    past: Option<BTreeMap<StoreName, At>>,
    /// A client waits for the first byte.
    hedges: bool,
}

/// One source, answering.
struct Open {
    source: Source,
    bytes: ByteStream,
    /// Object offset of `held`'s first byte.
    from: u64,
    held: BytesMut,
}

/// Why a read has no first byte.
pub(crate) enum NoFirstByte {
    /// No source had the copy that its pin names: the key may have moved on.
    Missed(String),
    Failed(String),
}

impl Reading {
    pub fn new(
        engine: &Arc<Engine>,
        bucket: &BucketName,
        key: &Key,
        entry: Arc<Entry>,
        digests: Option<Arc<Digests>>,
        spooled: bool,
        range: (u64, u64),
    ) -> Reading {
        let plan = plan_read(&entry, spooled, |name| engine.read_now(name));
        Reading {
            engine: engine.clone(),
            bucket: bucket.clone(),
            key: key.clone(),
            entry,
            digests: digests.filter(|digests| digests.is_whole()),
            sources: plan.sources,
            tried: 0,
            at: range.0,
            end: range.1,
            start: range.0,
            open: None,
            first: None,
            why: vec![],
            differs: None,
            silence: None,
            only_misses: true,
            missed: vec![],
            past: None,
            hedges: false,
        }
    }

    /// For a copy to another store, not for a client.
    pub fn of_a_copy(
        engine: &Arc<Engine>,
        (bucket, key): (&BucketName, &Key),
        entry: Arc<Entry>,
        digests: Option<Arc<Digests>>,
        spooled: bool,
        range: (u64, u64),
    ) -> Reading {
        let sources = plan_copy(&entry, spooled, |name| engine.read_now(name)).sources;
        Reading { sources, ..Reading::new(engine, bucket, key, entry, digests, spooled, range) }
    }

    /// While its first source is silent, the second may be asked too.
    pub fn may_hedge(&mut self) {
        self.hedges = true;
    }

    /// A write in the trash is read: its copies lie there, and what fails tells nothing of the key's present copies.
    pub fn of_the_past(&mut self, aside: BTreeMap<StoreName, At>) {
        self.past = Some(aside);
    }

    /// Gets the first bytes, so that an answer is promised only when there is one.
    pub async fn begin(&mut self) -> Result<(), NoFirstByte> {
        if self.at >= self.end {
            return Ok(());
        }
        match self.next_piece().await {
            Some(piece) => {
                self.first = Some(piece);
                Ok(())
            }
            None if self.only_misses && !self.sources.is_empty() => Err(NoFirstByte::Missed(self.words())),
            None => Err(NoFirstByte::Failed(self.words())),
        }
    }

    /// The source that answers now.
    pub fn source(&self) -> String {
        match self.open.as_ref().map(|open| &open.source) {
            Some(Source::Store(name, _)) => name.to_string(),
            Some(Source::Spool) => "spool".to_owned(),
            None => "ledger".to_owned(),
        }
    }

    pub fn is_checked(&self) -> bool {
        self.digests.is_some()
    }

    /// The body. An error means: cut it.
    pub fn stream(self) -> futures_util::stream::BoxStream<'static, Result<Bytes, ReadError>> {
        futures_util::stream::unfold(Some(self), |reading| async move {
            let mut reading = reading?;
            if let Some(first) = reading.first.take() {
                return Some((Ok(first), Some(reading)));
            }
            if reading.at >= reading.end {
                return None;
            }
            match reading.next_piece().await {
                Some(piece) => Some((Ok(piece), Some(reading))),
                None if broken(Mutant::CutEndsAsWhole) => None,
                None => {
                    count(&reading.engine.counters.reads_failed);
                    Some((Err(ReadError::NoHolder(reading.words())), None))
                }
            }
        })
        .boxed()
    }

    /// Reads to the end, handing on each checked piece, to judge the copies that it reads. Inner error: what is wrong with them,
    /// in words.
    ///
    /// # Errors
    /// The store does not answer: nothing is known of its copy.
    pub async fn judge(mut self, mut take: impl FnMut(&Bytes)) -> Result<Result<(), String>, StoreError> {
        while self.at < self.end {
            match self.next_piece().await {
                Some(piece) => take(&piece),
                None => {
                    count(&self.engine.counters.reads_failed);
                    let differs = self.differs.take().map(|which| format!("its bytes differ: {which}"));
                    let words = differs.unwrap_or_else(|| self.words());
                    return self.silence.take().map_or(Ok(Err(words)), Err);
                }
            }
        }
        Ok(Ok(()))
    }

    fn words(&self) -> String {
        if self.sources.is_empty() {
            return format!("no store is known to hold {}/{}", self.bucket, self.key);
        }
        let (bucket, key) = (&self.bucket, &self.key);
        format!("no holder of {bucket}/{key} answers: {}{}", self.why.join("; "), offered(bucket, key, &self.entry))
    }

    /// The next checked bytes, from whoever can give them. None: nobody can.
    async fn next_piece(&mut self) -> Option<Bytes> {
        loop {
            if self.open.is_none() {
                let source = self.sources.get(self.tried % self.sources.len().max(1))?.clone();
                if self.tried >= self.sources.len() * ROUNDS_MAX {
                    return None;
                }
                self.tried += 1;
                match self.open_source(&source).await {
                    Ok(open) => self.open = Some(open),
                    Err((source, error)) => {
                        self.suspect(&source, error).await;
                        continue;
                    }
                }
            }
            match self.pull().await {
                Ok(piece) => {
                    if !self.missed.is_empty() {
                        self.blame_missed().await;
                    }
                    return Some(piece);
                }
                Err(error) => {
                    let source = self.open.take().expect("pulled from an open source").source;
                    self.only_misses = false;
                    self.suspect(&source, error).await;
                }
            }
        }
    }

    /// The answering source is another one than was asked for where a hedge came first.
    async fn open_source(&mut self, source: &Source) -> Result<Open, (Source, StoreError)> {
        let (from, to) = match &self.digests {
            Some(digests) => digests.cover(self.at, self.end),
            None => (self.at, self.end),
        };
        let (source, bytes) = match source {
            Source::Spool => (source.clone(), self.spool_bytes(from, to).map_err(|error| (source.clone(), error))?),
            Source::Store(..) => self.first_to_answer(source, from, to).await?,
        };
        Ok(Open { source, bytes, from, held: BytesMut::new() })
    }

    /// This store's answer; or the next one's, where this one is silent longer than usual, the budget allows it to be asked too,
    /// and it comes first (protocol.md 3.3). The other one's answer is waited for beside, within its deadline, so that what it
    /// says of its store is learnt.
    async fn first_to_answer(
        &mut self,
        source: &Source,
        from: u64,
        to: u64,
    ) -> Result<(Source, ByteStream), (Source, StoreError)> {
        let mut first = self.opening(source, from, to).map_err(|error| (source.clone(), error))?;
        let answer = match self.hedge_of(source) {
            None => first.await,
            Some((soft, other)) => match tokio::time::timeout(soft, &mut first).await {
                Ok(answer) => answer,
                Err(_) if !self.engine.hedges.spend() => first.await,
                Err(_) => {
                    count(&self.engine.counters.reads_hedged);
                    self.tried += 1;
                    let second = self.opening(&other, from, to).map_err(|error| (other.clone(), error))?;
                    return self.race((source, first), (&other, second)).await;
                }
            },
        };
        self.judged(source, answer).await
    }

    async fn race(
        &mut self,
        (source, mut first): (&Source, Opening),
        (other, mut second): (&Source, Opening),
    ) -> Result<(Source, ByteStream), (Source, StoreError)> {
        let (failed, failed_source, left, left_source) = tokio::select! {
            biased;
            answer = &mut first => match self.judged(source, answer).await {
                Ok(won) => {
                    self.engine.learn_from(second);
                    return Ok(won);
                }
                Err((_, error)) => (error, source, second, other),
            },
            answer = &mut second => match self.judged(other, answer).await {
                Ok(won) => {
                    count(&self.engine.counters.hedges_won);
                    self.engine.learn_from(first);
                    return Ok(won);
                }
                Err((_, error)) => (error, other, first, source),
            },
        };
        self.suspect(failed_source, failed).await;
        let answer = left.await;
        self.judged(left_source, answer).await
    }

    /// Which store may be asked too, and after how long; None: nobody.
    fn hedge_of(&self, source: &Source) -> Option<(Duration, Source)> {
        let Source::Store(name, _) = source else { return None };
        let other = self.sources.get(self.tried).filter(|_| self.hedges && self.past.is_none())?;
        let Source::Store(other_name, _) = other else { return None };
        let seat = self.engine.seat(name)?;
        let soft_ms = seat.health(|health| health.soft_ms(OpClass::Read));
        is_worth_hedging(soft_ms, seat.read_cost, self.engine.read_now(other_name))
            .then(|| (Duration::from_millis(soft_ms), other.clone()))
    }

    fn spool_bytes(&self, from: u64, to: u64) -> Answer<ByteStream> {
        let held = self
            .engine
            .spool
            .open_body(&body_name(self.entry.write))
            .map_err(|e| self.local(format!("the spool: {e}")))?;
        if held.len() != self.entry.size {
            return Err(self.local(format!("the spool holds {} of {} bytes", held.len(), self.entry.size)));
        }
        Ok(held.stream(from, to))
    }

    /// The GET, not yet sent; it ends within the store's own deadline, and its health hears of it.
    fn opening(&self, source: &Source, from: u64, to: u64) -> Answer<Opening> {
        let Source::Store(name, pin) = source else { return Err(self.local("the spool is no store".to_owned())) };
        let Some(seat) = self.engine.seat(name).cloned() else {
            return Err(self.local(format!("{name} is no longer configured")));
        };
        let whole = from == 0 && to == self.entry.size;
        let range = (!whole).then_some(ByteRange { start: from, end: to });
        let aside = self.past.as_ref().and_then(|past| past.get(&seat.name)).cloned();
        let at = aside.unwrap_or_else(|| seat.at(&self.bucket, &self.key));
        let pinned = !self.looks_past_pins() && !broken(Mutant::PinSkipped);
        let (what, pin) = (format!("get {}/{}", self.bucket, self.key), pinned.then(|| pin.clone()));
        Ok(Box::pin(async move {
            let get = seat.store.get(&at, pin.as_ref(), range);
            seat.within(OpClass::Read, seat.deadline(OpClass::Read), &what, get).await
        }))
    }

    /// Is what it answered the copy that the entry names?
    async fn judged(
        &mut self,
        source: &Source,
        answer: Answer<(Found, ByteStream)>,
    ) -> Result<(Source, ByteStream), (Source, StoreError)> {
        let of = |error: StoreError| (source.clone(), error);
        let (found, bytes) = answer.map_err(of)?;
        let Source::Store(name, pin) = source else { return Ok((source.clone(), bytes)) };
        if !self.is_right(name, &found, pin) && !broken(Mutant::PinSkipped) {
            let message = "another copy lies there".to_owned();
            return Err(of(StoreError { fault: Fault::NoKey, ..self.local(message) }));
        }
        if self.past.is_none() && found.dress.stamp.is_none() && !self.entry.is_adopted_on(name) {
            // It serves, and it is restamped.
            self.engine.doubt_copy(&self.bucket, &self.key, &self.entry, name, DebtKind::Look).await;
        }
        Ok((source.clone(), bytes))
    }

    fn is_right(&self, store: &outlast_rules::StoreName, found: &Found, pin: &Pin) -> bool {
        if found.size != self.entry.size {
            return false;
        }
        match &found.dress.stamp {
            Some(stamp) => stamp.is_of(self.entry.write, name_hash(&self.bucket, &self.key), self.entry.size),
            // Adopted: its pin names it. Stripped: no place, but a source under its ETag, every block checked (protocol.md 1).
            None if broken(Mutant::StrippedIsForeign) => self.entry.is_adopted_on(store),
            None if self.looks_past_pins() => true,
            None => found.pin.etag == pin.etag && (self.entry.is_adopted_on(store) || self.is_checked()),
        }
    }

    /// No copy is found as its pin names it. Where every block is checked, a copy without stamp is taken for what its bytes are: a
    /// disk's files that were moved without their attributes have other ETags, and nothing else of them has changed.
    fn looks_past_pins(&self) -> bool {
        self.tried > self.sources.len() && self.is_checked() && self.past.is_none()
    }

    /// One checked piece of the open source.
    async fn pull(&mut self) -> Answer<Bytes> {
        let block = self.digests.as_ref().map(|digests| digests.block_at(self.at));
        match block {
            Some(Some(block)) => self.pull_block(block).await,
            Some(None) => Err(self.local("a byte without a digest".to_owned())),
            None => {
                let chunk = self.chunk().await?;
                let take = chunk.len().min((self.end - self.at) as usize);
                self.at += take as u64;
                Ok(chunk.slice(..take))
            }
        }
    }

    async fn pull_block(&mut self, block: Block) -> Answer<Bytes> {
        let want = (block.end - block.start) as usize;
        loop {
            let open = self.open.as_mut().expect("pulling needs an open source");
            debug_assert_eq!(open.from, block.start, "blocks are read from their start");
            if open.held.len() >= want {
                let bytes = open.held.split_to(want).freeze();
                open.from = block.end;
                if digest_of(&bytes) != block.digest && !broken(Mutant::BlocksUnchecked) {
                    count(&self.engine.counters.blocks_bad);
                    let message = format!("bytes {}..{} are not those that were written", block.start, block.end);
                    self.differs = Some(message.clone());
                    return Err(StoreError { fault: Fault::BadAnswer, ..self.local(message) });
                }
                let start = (self.at - block.start) as usize;
                let end = (self.end.min(block.end) - block.start) as usize;
                self.at = block.start + end as u64;
                return Ok(bytes.slice(start..end));
            }
            let chunk = self.chunk().await?;
            let open = self.open.as_mut().expect("pulling needs an open source");
            if open.held.is_empty() {
                open.held.reserve(want.max(chunk.len()));
            }
            open.held.extend_from_slice(&chunk);
        }
    }

    async fn chunk(&mut self) -> Answer<Bytes> {
        let what = format!("get {}/{}", self.bucket, self.key);
        let may_wait = match self.at == self.start && self.tried < self.sources.len() {
            true => FIRST_SILENCE_MAX,
            false => BODY_SILENCE_MAX,
        };
        let open = self.open.as_mut().expect("a chunk needs an open source");
        let seat = if let Source::Store(name, _) = &open.source { self.engine.seats.get(name).cloned() } else { None };
        let started = Instant::now();
        let next = match next_of(&mut open.bytes, seat.as_deref(), may_wait).await {
            Some(Some(Ok(chunk))) => return Ok(chunk),
            Some(Some(Err(error))) => Err((Fault::Broken, error.to_string())),
            Some(None) => Err((Fault::BadAnswer, "the body ended early".to_owned())),
            None => Err((Fault::Timeout, "the body stands still".to_owned())),
        };
        let (fault, message) = match next {
            Ok(never) => never,
            Err(pair) => pair,
        };
        let error = match seat {
            Some(seat) => {
                let error = StoreError { fault, message, ..seat.silence(&what, started.elapsed()) };
                seat.observe::<()>(OpClass::Read, started, &Err(error.clone()));
                error
            }
            None => self.local(message),
        };
        Err(error)
    }

    fn local(&self, message: String) -> StoreError {
        StoreError {
            store: outlast_rules::StoreName::parse("spool").expect("a valid name"),
            what: format!("get {}/{}", self.bucket, self.key),
            fault: Fault::Disk,
            applied: Applied::No,
            status: None,
            code: None,
            message,
            request_id: None,
            cause: None,
            elapsed: Duration::ZERO,
        }
    }

    /// The source did not deliver: the next one goes on, and the store is owed a look.
    async fn suspect(&mut self, source: &Source, mut error: StoreError) {
        if let Source::Store(name, _) = source {
            error.store = name.clone();
        }
        count(&self.engine.counters.reads_failed_over);
        tracing::info!(error = %error, at = self.at, "reading on elsewhere");
        self.why.push(error.to_string());
        self.silence = error.fault.is_of_the_store().then(|| error.clone());
        let missed = matches!(error.fault, Fault::NoKey | Fault::Precondition);
        self.only_misses &= missed;
        let Source::Store(name, _) = source else { return };
        if self.past.is_some() {
            return;
        }
        if missed {
            self.missed.push(name.clone());
        }
        let corrupt = error.fault == Fault::BadAnswer && error.applied == Applied::No;
        // A miss is judged by the reader, who knows whether the entry has changed meanwhile.
        if corrupt {
            if let Some(seat) = self.engine.seat(name) {
                seat.observe::<()>(OpClass::Read, Instant::now(), &Err(error));
            }
            self.engine.doubt_copy(&self.bucket, &self.key, &self.entry, name, DebtKind::Rewrite).await;
        }
    }

    /// A miss while the key has a write in its commit phase, or after the entry has changed, makes no debt.
    async fn blame_missed(&mut self) {
        let missed = std::mem::take(&mut self.missed);
        if self.engine.lanes.is_busy(&self.bucket, &self.key) {
            return;
        }
        let Ok(state) = self.engine.ledger.key_state(&self.bucket, &self.key).await else { return };
        let stands = state.entry.is_some_and(|now| now.write == self.entry.write);
        if stands && state.intents.is_empty() {
            for name in missed {
                self.engine.doubt_copy(&self.bucket, &self.key, &self.entry, &name, DebtKind::Look).await;
            }
        }
    }

    /// Stores that said "not this copy" although the entry still stands: suspect, owed a look.
    pub async fn blame_missers(&mut self) {
        for source in &self.sources {
            if let Source::Store(name, _) = source {
                self.engine.doubt_copy(&self.bucket, &self.key, &self.entry, name, DebtKind::Look).await;
            }
        }
    }
}

/// The next chunk; None: the body has stopped.
async fn next_of(
    bytes: &mut ByteStream,
    seat: Option<&Seat>,
    may_wait: Duration,
) -> Option<Option<std::io::Result<Bytes>>> {
    let next = bytes.next();
    tokio::pin!(next);
    let mut waited = Duration::ZERO;
    while waited < may_wait {
        if let Ok(chunk) = tokio::time::timeout(BODY_SILENCE_LOOK, &mut next).await {
            return Some(chunk);
        }
        waited += BODY_SILENCE_LOOK;
        let down = seat.is_some_and(|seat| seat.standing(OpClass::Read) == outlast_rules::Standing::Down);
        if down && waited >= BODY_SILENCE_MAX_DOWN {
            break;
        }
    }
    None
}

impl Engine {
    /// What planning a read, or a hedge, knows of this store.
    pub(crate) fn read_now(&self, store: &StoreName) -> ReadNow {
        let Some(seat) = self.seat(store) else {
            return ReadNow { standing: outlast_rules::Standing::Down, latency_ms: 0.0, cost: 0.0, late: true };
        };
        seat.health(|health| ReadNow {
            standing: health.standing(OpClass::Read),
            latency_ms: health.recent_read_ms(),
            cost: seat.read_cost,
            late: health.is_late(OpClass::Read),
        })
    }

    /// Nobody reads its body any more; how long its first byte took is learnt all the same, and its silence too.
    pub(crate) fn learn_from(&self, opening: Opening) {
        self.tasks.spawn(async move { drop(opening.await) });
    }

    /// A holder's copy did not read well. `Rewrite`: it is certainly wrong and never a source again; `Look`: to be looked at.
    pub(crate) async fn doubt_copy(
        &self,
        bucket: &BucketName,
        key: &Key,
        entry: &Entry,
        store: &outlast_rules::StoreName,
        kind: DebtKind,
    ) {
        let mut batch = Vec::new();
        if kind == DebtKind::Rewrite {
            let (bucket, key, store) = (bucket.clone(), key.clone(), store.clone());
            batch.push(Change::NotHolder { bucket, key, store, write: entry.write });
        }
        batch.push(Change::Owe(Debt::begin(store, bucket, key, kind, Some(entry), self.now())));
        if let Err(error) = self.ledger.commit(batch).await {
            tracing::error!("a doubtful copy could not be written down: {error}");
        }
        if let Some(seat) = self.seat(store) {
            seat.bell.notify_one();
        }
    }
}
