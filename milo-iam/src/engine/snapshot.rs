//! The facts and their indexes as of one revision.

use std::sync::Arc;

use crate::{
    Principal, Question,
    persistent::Fingerprint,
    world::{KindName, World},
};

use super::{
    catalogue::{Catalogue, Registered, Roles},
    detail::{Granted, Role},
    identity::OwnSubjects,
    index::{Index, SYSTEM_GROUPS},
    resolve::Nodes,
    row::FewRows,
};

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
    pub(super) index: Index,
}

/// How many bytes a [`Snapshot`] holds: an estimate, from the sizes of its tables.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Memory {
    /// The facts, with all names.
    pub facts: usize,
    /// Who is granted what.
    pub grants: usize,
    /// What finds objects, principals and places by name.
    pub names: usize,
}

/// The subjects that a principal is.
#[derive(Clone, Copy, Debug)]
struct Subjects<'a> {
    own: OwnSubjects<'a>,
    groups: SystemGroups,
}

impl Subjects<'_> {
    #[inline]
    fn iter(&self) -> impl Iterator<Item = u32> {
        self.own.as_slice().iter().chain(self.groups.ids()).copied()
    }
}

/// The system groups that a principal is in.
#[derive(Clone, Copy, Debug)]
struct SystemGroups {
    authenticated: bool,
    unauthenticated: bool,
}

impl SystemGroups {
    /// Their ids as subjects: see [`SYSTEM_GROUPS`].
    fn ids(self) -> &'static [u32] {
        match (self.authenticated, self.unauthenticated) {
            (false, false) => &[],
            (true, false) => &[0, 1],
            (false, true) => &[2],
            (true, true) => &[0, 1, 2],
        }
    }
}

/// A question, looked up once: its principal, permission and place.
#[derive(Clone, Debug)]
pub struct Check<'a> {
    snapshot: &'a Snapshot,
    subjects: Subjects<'a>,
    /// What they are granted, at hand.
    few: FewRows<'a, Role>,
    /// Whether there are more of them than that.
    has_more: bool,
    pub(super) permission: u32,
    pub(super) kind: &'a KindName,
    pub(super) nodes: Nodes,
}

/// A grant that allows what is asked.
#[derive(Clone, Copy, Debug)]
pub(super) struct Witness {
    pub(super) node: u32,
    pub(super) subject: u32,
    pub(super) granted: Granted,
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

    /// How many bytes it holds.
    #[must_use]
    pub fn memory(&self) -> Memory {
        let (grants, names) = (self.index.memory_of_grants(), self.index.memory_of_names());
        Memory { facts: self.world.memory(), grants, names }
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
        let Principal { uid, authenticated, unauthenticated } = &question.principal;
        let uid = Fingerprint::of(uid.as_str());
        self.index.identities.prefetch(uid);
        let plane = self.plane(&question.within);
        let Registered { id, kind } = self.catalogue.registered(&question.permission)?;
        let own = self.index.identities.subjects_of(uid);
        let groups =
            SystemGroups { authenticated: *authenticated, unauthenticated: *unauthenticated };
        let subjects = Subjects { own, groups };
        let mut few = FewRows::default();
        let rows = subjects.iter().map(|subject| self.index.by_subject.row(subject));
        let has_more = !few.add_all(rows);
        let nodes = self.nodes_covering(question, kind, plane)?;
        let (permission, kind) = (*id, &kind.name);
        Some(Check { snapshot: self, subjects, few, has_more, permission, kind, nodes })
    }

    /// The subjects that a principal is, system groups included.
    pub(super) fn subjects_of(&self, principal: &Principal) -> Vec<u32> {
        let own = self.index.identities.subjects_of(Fingerprint::of(principal.uid.as_str()));
        let Principal { authenticated, unauthenticated, .. } = *principal;
        let groups = SystemGroups { authenticated, unauthenticated };
        own.as_slice().iter().chain(groups.ids()).copied().collect()
    }
}

impl Check<'_> {
    /// Whether what is asked is granted.
    #[must_use]
    pub fn is_allowed(&self) -> bool {
        if self.has_more {
            return self.any_allows();
        }
        let has = |role: Role| self.snapshot.roles.has(role.0, self.permission);
        self.few.any_about(self.nodes.as_slice(), has)
    }

    /// The same, of more subjects than are at hand. Who is bound to much elsewhere, by whomever, is
    /// looked for where there is less, and so where others who bind him elsewhere add nothing.
    #[cold]
    fn any_allows(&self) -> bool {
        let Index { by_node, by_subject, .. } = &self.snapshot.index;
        let has = |role: u32| self.snapshot.roles.has(role, self.permission);
        self.subjects.iter().any(|subject| {
            let granted = by_subject.row(subject);
            let here = |nodes: &[u32]| granted.find_about(nodes, |role| has(role.0)).is_some();
            if granted.is_short() {
                return here(self.nodes.as_slice());
            }
            self.nodes.iter().any(|node| {
                let bound = by_node.row(node);
                if bound.len() < granted.len() {
                    bound.find_about(&[subject], |granted| has(granted.role)).is_some()
                } else {
                    here(&[node])
                }
            })
        })
    }

    /// A grant that allows what is asked.
    pub(super) fn witness(&self) -> Option<Witness> {
        let Subjects { own, groups } = &self.subjects;
        let has = |granted: Granted| self.snapshot.roles.has(granted.role, self.permission);
        self.nodes.iter().find_map(|node| {
            let row = self.snapshot.index.by_node.row(node);
            // System groups have the least ids, and hardly any row has one.
            let has_group =
                row.others().first().is_some_and(|id| (*id as usize) < SYSTEM_GROUPS.len());
            let groups = if has_group { groups.ids() } else { &[] };
            let found = row.find_about(own.as_slice(), has).or_else(|| row.find_about(groups, has));
            found.map(|(subject, granted)| Witness { node, subject, granted })
        })
    }
}
