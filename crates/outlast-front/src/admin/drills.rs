//! `POST /admin/fault`: sets faults for a drill, renews and ends them, and says which there are.

use super::orders::told_or_wrong;
use axum::Json;
use axum::extract::State;
use axum::response::Response;
use outlast_engine::{Engine, FaultAsk, FaultError, FaultStatus};
use outlast_rules::StoreName;
use serde::{Deserialize, Serialize};
use std::sync::Arc;

#[derive(Deserialize)]
#[serde(tag = "step", rename_all = "lowercase")]
pub(super) enum FaultOrder {
    /// What would writes lack without these stores? Changes nothing.
    Judge {
        stores: Vec<StoreName>,
    },
    Set(Box<FaultAsk>),
    Renew {
        ids: Vec<String>,
        lease_ms: u64,
    },
    End {
        /// Missing: all of them.
        ids: Option<Vec<String>>,
    },
    List,
}

#[derive(Serialize)]
struct Report {
    /// Those that were set, renewed or ended; of `list` all.
    faults: Vec<FaultStatus>,
    /// Of `judge`: one line for each placement that would have too few stores.
    risk: Vec<String>,
}

pub(super) async fn fault(State(engine): State<Arc<Engine>>, Json(order): Json<FaultOrder>) -> Response {
    told_or_wrong(|_: &FaultError| true, move |_| async move { follow(&engine, order) })
}

fn follow(engine: &Arc<Engine>, order: FaultOrder) -> Result<Report, FaultError> {
    let mut risk = Vec::new();
    let faults = match order {
        FaultOrder::Judge { stores } => {
            if let Some(store) = stores.iter().find(|store| !engine.has_store(store.as_str())) {
                return Err(FaultError::NoStore(store.clone()));
            }
            risk = engine.risk_without(&stores);
            Vec::new()
        }
        FaultOrder::Set(ask) => vec![engine.set_fault(*ask)?],
        FaultOrder::Renew { ids, lease_ms } => engine.renew_faults(&ids, lease_ms)?,
        FaultOrder::End { ids } => engine.end_faults(ids.as_deref()),
        FaultOrder::List => engine.faults(),
    };
    Ok(Report { faults, risk })
}
