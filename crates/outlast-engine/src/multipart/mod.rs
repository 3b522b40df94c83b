//! Multipart uploads: one record of ours, one native upload per store (protocol.md 5).

mod manage;
mod part;

mod complete;
mod large;
