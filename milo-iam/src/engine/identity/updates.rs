//! Updates of identities: who somebody is after users, groups and memberships have changed.

use crate::{
    persistent::{Fingerprint, sort_by_bucket},
    world::{BodyRef, FactRef, World},
};

use super::{
    super::{index::Pending, rows::Edit, tenant::NO_FACT},
    FEW, Identities, Identity, NONE, may_put,
};

impl Identities {
    /// Notes that what a UID that signs in is must be looked at. Its id.
    pub(in crate::engine) fn note(&mut self, uid: &str, pending: &mut Pending) -> u32 {
        let name = Fingerprint::of(uid);
        let id = self.id(name);
        // An empty UID is nobody's.
        if !uid.is_empty() && !pending.everybody {
            pending.identities.insert(id, name);
        }
        id
    }

    /// The same for all that memberships put into a group.
    pub(in crate::engine) fn note_members(
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
    pub(in crate::engine) fn note_membership(
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
    pub(in crate::engine) fn apply(&mut self, world: &World, pending: &mut Pending) {
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
}
