//! The facts and their indexes as of one revision.

use std::{hash::Hash, sync::Arc};

use crate::{
    Principal, Question, Text,
    world::{Body, Fact, Home, Key, KindName, Plane, Subject, World},
};

use super::{
    catalogue::{Catalogue, Registered, Roles},
    extent::Extent,
    resolve::Nodes,
    rows::{Grant, Rows, about},
    slab::Slab,
    table::{Entry, Table, hash_of},
};

/// The system groups have the first ids of subjects, in this order.
pub(super) const SYSTEM_GROUPS: [&str; 3] =
    ["system:authenticated", "system:authenticated-users", "system:unauthenticated"];

/// A key whose parts are borrowed, to look one up without making it.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct KeyRef<'a> {
    pub(super) kind: &'a KindName,
    pub(super) project: Option<&'a str>,
    pub(super) namespace: &'a str,
    pub(super) name: &'a str,
}

impl<'a> From<&'a Key> for KeyRef<'a> {
    fn from(key: &'a Key) -> Self {
        let project = match &key.plane {
            Plane::Platform => None,
            Plane::Project(uid) => Some(&**uid),
        };
        Self { kind: &key.kind, project, namespace: &key.namespace, name: &key.name }
    }
}

/// An object that exists and is a tenant or has bindings.
#[derive(Clone, Debug)]
pub(super) struct Element {
    pub(super) fact: Arc<Fact>,
    /// By home, the node of bindings that name the object.
    pub(super) nodes: Arc<[(u32, u32)]>,
}

impl Entry for Element {
    fn hash(&self) -> u64 {
        hash_of(&KeyRef::from(self.fact.key()))
    }
}

/// An [`Element`], by what bindings name.
#[derive(Clone, Debug)]
pub(super) struct Named(pub(super) Arc<Fact>);

impl Named {
    /// The hash of what bindings name.
    pub(super) fn hash_of(kind: &KindName, namespace: &str, name: &str, uid: &str) -> u64 {
        hash_of(&(kind, namespace, name, uid))
    }
}

impl Entry for Named {
    fn hash(&self) -> u64 {
        let key = self.0.key();
        Self::hash_of(&key.kind, &key.namespace, &key.name, self.0.uid())
    }
}

/// A project, by its UID.
#[derive(Clone, Debug)]
pub(super) struct ProjectEntry(pub(super) Arc<Fact>);

impl Entry for ProjectEntry {
    fn hash(&self) -> u64 {
        hash_of(&**self.0.uid())
    }
}

/// A user or a service account that exists: by what it signs in with, the subjects that it is.
#[derive(Clone, Debug)]
pub(super) struct Identity {
    pub(super) uid: Text,
    pub(super) subjects: Arc<[u32]>,
}

impl Entry for Identity {
    fn hash(&self) -> u64 {
        hash_of(&*self.uid)
    }
}

/// A home that has bindings: their nodes for whole kinds, by kind.
#[derive(Clone, Debug)]
pub(super) struct HomeEntry {
    pub(super) home: Home,
    pub(super) id: u32,
    pub(super) kinds: Arc<[(u32, u32)]>,
}

/// A home whose parts are borrowed.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum HomeRef<'a> {
    Platform,
    Organization(&'a str),
    Project(&'a str),
}

impl<'a> From<&'a Home> for HomeRef<'a> {
    fn from(home: &'a Home) -> Self {
        match home {
            Home::Platform => Self::Platform,
            Home::Organization(name) => Self::Organization(name),
            Home::Project(uid) => Self::Project(uid),
        }
    }
}

impl Entry for HomeEntry {
    fn hash(&self) -> u64 {
        hash_of(&HomeRef::from(&self.home))
    }
}

/// The facts and their indexes as of one revision. It does not change; to copy it costs little.
///
/// All answers of one snapshot are about the same state. Take one from an
/// [`Evaluator`](crate::Evaluator) for each request, or make one of a world:
///
/// ```
/// use milo_iam::{Principal, Question, Snapshot, Within, world::WorldBuilder};
///
/// let world = WorldBuilder::new()
///     .organization("acme")
///     .project("web", "acme")
///     .user("ada")
///     .kind("g.io", "Thing", "things", &["list"], &["Project"])
///     .role("", "viewer", &["g.io/things.list"], &[])
///     .bind_on_organization("acme", "b", "viewer", "ada", "acme")
///     .build();
/// let snapshot = Snapshot::of(world);
/// let question = Question::new(Principal::new("ada"), "g.io/things.list".parse()?)
///     .within(Within::project("web"));
/// assert!(snapshot.check(&question));
/// # Ok::<(), milo_iam::MalformedPermission>(())
/// ```
#[derive(Clone, Debug)]
pub struct Snapshot {
    pub(super) revision: u64,
    pub(super) world: World,
    pub(super) catalogue: Arc<Catalogue>,
    pub(super) roles: Arc<Roles>,
    pub(super) identities: Table<Identity>,
    pub(super) elements: Table<Element>,
    pub(super) named: Table<Named>,
    pub(super) projects: Table<ProjectEntry>,
    pub(super) homes: Table<HomeEntry>,
    pub(super) by_node: Rows,
    pub(super) by_subject: Rows,
    pub(super) extents: Slab<Extent>,
    pub(super) subjects: Slab<Subject>,
    pub(super) bindings: Slab<Key>,
}

