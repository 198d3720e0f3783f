//! What only the engine on PostgreSQL has: replicas, outages, lost connections, its tables.

#![cfg(all(feature = "postgres", feature = "testing"))]
#![allow(clippy::panic, clippy::unwrap_used, reason = "tests say what they expect by unwrapping")]

#[path = "../storage_support/mod.rs"]
mod storage_support;

mod breaker;
mod compaction;
mod connecting;
mod connections;
mod contract;
mod load;
mod outages;
mod replicas;
mod servers;
mod tables;
