//! Who somebody is that signs in: a user with groups, or a service account.

mod updates;

use crate::{
    persistent::{Entry, Fingerprint, Printed, Table},
    world::{BodyRef, FactRef, GROUP, HomeRef, KeyRef, USER, World},
};

use super::{rows::Rows, slab::Slab, tenant::NO_FACT};

/// A fact that is a subject: their numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Own {
    fact: u32,
    subject: u32,
}

/// So many subjects need no room of their own.
const FEW: usize = 6;

/// No subject.
const NONE: u32 = u32::MAX;

/// The subjects that somebody is, system groups left out.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct OwnSubjects<'a> {
    few: [u32; FEW],
    len: usize,
    /// All, if there are more than a few.
    many: &'a [u32],
}

impl OwnSubjects<'_> {
    #[inline]
    pub(super) fn as_slice(&self) -> &[u32] {
        if self.many.is_empty() { self.few.get(..self.len).unwrap_or_default() } else { self.many }
    }
}

/// Whatever somebody signs in with, or is named by in a membership.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Identity {
    uid: Fingerprint,
    id: u32,
    /// The subjects that one is. More than fit are elsewhere.
    few: [u32; FEW],
}

impl Entry for Identity {
    fn hash(&self) -> u32 {
        self.uid.hash()
    }
}

const NOBODY: Own = Own { fact: NO_FACT, subject: u32::MAX };

/// A service account by its UID.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Account {
    uid: Fingerprint,
    own: Own,
}

impl Entry for Account {
    fn hash(&self) -> u32 {
        self.uid.hash()
    }
}

/// See the module. An identity has an id, and so has a group by its name. Either may not exist.
#[derive(Clone, Debug, Default)]
pub(super) struct Identities {
    ids: Table<Identity>,
    /// By identity.
    users: Slab<Own>,
    accounts: Table<Account>,
    group_ids: Table<Printed>,
    /// Those of the platform, by id.
    groups: Slab<Own>,
    /// By identity, the numbers of memberships, whether they count or not.
    memberships: Rows<()>,
    /// The same by group.
    in_group: Rows<()>,
    /// By identity, the subjects that one is, where they are many.
    many: Rows<()>,
}

impl Identities {
    /// How many ids have been given.
    pub(super) fn given(&self) -> usize {
        self.users.len() + self.groups.len()
    }

    /// Makes room for users, service accounts and groups that will come.
    pub(super) fn reserve(&mut self, users: usize, accounts: usize, groups: usize) {
        self.ids.reserve(users + accounts);
        self.accounts.reserve(accounts);
        self.group_ids.reserve(groups);
    }

    /// Ends the time in which much is added at once.
    pub(super) fn settle(&mut self) {
        self.ids.settle();
        self.accounts.settle();
        self.group_ids.settle();
    }

