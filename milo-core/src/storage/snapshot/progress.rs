//! How far long work is.

use std::{fmt, sync::Arc};

/// How far long work is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Progress {
    /// What is being done: `reading`, `writing`, ...
    pub step: &'static str,
    /// Objects done.
    pub objects: u64,
    /// Bytes of their keys and values.
    pub bytes: u64,
    /// How many objects there are in all.
    pub expected: u64,
}

/// Is told of progress, several times a second at most times, from any thread.
#[derive(Clone)]
pub struct Observer(Arc<dyn Fn(Progress) + Send + Sync>);

impl Observer {
    /// Calls `tell`, which should return soon.
    #[must_use]
    pub fn new(tell: impl Fn(Progress) + Send + Sync + 'static) -> Self {
        Self(Arc::new(tell))
    }

    /// Tells nobody.
    #[must_use]
    pub fn none() -> Self {
        Self::new(|_| ())
    }

    pub(super) fn tell(&self, step: &'static str, objects: u64, bytes: u64, expected: u64) {
        (self.0)(Progress { step, objects, bytes, expected });
    }
}

impl fmt::Debug for Observer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Observer").finish_non_exhaustive()
    }
}
