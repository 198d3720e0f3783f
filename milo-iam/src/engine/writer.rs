//! From facts to indexes, and from changes to changed indexes.

use std::sync::Arc;

use crate::world::{BINDING, Change, World};

use super::{
    catalogue::{Catalogue, Roles},
    index::Pending,
    snapshot::Snapshot,
};

/// Ids that are given before the writer looks how many are still in use.
const IDS_BEFORE_REBUILD: usize = 65_536;

/// Edits that are kept before rows are made of them, while everything is read.
const EDITS: usize = 1 << 19;

/// Holds the newest snapshot and makes the next.
#[derive(Debug)]
pub(crate) struct Writer {
    snapshot: Snapshot,
    pending: Pending,
}

impl Writer {
    /// Reads a world from the beginning.
    pub(crate) fn new(revision: u64, world: World) -> Self {
        let (catalogue, roles, index) = Default::default();
        let snapshot = Snapshot { revision, world, catalogue, roles, index };
        let pending = Pending { everybody: true, catalogue: true, ..Pending::default() };
        let mut writer = Self { snapshot, pending };
        writer.read();
        writer.settle();
        writer
    }

    /// Goes on from a snapshot.
    pub(crate) fn of(snapshot: Snapshot) -> Self {
        Self { snapshot, pending: Pending::default() }
    }

    fn read(&mut self) {
        let Self { snapshot: Snapshot { world, index, .. }, pending } = self;
        index.reserve(world);
        // Bindings come last: what they name is known by then.
        for number in world.numbers_of_other_kinds(&BINDING) {
            index.add(world, number, pending);
        }
        for number in world.numbers_of_kind(&BINDING, None) {
            index.add(world, number, pending);
            if pending.by_node.len() >= EDITS {
                index.by_node.apply(std::mem::take(&mut pending.by_node));
                index.by_subject.apply(std::mem::take(&mut pending.by_subject));
            }
        }
    }

    /// The facts and indexes as they are now.
    pub(crate) fn snapshot(&self) -> Snapshot {
        self.snapshot.clone()
    }

    /// Applies changes that take the facts to a revision.
    pub(crate) fn apply(&mut self, revision: u64, changes: impl IntoIterator<Item = Change>) {
        self.snapshot.revision = revision;
        for change in changes {
            self.change(change);
        }
        let Snapshot { world, index, .. } = &self.snapshot;
        if index.given().max(world.given()) > IDS_BEFORE_REBUILD + 4 * world.len() {
            // Ids are not used twice. What is left of objects that are gone is left behind here.
            *self = Self::new(revision, world.facts().collect());
        } else {
            self.settle();
        }
    }

    fn change(&mut self, change: Change) {
        let Self { snapshot: Snapshot { world, index, .. }, pending } = self;
        let key = change.key().clone();
        let old = world.number((&key).into());
        if let (Some(old), Change::Put(fact)) = (old, &change)
            && world.fact(old).as_ref() == Some(fact)
        {
            return;
        }
        if let Some(old) = old {
            index.remove(world, old, pending);
        }
        world.apply(change);
        if let Some(new) = world.number((&key).into()) {
            index.add(world, new, pending);
        }
    }

    /// Brings the indexes up to date.
    fn settle(&mut self) {
        let Self { snapshot: Snapshot { world, index, catalogue, roles, .. }, pending } = self;
        let mut pending = std::mem::take(pending);
        index.identities.apply(world, &mut pending);
        if pending.catalogue {
            *catalogue = Arc::new(Catalogue::of(world, &mut index.nodes.kinds));
        }
        if pending.catalogue || pending.roles {
            *roles = Arc::new(Roles::of(world, catalogue, &mut index.roles));
        }
        index.by_node.apply(pending.by_node);
        index.by_subject.apply(pending.by_subject);
        index.settle();
    }
}
