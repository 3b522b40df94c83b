//! Plays a golden script: a whole engine over puppets, told what to do line by line, and what it did. The tests of the engine play
//! them with every rule in its place, those of the simulator with one taken away.

use crate::support::puppet::{Mood, Puppet, Trick};
use crate::support::{START, bucket, client_body, key, name};
use outlast_engine::*;
use outlast_ledger::{Durability, Embedded, Ledger, Mode};
use outlast_rules::{Conditions, Head, Placement, StoreName, Undelete};
use outlast_store::{At, Body, Dress, Fences, MemoryStore, MemoryTraits, PutSpec, Store};
use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

mod afterwards;
mod uploads;

/// Fifteen minutes and a little: every mark of the scripts' stores has settled by then.
const SETTLE_MS: u64 = 15 * 60 * 1000;

struct Stage {
    dir: tempfile::TempDir,
    clock: Arc<TokioClock>,
    puppets: BTreeMap<StoreName, Arc<Puppet>>,
    placement: Placement,
    undelete: Undelete,
    engine: Option<(Arc<Engine>, Arc<Embedded>, Arc<AtomicBool>)>,
    lives: u64,
    /// PUTs whose clients have sent all but the last byte.
    begun: BTreeMap<String, Begun>,
    uploads: BTreeMap<String, uploads::Sent>,
    rebuilding: Option<afterwards::Rebuilding>,
}

/// Says that the last byte may come, if that was not said yet, and what became of the PUT.
type Begun = (Option<tokio::sync::oneshot::Sender<()>>, tokio::task::JoinHandle<Result<Written, WriteError>>);

impl Stage {
    fn new(words: &[&str]) -> Stage {
        let clock = Arc::new(TokioClock::new(START));
        let mut puppets = BTreeMap::new();
        let (kinds, options): (Vec<&str>, Vec<&str>) = words.iter().partition(|word| !word.contains('='));
        for (i, kind) in kinds.iter().enumerate() {
            let traits = match *kind {
                "A" => MemoryTraits::A,
                "B" => MemoryTraits::B,
                "U" => MemoryTraits::B_UNIQUE,
                "C" => MemoryTraits::C,
                "refuser" => MemoryTraits { fences: Fences::Refused, ..MemoryTraits::B },
                "disk" => MemoryTraits::DISK,
                other => panic!("no such kind of store: {other}"),
            };
            let now = clock.clone();
            let store = MemoryStore::new(name(i), traits, Arc::new(move || now.now()));
            puppets.insert(name(i), Puppet::new(Arc::new(store)));
        }
        let option = |wanted: &str| options.iter().find_map(|word| word.strip_prefix(wanted));
        let placement = Placement {
            stores: puppets.keys().cloned().collect(),
            min_copies: option("min=").map_or(2, |n| n.parse().unwrap()),
            spool_counts: option("spool=") != Some("no"),
        };
        // A quarter of an hour, so that a script sees the end of it. Overwrites only where a script is about them.
        let undelete = match option("undelete=") {
            Some("no") => Undelete { window_ms: 0, overwrites: false },
            Some("all") => Undelete { window_ms: SETTLE_MS, overwrites: true },
            _ => Undelete { window_ms: SETTLE_MS, overwrites: false },
        };
        Stage {
            dir: tempfile::tempdir().unwrap(),
            clock,
            puppets,
            placement,
            undelete,
            engine: None,
            lives: 0,
            begun: BTreeMap::new(),
            uploads: BTreeMap::new(),
            rebuilding: None,
        }
    }

    fn settings(&self) -> EngineSettings {
        EngineSettings {
            data_dir: self.dir.path().to_owned(),
            spool_max: 1 << 30,
            body_memory_max: 64 << 20,
            commit_deadline_ms: 10_000,
            defaults: self.placement.clone(),
            buckets: BTreeMap::new(),
            undelete_default: self.undelete,
            undelete: BTreeMap::new(),
            delete_budgets: BTreeMap::new(),
            deep_scrub: Default::default(),
            canary_every_ms: None,
            seed: Some(self.lives),
        }
    }

    fn setups(&self, alive: &Arc<AtomicBool>) -> Setups {
        let setups = self.puppets.iter().map(|(name, puppet)| {
            let store = puppet.seen_by(alive.clone());
            let names = NativeNames::default();
            (name.clone(), StoreSetup { store, names, settle_ms: SETTLE_MS, read_cost: 0.0 })
        });
        setups.collect()
    }

