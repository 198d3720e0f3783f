//! Organizations and projects, with what every question within them needs.

use std::{cmp::Ordering, sync::Arc};

use crate::{
    persistent::{Entry, Fingerprint},
    world::{BodyRef, FactRef, KeyRef, KindName, ORGANIZATION, PROJECT, USER},
};

/// Nodes by kind.
pub(super) type Kinds = Arc<[(u32, u32)]>;

/// The kinds of tenants have the first ids of kinds, in this order.
pub(super) const TENANT_KINDS: [fn() -> &'static KindName; 3] =
    [|| &ORGANIZATION, || &PROJECT, || &USER];
pub(super) const ORGANIZATION_ID: u32 = 0;
pub(super) const PROJECT_ID: u32 = 1;
pub(super) const USER_ID: u32 = 2;

/// Stands for the number of a fact when there is none.
pub(super) const NO_FACT: u32 = u32::MAX;

/// The organization that a project says it is of: it may not be there.
#[derive(Clone, Copy, Debug)]
pub(super) struct Above {
    /// By which it is found.
    pub(super) key: Fingerprint,
    /// Of its UID.
    pub(super) uid: Fingerprint,
}

/// An organization or a project that exists. All that checks need of it is in one place.
#[derive(Clone, Debug)]
pub(super) struct Tenant {
    /// By which it is found.
    pub(super) key: Fingerprint,
    /// The number of its fact.
    pub(super) fact: u32,
    /// The id of its own home.
    pub(super) home: Option<u32>,
    /// Of its UID.
    pub(super) uid: Fingerprint,
    /// The organization of a project.
    pub(super) organization: Option<Above>,
    /// The nodes of bindings that name it: the platform's, its organization's, its own.
    pub(super) nodes: [Option<u32>; 3],
    /// By kind, the node of its own bindings for whole kinds.
    pub(super) kinds: Kinds,
}

impl Tenant {
    /// Of a fact, if it is an organization or a project; its bindings are not known yet.
    pub(super) fn of(number: u32, fact: &FactRef<'_>) -> Option<Self> {
        let organization = match fact.body() {
            BodyRef::Organization => None,
            BodyRef::Project { organization, organization_uid } => Some(Above {
                key: Self::fingerprint(false, "", organization),
                uid: Fingerprint::of(organization_uid),
            }),
            _ => return None,
        };
        let KeyRef { namespace, name, .. } = fact.key;
        let key = Self::fingerprint(organization.is_some(), namespace, name);
        let uid = Fingerprint::of(fact.uid);
        Some(Self { fact: number, organization, ..Self::unbound(key, uid) })
    }

    /// One that does not exist, to stand for any.
    pub(super) fn any(is_project: bool) -> Self {
        // No object has such a name.
        let name = "\0";
        let key = Self::fingerprint(is_project, "", name);
        let uid = Fingerprint::of(name);
        Self { organization: is_project.then_some(Above { key, uid }), ..Self::unbound(key, uid) }
    }

    fn unbound(key: Fingerprint, uid: Fingerprint) -> Self {
        Self {
            key,
            fact: NO_FACT,
            home: None,
            uid,
            organization: None,
            nodes: [None; 3],
            kinds: Kinds::default(),
        }
    }

    pub(super) fn is_project(&self) -> bool {
        self.organization.is_some()
    }

    /// By which the organization or the project with a key is found.
    #[inline]
    pub(super) fn fingerprint(is_project: bool, namespace: &str, name: &str) -> Fingerprint {
        Fingerprint::of_parts([is_project.into()], [namespace, name])
    }
}

// One is told from another by its key and its fact.
impl PartialEq for Tenant {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other).is_eq()
    }
}

impl Eq for Tenant {}

impl PartialOrd for Tenant {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Tenant {
    fn cmp(&self, other: &Self) -> Ordering {
        (self.key, self.fact).cmp(&(other.key, other.fact))
    }
}

impl Entry for Tenant {
    fn hash(&self) -> u32 {
        self.key.hash()
    }
}
