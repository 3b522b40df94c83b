//! Deep scrub: reads every copy of a store against its digests, as fast as the store's allowance of bytes and money lets it. A
//! copy that is bad is no source any more and is owed a rewrite; what was adopted without digests gets them.

use crate::deep_progress::{DeepProgress, DeepRound};
use crate::digest::{BodyDigester, hex};
use crate::engine::Engine;
use crate::reading::Reading;
use crate::seats::Seat;
use futures_util::StreamExt;
use outlast_ledger::{Change, LedgerError};
use outlast_rules::{Allowed, BucketName, DebtKind, Digests, Entry, Key, OpClass, Standing};
use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

/// Entries read from the ledger at a time.
const PAGE: usize = 64;
/// A round of a small store is over soon; the next one begins a day after it began.
const ROUND_MS_MIN: u64 = 24 * 3_600_000;
/// Nothing may be read, or nobody answers: looked at again after this long.
const IDLE: Duration = Duration::from_secs(60);
/// Progress is written down each time so many objects were read: what a crash makes read twice.
const REMEMBER_EVERY: u64 = 64;

/// What one object came to.
enum Read {
    Good,
    Digested,
    Bad,
    Unread,
    /// It is not there any more, or not on this store.
    Gone,
}

impl Engine {
    /// Until the engine stops. Returns at once where nothing is allowed.
    pub(crate) async fn scrub_deep(self: Arc<Self>, seat: Arc<Seat>) {
        let Some(allowed) = self.settings.deep_scrub.get(&seat.name).copied() else { return };
        let told = self.ledger.fact(&fact(&seat)).await.ok().flatten();
        let mut progress: DeepProgress = told.and_then(|text| serde_json::from_str(&text).ok()).unwrap_or_default();
        let mut waiting = VecDeque::new();
        loop {
            self.deep_rounds.show(&seat.name, &progress);
            let wait = match self.deep_step(&seat, &allowed, &mut progress, &mut waiting).await {
                Ok(wait) => wait,
                Err(error) => {
                    tracing::error!(store = %seat.name, "deep scrub stands still: {error}");
                    IDLE
                }
            };
            tokio::select! {
                biased;
                () = self.stopping.cancelled() => return,
                () = tokio::time::sleep(wait) => {}
            }
        }
    }

    /// One object, or none; how long to wait before the next step.
    async fn deep_step(
        self: &Arc<Self>,
        seat: &Arc<Seat>,
        allowed: &Allowed,
        progress: &mut DeepProgress,
        waiting: &mut VecDeque<(BucketName, Key, Entry)>,
    ) -> Result<Duration, LedgerError> {
        let now = self.now();
        if seat.standing(OpClass::Read) != Standing::Up {
            return Ok(IDLE);
        }
        if let Some(ended) = progress.now.ended {
            let next = progress.now.began.plus_ms(ROUND_MS_MIN).max(ended);
            if next > now {
                return Ok(Duration::from_millis(next.since_ms(now)).min(IDLE));
            }
            progress.last = Some(std::mem::take(&mut progress.now));
        }
        if progress.now.began.0 == 0 {
            progress.now = DeepRound { began: now, ..DeepRound::default() };
        }
        let mean = progress.now.bytes / progress.now.objects.max(1);
        let Some(a_day) = allowed.bytes_a_day(mean) else { return Ok(IDLE) };
        let wait = progress.account.wait_ms(now, a_day);
        if wait > 0 {
            return Ok(Duration::from_millis(wait));
        }
        if waiting.is_empty() {
            *waiting = self.deep_page(seat, progress).await?;
        }
        let Some((bucket, key, entry)) = waiting.pop_front() else {
            (progress.bucket, progress.after) = (None, None);
            progress.now.ended = Some(now);
            self.remember_deep(seat, progress).await?;
            let DeepRound { objects, bytes, bad, unread, digested, .. } = progress.now;
            tracing::info!(store = %seat.name, objects, bytes, bad, unread, digested, "deep scrub has read everything once");
            return Ok(Duration::ZERO);
        };
        let read = self.read_deep(seat, &bucket, &key, &entry).await?;
        let round = &mut progress.now;
        let counted = match read {
            Read::Gone => None,
            Read::Good => Some(&mut round.objects),
            Read::Digested => Some(&mut round.digested),
            Read::Bad => Some(&mut round.bad),
            Read::Unread => Some(&mut round.unread),
        };
        let Some(count) = counted else { return Ok(Duration::ZERO) };
        *count += 1;
        if matches!(read, Read::Digested | Read::Bad | Read::Unread) {
            round.objects += 1;
        }
        round.bytes += entry.size;
        let remember = round.objects.is_multiple_of(REMEMBER_EVERY);
        progress.account.spend(entry.size);
        if remember {
            (progress.bucket, progress.after) = (Some(bucket), Some(key));
            self.remember_deep(seat, progress).await?;
        }
        Ok(Duration::ZERO)
    }

