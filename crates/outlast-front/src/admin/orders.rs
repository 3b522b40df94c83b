//! `POST /admin/…`: long work that an operator asks of the running gateway, told line by line as JSON.
//!
//! Each line of the answer is one object: `{"progress": …}` as often as there is something to say, then exactly one
//! `{"report": …}`, `{"wrong": "words"}` or `{"error": "words"}`. An empty line says that the work goes on. An answer that ends without any was cut. An order that names
//! what is not there or cannot be is 404 or 400 with the reason in words, or `wrong` where only a store could tell; nothing is
//! begun.

use axum::Json;
use axum::body::Body;
use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use outlast_engine::{
    AdoptError, BucketError, EjectAsk, EjectError, Engine, LeaveAsk, LeaveError, LeaveStep, Progress, UndeleteAsk,
};
use outlast_rules::{BucketName, Key, Moment, StoreName};
use serde::{Deserialize, Serialize};
use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::mpsc;

/// Lines of progress that nobody has read yet; more are dropped, the report never is.
const LINES_QUEUED: usize = 16;
/// Work that has nothing to tell for so long shows that it is alive: whoever asked gives up a gateway that is silent for minutes,
/// and so does what stands between them.
const SIGN_OF_LIFE: Duration = Duration::from_secs(20);

#[derive(Deserialize)]
pub(super) struct VerifyOrder {
    bucket: String,
    #[serde(default)]
    deep: bool,
}

#[derive(Deserialize)]
pub(super) struct EjectOrder {
    bucket: String,
    store: String,
    #[serde(default)]
    deep: bool,
}

#[derive(Deserialize)]
pub(super) struct AdoptOrder {
    bucket: String,
    from: String,
    #[serde(default)]
    dry_run: bool,
}

#[derive(Deserialize)]
pub(super) struct AcceptOrder {
    store: String,
}

#[derive(Deserialize)]
pub(super) struct LeaveOrder {
    store: String,
    step: LeaveStep,
    #[serde(default)]
    dry_run: bool,
    accept_risk: Option<u64>,
}

#[derive(Deserialize)]
pub(super) struct ScrubOrder {
    bucket: String,
    store: String,
}

#[derive(Deserialize)]
pub(super) struct UndeleteOrder {
    bucket: String,
    #[serde(default)]
    prefix: String,
    since: Option<Moment>,
    #[serde(default)]
    dry_run: bool,
}

#[derive(Deserialize)]
pub(super) struct TrashOrder {
    bucket: String,
    #[serde(default)]
    prefix: String,
    after: Option<Key>,
    #[serde(default)]
    dry_run: bool,
}

#[derive(Deserialize)]
pub(super) struct NoOrder {}

#[derive(Serialize)]
#[serde(rename_all = "lowercase")]
enum Line<T: Serialize> {
    Progress(Progress),
    Report(T),
    Wrong(String),
    Error(String),
}

pub(super) async fn verify(State(engine): State<Arc<Engine>>, Json(order): Json<VerifyOrder>) -> Response {
    let bucket = match BucketName::parse(&order.bucket) {
        Ok(bucket) => bucket,
        Err(error) => return refused(error),
    };
    if let Err(BucketError::NoBucket) = engine.head_bucket(bucket.clone()).await {
        return no_bucket(&bucket);
    }
    told(move |progress| async move { engine.verify(&bucket, order.deep, progress).await })
}

pub(super) async fn eject(State(engine): State<Arc<Engine>>, Json(order): Json<EjectOrder>) -> Response {
    let (bucket, store) = match (BucketName::parse(&order.bucket), StoreName::parse(&order.store)) {
        (Ok(bucket), Ok(store)) => (bucket, store),
        (Err(error), _) | (_, Err(error)) => return refused(error),
    };
    if let Err(BucketError::NoBucket) = engine.head_bucket(bucket.clone()).await {
        return no_bucket(&bucket);
    }
    if !engine.has_store(store.as_str()) {
        return no_store(store.as_str());
    }
    let ask = EjectAsk { bucket, store, deep: order.deep };
    let is_wrong = |error: &EjectError| matches!(error, EjectError::NotPlaced { .. });
    told_or_wrong(is_wrong, move |progress| async move { engine.eject(ask, progress).await })
}

pub(super) async fn adopt(State(engine): State<Arc<Engine>>, Json(order): Json<AdoptOrder>) -> Response {
    let bucket = match BucketName::parse(&order.bucket) {
        Ok(bucket) => bucket,
        Err(error) => return refused(error),
    };
    let mut sources = order.from.split(',').map(str::trim).filter(|store| !store.is_empty());
    if let Some(store) = sources.find(|store| !engine.has_store(store)) {
        return no_store(store);
    }
    let is_wrong = |error: &AdoptError| {
        matches!(
            error,
            AdoptError::NoStore(_)
                | AdoptError::NoNativeBucket(..)
                | AdoptError::NotPlaced { .. }
                | AdoptError::Claimed(..)
        )
    };
    told_or_wrong(
        is_wrong,
        move |progress| async move { engine.adopt(&bucket, &order.from, order.dry_run, progress).await },
    )
}

