//! A ledger made anew from what lies on the stores (protocol.md 7). It writes nothing to a store but its epoch.

mod reach;
mod report;

mod beginning;
mod notes;
mod recall;
mod survey;

mod listing;
mod walk;
mod weigh;

mod buckets;
mod run;

pub use reach::{Reach, RebuildError};
pub use recall::{Recall, recall};
pub use report::RebuildReport;
pub use run::{Rebuild, RebuildAsk};
pub use survey::{Survey, SurveyedStore};
