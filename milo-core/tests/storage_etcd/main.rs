//! The engine on etcd, against a real one: the contract, several servers at once, and failures of
//! the cluster and of the connection to it.

#![cfg(all(feature = "etcd", feature = "testing"))]
#![allow(clippy::panic, clippy::unwrap_used, reason = "tests say what they expect by unwrapping")]

#[path = "../storage_support/mod.rs"]
mod storage_support;

mod cluster;
mod connection;
mod contract;
mod limits;
mod load;
mod replicas;
mod restarts;
mod security;
