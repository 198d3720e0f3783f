//! What a strategy began before a commit, and has to end one way or the other.

use std::fmt;

/// Something begun before a commit, such as a reserved address: it is told whether the commit went
/// through. Whatever happens to the request, it is told once; a client that goes away while the
/// commit is under way counts as one that did not go through, so what is given back then must be
/// safe to give back.
#[must_use = "dropping it says that the commit did not go through"]
#[derive(Default)]
pub struct Pending(Option<Box<dyn FnOnce(bool) + Send>>);

impl Pending {
    /// Nothing to end.
    pub fn nothing() -> Self {
        Self(None)
    }

    /// `finish` is called with whether the object was written.
    pub fn new(finish: impl FnOnce(bool) + Send + 'static) -> Self {
        Self(Some(Box::new(finish)))
    }

    /// The commit went through.
    pub(crate) fn committed(mut self) {
        if let Some(finish) = self.0.take() {
            finish(true);
        }
    }
}

impl Drop for Pending {
    fn drop(&mut self) {
        if let Some(finish) = self.0.take() {
            finish(false);
        }
    }
}

impl fmt::Debug for Pending {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Pending").field("begun", &self.0.is_some()).finish()
    }
}
