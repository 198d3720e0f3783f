//! Who has a permission: in short, and one by one.

use std::collections::BTreeSet;

use crate::{
    Principal, Question, Text,
    world::{BodyRef, SERVICE_ACCOUNT, Subject, SubjectRef, USER},
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
        let Snapshot { world, index, roles, .. } = self.snapshot;
        let grants = check.nodes.iter().flat_map(|node| index.by_node.row(node).iter());
        let has = grants.filter(|(_, granted)| roles.has(granted.role, check.permission));
        let ids: BTreeSet<u32> = has.map(|(subject, _)| subject).collect();
        let found = ids.into_iter().filter_map(|id| index.subjects.get(world, id));
        found.map(SubjectRef::to_owned).collect::<BTreeSet<_>>().into_iter().collect()
    }

    /// The users and service accounts that exist and may, once they authenticated, by what they
    /// sign in with: in order, after one.
    pub fn iter_after(&self, after: Option<&str>) -> impl Iterator<Item = Text> {
        let subjects = self.subjects();
        let mut uids = self.snapshot.expand(&subjects);
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

impl Snapshot {
    /// Who may be in subjects, by what they sign in with. Whether they are is for checks to say.
    pub(super) fn expand(&self, subjects: &[Subject]) -> BTreeSet<Text> {
        let Self { world, index, .. } = self;
        if subjects.iter().any(|subject| matches!(subject, Subject::System(_))) {
            return self.everybody();
        }
        let mut uids = BTreeSet::new();
        for subject in subjects {
            match subject {
                Subject::User { name, .. } => drop(uids.insert(name.clone())),
                Subject::ServiceAccount { uid, .. } => drop(uids.insert(uid.clone())),
                Subject::Group { namespace, name, .. } => {
                    let memberships = index.identities.memberships_in(namespace, name).iter();
                    let found = memberships.filter_map(|number| world.at(*number));
                    uids.extend(found.filter_map(|fact| match fact.body() {
                        BodyRef::Membership { user, .. } => Some(Text::from(user)),
                        _ => None,
                    }));
                }
                Subject::System(_) => {}
            }
        }
        uids.retain(|uid| {
            index.identities.user(world, "", uid).is_some()
                || index.identities.accounts(uid).next().is_some()
        });
        uids
    }

    /// All users and service accounts, by what they sign in with.
    pub(super) fn everybody(&self) -> BTreeSet<Text> {
        let of_kind = |kind| {
            let numbers = self.world.numbers_of_kind(kind, None);
            numbers.filter_map(|number| self.world.at(number))
        };
        let users = of_kind(&USER).map(|user| user.key.name.into());
        users.chain(of_kind(&SERVICE_ACCOUNT).map(|account| account.uid.into())).collect()
    }
}
