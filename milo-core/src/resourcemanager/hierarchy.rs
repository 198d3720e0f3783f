//! What holds the hierarchy together: which tenants exist, and what a project owes its
//! organization.

use std::sync::Arc;

use async_trait::async_trait;
use serde::{Deserialize, de::DeserializeOwned};
use serde_json::json;

use super::{
    GROUP, Organization, OrganizationMembership, Project, ProjectSuspension,
    custom_resource_definition, labels,
};
use crate::{
    admission::{Admission, AdmissionRequest, Operation, StoredObject},
    definition::{DefinitionError, ResourceDefinition, View},
    key::{GroupResource, Key},
    object::Object,
    scope::{Scope, ScopeKind, ScopeName, ScopeResolver, Tenant},
    status::{FieldError, FieldPath, StatusError},
    storage::{Precondition, Storage},
};

/// The kinds of this module as a server serves them, with the views that tenants have of them.
///
/// # Errors
/// Never, as long as the tests of this module pass; the kinds are declared here.
pub fn definitions() -> Result<Vec<ResourceDefinition>, DefinitionError> {
    let organization_name = View::Label(labels::ORGANIZATION_NAME.to_owned());
    let organization_ref = View::Field("spec.organizationRef.name".to_owned());
    let user_ref = View::Field("spec.userRef.name".to_owned());
    Ok(vec![
        ResourceDefinition::from_crd(&custom_resource_definition::<Organization>())?,
        ResourceDefinition::from_crd(&custom_resource_definition::<Project>())?
            .seen_from(ScopeKind::Organization, organization_name),
        ResourceDefinition::from_crd(&custom_resource_definition::<OrganizationMembership>())?
            .seen_from(ScopeKind::Organization, organization_ref)
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
        // A project whose organization is gone is no one's: it cannot be entered.
        let Some(organization) = self.organization(&facts.spec.owner_ref.name).await? else {
            return Ok(None);
        };
        Ok(Some(Scope::Project { project: tenant(facts.metadata)?, organization }))
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

/// The rules of the hierarchy that a schema cannot express.
///
/// - Names of organizations have at most 50 characters, those of projects at most 55.
/// - A project belongs to an organization that exists when the project commits: taken from the
///   control plane that the request was sent to, or from `spec.ownerRef` on the platform. It
///   carries the organization in a label and as its owner, and keeps it for life.
/// - A contact that is given has a name and an e-mail that are not blank.
#[derive(Clone, Copy, Debug, Default)]
#[non_exhaustive]
pub struct HierarchyAdmission;

/// The longest name of an organization, in characters.
const ORGANIZATION_NAME_LENGTH: usize = 50;
/// The longest name of a project, in characters.
const PROJECT_NAME_LENGTH: usize = 55;

#[async_trait]
impl Admission for HierarchyAdmission {
    async fn mutate(
        &self,
        request: &mut AdmissionRequest<'_>,
        object: &mut Object,
    ) -> Result<(), StatusError> {
        if request.definition.group_resource() == &projects()
            && request.operation == Operation::Create
        {
            return adopt_project(request, object).await;
        }
        Ok(())
    }

    async fn validate(
        &self,
        request: &mut AdmissionRequest<'_>,
        object: &Object,
    ) -> Result<(), StatusError> {
        if request.operation == Operation::Delete || request.definition.group() != GROUP {
            return Ok(());
        }
        let errors = match request.definition.plural() {
            "organizations" => check_organization(object),
            "projects" => check_project(request.old, object),
            _ => Vec::new(),
        };
        if errors.is_empty() {
            return Ok(());
        }
        Err(StatusError::invalid(request.definition.kind(), GROUP, object.name(), &errors))
    }
}

/// Ties a new project to its organization, within the project's own commit.
async fn adopt_project(
    request: &mut AdmissionRequest<'_>,
    object: &mut Object,
) -> Result<(), StatusError> {
    let owner = match &request.attributes.scope {
        Scope::Organization(tenant) => tenant.name().to_owned(),
        _ => owner_name(object).to_owned(),
    };
    if owner.is_empty() {
        // The schema says what is missing.
        return Ok(());
    }
    let organization = organization(request, &owner).await?;
    let Some(organization) = organization.filter(|found| !found.object.is_deleting()) else {
        let path = FieldPath::new("spec").child("ownerRef").child("name");
        let error = FieldError::not_found(path, owner);
        return Err(StatusError::invalid("Project", GROUP, object.name(), &[error]));
    };
    // If the organization goes away before the project commits, the project does not commit.
    request.transaction.add_precondition(Precondition::Exists(organization.key));
    let spec = object.fields_mut().entry("spec").or_insert_with(|| json!({}));
    if let Some(spec) = spec.as_object_mut() {
        spec.insert("ownerRef".into(), json!({ "kind": "Organization", "name": owner }));
    }
    let metadata = object.metadata_mut();
    let labels = metadata.entry("labels").or_insert_with(|| json!({}));
    if let Some(labels) = labels.as_object_mut() {
        labels.insert(labels::ORGANIZATION_NAME.to_owned(), owner.as_str().into());
    }
    let reference = json!([{
        "apiVersion": organization.object.api_version(),
        "kind": "Organization",
        "name": owner,
        "uid": organization.object.uid(),
    }]);
    metadata.insert("ownerReferences".into(), reference);
    Ok(())
}

async fn organization(
    request: &AdmissionRequest<'_>,
    name: &str,
) -> Result<Option<StoredObject>, StatusError> {
    request.reader.read(&organizations(), &Scope::Platform, "", name).await
}

fn owner_name(object: &Object) -> &str {
    object
        .fields()
        .get("spec")
        .and_then(|spec| spec.pointer("/ownerRef/name"))
        .and_then(serde_json::Value::as_str)
        .unwrap_or_default()
}

fn check_organization(object: &Object) -> Vec<FieldError> {
    let mut errors = check_name_length(object, ORGANIZATION_NAME_LENGTH);
    let contact = object.fields().get("spec").and_then(|spec| spec.get("contactInfo"));
    let Some(contact) = contact.and_then(serde_json::Value::as_object) else { return errors };
    let path = FieldPath::new("spec").child("contactInfo");
    for field in ["email", "name"] {
        let text = contact.get(field).and_then(serde_json::Value::as_str);
        if text.is_some_and(|text| text.trim().is_empty()) {
            errors.push(FieldError::required(path.child(field), "must not be blank"));
        }
    }
    errors
}

fn check_project(old: Option<&Object>, object: &Object) -> Vec<FieldError> {
    let mut errors = check_name_length(object, PROJECT_NAME_LENGTH);
    let Some(old) = old else { return errors };
    let label = |object: &Object| {
        let mut labels = object.labels();
        labels.find(|(key, _)| *key == labels::ORGANIZATION_NAME).map(|(_, name)| name.to_owned())
    };
    let path = FieldPath::new("metadata").child("labels").key(labels::ORGANIZATION_NAME);
    match (label(old), label(object)) {
        (Some(_), None) => errors.push(FieldError::forbidden(path, "cannot be removed")),
        (Some(before), Some(after)) if before != after => {
            errors.push(FieldError::forbidden(path, "cannot be changed"));
        }
        _ => {}
    }
    if owner_name(old) != owner_name(object) {
        let path = FieldPath::new("spec").child("ownerRef").child("name");
        errors.push(FieldError::invalid(path, owner_name(object), "field is immutable"));
    }
    errors
}

fn check_name_length(object: &Object, limit: usize) -> Vec<FieldError> {
    let name = object.name();
    if name.chars().count() <= limit {
        return Vec::new();
    }
    let detail = format!("must be no more than {limit} characters");
    vec![FieldError::invalid(FieldPath::new("metadata").child("name"), name, detail)]
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
