//! Response bodies whose bytes are followed until the transport has taken them.
//!
//! What hyper has taken from a body may wait in its queues for as long as the peer pleases, and
//! the body learns nothing of it: it is not polled meanwhile, or is gone already. So each block of
//! bytes tells by itself when some of it is written and when it is dropped.

use std::{
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
};

use bytes::{Buf, Bytes};
use http_body::{Body as _, Frame, SizeHint};
use parking_lot::Mutex;

use super::{activity::Open, stall::Tick};
use crate::body::{Body, BoxError};

/// A response body that keeps its request open until its last byte was written.
pub(super) struct Outgoing {
    body: Body,
    request: Request,
}

/// Who has the open request.
enum Request {
    /// The body: nothing of it is on its way, or nothing of it needs to be followed.
    Unsent(Open),
    /// The body and its blocks.
    Shared(Arc<Flow>),
    /// The only block.
    Sent,
}

impl Outgoing {
    pub(super) fn new(body: Body, open: Open) -> Self {
        Self { body, request: Request::Unsent(open) }
    }

    fn block(&mut self, bytes: Bytes) -> Block {
        let request = std::mem::replace(&mut self.request, Request::Sent);
        let flow = match request {
            // Nearly every response: one block, which allocates nothing.
            Request::Unsent(open) if self.body.is_end_stream() => {
                return Block { bytes, wait: Wait::Alone(Alone::new(open)) };
            }
            Request::Unsent(open) => Arc::new(Flow::new(open)),
            Request::Shared(flow) => flow,
            Request::Sent => return Block { bytes, wait: Wait::Over },
        };
        self.request = Request::Shared(Arc::clone(&flow));
        Block { bytes, wait: Wait::Among(Among::new(flow)) }
    }
}

impl http_body::Body for Outgoing {
    type Data = Block;
    type Error = BoxError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Block>, BoxError>>> {
        let frame = ready!(Pin::new(&mut self.body).poll_frame(cx));
        Poll::Ready(
            frame.map(|result| result.map(|frame| frame.map_data(|bytes| self.block(bytes)))),
        )
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

/// Bytes of a response on their way to the peer.
pub(super) struct Block {
    bytes: Bytes,
    wait: Wait,
}

enum Wait {
    /// The only block of its response.
    Alone(Alone),
    /// One of several, of which the first moves while the others wait for their turn.
    Among(Among),
    /// Not followed.
    Over,
}

impl Block {
    fn moved(&mut self) {
        match &mut self.wait {
            Wait::Alone(alone) => alone.open.stalls().moved(&mut alone.since),
            Wait::Among(among) => among.0.moved(),
            Wait::Over => {}
        }
    }
}

impl Buf for Block {
    fn remaining(&self) -> usize {
        self.bytes.remaining()
    }

    fn chunk(&self) -> &[u8] {
        self.bytes.chunk()
    }

    fn advance(&mut self, count: usize) {
        self.bytes.advance(count);
        if count > 0 {
            self.moved();
        }
    }

    fn copy_to_bytes(&mut self, count: usize) -> Bytes {
        self.moved();
        self.bytes.copy_to_bytes(count)
    }
}

struct Alone {
    since: Tick,
    open: Open,
}

impl Alone {
    fn new(open: Open) -> Self {
        Self { since: open.stalls().enter(), open }
    }
}

impl Drop for Alone {
    fn drop(&mut self) {
        self.open.stalls().leave(self.since);
    }
}

/// The blocks of one response that are on their way.
struct Flow {
    waiting: Mutex<Waiting>,
    open: Open,
}

struct Waiting {
    blocks: usize,
    /// Of all of them together; counted while there is any.
    since: Option<Tick>,
}

impl Flow {
    fn new(open: Open) -> Self {
        Self { waiting: Mutex::new(Waiting { blocks: 0, since: None }), open }
    }

    fn moved(&self) {
        if let Some(since) = &mut self.waiting.lock().since {
            self.open.stalls().moved(since);
        }
    }
}

struct Among(Arc<Flow>);

impl Among {
    fn new(flow: Arc<Flow>) -> Self {
        let mut waiting = flow.waiting.lock();
        waiting.blocks += 1;
        waiting.since.get_or_insert_with(|| flow.open.stalls().enter());
        drop(waiting);
        Self(flow)
    }
}

impl Drop for Among {
    fn drop(&mut self) {
        let mut waiting = self.0.waiting.lock();
        waiting.blocks -= 1;
        if waiting.blocks == 0
            && let Some(since) = waiting.since.take()
        {
            self.0.open.stalls().leave(since);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use futures_util::stream;
    use http_body_util::BodyExt as _;
    use tokio::{
        sync::watch,
        time::{sleep, timeout},
    };

    use super::*;
    use crate::listener::{activity::Activity, connection::Phase};

    const LIMIT: Duration = Duration::from_secs(60);
    const LONG: Duration = Duration::from_secs(3600);

    fn activity() -> Arc<Activity> {
        Activity::new(watch::channel(Phase::Serving).1)
    }

    async fn next(body: &mut Outgoing) -> Block {
        body.frame().await.unwrap().unwrap().into_data().ok().unwrap()
    }

    fn chunks(count: usize) -> Body {
        Body::stream(stream::iter((0..count).map(|_| Ok(Bytes::from("0123456789")))))
    }

    #[tokio::test(start_paused = true)]
    async fn a_block_that_nobody_writes_is_found_even_without_its_body() {
        for body in [Body::full("0123456789"), chunks(2)] {
            let activity = activity();
            let mut body = Outgoing::new(body, activity.begin());
            timeout(LONG, activity.stalled(LIMIT)).await.unwrap_err();
            let block = next(&mut body).await;
            drop(body);
            timeout(LIMIT * 2, activity.stalled(LIMIT)).await.unwrap();
            drop(block);
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_written_block_is_not_missed() {
        for body in [Body::full("0123456789"), chunks(2)] {
            let activity = activity();
            let mut body = Outgoing::new(body, activity.begin());
            drop(next(&mut body).await);
            // The rest of a stream may come when it likes.
            timeout(LONG, activity.stalled(LIMIT)).await.unwrap_err();
        }
    }

    #[tokio::test(start_paused = true)]
    async fn blocks_that_wait_behind_one_that_moves_are_not_stuck() {
        let activity = activity();
        let mut body = Outgoing::new(chunks(3), activity.begin());
        let mut first = next(&mut body).await;
        let second = next(&mut body).await;
        let slow = async {
            while first.has_remaining() {
                sleep(Duration::from_secs(50)).await;
                first.advance(1);
            }
        };
        tokio::select! {
            () = activity.stalled(LIMIT) => panic!("cut"),
            () = slow => {}
        }
        drop(first);
        timeout(LIMIT * 2, activity.stalled(LIMIT)).await.unwrap();
        drop(second);
    }

    #[tokio::test(start_paused = true)]
    async fn a_request_is_open_until_its_last_block_is_written() {
        for body in [Body::full("0123456789"), chunks(1)] {
            let activity = activity();
            let mut body = Outgoing::new(body, activity.begin());
            let block = next(&mut body).await;
            drop(body);
            timeout(LONG, activity.idle(LIMIT, LIMIT)).await.unwrap_err();
            drop(block);
            timeout(LIMIT * 2, activity.idle(LIMIT, LIMIT)).await.unwrap();
        }
    }
}
