//! The response body of the kit: nothing, bytes at hand, or a stream of bytes.
//!
//! Nearly every answer is one block of bytes that is known before the first byte is sent; it is
//! kept without boxing and announces its exact size, so that HTTP/1.1 carries a
//! `Content-Length`. Watches and large lists stream.

use std::{
    fmt,
    panic::AssertUnwindSafe,
    pin::Pin,
    task::{Context, Poll},
};

use bytes::Bytes;
use futures_core::Stream;
use http_body::{Frame, SizeHint};
use tokio::sync::mpsc;

/// An error that ends a stream half-way. It is logged, and the connection (HTTP/1.1) or the
/// stream (HTTP/2) is cut, so that a client never takes a part for the whole.
pub type BoxError = Box<dyn std::error::Error + Send + Sync>;

/// What a streaming body yields: a piece of the body, or why there will be no more.
pub type Chunk = Result<Bytes, BoxError>;

/// A body that is produced while it is sent.
pub(crate) type Chunks = Pin<Box<dyn Stream<Item = Chunk> + Send>>;

/// The body of a response.
#[derive(Default)]
pub struct Body(Kind);

#[derive(Default)]
enum Kind {
    #[default]
    Empty,
    Full(Bytes),
    Stream(Chunks),
    Bulk(Chunks),
    Channel(mpsc::Receiver<Chunk>),
}

impl Body {
    /// A body of no bytes.
    #[must_use]
    pub fn empty() -> Self {
        Self::default()
    }

    /// A body of known bytes. Never allocates.
    #[must_use]
    pub fn full(bytes: impl Into<Bytes>) -> Self {
        let bytes = bytes.into();
        Self(if bytes.is_empty() { Kind::Empty } else { Kind::Full(bytes) })
    }

    /// A body that is produced while it is sent.
    #[must_use]
    pub fn stream(chunks: impl Stream<Item = Chunk> + Send + 'static) -> Self {
        Self(Kind::Stream(Box::pin(chunks)))
    }

    /// A large body that is produced while it is sent, such as a long list. Nobody waits for a
    /// piece of it, so it may be compressed, which holds pieces back.
    #[must_use]
    pub fn bulk(chunks: impl Stream<Item = Chunk> + Send + 'static) -> Self {
        Self(Kind::Bulk(Box::pin(chunks)))
    }

    /// A body that another task produces. It ends when every sender is gone; senders notice a
    /// client that went away because their channel is closed.
    #[must_use]
    pub fn channel(capacity: usize) -> (mpsc::Sender<Chunk>, Self) {
        let (sender, receiver) = mpsc::channel(capacity.max(1));
        (sender, Self(Kind::Channel(receiver)))
    }

    /// The bytes, when all of them are at hand: for tests, audit and compression, which may want
    /// to look at a body without consuming it.
    #[must_use]
    pub fn as_bytes(&self) -> Option<&Bytes> {
        static NONE: Bytes = Bytes::new();
        match &self.0 {
            Kind::Empty => Some(&NONE),
            Kind::Full(bytes) => Some(bytes),
            Kind::Stream(_) | Kind::Bulk(_) | Kind::Channel(_) => None,
        }
    }

    /// The chunks of a body that is worth compressing: of more than `least` bytes, and read to its
    /// end before anything is done with it. Otherwise the body as it was.
    pub(crate) fn into_compressible(self, least: usize) -> Result<Chunks, Self> {
        match self.0 {
            Kind::Bulk(chunks) => Ok(chunks),
            Kind::Full(bytes) if bytes.len() > least => {
                Ok(Box::pin(futures_util::stream::once(std::future::ready(Ok(bytes)))))
            }
            other => Err(Self(other)),
        }
    }
}

/// A panic while a body is made cuts off this body: the connection, which others may share, stays.
fn poll_guarded(chunks: &mut Chunks, cx: &mut Context<'_>) -> Poll<Option<Chunk>> {
    std::panic::catch_unwind(AssertUnwindSafe(|| chunks.as_mut().poll_next(cx)))
        .unwrap_or_else(|_| Poll::Ready(Some(Err("the body could not be made: panic".into()))))
}

