//! The indexes of a world: ids, and where to look for what.
//!
//! Facts are known by their numbers, and names are read from the facts: nothing is written twice.

use std::{collections::HashSet, sync::Arc};

use crate::{
    Text,
    persistent::{Fingerprint, Table, hash_of},
    world::{
        BodyRef, FactRef, HomeRef, Key, KeyRef, KindRef, PROTECTED_RESOURCE, ROLE, SubjectRef,
        TargetRef, World,
    },
};

use super::{
    lists::Lists,
    node_ids::{NodeIds, is_bookkeeping},
    rows::{Edit, Granted, Rows},
    slab::Interner,
    subject_ids::SubjectIds,
    tenant::{ORGANIZATION_ID, PROJECT_ID, TENANT_KINDS, Tenant, USER_ID},
};

/// The system groups have the first ids of subjects, in this order.
pub(super) const SYSTEM_GROUPS: [&str; 3] =
    ["system:authenticated", "system:authenticated-users", "system:unauthenticated"];

/// The platform's home has the first id of homes.
pub(super) const PLATFORM: u32 = 0;

/// An object that bindings name, and their node. An object may have several.
#[derive(Clone, Copy, Debug)]
pub(super) struct Named {
    key: Fingerprint,
    fact: u32,
    node: u32,
}

/// By what one signs in with, the row of the subjects that one is.
#[derive(Clone, Copy, Debug)]
pub(super) struct Identity {
    pub(super) uid: Fingerprint,
    pub(super) row: u32,
}

/// Nodes by kind.
type Kinds = Arc<[(u32, u32)]>;

/// See the module.
#[derive(Clone, Debug)]
pub(super) struct Index {
    pub(super) nodes: NodeIds,
    pub(super) subjects: SubjectIds,
    pub(super) roles: Interner<Key>,
    pub(super) tenants: Table<Arc<Tenant>>,
    pub(super) projects: Table<Arc<Tenant>>,
    /// By home, the nodes of its bindings for whole kinds.
    pub(super) kinds_of: Table<(u32, Kinds)>,
    /// The same of the platform.
    pub(super) platform_kinds: Kinds,
    /// What bindings name, by key.
    pub(super) named: Table<Named>,
    /// Whatever bindings may name, by what they would name.
    pub(super) by_target: Table<u32>,
    pub(super) users: Table<u32>,
    /// Groups of the platform, with their ids as subjects.
    pub(super) groups: Table<(u32, u32)>,
    /// Service accounts by UID.
    pub(super) accounts: Table<u32>,
    /// Memberships by user.
    pub(super) of_user: Lists,
    /// Memberships by group.
    pub(super) in_group: Lists,
    pub(super) identities: Table<Identity>,
    pub(super) members: Rows<()>,
    pub(super) by_node: Rows<Granted>,
    pub(super) by_subject: Rows<Granted>,
}

/// What changes have made stale.
#[derive(Debug, Default)]
pub(super) struct Pending {
    pub(super) by_node: Vec<Edit<Granted>>,
    pub(super) by_subject: Vec<Edit<Granted>>,
    pub(super) identities: HashSet<Text>,
    /// Whether all identities are looked at anyway.
    pub(super) everybody: bool,
    pub(super) catalogue: bool,
    pub(super) roles: bool,
}

/// How many facts of which sort there are, to make tables for them.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Expected {
    pub(super) users: usize,
    pub(super) accounts: usize,
    pub(super) groups: usize,
    pub(super) memberships: usize,
    pub(super) bindings: usize,
    pub(super) all: usize,
}

pub(super) fn group_hash(namespace: &str, name: &str) -> u64 {
    hash_of(&(namespace, name))
}

