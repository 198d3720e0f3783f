//! Facts from stored objects.

use milo_core::{
    object::Object,
    resourcemanager::{Project, labels},
};
use serde::de::DeserializeOwned;

use super::{
    BINDING, Body, Fact, GROUP, Key, KindName, MEMBERSHIP, ORGANIZATION, PROJECT,
    PROTECTED_RESOURCE, Plane, ROLE, RoleName, SERVICE_ACCOUNT, Subject, Target, USER,
};
use crate::{Text, kinds};

/// Why an object is not a fact. What cannot be read grants nothing.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum FactError {
    /// A field that every object has is missing.
    #[error("object {object} has no {field}: give it one, or leave the object out")]
    Missing {
        /// The kind, namespace and name, as far as they are known.
        object: String,
        /// The field.
        field: &'static str,
    },
    /// The object does not fit its kind.
    #[error("{object} does not fit its kind: {source}")]
    Unreadable {
        /// The kind, namespace and name.
        object: String,
        /// What does not fit.
        source: serde_json::Error,
    },
    /// A binding names no target, or two.
    #[error("{object}: spec.resourceSelector must have one of resourceRef and resourceKind")]
    NoTarget {
        /// The binding.
        object: String,
    },
    /// A project does not say to which organization it belongs.
    #[error(
        "{object} has no label {}: the server sets it when the project is created",
        labels::ORGANIZATION_UID
    )]
    NoOrganization {
        /// The project.
        object: String,
    },
}

impl Fact {
    /// What an object says, stored in a plane. Objects of kinds that this crate does not know can
    /// be the targets of bindings; only their metadata counts.
    ///
    /// # Errors
    /// When the object has no kind, name or UID, does not fit its kind, or is a binding without a
    /// target.
    pub fn from_object(plane: &Plane, object: &Object) -> Result<Self, FactError> {
        let api_version = object.api_version();
        let service = api_version.split_once('/').map_or("", |(group, _)| group);
        let described = || format!("{} `{}`", object.kind(), object.meta("name"));
        for (field, value) in [
            ("kind", object.kind()),
            ("apiVersion", api_version),
            ("metadata.name", object.meta("name")),
            ("metadata.uid", object.meta("uid")),
        ] {
            if value.is_empty() {
                return Err(FactError::Missing { object: described(), field });
            }
        }
        let key = Key {
            kind: KindName::new(service, object.kind()),
            plane: plane.clone(),
            namespace: object.meta("namespace").into(),
            name: object.meta("name").into(),
        };
        let body = body(&key, object)?;
        Ok(Self::new(key, object.meta("uid"), body))
    }
}

fn typed<K: DeserializeOwned>(key: &Key, object: &Object) -> Result<K, FactError> {
    object.to_typed().map_err(|source| FactError::Unreadable { object: key.to_string(), source })
}

fn body(key: &Key, object: &Object) -> Result<Body, FactError> {
    let kind = &key.kind;
    let on_platform = key.plane == Plane::Platform;
    Ok(if *kind == *ROLE {
        role(typed(key, object)?)
    } else if *kind == *BINDING {
        binding(key, typed(key, object)?)?
    } else if *kind == *MEMBERSHIP {
        membership(typed(key, object)?)
    } else if *kind == *GROUP {
        Body::Group
    } else if *kind == *SERVICE_ACCOUNT {
        Body::ServiceAccount
    } else if *kind == *USER && on_platform {
        Body::User
    } else if *kind == *PROTECTED_RESOURCE && on_platform {
        protected_resource(typed(key, object)?)
    } else if *kind == *ORGANIZATION && on_platform {
        Body::Organization
    } else if *kind == *PROJECT && on_platform {
        project(key, object)?
    } else {
        Body::Other
    })
}

fn project(key: &Key, object: &Object) -> Result<Body, FactError> {
    let project: Project = typed(key, object)?;
    let labels = project.metadata.labels.unwrap_or_default();
    let uid = labels.get(labels::ORGANIZATION_UID);
    let uid = uid.ok_or_else(|| FactError::NoOrganization { object: key.to_string() })?;
    Ok(Body::Project {
        organization: project.spec.owner_ref.name.into(),
        organization_uid: uid.as_str().into(),
    })
}

fn text(optional: Option<String>) -> Text {
    optional.unwrap_or_default().into()
}

fn role_name(role: kinds::RoleReference) -> RoleName {
    RoleName { namespace: text(role.namespace), name: role.name.into() }
}

fn role(role: kinds::Role) -> Body {
    Body::Role {
        permissions: role.spec.included_permissions.into_iter().map(Into::into).collect(),
        inherits: role.spec.inherited_roles.into_iter().map(role_name).collect(),
    }
}

fn membership(membership: kinds::GroupMembership) -> Body {
    Body::Membership {
        group_namespace: membership.spec.group_ref.namespace.into(),
        group: membership.spec.group_ref.name.into(),
        user: membership.spec.user_ref.name.into(),
    }
}

fn protected_resource(resource: kinds::ProtectedResource) -> Body {
    let spec = resource.spec;
    let parent = |parent: kinds::ParentResource| {
        KindName::new(&parent.api_group.unwrap_or_default(), &parent.kind)
    };
    Body::ProtectedResource {
        kind: KindName::new(&spec.service_ref.name, &spec.kind),
        plural: spec.plural.into(),
        verbs: spec.permissions.into_iter().map(Into::into).collect(),
        parents: spec.parent_resources.into_iter().map(parent).collect(),
    }
}

fn binding(key: &Key, binding: kinds::PolicyBinding) -> Result<Body, FactError> {
    let selector = binding.spec.resource_selector;
    let target = match (selector.resource_ref, selector.resource_kind) {
        (Some(found), None) => Target::Object {
            kind: KindName::new(&found.api_group.unwrap_or_default(), &found.kind),
            namespace: text(found.namespace),
            name: found.name.into(),
            uid: found.uid.into(),
        },
        (None, Some(found)) => {
            Target::Kind(KindName::new(&found.api_group.unwrap_or_default(), &found.kind))
        }
        _ => return Err(FactError::NoTarget { object: key.to_string() }),
    };
    Ok(Body::Binding {
        role: role_name(binding.spec.role_ref),
        subjects: binding.spec.subjects.into_iter().map(subject).collect(),
        target,
    })
}

fn subject(subject: kinds::Subject) -> Subject {
    let (name, uid): (Text, _) = (subject.name.into(), text(subject.uid));
    match subject.kind {
        kinds::SubjectKind::Group if name.starts_with("system:") => Subject::System(name),
        kinds::SubjectKind::Group => {
            Subject::Group { namespace: text(subject.namespace), name, uid }
        }
        kinds::SubjectKind::User => Subject::User { name, uid },
        kinds::SubjectKind::ServiceAccount => Subject::ServiceAccount { name, uid },
    }
}
