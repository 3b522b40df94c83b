//! The seeded world: the whole engine and ledger in one thread, stores that fail by seed, and an oracle. It never ships.

mod chance;
mod content;
mod oracle;

mod plan;
mod power;

mod books;
mod client;
mod inspect;
mod machine;
mod panics;
mod portrait;
mod wire;
mod world;

mod shrink;

pub use books::Detail;
pub use plan::{Act, Plan, Step};
pub use shrink::shrink;
pub use world::{Ended, run};
