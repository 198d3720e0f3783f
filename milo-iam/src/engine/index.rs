//! The indexes of a world: ids, and where to look for what.
//!
//! Facts are known by their numbers, and names are read from the facts: nothing is written twice.

use std::collections::BTreeMap;

use crate::{
    persistent::{Fingerprint, Hashed, Table, hash_of},
    world::{
        BINDING, BodyRef, FactRef, GROUP, HomeRef, Key, KeyRef, KindName, KindRef, MEMBERSHIP,
        PROTECTED_RESOURCE, ROLE, SERVICE_ACCOUNT, SubjectRef, USER, World,
    },
};

use super::{
    detail::{Granted, Role},
    identity::Identities,
    node_ids::{NodeIds, is_bookkeeping},
    places::Places,
    rows::{Edit, Rows},
    slab::Interner,
    subject_ids::SubjectIds,
    tenant::TENANT_KINDS,
};

/// The system groups have the first ids of subjects, in this order.
pub(super) const SYSTEM_GROUPS: [&str; 3] =
    ["system:authenticated", "system:authenticated-users", "system:unauthenticated"];

/// The platform's home has the first id of homes.
pub(super) const PLATFORM: u32 = 0;

/// See the module.
#[derive(Clone, Debug)]
pub(super) struct Index {
    pub(super) nodes: NodeIds,
    pub(super) subjects: SubjectIds,
    pub(super) roles: Interner<Key>,
    pub(super) places: Places,
    pub(super) identities: Identities,
    /// Whatever bindings may name, by what they would name.
    pub(super) by_target: Table<Hashed>,
    pub(super) by_node: Rows<Granted>,
    pub(super) by_subject: Rows<Role>,
}

/// What changes have made stale.
#[derive(Debug, Default)]
pub(super) struct Pending {
    pub(super) by_node: Vec<Edit<Granted>>,
    pub(super) by_subject: Vec<Edit<Role>>,
    pub(super) memberships: Vec<Edit<()>>,
    pub(super) in_group: Vec<Edit<()>>,
    /// Identities with the groups that they are in, while all are looked at.
    pub(super) joined: Vec<(u32, u32)>,
    /// Ids of identities, with what they sign in with.
    pub(super) identities: BTreeMap<u32, Fingerprint>,
    /// Whether all identities are looked at anyway.
    pub(super) everybody: bool,
    pub(super) catalogue: bool,
    pub(super) roles: bool,
}

impl Default for Index {
    fn default() -> Self {
        let mut subjects = SubjectIds::default();
        for name in SYSTEM_GROUPS {
            subjects.id(&World::new(), SubjectRef::System(name));
        }
        let mut nodes = NodeIds::default();
        for kind in TENANT_KINDS {
            nodes.kinds.id(kind().into());
        }
        nodes.homes.id(HomeRef::Platform);
        Self {
            nodes,
            subjects,
            roles: Interner::default(),
            places: Places::default(),
            identities: Identities::default(),
            by_target: Table::default(),
            by_node: Rows::default(),
            by_subject: Rows::default(),
        }
    }
}

impl Index {
    /// How many ids have been given, some of them to what is gone.
    pub(super) fn given(&self) -> usize {
        let identities = self.identities.given();
        self.nodes.len() + self.subjects.len() + self.roles.len() + identities
    }

    /// Makes room for what a world has.
    pub(super) fn reserve(&mut self, world: &World) {
        let count = |kind: &KindName| world.count_of_kind(kind);
        let (users, groups) = (count(&USER), count(&GROUP));
        let (accounts, bindings) = (count(&SERVICE_ACCOUNT), count(&BINDING));
        self.by_target.reserve(world.len() - bindings - count(&MEMBERSHIP));
        self.subjects.reserve(users + groups + accounts);
        self.identities.reserve(users, accounts, groups);
        self.nodes.reserve(bindings / 2);
        self.places.reserve(bindings / 2);
    }

    /// Ends the time in which much is added at once.
    pub(super) fn settle(&mut self) {
        self.nodes.settle();
        self.subjects.settle();
        self.roles.settle();
        self.places.settle();
        self.identities.settle();
        self.by_target.settle();
    }