    async fn start(&mut self) {
        self.lives += 1;
        let alive = Arc::new(AtomicBool::new(true));
        let ledger = Arc::new(Embedded::open_with(self.dir.path(), Mode::Inline, Durability::Process).unwrap());
        let engine =
            Engine::open(self.settings(), self.clock.clone(), ledger.clone(), self.setups(&alive)).await.unwrap();
        if self.lives == 1 {
            engine.create_bucket(bucket()).await.unwrap();
        }
        self.engine = Some((engine, ledger, alive));
    }

    fn engine(&self) -> &Arc<Engine> {
        &self.engine.as_ref().expect("the script has started the engine").0
    }

    fn ledger(&self) -> &Arc<Embedded> {
        &self.engine.as_ref().expect("the script has started the engine").1
    }

    fn puppet(&self, store: &str) -> &Arc<Puppet> {
        &self.puppets[&StoreName::parse(store).unwrap()]
    }

    /// kill -9: nothing that the old process still does reaches anybody.
    async fn crash(&mut self) {
        let (engine, ledger, alive) = self.engine.take().expect("the script has started the engine");
        alive.store(false, Ordering::SeqCst);
        ledger.close().await;
        // Its workers end; what waits for an answer waits for ever.
        tokio::spawn(async move { engine.stop().await });
        tokio::task::yield_now().await;
    }

    async fn run(&mut self, line: &str) -> String {
        let words: Vec<&str> = line.split_whitespace().collect();
        match words[..] {
            ["stores", ..] => String::new(),
            ["start"] => {
                self.start().await;
                String::new()
            }
            ["identify"] => {
                self.engine().identify().await.unwrap();
                String::new()
            }
            ["workers"] => {
                self.engine().start_workers();
                String::new()
            }
            ["crash"] => {
                self.crash().await;
                String::new()
            }
            ["put", at, body] => self.put(at, body).await,
            ["put-and-crash", at, body] => {
                let engine = self.engine().clone();
                let ask = put_ask(at, body);
                let put = tokio::spawn(async move { engine.put(ask).await.map(|_| ()) });
                tokio::time::sleep(Duration::from_secs(3)).await;
                self.crash().await;
                if put.is_finished() {
                    "answered before the crash\n".into()
                } else {
                    "the client hears nothing\n".into()
                }
            }
            ["get", at] => self.get(at).await,
            ["delete", at] => {
                let ask = delete_ask(at);
                told(self.engine().delete(ask).await.map(|()| "204".to_owned()))
            }
            ["delete-and-crash", at] => {
                let engine = self.engine().clone();
                let ask = delete_ask(at);
                let delete = tokio::spawn(async move { engine.delete(ask).await });
                tokio::time::sleep(Duration::from_secs(3)).await;
                self.crash().await;
                if delete.is_finished() {
                    "answered before the crash\n".into()
                } else {
                    "the client hears nothing\n".into()
                }
            }
            ["begin", at, body] => self.begin(at, body).await,
            ["finish", at] => {
                self.send_last(at).await;
                let (_, put) = self.begun.remove(at).expect("the script has begun it");
                told(put.await.unwrap().map(|written| format!("200 on {}", written.places.join(", "))))
            }
            ["send-last", at] => {
                self.send_last(at).await;
                String::new()
            }
            ["make-bucket"] => told(self.engine().create_bucket(bucket()).await.map(|()| "made".to_owned())),
            ["remove-bucket"] => told(self.engine().delete_bucket(bucket()).await.map(|()| "removed".to_owned())),
            ["wait", seconds] => {
                tokio::time::sleep(Duration::from_secs(seconds.parse().unwrap())).await;
                String::new()
            }
            _ => self.behind_our_back(line, &words).await,
        }
    }

