//! Real database servers on loopback, for tests: each with a directory of its own that goes with it.
//!
//! A test that needs a program which is not installed is skipped and says so, or fails with
//! `MILO_TEST_REQUIRE=all`, as in CI: see [`missing`].

#[cfg(feature = "etcd")]
mod etcd;
#[cfg(feature = "postgres")]
mod postgres;
mod proxy;

#[cfg(feature = "etcd")]
pub use etcd::*;
#[cfg(feature = "postgres")]
pub use postgres::*;
pub use proxy::Proxy;

/// Says on standard output that a test is skipped because `program` is not installed.
///
/// # Panics
/// When the environment variable `MILO_TEST_REQUIRE` is `all`: then nothing may be missing.
pub fn missing(program: &str) {
    let required = std::env::var("MILO_TEST_REQUIRE").is_ok_and(|value| value == "all");
    assert!(!required, "{program} not found, and MILO_TEST_REQUIRE=all");
    println!("skipped: {program} not found");
}
