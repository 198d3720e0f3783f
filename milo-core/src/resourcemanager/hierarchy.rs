//! What holds the hierarchy together: which tenants exist, and what a project owes its
//! organization.

use std::{collections::BTreeMap, sync::Arc};

use async_trait::async_trait;
use serde::{Deserialize, de::DeserializeOwned};
use serde_json::Value;

use super::{
    GROUP, Organization, OrganizationMembership, Project, ProjectSuspension,
    custom_resource_definition, labels,
};
use crate::{
    definition::{DefinitionError, ResourceDefinition, View},
    key::{GroupResource, Key},
    object::Object,
    scope::{Scope, ScopeKind, ScopeName, ScopeResolver, Tenant},
    status::StatusError,
    storage::Storage,
};

mod admission;
mod dependents;

pub use admission::HierarchyAdmission;

/// The kinds of this module as a server serves them, with the views that tenants have of them.
///
/// # Errors
/// Never, as long as the tests of this module pass; the kinds are declared here.
pub fn definitions() -> Result<Vec<ResourceDefinition>, DefinitionError> {
    let organization_uid = View::LabelUid(labels::ORGANIZATION_UID.to_owned());
    let user_ref = View::Field("spec.userRef.name".to_owned());
    Ok(vec![
        ResourceDefinition::from_crd(&custom_resource_definition::<Organization>())?,
        ResourceDefinition::from_crd(&custom_resource_definition::<Project>())?
            .seen_from(ScopeKind::Organization, organization_uid.clone()),
        ResourceDefinition::from_crd(&custom_resource_definition::<OrganizationMembership>())?
            .seen_from(ScopeKind::Organization, organization_uid)
            .seen_from(ScopeKind::User, user_ref),
        ResourceDefinition::from_crd(&custom_resource_definition::<ProjectSuspension>())?,
    ])
}

fn organizations() -> GroupResource {
    GroupResource::new(GROUP, "organizations")
}

fn projects() -> GroupResource {
    GroupResource::new(GROUP, "projects")
}

fn memberships() -> GroupResource {
    GroupResource::new(GROUP, "organizationmemberships")
}

/// The value of a label.
fn label<'a>(object: &'a Object, key: &str) -> Option<&'a str> {
    object.labels().find(|(other, _)| *other == key).map(|(_, value)| value)
}

/// The name of the organization that a membership is of; empty when it does not say.
fn membership_organization(membership: &Object) -> &str {
    spec_text(membership, "/organizationRef/name")
}

/// A text somewhere in `spec`; empty when it is not there.
fn spec_text<'a>(object: &'a Object, pointer: &str) -> &'a str {
    let spec = object.fields().get("spec");
    spec.and_then(|spec| spec.pointer(pointer)).and_then(Value::as_str).unwrap_or_default()
}

/// Finds organizations and projects among the stored objects, linearizably: a tenant that was
/// deleted is gone with that commit.
#[derive(Clone, Debug)]
pub struct HierarchyResolver {
    storage: Arc<dyn Storage>,
}

#[derive(Deserialize)]
struct OrganizationFacts {
    metadata: Identity,
}

#[derive(Deserialize)]
struct ProjectFacts {
    metadata: Identity,
    spec: super::ProjectSpec,
}

#[derive(Deserialize)]
struct Identity {
    name: String,
    uid: String,
    labels: Option<BTreeMap<String, String>>,
}

impl HierarchyResolver {
    /// Reads from this storage.
    #[must_use]
    pub fn new(storage: Arc<dyn Storage>) -> Self {
        Self { storage }
    }

    async fn read<F: DeserializeOwned>(
        &self,
        resource: &GroupResource,
        name: &str,
    ) -> Result<Option<F>, StatusError> {
        let Ok(key) = Key::object(resource, &Scope::Platform, "", name) else { return Ok(None) };
        let record = self.storage.get(&key).await.map_err(StatusError::internal)?;
        record
            .map(|record| serde_json::from_slice(&record.value).map_err(StatusError::internal))
            .transpose()
    }

    async fn organization(&self, name: &str) -> Result<Option<Tenant>, StatusError> {
        let found: Option<OrganizationFacts> = self.read(&organizations(), name).await?;
        found.map(|facts| tenant(facts.metadata)).transpose()
    }

    async fn project(&self, name: &str) -> Result<Option<Scope>, StatusError> {
        let found: Option<ProjectFacts> = self.read(&projects(), name).await?;
        let Some(facts) = found else { return Ok(None) };
        // A project whose organization is gone is no one's: it cannot be entered, not by whoever
        // has taken the organization's name either.
        let found = self.organization(&facts.spec.owner_ref.name).await?;
        let Some(organization) = found.filter(|found| facts.metadata.is_owned_by(found)) else {
            return Ok(None);
        };
        Ok(Some(Scope::Project { project: tenant(facts.metadata)?, organization }))
    }
}

impl Identity {
    fn is_owned_by(&self, organization: &Tenant) -> bool {
        let label = self.labels.as_ref().and_then(|labels| labels.get(labels::ORGANIZATION_UID));
        label.is_some_and(|uid| uid == organization.uid())
    }
}

fn tenant(identity: Identity) -> Result<Tenant, StatusError> {
    Tenant::new(identity.name, identity.uid).map_err(StatusError::internal)
}

#[async_trait]
impl ScopeResolver for HierarchyResolver {
    async fn resolve(&self, name: &ScopeName) -> Result<Option<Scope>, StatusError> {
        match name {
            ScopeName::Platform => Ok(Some(Scope::Platform)),
            ScopeName::Organization(name) => {
                Ok(self.organization(name).await?.map(Scope::Organization))
            }
            ScopeName::Project(name) => self.project(name).await,
            // Users are kinds of the IAM group, which this module does not know.
            ScopeName::User(_) => Ok(None),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_kinds_can_be_served() {
        let definitions = definitions().unwrap();
        let names: Vec<&str> = definitions.iter().map(ResourceDefinition::plural).collect();
        assert_eq!(
            names,
            ["organizations", "projects", "organizationmemberships", "projectsuspensions"]
        );
        assert!(definitions[1].is_served_in(ScopeKind::Organization));
        assert!(!definitions[0].is_served_in(ScopeKind::Organization));
    }
}
