//! The two transfers that are running when the store dies: a slow download of one large object, and a slow upload in parts.

use super::clients::House;
use super::content::{Content, PIECE};
use super::reader::{Pace, Progress, get, key_of, s3_words};
use super::score::{Long, Score};
use futures_util::{StreamExt, stream};
use outlast_engine::{
    BodyFault, ClientBody, ClientStream, CompleteAsk, CreateUploadAsk, Declared, PutPartAsk, UploadError,
};
use outlast_rules::{Conditions, Head};
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::time::Instant;

pub const FILM: &str = "long/film";
const ARCHIVE: &str = "long/archive";
const FILM_BYTES: u64 = 64 << 20;
/// S3's smallest part is 5 MiB.
const PART_BYTES: u64 = 88 * PIECE;
const PARTS: u32 = 6;
/// A pause worth a line of its own.
const PAUSE_TOLD: Duration = Duration::from_millis(200);

/// The store that the download comes from, once it has begun.
pub type Source = Arc<Mutex<Option<String>>>;

impl House {
    fn film(&self) -> Content {
        Content { seed: self.seed ^ 0xf1, len: FILM_BYTES }
    }

    fn archive(&self) -> Content {
        Content { seed: self.seed ^ 0xa2, len: PART_BYTES * u64::from(PARTS) }
    }

    /// # Errors
    /// The write failed although every store is well.
    pub async fn shoot_film(&self) -> Result<(), String> {
        self.put(FILM, self.film()).await
    }

    pub async fn download(self, takes: Duration, source: Source) {
        self.score.bar(Long::Download, |bar| bar.of = FILM_BYTES);
        let mut watch = DownloadWatch { score: self.score.clone(), source };
        let failures = self.score.standings().failures;
        get(&self.stage, &self.score, &self.oracle, FILM, Pace::Takes(takes), &mut watch).await;
        let bar = self.score.standings().download;
        if bar.done == bar.of {
            self.score.event("the download is whole, and every byte of it is right");
        } else {
            self.score.bar(Long::Download, |bar| bar.failed = true);
            let after = self.score.standings().failures - failures;
            self.score.event(format!("the download broke off ({after} failures meanwhile)"));
        }
    }

    /// A multipart upload, its parts one after the other. Each part, its beginning and its end are requests.
    pub async fn upload(self, takes: Duration) {
        let whole = self.archive();
        self.score.bar(Long::Upload, |bar| bar.of = whole.len);
        match self.upload_parts(whole, takes).await {
            Ok(()) => self.score.event("the upload is complete and acknowledged"),
            Err(Failed) => {
                self.score.bar(Long::Upload, |bar| bar.failed = true);
                self.score.event("the upload failed");
            }
        }
    }

    async fn upload_parts(&self, whole: Content, takes: Duration) -> Result<(), Failed> {
        let began = Instant::now();
        let ask = CreateUploadAsk {
            bucket: self.stage.bucket.clone(),
            key: key_of(ARCHIVE),
            head: Head::default(),
            checksum: None,
            composite: None,
        };
        let upload = self.stage.engine.create_upload(ask).await;
        let upload = self.judged("CreateMultipartUpload", upload, began)?;
        let mut parts = Vec::new();
        for number in 1..=PARTS {
            let sent = Arc::new(Mutex::new(Instant::now()));
            let ask = PutPartAsk {
                bucket: self.stage.bucket.clone(),
                key: key_of(ARCHIVE),
                upload: upload.clone(),
                number,
                body: ClientBody {
                    len: PART_BYTES,
                    bytes: self.paced_part(whole, number, takes / PARTS, sent.clone()),
                    declared: Declared::default(),
                },
            };
            let part = self.stage.engine.put_part(ask).await;
            let since = *sent.lock().expect("no holder of this lock can panic");
            let part = self.judged(&format!("UploadPart {number}"), part, since)?;
            if since.elapsed() > PAUSE_TOLD {
                let ms = since.elapsed().as_millis();
                self.score.event(format!("part {number} of the upload was acknowledged {ms} ms after its last byte"));
            }
            parts.push((number, part.etag));
        }
        let began = Instant::now();
        let ask = CompleteAsk {
            bucket: self.stage.bucket.clone(),
            key: key_of(ARCHIVE),
            upload,
            parts,
            part_checksums: Default::default(),
            checksum: None,
            size: Some(whole.len),
            conditions: Conditions::default(),
        };
        let completed = self.stage.engine.complete_upload(ask).await;
        match &completed {
            Ok(_) => self.oracle.acknowledged(ARCHIVE, Some(whole)),
            Err(_) => self.oracle.failed(ARCHIVE, Some(whole)),
        }
        self.judged("CompleteMultipartUpload", completed, began).map(drop)
    }

    fn judged<T>(&self, what: &str, answer: Result<T, UploadError>, since: Instant) -> Result<T, Failed> {
        match answer {
            Ok(good) => {
                self.score.answered(what, since);
                Ok(good)
            }
            Err(error) => {
                self.score.failed(what, &s3_words(&outlast_front::from_upload(error)), since);
                Err(Failed)
            }
        }
    }

    /// The bytes of one part, at the client's pace. `sent`: when the last of them was given away.
    fn paced_part(&self, whole: Content, number: u32, takes: Duration, sent: Arc<Mutex<Instant>>) -> ClientStream {
        let pieces = PART_BYTES / PIECE;
        let first = u64::from(number - 1) * pieces;
        let score = self.score.clone();
        let pause = takes / pieces as u32;
        let begun = Instant::now();
        stream::iter(0..pieces)
            .then(move |piece| {
                let (score, sent) = (score.clone(), sent.clone());
                async move {
                    tokio::time::sleep_until(begun + pause * (piece as u32 + 1)).await;
                    score.bar(Long::Upload, |bar| bar.done = (first + piece + 1) * PIECE);
                    *sent.lock().expect("no holder of this lock can panic") = Instant::now();
                    Ok::<_, BodyFault>(whole.piece(first + piece))
                }
            })
            .boxed()
    }
}

/// It was counted and told where it happened.
struct Failed;

struct DownloadWatch {
    score: Arc<Score>,
    source: Source,
}

impl Progress for DownloadWatch {
    fn begun(&mut self, source: &str) {
        *self.source.lock().expect("no holder of this lock can panic") = Some(source.to_owned());
    }

    fn at(&mut self, bytes: u64, since: Instant) {
        let waited = since.elapsed();
        let mut before = 0;
        self.score.bar(Long::Download, |bar| before = std::mem::replace(&mut bar.done, bytes));
        if waited > PAUSE_TOLD {
            let ms = waited.as_millis();
            self.score.event(format!("the download goes on at byte {before} from another store, after {ms} ms"));
        }
    }
}