    /// Takes up a fact that is in the world.
    pub(super) fn add(&mut self, world: &World, number: u32, pending: &mut Pending) {
        let Some(fact) = world.at(number) else { return };
        let target = fact.as_target();
        if !is_bookkeeping(fact.key.kind) {
            self.by_target.add(Hashed { hash: hash_of(&target), number });
        }
        let nodes: Vec<u32> = self.nodes.about(world, target).collect();
        for node in nodes {
            self.nodes.appear(node, number);
            self.name(&fact, node);
        }
        self.refer(world, &fact, number, pending);
    }

    /// Lets go of a fact that is still in the world.
    pub(super) fn remove(&mut self, world: &World, number: u32, pending: &mut Pending) {
        let Some(fact) = world.at(number) else { return };
        let target = fact.as_target();
        self.by_target.remove(hash_of(&target), |found| found.number == number);
        let nodes: Vec<u32> = self.nodes.about(world, target).collect();
        for node in nodes {
            self.unname(&fact, node);
            if self.nodes.fact(node) == Some(number) {
                self.nodes.vanish(node, target);
            }
        }
        self.release(world, &fact, number, pending);
        self.remove_tenant(&fact, number);
    }

    /// Keeps the look-ups for what a fact says.
    fn refer(&mut self, world: &World, fact: &FactRef<'_>, number: u32, pending: &mut Pending) {
        let KeyRef { kind, namespace, name, .. } = fact.key;
        let own = fact.as_subject().map(|subject| self.subjects.appear(world, subject, number));
        match (fact.body(), own) {
            (BodyRef::User, Some(own)) => {
                self.identities.put_user(fact, number, own);
                self.identities.note(name, pending);
            }
            (BodyRef::ServiceAccount, Some(own)) => {
                self.identities.add_account(fact.uid, number, own);
                self.identities.note(fact.uid, pending);
            }
            (BodyRef::Group, Some(own)) => {
                self.identities.put_group(fact, number, own);
                self.identities.note_members(world, namespace, name, pending);
            }
            (BodyRef::Membership { .. }, _) => {
                self.identities.note_membership(fact, number, true, pending);
            }
            (BodyRef::Binding { .. }, _) => self.bind(world, fact, number, true, pending),
            (BodyRef::Organization | BodyRef::Project { .. }, _) => self.put_tenant(world, number),
            _ => pending.note_catalogue(kind),
        }
    }

    /// Lets go of the look-ups for what a fact says.
    fn release(&mut self, world: &World, fact: &FactRef<'_>, number: u32, pending: &mut Pending) {
        let KeyRef { kind, namespace, name, .. } = fact.key;
        if let Some(subject) = fact.as_subject() {
            self.subjects.vanish(world, subject);
        }
        match fact.body() {
            BodyRef::User => {
                self.identities.remove_user(fact, number);
                self.identities.note(name, pending);
            }
            BodyRef::ServiceAccount => {
                self.identities.remove_account(fact.uid, number);
                self.identities.note(fact.uid, pending);
            }
            BodyRef::Group => {
                self.identities.remove_group(fact, number);
                self.identities.note_members(world, namespace, name, pending);
            }
            BodyRef::Membership { .. } => {
                self.identities.note_membership(fact, number, false, pending);
            }
            BodyRef::Binding { .. } => self.bind(world, fact, number, false, pending),
            _ => pending.note_catalogue(kind),
        }
    }

    /// Notes the grants of a binding, as coming or going.
    fn bind(
        &mut self,
        world: &World,
        fact: &FactRef<'_>,
        number: u32,
        add: bool,
        pending: &mut Pending,
    ) {
        let BodyRef::Binding { role, subjects, target } = fact.body() else { return };
        // A role that may not be named is granted nowhere.
        let Some(role) = fact.key.named_role(role) else { return };
        let node = self.node(world, fact.key.home(), target);
        let role = self.roles.id(role);
        let granted = Granted { role, binding: number };
        for subject in subjects {
            let subject = self.subjects.id(world, subject);
            pending.by_node.push(Edit { row: node, other: subject, detail: granted, add });
            pending.by_subject.push(Edit { row: subject, other: node, detail: Role(role), add });
        }
    }
}

impl Pending {
    fn note_catalogue(&mut self, kind: KindRef<'_>) {
        self.roles |= kind == (&*ROLE).into();
        self.catalogue |= kind == (&*PROTECTED_RESOURCE).into();
    }
}
