//! `/healthz`, `/readyz`, `/metrics`, `/status.json`, and the orders of `POST /admin/…`.

use super::{drills, figures, orders};
use crate::metrics::Metrics;
use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use outlast_engine::{Engine, Status};
use prometheus_client::encoding::text::encode_eof;
use std::sync::Arc;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

const OPEN_METRICS: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

#[derive(Clone)]
struct Admin {
    engine: Arc<Engine>,
    metrics: Arc<Metrics>,
}

/// Until `stopping`.
pub async fn serve(listener: TcpListener, engine: Arc<Engine>, metrics: Arc<Metrics>, stopping: CancellationToken) {
    let router = Router::new()
        .route("/healthz", get(async || "alive\n"))
        .route("/readyz", get(ready))
        .route("/metrics", get(all_figures))
        .route("/status.json", get(status))
        .with_state(Admin { engine: engine.clone(), metrics })
        .merge(orders(engine));
    if let Err(error) = axum::serve(listener, router).with_graceful_shutdown(stopping.cancelled_owned()).await {
        tracing::error!("admin listener: {error}");
    }
}

/// Asked with a JSON body and its content type, which no foreign page can send from a browser unasked.
fn orders(engine: Arc<Engine>) -> Router {
    Router::new()
        .route("/admin/whose", get(orders::whose))
        .route("/admin/verify", post(orders::verify))
        .route("/admin/eject", post(orders::eject))
        .route("/admin/adopt", post(orders::adopt))
        .route("/admin/accept", post(orders::accept))
        .route("/admin/leave", post(orders::leave))
        .route("/admin/scrub", post(orders::scrub))
        .route("/admin/undelete", post(orders::undelete))
        .route("/admin/release", post(orders::release))
        .route("/admin/trash", post(orders::trash))
        .route("/admin/fault", post(drills::fault))
        .route("/admin/freeze", post(orders::freeze))
        .route("/admin/thaw", post(orders::thaw))
        .route("/admin/held-back", post(orders::held_back))
        .with_state(engine)
}

async fn ready(State(admin): State<Admin>) -> Response {
    match admin.engine.ready().await {
        Ok(()) => "ready\n".into_response(),
        Err(why) => (StatusCode::SERVICE_UNAVAILABLE, format!("{why}\n")).into_response(),
    }
}

async fn status(State(admin): State<Admin>) -> Json<Status> {
    Json(admin.engine.status().await)
}

async fn all_figures(State(admin): State<Admin>) -> Response {
    let mut text = String::new();
    let status = admin.engine.status().await;
    let written = admin
        .metrics
        .write(&mut text)
        .and_then(|()| figures::write(&status, &mut text))
        .and_then(|()| encode_eof(&mut text));
    match written {
        Ok(()) => ([(header::CONTENT_TYPE, OPEN_METRICS)], text).into_response(),
        Err(error) => (StatusCode::INTERNAL_SERVER_ERROR, format!("{error}\n")).into_response(),
    }
}
