//! Ids of subjects. Those that exist are named by their facts; those that bindings name and that do
//! not exist have names of their own.

use std::sync::Arc;

use crate::{
    persistent::{Fingerprint, Hashed, Kept, Printed, Table, hash_of},
    world::{Subject, SubjectRef, World},
};

use super::slab::Slab;

/// Stands for the number of a fact when there is none.
const NO_FACT: u32 = u32::MAX;

/// See the module.
#[derive(Clone, Debug)]
pub(super) struct SubjectIds {
    ids: Table<Hashed>,
    /// The same by fingerprints, while much is added at once: to read the names of facts here and there
    /// would take longer.
    prints: Option<Table<Printed>>,
    /// By id, the number of a fact that is the subject.
    facts: Slab<u32>,
    /// The others, by id.
    named: Table<Kept<Subject>>,
}

impl Default for SubjectIds {
    fn default() -> Self {
        let (ids, prints) = (Table::default(), Some(Table::default()));
        Self { ids, prints, facts: Slab::default(), named: Table::default() }
    }
}

impl SubjectIds {
    /// Makes room for subjects that will come.
    pub(super) fn reserve(&mut self, subjects: usize) {
        self.ids.reserve(subjects);
        self.prints.iter_mut().for_each(|prints| prints.reserve(subjects));
    }

    /// Ends the time in which much is added at once.
    pub(super) fn settle(&mut self) {
        self.ids.settle();
        self.prints = None;
        self.named.settle();
    }

    /// How many ids have been given.
    pub(super) fn len(&self) -> usize {
        self.facts.len()
    }

    /// The subject with an id.
    pub(super) fn get<'a>(&'a self, world: &'a World, id: u32) -> Option<SubjectRef<'a>> {
        match *self.facts.get(id)? {
            NO_FACT => self.named.kept(Fingerprint::of_id(id)).map(|subject| (&**subject).into()),
            fact => world.at(fact)?.as_subject(),
        }
    }

    fn find(&self, world: &World, subject: SubjectRef<'_>) -> Option<u32> {
        if let Some(prints) = &self.prints {
            return prints.number(fingerprint(subject));
        }
        let is_it = |id: &Hashed| self.get(world, id.number) == Some(subject);
        self.ids.find(hash_of(&subject), is_it).map(|id| id.number)
    }

    /// Gives an id to a subject that has none.
    fn push(&mut self, subject: SubjectRef<'_>, fact: u32) -> u32 {
        let number = self.facts.push(fact);
        self.ids.add(Hashed { hash: hash_of(&subject), number });
        if let Some(prints) = &mut self.prints {
            prints.add(Printed { name: fingerprint(subject), number });
        }
        number
    }

    /// The id of a subject that may not exist.
    pub(super) fn id(&mut self, world: &World, subject: SubjectRef<'_>) -> u32 {
        self.find(world, subject).unwrap_or_else(|| {
            let id = self.push(subject, NO_FACT);
            self.named.keep(Fingerprint::of_id(id), Arc::new(subject.to_owned()));
            id
        })
    }

    /// The id of a subject that a fact is.
    pub(super) fn appear(&mut self, world: &World, subject: SubjectRef<'_>, fact: u32) -> u32 {
        let Some(id) = self.find(world, subject) else { return self.push(subject, fact) };
        self.facts.set(id, fact);
        self.named.drop_kept(Fingerprint::of_id(id));
        id
    }

    /// Keeps the name of a subject whose fact goes.
    pub(super) fn vanish(&mut self, world: &World, subject: SubjectRef<'_>) {
        let Some(id) = self.find(world, subject) else { return };
        let owned = Arc::new(subject.to_owned());
        self.named.keep(Fingerprint::of_id(id), owned);
        self.facts.set(id, NO_FACT);
    }

    /// How many bytes it holds, without the names of those that do not exist.
    pub(super) fn memory(&self) -> usize {
        self.ids.memory() + self.facts.memory() + self.named.memory()
    }
}

fn fingerprint(subject: SubjectRef<'_>) -> Fingerprint {
    let (kind, names) = match subject {
        SubjectRef::User { name, uid } => (0, ["", name, uid]),
        SubjectRef::ServiceAccount { name, uid } => (1, ["", name, uid]),
        SubjectRef::Group { namespace, name, uid } => (2, [namespace, name, uid]),
        SubjectRef::System(name) => (3, ["", name, ""]),
    };
    Fingerprint::of_parts([kind], names)
}
