//! What a change changes: exactly, and in short.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
};

use serde::{Deserialize, Serialize};

use crate::{
    Permission, Principal, Text,
    world::{Body, Change, Fact, Subject, SubjectRef},
};

use super::{Writer, catalogue::Kind, extent::Extent, snapshot::Snapshot};

/// How the access of one principal changes, for one permission.
///
/// Something is allowed now that was not exactly when one of [`gained`](Self::gained) covers it
/// and none of [`before`](Self::before) does; and the other way round for what was lost.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AccessChange {
    /// Whose access.
    pub principal: Principal,
    /// To do what.
    pub permission: Permission,
    /// What is covered afterwards, and was not before.
    pub gained: Vec<Extent>,
    /// What was covered before, and is not afterwards.
    pub lost: Vec<Extent>,
    /// All that was covered before.
    pub before: Vec<Extent>,
    /// All that is covered afterwards.
    pub after: Vec<Extent>,
}

/// How access differs between two states: every change, and nothing that stays as it is.
///
/// Access is told in extents. An object or a tenant that appears below an extent which stays as it
/// is, or disappears there, is no difference: a project that is made in an organization on which
/// somebody has a role changes what there is, and not what that somebody may. Whoever keeps lists of
/// objects follows the objects too.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Difference {
    /// By principal and permission, in order. Principals are the users and service accounts of
    /// either state, an authenticated stranger, and the anonymous.
    pub changes: Vec<AccessChange>,
}

impl Difference {
    /// From one state to another.
    #[must_use]
    pub fn between(before: &Snapshot, after: &Snapshot) -> Self {
        let mut changes = Vec::new();
        for principal in affected(before, after) {
            let (old, new) = (before.access(&principal), after.access(&principal));
            let permissions: BTreeSet<&Permission> =
                old.keys().chain(new.keys()).copied().collect();
            for permission in permissions {
                let old = extents(before, permission, old.get(permission));
                let new = extents(after, permission, new.get(permission));
                let gained = not_covered(&new, before, permission, &old);
                let lost = not_covered(&old, after, permission, &new);
                if !gained.is_empty() || !lost.is_empty() {
                    changes.push(AccessChange {
                        principal: principal.clone(),
                        permission: permission.clone(),
                        gained,
                        lost,
                        before: old,
                        after: new,
                    });
                }
            }
        }
        Self { changes }
    }

    /// Whether access stays as it is.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.changes.is_empty()
    }
}

impl fmt::Display for Difference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.is_empty() {
            return f.write_str("nothing changes");
        }
        let mut principal = None;
        for change in &self.changes {
            if principal != Some(&change.principal) {
                let line = if principal.is_some() { "\n" } else { "" };
                write!(f, "{line}{}", change.principal)?;
                principal = Some(&change.principal);
            }
            for (sign, extents) in [('+', &change.gained), ('-', &change.lost)] {
                for extent in extents {
                    write!(f, "\n  {sign} {} on {extent}", change.permission)?;
                }
            }
        }
        Ok(())
    }
}

impl Snapshot {
    /// What changes would change. How long it takes depends on the changes and on whose access they
    /// concern, and not on the world: those who have a role, or all when a tenant or a registration
    /// comes or goes.
    #[must_use]
    pub fn what_if(&self, changes: impl IntoIterator<Item = Change>) -> Difference {
        let mut pretended = Writer::of(self.clone());
        pretended.apply(self.revision, changes);
        Difference::between(self, &pretended.snapshot())
    }

    /// The nodes on which a principal has each permission.
    fn access(&self, principal: &Principal) -> BTreeMap<&Permission, Vec<u32>> {
        let mut access: BTreeMap<&Permission, Vec<u32>> = BTreeMap::new();
        for subject in self.subjects_of(principal) {
            for (node, role) in self.index.by_subject.row(subject).iter() {
                for permission in self.roles.permissions(role.0) {
                    if let Some(permission) = self.catalogue.permission(permission) {
                        access.entry(permission).or_default().push(node);
                    }
                }
            }
        }
        access
    }

    /// What a role has, by name.
    fn all_of(&self, role: Option<u32>) -> BTreeSet<&Permission> {
        let ids = role.into_iter().flat_map(|role| self.roles.permissions(role));
        ids.filter_map(|id| self.catalogue.permission(id)).collect()
    }

    fn kind_of(&self, permission: &Permission) -> Option<&Kind> {
        self.catalogue.registered(permission).map(|registered| &*registered.kind)
    }
}

