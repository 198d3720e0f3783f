//! `WATCH`: a stream of changes (`spec/wire.md` sections 4.5 and 4.6).
//!
//! A watch begins with a state or with the recent past and then follows the cache. It never leaves
//! a change out: a client that is too slow is disconnected and resumes from the last resource
//! version it has seen.

use std::{collections::VecDeque, pin::Pin, sync::Arc, time::Duration};

use bytes::{Bytes, BytesMut};
use http::{Response, StatusCode};
use milo_core::{
    key::KeyRange,
    object::Object,
    selector::{FieldOperator, FieldRequirement},
    status::StatusError,
    storage::{Event, Revision, Watch},
};
use serde_json::{Value, json};
use tokio::time::{Instant, Sleep};
use tokio_util::sync::{CancellationToken, WaitForCancellationFutureOwned};

use super::{Call, Place, Resource, rest_watch::Watcher};
use crate::{
    body::Body,
    cache::{Cache, Cached, Change, Cursor, EventType, Filter, Joined, Walk, frame},
    errors,
    negotiate::{Form, MetaVersion},
    request::options::{Freshness, Selection, WatchOptions, WatchStart},
    respond,
    table::{IncludeObject, TableWriter, partial},
};

/// Without a timeout of the client's, a watch lasts between one and two of these.
const MIN_DURATION: Duration = Duration::from_secs(1800);
const BOOKMARK_PERIOD: Duration = Duration::from_secs(60);
/// The last bookmark comes so long before the end.
const LAST_BOOKMARK: Duration = Duration::from_secs(2);
/// How much is sent at once.
const BLOCK: usize = 64 * 1024;
/// How many objects are looked at before other tasks get their turn.
const TURN: usize = 1024;

impl Resource {
    /// # Errors
    /// What is wrong before anything was watched. Everything later is told by an event.
    pub(crate) async fn watch(
        self: &Arc<Self>,
        call: &Call<'_>,
        place: &Place,
        closing: CancellationToken,
    ) -> Result<Response<Body>, StatusError> {
        let mut options = WatchOptions::parse(call.query)?;
        self.check_fields(&options.selection)?;
        options.selection = only(options.selection, &call.target.name)?;
        let include = IncludeObject::parse(call.query.first("includeObject"))?;
        let encoder = Encoder { form: call.form, include, columns_sent: false };
        let ends = Instant::now() + options.timeout.unwrap_or_else(default_duration);
        if let Some(handler) = self.backend.watches() {
            let watcher = Watcher::new(self.clone(), handler, call, place, options.selection);
            return Ok(watcher.stream(options.start, encoder, options.bookmarks, ends, closing));
        }
        let range = self.selected_range(place, &call.target.namespace, &options.selection)?;
        if !self.key_value()?.cache.is_ready() {
            self.key_value()?.cache.reach(Freshness::Any).await?;
        }
        let bookmarks = options.bookmarks.then(|| first_bookmark(ends));
        let stream = WatchStream {
            resource: self.clone(),
            cache: self.key_value()?.cache.clone(),
            range,
            filter: place.filter().selecting(options.selection),
            encoder,
            bookmarks,
            ends,
            alarm: Box::pin(tokio::time::sleep_until(bookmarks.unwrap_or(ends))),
            stop: Box::pin(closing.cancelled_owned()),
            told: Revision::ZERO,
            unread: VecDeque::new(),
            bookmark: BookmarkState::NotDue,
            phase: Phase::Start(options.start),
        };
        let chunks = futures_util::stream::unfold(stream, async |mut stream| {
            let chunk = stream.next().await?;
            Some((Ok(chunk), stream))
        });
        Ok(respond::json(StatusCode::OK, Body::stream(chunks)))
    }
}

/// What is selected of the object that the request names, if it names one.
fn only(mut selection: Selection, name: &str) -> Result<Selection, StatusError> {
    if name.is_empty() {
        return Ok(selection);
    }
    match selection.fields.required_value("metadata.name") {
        Some(selected) if selected == name => {}
        Some(_) => {
            let text = "fieldSelector metadata.name doesn't match requested name";
            return Err(StatusError::bad_request(text));
        }
        None => {
            let named = FieldRequirement::new("metadata.name", FieldOperator::Equals, name);
            selection.fields = selection.fields.with(named);
        }
    }
    Ok(selection)
}

/// Somewhere between one and two minimal durations, so that watches do not end all at once.
fn default_duration() -> Duration {
    let random = uuid::Uuid::new_v4().as_u128() % MIN_DURATION.as_millis();
    MIN_DURATION + Duration::from_millis(u64::try_from(random).unwrap_or(0))
}

