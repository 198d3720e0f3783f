//! What can be granted: registered kinds and permissions, and what each role has.

use std::{collections::HashMap, sync::Arc};

use crate::{
    Permission,
    world::{Body, Fact, Key, KeyRef, KindName, PROTECTED_RESOURCE, ROLE, World},
};

use super::slab::Interner;

type Map<K, V> = HashMap<K, V, foldhash::fast::RandomState>;

/// Registered kinds and permissions.
#[derive(Debug, Default)]
pub(super) struct Catalogue {
    permissions: Map<Permission, Registered>,
    by_id: Vec<Permission>,
}

/// A registered permission.
#[derive(Clone, Debug)]
pub(super) struct Registered {
    /// Its place in the bits of roles.
    pub(super) id: u32,
    /// The kind that it is about.
    pub(super) kind: Arc<Kind>,
}

/// A registered kind.
#[derive(Debug)]
pub(super) struct Kind {
    pub(super) id: u32,
    pub(super) name: KindName,
    /// The ids of the kinds that it is registered below, and its own.
    pub(super) above: Vec<u32>,
    /// The same by name.
    pub(super) above_names: Vec<KindName>,
}

impl Catalogue {
    /// From the registrations of a world. Of two for one kind or plural, that with the lesser name
    /// counts.
    pub(super) fn of(world: &World, kinds: &mut Interner<KindName>) -> Self {
        let facts: Vec<Arc<Fact>> = world.of_kind(&PROTECTED_RESOURCE).collect();
        let registrations = counting(&facts);
        let parents: Map<&KindName, &[KindName]> =
            registrations.iter().map(|found| (found.kind, found.parents)).collect();
        let mut catalogue = Self::default();
        for found in &registrations {
            let above = ancestors(found.kind, &parents);
            let kind = Arc::new(Kind {
                id: kinds.id(found.kind.into()),
                name: found.kind.clone(),
                above: above.iter().map(|kind| kinds.id((*kind).into())).collect(),
                above_names: above.into_iter().cloned().collect(),
            });
            for verb in found.verbs {
                let (subresource, verb) = verb.split_once('.').unwrap_or(("", verb));
                let permission =
                    Permission::new(&found.kind.service, found.plural, subresource, verb);
                catalogue.register(permission.ok(), &kind);
            }
        }
        catalogue
    }

    /// Nothing is registered for a malformed verb, nor for `deletecollection`, which is `delete`.
    fn register(&mut self, permission: Option<Permission>, kind: &Arc<Kind>) {
        let Some(permission) = permission.filter(|found| found.registered_form() == *found) else {
            return;
        };
        if self.permissions.contains_key(&permission) {
            return;
        }
        // INVARIANT: fewer than 2^32 permissions fit into objects.
        let id = u32::try_from(self.by_id.len()).unwrap_or(u32::MAX);
        let registered = Registered { id, kind: kind.clone() };
        if permission.verb() == "delete"
            && let Ok(all) = Permission::new(
                permission.service(),
                permission.plural(),
                permission.subresource(),
                "deletecollection",
            )
        {
            self.permissions.insert(all, registered.clone());
        }
        self.by_id.push(permission.clone());
        self.permissions.insert(permission, registered);
    }

    /// A permission as it is registered; that on the object itself when a subresource has none of
    /// its own.
    pub(super) fn registered(&self, permission: &Permission) -> Option<&Registered> {
        self.permissions.get(permission).or_else(|| {
            let falls_back = !permission.subresource().is_empty();
            falls_back.then(|| self.permissions.get(&permission.of_main_resource())).flatten()
        })
    }

    /// The permission with an id.
    pub(super) fn permission(&self, id: u32) -> Option<&Permission> {
        self.by_id.get(id as usize)
    }

    /// Whether a permission is registered in this very form.
    pub(super) fn is_registered(&self, permission: &Permission) -> bool {
        let found = self.permissions.get(permission);
        found.is_some_and(|found| self.permission(found.id) == Some(permission))
    }

    /// How many permissions are registered; their ids are less.
    pub(super) fn len(&self) -> usize {
        self.by_id.len()
    }
}

struct Registration<'a> {
    kind: &'a KindName,
    plural: &'a str,
    verbs: &'a [crate::Text],
    parents: &'a [KindName],
}

