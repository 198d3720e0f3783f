//! What is going on on one connection: how many requests are open, and since when none is.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering},
    },
    time::Duration,
};

use tokio::{
    sync::{Notify, watch},
    time::{Instant, sleep},
};

use super::{connection::Phase, stall::Stalls};

/// Shared by a connection and its requests. All of it is counters, so that a request costs a few
/// atomic operations that no other core competes for.
#[derive(Debug)]
pub(super) struct Activity {
    opened: Instant,
    requests: AtomicUsize,
    any: AtomicBool,
    /// Milliseconds after `opened` at which the last request ended.
    idle_since: AtomicU64,
    close: Notify,
    stalls: Stalls,
    /// Keeps the server from believing that the connection is gone while a handler, which HTTP/2
    /// runs in a task of its own, has not ended.
    _alive: watch::Receiver<Phase>,
}

impl Activity {
    pub(super) fn new(alive: watch::Receiver<Phase>) -> Arc<Self> {
        Arc::new(Self {
            opened: Instant::now(),
            requests: AtomicUsize::new(0),
            any: AtomicBool::new(false),
            idle_since: AtomicU64::new(0),
            close: Notify::new(),
            stalls: Stalls::default(),
            _alive: alive,
        })
    }

    /// The handshake is over: from now on the peer is waited for.
    pub(super) fn ready(&self) {
        self.rest();
    }

    /// A request begins; it ends when the guard is dropped.
    pub(super) fn begin(self: &Arc<Self>) -> Open {
        self.any.store(true, Ordering::Relaxed);
        self.requests.fetch_add(1, Ordering::AcqRel);
        Open(Arc::clone(self))
    }

    /// What is waiting to be sent.
    pub(super) fn stalls(&self) -> &Stalls {
        &self.stalls
    }

    /// Completes when the peer took nothing of something that it was sent for `limit`.
    pub(super) async fn stalled(&self, limit: Duration) {
        self.stalls.found(limit).await;
    }

    /// Asks for the connection to be closed when its requests are answered.
    pub(super) fn close(&self) {
        self.close.notify_one();
    }

    /// Completes when somebody asked for the connection to be closed.
    pub(super) async fn closing(&self) {
        self.close.notified().await;
    }

    /// Completes when no request has been open for `idle`; before the first request, for `first`.
    pub(super) async fn idle(&self, first: Duration, idle: Duration) {
        loop {
            let limit = if self.any.load(Ordering::Relaxed) { idle } else { first };
            let wait = if self.requests.load(Ordering::Acquire) > 0 {
                limit
            } else {
                let since = Duration::from_millis(self.idle_since.load(Ordering::Relaxed));
                limit.saturating_sub(self.opened.elapsed().saturating_sub(since))
            };
            if wait.is_zero() {
                return;
            }
            // Looking again then is cheaper than being told of every request.
            sleep(wait.max(Duration::from_millis(1))).await;
        }
    }

    fn rest(&self) {
        let now = self.opened.elapsed().as_millis();
        self.idle_since.store(u64::try_from(now).unwrap_or(u64::MAX), Ordering::Relaxed);
    }
}

/// An open request.
#[derive(Debug)]
pub(crate) struct Open(Arc<Activity>);

impl Open {
    /// What is waiting to be sent on its connection.
    pub(super) fn stalls(&self) -> &Stalls {
        self.0.stalls()
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        self.0.rest();
        self.0.requests.fetch_sub(1, Ordering::AcqRel);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const FIRST: Duration = Duration::from_secs(32);
    const IDLE: Duration = Duration::from_secs(90);

    fn activity() -> Arc<Activity> {
        Activity::new(watch::channel(Phase::Serving).1)
    }

    #[tokio::test(start_paused = true)]
    async fn the_first_request_has_a_deadline_of_its_own() {
        let (start, activity) = (Instant::now(), activity());
        activity.idle(FIRST, IDLE).await;
        assert_eq!(start.elapsed().as_secs(), 32);
    }

    #[tokio::test(start_paused = true)]
    async fn a_connection_is_not_idle_while_a_request_is_open() {
        let (start, activity) = (Instant::now(), activity());
        let open = activity.begin();
        let work = async {
            sleep(Duration::from_secs(300)).await;
            drop(open);
        };
        tokio::join!(activity.idle(FIRST, IDLE), work);
        assert_eq!(start.elapsed().as_secs(), 390);
    }

    #[tokio::test(start_paused = true)]
    async fn requests_put_the_end_off() {
        let (start, activity) = (Instant::now(), activity());
        let work = async {
            for _ in 0..10 {
                sleep(Duration::from_secs(30)).await;
                drop(activity.begin());
            }
        };
        tokio::join!(activity.idle(FIRST, IDLE), work);
        assert_eq!(start.elapsed().as_secs(), 390);
    }
}
