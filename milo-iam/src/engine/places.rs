//! Where something is: objects that bindings name, and tenants, by their names.

use crate::{
    persistent::{Entry, Fingerprint, Kept, Printed, Table, hash_of},
    world::{BodyRef, FactRef, HomeRef, KeyRef, TargetRef, World},
};

use super::{
    index::{Index, PLATFORM},
    node_ids::is_bookkeeping,
    tenant::{Kinds, ORGANIZATION_ID, PROJECT_ID, Tenant, USER_ID},
};

/// An object that bindings name, and the node of those of one home.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Named {
    key: Fingerprint,
    pub(super) home: u32,
    pub(super) node: u32,
}

impl Entry for Named {
    fn hash(&self) -> u32 {
        self.key.hash()
    }
}

/// See the module.
#[derive(Clone, Debug, Default)]
pub(super) struct Places {
    /// What bindings name, by key.
    named: Table<Named>,
    /// Organizations and projects by key.
    tenants: Table<Tenant>,
    /// The facts of projects by UID.
    projects: Table<Printed>,
    /// By home, the nodes of its bindings for whole kinds.
    kinds_of: Table<Kept<[(u32, u32)]>>,
    /// The same of the platform.
    pub(super) platform_kinds: Kinds,
}

impl Places {
    /// Makes room for objects that will be named.
    pub(super) fn reserve(&mut self, named: usize) {
        self.named.reserve(named);
    }

    /// Ends the time in which much is added at once.
    pub(super) fn settle(&mut self) {
        self.named.settle();
        self.tenants.settle();
        self.projects.settle();
        self.kinds_of.settle();
    }

    /// An organization or a project by the [fingerprint](Tenant::fingerprint) of its key.
    #[inline]
    pub(super) fn tenant(&self, key: Fingerprint) -> Option<&Tenant> {
        self.tenants.find(key.hash(), |tenant| tenant.key == key)
    }

    /// See [`Table::prefetch`].
    #[inline]
    pub(super) fn prefetch_tenant(&self, key: Fingerprint) {
        self.tenants.prefetch(key.hash());
    }

    /// The same for the nodes about an object.
    #[inline]
    pub(super) fn prefetch_named(&self, key: Fingerprint) {
        self.named.prefetch(key.hash());
    }

    /// The project with a UID.
    pub(super) fn project(&self, world: &World, uid: &str) -> Option<&Tenant> {
        let mut facts = self.projects_with(uid).filter_map(|number| world.at(number));
        facts.find_map(|FactRef { key: KeyRef { namespace, name, .. }, .. }| {
            self.tenant(Tenant::fingerprint(true, namespace, name))
        })
    }

    /// The facts of the projects with a UID: one, unless it is there twice by mistake.
    fn projects_with(&self, uid: &str) -> impl Iterator<Item = u32> {
        let uid = Fingerprint::of(uid);
        let found = self.projects.having(uid.hash()).filter(move |found| found.name == uid);
        found.map(|found| found.number)
    }

    /// The nodes about an object, of all homes.
    #[inline]
    pub(super) fn nodes_of(&self, key: Fingerprint) -> impl Iterator<Item = Named> + Clone {
        self.named.having(key.hash()).filter(move |named| named.key == key).copied()
    }

    /// The node about an object of a home: fast however many homes have one.
    #[inline]
    pub(super) fn node_of(&self, key: Fingerprint, home: u32) -> Option<u32> {
        let found = self.named.get(key.hash(), |named| (named.key, named.home).cmp(&(key, home)));
        found.map(|named| named.node)
    }

    fn kinds_in(&self, home: u32) -> Kinds {
        self.kinds_of.kept(Fingerprint::of_id(home)).cloned().unwrap_or_default()
    }

    /// How many bytes it holds.
    pub(super) fn memory(&self) -> usize {
        let kinds = self.kinds_of.iter().map(|kept| size_of_val(&*kept.thing)).sum::<usize>();
        let tables = self.tenants.memory() + self.projects.memory() + self.kinds_of.memory();
        self.named.memory() + tables + kinds
    }
}

