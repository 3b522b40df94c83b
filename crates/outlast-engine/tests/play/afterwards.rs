//! The gateway's disk is lost in a golden script, and its ledger made anew from the stores.

use super::Stage;
use outlast_engine::*;
use outlast_ledger::{Durability, Embedded, Ledger, Mode};
use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

/// The ledger that is made, and what becomes of it.
pub type Rebuilding = (Arc<Embedded>, tokio::task::JoinHandle<Result<RebuildReport, RebuildError>>);

impl Stage {
    pub(super) async fn afterwards(&mut self, word: &str) -> String {
        match word {
            "lose-disk" => {
                self.crash().await;
                self.dir = tempfile::tempdir().unwrap();
                String::new()
            }
            "rebuild-begins" => {
                self.begin_rebuild().await;
                String::new()
            }
            "rebuild-ends" => self.end_rebuild().await,
            _ => {
                self.begin_rebuild().await;
                self.end_rebuild().await
            }
        }
    }

    async fn begin_rebuild(&mut self) {
        let ledger = Arc::new(Embedded::open_with(self.dir.path(), Mode::Inline, Durability::Process).unwrap());
        let clock: Arc<dyn Clock> = self.clock.clone();
        let reach = Arc::new(Reach::new(self.setups(&Arc::new(AtomicBool::new(true))), &clock));
        let survey = reach.survey(&BTreeSet::new()).await.unwrap();
        let ask = RebuildAsk { settings: self.settings(), key: None, dry_run: false, token: "t1".into() };
        let (told, _) = tokio::sync::mpsc::channel(1);
        let rebuild = Rebuild::new(reach, survey, ask, ledger.clone(), clock, told);
        self.rebuilding = Some((ledger, tokio::spawn(rebuild.run())));
    }

    async fn end_rebuild(&mut self) -> String {
        let (ledger, rebuild) = self.rebuilding.take().expect("the script has begun it");
        let report = rebuild.await.unwrap();
        ledger.close().await;
        match report {
            Ok(report) => format!("found: {} objects, {} tombstones\n", report.objects, report.tombstones),
            Err(error) => format!("error: {error}\n"),
        }
    }
}
