//! A change to one object, encoded once however many watch it.

use bytes::{BufMut, Bytes, BytesMut};
use milo_core::{definition::ResourceDefinition, key::Key, storage::Revision};
use parking_lot::Mutex;

use std::sync::Arc;

use super::{
    cached::{Cached, CorruptObject, Shared},
    filter::Filter,
};

/// What a watcher is told of a change, depending on what it selects.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum EventType {
    Added,
    Modified,
    Deleted,
}

impl EventType {
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Added => "ADDED",
            Self::Modified => "MODIFIED",
            Self::Deleted => "DELETED",
        }
    }
}

/// One committed change. At least one of `current`, `previous` and `corrupt` is there.
#[derive(Debug)]
pub(crate) struct Change {
    revision: Revision,
    current: Option<Shared>,
    previous: Option<Shared>,
    /// What was written, or removed, cannot be read.
    corrupt: Option<Arc<CorruptObject>>,
    /// What was replaced could not be read.
    repairs: bool,
    /// The lines of each event type that were asked for; none once they are not kept any more.
    frames: Mutex<Frames>,
}

/// Encoded lines, in memory of their own: of the many changes that are remembered few have any.
#[derive(Debug, Default)]
enum Frames {
    /// None was asked for yet.
    #[default]
    None,
    Kept(Box<[Option<Bytes>; 3]>),
    /// None is kept any more.
    Forgotten,
}

impl Change {
    pub(crate) fn new(
        revision: Revision,
        current: Option<Shared>,
        previous: Option<Shared>,
    ) -> Self {
        let frames = Mutex::default();
        Self { revision, current, previous, corrupt: None, repairs: false, frames }
    }

    /// The change after which nobody can say what is stored, or what was before it was removed.
    pub(crate) fn corrupted(
        revision: Revision,
        corrupt: Arc<CorruptObject>,
        previous: Option<Shared>,
    ) -> Self {
        Self { corrupt: Some(corrupt), ..Self::new(revision, None, previous) }
    }

    /// The change that puts an object where something was that could not be read.
    pub(super) fn repaired(revision: Revision, current: Shared) -> Self {
        Self { repairs: true, ..Self::new(revision, Some(current), None) }
    }

    pub(crate) fn revision(&self) -> Revision {
        self.revision
    }

    pub(crate) fn key(&self) -> Option<&Key> {
        let object = self.current.as_ref().or(self.previous.as_ref()).map(|object| object.key());
        object.or_else(|| self.corrupt.as_ref().map(|corrupt| corrupt.key()))
    }

    /// Whether what was there before or is there now cannot be read.
    pub(super) fn is_of_corruption(&self) -> bool {
        self.corrupt.is_some() || self.repairs
    }

    /// What keeps someone who means what `filter` lets through from being told of this change: it
    /// may or may not concern them. Tenants are concerned if they saw what was there before.
    pub(crate) fn corruption(
        &self,
        filter: &Filter,
        definition: &ResourceDefinition,
    ) -> Option<&CorruptObject> {
        let concerned = || match &self.previous {
            Some(previous) => filter.sees(previous, definition),
            None => filter.seen().is_none(),
        };
        self.corrupt.as_deref().filter(|_| concerned())
    }

    /// What someone who means what `filter` lets through is told: an object that stops matching is deleted for
    /// them, one that begins to match is added (`spec/wire.md` section 4.6).
    pub(crate) fn event_type(
        &self,
        filter: &Filter,
        definition: &ResourceDefinition,
    ) -> Option<EventType> {
        let selects = |object: &Option<Shared>| {
            object.as_ref().is_some_and(|object| filter.matches(object, definition))
        };
        match (selects(&self.previous), selects(&self.current)) {
            (false, true) => Some(EventType::Added),
            (true, true) => Some(EventType::Modified),
            (true, false) => Some(EventType::Deleted),
            (false, false) => None,
        }
    }

    /// The objects before and after.
    pub(super) fn both(&self) -> (Option<&Shared>, Option<&Shared>) {
        (self.previous.as_ref(), self.current.as_ref())
    }

    /// The object that an event of this type carries: the old one for a deletion.
    pub(crate) fn object(&self, event: EventType) -> Option<&Shared> {
        match event {
            EventType::Added | EventType::Modified => self.current.as_ref(),
            EventType::Deleted => self.previous.as_ref(),
        }
    }

    /// How many bytes of objects the change keeps in memory at most.
    pub(super) fn size(&self) -> usize {
        self.current.iter().chain(&self.previous).map(|object| object.len()).sum()
    }

    /// The line that is sent for an event of this type: while the change is recent encoded once,
    /// and shared by all watchers.
    pub(crate) fn frame(&self, event: EventType) -> Bytes {
        let mut frames = self.frames.lock();
        if matches!(*frames, Frames::None) {
            *frames = Frames::Kept(Box::default());
        }
        match &mut *frames {
            Frames::Kept(kept) => {
                kept[event as usize].get_or_insert_with(|| self.encode(event)).clone()
            }
            Frames::None | Frames::Forgotten => {
                drop(frames);
                self.encode(event)
            }
        }
    }

    /// From now on few will ask for lines, so that none are kept.
    pub(super) fn forget_frames(&self) {
        *self.frames.lock() = Frames::Forgotten;
    }

    #[cfg(test)]
    pub(super) fn keeps_frames(&self) -> bool {
        !matches!(*self.frames.lock(), Frames::Forgotten)
    }

    fn encode(&self, event: EventType) -> Bytes {
        let mut line = BytesMut::new();
        if let Some(object) = self.object(event) {
            object.write_frame(event, self.revision, &mut line);
        }
        line.freeze()
    }
}

impl Cached {
    /// Writes the line of an event that shows this object at a revision: what it was, and, for a
    /// deletion, when.
    pub(crate) fn write_frame(&self, event: EventType, revision: Revision, out: &mut BytesMut) {
        out.reserve(self.len_at(revision) + 40);
        begin_frame(event.as_str(), out);
        self.write_at(revision, out);
        out.put_slice(END);
    }
}

const END: &[u8] = b"}\n";

/// `{"type":T,"object":O}` and a newline.
pub(crate) fn frame(event: &str, object: &[u8]) -> Bytes {
    let mut out = BytesMut::with_capacity(object.len() + 40);
    begin_frame(event, &mut out);
    out.put_slice(object);
    out.put_slice(END);
    out.freeze()
}

fn begin_frame(event: &str, out: &mut BytesMut) {
    out.put_slice(b"{\"type\":\"");
    out.put_slice(event.as_bytes());
    out.put_slice(b"\",\"object\":");
}
