//! One file per command.

pub mod accept;
pub mod adopt;
pub mod check;
pub mod eject;
pub mod fault;
pub mod freeze;
pub mod init;
pub mod leave;
pub mod rebuild;
pub mod report;
pub mod serve;
pub mod status;
pub mod undelete;
pub mod verify;