    /// What happens to stores, and what they show.
    async fn behind_our_back(&mut self, line: &str, words: &[&str]) -> String {
        match *words {
            ["create-upload", ..] | ["part", ..] | ["complete", ..] => self.upload(words).await,
            ["lose-disk"] | ["rebuild"] | ["rebuild-begins"] | ["rebuild-ends"] => self.afterwards(words[0]).await,
            ["foreign", store, at, body] => {
                let spec = PutSpec { dress: Dress::default(), fence: None, md5: None };
                let place = At::new("photos", at);
                let body = Body::Whole(bytes::Bytes::copy_from_slice(body.as_bytes()));
                self.puppet(store).inner.put(&place, &spec, body).await.unwrap();
                String::new()
            }
            ["carry", from, to, at] => {
                self.carry(from, at, to, at).await;
                String::new()
            }
            ["copy-over", store, from, at] => {
                self.carry(store, from, store, at).await;
                String::new()
            }
            ["strip", store] => {
                self.puppet(store).inner.strip();
                String::new()
            }
            ["rot", store, at, body] => {
                self.puppet(store).inner.rot(&At::new("photos", at), bytes::Bytes::copy_from_slice(body.as_bytes()));
                String::new()
            }
            ["lose", store, at] => {
                self.puppet(store).inner.delete(&At::new("photos", at), None, None).await.unwrap();
                String::new()
            }
            ["scrub", store] => {
                let seat = StoreName::parse(store).unwrap();
                format!("{:?}\n", self.engine().scrub(&seat, &bucket()).await.unwrap())
            }
            ["show", at] => self.show(at).await,
            ["types", at] => self.types(at).await,
            ["show-bucket"] => self.show_bucket().await,
            ["trash", at] => self.trash(at).await,
            ["undelete"] => self.undelete(None).await,
            ["undelete", "since", seconds] => {
                self.undelete(Some(START.plus_ms(seconds.parse::<u64>().unwrap() * 1000))).await
            }
            [store, "swallows", "second"] => {
                self.puppet(store).trick_later(1, Trick::Swallow);
                String::new()
            }
            [store, "lands", "after", seconds] => {
                let (puppet, seconds) = (self.puppet(store).clone(), seconds.parse().unwrap());
                tokio::spawn(async move {
                    tokio::time::sleep(Duration::from_secs(seconds)).await;
                    puppet.land().await;
                });
                String::new()
            }
            [store, mood] => self.mood(store, mood).await,
            _ => panic!("no such command: {line}"),
        }
    }

    async fn undelete(&self, since: Option<outlast_rules::Moment>) -> String {
        let ask = UndeleteAsk { bucket: bucket(), prefix: String::new(), since, dry_run: false };
        let report = self.engine().undelete(ask, tokio::sync::mpsc::channel(1).0).await;
        told(report.map(|report| {
            let lines = if report.failed > 0 { format!(": {}", report.lines.join("; ")) } else { String::new() };
            format!("brought back {}, failed {}{lines}", report.brought, report.failed)
        }))
    }

    /// Somebody copies what lies there, its stamp and all, without us.
    async fn carry(&self, from: &str, key: &str, to: &str, as_key: &str) {
        let (found, stream) = self.puppet(from).inner.get(&At::new("photos", key), None, None).await.unwrap();
        let pieces: Vec<bytes::Bytes> = futures_util::TryStreamExt::try_collect(stream).await.unwrap();
        let spec = PutSpec { dress: found.dress, fence: None, md5: None };
        let body = Body::Whole(pieces.concat().into());
        self.puppet(to).inner.put(&At::new("photos", as_key), &spec, body).await.unwrap();
    }

    async fn mood(&self, store: &str, word: &str) -> String {
        let puppet = self.puppet(store);
        match word {
            "well" => puppet.set(Mood::Well),
            "refuses" => puppet.set(Mood::Refuse),
            "hangs" => puppet.set(Mood::Hang),
            "full" => puppet.set(Mood::Full),
            "copies-not" => puppet.set(Mood::NoCopy),
            "swallows" => puppet.trick(Trick::Swallow),
            "slow" => puppet.trick(Trick::Slow),
            "answers-late" => puppet.trick(Trick::AnswersLate),
            "deaf" => puppet.trick(Trick::Deaf),
            "fails" => puppet.trick(Trick::Fail),
            "applies-and-fails" => puppet.trick(Trick::ApplyAndFail),
            "swallows-bucket" => puppet.bucket_trick(Trick::Swallow),
            "deaf-to-bucket" => puppet.bucket_trick(Trick::Deaf),
            "lands" => {
                return puppet.land().await.iter().fold(String::new(), |told, end| told + "late call: " + end + "\n");
            }
            other => panic!("no such mood: {other}"),
        }
        String::new()
    }

