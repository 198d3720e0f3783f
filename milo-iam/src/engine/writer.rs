//! From facts to indexes, and from changes to changed indexes.

use std::{
    collections::{BTreeSet, HashMap, HashSet},
    sync::Arc,
};

use hashbrown::HashTable;

use crate::{
    Text,
    world::{
        Body, Change, Fact, GROUP, Home, Key, KindName, Plane, ROLE, RoleName, SYSTEM_NAMESPACE,
        Subject, Target, USER, World,
    },
};

use super::{
    catalogue::{Catalogue, Roles},
    extent::Extent,
    resolve::TENANT_KINDS,
    rows::{Edit, Grant, Rows},
    slab::Interner,
    snapshot::{
        Element, HomeEntry, HomeRef, Identity, KeyRef, Named, ProjectEntry, SYSTEM_GROUPS,
        Snapshot, is_tenant,
    },
    table::{Entry, Table, hash_of},
};

type Map<K, V> = HashMap<K, V, foldhash::fast::RandomState>;

/// Ids that are given before the writer looks how many are still in use.
const IDS_BEFORE_REBUILD: usize = 65_536;

/// Holds the facts and makes snapshots.
#[derive(Debug)]
pub(crate) struct Writer {
    snapshot: Snapshot,
    kinds: Interner<KindName>,
    homes: Interner<Home>,
    nodes: Interner<Extent>,
    subjects: Interner<Subject>,
    roles: Interner<Key>,
    bindings: Interner<Key>,
    /// By what bindings name, the nodes for it by home.
    nodes_of: Map<Target, Arc<[(u32, u32)]>>,
    /// Facts by UID: UIDs may be used twice by mistake, and then mean both.
    by_uid: HashTable<Arc<Fact>>,
    accounts: Map<Text, BTreeSet<Key>>,
    of_user: Map<Text, BTreeSet<Key>>,
    in_group: Map<(Text, Text), BTreeSet<Key>>,
    pending: Pending,
}

/// What the changes of a batch have made stale.
#[derive(Debug, Default)]
struct Pending {
    by_node: Vec<Edit>,
    by_subject: Vec<Edit>,
    identities: HashSet<Text>,
    catalogue: bool,
    roles: bool,
}

impl Writer {
    /// Reads a world from the beginning.
    pub(crate) fn new(revision: u64, world: World) -> Self {
        let mut writer = Self::empty(revision, world.len());
        for fact in world.facts() {
            writer.add(fact);
        }
        writer.snapshot.world = world;
        writer.pending.catalogue = true;
        writer.settle();
        writer
    }

    fn empty(revision: u64, expected: usize) -> Self {
        let mut kinds = Interner::default();
        for kind in TENANT_KINDS {
            kinds.id(kind());
        }
        let mut subjects = Interner::default();
        for name in SYSTEM_GROUPS {
            subjects.id(&Subject::System(name.into()));
        }
        let (nodes, bindings) = (Interner::default(), Interner::default());
        Self {
            snapshot: Snapshot {
                revision,
                world: World::new(),
                catalogue: Arc::default(),
                roles: Arc::default(),
                identities: Table::for_entries(expected),
                elements: Table::for_entries(expected),
                named: Table::for_entries(expected),
                projects: Table::for_entries(expected / 64),
                homes: Table::for_entries(expected / 64),
                by_node: Rows::default(),
                by_subject: Rows::default(),
                extents: nodes.things().clone(),
                subjects: subjects.things().clone(),
                bindings: bindings.things().clone(),
            },
            kinds,
            homes: Interner::default(),
            nodes,
            subjects,
            roles: Interner::default(),
            bindings,
            nodes_of: Map::default(),
            by_uid: HashTable::with_capacity(expected),
            accounts: Map::default(),
            of_user: Map::default(),
            in_group: Map::default(),
            pending: Pending::default(),
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
            let added = match &change {
                Change::Put(fact) => Some(fact.clone()),
                Change::Remove(_) => None,
            };
            let removed = self.snapshot.world.apply(change);
            if added == removed {
                continue;
            }
            if let Some(fact) = removed {
                self.remove(&fact);
            }
            if let Some(fact) = added {
                self.add(&fact);
            }
        }
        let given = self.bindings.len() + self.nodes.len() + self.subjects.len();
        if given > IDS_BEFORE_REBUILD + 4 * self.snapshot.world.len() {
            // Ids are not used twice. What is left of objects that are gone is left behind here.
            *self = Self::new(revision, self.snapshot.world.clone());
        } else {
            self.settle();
        }
    }

    /// The snapshot that changes would give. The facts stay as they are.
    pub(crate) fn pretend(&mut self, changes: impl IntoIterator<Item = Change>) -> Snapshot {
        let revision = self.snapshot.revision;
        let before = self.snapshot.world.clone();
        let changes: Vec<Change> = changes.into_iter().collect();
        let undo = |change: &Change| match before.get(change.key()) {
            Some(fact) => Change::Put(fact.clone()),
            None => Change::Remove(change.key().clone()),
        };
        let back: Vec<Change> = changes.iter().map(undo).collect();
        self.apply(revision, changes);
        let pretended = self.snapshot();
        self.apply(revision, back);
        pretended
    }

