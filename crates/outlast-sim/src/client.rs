//! One request of one client, and what its answer says.

use crate::books::{Books, OpenUpload, Pages};
use crate::content::Content;
use crate::oracle::{Tick, Told};
use crate::plan::{BUCKETS, KEYS, Only, Op};
use crate::wire::Pulse;
use bytes::Bytes;
use futures_util::{StreamExt, stream};
use outlast_engine::{
    BodyFault, BucketError, ClientBody, CompleteAsk, CopyAsk, CreateUploadAsk, Declared, DeleteAsk, Engine, GetAsk,
    ListQuery, Listed, PutAsk, PutPartAsk, RangeAsk, ReadError, UploadError, WriteError, Written,
};
use outlast_rules::{BucketName, Conditions, Head, Key};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// Who asks for everything.
const USER: &str = "app";

/// The metadata name under which every object carries the number of the request that made it.
pub const CARRIED: &str = "by";

pub fn bucket_of(bucket: usize) -> BucketName {
    BucketName::parse(BUCKETS[bucket]).expect("the world's buckets have good names")
}

pub fn key_of(key: usize) -> (BucketName, Key) {
    (bucket_of(KEYS[key].0), Key::parse(KEYS[key].1).expect("the world's keys have good names"))
}

pub fn head_of(id: u32) -> Head {
    let metadata = BTreeMap::from([(CARRIED.to_owned(), id.to_string())]);
    Head { content_type: Some("text/plain".into()), metadata, ..Head::default() }
}

pub fn carried(head: &Head) -> u32 {
    head.metadata.get(CARRIED).and_then(|text| text.parse().ok()).unwrap_or(0)
}

/// A request on its way.
pub struct Client {
    pub books: Books,
    pub engine: Arc<Engine>,
    pub pulse: Pulse,
    pub id: u32,
    /// Every store has been well for long: no read may fail, and no write for want of places.
    pub calm: bool,
}

fn body(content: Content) -> ClientBody {
    let bytes = content.bytes();
    let len = bytes.len() as u64;
    let pieces: Vec<Result<Bytes, BodyFault>> = bytes.chunks(40_000).map(|c| Ok(Bytes::copy_from_slice(c))).collect();
    ClientBody { len, bytes: stream::iter(pieces).boxed(), declared: Declared::default() }
}

fn told_of(error: &WriteError) -> Told {
    match error {
        WriteError::NoQuorum(_) | WriteError::Ledger(_) => Told::Unknown,
        _ => Told::Refused,
    }
}

/// Nothing that the client did is wrong. A bucket that comes and goes may be on its way out.
fn is_for_want_of_stores(key: usize, error: &WriteError) -> bool {
    match error {
        WriteError::NoQuorum(_) | WriteError::Ledger(_) => true,
        WriteError::NotServed(_) => KEYS[key].0 == 0,
        _ => false,
    }
}

impl Client {
    pub async fn run(self, op: Op) {
        if !self.pulse.beats() {
            return;
        }
        self.books.pages().on_their_way.insert(self.id);
        let words = self.ask(&op).await;
        if !self.pulse.beats() {
            // Nobody hears a dead process.
            return;
        }
        self.books.pages().on_their_way.remove(&self.id);
        self.books.tell(format!("  #{} {words}", self.id));
    }

    /// A process that dies before this line answers nobody.
    fn is_heard(&self) -> bool {
        self.pulse.beats()
    }

    async fn ask(&self, op: &Op) -> String {
        match op {
            Op::Put { key, content, only } => self.put(*key, *content, *only).await,
            Op::Copy { from, key } => self.copy(*from, *key).await,
            Op::Delete { key } => self.delete(*key).await,
            Op::DeleteMany { keys } => self.delete_many(keys).await,
            Op::Get { key, range } => self.get(*key, *range).await,
            Op::List { bucket } => self.list(*bucket).await,
            Op::Create { upload, key } => self.create(*upload, *key).await,
            Op::Part { upload, number, content } => self.part(*upload, *number, *content).await,
            Op::Complete { upload, number } => self.complete(*upload, *number).await,
            Op::Abort { upload } => self.abort(*upload).await,
            Op::MakeBucket { bucket } => self.make_bucket(*bucket).await,
            Op::RemoveBucket { bucket } => self.remove_bucket(*bucket).await,
        }
    }

