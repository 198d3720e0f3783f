//! Who has a permission: in short, and one by one.

use std::collections::{BTreeSet, HashSet};

use crate::{
    Principal, Question, Text,
    world::{Body, Key, MEMBERSHIP, SERVICE_ACCOUNT, Subject, USER, World},
};

use super::{
    extent::Page,
    snapshot::{Check, Snapshot},
};

/// Who has a permission somewhere.
#[derive(Debug)]
pub struct Subjects<'a> {
    snapshot: &'a Snapshot,
    question: Question,
    check: Option<Check<'a>>,
}

impl Snapshot {
    /// Who is granted what is asked; the principal of the question does not matter.
    ///
    /// Nobody, when the permission is not registered, or the control plane does not exist or does
    /// not hold what is asked about.
    #[must_use]
    pub fn list_subjects(&self, question: &Question) -> Subjects<'_> {
        let question = Question { principal: Principal::default(), ..question.clone() };
        Subjects { snapshot: self, check: self.resolve(&question), question }
    }
}

impl Subjects<'_> {
    /// In short, and in order: users, service accounts, groups and system groups that bindings
    /// name. Some may be nobody now.
    #[must_use]
    pub fn subjects(&self) -> Vec<Subject> {
        let Some(check) = &self.check else { return Vec::new() };
        let grants = check.nodes.iter().flat_map(|node| self.snapshot.by_node.row(node));
        let has = grants.filter(|grant| self.snapshot.roles.has(grant.role, check.permission));
        let found = has.filter_map(|grant| self.snapshot.subjects.get(grant.other));
        found.cloned().collect::<BTreeSet<_>>().into_iter().collect()
    }

    /// The users and service accounts that exist and may, once they authenticated, by what they
    /// sign in with: in order, after one.
    pub fn iter_after(&self, after: Option<&str>) -> impl Iterator<Item = Text> {
        let subjects = self.subjects();
        let mut uids = expand(&self.snapshot.world, &subjects);
        if let Some(after) = after {
            uids.retain(|uid| **uid > *after);
        }
        uids.into_iter().filter(|uid| {
            let principal = Principal::new(&**uid);
            self.snapshot.check(&Question { principal, ..self.question.clone() })
        })
    }

    /// A page of [`iter_after`](Self::iter_after). Pages of several snapshots fit together: each
    /// who may throughout comes once.
    #[must_use]
    pub fn page(&self, after: Option<&str>, limit: usize) -> Page<Text> {
        Page::of(self.iter_after(after), limit)
    }
}

/// Who may be in subjects, by what they sign in with. Whether they are is for checks to say.
pub(super) fn expand(world: &World, subjects: &[Subject]) -> BTreeSet<Text> {
    let mut uids = BTreeSet::new();
    let mut groups = BTreeSet::new();
    let mut everybody = false;
    for subject in subjects {
        match subject {
            Subject::User { name, .. } => drop(uids.insert(name.clone())),
            Subject::ServiceAccount { uid, .. } => drop(uids.insert(uid.clone())),
            Subject::Group { namespace, name, .. } => {
                groups.insert((namespace, name));
            }
            Subject::System(_) => everybody = true,
        }
    }
    if everybody {
        uids.extend(world.of_kind(&USER).map(|user| user.key().name.clone()));
        uids.extend(world.of_kind(&SERVICE_ACCOUNT).map(|account| account.uid().clone()));
    } else if !groups.is_empty() {
        for membership in world.of_kind(&MEMBERSHIP) {
            if let Body::Membership { group_namespace, group, user } = membership.body()
                && groups.contains(&(group_namespace, group))
            {
                uids.insert(user.clone());
            }
        }
    }
    let is_user = |uid: &Text| world.get(&Key::new(USER.clone(), uid)).is_some();
    if uids.iter().all(is_user) {
        return uids;
    }
    let accounts: HashSet<&Text> = world.of_kind(&SERVICE_ACCOUNT).map(|fact| fact.uid()).collect();
    uids.retain(|uid| is_user(uid) || accounts.contains(uid));
    uids
}