pub(super) async fn accept(State(engine): State<Arc<Engine>>, Json(order): Json<AcceptOrder>) -> Response {
    let store = match StoreName::parse(&order.store) {
        Ok(store) => store,
        Err(error) => return refused(error),
    };
    if !engine.has_store(store.as_str()) {
        return no_store(store.as_str());
    }
    told(move |_| async move { engine.accept_store(&store).await })
}

pub(super) async fn leave(State(engine): State<Arc<Engine>>, Json(order): Json<LeaveOrder>) -> Response {
    let store = match StoreName::parse(&order.store) {
        Ok(store) => store,
        Err(error) => return refused(error),
    };
    if !engine.has_store(store.as_str()) {
        return no_store(store.as_str());
    }
    let ask = LeaveAsk { store, step: order.step, dry_run: order.dry_run, accept_risk: order.accept_risk };
    // What was accepted is not what is at risk, or nobody would be left: nothing was changed, and another order is needed.
    let is_wrong = |error: &LeaveError| matches!(error, LeaveError::AtRisk { .. } | LeaveError::Only { .. });
    told_or_wrong(is_wrong, move |progress| async move { engine.leave(ask, progress).await })
}

pub(super) async fn scrub(State(engine): State<Arc<Engine>>, Json(order): Json<ScrubOrder>) -> Response {
    let (bucket, store) = match (BucketName::parse(&order.bucket), StoreName::parse(&order.store)) {
        (Ok(bucket), Ok(store)) => (bucket, store),
        (Err(error), _) | (_, Err(error)) => return refused(error),
    };
    if !engine.has_store(store.as_str()) {
        return no_store(store.as_str());
    }
    if !engine.knows_bucket(&bucket) {
        return no_bucket(&bucket);
    }
    told(move |_| async move { engine.scrub(&store, &bucket).await })
}

pub(super) async fn undelete(State(engine): State<Arc<Engine>>, Json(order): Json<UndeleteOrder>) -> Response {
    let bucket = match BucketName::parse(&order.bucket) {
        Ok(bucket) => bucket,
        Err(error) => return refused(error),
    };
    if let Err(BucketError::NoBucket) = engine.head_bucket(bucket.clone()).await {
        return no_bucket(&bucket);
    }
    let ask = UndeleteAsk { bucket, prefix: order.prefix, since: order.since, dry_run: order.dry_run };
    told(move |progress| async move { engine.undelete(ask, progress).await })
}

pub(super) async fn trash(State(engine): State<Arc<Engine>>, Json(order): Json<TrashOrder>) -> Response {
    let bucket = match BucketName::parse(&order.bucket) {
        Ok(bucket) => bucket,
        Err(error) => return refused(error),
    };
    // A bucket that was deleted is known for as long as something of it can be brought back.
    if !engine.knows_bucket(&bucket) {
        return no_bucket(&bucket);
    }
    told(move |_| async move { engine.list_trash(&bucket, &order.prefix, order.after.as_ref()).await })
}

pub(super) async fn release(State(engine): State<Arc<Engine>>, Json(order): Json<TrashOrder>) -> Response {
    let bucket = match BucketName::parse(&order.bucket) {
        Ok(bucket) => bucket,
        Err(error) => return refused(error),
    };
    // A bucket that was deleted is known for as long as something of it can be brought back.
    if !engine.knows_bucket(&bucket) {
        return no_bucket(&bucket);
    }
    told(move |_| async move { engine.release_trash(&bucket, &order.prefix, order.dry_run).await })
}

pub(super) async fn freeze(State(engine): State<Arc<Engine>>, Json(_): Json<NoOrder>) -> Response {
    told(move |_| async move { engine.freeze().await })
}

pub(super) async fn thaw(State(engine): State<Arc<Engine>>, Json(_): Json<NoOrder>) -> Response {
    told(move |_| async move { engine.thaw().await })
}

/// By this a command knows whether the gateway that answers is the one of its configuration.
pub(super) async fn whose(State(engine): State<Arc<Engine>>) -> Response {
    Json(serde_json::json!({ "data_dir": engine.data_dir() })).into_response()
}

pub(super) async fn held_back(State(engine): State<Arc<Engine>>, Json(_): Json<NoOrder>) -> Response {
    told(move |_| async move { engine.held_back().await })
}