    async fn put(&self, at: &str, body: &str) -> String {
        let started = tokio::time::Instant::now();
        let written = self.engine().put(put_ask(at, body)).await;
        let seconds = started.elapsed().as_secs_f64();
        told(written.map(|written| format!("200 on {} after {seconds:.1} s", written.places.join(", "))))
    }

    async fn begin(&mut self, at: &str, body: &str) -> String {
        let (last, may_end) = tokio::sync::oneshot::channel();
        let mut ask = put_ask(at, body);
        let end = futures_util::stream::once(async move {
            may_end.await.ok();
        });
        let end = futures_util::StreamExt::filter_map(end, |()| std::future::ready(None));
        ask.body.bytes = futures_util::StreamExt::boxed(futures_util::StreamExt::chain(ask.body.bytes, end));
        let engine = self.engine().clone();
        let put = tokio::spawn(async move { engine.put(ask).await });
        tokio::time::sleep(Duration::from_millis(1)).await;
        self.begun.insert(at.to_owned(), (Some(last), put));
        String::new()
    }

    /// The body is whole now; its PUT goes on by itself.
    async fn send_last(&mut self, at: &str) {
        let (last, _) = self.begun.get_mut(at).expect("the script has begun it");
        if let Some(last) = last.take() {
            last.send(()).unwrap();
        }
        tokio::time::sleep(Duration::from_millis(1)).await;
    }

    async fn get(&self, at: &str) -> String {
        let ask = GetAsk { bucket: bucket(), key: key(at), range: None, conditions: Conditions::default() };
        let answer = match self.engine().get(ask).await {
            Ok(answer) => answer,
            Err(error) => return told(Err(error)),
        };
        let (source, verified) = (answer.source.clone(), answer.verified);
        let pieces: Result<Vec<bytes::Bytes>, ReadError> = futures_util::TryStreamExt::try_collect(answer.bytes).await;
        told(pieces.map(|pieces| {
            let body = brief(&pieces.concat());
            format!("200 {body} from {source}, checked by {verified}")
        }))
    }

    /// What the ledger says of the key's past, and what lies in the trash of each store.
    async fn trash(&self, at: &str) -> String {
        let mut out = String::new();
        for row in self.ledger().trash_of(&bucket(), &key(at)).await.unwrap() {
            let on: Vec<String> = row.shelves.keys().map(ToString::to_string).collect();
            writeln!(out, "{:?}: {} bytes on [{}]", row.why, row.entry.size, on.join(" ")).unwrap();
        }
        for (name, puppet) in &self.puppets {
            let copies = puppet.inner.list("photos", ".outlast/trash/", None).await.unwrap().copies.len();
            writeln!(out, "{name}: {copies} in the trash").unwrap();
        }
        out
    }

    /// The bucket for clients, on each store, and which calls may still change that.
    async fn show_bucket(&self) -> String {
        let mut out = String::new();
        let known = self.ledger().bucket(&bucket()).await.unwrap();
        writeln!(out, "bucket: {}", known.map_or("none".to_owned(), |known| format!("{:?}", known.state))).unwrap();
        for (name, puppet) in &self.puppets {
            let listed = puppet.inner.list("photos", "", None).await;
            let here = listed.map_or("no native bucket".to_owned(), |page| {
                let own = page.copies.iter().filter(|copy| !copy.key.starts_with(".outlast/")).count();
                format!("a native bucket with {own} objects")
            });
            writeln!(out, "{name}: {here}").unwrap();
        }
        for (fact, value) in self.ledger().facts("bucket-mark/", "", 100).await.unwrap() {
            let mark: outlast_rules::BucketMark = serde_json::from_str(&value).unwrap();
            assert!(fact.starts_with(&format!("bucket-mark/photos/{}/", mark.store)), "{fact}");
            writeln!(out, "{} may still get a late call: {:?}", mark.store, mark.does).unwrap();
        }
        out
    }

    /// The Content-Type of each store's copy.
    async fn types(&self, at: &str) -> String {
        let mut out = String::new();
        for (name, puppet) in &self.puppets {
            let found = puppet.inner.head(&At::new("photos", at), None).await;
            let kind = found.ok().and_then(|found| found.dress.head.content_type).unwrap_or("none".to_owned());
            writeln!(out, "{name}: {kind}").unwrap();
        }
        out
    }

