//! The real kubectl against the real server, with embedded storage.
//!
//! What is expected is what kubectl prints for custom resources of a Kubernetes API server, to the
//! letter; UIDs, times, ages and resource versions are replaced by words. Needs `kubectl`, without
//! which the tests are skipped, or fail with `MILO_TEST_REQUIRE=all`.

#![expect(clippy::unwrap_used, clippy::panic, reason = "tests say what they expect by unwrapping")]

#[path = "kubectl/access.rs"]
mod access;
#[path = "kubectl/applying.rs"]
mod applying;
#[path = "kubectl/control_planes.rs"]
mod control_planes;
#[path = "kubectl/describing.rs"]
mod describing;
#[path = "kubectl/gadgets.rs"]
mod gadgets;
#[path = "kubectl/reading.rs"]
mod reading;
#[path = "kubectl/refusals.rs"]
mod refusals;
#[path = "kubectl/restarting.rs"]
mod restarting;
mod support;
#[path = "kubectl/waiting.rs"]
mod waiting;
#[path = "kubectl/writing.rs"]
mod writing;