    fn add(&mut self, fact: &Arc<Fact>) {
        self.by_uid.insert_unique(hash_of(fact.uid()), fact.clone(), |fact| hash_of(fact.uid()));
        if let Body::Binding { .. } = fact.body() {
            self.bind(fact, true);
        }
        self.track(fact, true);
        self.put_element(fact);
    }

    fn remove(&mut self, fact: &Arc<Fact>) {
        let hash = hash_of(fact.uid());
        if let Ok(found) = self.by_uid.find_entry(hash, |found| found.key() == fact.key()) {
            found.remove();
        }
        if let Body::Binding { .. } = fact.body() {
            self.bind(fact, false);
        }
        self.track(fact, false);
        let key = KeyRef::from(fact.key());
        self.snapshot.elements.remove(hash_of(&key), |e| KeyRef::from(e.fact.key()) == key);
        let named = Named(fact.clone());
        self.snapshot.named.remove(named.hash(), |found| found.0.key() == fact.key());
        if let Body::Project { .. } = fact.body() {
            let entry = ProjectEntry(fact.clone());
            self.snapshot.projects.remove(entry.hash(), |found| found.0.key() == fact.key());
        }
    }

    /// Keeps the look-ups for identities, and notes what is stale.
    fn track(&mut self, fact: &Fact, add: bool) {
        let key = fact.key();
        match fact.body() {
            Body::User => self.stale_identity(&key.name),
            Body::ServiceAccount => {
                keep(self.accounts.entry(fact.uid().clone()).or_default(), key, add);
                self.stale_identity(fact.uid());
            }
            Body::Group => self.stale_members(&key.namespace, &key.name),
            Body::Membership { group_namespace, group, user } => {
                let of_group = (group_namespace.clone(), group.clone());
                keep(self.in_group.entry(of_group).or_default(), key, add);
                keep(self.of_user.entry(user.clone()).or_default(), key, add);
                self.stale_identity(user);
            }
            Body::Role { .. } => self.pending.roles = true,
            Body::ProtectedResource { .. } => self.pending.catalogue = true,
            _ => {}
        }
    }

    fn stale_identity(&mut self, uid: &Text) {
        self.pending.identities.insert(uid.clone());
    }

    fn stale_members(&mut self, namespace: &Text, name: &Text) {
        let memberships = self.in_group.get(&(namespace.clone(), name.clone()));
        for key in memberships.into_iter().flatten() {
            if let Some(Body::Membership { user, .. }) =
                self.snapshot.world.get(key).map(|fact| fact.body())
            {
                self.pending.identities.insert(user.clone());
            }
        }
    }

    /// Notes the grants of a binding, as coming or going.
    fn bind(&mut self, fact: &Fact, add: bool) {
        let Body::Binding { role, subjects, target } = fact.body() else { return };
        // A role that may not be named is granted nowhere.
        let Some(role) = named_role(fact.key(), role) else { return };
        let node = self.node(Extent { home: fact.key().home(), target: target.clone() });
        let (role, binding) = (self.roles.id(&role), self.bindings.id(fact.key()));
        for subject in subjects {
            let subject = self.subjects.id(subject);
            let grant = Grant { other: subject, role, binding };
            self.pending.by_node.push(Edit { row: node, grant, add });
            let grant = Grant { other: node, role, binding };
            self.pending.by_subject.push(Edit { row: subject, grant, add });
        }
    }

    /// The id of a node, which is made known to where it will be looked for.
    fn node(&mut self, node: Extent) -> u32 {
        let known = self.nodes.len();
        let id = self.nodes.id(&node);
        if id as usize != known {
            return id;
        }
        let home = self.homes.id(&node.home);
        match &node.target {
            Target::Kind(kind) => {
                let kind = self.kinds.id(kind);
                self.put_home(node.home, home, (kind, id));
            }
            Target::Object { uid, .. } => {
                self.put_home_id(&node.home, home);
                let nodes = self.nodes_of.entry(node.target.clone()).or_default();
                *nodes = nodes.iter().copied().chain([(home, id)]).collect();
                let hash = hash_of(uid);
                let found = self.by_uid.iter_hash(hash);
                let found = found.filter(|fact| fact.as_target() == node.target);
                for fact in found.cloned().collect::<Vec<_>>() {
                    self.put_element(&fact);
                }
            }
        }
        id
    }

    fn put_home(&mut self, home: Home, id: u32, node: (u32, u32)) {
        let known = self.snapshot.home(HomeRef::from(&home)).map(|entry| entry.kinds.clone());
        let kinds = known.iter().flat_map(|known| known.iter().copied()).chain([node]).collect();
        let is_it = home.clone();
        self.snapshot.homes.put(HomeEntry { home, id, kinds }, |e| e.home == is_it);
    }

