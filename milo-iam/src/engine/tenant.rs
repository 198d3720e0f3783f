//! Organizations and projects, with what every question within them needs.

use std::sync::Arc;

use crate::{
    Text,
    persistent::Fingerprint,
    world::{BodyRef, FactRef, HomeRef, KeyRef, KindName, ORGANIZATION, PROJECT, USER},
};

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

/// An organization or a project that exists.
#[derive(Clone, Debug)]
pub(super) struct Tenant {
    /// The number of its fact.
    pub(super) fact: u32,
    /// By which it is found.
    pub(super) key: Fingerprint,
    /// Of its UID.
    pub(super) uid_print: Fingerprint,
    /// The organization of a project.
    pub(super) organization: Option<Above>,
    /// The nodes of bindings that name it: the platform's, its organization's, its own.
    pub(super) nodes: [Option<u32>; 3],
    /// The id of its own home.
    pub(super) home: Option<u32>,
    /// By kind, the node of its own bindings for whole kinds.
    pub(super) kinds: Arc<[(u32, u32)]>,
    pub(super) name: Text,
    pub(super) uid: Text,
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
        Some(Self {
            fact: number,
            key: Self::fingerprint(organization.is_some(), namespace, name),
            name: name.into(),
            uid: fact.uid.into(),
            uid_print: Fingerprint::of(fact.uid),
            organization,
            nodes: [None; 3],
            home: None,
            kinds: Arc::default(),
        })
    }

    /// One that does not exist, to stand for any.
    pub(super) fn any(is_project: bool) -> Self {
        // No object has such a name.
        let name = Text::from("\0");
        let key = Self::fingerprint(is_project, "", &name);
        let uid_print = Fingerprint::of(&*name);
        Self {
            fact: NO_FACT,
            key,
            uid_print,
            organization: is_project.then_some(Above { key, uid: uid_print }),
            nodes: [None; 3],
            home: None,
            kinds: Arc::default(),
            uid: name.clone(),
            name,
        }
    }

    pub(super) fn is_project(&self) -> bool {
        self.organization.is_some()
    }

    /// Whose bindings are its own.
    pub(super) fn own_home(&self) -> HomeRef<'_> {
        if self.is_project() {
            HomeRef::Project(&self.uid)
        } else {
            HomeRef::Organization(&self.name)
        }
    }

    /// By which the organization or the project with a key is found.
    #[inline]
    pub(super) fn fingerprint(is_project: bool, namespace: &str, name: &str) -> Fingerprint {
        Fingerprint::of(&(is_project, namespace, name))
    }
}
