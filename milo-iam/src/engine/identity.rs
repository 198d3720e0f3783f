//! Who somebody is that signs in: a user with groups, or a service account.

use crate::{
    persistent::{Fingerprint, hash_of},
    world::{BodyRef, FactRef, GROUP, HomeRef, KeyRef, MEMBERSHIP, SERVICE_ACCOUNT, USER, World},
};

use super::{
    index::{Identity, Index, group_hash},
    rows::Edit,
    tenant::USER_ID,
};

impl Index {
    /// The number of the user with a name.
    pub(super) fn user(&self, world: &World, namespace: &str, name: &str) -> Option<u32> {
        let is_it = |number: &u32| {
            world.at(*number).is_some_and(|fact| {
                fact.key.name == name
                    && fact.key.namespace == namespace
                    && fact.key.project.is_none()
                    && self.nodes.kinds.find(fact.key.kind) == Some(USER_ID)
            })
        };
        self.users.find(hash_of(name), is_it).copied()
    }

    /// The numbers of the service accounts with a UID.
    pub(super) fn accounts(&self, world: &World, uid: &str) -> Vec<u32> {
        let is_it = |number: &u32| world.at(*number).is_some_and(|fact| fact.uid == uid);
        self.accounts.having(hash_of(uid)).copied().filter(is_it).collect()
    }

    /// The group of the platform with a name, as a subject.
    fn group(&self, world: &World, namespace: &str, name: &str) -> Option<u32> {
        let is_it = |(number, _): &(u32, u32)| {
            world
                .at(*number)
                .is_some_and(|fact| fact.key.name == name && fact.key.namespace == namespace)
        };
        self.groups.find(group_hash(namespace, name), is_it).map(|(_, subject)| *subject)
    }

    /// The group, as a subject, that a membership puts its user into, if it may put anybody there.
    fn group_of(&self, world: &World, membership: &FactRef<'_>) -> Option<u32> {
        let BodyRef::Membership { group_namespace, group, .. } = membership.body() else {
            return None;
        };
        let home = membership.key.home();
        let own = KeyRef { namespace: group_namespace, ..KeyRef::new(&GROUP, group) }.home();
        let may = membership.key.project.is_none() && (home == HomeRef::Platform || home == own);
        if may { self.group(world, group_namespace, group) } else { None }
    }

    /// The numbers of the memberships in a group, whether they count or not.
    pub(super) fn memberships_in(&self, namespace: &str, name: &str) -> &[u32] {
        self.in_group.get(&(namespace, name))
    }

    /// The numbers of the memberships of a user, whether they count or not.
    pub(super) fn memberships_of(&self, user: &str) -> &[u32] {
        self.of_user.get(user)
    }

    /// The row of the subjects that whoever signs in with a UID is.
    pub(super) fn identity(&self, uid: &str) -> Option<u32> {
        let uid = Fingerprint::of(uid);
        self.identities.find(uid.hash(), |found| found.uid == uid).map(|found| found.row)
    }

    /// Notes what a UID that signs in is now.
    pub(super) fn put_identity(&mut self, world: &World, uid: &str, edits: &mut Vec<Edit<()>>) {
        let user = self.user(world, "", uid);
        let accounts = self.accounts(world, uid);
        let mut subjects: Vec<u32> = Vec::new();
        match (user, accounts.first()) {
            _ if uid.is_empty() => {}
            // An identity that two share is nobody's.
            (Some(_), Some(_)) | (None, None) => {}
            (Some(user), None) => {
                let own = world.at(user).and_then(|fact| fact.as_subject());
                subjects.extend(own.map(|own| self.subjects.id(world, own)));
                subjects.extend(self.groups_of(world, uid));
            }
            (None, Some(_)) => {
                for account in &accounts {
                    let subject = world.at(*account).and_then(|fact| fact.as_subject());
                    subjects.extend(subject.map(|own| self.subjects.id(world, own)));
                }
            }
        }
        let row = subjects.first().copied();
        subjects.sort_unstable();
        subjects.dedup();
        let known = self.identity(uid);
        if let Some(row) = known.filter(|known| Some(*known) != row) {
            self.put_members(row, &[], edits);
        }
        let uid = Fingerprint::of(uid);
        let is_it = |found: &Identity| found.uid == uid;
        let Some(row) = row else { return self.identities.remove(uid.hash(), is_it) };
        self.put_members(row, &subjects, edits);
        let rehash = |found: &Identity| found.uid.hash();
        self.identities.put(uid.hash(), Identity { uid, row }, is_it, rehash);
    }

    fn put_members(&self, row: u32, subjects: &[u32], edits: &mut Vec<Edit<()>>) {
        let edit = |add: bool| move |other: &u32| Edit { row, other: *other, detail: (), add };
        edits.extend(self.members.row(row).others().iter().map(edit(false)));
        edits.extend(subjects.iter().map(edit(true)));
    }

    /// The groups that a user is in.
    fn groups_of(&self, world: &World, user: &str) -> Vec<u32> {
        let memberships = self.memberships_of(user).iter();
        let facts = memberships.filter_map(|number| world.at(*number));
        facts.filter_map(|membership| self.group_of(world, &membership)).collect()
    }

    /// Notes what all UIDs that sign in are: as [`put_identity`](Self::put_identity), when nothing is
    /// known of any.
    pub(super) fn put_identities(&mut self, world: &World, edits: &mut Vec<Edit<()>>) {
        let own = |edit_of: u32| Edit { row: edit_of, other: edit_of, detail: (), add: true };
        let rehash = |found: &Identity| found.uid.hash();
        for user in world.numbers_of_kind(&USER, None).filter_map(|number| world.at(number)) {
            let is_single = user.key == KeyRef::new(&USER, user.key.name)
                && !user.key.name.is_empty()
                && self.accounts(world, user.key.name).is_empty();
            let id = user.as_subject().and_then(|own| self.subjects.find(world, own));
            if let Some(row) = id.filter(|_| is_single) {
                let uid = Fingerprint::of(user.key.name);
                self.identities.add(uid.hash(), Identity { uid, row }, rehash);
                edits.push(own(row));
            }
        }
        for number in world.numbers_of_kind(&MEMBERSHIP, None) {
            let Some(membership) = world.at(number) else { continue };
            let BodyRef::Membership { user, .. } = membership.body() else { continue };
            let group = self.group_of(world, &membership);
            if let (Some(row), Some(other)) = (self.identity(user), group) {
                edits.push(Edit { row, other, detail: (), add: true });
            }
        }
        for account in world.numbers_of_kind(&SERVICE_ACCOUNT, None) {
            // Service accounts that share a UID are one identity.
            if let Some(account) = world.at(account)
                && self.identity(account.uid).is_none()
            {
                self.put_identity(world, account.uid, edits);
            }
        }
    }
}
