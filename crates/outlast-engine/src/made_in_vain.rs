//! Native buckets that we made for a bucket that came to nothing: a CreateBucket that found no quorum, or whose process died. They
//! are used by the next CreateBucket of that name, or go again while they are empty. What was found there is never removed.

use crate::asks::BucketError;
use crate::engine::Engine;
use crate::identity::BUCKET_DEADLINE;
use crate::native_bucket::{Gate, Lies, NativeError, what_lies_in};
use crate::seats::Seat;
use outlast_ledger::{Bucket, Change, LedgerError};
use outlast_rules::{BucketName, OpClass, Standing, StoreName};
use std::sync::Arc;

/// Facts of the ledger that begin so name native buckets that no bucket uses yet.
const MADE_FACTS: &str = "bucket-made/";
/// Looked at in one round; the others wait for the next.
const PAGE: usize = 500;

fn made_fact(bucket: &BucketName, store: &StoreName) -> String {
    format!("{MADE_FACTS}{bucket}/{store}")
}

impl Engine {
    /// The store said that nothing was there, and then that it made it.
    pub(crate) async fn remember_made(&self, seat: &Seat, name: &BucketName) -> Result<(), LedgerError> {
        let value = self.now().0.to_string();
        self.ledger.commit(vec![Change::SetFact { name: made_fact(name, &seat.name), value }]).await
    }

    /// The bucket is served from here on, and goes as buckets go.
    pub(crate) async fn keep_what_was_made(&self, bucket: Bucket) -> Result<(), BucketError> {
        let used = self.seats.keys().map(|store| Change::DropFact { name: made_fact(&bucket.name, store) });
        let batch = used.chain([Change::PutBucket(bucket.clone())]).collect();
        self.ledger.commit(batch).await?;
        let name = bucket.name.clone();
        self.cache_bucket(&name, Some(bucket));
        Ok(())
    }

    /// What was made in vain goes again. Said twice, it does the same; where it fails, the next round goes on.
    pub(crate) async fn sweep_made_in_vain(self: &Arc<Self>) -> Result<(), LedgerError> {
        for (fact, _) in self.ledger.facts(MADE_FACTS, "", PAGE).await? {
            let parts = fact.strip_prefix(MADE_FACTS).and_then(|rest| rest.split_once('/'));
            let Some((name, store)) = parts
                .and_then(|(bucket, store)| Some((BucketName::parse(bucket).ok()?, StoreName::parse(store).ok()?)))
            else {
                continue;
            };
            // A store that left the configuration is not called any more.
            let Some(seat) = self.seat(&store).cloned() else { continue };
            if seat.standing(OpClass::Delete) == Standing::Down || seat.standing(OpClass::List) == Standing::Down {
                continue;
            }
            let _lane = self.bucket_lane.lock().await;
            // Used meanwhile, or on its way out with the bucket: no longer of here.
            if self.ledger.fact(&fact).await?.is_none() {
                continue;
            }
            match self.unmake(&seat, &name).await {
                Ok(()) => self.ledger.commit(vec![Change::DropFact { name: fact }]).await?,
                Err(NativeError::Ledger(error)) => return Err(error),
                Err(error) => tracing::info!("{error}: a native bucket that was made in vain goes later"),
            }
        }
        Ok(())
    }

    async fn unmake(self: &Arc<Self>, seat: &Arc<Seat>, name: &BucketName) -> Result<(), NativeError> {
        let native = seat.names.native(name);
        match what_lies_in(seat, &native, BUCKET_DEADLINE, Gate::Health).await? {
            Lies::Empty => {}
            Lies::NoBucket => return Ok(()),
            // Somebody uses it: it is his from now on.
            Lies::Objects => {
                let text = format!(
                    "{}: the native bucket {native} was made in vain and is in use by now: it stays",
                    seat.name
                );
                self.note("bucket", text).await;
                return Ok(());
            }
        }
        self.remove_native(seat, name).await?;
        self.note("bucket", format!("{}: the native bucket {native} was made in vain and was removed", seat.name))
            .await;
        Ok(())
    }
}