    /// The subjects that whoever signs in with a UID is.
    #[inline]
    pub(super) fn subjects_of(&self, uid: Fingerprint) -> OwnSubjects<'_> {
        let Some(Identity { id, few, .. }) = self.find(uid) else { return OwnSubjects::default() };
        let len = few.iter().filter(|subject| **subject != NONE).count();
        let many = if len == 0 { self.many.row(*id).others() } else { &[] };
        OwnSubjects { few: *few, len, many }
    }

    #[inline]
    fn find(&self, uid: Fingerprint) -> Option<&Identity> {
        self.ids.find(uid.hash(), |identity| identity.uid == uid)
    }

    /// See [`Table::prefetch`].
    #[inline]
    pub(super) fn prefetch(&self, uid: Fingerprint) {
        self.ids.prefetch(uid.hash());
    }

    /// The number of the user with a name.
    pub(super) fn user(&self, world: &World, namespace: &str, name: &str) -> Option<u32> {
        if namespace.is_empty() {
            let id = self.find(Fingerprint::of(name))?.id;
            return self.users.get(id).map(|user| user.fact).filter(|fact| *fact != NO_FACT);
        }
        let number = world.number(KeyRef { namespace, ..KeyRef::new(&USER, name) })?;
        world.at(number).filter(|fact| matches!(fact.body(), BodyRef::User)).map(|_| number)
    }

    /// The numbers of the service accounts with a UID.
    pub(super) fn accounts(&self, uid: &str) -> impl Iterator<Item = u32> {
        self.accounts_of(Fingerprint::of(uid)).map(|account| account.fact)
    }

    fn accounts_of(&self, uid: Fingerprint) -> impl Iterator<Item = Own> {
        let found = self.accounts.having(uid.hash()).filter(move |account| account.uid == uid);
        found.map(|account| account.own)
    }

    /// The numbers of the memberships in a group, whether they count or not.
    pub(super) fn memberships_in(&self, namespace: &str, name: &str) -> &[u32] {
        let group = self.group_ids.number(group_print(namespace, name));
        group.map(|group| self.in_group.row(group).others()).unwrap_or_default()
    }

    /// The numbers of the memberships of a user, whether they count or not.
    pub(super) fn memberships_of(&self, user: &str) -> &[u32] {
        let found = self.find(Fingerprint::of(user));
        found.map(|found| self.memberships.row(found.id).others()).unwrap_or_default()
    }

    pub(super) fn put_user(&mut self, user: &FactRef<'_>, fact: u32, subject: u32) {
        if user.key == KeyRef::new(&USER, user.key.name) {
            let id = self.id(Fingerprint::of(user.key.name));
            self.users.set(id, Own { fact, subject });
        }
    }

    pub(super) fn remove_user(&mut self, user: &FactRef<'_>, fact: u32) {
        let id = self.id(Fingerprint::of(user.key.name));
        if self.users.get(id).is_some_and(|user| user.fact == fact) {
            self.users.set(id, NOBODY);
        }
    }

    pub(super) fn add_account(&mut self, uid: &str, fact: u32, subject: u32) {
        self.accounts.add(Account { uid: Fingerprint::of(uid), own: Own { fact, subject } });
    }

    pub(super) fn remove_account(&mut self, uid: &str, fact: u32) {
        self.accounts.remove(Fingerprint::of(uid).hash(), |account| account.own.fact == fact);
    }

    pub(super) fn put_group(&mut self, group: &FactRef<'_>, fact: u32, subject: u32) {
        let KeyRef { project, namespace, name, .. } = group.key;
        if project.is_none() {
            let id = self.group_id(namespace, name);
            self.groups.set(id, Own { fact, subject });
        }
    }

    pub(super) fn remove_group(&mut self, group: &FactRef<'_>, fact: u32) {
        let id = self.group_id(group.key.namespace, group.key.name);
        if self.groups.get(id).is_some_and(|group| group.fact == fact) {
            self.groups.set(id, NOBODY);
        }
    }

    /// The group, as a subject, that a membership puts its user into, if it may put anybody there.
    fn group_of(&self, membership: &FactRef<'_>) -> Option<u32> {
        let BodyRef::Membership { group_namespace, group, .. } = membership.body() else {
            return None;
        };
        let may = may_put(membership, group_namespace, group);
        let id = self.group_ids.number(group_print(group_namespace, group)).filter(|_| may)?;
        self.group(id)
    }

    /// A group that exists, as a subject.
    fn group(&self, id: u32) -> Option<u32> {
        self.groups.get(id).filter(|group| group.fact != NO_FACT).map(|group| group.subject)
    }

    fn id(&mut self, uid: Fingerprint) -> u32 {
        if let Some(found) = self.find(uid) {
            return found.id;
        }
        let id = self.users.push(NOBODY);
        self.ids.add(Identity { uid, id, few: [NONE; FEW] });
        id
    }

    fn group_id(&mut self, namespace: &str, name: &str) -> u32 {
        let name = group_print(namespace, name);
        self.group_ids.number(name).unwrap_or_else(|| {
            let number = self.groups.push(NOBODY);
            self.group_ids.add(Printed { name, number });
            number
        })
    }

    /// How many bytes it holds.
    pub(super) fn memory(&self) -> usize {
        let tables = self.ids.memory() + self.accounts.memory() + self.group_ids.memory();
        let slabs = self.users.memory() + self.groups.memory();
        let rows = self.memberships.memory() + self.in_group.memory() + self.many.memory();
        tables + slabs + rows
    }
}

/// Whether a membership may put anybody into a group: whose it is must be the group's, or the
/// platform.
fn may_put(membership: &FactRef<'_>, group_namespace: &str, group: &str) -> bool {
    let home = membership.key.home();
    let own = KeyRef { namespace: group_namespace, ..KeyRef::new(&GROUP, group) }.home();
    membership.key.project.is_none() && (home == HomeRef::Platform || home == own)
}

fn group_print(namespace: &str, name: &str) -> Fingerprint {
    Fingerprint::of_parts([], [namespace, name])
}
