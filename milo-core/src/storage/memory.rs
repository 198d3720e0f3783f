//! A storage engine in memory, for tests and demos.

/// An engine that forgets everything when it is dropped.
#[derive(Debug, Default)]
pub struct Memory {}
