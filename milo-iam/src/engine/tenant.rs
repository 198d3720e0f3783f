//! Organizations and projects, with what every question within them needs.

use std::sync::Arc;

use crate::{
    Text,
    persistent::hash_of,
    world::{BodyRef, FactRef, HomeRef, KindName, ORGANIZATION, PROJECT, USER},
};

/// The kinds of tenants have the first ids of kinds, in this order.
pub(super) const TENANT_KINDS: [fn() -> &'static KindName; 3] =
    [|| &ORGANIZATION, || &PROJECT, || &USER];
pub(super) const ORGANIZATION_ID: u32 = 0;
pub(super) const PROJECT_ID: u32 = 1;
pub(super) const USER_ID: u32 = 2;

/// Stands for the number of a fact when there is none.
pub(super) const NO_FACT: u32 = u32::MAX;

/// An organization or a project that exists.
#[derive(Clone, Debug)]
pub(super) struct Tenant {
    /// The number of its fact.
    pub(super) fact: u32,
    pub(super) namespace: Text,
    pub(super) name: Text,
    pub(super) uid: Text,
    /// The name and the UID of a project's organization.
    pub(super) organization: Option<(Text, Text)>,
    /// By home, the node of bindings that name it.
    pub(super) nodes: Arc<[(u32, u32)]>,
    /// The id of its own home.
    pub(super) home: Option<u32>,
    /// By kind, the node of its own bindings for whole kinds.
    pub(super) kinds: Arc<[(u32, u32)]>,
}

impl Tenant {
    /// Of a fact, if it is an organization or a project; its bindings are not known yet.
    pub(super) fn of(number: u32, fact: &FactRef<'_>) -> Option<Self> {
        let organization = match fact.body() {
            BodyRef::Organization => None,
            BodyRef::Project { organization, organization_uid } => {
                Some((organization.into(), organization_uid.into()))
            }
            _ => return None,
        };
        Some(Self {
            fact: number,
            namespace: fact.key.namespace.into(),
            name: fact.key.name.into(),
            uid: fact.uid.into(),
            organization,
            nodes: Arc::default(),
            home: None,
            kinds: Arc::default(),
        })
    }

    /// One that does not exist, to stand for any.
    pub(super) fn any(organization: Option<(Text, Text)>) -> Self {
        // No object has such a name.
        let name = Text::from("\0");
        Self {
            fact: NO_FACT,
            namespace: Text::default(),
            uid: name.clone(),
            name,
            organization,
            nodes: Arc::default(),
            home: None,
            kinds: Arc::default(),
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

    /// The hash of its key.
    pub(super) fn hash(&self) -> u64 {
        Self::hash_of(self.is_project(), &self.namespace, &self.name)
    }

    /// The hash of the key of an organization or a project.
    pub(super) fn hash_of(is_project: bool, namespace: &str, name: &str) -> u64 {
        hash_of(&(is_project, namespace, name))
    }
}
