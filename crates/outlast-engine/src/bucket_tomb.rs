//! A bucket's deletion, from the moment that it is certain: its tombstone on the homes, then its native buckets (protocol.md 2.9).

use crate::asks::{BucketError, WriteError};
use crate::engine::Engine;
use crate::records::{Folder, Kept, Life};
use outlast_ledger::{Bucket, BucketState, Change};
use outlast_rules::{BucketName, OpClass, Standing, StoreName};
use std::sync::Arc;

impl Engine {
    /// The bucket was seen empty and takes no writes: from here its deletion only goes forward. Durable together with what
    /// leads to its tombstone, before any call: a process that dies in between goes on with it.
    ///
    /// Not begun while the tombstone could not stand: the bucket would serve nobody until the stores are back.
    pub(crate) async fn begin_leaving(self: &Arc<Self>, bucket: Bucket) -> Result<Bucket, BucketError> {
        let name = &bucket.name;
        let seats = self.seats_taking(name);
        let well = seats.iter().filter(|seat| seat.standing(OpClass::Write) != Standing::Down).count();
        let needed = self.placement(name).min_copies;
        if well < needed {
            return Err(BucketError::NoQuorum(format!(
                "{needed} stores must keep the record that the bucket {name} is deleted, and {well} take writes now; \
                 the bucket stays"
            )));
        }
        let life = Life { incarnation: bucket.incarnation, seq: self.ledger.take_seq().await? };
        let kept = Kept {
            bucket: name.clone(),
            name: tomb_name(name, bucket.incarnation),
            since: self.now(),
            writes: vec![],
            life: Some(life),
        };
        let leaving = Bucket { state: BucketState::Leaving, ..bucket };
        self.ledger.commit(vec![kept.change(), Change::PutBucket(leaving.clone())]).await?;
        self.cache_bucket(&leaving.name, Some(leaving.clone()));
        Ok(leaving)
    }

    /// In the lane of buckets. The tombstone stands on `min_copies` homes before anybody hears that the bucket is gone.
    pub(crate) async fn finish_leaving(self: &Arc<Self>, bucket: Bucket) -> Result<(), BucketError> {
        let name = bucket.name.clone();
        let record = tomb_name(&name, bucket.incarnation);
        let fact = self.ledger.fact(&Kept::fact_name(&name, &record)).await?;
        let kept = fact.and_then(|text| serde_json::from_str::<Kept>(&text).ok());
        let Some((kept, life)) = kept.and_then(|kept| Some((kept.clone(), kept.life?))) else {
            // Nothing was sent yet: a bucket that leaves without having begun to is as it was.
            return self.keep_bucket(Bucket { state: BucketState::Serving, ..bucket }).await;
        };
        self.ledger.commit(vec![Kept { since: self.now(), ..kept }.change()]).await?;
        let body = serde_json::json!({
            "format": 1, "epoch": self.epoch.0, "bucket": name, "incarnation": life.incarnation, "seq": life.seq,
        });
        self.write_record_in(Folder::Home, &name, &record, body.to_string().into()).await.map_err(
            |error| match error {
                WriteError::Ledger(error) => BucketError::Ledger(error),
                other => BucketError::NoQuorum(format!("{other}; the deletion of {name} goes on when they answer")),
            },
        )?;
        let owed: Vec<StoreName> = self.seats_of(&name).iter().map(|seat| seat.name.clone()).collect();
        self.keep_bucket(Bucket { state: BucketState::Gone { owed }, ..bucket }).await?;
        self.sweep_gone_bucket(&name).await
    }
}

fn tomb_name(bucket: &BucketName, incarnation: u64) -> String {
    format!(".outlast/bucket/{bucket}-{incarnation}")
}