impl Index {
    pub(super) fn for_entries(expected: Expected) -> Self {
        let Expected { users, accounts, groups, memberships, bindings, all } = expected;
        let mut subjects = SubjectIds::for_entries(users + accounts + groups);
        for name in SYSTEM_GROUPS {
            subjects.id(&World::new(), SubjectRef::System(name));
        }
        let mut nodes = NodeIds::for_entries(bindings / 2);
        for kind in TENANT_KINDS {
            nodes.kinds.id(kind().into());
        }
        nodes.homes.id(HomeRef::Platform);
        Self {
            nodes,
            subjects,
            roles: Interner::default(),
            tenants: Table::for_entries(0),
            projects: Table::for_entries(0),
            kinds_of: Table::for_entries(0),
            platform_kinds: Arc::default(),
            named: Table::for_entries(bindings / 2),
            by_target: Table::for_entries(all.saturating_sub(memberships + bindings)),
            users: Table::for_entries(users),
            groups: Table::for_entries(groups),
            accounts: Table::for_entries(accounts),
            of_user: Lists::for_entries(users.min(memberships)),
            in_group: Lists::for_entries(groups.min(memberships)),
            identities: Table::for_entries(users + accounts),
            members: Rows::default(),
            by_node: Rows::default(),
            by_subject: Rows::default(),
        }
    }

    /// How many ids have been given, some of them to what is gone.
    pub(super) fn given(&self) -> usize {
        self.nodes.len() + self.subjects.len() + self.roles.len()
    }

    /// Takes up a fact that is in the world.
    pub(super) fn add(&mut self, world: &World, number: u32, pending: &mut Pending) {
        let Some(fact) = world.at(number) else { return };
        if !is_bookkeeping(fact.key.kind) {
            let rehash = |number: &u32| world.at(*number).map_or(0, |f| hash_of(&f.as_target()));
            self.by_target.add(hash_of(&fact.as_target()), number, rehash);
        }
        let nodes: Vec<u32> = self.nodes.about(world, fact.as_target()).collect();
        for node in nodes {
            self.nodes.appear(node, number);
            self.name(&fact, number, node);
        }
        self.refer(world, &fact, number, pending);
    }

    /// Lets go of a fact that is still in the world.
    pub(super) fn remove(&mut self, world: &World, number: u32, pending: &mut Pending) {
        let Some(fact) = world.at(number) else { return };
        let target = fact.as_target();
        self.by_target.remove(hash_of(&target), |found| *found == number);
        let nodes: Vec<u32> = self.nodes.about(world, target).collect();
        let key = self.fingerprint(fact.key);
        for node in nodes {
            self.named.remove(key.hash(), |found| found.fact == number && found.node == node);
            if self.nodes.fact(node) == Some(number) {
                self.nodes.vanish(node, target);
            }
        }
        self.release(world, &fact, number, pending);
        if let Some(tenant) = Tenant::of(number, &fact) {
            self.tenants.remove(tenant.hash(), |found| found.fact == number);
            self.projects.remove(hash_of(&*tenant.uid), |found| found.fact == number);
        }
    }

    /// Keeps the look-ups for what a fact says.
    fn refer(&mut self, world: &World, fact: &FactRef<'_>, number: u32, pending: &mut Pending) {
        let KeyRef { kind, namespace, name, project } = fact.key;
        let own = fact.as_subject().map(|subject| self.subjects.appear(world, subject, number));
        match fact.body() {
            BodyRef::User => {
                self.users.add(hash_of(name), number, |n| rehash_by(world, *n, |f| f.key.name));
                pending.note_identity(name);
            }
            BodyRef::ServiceAccount => {
                let rehash = |n: &u32| rehash_by(world, *n, |f| f.uid);
                self.accounts.add(hash_of(fact.uid), number, rehash);
                pending.note_identity(fact.uid);
            }
            BodyRef::Group => {
                if let (None, Some(own)) = (project, own) {
                    let rehash = |(n, _): &(u32, u32)| {
                        world.at(*n).map_or(0, |f| group_hash(f.key.namespace, f.key.name))
                    };
                    self.groups.add(group_hash(namespace, name), (number, own), rehash);
                }
                self.stale_members(world, namespace, name, pending);
            }
            BodyRef::Membership { group_namespace, group, user } => {
                self.in_group.add(&(group_namespace, group), number);
                self.of_user.add(user, number);
                pending.note_identity(user);
            }
            BodyRef::Binding { .. } => self.bind(world, fact, number, true, pending),
            BodyRef::Organization | BodyRef::Project { .. } => self.put_tenant(world, number),
            _ => pending.note_catalogue(kind),
        }
    }