/// When the first bookmark is due: in a minute, or shortly before the end, if only just.
pub(super) fn first_bookmark(ends: Instant) -> Instant {
    next_bookmark(ends).min(ends.checked_sub(LAST_BOOKMARK).unwrap_or(ends)).max(Instant::now())
}

/// When the next bookmark is due: in a minute, or shortly before the end, and none after that.
pub(super) fn next_bookmark(ends: Instant) -> Instant {
    let now = Instant::now();
    match ends.checked_sub(LAST_BOOKMARK) {
        Some(last) if now < last => last.min(now + BOOKMARK_PERIOD),
        _ => ends,
    }
}

/// One client's watch.
struct WatchStream {
    resource: Arc<Resource>,
    cache: Arc<Cache>,
    range: KeyRange,
    filter: Filter,
    encoder: Encoder,
    /// When the next one is due, for clients that asked for bookmarks.
    bookmarks: Option<Instant>,
    ends: Instant,
    /// Rings when the next bookmark is due, or the time is up. It is set once a minute, not
    /// whenever something happens: with a thousand watchers of busy objects that shows.
    alarm: Pin<Box<Sleep>>,
    /// The server shuts down.
    stop: Pin<Box<WaitForCancellationFutureOwned>>,
    /// The highest resource version that the client has been told.
    told: Revision,
    /// What is to be sent before anything else.
    unread: VecDeque<Arc<Change>>,
    bookmark: BookmarkState,
    phase: Phase,
}

/// Whether a bookmark is to be sent.
#[derive(Clone, Copy)]
enum BookmarkState {
    NotDue,
    /// As soon as everything up to some revision has been read.
    Due,
    /// After what is unread, which is everything up to this revision.
    At(Revision),
}

enum Phase {
    /// Nothing has been sent yet.
    Start(WatchStart),
    /// The state that the watch begins with is being sent.
    Initial { objects: Walk, joined: Joined, marked: bool },
    /// Changes older than the cache remembers come from the storage, up to where it was joined.
    Replay { history: Watch, joined: Joined },
    /// The watch follows the cache, or catches up with it.
    Live(Cursor),
    /// An error has been sent, or the client is too slow.
    Done,
}

impl WatchStream {
    /// The next bytes to send; none when the watch is over.
    async fn next(&mut self) -> Option<Bytes> {
        loop {
            let sent = self.pending();
            if !matches!(&sent, Ok(bytes) if bytes.is_empty()) {
                return Some(self.finish(sent));
            }
            // Whoever selects little of much reads on without ever having to wait.
            tokio::task::consume_budget().await;
            // Apart from the last one these are soon over, and what they need with them: a watch
            // that waits, as most do, keeps only what waiting takes.
            let sent = match std::mem::replace(&mut self.phase, Phase::Done) {
                Phase::Start(start) => Box::pin(self.start(start)).await,
                Phase::Initial { objects, joined, marked } => {
                    Box::pin(self.initial(objects, joined, marked)).await
                }
                Phase::Replay { history, joined } => Box::pin(self.replay(history, joined)).await?,
                Phase::Live(cursor) => self.live(cursor).await?,
                Phase::Done => return None,
            };
            if !matches!(&sent, Ok(bytes) if bytes.is_empty()) {
                return Some(self.finish(sent));
            }
        }
    }

    fn finish(&mut self, sent: Result<Bytes, StatusError>) -> Bytes {
        sent.unwrap_or_else(|error| {
            // Nothing follows an error.
            self.unread.clear();
            self.bookmark = BookmarkState::NotDue;
            self.phase = Phase::Done;
            error_frame(&error)
        })
    }

    /// What is to be sent before looking further.
    fn pending(&mut self) -> Result<Bytes, StatusError> {
        while !self.unread.is_empty() {
            let block = self.block()?;
            if !block.is_empty() {
                return Ok(block);
            }
        }
        if let BookmarkState::At(revision) = self.bookmark {
            self.bookmark = BookmarkState::NotDue;
            return Ok(self.bookmark(revision.max(self.told), false));
        }
        Ok(Bytes::new())
    }

    async fn start(&mut self, start: WatchStart) -> Result<Bytes, StatusError> {
        let cache = self.cache.clone();
        match start {
            WatchStart::State(freshness, marked) => {
                cache.reach(freshness).await?;
                let (objects, joined) = cache.join_with_state(&self.range, &self.filter);
                self.told = joined.revision;
                let marked = marked && self.bookmarks.is_some();
                self.phase = Phase::Initial { objects, joined, marked };
            }
            WatchStart::Now(freshness) => {
                cache.reach(freshness).await?;
                let joined = cache.join_now(&self.range, &self.filter);
                self.told = joined.revision;
                self.phase = Phase::Live(joined.cursor);
            }
            WatchStart::After(revision) => {
                cache.reach(Freshness::NotOlderThan(revision)).await?;
                self.told = revision;
                self.phase = self.after(revision).await?;
            }
        }
        Ok(Bytes::new())
    }

