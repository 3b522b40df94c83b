//! The Azure client against Azurite, whose own code checks its signatures, and against peers that say what the service's
//! documents say it would.

mod peers;
mod support;
mod wire;
