//! How many requests are worked on at one time (`spec/wire.md` section 7.3).
//!
//! Reads and writes are counted apart, so that neither can shut the other out. Watches and other
//! long-running requests are not counted, nor are members of `system:masters`: an administrator gets in when all else is full.

use http::{Response, StatusCode, header};
use milo_core::{
    identity::SYSTEM_MASTERS,
    request::{RequestAttributes, Verb},
};
use tokio::sync::{Semaphore, SemaphorePermit};

use crate::{body::Body, respond};

/// Reads at one time, as upstream.
const READS: usize = 400;
/// Writes at one time, as upstream.
const WRITES: usize = 200;

/// Counts what is worked on.
#[derive(Debug)]
pub(crate) struct InFlight {
    reads: Semaphore,
    writes: Semaphore,
}

impl Default for InFlight {
    fn default() -> Self {
        Self { reads: Semaphore::new(READS), writes: Semaphore::new(WRITES) }
    }
}

/// There is too much to do already.
pub(crate) struct TooMany;

impl InFlight {
    /// A place for a request, kept until it is dropped; none is needed for what is not counted.
    pub(crate) fn enter(
        &self,
        attributes: &RequestAttributes,
        long_running: bool,
    ) -> Result<Option<SemaphorePermit<'_>>, TooMany> {
        let long_running = long_running || attributes.verb == Verb::Watch;
        if long_running || attributes.user.is_in(SYSTEM_MASTERS) {
            return Ok(None);
        }
        let places = if attributes.verb.is_write() { &self.writes } else { &self.reads };
        places.try_acquire().map(Some).map_err(|_| TooMany)
    }
}

impl TooMany {
    /// 429, in the plain text that upstream sends.
    pub(crate) fn response(&self) -> Response<Body> {
        let text = "Too many requests, please try again later.\n";
        let mut response = respond::text(StatusCode::TOO_MANY_REQUESTS, text);
        response.headers_mut().insert(header::RETRY_AFTER, 1.into());
        response
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use milo_core::{identity::UserInfo, scope::Scope};

    use super::*;

    fn request(user: UserInfo, verb: Verb) -> RequestAttributes {
        RequestAttributes {
            user: Arc::new(user),
            scope: Scope::Platform,
            verb,
            resource: None,
            path: String::new(),
        }
    }

    #[test]
    fn writes_cannot_shut_reads_or_administrators_out() {
        let in_flight = InFlight::default();
        let alice = || UserInfo::new("alice");
        let held: Vec<_> = (0..WRITES)
            .map(|_| {
                in_flight.enter(&request(alice(), Verb::Create), false).ok().flatten().unwrap()
            })
            .collect();
        let Err(full) = in_flight.enter(&request(alice(), Verb::Patch), false) else {
            panic!("the writes are full")
        };
        assert_eq!(full.response().status(), StatusCode::TOO_MANY_REQUESTS);
        assert_eq!(full.response().headers()[header::RETRY_AFTER], "1");
        assert!(in_flight.enter(&request(alice(), Verb::Create), true).is_ok());
        assert!(in_flight.enter(&request(alice(), Verb::List), false).is_ok());
        assert!(in_flight.enter(&request(alice(), Verb::Watch), false).is_ok());
        let admin = UserInfo::new("admin").with_group(SYSTEM_MASTERS);
        assert!(in_flight.enter(&request(admin, Verb::Create), false).is_ok());
        drop(held);
        assert!(in_flight.enter(&request(alice(), Verb::Patch), false).is_ok());
    }
}
