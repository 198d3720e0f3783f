//! The kind `Organization`.

use std::borrow::Cow;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use kube::CustomResource;
use kube_core::Rule;
use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde::{Deserialize, Serialize};

use crate::definition::object_schema::{InitialCondition, ObjectSchema, conditions};

/// What the organization should be. A display name and a description are annotations of the
/// object: `kubernetes.io/display-name` and `kubernetes.io/description`.
#[derive(CustomResource, JsonSchema, Serialize, Deserialize, Clone, Debug, Default, PartialEq)]
#[expect(clippy::duplicated_attributes, reason = "columns share their type, not their meaning")]
#[kube(
    group = "resourcemanager.miloapis.com",
    version = "v1alpha1",
    kind = "Organization",
    doc = "A tenant: it owns projects, and users are its members.",
    category = "datum",
    status = "OrganizationStatus",
    schema = "manual",
    derive = "PartialEq",
    derive = "Default",
    printcolumn(
        name = "Display Name",
        type_ = "string",
        json_path = r".metadata.annotations.kubernetes\.io\/display-name"
    ),
    printcolumn(name = "Type", type_ = "string", json_path = ".spec.type"),
    printcolumn(
        name = "Onboarding",
        type_ = "string",
        json_path = ".status.conditions[?(@.type=='OnboardingComplete')].status"
    ),
    printcolumn(
        name = "Ready",
        type_ = "string",
        json_path = ".status.conditions[?(@.type=='Ready')].status"
    ),
    printcolumn(name = "Age", type_ = "date", json_path = ".metadata.creationTimestamp")
)]
#[serde(rename_all = "camelCase", remote = "Self")]
pub struct OrganizationSpec {
    /// Whom to contact about the organization, for billing and legal matters. Onboarding is not
    /// complete without it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub contact_info: Option<ContactInfo>,

    /// Whether the organization belongs to one person or to a team. Cannot be changed. Kept for
    /// older clients: leave it out of new organizations.
    #[serde(rename = "type", default, skip_serializing_if = "Option::is_none")]
    #[schemars(extend("x-kubernetes-validations" = [
        Rule::new("type(oldSelf) == null_type || self == oldSelf")
            .message("organization type is immutable")
    ]))]
    pub type_: Option<OrganizationType>,
}

crate::optional_spec!(OrganizationSpec);

/// Whose organization it is.
#[derive(JsonSchema, Serialize, Deserialize, Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum OrganizationType {
    /// One person's own.
    Personal,
    /// A team's or company's.
    Standard,
}

/// Whom to contact about an organization.
#[derive(JsonSchema, Serialize, Deserialize, Clone, Debug, Default, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct ContactInfo {
    /// The postal address, as on invoices.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub address: Option<Address>,

    /// The registered name of the business, when it is one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 256))]
    pub business_name: Option<String>,

    /// The e-mail address that notices are sent to.
    #[schemars(length(min = 1, max = 256))]
    pub email: String,

    /// The full name of the person to contact.
    #[schemars(length(min = 1, max = 256))]
    pub name: String,
}

/// A postal address.
#[derive(JsonSchema, Serialize, Deserialize, Clone, Debug, Default, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct Address {
    /// The city or town.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 128))]
    pub city: Option<String>,

    /// The country, as two capital letters of ISO 3166-1, for example `DE`.
    #[schemars(regex(pattern = "^[A-Z]{2}$"))]
    pub country: String,

    /// Street and number.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 256))]
    pub line1: Option<String>,

    /// What the first line does not hold: floor, suite, care of.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 256))]
    pub line2: Option<String>,

    /// The postal code.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 32))]
    pub postal_code: Option<String>,

    /// The state, province or region.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 128))]
    pub region: Option<String>,
}

/// What is known of the organization. Written by the platform.
#[derive(JsonSchema, Serialize, Deserialize, Clone, Debug, Default, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct OrganizationStatus {
    /// The state in detail. `Ready` says whether the organization can be used,
    /// `OnboardingComplete` whether all that is asked of a new organization is there.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(schema_with = "initial_conditions")]
    pub conditions: Vec<Condition>,

    /// The generation of the object that this status describes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub observed_generation: Option<i64>,
}

impl Organization {
    /// The condition that tells whether all that is asked of a new organization is there.
    pub const ONBOARDING_COMPLETE: &'static str = "OnboardingComplete";
}

impl JsonSchema for Organization {
    fn schema_name() -> Cow<'static, str> {
        "Organization".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        ObjectSchema::new(
            "An organization is a tenant of the platform: it owns projects, and users are its \
             members. It can be deleted once it has neither projects nor memberships.",
        )
        .optional_spec::<OrganizationSpec>()
        .status::<OrganizationStatus>()
        .build()
    }
}

fn initial_conditions(generator: &mut SchemaGenerator) -> Schema {
    let onboarding = InitialCondition {
        type_: Organization::ONBOARDING_COMPLETE,
        status: "False",
        reason: "ContactInfoIncomplete",
        message: "Organization contact information is incomplete",
    };
    conditions(generator, &[InitialCondition::READY, onboarding])
}
