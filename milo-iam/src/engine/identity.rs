//! Who somebody is that signs in: a user with groups, or a service account.

use std::collections::BTreeMap;

use crate::{
    persistent::{Entry, Fingerprint, Printed, Table},
    world::{BodyRef, FactRef, GROUP, HomeRef, KeyRef, USER, World},
};

use super::{
    index::Pending,
    rows::{Edit, Rows},
    slab::Slab,
    tenant::NO_FACT,
};

/// A fact that is a subject: their numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Own {
    fact: u32,
    subject: u32,
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

/// See the module. An identity is whatever somebody signs in with, or is named by in a membership;
/// a group is one by its name. Either may not exist.
#[derive(Clone, Debug, Default)]
pub(super) struct Identities {
    ids: Table<Printed>,
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
    /// By identity, the subjects that one is.
    subjects: Rows<()>,
}

impl Identities {
    /// How many ids have been given.
    pub(super) fn given(&self) -> usize {
        self.users.len() + self.groups.len()
    }

    /// Ends the time in which much is added at once.
    pub(super) fn settle(&mut self) {
        self.ids.settle();
        self.accounts.settle();
        self.group_ids.settle();
    }

    /// The subjects that whoever signs in with a UID is.
    #[inline]
    pub(super) fn subjects_of(&self, uid: &str) -> &[u32] {
        let id = self.ids.number(Fingerprint::of(uid));
        id.map(|id| self.subjects.row(id).others()).unwrap_or_default()
    }

    /// The number of the user with a name.
    pub(super) fn user(&self, world: &World, namespace: &str, name: &str) -> Option<u32> {
        if namespace.is_empty() {
            let id = self.ids.number(Fingerprint::of(name))?;
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
        let id = self.ids.number(Fingerprint::of(user));
        id.map(|id| self.memberships.row(id).others()).unwrap_or_default()
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

    /// Notes that what a UID that signs in is must be looked at.
    pub(super) fn note(&mut self, uid: &str, pending: &mut Pending) {
        let name = Fingerprint::of(uid);
        let id = self.id(name);
        // An empty UID is nobody's.
        if !uid.is_empty() && !pending.everybody {
            pending.identities.insert(id, name);
        }
    }

    /// The same for all that memberships put into a group.
    pub(super) fn note_members(
        &mut self,
        world: &World,
        namespace: &str,
        name: &str,
        pending: &mut Pending,
    ) {
        if pending.everybody {
            return;
        }
        let memberships = self.memberships_in(namespace, name).to_vec();
        for fact in memberships.into_iter().filter_map(|number| world.at(number)) {
            if let BodyRef::Membership { user, .. } = fact.body() {
                self.note(user, pending);
            }
        }
    }

    /// Notes a membership that comes or goes.
    pub(super) fn note_membership(
        &mut self,
        user: &str,
        (namespace, name): (&str, &str),
        number: u32,
        add: bool,
        pending: &mut Pending,
    ) {
        let edit = |row| Edit { row, other: number, detail: (), add };
        pending.memberships.push(edit(self.id(Fingerprint::of(user))));
        pending.in_group.push(edit(self.group_id(namespace, name)));
        self.note(user, pending);
    }

    /// Brings the look-ups up to date.
    pub(super) fn apply(&mut self, world: &World, pending: &mut Pending) {
        self.memberships.apply(std::mem::take(&mut pending.memberships));
        self.in_group.apply(std::mem::take(&mut pending.in_group));
        let mut stale = std::mem::take(&mut pending.identities);
        if pending.everybody {
            let nobody = Fingerprint::of("");
            let all = self.ids.iter().filter(|found| found.name != nobody);
            stale = all.map(|found| (found.number, found.name)).collect::<BTreeMap<_, _>>();
        }
        let mut edits = Vec::new();
        for (id, name) in stale {
            let subjects = self.subjects_now(world, id, name);
            self.put_subjects(id, &subjects, &mut edits);
        }
        self.subjects.apply(edits);
    }

    /// The subjects that whoever signs in with a UID is by the facts, in order.
    fn subjects_now(&self, world: &World, id: u32, uid: Fingerprint) -> Vec<u32> {
        let user = self.users.get(id).filter(|user| user.fact != NO_FACT);
        let accounts: Vec<u32> = self.accounts_of(uid).map(|account| account.subject).collect();
        let mut subjects = match (user, accounts.is_empty()) {
            (Some(user), true) => {
                let memberships = self.memberships.row(id).others().iter();
                let facts = memberships.filter_map(|number| world.at(*number));
                let groups = facts.filter_map(|membership| self.group_of(&membership));
                groups.chain([user.subject]).collect()
            }
            (None, false) => accounts,
            // An identity that two share is nobody's.
            (Some(_), false) | (None, true) => Vec::new(),
        };
        subjects.sort_unstable();
        subjects.dedup();
        subjects
    }

    fn put_subjects(&self, id: u32, new: &[u32], edits: &mut Vec<Edit<()>>) {
        let old = self.subjects.row(id).others();
        if old == new {
            return;
        }
        let edit = |add: bool| move |other: &u32| Edit { row: id, other: *other, detail: (), add };
        edits.extend(old.iter().map(edit(false)));
        edits.extend(new.iter().map(edit(true)));
    }

    /// The group, as a subject, that a membership puts its user into, if it may put anybody there.
    fn group_of(&self, membership: &FactRef<'_>) -> Option<u32> {
        let BodyRef::Membership { group_namespace, group, .. } = membership.body() else {
            return None;
        };
        let home = membership.key.home();
        let own = KeyRef { namespace: group_namespace, ..KeyRef::new(&GROUP, group) }.home();
        let may = membership.key.project.is_none() && (home == HomeRef::Platform || home == own);
        let id = self.group_ids.number(group_print(group_namespace, group)).filter(|_| may)?;
        self.groups.get(id).filter(|group| group.fact != NO_FACT).map(|group| group.subject)
    }

    fn id(&mut self, name: Fingerprint) -> u32 {
        self.ids.number(name).unwrap_or_else(|| {
            let number = self.users.push(NOBODY);
            self.ids.add(Printed { name, number });
            number
        })
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
        let rows = self.memberships.memory() + self.in_group.memory() + self.subjects.memory();
        tables + slabs + rows
    }
}

fn group_print(namespace: &str, name: &str) -> Fingerprint {
    Fingerprint::of(&(namespace, name))
}