    fn wrote(&self, key: usize, id: u32, answer: Result<Written, WriteError>) -> String {
        if !self.is_heard() {
            return String::new();
        }
        let mut pages = self.books.pages();
        match answer {
            Ok(written) => {
                pages.end(key, id, Told::Done);
                format!("200 on {}", written.places.join(" "))
            }
            Err(error) => {
                pages.end(key, id, told_of(&error));
                if self.calm && is_for_want_of_stores(key, &error) {
                    pages.fail(&format!("P4: every store is well, and #{id} was refused: {error}"));
                }
                format!("refused: {error}")
            }
        }
    }

    async fn put(&self, key: usize, content: Content, only: Only) -> String {
        {
            let mut pages = self.books.pages();
            pages.begin(key, self.id, Some(self.id));
            pages.may_hold(self.id, content);
        }
        let (bucket, name) = key_of(key);
        let conditions = match only {
            Only::Always => Conditions::default(),
            Only::New => Conditions { if_none_match: Some("*".into()), ..Conditions::default() },
            Only::Existing => Conditions { if_match: Some("*".into()), ..Conditions::default() },
        };
        let ask = PutAsk { bucket, key: name, head: head_of(self.id), body: body(content), conditions };
        let answer = self.engine.put(ask).await;
        self.wrote(key, self.id, answer)
    }

    async fn copy(&self, from: usize, key: usize) -> String {
        let learn = || {
            let mut pages = self.books.pages();
            for content in pages.all_contents_of(from) {
                pages.may_hold(self.id, content);
            }
        };
        learn();
        self.books.pages().begin(key, self.id, Some(self.id));
        let ((from_bucket, from_key), (bucket, name)) = (key_of(from), key_of(key));
        let ask = CopyAsk {
            from_bucket,
            from_key,
            from_conditions: Conditions::default(),
            bucket,
            key: name,
            head: Some(head_of(self.id)),
            conditions: Conditions::default(),
            checksum: None,
        };
        let answer = self.engine.copy(ask).await;
        learn();
        self.wrote(key, self.id, answer)
    }

    async fn delete(&self, key: usize) -> String {
        self.books.pages().begin(key, self.id, None);
        let (bucket, name) = key_of(key);
        let ask = DeleteAsk { bucket, key: name, conditions: Conditions::default(), user: USER.to_owned() };
        let answer = self.engine.delete(ask).await;
        self.deleted(key, answer)
    }

    fn deleted(&self, key: usize, answer: Result<(), WriteError>) -> String {
        if !self.is_heard() {
            return String::new();
        }
        let mut pages = self.books.pages();
        match answer {
            Ok(()) => {
                pages.end(key, self.id, Told::Done);
                "204".to_owned()
            }
            Err(error) => {
                pages.end(key, self.id, told_of(&error));
                if self.calm && is_for_want_of_stores(key, &error) {
                    pages.fail(&format!("P4: every store is well, and #{} was refused: {error}", self.id));
                }
                format!("refused: {error}")
            }
        }
    }

    async fn delete_many(&self, keys: &[usize]) -> String {
        let mut words = vec![];
        for bucket in 0..BUCKETS.len() {
            let here: Vec<usize> = keys.iter().copied().filter(|key| KEYS[*key].0 == bucket).collect();
            if here.is_empty() {
                continue;
            }
            here.iter().for_each(|key| self.books.pages().begin(*key, self.id, None));
            let names = here.iter().map(|key| (key_of(*key).1, Conditions::default())).collect();
            let answers = self.engine.delete_many(bucket_of(bucket), USER.to_owned(), names).await;
            for (name, answer) in answers {
                let key = here.iter().copied().find(|key| key_of(*key).1 == name).expect("what was asked is answered");
                words.push(format!("{name}: {}", self.deleted(key, answer)));
            }
        }
        words.join(", ")
    }

    /// What a miss says about the key: no object, whatever the reason.
    fn read_failed(&self, key: usize, from: Tick, error: &ReadError) -> String {
        let mut pages = self.books.pages();
        match error {
            ReadError::NoKey | ReadError::NoBucket => {
                if let Err(why) = pages.saw_nothing(key, from) {
                    pages.fail(&format!("P2/P5: #{} got 404: {why}", self.id));
                }
            }
            ReadError::NoHolder(why) if self.calm => {
                pages.fail(&format!("P2: every store is well, and #{} cannot read: {why}", self.id));
            }
            _ => {}
        }
        format!("{error}")
    }

