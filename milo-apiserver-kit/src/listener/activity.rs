//! What is going on on one connection: how many requests are open, and since when none is.

use std::{
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering},
    },
    task::{Context, Poll},
    time::Duration,
};

use bytes::Bytes;
use http_body::{Frame, SizeHint};
use tokio::{
    sync::{Notify, watch},
    time::{Instant, sleep},
};

use super::connection::Phase;
use crate::body::{Body, BoxError};

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
            _alive: alive,
        })
    }

    /// A request begins; it ends when the guard is dropped.
    pub(super) fn begin(self: &Arc<Self>) -> Open {
        self.any.store(true, Ordering::Relaxed);
        self.requests.fetch_add(1, Ordering::AcqRel);
        Open(Arc::clone(self))
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
}

/// An open request.
#[derive(Debug)]
pub(super) struct Open(Arc<Activity>);

impl Drop for Open {
    fn drop(&mut self) {
        let now = self.0.opened.elapsed().as_millis();
        self.0.idle_since.store(u64::try_from(now).unwrap_or(u64::MAX), Ordering::Relaxed);
        self.0.requests.fetch_sub(1, Ordering::AcqRel);
    }
}

/// A response body that keeps its request open until it has been sent.
pub(super) struct Tracked {
    body: Body,
    _open: Open,
}

impl Tracked {
    pub(super) fn new(body: Body, open: Open) -> Self {
        Self { body, _open: open }
    }
}

impl http_body::Body for Tracked {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        Pin::new(&mut self.body).poll_frame(cx)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
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
