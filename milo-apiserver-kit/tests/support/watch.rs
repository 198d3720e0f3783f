//! Reading the events of a watch.

use bytes::BytesMut;
use http_body_util::BodyExt as _;
use hyper::body::Incoming;
use serde_json::Value;

use super::{soon, version};

/// The events of a watch, one per line.
pub(crate) struct Events {
    body: Incoming,
    buffer: BytesMut,
}

impl Events {
    pub(crate) fn new(body: Incoming) -> Self {
        Self { body, buffer: BytesMut::new() }
    }

    /// The next event; none when the stream has ended.
    pub(crate) async fn try_next(&mut self) -> Option<Value> {
        loop {
            if let Some(end) = self.buffer.iter().position(|byte| *byte == b'\n') {
                let line = self.buffer.split_to(end + 1);
                return Some(serde_json::from_slice(&line).unwrap());
            }
            let Some(frame) = soon(self.body.frame()).await else {
                assert!(self.buffer.is_empty(), "the stream ends inside an event");
                return None;
            };
            if let Ok(data) = frame.unwrap().into_data() {
                self.buffer.extend_from_slice(&data);
            }
        }
    }

    pub(crate) async fn next(&mut self) -> Value {
        self.try_next().await.expect("an event, not the end of the watch")
    }

    /// The next event, which must be of this type; its object.
    pub(crate) async fn expect(&mut self, event: &str) -> Value {
        let mut next = self.next().await;
        assert_eq!(next["type"], event, "{next}");
        next["object"].take()
    }

    /// The next events, in short: `ADDED name version`.
    pub(crate) async fn brief(&mut self, count: usize) -> Vec<String> {
        let mut seen = Vec::with_capacity(count);
        for _ in 0..count {
            let event = self.next().await;
            let object = &event["object"];
            let (kind, name) = (event["type"].as_str(), object["metadata"]["name"].as_str());
            let name = name.unwrap_or_default();
            seen.push(format!("{} {name} {}", kind.unwrap(), version(object)));
        }
        seen
    }

    /// The watch must end here.
    pub(crate) async fn ends(&mut self) {
        let event = self.try_next().await;
        assert_eq!(event, None);
    }
}
