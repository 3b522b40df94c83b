//! `demo`: the point of the product in under a minute, on the real engine, ledger and disk stores, with no network.

mod content;
mod oracle;
mod score;

mod stage;
mod times;

mod snapshot;

mod herald;

mod clients;
mod long;
mod reader;

mod proof;
mod totals;

mod script;

mod picture;
mod plain;
mod terminal;

mod show;

pub use show::run;