    /// Goes on after a revision that the cache has reached.
    async fn after(&self, revision: Revision) -> Result<Phase, StatusError> {
        let cache = self.cache.clone();
        if let Some(cursor) = cache.join_after(&self.range, &self.filter, revision) {
            return Ok(Phase::Live(cursor));
        }
        let joined = cache.join_now(&self.range, &self.filter);
        let history = cache.storage().watch(&self.range, revision).await;
        let history = history.map_err(|error| errors::watch(&error))?;
        history.request_progress();
        Ok(Phase::Replay { history, joined })
    }

    /// Sends more of the state that the watch begins with. It is walked over, not copied: however
    /// long it is and however slow the client, it needs the memory of one block.
    async fn initial(
        &mut self,
        mut objects: Walk,
        mut joined: Joined,
        marked: bool,
    ) -> Result<Bytes, StatusError> {
        let mut block = BytesMut::new();
        for looked in 1.. {
            if block.len() >= BLOCK {
                break;
            }
            if looked % TURN == 0 {
                // Whoever selects little of much must not keep others from their turn.
                tokio::task::yield_now().await;
            }
            let Some(object) = objects.next() else {
                if marked {
                    block.extend_from_slice(&self.bookmark(joined.revision, true));
                }
                // What happened meanwhile may be more than the cache keeps for a slow reader. A
                // client that has only just learned the state should not have to begin again.
                self.phase = match self.cache.read(&mut joined.cursor) {
                    Ok(changes) => {
                        self.unread = changes.into();
                        Phase::Live(joined.cursor)
                    }
                    Err(_) => self.after(joined.revision).await?,
                };
                return Ok(block.freeze());
            };
            if self.filter.matches(&object, self.resource.definition()) {
                let revision = object.revision();
                let added = EventType::Added;
                self.encoder.event(&self.resource, added, &object, revision, &mut block)?;
            }
        }
        self.phase = Phase::Initial { objects, joined, marked };
        Ok(block.freeze())
    }

    /// Waits for more of the past; none at the end of the watch.
    async fn replay(
        &mut self,
        mut history: Watch,
        joined: Joined,
    ) -> Option<Result<Bytes, StatusError>> {
        let batch = tokio::select! {
            // When the history ends, the client resumes from where it is.
            batch = history.next() => batch?,
            () = tokio::time::sleep_until(self.ends) => return None,
            () = &mut self.stop => return None,
        };
        let batch = match batch {
            Ok(batch) => batch,
            Err(error) => return Some(Err(errors::watch(&error))),
        };
        for event in batch.events {
            // What the cache will tell is not told twice.
            if event.revision() <= joined.revision {
                match self.change(event) {
                    Ok(change) => self.unread.push_back(Arc::new(change)),
                    Err(error) => return Some(Err(error)),
                }
            }
        }
        self.phase = if batch.revision < joined.revision {
            Phase::Replay { history, joined }
        } else {
            Phase::Live(joined.cursor)
        };
        Some(Ok(Bytes::new()))
    }

    fn change(&self, event: Event) -> Result<Change, StatusError> {
        let cached = |record| {
            Cached::new(record, self.resource.definition())
                .map(Arc::new)
                .map_err(|error| self.resource.corrupt(&error))
        };
        let revision = event.revision();
        let (current, previous) = match event {
            Event::Put { record, previous } => (Some(record), previous),
            Event::Delete { previous, .. } => (None, Some(previous)),
            _ => (None, None),
        };
        let current = current.map(cached).transpose()?;
        Ok(Change::new(revision, current, previous.map(cached).transpose()?))
    }

    /// Waits for something to send; none at the end of the watch.
    async fn live(&mut self, mut cursor: Cursor) -> Option<Result<Bytes, StatusError>> {
        let due = tokio::select! {
            changed = cursor.changed() => {
                changed.ok()?;
                false
            }
            () = &mut self.alarm => true,
            () = &mut self.stop => return None,
        };
        if due {
            if Instant::now() >= self.ends {
                return None;
            }
            self.bookmarks = self.bookmarks.map(|_| next_bookmark(self.ends));
            self.alarm.as_mut().reset(self.bookmarks.unwrap_or(self.ends));
        }
        let cache = self.cache.clone();
        if due {
            self.bookmark = BookmarkState::Due;
            // An idle kind learns here how far the store has come.
            let reach = Box::pin(cache.reach(Freshness::MostRecent));
            let _ = tokio::time::timeout(Duration::from_secs(1), reach).await;
        }
        // In this order: everything up to this revision is in what is read next.
        let reached = cache.revision();
        self.unread = cache.read(&mut cursor).ok()?.into();
        if matches!(self.bookmark, BookmarkState::Due) && !cursor.is_behind() {
            self.bookmark = BookmarkState::At(reached);
        }
        self.phase = Phase::Live(cursor);
        Some(Ok(Bytes::new()))
    }

