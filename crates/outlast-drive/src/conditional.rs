//! Copies, and writes with a condition: what a yes and what a no prove, also where an earlier answer never came. On keys that this
//! client alone writes, so that nobody's write lies between what is known and what is asked.

use crate::asking::{BUCKET, Stop};
use crate::bodies::bytes_of;
use crate::client::{Answer, Ask};
use crate::oracle::{Begun, Truth};
use crate::worker::Worker;
use std::sync::atomic::Ordering;

const DONE: u16 = 200;
const NOT_FOUND: u16 = 404;
const CONDITION_FAILED: u16 = 412;
/// An ETag that no body has.
const NOBODYS_ETAG: &str = "\"00000000000000000000000000000000\"";

impl Worker {
    /// One of them.
    pub(crate) async fn write_on_condition(&mut self) -> Result<(), Stop> {
        let key = self.own_key();
        match self.pick(4) {
            0 => self.copy_to(&key).await,
            1 => self.put_where_nothing_is(&key).await,
            2 => self.put_over_what_is_there(&key).await,
            _ => self.put_over_what_never_was(&key).await,
        }
    }

    /// Of another key that is known for certain, or there is nothing to judge by.
    async fn copy_to(&mut self, key: &str) -> Result<(), Stop> {
        let from = self.own_key();
        let [known] = self.may_be(&from)[..] else { return Ok(()) };
        // S3 refuses a copy of a key onto itself that changes nothing.
        if from == key {
            return Ok(());
        }
        let ask = Ask::put(BUCKET, key, bytes::Bytes::new()).header("x-amz-copy-source", format!("/{BUCKET}/{from}"));
        let begun = self.begin(key, known);
        let answer = self.write_unless(ask, begun, &[NOT_FOUND]).await?;
        let is_right = match known {
            Truth::Absent => answer.status == NOT_FOUND,
            Truth::Body(_) => answer.status == DONE && answer.text().contains("<CopyObjectResult"),
        };
        self.judge(is_right, &format!("a copy of {from} ({known}) to {key}"), &answer)
    }

    async fn put_where_nothing_is(&mut self, key: &str) -> Result<(), Stop> {
        let before = self.may_be(key);
        let (ask, begun) = self.new_body(key);
        let answer = self.write_unless(ask.header("if-none-match", "*"), begun, &[CONDITION_FAILED]).await?;
        let fits = |truth: &Truth| (*truth == Truth::Absent) == (answer.status == DONE);
        self.judge(before.iter().any(fits), &format!("PUT {key} if nothing is there, with {before:?}"), &answer)
    }

    /// With the ETag that a HEAD has just shown: where nothing is open about the key it is still that one.
    async fn put_over_what_is_there(&mut self, key: &str) -> Result<(), Stop> {
        let before = self.may_be(key);
        let head = self.ask(Ask::head(BUCKET, key)).await?;
        let shown = head.etag().map(str::to_owned);
        let fits = |truth: &Truth| match truth {
            Truth::Absent => head.status == NOT_FOUND,
            Truth::Body(_) => head.status == DONE && shown.is_some(),
        };
        self.judge(before.iter().any(fits), &format!("HEAD {key}, with {before:?}"), &head)?;
        let Some(etag) = shown else { return Ok(()) };
        let (ask, begun) = self.new_body(key);
        let answer = self.write_unless(ask.header("if-match", &etag), begun, &[CONDITION_FAILED, NOT_FOUND]).await?;
        let is_right = answer.status == DONE || before.len() > 1;
        self.judge(is_right, &format!("PUT {key} over {etag}, with {before:?}"), &answer)
    }

    async fn put_over_what_never_was(&mut self, key: &str) -> Result<(), Stop> {
        let before = self.may_be(key);
        let (ask, begun) = self.new_body(key);
        let ask = ask.header("if-match", NOBODYS_ETAG);
        let answer = self.write_unless(ask, begun, &[CONDITION_FAILED, NOT_FOUND]).await?;
        let fits = |truth: &Truth| match truth {
            Truth::Absent => answer.status == NOT_FOUND,
            Truth::Body(_) => answer.status == CONDITION_FAILED,
        };
        self.judge(before.iter().any(fits), &format!("PUT {key} over an ETag of nobody, with {before:?}"), &answer)
    }

    fn new_body(&mut self, key: &str) -> (Ask, Begun) {
        let size = self.small();
        let id = self.body_of(size);
        (Ask::put(BUCKET, key, bytes_of(id)), self.begin(key, Truth::Body(id)))
    }

    /// `true`: as it should be.
    fn judge(&self, is_right: bool, what: &str, answer: &Answer) -> Result<(), Stop> {
        self.done().conditions.fetch_add(1, Ordering::Relaxed);
        if is_right { Ok(()) } else { Err(Stop::Broken(format!("{what}: {} {}", answer.status, answer.text()))) }
    }
}
