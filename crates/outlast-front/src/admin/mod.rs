//! The admin address: is it alive, is it ready, what does it count, how is it. Plain HTTP; keep it where only you can reach it.

mod figures;
mod orders;

mod drills;

mod router;

pub use router::serve;
