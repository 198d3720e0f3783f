//! Lists of any length, written while they are sent.

use std::iter::Peekable;

use bytes::{BufMut, BytesMut};
use milo_core::{object::Object, status::StatusError};
use serde_json::Value;

use crate::{
    body::Body,
    cache::Walk,
    media::ListSyntax,
    negotiate::{Accepted, Form, MetaVersion},
    table::{IncludeObject, Layout, TableWriter, partial},
};

/// Lists up to this size are sent as one block with a known length; larger ones are streamed, so
/// that a list of any size needs no memory of its size.
const ONE_BLOCK: usize = 1024 * 1024;
const BLOCK: usize = 128 * 1024;
/// How many objects are converted before others get their turn: about a millisecond's worth.
const TURN: usize = 50;

/// What comes after the items of a list.
const END: &[u8] = b"]}\n";

/// A list of plain JSON: the objects' bytes are copied, nothing is decoded.
pub(super) fn copied(mut head: BytesMut, objects: Walk) -> Body {
    let mut copier = Copier { objects: objects.peekable(), begun: false };
    if let Some(size) = size_of_block(head.len(), &copier.objects) {
        head.reserve(size - head.len());
        copier.fill(&mut head, usize::MAX);
        return Body::full(head.freeze());
    }
    Body::bulk(futures_util::stream::unfold(Some((head, copier)), async |state| {
        let (mut block, mut copier) = state?;
        let done = copier.fill(&mut block, BLOCK);
        let rest = (!done).then(|| (BytesMut::with_capacity(BLOCK + 4096), copier));
        Some((Ok(block.freeze()), rest))
    }))
}

/// The length of a whole list, if it is sent as one block.
fn size_of_block(head: usize, objects: &Peekable<Walk>) -> Option<usize> {
    let mut size = head + END.len();
    for object in objects.clone() {
        size += object.len() + 1;
        if size > ONE_BLOCK {
            return None;
        }
    }
    Some(size)
}

/// Copies objects into blocks, one after the other.
struct Copier {
    objects: Peekable<Walk>,
    begun: bool,
}

impl Copier {
    /// Appends objects until the block has `size` bytes. True when the list is complete.
    fn fill(&mut self, block: &mut BytesMut, size: usize) -> bool {
        while block.len() < size {
            let Some(object) = self.objects.next() else { break };
            if std::mem::replace(&mut self.begun, true) {
                block.put_u8(b',');
            }
            object.write_to(block);
        }
        let done = self.objects.peek().is_none();
        if done {
            block.put_slice(END);
        }
        done
    }
}

/// A list in any other form or encoding: each object is decoded, converted and written by itself.
pub(super) struct Converter {
    layout: Layout,
    form: Form,
    include: IncludeObject,
    syntax: ListSyntax,
    objects: Walk,
}

impl Converter {
    pub(super) fn new(
        layout: Layout,
        accepted: Accepted,
        include: IncludeObject,
        objects: Walk,
    ) -> Self {
        let Accepted { form, encoding } = accepted;
        let items = if matches!(form, Form::Table(_)) { "rows" } else { "items" };
        let syntax = ListSyntax::new(encoding, items);
        Self { layout, form, include, syntax, objects }
    }

    /// The whole list, whose metadata this is.
    ///
    /// # Errors
    /// When an object near the beginning cannot be read. One further back ends the body half-way.
    pub(super) async fn body(mut self, metadata: Value) -> Result<Body, StatusError> {
        let mut block = BytesMut::new();
        self.syntax.head(&self.members(metadata), &mut block)?;
        if self.fill(&mut block, ONE_BLOCK).await? {
            return Ok(Body::full(block.freeze()));
        }
        let state = Some((block, self));
        Ok(Body::bulk(futures_util::stream::unfold(state, async |state| {
            let (block, mut converter) = state?;
            // The block that is at hand, and then the next.
            let mut next = BytesMut::new();
            Some(match converter.fill(&mut next, BLOCK).await {
                Ok(false) => (Ok(block.freeze()), Some((next, converter))),
                Ok(true) => (Ok([block, next].concat().into()), None),
                Err(error) => (Err(error.into()), None),
            })
        })))
    }

    /// What a list has besides its items.
    fn members(&self, metadata: Value) -> Vec<(&'static str, Value)> {
        let (kind, api_version) = match self.form {
            Form::Plain => {
                let definition = self.layout.definition();
                (definition.list_kind(), definition.api_version())
            }
            Form::Table(version) => ("Table", version.api_version()),
            Form::Partial(version, _) => ("PartialObjectMetadataList", version.api_version()),
        };
        let mut members: Vec<(&'static str, Value)> =
            vec![("kind", kind.into()), ("apiVersion", api_version.into()), ("metadata", metadata)];
        if let Form::Table(version) = self.form {
            members.push(("columnDefinitions", self.table(version).columns()));
        }
        members
    }

    /// Appends objects until the block has `size` bytes or so. True when the list is complete.
    async fn fill(&mut self, block: &mut BytesMut, size: usize) -> Result<bool, StatusError> {
        while block.len() < size {
            for _ in 0..TURN {
                let Some(object) = self.objects.next() else {
                    self.syntax.tail(block);
                    return Ok(true);
                };
                let object = object.decode().map_err(|error| {
                    tracing::error!(%error, "stored object cannot be served");
                    StatusError::internal(error)
                })?;
                let item = self.convert(object);
                self.syntax.item(item, block)?;
            }
            tokio::task::yield_now().await;
        }
        Ok(false)
    }

    fn convert(&self, object: Object) -> Value {
        match self.form {
            Form::Plain => object.into_value(),
            Form::Table(version) => self.table(version).row(&object),
            Form::Partial(version, _) => partial(&object, version),
        }
    }

    fn table(&self, version: MetaVersion) -> TableWriter<'_> {
        TableWriter::new(&self.layout, version, self.include)
    }
}