    /// The next objects of this store, from where the round stands. Empty: it is at its end.
    async fn deep_page(
        &self,
        seat: &Seat,
        progress: &mut DeepProgress,
    ) -> Result<VecDeque<(BucketName, Key, Entry)>, LedgerError> {
        for bucket in self.serving_buckets() {
            match &progress.bucket {
                Some(at) if bucket.name < *at => continue,
                Some(at) if bucket.name == *at => {}
                _ => (progress.bucket, progress.after) = (Some(bucket.name.clone()), None),
            }
            loop {
                let page = self.ledger.entries(&bucket.name, progress.after.as_ref(), PAGE).await?;
                let Some((last, _)) = page.last() else { break };
                progress.after = Some(last.clone());
                let here =
                    page.into_iter().filter(|(_, entry)| entry.is_object() && entry.holders.contains_key(&seat.name));
                let found: VecDeque<_> = here.map(|(key, entry)| (bucket.name.clone(), key, entry)).collect();
                if !found.is_empty() {
                    return Ok(found);
                }
            }
        }
        Ok(VecDeque::new())
    }

    async fn remember_deep(&self, seat: &Seat, progress: &DeepProgress) -> Result<(), LedgerError> {
        let value = serde_json::to_string(progress).expect("progress is plain data");
        self.ledger.commit(vec![Change::SetFact { name: fact(seat), value }]).await
    }

    /// This store's copy alone, as a stream: memory holds one block of it.
    async fn read_deep(
        self: &Arc<Self>,
        seat: &Arc<Seat>,
        bucket: &BucketName,
        key: &Key,
        then: &Entry,
    ) -> Result<Read, LedgerError> {
        let Some(entry) = self.ledger.entry(bucket, key).await?.filter(|now| now.write == then.write) else {
            return Ok(Read::Gone);
        };
        if !entry.holders.contains_key(&seat.name) {
            return Ok(Read::Gone);
        }
        let digests = self.ledger.digests(bucket, key, entry.write).await?.filter(Digests::is_whole).map(Arc::new);
        let is_checked = digests.is_some();
        let mut alone = entry.clone();
        alone.holders.retain(|store, _| store == &seat.name);
        let size = entry.size;
        let mut bytes = Reading::new(self, bucket, key, Arc::new(alone), digests, false, (0, size)).stream();
        let mut digester = (!is_checked).then(|| BodyDigester::new(size, []));
        while let Some(piece) = bytes.next().await {
            match piece {
                Ok(piece) => digester.iter_mut().for_each(|digester| digester.update(&piece)),
                Err(error) => return self.read_badly(seat, bucket, key, &entry, &error.to_string()).await,
            }
        }
        let Some(digester) = digester else { return Ok(Read::Good) };
        let (whole, blocks) = digester.finish();
        self.take_digests(seat, bucket, key, &entry, &hex(&whole.md5), Digests { maps: vec![blocks] }).await
    }

    /// A block that failed its digest has made its debt where it was read; anything else is looked at.
    async fn read_badly(
        self: &Arc<Self>,
        seat: &Arc<Seat>,
        bucket: &BucketName,
        key: &Key,
        entry: &Entry,
        why: &str,
    ) -> Result<Read, LedgerError> {
        let state = self.ledger.key_state(bucket, key).await?;
        if state.entry.as_ref().is_none_or(|now| now.write != entry.write) {
            return Ok(Read::Gone);
        }
        let owed = |debt: &outlast_rules::Debt| debt.store == seat.name && debt.kind == DebtKind::Rewrite;
        if state.debts.iter().any(owed) {
            self.note("bad-copy", format!("{}: {bucket}/{key}: {why}; it is written anew", seat.name)).await;
            return Ok(Read::Bad);
        }
        if state.intents.is_empty() && !self.lanes.is_busy(bucket, key) {
            self.doubt_copy(bucket, key, entry, &seat.name, DebtKind::Look).await;
        }
        Ok(Read::Unread)
    }

    /// Digests are what every later read is judged by: they are taken only from bytes that something else vouches for. That is
    /// the MD5 where the ETag is one; else the pin of the very copy that was adopted.
    async fn take_digests(
        &self,
        seat: &Seat,
        bucket: &BucketName,
        key: &Key,
        entry: &Entry,
        md5: &str,
        digests: Digests,
    ) -> Result<Read, LedgerError> {
        let is_md5 = entry.etag.len() == 32 && entry.etag.bytes().all(|byte| byte.is_ascii_hexdigit());
        let is_source = entry.is_adopted_on(&seat.name);
        if is_md5 && !entry.etag.eq_ignore_ascii_case(md5) {
            let text =
                format!("{}: {bucket}/{key}: its ETag is not the MD5 of its bytes; no digests are taken", seat.name);
            self.note("no-digests", text).await;
            return Ok(Read::Unread);
        }
        if !is_md5 && !is_source {
            return Ok(Read::Good);
        }
        let (bucket, key) = (bucket.clone(), key.clone());
        self.ledger.commit(vec![Change::SetDigests { bucket, key, write: entry.write, digests }]).await?;
        Ok(Read::Digested)
    }
}

fn fact(seat: &Seat) -> String {
    format!("deep-scrub/{}", seat.name)
}
