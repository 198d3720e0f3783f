//! Watches of kinds whose objects live behind handlers (`spec/wire.md` sections 4.5 and 4.6).
//!
//! A state is a list, read in pages and sent as it is read; what follows is the handler's stream
//! after the revision of its first page. So nothing is left out, whatever is written meanwhile.

use std::sync::Arc;

use bytes::{Bytes, BytesMut};
use futures_util::{StreamExt, stream::ReadyChunks};
use http::{Response, StatusCode};
use milo_core::{key::Key, request::RequestAttributes, status::StatusError, storage::Revision};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::{
    Call, Place, Resource,
    rest_list::{Collection, Page},
    watch::{
        encoder::{Encoder, error_frame},
        stream::{first_bookmark, next_bookmark},
    },
};
use crate::{
    body::Body,
    cache::{Change, EventType, Filter},
    request::options::{Freshness, Selection, WatchStart},
    respond,
    rest::{EventStream, ListQuery, RestRequest, Watch, WatchEvent, WatchQuery},
};

/// How many objects of the initial state are read at once.
const PAGE: usize = 500;
/// How many events are sent at once when they come faster than the client reads.
const EVENTS: usize = 64;

/// Who watches what, for as long as the watch lasts.
pub(super) struct Watcher {
    resource: Arc<Resource>,
    handler: Arc<dyn Watch>,
    attributes: RequestAttributes,
    place: Place,
    namespace: String,
    filter: Filter,
}

/// One client's watch.
struct WatchStream {
    watcher: Watcher,
    encoder: Encoder,
    /// When the next one is due, for clients that asked for bookmarks.
    bookmarks: Option<Instant>,
    ends: Instant,
    /// The highest resource version that the client has been told.
    told: Revision,
    phase: Phase,
}

enum Phase {
    /// Nothing has been sent yet.
    Start(WatchStart),
    /// More of the state that the watch begins with is to be read.
    Initial {
        query: ListQuery,
        marked: bool,
    },
    /// Everything up to this revision has been sent.
    Follow(Revision),
    Live {
        events: ReadyChunks<EventStream>,
        after: Revision,
    },
    /// An error has been sent.
    Done,
}

impl Watcher {
    pub(super) fn new(
        resource: Arc<Resource>,
        handler: Arc<dyn Watch>,
        call: &Call<'_>,
        place: &Place,
        selection: Selection,
    ) -> Self {
        let namespace = resource.selected_namespace(&call.target.namespace, &selection).to_owned();
        let (attributes, place) = (call.attributes.clone(), place.clone());
        let filter = place.filter().selecting(selection);
        Self { resource, handler, attributes, place, namespace, filter }
    }

    pub(super) fn stream(
        self,
        start: WatchStart,
        encoder: Encoder,
        bookmarks: bool,
        ends: Instant,
        closing: CancellationToken,
    ) -> Response<Body> {
        let stream = WatchStream {
            watcher: self,
            encoder,
            bookmarks: bookmarks.then(|| first_bookmark(ends)),
            ends,
            told: Revision::ZERO,
            phase: Phase::Start(start),
        };
        let chunks = futures_util::stream::unfold(stream, async |mut stream| {
            let chunk = stream.next().await?;
            Some((Ok(chunk), stream))
        });
        // Dropping what waits is the end of the watch.
        let until = closing.cancelled_owned();
        respond::json(StatusCode::OK, Body::stream(chunks.take_until(Box::pin(until))))
    }

    fn request(&self) -> RestRequest<'_> {
        RestRequest {
            attributes: &self.attributes,
            definition: self.resource.definition(),
            scope: self.place.scope(),
            namespace: &self.namespace,
            name: "",
        }
    }

    fn collection(&self) -> Collection<'_> {
        Collection {
            resource: &self.resource,
            request: self.request(),
            place: &self.place,
            filter: &self.filter,
        }
    }

    async fn page(&self, query: &ListQuery) -> Result<Page, StatusError> {
        self.collection().page(&*self.handler, query).await
    }

    /// The newest revision, if it is as fresh as asked.
    async fn now(&self, freshness: Freshness) -> Result<Revision, StatusError> {
        let query = ListQuery { limit: 1, ..self.collection().query() };
        let page = self.page(&query).await?;
        fresh_enough(&page, freshness)?;
        Ok(page.revision)
    }

    async fn events(&self, after: Revision) -> Result<ReadyChunks<EventStream>, StatusError> {
        let events = self.handler.watch(&self.request(), &WatchQuery { after }).await?;
        Ok(events.ready_chunks(EVENTS))
    }

    /// What an event tells; none when it only tells how far the handler is.
    fn change(&self, event: WatchEvent) -> Result<Result<Change, Revision>, StatusError> {
        let shared = |object| self.resource.shared(&self.place, object);
        Ok(match event {
            WatchEvent::Put { object, previous } => {
                let current = shared(object)?;
                let previous = previous.map(shared).transpose()?;
                if previous.as_ref().is_some_and(|previous| previous.key() != current.key()) {
                    return Err(self.broken("took one object for another"));
                }
                Ok(Change::new(current.revision(), Some(current), previous))
            }
            WatchEvent::Deleted { object, revision } => {
                Ok(Change::new(revision, None, Some(shared(object)?)))
            }
            WatchEvent::Progress(revision) => Err(revision),
        })
    }

    /// The handler does not keep to its contract.
    fn broken(&self, how: &str) -> StatusError {
        let plural = self.resource.definition().plural();
        StatusError::internal(format!("the handler of {plural} {how}"))
    }

    fn concerns(&self, change: &Change) -> bool {
        let namespace = change.key().and_then(Key::segments).map(|found| found.namespace);
        self.namespace.is_empty() || namespace == Some(self.namespace.as_str())
    }
}