fn no_bucket(bucket: &BucketName) -> Response {
    (StatusCode::NOT_FOUND, format!("there is no bucket {bucket}\n")).into_response()
}

fn no_store(store: &str) -> Response {
    (StatusCode::NOT_FOUND, format!("there is no store {store} in the configuration\n")).into_response()
}

fn refused(error: impl std::fmt::Display) -> Response {
    (StatusCode::BAD_REQUEST, format!("{error}\n")).into_response()
}

/// Runs the work beside the answer. It goes on when the asker goes away: adopting half a bucket helps nobody.
fn told<T, E, F>(work: impl FnOnce(mpsc::Sender<Progress>) -> F) -> Response
where
    T: Serialize + Send + 'static,
    E: std::fmt::Display + Send + 'static,
    F: Future<Output = Result<T, E>> + Send + 'static,
{
    told_or_wrong(|_| false, work)
}

/// `is_wrong`: the error says that what was named is not there.
pub(super) fn told_or_wrong<T, E, F>(
    is_wrong: impl Fn(&E) -> bool + Send + 'static,
    work: impl FnOnce(mpsc::Sender<Progress>) -> F,
) -> Response
where
    T: Serialize + Send + 'static,
    E: std::fmt::Display + Send + 'static,
    F: Future<Output = Result<T, E>> + Send + 'static,
{
    let (progress, mut lines) = mpsc::channel(LINES_QUEUED);
    let (sender, answer) = mpsc::channel::<Result<Bytes, Infallible>>(LINES_QUEUED);
    let mut work = tokio::spawn(work(progress));
    tokio::spawn(async move {
        let ended = loop {
            let told = tokio::select! {
                biased;
                Some(progress) = lines.recv() => line(&Line::<T>::Progress(progress)),
                ended = &mut work => break ended,
                () = tokio::time::sleep(SIGN_OF_LIFE) => Bytes::from_static(b"\n"),
            };
            // Nobody reads any more; the work itself sees it by its own end of the queue of progress.
            if sender.send(Ok(told)).await.is_err() {
                return;
            }
        };
        let last = match ended {
            Ok(Ok(report)) => Line::Report(report),
            Ok(Err(error)) if is_wrong(&error) => Line::Wrong(error.to_string()),
            Ok(Err(error)) => Line::Error(error.to_string()),
            Err(join) => Line::Error(format!("the work broke off: {join}")),
        };
        // Whoever asked may be gone by now.
        sender.send(Ok(line(&last))).await.ok();
    });
    let stream = futures_util::stream::unfold(answer, |mut answer| async move { Some((answer.recv().await?, answer)) });
    ([(header::CONTENT_TYPE, "application/x-ndjson")], Body::from_stream(stream)).into_response()
}

fn line<T: Serialize>(line: &Line<T>) -> Bytes {
    let mut text = serde_json::to_vec(line).expect("reports are plain data");
    text.push(b'\n');
    text.into()
}

#[cfg(test)]
mod tests {
    use super::*;
    use http_body_util::BodyExt;

    /// Minutes without a step: whoever asked sees that the work goes on, and then its report.
    #[tokio::test(start_paused = true)]
    async fn silent_work_shows_that_it_is_alive() {
        let answer = told(|progress| async move {
            tokio::time::sleep(SIGN_OF_LIFE * 30 + Duration::from_secs(1)).await;
            let step = Progress { store: "s1".into(), objects: 1, bytes: 2, of_objects: 3, of_bytes: 4 };
            progress.send(step).await.unwrap();
            tokio::time::sleep(SIGN_OF_LIFE * 2 + Duration::from_secs(1)).await;
            Ok::<_, String>(7)
        });
        let body = answer.into_body().collect().await.unwrap().to_bytes();
        let lines: Vec<&str> = std::str::from_utf8(&body).unwrap().lines().collect();
        assert_eq!(lines.len(), 30 + 1 + 2 + 1, "{lines:?}");
        assert!(lines[..30].iter().chain(&lines[31..33]).all(|line| line.is_empty()), "{lines:?}");
        assert!(lines[30].starts_with("{\"progress\""), "{lines:?}");
        assert_eq!(lines[33], "{\"report\":7}");
    }

    /// Work that hands its queue away at once is waited for all the same.
    #[tokio::test(start_paused = true)]
    async fn work_without_progress_is_waited_for() {
        let answer = told(|_| async {
            tokio::time::sleep(SIGN_OF_LIFE + Duration::from_secs(1)).await;
            Err::<(), _>("no")
        });
        let body = answer.into_body().collect().await.unwrap().to_bytes();
        assert_eq!(body, "\n{\"error\":\"no\"}\n");
    }
}