    /// The lines for the next unread changes, as far as they are selected: about a block of them.
    fn block(&mut self) -> Result<Bytes, StatusError> {
        let mut only = Bytes::new();
        let mut block = BytesMut::new();
        while only.len().max(block.len()) < BLOCK
            && let Some(change) = self.unread.pop_front()
        {
            self.told = self.told.max(change.revision());
            let definition = self.resource.definition();
            let Some(event) = change.event_type(&self.filter, definition) else { continue };
            let line = self.encoder.change(&self.resource, event, &change)?;
            if only.is_empty() && block.is_empty() {
                // A lone line is sent as it is, without a copy.
                only = line;
                continue;
            }
            if block.is_empty() {
                let both = only.len() + line.len();
                block.reserve(both.max(BLOCK.min(both * 4)));
                block.extend_from_slice(&std::mem::take(&mut only));
            }
            block.extend_from_slice(&line);
        }
        Ok(if block.is_empty() { only } else { block.freeze() })
    }

    fn bookmark(&mut self, revision: Revision, ends_initial_events: bool) -> Bytes {
        self.told = self.told.max(revision);
        self.encoder.bookmark(&self.resource, revision, ends_initial_events)
    }
}

/// How the objects of one watch are written.
pub(super) struct Encoder {
    form: Form,
    include: IncludeObject,
    /// Column definitions come with the first table only.
    columns_sent: bool,
}

impl Encoder {
    /// A change: encoded once for all watchers that take the plain form.
    pub(super) fn change(
        &mut self,
        resource: &Resource,
        event: EventType,
        change: &Change,
    ) -> Result<Bytes, StatusError> {
        if self.form == Form::Plain {
            return Ok(change.frame(event));
        }
        let mut line = BytesMut::new();
        if let Some(object) = change.object(event) {
            self.event(resource, event, object, change.revision(), &mut line)?;
        }
        Ok(line.freeze())
    }

    /// Writes the line of an event at the end of `block`.
    pub(super) fn event(
        &mut self,
        resource: &Resource,
        event: EventType,
        object: &Cached,
        revision: Revision,
        block: &mut BytesMut,
    ) -> Result<(), StatusError> {
        if self.form == Form::Plain {
            object.write_frame(event, revision, block);
            return Ok(());
        }
        let mut decoded = object.decode().map_err(|error| resource.corrupt(&error))?;
        decoded.set_meta("resourceVersion", &revision.to_string());
        block.extend_from_slice(&value_frame(event.as_str(), &self.value(resource, decoded)));
        Ok(())
    }

    pub(super) fn bookmark(
        &mut self,
        resource: &Resource,
        revision: Revision,
        ends_initial_events: bool,
    ) -> Bytes {
        let definition = resource.definition();
        let mut metadata =
            json!({ "resourceVersion": revision.to_string(), "creationTimestamp": null });
        if ends_initial_events {
            metadata["annotations"] = json!({ "k8s.io/initial-events-end": "true" });
        }
        let mut object = Object::new(definition.api_version(), definition.kind(), "");
        object.fields_mut().insert("metadata".into(), metadata);
        let include = self.include;
        if ends_initial_events && include == IncludeObject::None {
            // The annotation is the message, whatever else of objects is not wanted.
            self.include = IncludeObject::Metadata;
        }
        let bookmark = value_frame("BOOKMARK", &self.value(resource, object));
        self.include = include;
        bookmark
    }

    fn value(&mut self, resource: &Resource, object: Object) -> Value {
        match self.form {
            Form::Plain => object.into_value(),
            Form::Partial(version, _) => partial(&object, version),
            Form::Table(version) => self.table(resource, version, &object),
        }
    }

    fn table(&mut self, resource: &Resource, version: MetaVersion, object: &Object) -> Value {
        let writer = TableWriter::new(resource.layout(), version, self.include);
        let metadata = json!({ "resourceVersion": object.meta("resourceVersion") });
        let columns = !std::mem::replace(&mut self.columns_sent, true);
        writer.table(&metadata, std::slice::from_ref(object), columns)
    }
}

fn value_frame(event: &str, object: &Value) -> Bytes {
    frame(event, object.to_string().as_bytes())
}

/// The event that ends a watch with a reason.
pub(super) fn error_frame(error: &StatusError) -> Bytes {
    let status = serde_json::to_vec(&error.to_status()).unwrap_or_default();
    frame("ERROR", &status)
}
