//! The real binary over real stores of third parties, driven by real clients with their retries off.

#[path = "../support/clients.rs"]
mod clients;
#[path = "../support/fault_proxy.rs"]
mod fault_proxy;
#[path = "../support/gateway.rs"]
#[allow(dead_code, reason = "shared with tests that need more of it")]
mod gateway;
#[path = "../support/peers.rs"]
mod peers;
#[path = "../support/timing_relay.rs"]
mod timing_relay;
#[path = "../support/tools.rs"]
#[allow(dead_code, reason = "shared with tests that need more of it")]
mod tools;
#[path = "../support/waiting.rs"]
mod waiting;

mod azure;
mod endings;
mod faults;
mod forgetful;
mod gcs;
mod racers;
mod rebuild;
mod scene;
mod sessions;
mod suites;
mod undelete;
mod unfit;