fn extents(snapshot: &Snapshot, permission: &Permission, nodes: Option<&Vec<u32>>) -> Vec<Extent> {
    let nodes = nodes.cloned().unwrap_or_default();
    snapshot.kind_of(permission).map_or_else(Vec::new, |kind| snapshot.shortest(kind, nodes))
}

/// Those of some extents that others do not cover, in the state that the others are of.
fn not_covered(
    extents: &[Extent],
    state: &Snapshot,
    permission: &Permission,
    others: &[Extent],
) -> Vec<Extent> {
    let Some(kind) = state.kind_of(permission) else { return extents.to_vec() };
    let is_covered = |extent: &&Extent| {
        let Some(covering) = state.covering(kind, extent) else { return false };
        covering.iter().filter_map(|node| state.extent(node)).any(|node| others.contains(&node))
    };
    extents.iter().filter(|extent| !is_covered(extent)).cloned().collect()
}

/// The principals whose access may differ.
fn affected(before: &Snapshot, after: &Snapshot) -> Vec<Principal> {
    let mut subjects = BTreeSet::new();
    let (mut everybody, mut roles) = (false, false);
    for (old, new) in before.world.differences(&after.world) {
        for fact in [old, new].into_iter().flatten() {
            everybody |= !collect_affected(&fact, &mut subjects);
            roles |= matches!(fact.body(), Body::Role { .. });
            for state in [before, after] {
                collect_granted_on(&fact, state, &mut subjects);
            }
        }
    }
    if roles && !everybody {
        collect_holders(before, after, &mut subjects);
        collect_holders(after, before, &mut subjects);
    }
    let subjects: Vec<Subject> = subjects.into_iter().collect();
    everybody |= subjects.iter().any(|subject| matches!(subject, Subject::System(_)));
    let mut uids: BTreeSet<Text> = BTreeSet::new();
    for state in [before, after] {
        uids.extend(if everybody { state.everybody() } else { state.expand(&subjects) });
    }
    let mut principals: Vec<Principal> = uids.iter().map(|uid| Principal::new(&**uid)).collect();
    if everybody {
        principals.extend([Principal::new(""), Principal::anonymous()]);
    }
    principals.sort();
    principals
}

/// Notes whose access a fact may change; false for everybody's.
fn collect_affected(fact: &Fact, subjects: &mut BTreeSet<Subject>) -> bool {
    match fact.body() {
        Body::Binding { subjects: bound, .. } => subjects.extend(bound.iter().cloned()),
        Body::User | Body::Group => subjects.extend(fact.as_subject()),
        Body::ServiceAccount => {
            subjects.extend(fact.as_subject());
            // A user of that name has nothing while the account is there.
            let (name, uid) = (fact.uid().clone(), Text::default());
            subjects.insert(Subject::User { name, uid });
        }
        Body::Membership { user, .. } => {
            subjects.insert(Subject::User { name: user.clone(), uid: Text::default() });
        }
        // Whom a role concerns is looked up: see `collect_holders`.
        Body::Other | Body::Role { .. } => {}
        _ => return false,
    }
    true
}

/// Notes who is granted something on an object.
fn collect_granted_on(fact: &Fact, state: &Snapshot, subjects: &mut BTreeSet<Subject>) {
    if state.world.number(fact.key().into()).is_none() {
        return;
    }
    let key = state.index.fingerprint(fact.key().into());
    for node in state.index.places.nodes_of(key).map(|named| named.node) {
        let granted = state.index.by_node.row(node).others().iter();
        let granted = granted.filter_map(|id| state.index.subjects.get(&state.world, *id));
        subjects.extend(granted.map(SubjectRef::to_owned));
    }
}

/// Notes who is granted a role that has not the same permissions in another state.
fn collect_holders(state: &Snapshot, other: &Snapshot, subjects: &mut BTreeSet<Subject>) {
    let Snapshot { world, index, .. } = state;
    let has_changed = |role: &u32| {
        let there = index.roles.get(*role).and_then(|key| other.index.roles.find(key.into()));
        state.all_of(Some(*role)) != other.all_of(there)
    };
    // INVARIANT: ids are 32 bits wide.
    let ids = |count: usize| 0..u32::try_from(count).unwrap_or(u32::MAX);
    let changed: BTreeSet<u32> = ids(index.roles.len()).filter(has_changed).collect();
    if changed.is_empty() {
        return;
    }
    let holds = |subject: &u32| {
        index.by_subject.row(*subject).iter().any(|(_, role)| changed.contains(&role.0))
    };
    let holders = ids(index.subjects.len()).filter(|subject| holds(subject));
    let holders = holders.filter_map(|subject| index.subjects.get(world, subject));
    subjects.extend(holders.map(SubjectRef::to_owned));
}