    /// Lets go of the look-ups for what a fact says.
    fn release(&mut self, world: &World, fact: &FactRef<'_>, number: u32, pending: &mut Pending) {
        let KeyRef { kind, namespace, name, .. } = fact.key;
        let is_it = |found: &u32| *found == number;
        if let Some(subject) = fact.as_subject() {
            self.subjects.vanish(world, subject);
        }
        match fact.body() {
            BodyRef::User => {
                self.users.remove(hash_of(name), is_it);
                pending.note_identity(name);
            }
            BodyRef::ServiceAccount => {
                self.accounts.remove(hash_of(fact.uid), is_it);
                pending.note_identity(fact.uid);
            }
            BodyRef::Group => {
                self.groups.remove(group_hash(namespace, name), |(found, _)| *found == number);
                self.stale_members(world, namespace, name, pending);
            }
            BodyRef::Membership { group_namespace, group, user } => {
                self.in_group.remove(&(group_namespace, group), number);
                self.of_user.remove(user, number);
                pending.note_identity(user);
            }
            BodyRef::Binding { .. } => self.bind(world, fact, number, false, pending),
            _ => pending.note_catalogue(kind),
        }
    }

    fn stale_members(&self, world: &World, namespace: &str, name: &str, pending: &mut Pending) {
        for membership in self.memberships_in(namespace, name) {
            if let Some(BodyRef::Membership { user, .. }) = world.at(*membership).map(|f| f.body())
            {
                pending.note_identity(user);
            }
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
        let detail = Granted { role: self.roles.id(role), binding: number };
        for subject in subjects {
            let subject = self.subjects.id(world, subject);
            pending.by_node.push(Edit { row: node, other: subject, detail, add });
            pending.by_subject.push(Edit { row: subject, other: node, detail, add });
        }
    }

    /// The id of a node, which is made known to where it will be looked for.
    fn node(&mut self, world: &World, home: HomeRef<'_>, target: TargetRef<'_>) -> u32 {
        let home_id = self.nodes.homes.id(home);
        if let Some(node) = self.nodes.find(world, home_id, target) {
            return node;
        }
        let facts = self.facts_meant(world, target);
        let node = self.nodes.push(world, home_id, target, facts.first().copied());
        if let TargetRef::Kind(kind) = target {
            let kind = self.nodes.kinds.id(kind);
            self.put_kind(world, home, home_id, (kind, node));
        }
        for number in facts {
            if let Some(fact) = world.at(number) {
                self.name(&fact, number, node);
                if self.nodes.kinds.find(fact.key.kind).is_some_and(|kind| kind < USER_ID) {
                    self.put_tenant(world, number);
                }
            }
        }
        node
    }

    /// The facts that a binding to a target means: one, unless a UID is there twice by mistake.
    pub(super) fn facts_meant(&self, world: &World, target: TargetRef<'_>) -> Vec<u32> {
        let TargetRef::Object { kind, namespace, name, .. } = target else { return Vec::new() };
        let is_it = |number: &u32| world.at(*number).is_some_and(|fact| fact.as_target() == target);
        if !is_bookkeeping(kind) {
            let found = self.by_target.having(hash_of(&target)).copied();
            return found.filter(is_it).collect();
        }
        let projects = self.tenants.iter().filter(|tenant| tenant.is_project());
        let planes = std::iter::once(None).chain(projects.map(|project| Some(&*project.uid)));
        let numbers =
            planes.filter_map(|project| world.number(KeyRef { kind, project, namespace, name }));
        numbers.filter(is_it).collect::<std::collections::BTreeSet<_>>().into_iter().collect()
    }

    /// Makes an object known to checks, when they look for it.
    fn name(&mut self, fact: &FactRef<'_>, number: u32, node: u32) {
        self.nodes.kinds.id(fact.key.kind);
        let key = self.fingerprint(fact.key);
        let named = Named { key, fact: number, node };
        self.named.add(key.hash(), named, |named| named.key.hash());
    }

    /// By which [`nodes_of`](Self::nodes_of) finds an object.
    pub(super) fn fingerprint(&self, key: KeyRef<'_>) -> Fingerprint {
        fingerprint(self.nodes.kinds.find(key.kind).unwrap_or(u32::MAX), key)
    }

    fn put_kind(&mut self, world: &World, home: HomeRef<'_>, id: u32, node: (u32, u32)) {
        let known = self.kinds_in(id);
        let mut kinds: Vec<(u32, u32)> = known.iter().copied().chain([node]).collect();
        kinds.sort_unstable();
        let kinds: Kinds = kinds.into();
        let hash = hash_of(&id);
        self.kinds_of.put(hash, (id, kinds.clone()), |(of, _)| *of == id, |(of, _)| hash_of(of));
        let tenants: Vec<u32> = match home {
            HomeRef::Platform => {
                self.platform_kinds = kinds;
                Vec::new()
            }
            HomeRef::Organization(name) => {
                let hash = Tenant::hash_of(false, "", name);
                self.tenants.having(hash).map(|tenant| tenant.fact).collect()
            }
            HomeRef::Project(uid) => {
                self.projects.having(hash_of(uid)).map(|tenant| tenant.fact).collect()
            }
        };
        tenants.into_iter().for_each(|tenant| self.put_tenant(world, tenant));
    }

    fn kinds_in(&self, home: u32) -> Kinds {
        let found = self.kinds_of.find(hash_of(&home), |(of, _)| *of == home);
        found.map(|(_, kinds)| kinds.clone()).unwrap_or_default()
    }

    /// Makes an organization or a project known, with the bindings on it.
    fn put_tenant(&mut self, world: &World, number: u32) {
        let Some(fact) = world.at(number) else { return };
        let Some(mut tenant) = Tenant::of(number, &fact) else { return };
        let wanted = if tenant.is_project() { PROJECT_ID } else { ORGANIZATION_ID };
        if fact.key.project.is_some() || self.nodes.kinds.find(fact.key.kind) != Some(wanted) {
            return;
        }
        let nodes = self.nodes_of(number, self.fingerprint(fact.key));
        tenant.nodes = nodes.filter_map(|node| Some((self.nodes.home(node)?, node))).collect();
        let home = self.nodes.homes.id(tenant.own_home());
        (tenant.home, tenant.kinds) = (Some(home), self.kinds_in(home));
        let tenant = Arc::new(tenant);
        let is_it = |found: &Arc<Tenant>| found.fact == number;
        if tenant.is_project() {
            let hash = hash_of(&*tenant.uid);
            self.projects.put(hash, tenant.clone(), is_it, |found| hash_of(&*found.uid));
        }
        self.tenants.put(tenant.hash(), tenant.clone(), is_it, |found| found.hash());
    }

    /// The nodes about the object that a fact says exists.
    pub(super) fn nodes_of(&self, number: u32, key: Fingerprint) -> impl Iterator<Item = u32> {
        let found = self.named.having(key.hash()).filter(move |named| named.fact == number);
        found.map(|named| named.node)
    }

    /// The number of an object that bindings name, by its key, whose kind has an id.
    pub(super) fn named(&self, kind: u32, key: KeyRef<'_>) -> Option<(u32, Fingerprint)> {
        let key = fingerprint(kind, key);
        let found = self.named.find(key.hash(), |named| named.key == key);
        found.map(|named| (named.fact, key))
    }

    /// An organization or a project by its key.
    pub(super) fn tenant(&self, is_project: bool, namespace: &str, name: &str) -> Option<&Tenant> {
        let hash = Tenant::hash_of(is_project, namespace, name);
        let is_it = |found: &Arc<Tenant>| {
            found.is_project() == is_project
                && *found.namespace == *namespace
                && *found.name == *name
        };
        self.tenants.find(hash, is_it).map(|tenant| &**tenant)
    }

    /// The project with a UID.
    pub(super) fn project(&self, uid: &str) -> Option<&Tenant> {
        self.projects.find(hash_of(uid), |found| *found.uid == *uid).map(|tenant| &**tenant)
    }
}

impl Pending {
    fn note_identity(&mut self, uid: &str) {
        if !self.everybody {
            self.identities.insert(uid.into());
        }
    }

    fn note_catalogue(&mut self, kind: KindRef<'_>) {
        self.roles |= kind == (&*ROLE).into();
        self.catalogue |= kind == (&*PROTECTED_RESOURCE).into();
    }
}

fn fingerprint(kind: u32, key: KeyRef<'_>) -> Fingerprint {
    Fingerprint::of(&(kind, key.project, key.namespace, key.name))
}

fn rehash_by<'a>(world: &'a World, number: u32, name: impl Fn(&FactRef<'a>) -> &'a str) -> u64 {
    world.at(number).map_or(0, |fact| hash_of(name(&fact)))
}
