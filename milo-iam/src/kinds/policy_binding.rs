//! The kind `PolicyBinding`.

use std::borrow::Cow;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use kube::CustomResource;
use kube_core::Rule;
use milo_core::definition::object_schema::{ObjectSchema, immutable};
use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde::{Deserialize, Serialize};

use super::{RoleReference, keeping_its_spec, ready_conditions};

/// Which role is granted to whom, and on what. Only the subjects can be changed.
#[derive(CustomResource, JsonSchema, Serialize, Deserialize, Clone, Debug, Default, PartialEq)]
#[expect(clippy::duplicated_attributes, reason = "columns share their type, not their meaning")]
#[kube(
    group = "iam.miloapis.com",
    version = "v1alpha1",
    kind = "PolicyBinding",
    namespaced,
    doc = "Grants a role to subjects, on an object or on a kind of object.",
    status = "PolicyBindingStatus",
    schema = "manual",
    derive = "PartialEq",
    derive = "Default",
    printcolumn(name = "Role", type_ = "string", json_path = ".spec.roleRef.name"),
    printcolumn(
        name = "Resource Kind",
        type_ = "string",
        json_path = ".spec.resourceSelector.resourceRef.kind"
    ),
    printcolumn(
        name = "Resource Name",
        type_ = "string",
        json_path = ".spec.resourceSelector.resourceRef.name"
    ),
    printcolumn(
        name = "Ready",
        type_ = "string",
        json_path = ".status.conditions[?(@.type=='Ready')].status"
    ),
    printcolumn(name = "Age", type_ = "date", json_path = ".metadata.creationTimestamp")
)]
#[serde(rename_all = "camelCase", remote = "Self")]
pub struct PolicyBindingSpec {
    /// On what the role is granted. Cannot be changed.
    #[schemars(extend("x-kubernetes-validations" = selector_rules()))]
    pub resource_selector: ResourceSelector,

    /// The role that is granted. Cannot be changed.
    #[schemars(extend("x-kubernetes-validations" =
        immutable("RoleRef is immutable and cannot be changed after creation")))]
    pub role_ref: RoleReference,

    /// To whom the role is granted.
    #[schemars(length(min = 1))]
    pub subjects: Vec<Subject>,
}

milo_core::optional_spec!(PolicyBindingSpec);

fn selector_rules() -> [Rule; 2] {
    let [immutable] =
        immutable("ResourceSelector is immutable and cannot be changed after creation");
    let one = Rule::new("has(self.resourceRef) != has(self.resourceKind)")
        .message("exactly one of resourceRef or resourceKind must be specified, but not both");
    [immutable, one]
}

/// One object, or all objects of a kind.
#[derive(JsonSchema, Serialize, Deserialize, Clone, Debug, Default, PartialEq, Eq, Hash)]
#[serde(rename_all = "camelCase")]
pub struct ResourceSelector {
    /// All objects of a kind, and what is below them, as far as the binding reaches: those of the
    /// organization in whose namespace it lives, or of the platform.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub resource_kind: Option<ResourceKind>,

    /// One object, and what is below it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub resource_ref: Option<ResourceReference>,
}

/// A kind of object.
#[derive(JsonSchema, Serialize, Deserialize, Clone, Debug, Default, PartialEq, Eq, Hash)]
#[serde(rename_all = "camelCase")]
pub struct ResourceKind {
    /// The API group of the kind.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub api_group: Option<String>,

    /// The kind.
    pub kind: String,
}

/// One object.
#[derive(JsonSchema, Serialize, Deserialize, Clone, Debug, Default, PartialEq, Eq, Hash)]
#[serde(rename_all = "camelCase")]
pub struct ResourceReference {
    /// The API group of the object's kind.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub api_group: Option<String>,

    /// The object's kind.
    pub kind: String,

    /// The object's name.
    pub name: String,

    /// The object's namespace, for kinds that have one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub namespace: Option<String>,

    /// The object's UID. Another object that takes the name later is not meant.
    pub uid: String,
}

/// To whom a role is granted.
#[derive(JsonSchema, Serialize, Deserialize, Clone, Debug, Default, PartialEq, Eq, Hash)]
#[serde(rename_all = "camelCase")]
#[schemars(extend("x-kubernetes-validations" = [subject_rule()]))]
pub struct Subject {
    /// What the subject is.
    pub kind: SubjectKind,

    /// The name of the subject. Groups whose names begin with system: come from authentication.
    pub name: String,

    /// The namespace of the subject, for groups.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub namespace: Option<String>,

    /// The UID of the subject's object. The server fills it in when it is left out. Groups whose
    /// names begin with system: have none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub uid: Option<String>,
}

fn subject_rule() -> Rule {
    Rule::new(
        "(self.kind == 'Group' && has(self.name) && self.name.startsWith('system:')) || \
         (has(self.uid) && size(self.uid) > 0)",
    )
    .message(
        "UID is required for all subjects except system groups (groups with names starting with \
         'system:')",
    )
}

/// What a subject is.
#[derive(
    JsonSchema,
    Serialize,
    Deserialize,
    Clone,
    Copy,
    Debug,
    Default,
    PartialEq,
    Eq,
    PartialOrd,
    Ord,
    Hash,
)]
#[non_exhaustive]
pub enum SubjectKind {
    /// A [`User`](super::User).
    #[default]
    User,
    /// A [`Group`](super::Group), or a system group.
    Group,
    /// A [`ServiceAccount`](super::ServiceAccount).
    ServiceAccount,
}

/// What is known of the binding. Written by the platform.
#[derive(JsonSchema, Serialize, Deserialize, Clone, Debug, Default, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct PolicyBindingStatus {
    /// The state in detail. `TargetValid`, `SubjectValid` and `RoleValid` say what was found.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(schema_with = "ready_conditions")]
    pub conditions: Vec<Condition>,

    /// The generation of the object that this status describes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub observed_generation: Option<i64>,
}

impl JsonSchema for PolicyBinding {
    fn schema_name() -> Cow<'static, str> {
        "PolicyBinding".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        keeping_its_spec(
            ObjectSchema::new(
                "A policy binding grants a role to subjects, on one object or on all objects of a \
                 kind. It reaches no further than where it lives: in an organization's namespace, \
                 that organization and its projects.",
            )
            .optional_spec::<PolicyBindingSpec>()
            .status::<PolicyBindingStatus>()
            .build(),
        )
    }
}