impl http_body::Body for Body {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        let chunk = match &mut self.0 {
            Kind::Empty => return Poll::Ready(None),
            Kind::Full(bytes) => {
                let bytes = std::mem::take(bytes);
                self.0 = Kind::Empty;
                return Poll::Ready(Some(Ok(Frame::data(bytes))));
            }
            Kind::Stream(stream) | Kind::Bulk(stream) => poll_guarded(stream, cx),
            Kind::Channel(receiver) => receiver.poll_recv(cx),
        };
        if matches!(chunk, Poll::Ready(Some(Err(_)))) {
            self.0 = Kind::Empty;
        }
        chunk.map(|chunk| chunk.map(|result| result.map(Frame::data)))
    }

    fn is_end_stream(&self) -> bool {
        matches!(self.0, Kind::Empty)
    }

    fn size_hint(&self) -> SizeHint {
        self.as_bytes().map_or_else(SizeHint::default, |bytes| {
            // A usize is at most 64 bits wide on every platform that Rust supports.
            SizeHint::with_exact(bytes.len() as u64)
        })
    }
}

impl<T: Into<Bytes>> From<T> for Body {
    fn from(bytes: T) -> Self {
        Self::full(bytes)
    }
}

impl fmt::Debug for Body {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.as_bytes() {
            Some(bytes) => write!(f, "Body({} bytes)", bytes.len()),
            None => f.write_str("Body(stream)"),
        }
    }
}

#[cfg(test)]
mod tests {
    use futures_util::{StreamExt as _, stream};
    use http_body::Body as _;
    use http_body_util::BodyExt as _;

    use super::*;

    #[tokio::test]
    async fn known_bytes_have_an_exact_size() {
        let body = Body::full("hello");
        assert_eq!(body.size_hint().exact(), Some(5));
        assert!(!body.is_end_stream());
        assert_eq!(body.collect().await.unwrap().to_bytes(), "hello");
    }

    #[test]
    fn no_bytes_are_the_end() {
        for body in [Body::empty(), Body::full(""), Body::default()] {
            assert!(body.is_end_stream());
            assert_eq!(body.size_hint().exact(), Some(0));
        }
    }

    #[tokio::test]
    async fn a_stream_yields_its_chunks_and_its_error() {
        let chunks = [Ok(Bytes::from("a")), Ok(Bytes::from("b")), Err("broken".into())];
        let mut body = Body::stream(stream::iter(chunks));
        assert_eq!(body.size_hint().exact(), None);
        assert_eq!(body.frame().await.unwrap().unwrap().into_data().unwrap(), "a");
        assert_eq!(body.frame().await.unwrap().unwrap().into_data().unwrap(), "b");
        assert_eq!(body.frame().await.unwrap().unwrap_err().to_string(), "broken");
    }

    #[tokio::test]
    async fn a_stream_that_panics_is_cut_off() {
        let chunks = stream::iter([1, 0]).map(|number| {
            assert!(number > 0, "expected by the test");
            Ok(Bytes::from("a"))
        });
        let mut body = Body::stream(chunks);
        assert!(body.frame().await.unwrap().is_ok());
        assert!(body.frame().await.unwrap().is_err());
        assert!(body.frame().await.is_none());
    }

    #[tokio::test]
    async fn a_channel_ends_with_its_senders_and_tells_them_when_the_reader_left() {
        let (sender, body) = Body::channel(4);
        sender.send(Ok(Bytes::from("x"))).await.unwrap();
        let other = sender.clone();
        drop(sender);
        other.send(Ok(Bytes::from("y"))).await.unwrap();
        drop(other);
        assert_eq!(body.collect().await.unwrap().to_bytes(), "xy");

        let (sender, body) = Body::channel(0);
        drop(body);
        sender.closed().await;
    }
}
