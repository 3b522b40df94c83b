//! The seeded world: the whole engine and ledger in one thread, stores that fail by seed, and an oracle. It never ships.

mod chance;
mod content;
mod oracle;

mod drawing;
mod plan;
mod power;
mod weather;

mod books;
mod client;
mod place;

mod kept;

mod inspect;

mod afterlife;

mod machine;
mod panics;
mod portrait;
mod wire;
mod world;

mod mutants;
mod schedule;
mod seen;
mod shrink;
mod staged;

pub use books::Detail;
pub use mutants::{Kill, hunt, kill};
pub use outlast_rules::{Broken, Mutant, broken};
pub use plan::{Act, Plan, Step};
pub use schedule::{faults_of, with_faults};
pub use seen::{PLAYED, Played, SEEN, Seen, UNSEEN};
pub use shrink::shrink;
pub use staged::{STAGED, Staged};
pub use weather::WIDE_FROM;
pub use world::{Ended, run};
