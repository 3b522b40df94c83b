//! What the spool must not forget when the process starts: bodies and parts that the ledger counts on.

use crate::spool::{body_name, part_name};
use outlast_ledger::{Ledger, LedgerError};
use std::collections::BTreeSet;

/// S3's bound for the parts of one upload.
pub(crate) const PARTS_MAX: usize = 10_000;
const UPLOADS_PAGE: usize = 256;

/// Names of every body and part that the spool must not forget.
pub(crate) async fn known_to_spool(ledger: &dyn Ledger) -> Result<BTreeSet<String>, LedgerError> {
    let mut known: BTreeSet<String> = ledger.spool_items().await?.iter().map(|item| body_name(item.write)).collect();
    for bucket in ledger.buckets().await? {
        let mut after = (String::new(), String::new());
        loop {
            let page = ledger.uploads(&bucket.name, "", (&after.0, &after.1), UPLOADS_PAGE).await?;
            let Some(last) = page.last() else { break };
            after = (last.key.to_string(), last.id.clone());
            for upload in &page {
                let parts = ledger.parts(&upload.id, 0, PARTS_MAX).await?;
                known.extend(
                    parts.iter().filter(|part| part.spooled).map(|part| part_name(&upload.id, part.number, &part.etag)),
                );
            }
        }
    }
    Ok(known)
}