    async fn get(&self, key: usize, range: Option<(u64, u64)>) -> String {
        let from = self.books.pages().tick();
        let (bucket, name) = key_of(key);
        let range = range.map(|(first, last)| RangeAsk::FromTo(first, last));
        let ask = GetAsk { bucket, key: name, range, conditions: Conditions::default() };
        let mut answer = match self.engine.get(ask).await {
            Ok(answer) => answer,
            Err(error) if self.is_heard() => return self.read_failed(key, from, &error),
            Err(_) => return String::new(),
        };
        let (start, end) = answer.facts.range.unwrap_or((0, answer.facts.size));
        let mut bytes = Vec::new();
        let mut cut = None;
        while let Some(piece) = answer.bytes.next().await {
            match piece {
                Ok(piece) => bytes.extend_from_slice(&piece),
                Err(error) => cut = Some(error.to_string()),
            }
        }
        if !self.is_heard() {
            return String::new();
        }
        let by = carried(&answer.facts.head);
        let bytes = Bytes::from(bytes);
        let mut pages = self.books.pages();
        if !pages.is_piece_of(by, start as usize, &bytes) {
            pages.fail(&format!("P3: #{} got bytes that #{by} never wrote", self.id));
        }
        if let Err(why) = pages.saw(key, by, from) {
            pages.fail(&format!("P5: #{}: {why}", self.id));
        }
        match cut {
            None if bytes.len() as u64 != end - start => {
                pages.fail(&format!(
                    "P3: #{} got {} bytes of {}, ended as if whole",
                    self.id,
                    bytes.len(),
                    end - start
                ));
                String::new()
            }
            None => format!("200 #{by} from {}", answer.source),
            Some(why) => {
                if self.calm {
                    pages.fail(&format!("P2: every store is well, and #{} was cut: {why}", self.id));
                }
                format!("cut: {why}")
            }
        }
    }

    async fn list(&self, bucket: usize) -> String {
        let from = self.books.pages().tick();
        let query = ListQuery { limit: 1000, ..ListQuery::default() };
        let answer = self.engine.list(bucket_of(bucket), query).await;
        if !self.is_heard() {
            return String::new();
        }
        let items = match answer {
            Ok(page) => page.items,
            Err(ReadError::NoBucket) => vec![],
            Err(error) => return format!("{error}"),
        };
        let shown: BTreeMap<String, String> = items
            .into_iter()
            .filter_map(|item| match item {
                Listed::Object(object) => Some((object.key.to_string(), object.etag)),
                Listed::Prefix(_) => None,
            })
            .collect();
        let mut pages = self.books.pages();
        for key in (0..KEYS.len()).filter(|key| KEYS[*key].0 == bucket) {
            let seen = if shown.contains_key(KEYS[key].1) {
                let to = pages.tick();
                if pages.keys[key].possible(from, to).is_empty() {
                    Err(format!("{} is listed, and no object can be there", KEYS[key].1))
                } else {
                    Ok(())
                }
            } else {
                pages.saw_nothing(key, from)
            };
            if let Err(why) = seen {
                pages.fail(&format!("P5: LIST #{}: {why}", self.id));
            }
        }
        shown.into_keys().collect::<Vec<_>>().join(" ")
    }

    async fn create(&self, upload: usize, key: usize) -> String {
        let (bucket, name) = key_of(key);
        let ask = CreateUploadAsk { bucket, key: name, head: head_of(self.id), checksum: None, composite: None };
        match self.engine.create_upload(ask).await {
            Ok(id) if self.is_heard() => {
                let open = OpenUpload {
                    id,
                    key,
                    made_by: self.id,
                    parts: BTreeMap::new(),
                    unsure: BTreeSet::new(),
                    was_tried: false,
                };
                self.books.pages().uploads.insert(upload, open);
                "200".to_owned()
            }
            Ok(_) => String::new(),
            Err(error) => format!("refused: {error}"),
        }
    }

    fn upload(&self, upload: usize) -> Option<OpenUpload> {
        self.books.pages().uploads.get(&upload).cloned()
    }

    async fn part(&self, slot: usize, number: u32, content: Content) -> String {
        let Some(upload) = self.upload(slot) else { return "no such upload".to_owned() };
        let (bucket, key) = key_of(upload.key);
        if let Some(now) = self.books.pages().uploads.get_mut(&slot).filter(|now| now.id == upload.id) {
            now.unsure.insert(number);
        }
        let ask = PutPartAsk { bucket, key, upload: upload.id.clone(), number, body: body(content) };
        match self.engine.put_part(ask).await {
            Ok(facts) if self.is_heard() => {
                let mut pages = self.books.pages();
                if let Some(now) = pages.uploads.get_mut(&slot).filter(|now| now.id == upload.id) {
                    now.parts.insert(number, (facts.etag, content));
                    now.unsure.remove(&number);
                }
                "200".to_owned()
            }
            Ok(_) => String::new(),
            Err(error) => format!("refused: {error}"),
        }
    }