    fn put_home_id(&mut self, home: &Home, id: u32) {
        if self.snapshot.home(HomeRef::from(home)).is_none() {
            let entry = HomeEntry { home: home.clone(), id, kinds: Arc::default() };
            self.snapshot.homes.put(entry, |e| e.home == *home);
        }
    }

    /// Makes an object known to checks, when they look for it.
    fn put_element(&mut self, fact: &Arc<Fact>) {
        let nodes = self.nodes_of.get(&fact.as_target()).cloned().unwrap_or_default();
        if !nodes.is_empty() || is_tenant(fact) {
            if let Body::Project { .. } = fact.body() {
                let entry = ProjectEntry(fact.clone());
                self.snapshot.projects.put(entry, |found| found.0.key() == fact.key());
            }
            self.snapshot.named.put(Named(fact.clone()), |found| found.0.key() == fact.key());
            let element = Element { fact: fact.clone(), nodes };
            self.snapshot.elements.put(element, |found| found.fact.key() == fact.key());
        }
    }

    /// Brings the indexes up to date.
    fn settle(&mut self) {
        let pending = std::mem::take(&mut self.pending);
        for uid in pending.identities {
            self.put_identity(uid);
        }
        if pending.catalogue {
            let catalogue = Catalogue::of(&self.snapshot.world, &mut self.kinds);
            self.snapshot.catalogue = Arc::new(catalogue);
        }
        if pending.catalogue || pending.roles {
            self.snapshot.roles = Arc::new(self.roles());
        }
        self.snapshot.by_node.apply(pending.by_node);
        self.snapshot.by_subject.apply(pending.by_subject);
        self.snapshot.extents = self.nodes.things().clone();
        self.snapshot.subjects = self.subjects.things().clone();
        self.snapshot.bindings = self.bindings.things().clone();
    }

    fn roles(&mut self) -> Roles {
        let facts: Vec<Arc<Fact>> = self.snapshot.world.of_kind(&ROLE).cloned().collect();
        let ids = std::cell::RefCell::new(&mut self.roles);
        Roles::of(
            &facts,
            &self.snapshot.catalogue,
            |fact| ids.borrow_mut().id(fact.key()),
            |fact, name| Some(ids.borrow_mut().id(&named_role(fact.key(), name)?)),
        )
    }

    /// What a UID that signs in is now.
    fn put_identity(&mut self, uid: Text) {
        let world = &self.snapshot.world;
        let user = world.get(&Key::new(USER.clone(), &uid)).cloned();
        let accounts = self.accounts.get(&uid).filter(|keys| !keys.is_empty());
        let mut subjects: Vec<Subject> = Vec::new();
        match (&user, accounts) {
            _ if uid.is_empty() => {}
            // An identity that two share is nobody's.
            (Some(_), Some(_)) => {}
            (Some(user), None) => {
                subjects.extend(user.as_subject());
                subjects.extend(self.groups_of(&uid));
            }
            (None, Some(keys)) => {
                let facts = keys.iter().filter_map(|key| world.get(key));
                subjects.extend(facts.filter_map(|fact| fact.as_subject()));
            }
            (None, None) => {}
        }
        let mut subjects: Vec<u32> = subjects.iter().map(|s| self.subjects.id(s)).collect();
        subjects.sort_unstable();
        subjects.dedup();
        if subjects.is_empty() {
            self.snapshot.identities.remove(hash_of(&*uid), |e| e.uid == uid);
        } else {
            let is_it = uid.clone();
            let identity = Identity { uid, subjects: subjects.into() };
            self.snapshot.identities.put(identity, |e| e.uid == is_it);
        }
    }

    /// The groups that a user is in, through memberships that may put anybody there.
    fn groups_of(&self, user: &Text) -> Vec<Subject> {
        let world = &self.snapshot.world;
        let memberships = self.of_user.get(user).into_iter().flatten();
        let group = |key: &Key| {
            let Body::Membership { group_namespace, group, .. } = world.get(key)?.body() else {
                return None;
            };
            let named = Key::new(GROUP.clone(), group).namespace(group_namespace);
            let home = key.home();
            let may =
                key.plane == Plane::Platform && (home == Home::Platform || home == named.home());
            world.get(&named).filter(|_| may)?.as_subject()
        };
        memberships.filter_map(group).collect()
    }
}

fn keep(keys: &mut BTreeSet<Key>, key: &Key, add: bool) {
    if add {
        keys.insert(key.clone());
    } else {
        keys.remove(key);
    }
}

/// The role that an object means, when it may name it, whether there is one or not.
fn named_role(by: &Key, role: &RoleName) -> Option<Key> {
    let namespace = if role.namespace.is_empty() { &by.namespace } else { &role.namespace };
    let plane = if **namespace == *SYSTEM_NAMESPACE { Plane::Platform } else { by.plane.clone() };
    let named =
        Key { kind: ROLE.clone(), plane, namespace: namespace.clone(), name: role.name.clone() };
    let may = named.home() == Home::Platform || named.home() == by.home();
    may.then_some(named)
}