impl Index {
    /// The id of a node, which is made known to where it will be looked for.
    pub(super) fn node(&mut self, world: &World, home: HomeRef<'_>, target: TargetRef<'_>) -> u32 {
        let home_id = self.nodes.homes.id(home);
        if let Some(node) = self.nodes.find(world, home_id, target) {
            return node;
        }
        let facts = self.facts_meant(world, target);
        let node = self.nodes.push(home_id, target, facts.first().copied());
        if let TargetRef::Kind(kind) = target {
            let kind = self.nodes.kinds.id(kind);
            self.put_kind(world, home, home_id, (kind, node));
        }
        for number in facts {
            if let Some(fact) = world.at(number) {
                self.name(&fact, node);
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
            let found = self.by_target.having(hash_of(&target)).map(|found| found.number);
            return found.filter(is_it).collect();
        }
        let projects = self.places.projects.iter();
        let projects = projects.filter_map(|found| Some(Some(world.at(found.number)?.uid)));
        let planes = std::iter::once(None).chain(projects);
        let numbers =
            planes.filter_map(|project| world.number(KeyRef { kind, project, namespace, name }));
        numbers.filter(is_it).collect::<std::collections::BTreeSet<_>>().into_iter().collect()
    }

    /// Makes an object known to checks, when they look for it.
    pub(super) fn name(&mut self, fact: &FactRef<'_>, node: u32) {
        self.nodes.kinds.id(fact.key.kind);
        let key = self.fingerprint(fact.key);
        if let Some(home) = self.nodes.home(node) {
            self.places.named.add(Named { key, home, node });
        }
    }

    pub(super) fn unname(&mut self, fact: &FactRef<'_>, node: u32) {
        let key = self.fingerprint(fact.key);
        self.places.named.remove(key.hash(), |found| found.key == key && found.node == node);
    }

    /// By which objects are found.
    pub(super) fn fingerprint(&self, key: KeyRef<'_>) -> Fingerprint {
        fingerprint(self.nodes.kinds.find(key.kind).unwrap_or(u32::MAX), key)
    }

    fn put_kind(&mut self, world: &World, home: HomeRef<'_>, id: u32, node: (u32, u32)) {
        let known = self.places.kinds_in(id);
        let mut kinds: Vec<(u32, u32)> = known.iter().copied().chain([node]).collect();
        kinds.sort_unstable();
        let kinds: Kinds = kinds.into();
        self.places.kinds_of.keep(Fingerprint::of_id(id), kinds.clone());
        let tenants: Vec<u32> = match home {
            HomeRef::Platform => {
                self.places.platform_kinds = kinds;
                Vec::new()
            }
            HomeRef::Organization(name) => {
                let found = self.places.tenant(Tenant::fingerprint(false, "", name));
                found.map(|tenant| tenant.fact).into_iter().collect()
            }
            HomeRef::Project(uid) => self.places.projects_with(uid).collect(),
        };
        tenants.into_iter().for_each(|tenant| self.put_tenant(world, tenant));
    }

    /// Makes an organization or a project known, with the bindings on it.
    pub(super) fn put_tenant(&mut self, world: &World, number: u32) {
        let Some(fact) = world.at(number) else { return };
        let Some(mut tenant) = Tenant::of(number, &fact) else { return };
        let wanted = if tenant.is_project() { PROJECT_ID } else { ORGANIZATION_ID };
        if fact.key.project.is_some() || self.nodes.kinds.find(fact.key.kind) != Some(wanted) {
            return;
        }
        let home = match fact.body() {
            BodyRef::Project { .. } => HomeRef::Project(fact.uid),
            _ => HomeRef::Organization(fact.key.name),
        };
        let home = self.nodes.homes.id(home);
        let organization = match fact.body() {
            BodyRef::Project { organization, .. } => {
                Some(self.nodes.homes.id(HomeRef::Organization(organization)))
            }
            _ => None,
        };
        let key = self.fingerprint(fact.key);
        let node = |home: Option<u32>| self.places.node_of(key, home?);
        tenant.nodes = [Some(PLATFORM), organization, Some(home)].map(node);
        (tenant.home, tenant.kinds) = (Some(home), self.places.kinds_in(home));
        if tenant.is_project() {
            // There are two with one UID only by mistake, and both are there.
            self.places.projects.remove(tenant.uid.hash(), |found| found.number == number);
            self.places.projects.add(Printed { name: tenant.uid, number });
        }
        self.places.tenants.remove(tenant.key.hash(), |found| found.key == tenant.key);
        self.places.tenants.add(tenant);
    }

    /// Lets go of an organization or a project.
    pub(super) fn remove_tenant(&mut self, fact: &FactRef<'_>, number: u32) {
        let Some(Tenant { key, uid, .. }) = Tenant::of(number, fact) else { return };
        self.places.tenants.remove(key.hash(), |tenant| tenant.fact == number);
        self.places.projects.remove(uid.hash(), |found| found.number == number);
    }
}

/// By which an object of a kind with an id is found.
#[inline]
fn fingerprint(kind: u32, key: KeyRef<'_>) -> Fingerprint {
    object_print(kind, key.project.map(Fingerprint::of), key.namespace, key.name)
}

/// The same; the project is told by the fingerprint of its UID.
#[inline]
pub(super) fn object_print(
    kind: u32,
    project: Option<Fingerprint>,
    namespace: &str,
    name: &str,
) -> Fingerprint {
    let [a, b, c, d] = project.map_or([0; 4], Fingerprint::words);
    Fingerprint::of_parts([kind, a, b, c, d], [namespace, name])
}