fn counting(facts: &[Arc<Fact>]) -> Vec<Registration<'_>> {
    let mut plurals = Map::<(&str, &str), ()>::default();
    let mut kinds = Map::<&KindName, ()>::default();
    let mut counting = Vec::new();
    for fact in facts {
        let Body::ProtectedResource { kind, plural, verbs, parents } = fact.body() else {
            continue;
        };
        if kinds.contains_key(kind) || plurals.contains_key(&(&*kind.service, &**plural)) {
            continue;
        }
        kinds.insert(kind, ());
        plurals.insert((&kind.service, plural), ());
        counting.push(Registration { kind, plural, verbs, parents });
    }
    counting
}

/// A kind and all that it is registered below, cycles or not.
fn ancestors<'a>(
    kind: &'a KindName,
    parents: &Map<&'a KindName, &'a [KindName]>,
) -> Vec<&'a KindName> {
    let mut found = vec![kind];
    let mut next = 0;
    while let Some(kind) = found.get(next).copied() {
        next += 1;
        for parent in parents.get(kind).copied().unwrap_or_default() {
            if !found.contains(&parent) {
                found.push(parent);
            }
        }
    }
    found
}

/// What each role has, its own permissions and inherited ones: bits by role and permission.
#[derive(Debug, Default)]
pub(super) struct Roles {
    words: usize,
    bits: Vec<u64>,
}

impl Roles {
    /// From the roles of a world.
    pub(super) fn of(world: &World, catalogue: &Catalogue, ids: &mut Interner<Key>) -> Self {
        let facts: Vec<Arc<Fact>> = world.of_kind(&ROLE).collect();
        let words = catalogue.len().div_ceil(64);
        let mut roles = Self { words, bits: Vec::new() };
        // Who inherits from whom, backwards: what a role has flows to those that inherit it.
        let mut heirs: Map<u32, Vec<u32>> = Map::default();
        let mut changed = Vec::new();
        for fact in &facts {
            let Body::Role { permissions, inherits } = fact.body() else { continue };
            let key = KeyRef::from(fact.key());
            let role = ids.id(key);
            for permission in permissions.iter().filter_map(|text| text.parse().ok()) {
                if let Some(found) = catalogue.permissions.get(&permission)
                    && catalogue.is_registered(&permission)
                {
                    roles.add(role, found.id);
                }
            }
            for named in inherits.iter().filter_map(|name| key.named_role(name.into())) {
                let inherited = ids.id(named);
                heirs.entry(inherited).or_default().push(role);
            }
            changed.push(role);
        }
        while let Some(role) = changed.pop() {
            for heir in heirs.get(&role).into_iter().flatten() {
                if roles.inherit(*heir, role) {
                    changed.push(*heir);
                }
            }
        }
        roles
    }

    fn words_of(&mut self, role: u32) -> &mut [u64] {
        let start = role as usize * self.words;
        if self.bits.len() < start + self.words {
            self.bits.resize(start + self.words, 0);
        }
        &mut self.bits[start..start + self.words]
    }

    fn add(&mut self, role: u32, permission: u32) {
        self.words_of(role)[permission as usize / 64] |= 1 << (permission % 64);
    }

    /// Gives a role what another has; whether that was more.
    fn inherit(&mut self, heir: u32, from: u32) -> bool {
        self.words_of(heir.max(from));
        let (heir, from) = (heir as usize * self.words, from as usize * self.words);
        let mut more = false;
        for word in 0..self.words {
            let new = self.bits[heir + word] | self.bits[from + word];
            more |= new != self.bits[heir + word];
            self.bits[heir + word] = new;
        }
        more
    }

    /// Whether a role has a permission.
    pub(super) fn has(&self, role: u32, permission: u32) -> bool {
        let word = role as usize * self.words + permission as usize / 64;
        self.bits.get(word).is_some_and(|bits| bits >> (permission % 64) & 1 == 1)
    }

    /// The roles that have a permission.
    pub(super) fn having(&self, permission: u32) -> impl Iterator<Item = u32> + '_ {
        let count = self.bits.len().checked_div(self.words).unwrap_or_default();
        // INVARIANT: ids of roles are 32 bits wide.
        let count = u32::try_from(count).unwrap_or(u32::MAX);
        (0..count).filter(move |role| self.has(*role, permission))
    }

    /// The permissions that a role has.
    pub(super) fn permissions(&self, role: u32) -> impl Iterator<Item = u32> + '_ {
        // INVARIANT: there are fewer than 2^32 permissions; see `Catalogue`.
        let all = u32::try_from(self.words * 64).unwrap_or(u32::MAX);
        (0..all).filter(move |permission| self.has(role, *permission))
    }
}
