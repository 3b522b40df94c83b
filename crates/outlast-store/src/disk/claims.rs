//! Who writes into an upload's body now: a place has one writer at a time, and Complete takes no body that is written to.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard};

/// By bucket and upload, the part numbers that are on their way. Bounded by the parts that are being received.
#[derive(Default)]
pub(crate) struct Claims(Arc<Mutex<HashMap<(String, String), Vec<u32>>>>);

/// Given back when dropped: with the last write, on whatever thread that ends.
pub(crate) struct Claim {
    all: Claims,
    upload: (String, String),
    number: u32,
}

impl Claims {
    fn held(&self) -> MutexGuard<'_, HashMap<(String, String), Vec<u32>>> {
        self.0.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
    }

    /// None: somebody else has it.
    pub fn take(&self, bucket: &str, id: &str, number: u32) -> Option<Claim> {
        let upload = (bucket.to_owned(), id.to_owned());
        let mut held = self.held();
        let numbers = held.entry(upload.clone()).or_default();
        if numbers.contains(&number) {
            return None;
        }
        numbers.push(number);
        Some(Claim { all: Claims(Arc::clone(&self.0)), upload, number })
    }

    pub fn any(&self, bucket: &str, id: &str) -> bool {
        self.held().contains_key(&(bucket.to_owned(), id.to_owned()))
    }
}

impl Drop for Claim {
    fn drop(&mut self) {
        let mut held = self.all.held();
        if let Some(numbers) = held.get_mut(&self.upload) {
            numbers.retain(|number| *number != self.number);
            if numbers.is_empty() {
                held.remove(&self.upload);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_writer_for_one_place() {
        let claims = Claims::default();
        let first = claims.take("b", "u", 1);
        assert!(first.is_some() && claims.take("b", "u", 1).is_none());
        let other = claims.take("b", "u", 2);
        assert!(other.is_some() && claims.any("b", "u") && !claims.any("b", "v"));
        drop(first);
        assert!(claims.take("b", "u", 1).is_some() && claims.any("b", "u"));
        drop(other);
        assert!(!claims.any("b", "u"));
    }
}
