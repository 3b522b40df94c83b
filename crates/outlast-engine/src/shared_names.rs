//! Two buckets must not share a native bucket: each would take the other's objects for somebody's overwrites.

use crate::engine::{Engine, StartError};
use crate::seats::Seat;
use outlast_rules::BucketName;

impl Engine {
    /// Whose the native bucket of this name is already, in words; None: nobody's else. Names come about in three ways (one by
    /// one, with the store's prefix, with another store's prefix on the same service), so the configuration alone cannot tell.
    pub(crate) fn claimed_by_another(&self, name: &BucketName) -> Option<String> {
        self.seats_of(name).iter().find_map(|seat| {
            let (native, place) = (seat.names.native(name), seat.store.place());
            let mut same = self.seats.values().filter(|other| other.store.place() == place);
            let whose = same.find_map(|other| self.claim_of(other, &native, seat, name))?;
            Some(format!("its native bucket on {} would be {native}, and that {whose}", seat.name))
        })
    }

    /// What `other` has that native bucket for, where that is not `name` on `seat`.
    fn claim_of(&self, other: &Seat, native: &str, seat: &Seat, name: &BucketName) -> Option<String> {
        let itself = other.name == seat.name;
        let client = other.names.client(native).filter(|client| !(itself && client == name));
        if let Some(client) = client
            && (client == *name || other.names.is_configured(&client) || self.is_on(other, &client))
        {
            return Some(format!("is the bucket {client} on {}", other.name));
        }
        let is_own = other.home() == native || other.names.system_bucket.as_deref() == Some(native);
        (is_own && !(itself && seat.names.is_configured(name)))
            .then(|| format!("is kept for Outlast's own records on {}", other.name))
    }

    fn is_on(&self, seat: &Seat, bucket: &BucketName) -> bool {
        self.cached_bucket(bucket).is_some() && self.seats_of(bucket).iter().any(|of| of.name == seat.name)
    }

    /// Buckets that were made under other names than the configuration gives them now.
    pub(crate) fn refuse_shared_names(&self) -> Result<(), StartError> {
        let names: Vec<BucketName> =
            self.buckets.lock().expect("no code panics while it holds the buckets").keys().cloned().collect();
        match names.iter().find_map(|name| Some((name, self.claimed_by_another(name)?))) {
            None => Ok(()),
            Some((name, why)) => Err(StartError::Identity(format!(
                "the bucket {name} cannot be served as configured: {why}\n    \
                 change buckets or bucket_prefix of [store] so that each bucket has a native bucket of its own"
            ))),
        }
    }
}
