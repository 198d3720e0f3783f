//! Ids of nodes: a target, together with the home of the bindings that name it.

use std::sync::Arc;

use crate::{
    persistent::{Fingerprint, Hashed, Kept, Printed, Table, hash_of},
    world::{BINDING, Home, KindName, KindRef, MEMBERSHIP, Target, TargetRef, World},
};

use super::slab::{Interner, Slab};

/// Stands for the number of a fact when there is none.
const NO_FACT: u32 = u32::MAX;
/// Marks the id of a kind. Facts have lesser numbers: the writer makes a new world long before.
const KIND: u32 = 1 << 31;

#[derive(Clone, Copy, Debug)]
struct Node {
    home: u32,
    /// The number of a fact that is the target, or the id of a kind.
    target: u32,
}

/// See the module.
#[derive(Clone, Debug)]
pub(super) struct NodeIds {
    pub(super) kinds: Interner<KindName>,
    pub(super) homes: Interner<Home>,
    ids: Table<Hashed>,
    /// The same by fingerprints, with the home, while much is added at once: to read the names of facts
    /// here and there would take longer.
    prints: Option<Table<Printed>>,
    nodes: Slab<Node>,
    /// Targets that do not exist, by id of the node.
    named: Table<Kept<Target>>,
    /// Whether a node is about a binding or a membership, of which there are many.
    about_bookkeeping: bool,
}

/// Whether objects of a kind are many, and hardly ever the targets of bindings.
pub(super) fn is_bookkeeping(kind: KindRef<'_>) -> bool {
    kind == KindRef::from(&*BINDING) || kind == KindRef::from(&*MEMBERSHIP)
}

impl Default for NodeIds {
    fn default() -> Self {
        Self {
            kinds: Interner::default(),
            homes: Interner::default(),
            ids: Table::default(),
            prints: Some(Table::default()),
            nodes: Slab::default(),
            named: Table::default(),
            about_bookkeeping: false,
        }
    }
}

impl NodeIds {
    /// Makes room for nodes that will come.
    pub(super) fn reserve(&mut self, nodes: usize) {
        self.ids.reserve(nodes);
        self.prints.iter_mut().for_each(|prints| prints.reserve(nodes));
    }

    /// Ends the time in which much is added at once.
    pub(super) fn settle(&mut self) {
        self.kinds.settle();
        self.homes.settle();
        self.ids.settle();
        self.prints = None;
        self.named.settle();
    }

    /// How many ids have been given.
    pub(super) fn len(&self) -> usize {
        self.nodes.len()
    }

    /// The home of a node.
    pub(super) fn home(&self, id: u32) -> Option<u32> {
        self.nodes.get(id).map(|node| node.home)
    }

    /// The number of the fact that a node is about.
    pub(super) fn fact(&self, id: u32) -> Option<u32> {
        self.nodes.get(id).map(|node| node.target).filter(|target| target & KIND == 0)
    }

    /// The target of a node.
    pub(super) fn target<'a>(&'a self, world: &'a World, id: u32) -> Option<TargetRef<'a>> {
        match self.nodes.get(id)?.target {
            NO_FACT => self.named.kept(Fingerprint::of_id(id)).map(|target| (&**target).into()),
            kind if kind & KIND != 0 => {
                self.kinds.get(kind & !KIND).map(|kind| TargetRef::Kind(kind.into()))
            }
            fact => Some(world.at(fact)?.as_target()),
        }
    }

    /// The nodes about a target, of all homes.
    pub(super) fn about<'a>(
        &'a self,
        world: &'a World,
        target: TargetRef<'a>,
    ) -> impl Iterator<Item = u32> + 'a {
        let is_needed = match target {
            TargetRef::Object { kind, .. } => self.about_bookkeeping || !is_bookkeeping(kind),
            TargetRef::Kind(_) => true,
        };
        let is_needed = is_needed && self.nodes.len() > 0;
        let found = is_needed.then(|| self.ids.having(hash_of(&target)));
        let found = found.into_iter().flatten().map(|found| found.number);
        found.filter(move |id| self.target(world, *id) == Some(target))
    }

    /// The node of a home about a target.
    pub(super) fn find(&self, world: &World, home: u32, target: TargetRef<'_>) -> Option<u32> {
        if let Some(prints) = &self.prints {
            return prints.number(fingerprint(home, target));
        }
        let is_of_home = |id: u32| self.nodes.get(id).is_some_and(|node| node.home == home);
        let is_it = |id: u32| is_of_home(id) && self.target(world, id) == Some(target);
        let found = self.ids.find(hash_of(&target), |found| is_it(found.number));
        found.map(|found| found.number)
    }

    /// The id of a new node. It is about a fact, if one is given.
    pub(super) fn push(&mut self, home: u32, new: TargetRef<'_>, fact: Option<u32>) -> u32 {
        let target_id = match (new, fact) {
            (TargetRef::Kind(kind), _) => KIND | self.kinds.id(kind),
            (TargetRef::Object { .. }, fact) => fact.unwrap_or(NO_FACT),
        };
        if let TargetRef::Object { kind, .. } = new {
            self.about_bookkeeping |= is_bookkeeping(kind);
        }
        let id = self.nodes.push(Node { home, target: target_id });
        if target_id == NO_FACT {
            self.named.keep(Fingerprint::of_id(id), Arc::new(new.to_owned()));
        }
        self.ids.add(Hashed { hash: hash_of(&new), number: id });
        if let Some(prints) = &mut self.prints {
            prints.add(Printed { name: fingerprint(home, new), number: id });
        }
        id
    }

    /// Names a node's target by a fact that came.
    pub(super) fn appear(&mut self, id: u32, fact: u32) {
        self.set_target(id, fact);
        self.named.drop_kept(Fingerprint::of_id(id));
    }

    /// Keeps the name of a node's target whose fact goes.
    pub(super) fn vanish(&mut self, id: u32, gone: TargetRef<'_>) {
        let owned = Arc::new(gone.to_owned());
        self.named.keep(Fingerprint::of_id(id), owned);
        self.set_target(id, NO_FACT);
    }

    fn set_target(&mut self, id: u32, target: u32) {
        if let Some(node) = self.nodes.get(id) {
            self.nodes.set(id, Node { home: node.home, target });
        }
    }

    /// How many bytes it holds, without the names of targets that do not exist.
    pub(super) fn memory(&self) -> usize {
        let tables = self.ids.memory() + self.nodes.memory() + self.named.memory();
        tables + self.kinds.memory() + self.homes.memory()
    }
}

fn fingerprint(home: u32, target: TargetRef<'_>) -> Fingerprint {
    match target {
        TargetRef::Kind(KindRef { service, kind }) => {
            Fingerprint::of_parts([home, 0], [service, kind, "", "", ""])
        }
        TargetRef::Object { kind: KindRef { service, kind }, namespace, name, uid } => {
            Fingerprint::of_parts([home, 1], [service, kind, namespace, name, uid])
        }
    }
}
