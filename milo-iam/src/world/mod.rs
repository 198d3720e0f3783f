//! The facts from which access follows: stored objects, reduced to what decides.
//!
//! A [`World`] holds them as of one revision. It is persistent: to copy one costs nothing, and a
//! copy is not changed by what happens to the original. The [model](crate::model) and the
//! [evaluator](crate::Evaluator) read the same facts and come to their answers independently.

use std::sync::{Arc, LazyLock};

mod builder;
mod fact;
mod facts;
mod key;
mod packed;
mod read;
mod records;
mod reference;
mod view;

pub use builder::WorldBuilder;
pub use fact::{Body, Fact};
pub(crate) use key::organization_namespace;
pub use key::{Home, Key, KindName, ORGANIZATION_NAMESPACE_PREFIX, Plane, SYSTEM_NAMESPACE};
pub use read::FactError;
pub use reference::{RoleName, Subject, Target};
pub(crate) use view::{BodyRef, FactRef, HomeRef, KeyRef, KindRef, SubjectRef, TargetRef};

pub use crate::Text;
use facts::Facts;

/// A change of a stored object.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Change {
    /// The object was added, or is now like this.
    Put(Arc<Fact>),
    /// The object is gone.
    Remove(Key),
}

impl Change {
    /// The object was added, or is now like this.
    #[must_use]
    pub fn put(fact: Fact) -> Self {
        Self::Put(Arc::new(fact))
    }

    /// Which object changed.
    #[must_use]
    pub fn key(&self) -> &Key {
        match self {
            Self::Put(fact) => fact.key(),
            Self::Remove(key) => key,
        }
    }
}

/// Facts as of one revision.
#[derive(Clone, Debug, Default)]
pub struct World {
    facts: Facts,
}

impl World {
    /// A world without facts. Nothing is granted in it.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Applies a change and returns the fact that it replaced.
    pub fn apply(&mut self, change: Change) -> Option<Arc<Fact>> {
        match change {
            Change::Put(fact) => self.facts.insert(fact),
            Change::Remove(key) => self.facts.remove((&key).into()),
        }
    }

    /// The world after changes.
    #[must_use]
    pub fn with(&self, changes: impl IntoIterator<Item = Change>) -> Self {
        let mut world = self.clone();
        for change in changes {
            world.apply(change);
        }
        world
    }

    /// A fact by its key.
    #[must_use]
    pub fn get(&self, key: &Key) -> Option<Arc<Fact>> {
        self.facts.fact(self.number(key.into())?)
    }

    /// All facts, in the order of their keys.
    pub fn facts(&self) -> impl Iterator<Item = Arc<Fact>> {
        self.facts.numbers().filter_map(|number| self.facts.fact(number))
    }

    /// The facts of a kind, in the order of their keys.
    pub fn of_kind<'a>(&'a self, kind: &'a KindName) -> impl Iterator<Item = Arc<Fact>> + 'a {
        self.of_kind_after(kind, None)
    }

    /// The facts of a kind whose keys come after one, in the order of their keys.
    pub fn of_kind_after<'a>(
        &'a self,
        kind: &'a KindName,
        after: Option<&Key>,
    ) -> impl Iterator<Item = Arc<Fact>> + use<'a> {
        let numbers = self.numbers_of_kind(kind, after);
        numbers.filter_map(|number| self.facts.fact(number))
    }

    /// The numbers of the facts of a kind whose keys come after one, in the order of their keys.
    pub(crate) fn numbers_of_kind<'a>(
        &'a self,
        kind: &'a KindName,
        after: Option<&Key>,
    ) -> impl Iterator<Item = u32> + use<'a> {
        let after = after.filter(|key| key.kind == *kind);
        let first = after.map_or(KeyRef::new(kind, ""), KeyRef::from);
        let numbers = self.facts.from(first, after.is_none());
        let is_of_kind =
            |number: &u32| self.at(*number).is_some_and(|fact| fact.key.kind == kind.into());
        numbers.take_while(is_of_kind)
    }

    /// The numbers of the facts of all kinds but one.
    pub(crate) fn numbers_of_other_kinds(&self, kind: &KindName) -> impl Iterator<Item = u32> + '_ {
        let range = self.facts.range_of(kind.into());
        self.facts.numbers().take(range.start).chain(self.facts.numbers().skip(range.end))
    }

    /// How many facts of a kind there are.
    pub(crate) fn count_of_kind(&self, kind: &KindName) -> usize {
        self.facts.range_of(kind.into()).len()
    }

    /// The number of the fact with a key. It is not given to another one in this world or one that
    /// comes from it.
    pub(crate) fn number(&self, key: KeyRef<'_>) -> Option<u32> {
        self.facts.number(key)
    }

    /// A fact by its number.
    pub(crate) fn at(&self, number: u32) -> Option<FactRef<'_>> {
        self.facts.at(number)
    }

    /// A fact by its number, to keep.
    pub(crate) fn fact(&self, number: u32) -> Option<Arc<Fact>> {
        self.facts.fact(number)
    }

    /// How many numbers have been given to facts.
    pub(crate) fn given(&self) -> usize {
        self.facts.given() as usize
    }

    /// What differs from another world: for each key, the fact here and the fact there. Worlds that
    /// come from one another share what they have in common, which is not looked at.
    pub(crate) fn differences<'a>(
        &'a self,
        other: &'a Self,
    ) -> impl Iterator<Item = (Option<Arc<Fact>>, Option<Arc<Fact>>)> + 'a {
        self.facts.differences(&other.facts)
    }

    /// How many bytes it holds: an estimate.
    #[must_use]
    pub fn memory(&self) -> usize {
        self.facts.memory()
    }

    /// How many facts there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.facts.len()
    }

    /// Whether there are no facts.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

impl FromIterator<Fact> for World {
    fn from_iter<T: IntoIterator<Item = Fact>>(facts: T) -> Self {
        facts.into_iter().map(Arc::new).collect()
    }
}

impl FromIterator<Arc<Fact>> for World {
    fn from_iter<T: IntoIterator<Item = Arc<Fact>>>(facts: T) -> Self {
        Self { facts: facts.into_iter().collect() }
    }
}

macro_rules! known_kinds {
    ($($(#[$doc:meta])* $name:ident = $service:literal, $kind:literal;)+) => {
        $($(#[$doc])* pub(crate) static $name: LazyLock<KindName> =
            LazyLock::new(|| KindName::new($service, $kind));)+
    };
}

known_kinds! {
    ORGANIZATION = "resourcemanager.miloapis.com", "Organization";
    PROJECT = "resourcemanager.miloapis.com", "Project";
    USER = "iam.miloapis.com", "User";
    SERVICE_ACCOUNT = "iam.miloapis.com", "ServiceAccount";
    GROUP = "iam.miloapis.com", "Group";
    MEMBERSHIP = "iam.miloapis.com", "GroupMembership";
    ROLE = "iam.miloapis.com", "Role";
    BINDING = "iam.miloapis.com", "PolicyBinding";
    PROTECTED_RESOURCE = "iam.miloapis.com", "ProtectedResource";
    NAMESPACE = "core.miloapis.com", "Namespace";
}