    async fn complete(&self, slot: usize, number: u32) -> String {
        let Some(upload) = self.upload(slot) else { return "no such upload".to_owned() };
        let Some((etag, content)) = upload.parts.get(&number).cloned() else { return "no such part".to_owned() };
        {
            let mut pages = self.books.pages();
            // A repeat of what is done is answered and writes nothing, or it would undo what was written since (protocol.md 5).
            let is_repeat = pages.is_made(upload.key, upload.made_by);
            pages.begin(upload.key, self.id, Some(upload.made_by));
            if is_repeat {
                pages.end(upload.key, self.id, Told::Refused);
            }
            pages.may_hold(upload.made_by, content);
        }
        let (bucket, key) = key_of(upload.key);
        let ask = CompleteAsk {
            bucket,
            key,
            upload: upload.id.clone(),
            parts: vec![(number, etag)],
            part_checksums: BTreeMap::new(),
            checksum: None,
            size: None,
            conditions: Conditions::default(),
        };
        let answer = self.engine.complete_upload(ask).await;
        if !self.is_heard() {
            return String::new();
        }
        match answer {
            Ok(written) if written.places.is_empty() => {
                // An earlier request did it; this one only tells again.
                let mut pages = self.books.pages();
                pages.end(upload.key, self.id, Told::Refused);
                "200 again".to_owned()
            }
            Ok(written) => self.wrote(upload.key, self.id, Ok(written)),
            Err(UploadError::Write(error)) => {
                let may_be_used_up = {
                    let mut pages = self.books.pages();
                    pages.uploads.entry(slot).and_modify(|open| open.was_tried |= open.id == upload.id);
                    upload.was_tried && !pages.spools
                };
                let calm = self.calm && !upload.unsure.contains(&number) && !may_be_used_up;
                let (books, engine, pulse) = (self.books.clone(), self.engine.clone(), self.pulse.clone());
                Client { books, engine, pulse, id: self.id, calm }.wrote(upload.key, self.id, Err(error))
            }
            Err(UploadError::Completing) => {
                self.books.pages().end(upload.key, self.id, Told::Unknown);
                "still being completed".to_owned()
            }
            Err(error) => {
                self.books.pages().end(upload.key, self.id, Told::Refused);
                format!("refused: {error}")
            }
        }
    }

    async fn abort(&self, slot: usize) -> String {
        let Some(upload) = self.upload(slot) else { return "no such upload".to_owned() };
        let (bucket, key) = key_of(upload.key);
        match self.engine.abort_upload(bucket, key, upload.id).await {
            Ok(()) => "204".to_owned(),
            Err(error) => format!("refused: {error}"),
        }
    }

    async fn make_bucket(&self, bucket: usize) -> String {
        let begun = |pages: &mut Pages| {
            let now = pages.tick();
            pages.buckets[bucket].begin(self.id, true, now);
        };
        begun(&mut self.books.pages());
        let answer = self.engine.create_bucket(bucket_of(bucket)).await;
        self.bucket_answer(bucket, answer)
    }

    async fn remove_bucket(&self, bucket: usize) -> String {
        let from = {
            let mut pages = self.books.pages();
            let now = pages.tick();
            pages.buckets[bucket].begin(self.id, false, now);
            now
        };
        let answer = self.engine.delete_bucket(bucket_of(bucket)).await;
        if answer.is_ok() && self.is_heard() {
            let mut pages = self.books.pages();
            for key in (0..KEYS.len()).filter(|key| KEYS[*key].0 == bucket) {
                if let Err(why) = pages.bucket_went(key, self.id, from) {
                    pages.fail(&format!("P5: #{} removed a bucket that is not empty: {why}", self.id));
                }
            }
        }
        self.bucket_answer(bucket, answer)
    }

    fn bucket_answer(&self, bucket: usize, answer: Result<(), BucketError>) -> String {
        if !self.is_heard() {
            return String::new();
        }
        let mut pages = self.books.pages();
        let now = pages.tick();
        let (told, words) = match &answer {
            Ok(()) => (Told::Done, "200".to_owned()),
            Err(error @ (BucketError::NoQuorum(_) | BucketError::Ledger(_))) => (Told::Unknown, error.to_string()),
            Err(error) => (Told::Refused, error.to_string()),
        };
        pages.buckets[bucket].end(self.id, told, now);
        words
    }
}
