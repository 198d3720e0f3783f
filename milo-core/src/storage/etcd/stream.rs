//! One watch of etcd, as whole commits.

use std::time::Duration;

use bytes::Bytes;
use futures_util::stream;
use tokio::{sync::mpsc, time::timeout};
use tonic::Streaming;

use super::{
    client::Link,
    errors::CallError,
    messages::{
        EventType, RawEvent, ResponseHeader, WATCH, WatchCreateRequest, WatchProgressRequest,
        WatchRequest, WatchResponse, watch_request,
    },
    numbering::Numbering,
    store::{Store, unavailable},
};
use crate::storage::{Event, ReadError, Revision};

/// A watch of a range of keys, from a revision on.
pub(super) struct Stream {
    requests: mpsc::Sender<WatchRequest>,
    responses: Streaming<WatchResponse>,
    /// The parts of an answer that has not come as a whole.
    parts: Vec<RawEvent>,
    member: String,
    numbering: Numbering,
}

/// What a watch tells.
pub(super) enum Told {
    /// It runs.
    Created,
    /// Whole commits, in order, without one left out. The revision is of the last.
    Changes(Vec<RawEvent>, Revision),
    /// Everything up to here has been told, if the member keeps that promise: see
    /// [`Progress`](super::progress).
    Progress(Revision),
    /// What it should begin with is gone: the watch is over.
    Compacted(Revision),
}

impl Stream {
    /// Watches from `start` on, which is not zero.
    pub(super) async fn open(
        store: &Store,
        link: &Link,
        (key, range_end): (Bytes, Bytes),
        start: i64,
    ) -> Result<Self, ReadError> {
        let (requests, receiver) = mpsc::channel(2);
        let create = WatchCreateRequest {
            key,
            range_end,
            start_revision: start,
            prev_kv: true,
            fragment: true,
        };
        // INVARIANT: the channel is new, so there is room.
        let _sent = requests.try_send(request(watch_request::Request::Create(create)));
        let receiver = stream::unfold(receiver, |mut receiver| async {
            receiver.recv().await.map(|message| (message, receiver))
        });
        let responses = store.client.stream(link, WATCH, receiver).await.map_err(unavailable)?;
        let (member, numbering) = (link.name().to_owned(), store.numbering);
        Ok(Self { requests, responses, parts: Vec::new(), member, numbering })
    }

    /// Asks for progress. Not answered while the watch is behind.
    pub(super) fn ask_progress(&self) {
        // Full when the member does not read what it was asked before.
        let _full = self
            .requests
            .try_send(request(watch_request::Request::Progress(WatchProgressRequest {})));
    }

    /// What is told next. Cancellation-safe.
    pub(super) async fn next(&mut self) -> Result<Told, ReadError> {
        loop {
            let message = self.responses.message().await;
            let message = message
                .map_err(|status| unavailable(CallError::new(status, &self.member)))?
                .ok_or_else(|| self.over("the watch was ended"))?;
            if let Some(told) = self.told(message)? {
                return Ok(told);
            }
        }
    }

    pub(super) async fn next_within(&mut self, patience: Duration) -> Result<Told, ReadError> {
        match timeout(patience, self.next()).await {
            Ok(told) => told,
            Err(_) => Err(self.silent(patience)),
        }
    }

    fn told(&mut self, message: WatchResponse) -> Result<Option<Told>, ReadError> {
        if message.compact_revision > 0 {
            return Ok(Some(Told::Compacted(self.numbering.revision(message.compact_revision))));
        }
        if message.canceled {
            return Err(self.over(&message.cancel_reason));
        }
        if message.created {
            return Ok(Some(Told::Created));
        }
        if message.events.is_empty() && self.parts.is_empty() {
            let told = |header: ResponseHeader| self.numbering.revision(header.revision);
            return Ok(message.header.map(|header| Told::Progress(told(header))));
        }
        self.parts.extend(message.events);
        let whole = if message.fragment { whole_commits(&self.parts) } else { self.parts.len() };
        let rest = self.parts.split_off(whole);
        let events = std::mem::replace(&mut self.parts, rest);
        let last = events.last().map(|event| self.changed(event));
        Ok(last.map(|last| Told::Changes(events, last)))
    }

    /// The commit that an event is of.
    pub(super) fn changed(&self, event: &RawEvent) -> Revision {
        self.numbering.revision(number(event))
    }

    /// There was no answer in time.
    pub(super) fn silent(&self, waited: Duration) -> ReadError {
        unavailable(CallError::silent(&self.member, waited))
    }

    fn over(&self, reason: &str) -> ReadError {
        ReadError::Unavailable(format!("etcd at {}: {reason}", self.member).into())
    }
}

fn request(request: watch_request::Request) -> WatchRequest {
    WatchRequest { request: Some(request) }
}

/// The commit that an event is of, as etcd counts.
fn number(event: &RawEvent) -> i64 {
    event.kv.as_ref().map_or(0, |kv| kv.mod_revision)
}

/// How many events there are before those of the last commit, of which more may come.
fn whole_commits(events: &[RawEvent]) -> usize {
    let last = events.last().map_or(0, number);
    events.partition_point(|event| number(event) < last)
}

/// Why an event cannot be told.
pub(super) enum Untold {
    /// It is not of a key of the storage.
    Foreign,
    /// What it replaced or removed has been compacted meanwhile.
    Forgotten,
}

impl Store {
    /// What happened, in the storage's terms.
    pub(super) fn event(&self, event: &RawEvent) -> Result<Event, Untold> {
        let kv = event.kv.as_ref().ok_or(Untold::Foreign)?;
        let record = self.record(kv).ok_or(Untold::Foreign)?;
        let previous = event.prev_kv.as_ref().and_then(|kv| self.record(kv));
        if event.kind == EventType::Delete as i32 {
            let previous = previous.ok_or(Untold::Forgotten)?;
            return Ok(Event::Delete { revision: record.revision, previous });
        }
        let created = kv.create_revision == kv.mod_revision;
        if previous.is_none() && !created {
            return Err(Untold::Forgotten);
        }
        Ok(Event::Put { record, previous })
    }
}
