//! Who somebody is that signs in: a user with groups, or a service account.

use crate::{
    persistent::{Entry, Fingerprint, Printed, Table, sort_by_bucket},
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

/// So many subjects need no room of their own.
const FEW: usize = 6;

/// No subject.
const NONE: u32 = u32::MAX;

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
    pub(super) fn subjects_of(&self, uid: Fingerprint) -> &[u32] {
        let Some(Identity { id, few, .. }) = self.find(uid) else { return &[] };
        let count = few.iter().filter(|subject| **subject != NONE).count();
        if count == 0 { self.many.row(*id).others() } else { &few[..count] }
    }

    #[inline]
    fn find(&self, uid: Fingerprint) -> Option<&Identity> {
        self.ids.find(uid.hash(), |identity| identity.uid == uid)
    }

    /// See [`Table::touch`].
    #[inline]
    pub(super) fn touch(&self, uid: Fingerprint) -> u32 {
        self.ids.touch(uid.hash())
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

    /// Notes that what a UID that signs in is must be looked at. Its id.
    pub(super) fn note(&mut self, uid: &str, pending: &mut Pending) -> u32 {
        let name = Fingerprint::of(uid);
        let id = self.id(name);
        // An empty UID is nobody's.
        if !uid.is_empty() && !pending.everybody {
            pending.identities.insert(id, name);
        }
        id
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
        membership: &FactRef<'_>,
        number: u32,
        add: bool,
        pending: &mut Pending,
    ) {
        let BodyRef::Membership { group_namespace, group, user } = membership.body() else {
            return;
        };
        let edit = |row| Edit { row, other: number, detail: (), add };
        let id = self.note(user, pending);
        let group_id = self.group_id(group_namespace, group);
        pending.memberships.push(edit(id));
        pending.in_group.push(edit(group_id));
        if pending.everybody && may_put(membership, group_namespace, group) {
            pending.joined.push((id, group_id));
        }
    }

    /// Brings the look-ups up to date.
    pub(super) fn apply(&mut self, world: &World, pending: &mut Pending) {
        self.memberships.apply(std::mem::take(&mut pending.memberships));
        self.in_group.apply(std::mem::take(&mut pending.in_group));
        let mut edits = Vec::new();
        if pending.everybody {
            self.put_everybody(std::mem::take(&mut pending.joined), &mut edits);
        }
        for (id, name) in std::mem::take(&mut pending.identities) {
            let memberships = self.memberships.row(id).others().iter();
            let facts = memberships.filter_map(|number| world.at(*number));
            let subjects =
                self.subjects_now(id, name, facts.filter_map(|fact| self.group_of(&fact)));
            self.put_subjects(id, name, &subjects, &mut edits);
        }
        self.many.apply(edits);
    }

    /// Notes what all are: who `joined` which group is known.
    fn put_everybody(&mut self, mut joined: Vec<(u32, u32)>, edits: &mut Vec<Edit<()>>) {
        sort_by_bucket(&mut joined, self.users.len(), |(id, _)| *id as usize);
        let nobody = Fingerprint::of("");
        let mut all: Vec<(u32, Fingerprint)> =
            self.ids.iter().map(|one| (one.id, one.uid)).collect();
        sort_by_bucket(&mut all, self.users.len(), |(id, _)| *id as usize);
        let mut rest = joined.as_slice();
        for (id, uid) in all {
            let (own, others) = rest.split_at(rest.partition_point(|(other, _)| *other == id));
            rest = others;
            if uid != nobody {
                let groups = own.iter().filter_map(|(_, group)| self.group(*group));
                let subjects = self.subjects_now(id, uid, groups);
                self.put_subjects(id, uid, &subjects, edits);
            }
        }
    }

    /// The subjects that whoever signs in with a UID is by the facts, in order: the groups are those
    /// that a user of that name is in.
    fn subjects_now(
        &self,
        id: u32,
        uid: Fingerprint,
        groups: impl Iterator<Item = u32>,
    ) -> Vec<u32> {
        let user = self.users.get(id).filter(|user| user.fact != NO_FACT);
        let mut accounts = self.accounts_of(uid).map(|account| account.subject).peekable();
        let mut subjects: Vec<u32> = match (user, accounts.peek()) {
            (Some(user), None) => groups.chain([user.subject]).collect(),
            (None, Some(_)) => accounts.collect(),
            // An identity that two share is nobody's.
            (Some(_), Some(_)) | (None, None) => Vec::new(),
        };
        subjects.sort_unstable();
        subjects.dedup();
        subjects
    }

    fn put_subjects(
        &mut self,
        id: u32,
        uid: Fingerprint,
        subjects: &[u32],
        edits: &mut Vec<Edit<()>>,
    ) {
        let mut few = [NONE; FEW];
        let mut many = subjects;
        if subjects.len() <= FEW {
            few.iter_mut().zip(subjects).for_each(|(place, subject)| *place = *subject);
            many = &[];
        }
        if self.find(uid).is_some_and(|found| found.few != few) {
            let is_it = |found: &Identity| found.uid == uid;
            self.ids.update(uid.hash(), is_it, |found| found.few = few);
        }
        let old = self.many.row(id).others();
        if old != many {
            let edit =
                |add: bool| move |other: &u32| Edit { row: id, other: *other, detail: (), add };
            edits.extend(old.iter().map(edit(false)));
            edits.extend(many.iter().map(edit(true)));
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
    Fingerprint::of(&(namespace, name))
}