impl WatchStream {
    /// The next bytes to send; none when the watch is over.
    async fn next(&mut self) -> Option<Bytes> {
        loop {
            tokio::task::consume_budget().await;
            let ends = self.ends;
            let sent = match std::mem::replace(&mut self.phase, Phase::Done) {
                Phase::Live { events, after } => self.live(events, after).await?,
                Phase::Done => return None,
                phase => tokio::time::timeout_at(ends, self.begin(phase)).await.ok()?,
            };
            match sent {
                Ok(block) if block.is_empty() => {}
                Ok(block) => return Some(block),
                Err(error) => {
                    // Nothing follows an error.
                    self.phase = Phase::Done;
                    return Some(error_frame(&error));
                }
            }
        }
    }

    async fn begin(&mut self, phase: Phase) -> Result<Bytes, StatusError> {
        match phase {
            Phase::Start(WatchStart::State(freshness, marked)) => {
                let query = ListQuery { limit: PAGE, ..self.watcher.collection().query() };
                let page = self.watcher.page(&query).await?;
                fresh_enough(&page, freshness)?;
                self.told = page.revision;
                let query = ListQuery { at: Some(page.revision), ..query };
                return self.initial(page, query, marked && self.bookmarks.is_some());
            }
            Phase::Start(WatchStart::Now(freshness)) => {
                let revision = self.watcher.now(freshness).await?;
                self.follow(revision);
            }
            Phase::Start(WatchStart::After(revision)) => {
                self.watcher.now(Freshness::NotOlderThan(revision)).await?;
                self.follow(revision);
            }
            Phase::Initial { query, marked } => {
                let page = self.watcher.page(&query).await?;
                return self.initial(page, query, marked);
            }
            Phase::Follow(after) => {
                self.phase = Phase::Live { events: self.watcher.events(after).await?, after };
            }
            Phase::Live { .. } | Phase::Done => {}
        }
        Ok(Bytes::new())
    }

    fn follow(&mut self, after: Revision) {
        self.told = after;
        self.phase = Phase::Follow(after);
    }

    /// Sends a page of the state that the watch begins with.
    fn initial(
        &mut self,
        page: Page,
        query: ListQuery,
        marked: bool,
    ) -> Result<Bytes, StatusError> {
        let mut block = BytesMut::new();
        let resource = &self.watcher.resource;
        for object in page.objects {
            let revision = object.revision();
            self.encoder.event(resource, EventType::Added, &object, revision, &mut block)?;
        }
        self.phase = match page.next {
            Some(next) => {
                Phase::Initial { query: ListQuery { after: Some(next), ..query }, marked }
            }
            None => {
                if marked {
                    let bookmark = self.encoder.bookmark(resource, self.told, true);
                    block.extend_from_slice(&bookmark);
                }
                Phase::Follow(self.told)
            }
        };
        Ok(block.freeze())
    }

    /// Waits for something to send; none at the end of the watch.
    async fn live(
        &mut self,
        mut events: ReadyChunks<EventStream>,
        after: Revision,
    ) -> Option<Result<Bytes, StatusError>> {
        let wakes = self.bookmarks.map_or(self.ends, |bookmark| bookmark.min(self.ends));
        let sent = tokio::select! {
            // When the handler has no more to tell, the client resumes from where it is.
            arrived = events.next() => Some(arrived?),
            () = tokio::time::sleep_until(wakes) => None,
        };
        let Some(arrived) = sent else {
            if Instant::now() >= self.ends {
                return None;
            }
            self.bookmarks = Some(next_bookmark(self.ends));
            self.phase = Phase::Live { events, after };
            return Some(Ok(self.encoder.bookmark(&self.watcher.resource, self.told, false)));
        };
        self.phase = Phase::Live { events, after };
        let mut block = BytesMut::new();
        for event in arrived {
            if let Err(error) = event.and_then(|event| self.tell(event, after, &mut block)) {
                block.extend_from_slice(&error_frame(&error));
                self.phase = Phase::Done;
                break;
            }
        }
        Some(Ok(block.freeze()))
    }

    /// Writes the line of an event, if the client is to be told of it.
    fn tell(
        &mut self,
        event: WatchEvent,
        after: Revision,
        block: &mut BytesMut,
    ) -> Result<(), StatusError> {
        let resource = &self.watcher.resource;
        let change = match self.watcher.change(event)? {
            Ok(change) => change,
            Err(reached) => {
                self.told = self.told.max(reached);
                return Ok(());
            }
        };
        // What the client knows is not told twice.
        if change.revision() <= after {
            return Ok(());
        }
        if change.revision() < self.told {
            // Whoever resumes from what was told already would never hear of it.
            return Err(self.watcher.broken("told changes in the wrong order"));
        }
        self.told = change.revision();
        if !self.watcher.concerns(&change) {
            return Ok(());
        }
        if let Some(event) = change.event_type(&self.watcher.filter, resource.definition()) {
            block.extend_from_slice(&self.encoder.change(resource, event, &change)?);
        }
        Ok(())
    }
}

fn fresh_enough(page: &Page, freshness: Freshness) -> Result<(), StatusError> {
    match freshness {
        Freshness::NotOlderThan(wanted) | Freshness::Exact(wanted) if page.revision < wanted => {
            Err(StatusError::resource_version_too_large(wanted.get(), page.revision.get()))
        }
        _ => Ok(()),
    }
}