    async fn show(&self, at: &str) -> String {
        let state = self.ledger().key_state(&bucket(), &key(at)).await.unwrap();
        let mut out = String::new();
        match &state.entry {
            Some(entry) if entry.is_object() => {
                let holders: Vec<String> = entry.holders.keys().map(ToString::to_string).collect();
                let kept = if entry.predecessors.is_empty() { "" } else { ", predecessors kept" };
                writeln!(out, "entry: {} bytes, held by [{}]{kept}", entry.size, holders.join(" ")).unwrap();
            }
            Some(_) => writeln!(out, "entry: tombstone").unwrap(),
            None => writeln!(out, "entry: none").unwrap(),
        }
        if !state.intents.is_empty() {
            writeln!(out, "undecided writes: {}", state.intents.len()).unwrap();
        }
        for debt in &state.debts {
            writeln!(out, "{} is owed a {}", debt.store, format!("{:?}", debt.kind).to_lowercase()).unwrap();
        }
        for mark in &state.marks {
            let fence = mark.fence.as_ref().map_or("no fence".to_owned(), |fence| match fence {
                outlast_rules::Fence::Absent => "fence: absent".to_owned(),
                outlast_rules::Fence::Matches(_) => "fence: an ETag".to_owned(),
            });
            writeln!(out, "{} may still get a late call, {fence}", mark.store).unwrap();
        }
        if !state.spooled.is_empty() {
            writeln!(out, "the spool holds {}", state.spooled.len()).unwrap();
        }
        for (name, puppet) in &self.puppets {
            let found = puppet.inner.get(&At::new("photos", at), None, None).await;
            let what = match found {
                Ok((found, stream)) => {
                    let pieces: Vec<bytes::Bytes> = futures_util::TryStreamExt::try_collect(stream).await.unwrap();
                    let stamp = if found.dress.stamp.is_some() { "stamped" } else { "without stamp" };
                    format!("{:?}, {stamp}", brief(&pieces.concat()))
                }
                Err(_) => "nothing".to_owned(),
            };
            writeln!(out, "{name}: {what}").unwrap();
        }
        out
    }
}

fn delete_ask(at: &str) -> DeleteAsk {
    DeleteAsk { bucket: bucket(), key: key(at), conditions: Conditions::default(), user: "app".into() }
}

fn put_ask(at: &str, body: &str) -> PutAsk {
    // Other headers, same bytes: `body@type`.
    let (body, kind) = body.split_once('@').unwrap_or((body, "text/plain"));
    let body = body_of(body);
    let head = Head { content_type: Some(kind.to_owned()), ..Head::default() };
    PutAsk { bucket: bucket(), key: key(at), head, body: client_body(&body), conditions: Conditions::default() }
}

/// `(empty)`, `5MiB:x` for so many of that letter, or what it says.
fn body_of(word: &str) -> Vec<u8> {
    match word.split_once("MiB:") {
        Some((mib, letters)) => letters.repeat(mib.parse::<usize>().unwrap() << 20).into_bytes(),
        None if word == "(empty)" => vec![],
        None => word.as_bytes().to_vec(),
    }
}

/// What a trace shows of a body.
fn brief(body: &[u8]) -> String {
    let text = String::from_utf8_lossy(body);
    if text.len() <= 100 { text.into_owned() } else { format!("{}... of {} bytes", &text[..8], text.len()) }
}

fn told<E: std::fmt::Display>(end: Result<String, E>) -> String {
    match end {
        Ok(words) => words + "\n",
        Err(error) => format!("error: {error}\n"),
    }
}

pub async fn play(script: &str) -> String {
    let mut out = String::new();
    let mut stage: Option<Stage> = None;
    let mut in_trace = false;
    for line in script.lines() {
        if let Some(command) = line.strip_prefix("> ") {
            in_trace = true;
            let words: Vec<&str> = command.split_whitespace().collect();
            if words[0] == "stores" {
                stage = Some(Stage::new(&words[1..]));
            }
            writeln!(out, "{line}").unwrap();
            out += &stage.as_mut().expect("a script begins with its stores").run(command).await;
        } else if line.starts_with('#') || line.is_empty() {
            in_trace = false;
            writeln!(out, "{line}").unwrap();
        } else {
            assert!(in_trace, "neither a command nor a trace: {line}");
        }
    }
    out
}
