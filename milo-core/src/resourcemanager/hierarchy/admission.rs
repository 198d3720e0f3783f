//! The rules of the hierarchy that a schema cannot express.

use async_trait::async_trait;
use serde_json::{Value, json};

use super::{dependents, label, membership_organization, organizations, spec_text};
use crate::{
    admission::{Admission, AdmissionRequest, Operation, StoredObject},
    object::Object,
    resourcemanager::{GROUP, labels},
    scope::Scope,
    status::{FieldError, FieldPath, StatusError},
};

/// The rules of the hierarchy that a schema cannot express.
///
/// - Names of organizations have at most 50 characters, those of projects at most 55.
/// - A project belongs to an organization that exists when the project commits: taken from the
///   control plane that the request was sent to, or from `spec.ownerRef` on the platform. It
///   carries the organization's name and UID in labels and has it as its owner, and keeps them for
///   life. The UID is what counts: whoever takes the name of an organization that is gone gets
///   nothing of what it had.
/// - A membership lives in the namespace of its organization, which exists when the membership
///   commits, and never goes to another one. It carries the organization's UID in a label.
/// - An organization that has projects or memberships cannot be deleted.
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
        if request.definition.group() != GROUP {
            return Ok(());
        }
        match (request.definition.plural(), request.old) {
            ("projects", None) => adopt_project(request, object).await,
            ("organizationmemberships", None) => adopt_membership(request, object).await,
            ("organizationmemberships", Some(old)) => {
                keep_label(old, object, labels::ORGANIZATION_UID);
                Ok(())
            }
            _ => Ok(()),
        }
    }

    async fn validate(
        &self,
        request: &mut AdmissionRequest<'_>,
        object: &Object,
    ) -> Result<(), StatusError> {
        if request.definition.group() != GROUP {
            return Ok(());
        }
        if request.operation == Operation::Delete {
            let deleted = request.definition.group_resource() == &organizations();
            // One that is being deleted has been looked at before, and has got nothing since.
            if deleted && !object.is_deleting() {
                return dependents::check_none(request, object).await;
            }
            return Ok(());
        }
        if request.operation == Operation::Connect {
            return Ok(());
        }
        let errors = match request.definition.plural() {
            "organizations" => check_organization(object),
            "projects" => check_project(request.old, object),
            "organizationmemberships" => check_membership(request.old, object),
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
    let Some(organization) = organization(request, &owner).await? else {
        let path = FieldPath::new("spec").child("ownerRef").child("name");
        let error = FieldError::not_found(path, owner);
        return Err(StatusError::invalid("Project", GROUP, object.name(), &[error]));
    };
    let spec = object.fields_mut().entry("spec").or_insert_with(|| json!({}));
    if let Some(spec) = spec.as_object_mut() {
        spec.insert("ownerRef".into(), json!({ "kind": "Organization", "name": owner }));
    }
    set_label(object, labels::ORGANIZATION_NAME, &owner);
    set_label(object, labels::ORGANIZATION_UID, organization.object.uid());
    let reference = json!([{
        "apiVersion": organization.object.api_version(),
        "kind": "Organization",
        "name": owner,
        "uid": organization.object.uid(),
    }]);
    object.metadata_mut().insert("ownerReferences".into(), reference);
    // If the organization goes away before the project commits, or begins to, the project does not
    // commit.
    dependents::belong_to(request, organization)
}

/// Ties a new membership to its organization, within the membership's own commit.
///
/// Without an organization it gets no label; then [`check_membership`] says what is missing.
async fn adopt_membership(
    request: &mut AdmissionRequest<'_>,
    object: &mut Object,
) -> Result<(), StatusError> {
    remove_label(object, labels::ORGANIZATION_UID);
    let name = membership_organization(object);
    if name.is_empty() {
        return Ok(());
    }
    let Some(organization) = organization(request, name).await? else { return Ok(()) };
    set_label(object, labels::ORGANIZATION_UID, organization.object.uid());
    dependents::belong_to(request, organization)
}

/// The organization that something new may belong to: it exists and stays, and it is the one that
/// the caller was authorized for, not another one that has taken its name since.
async fn organization(
    request: &AdmissionRequest<'_>,
    name: &str,
) -> Result<Option<StoredObject>, StatusError> {
    let found = request.reader.read(&organizations(), &Scope::Platform, "", name).await?;
    Ok(found.filter(|found| {
        let authorized = match &request.attributes.scope {
            Scope::Organization(tenant) => tenant.uid() == found.object.uid(),
            _ => true,
        };
        authorized && !found.object.is_deleting()
    }))
}

fn set_label(object: &mut Object, key: &str, value: &str) {
    let labels = object.metadata_mut().entry("labels").or_insert(Value::Null);
    if labels.is_null() {
        *labels = json!({});
    }
    // Labels that are no object are refused by validation.
    if let Some(labels) = labels.as_object_mut() {
        labels.insert(key.to_owned(), value.into());
    }
}

fn remove_label(object: &mut Object, key: &str) {
    let labels = object.metadata_mut().get_mut("labels").and_then(Value::as_object_mut);
    if let Some(labels) = labels {
        labels.remove(key);
    }
}

/// Gives a label its stored value back. Clients of Go Milo do not know of it, and leave it out of
/// what they replace.
fn keep_label(old: &Object, object: &mut Object, key: &str) {
    match label(old, key) {
        Some(value) => set_label(object, key, value),
        None => remove_label(object, key),
    }
}

fn owner_name(object: &Object) -> &str {
    spec_text(object, "/ownerRef/name")
}

fn check_organization(object: &Object) -> Vec<FieldError> {
    let mut errors = check_name_length(object, ORGANIZATION_NAME_LENGTH);
    let contact = object.fields().get("spec").and_then(|spec| spec.get("contactInfo"));
    let Some(contact) = contact.and_then(Value::as_object) else { return errors };
    let path = FieldPath::new("spec").child("contactInfo");
    for field in ["email", "name"] {
        let text = contact.get(field).and_then(Value::as_str);
        if text.is_some_and(|text| text.trim().is_empty()) {
            errors.push(FieldError::required(path.child(field), "must not be blank"));
        }
    }
    errors
}

fn check_project(old: Option<&Object>, object: &Object) -> Vec<FieldError> {
    let mut errors = check_name_length(object, PROJECT_NAME_LENGTH);
    let Some(old) = old else { return errors };
    for key in [labels::ORGANIZATION_NAME, labels::ORGANIZATION_UID] {
        let path = FieldPath::new("metadata").child("labels").key(key);
        match (label(old, key), label(object, key)) {
            (before, after) if before == after => {}
            (_, None) => errors.push(FieldError::forbidden(path, "cannot be removed")),
            (_, Some(_)) => errors.push(FieldError::forbidden(path, "cannot be changed")),
        }
    }
    if owner_name(old) != owner_name(object) {
        let path = FieldPath::new("spec").child("ownerRef").child("name");
        errors.push(FieldError::invalid(path, owner_name(object), "field is immutable"));
    }
    errors
}

fn check_membership(old: Option<&Object>, object: &Object) -> Vec<FieldError> {
    let name = membership_organization(object);
    let path = FieldPath::new("spec").child("organizationRef").child("name");
    if old.is_some_and(|old| membership_organization(old) != name) {
        return vec![FieldError::invalid(path, name, "field is immutable")];
    }
    // What is going away may go, wherever it is.
    if name.is_empty() || old.is_some_and(Object::is_deleting) {
        return Vec::new();
    }
    let mut errors = Vec::new();
    let home = labels::organization_namespace(name);
    if object.namespace() != home {
        let path = FieldPath::new("metadata").child("namespace");
        let detail = format!("must be {home:?}, the namespace of the organization");
        errors.push(FieldError::invalid(path, object.namespace(), detail));
    }
    if old.is_none() && label(object, labels::ORGANIZATION_UID).is_none() {
        errors.push(FieldError::not_found(path, name));
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