/// The subjects that a principal is.
#[derive(Clone, Copy, Debug)]
struct Subjects<'a> {
    own: &'a [u32],
    /// System groups; the first `system` of these.
    groups: [u32; 3],
    system: usize,
}

/// A question, looked up once: its principal, permission and place.
#[derive(Clone, Debug)]
pub struct Check<'a> {
    snapshot: &'a Snapshot,
    subjects: Subjects<'a>,
    pub(super) permission: u32,
    pub(super) kind: &'a KindName,
    pub(super) nodes: Nodes,
}

/// A grant that allows what is asked.
#[derive(Clone, Copy, Debug)]
pub(super) struct Witness {
    pub(super) node: u32,
    pub(super) grant: Grant,
}

impl Snapshot {
    /// Of a world, at revision 0.
    #[must_use]
    pub fn of(world: World) -> Self {
        super::Writer::new(0, world).snapshot()
    }

    /// The revision of the facts.
    #[must_use]
    pub fn revision(&self) -> u64 {
        self.revision
    }

    /// The facts.
    #[must_use]
    pub fn world(&self) -> &World {
        &self.world
    }

    /// Whether what is asked is granted. What the snapshot does not know is denied;
    /// [`explain`](Self::explain) says why.
    #[must_use]
    pub fn check(&self, question: &Question) -> bool {
        self.resolve(question).is_some_and(|check| check.is_allowed())
    }

    /// The answers to many questions, about the same state.
    pub fn check_many<'a>(
        &'a self,
        questions: impl IntoIterator<Item = &'a Question>,
    ) -> impl Iterator<Item = bool> {
        questions.into_iter().map(|question| self.check(question))
    }

    /// Looks a question up, to answer it later or often. None when it is denied whatever is
    /// granted: the permission is not registered, or the control plane does not exist or does not
    /// hold what is asked about.
    #[must_use]
    pub fn resolve(&self, question: &Question) -> Option<Check<'_>> {
        let Registered { id, kind } = self.catalogue.registered(&question.permission)?;
        let nodes = self.nodes_covering(question, kind)?;
        let subjects = self.subjects(&question.principal);
        Some(Check { snapshot: self, subjects, permission: *id, kind: &kind.name, nodes })
    }

    fn subjects(&self, principal: &Principal) -> Subjects<'_> {
        let found = self.identities.find(hash_of(&*principal.uid), |e| *e.uid == *principal.uid);
        let own = found.map(|found| &*found.subjects).unwrap_or_default();
        let (groups, system) = match (principal.authenticated, principal.unauthenticated) {
            (false, false) => ([0; 3], 0),
            (true, false) => ([0, 1, 0], 2),
            (false, true) => ([2, 0, 0], 1),
            (true, true) => ([0, 1, 2], 3),
        };
        Subjects { own, groups, system }
    }

    /// The subjects that a principal is, system groups included.
    pub(super) fn subjects_of(&self, principal: &Principal) -> Vec<u32> {
        let Subjects { own, groups, system } = self.subjects(principal);
        own.iter().chain(&groups[..system]).copied().collect()
    }

    pub(super) fn element(&self, key: KeyRef<'_>) -> Option<&Element> {
        self.elements.find(hash_of(&key), |element| KeyRef::from(element.fact.key()) == key)
    }

    /// The project with a UID.
    pub(super) fn project(&self, uid: &str) -> Option<&Element> {
        let found = self.projects.find(hash_of(uid), |entry| **entry.0.uid() == *uid)?;
        self.element(KeyRef::from(found.0.key()))
    }

    pub(super) fn home(&self, home: HomeRef<'_>) -> Option<&HomeEntry> {
        self.homes.find(hash_of(&home), |entry| HomeRef::from(&entry.home) == home)
    }
}

impl Check<'_> {
    /// Whether what is asked is granted.
    #[must_use]
    pub fn is_allowed(&self) -> bool {
        self.witnesses().next().is_some()
    }

    /// The grants that allow what is asked.
    pub(super) fn witnesses(&self) -> impl Iterator<Item = Witness> + '_ {
        let Subjects { own, groups, system } = &self.subjects;
        self.nodes.iter().flat_map(move |node| {
            let row = self.snapshot.by_node.row(node);
            let granted = about(row, own).chain(about(row, &groups[..*system]));
            let has = |grant: &&Grant| self.snapshot.roles.has(grant.role, self.permission);
            granted.filter(has).map(move |grant| Witness { node, grant: *grant })
        })
    }
}

/// Whether objects of a kind are above others.
pub(super) fn is_tenant(fact: &Fact) -> bool {
    matches!(fact.body(), Body::Organization | Body::Project { .. } | Body::User)
}
