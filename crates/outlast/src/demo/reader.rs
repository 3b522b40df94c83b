//! One GET as a client does it: every byte compared as it comes, every wait measured.

use super::content::{Comparison, Content};
use super::oracle::Oracle;
use super::score::Score;
use super::stage::Stage;
use futures_util::StreamExt;
use outlast_engine::{GetAnswer, GetAsk, ReadError};
use outlast_rules::{Conditions, Key};
use std::time::Duration;
use tokio::time::Instant;

pub fn key_of(text: &str) -> Key {
    Key::parse(text).expect("the demo's keys are short and plain")
}

/// As S3 clients see it.
pub fn read_words(error: ReadError) -> String {
    let answer = outlast_front::from_read(error);
    s3_words(&answer)
}

pub fn s3_words(answer: &outlast_front::S3Error) -> String {
    let status = answer.status_code().map_or_else(String::new, |status| format!("{} ", status.as_u16()));
    format!("{status}{}: {}", answer.code().as_str(), answer.message().unwrap_or_default())
}

/// How fast a client takes what it is given.
#[derive(Debug, Clone, Copy)]
pub enum Pace {
    AsItComes,
    /// The whole body takes so long.
    Takes(Duration),
}

/// What a client is told as its body comes.
pub trait Progress: Send {
    /// The answer has begun and this store gives it.
    fn begun(&mut self, source: &str);
    /// So many bytes are there; the last ones were waited for since `since`.
    fn at(&mut self, bytes: u64, since: Instant);
}

/// Nobody watches.
pub struct Unwatched;

impl Progress for Unwatched {
    fn begun(&mut self, _source: &str) {}
    fn at(&mut self, _bytes: u64, _since: Instant) {}
}

/// Reads a key and compares it with what it may be. Counts as one request.
pub async fn get(stage: &Stage, score: &Score, oracle: &Oracle, key: &str, pace: Pace, watch: &mut dyn Progress) {
    let what = format!("GET {key}");
    let began = Instant::now();
    let may_be = oracle.may_be(key);
    let ask = GetAsk { bucket: stage.bucket.clone(), key: key_of(key), range: None, conditions: Conditions::default() };
    let answer = match stage.engine.get(ask).await {
        Ok(answer) => answer,
        Err(ReadError::NoKey) if may_be.contains(&None) => return score.answered(&what, began),
        Err(error) => return score.failed(&what, &read_words(error), began),
    };
    watch.begun(&answer.source);
    // Two writes of one key never have the same length by chance: the length tells which of them this is.
    let expected = may_be.into_iter().flatten().find(|content| content.len == answer.len);
    let Some(expected) = expected else {
        return score.failed(&what, &format!("{} bytes that nobody wrote", answer.len), began);
    };
    let mut last = began;
    match take(answer, expected, score, &what, pace, watch, &mut last).await {
        Ok(()) => score.answered(&what, last),
        Err(words) => score.failed(&what, &words, last),
    }
}

async fn take(
    answer: GetAnswer,
    expected: Content,
    score: &Score,
    what: &str,
    pace: Pace,
    watch: &mut dyn Progress,
    last: &mut Instant,
) -> Result<(), String> {
    let mut bytes = answer.bytes;
    let mut comparison = Comparison::with(expected);
    let began = Instant::now();
    while let Some(chunk) = bytes.next().await {
        let chunk = chunk.map_err(|error| format!("cut after {} bytes: {error}", comparison.at()))?;
        comparison.next(&chunk)?;
        score.waited(what, *last);
        watch.at(comparison.at(), *last);
        if let Pace::Takes(whole) = pace {
            let due = whole.mul_f64(comparison.at() as f64 / expected.len.max(1) as f64);
            tokio::time::sleep_until(began + due).await;
        }
        *last = Instant::now();
    }
    comparison.end()
}
