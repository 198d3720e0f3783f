//! The hierarchy kinds, against the tables of the specification.

#![expect(clippy::unwrap_used, clippy::panic, reason = "tests say what they expect by unwrapping")]

use milo_core::{
    definition::ResourceDefinition,
    kube_core::CustomResourceExt,
    resourcemanager::{
        ContactInfo, HierarchyKind, Organization, OrganizationMembership, OrganizationSpec,
        Project, ProjectOwner, ProjectSpec, ProjectSuspension, SuspensionReason,
        custom_resource_definition,
    },
};
use serde::{Serialize, de::DeserializeOwned};
use serde_json::{Value, json};

fn crd<K: HierarchyKind>() -> Value {
    serde_json::to_value(custom_resource_definition::<K>()).unwrap()
}

fn schema<K: CustomResourceExt>() -> Value {
    ResourceDefinition::of::<K>().unwrap().schema().document().clone()
}

/// A list of conditions, keyed by their type.
fn conditions(initial: &Value) -> Value {
    json!({
        "type": "array", "default": initial,
        "x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["type"],
    })
}

/// The schema of a field written as in the specification: `status.appliedRoles[].name`.
fn field<'s>(schema: &'s Value, path: &str) -> &'s Value {
    path.split('.').fold(schema, |schema, name| {
        let (name, item) = name.strip_suffix("[]").map_or((name, false), |name| (name, true));
        let found = &schema["properties"][name];
        if item { &found["items"] } else { found }
    })
}

/// Compares every field with its row, and the rows with every field: nothing may be left over.
/// A row holds all constraints, `req` for required fields, and no description.
fn assert_fields<K: CustomResourceExt>(rows: &[(&str, Value)]) {
    let schema = schema::<K>();
    for (path, row) in rows {
        let mut expected = row.clone();
        let required = expected.as_object_mut().unwrap().remove("req").is_some();
        let mut found = field(&schema, path).clone();
        let properties = found.as_object_mut().unwrap_or_else(|| panic!("{path} is missing"));
        let description = properties.remove("description");
        let describes =
            |d: &Value| d.as_str().is_some_and(|d| d.ends_with('.') && !d.contains(['[', '\n']));
        assert!(description.as_ref().is_some_and(describes), "{path}: {description:?}");
        for nested in ["properties", "required", "items"] {
            properties.remove(nested);
        }
        assert_eq!(found, expected, "{path}");
        let (parent, name) = path.rsplit_once('.').unwrap_or(("", path));
        let parent = if parent.is_empty() { &schema } else { field(&schema, parent) };
        let among_required =
            parent["required"].as_array().is_some_and(|r| r.contains(&json!(name)));
        assert_eq!(among_required, required, "{path} required");
    }
    let mut paths = Vec::new();
    collect_paths(&schema, "", &mut paths);
    let mut expected: Vec<_> = rows.iter().map(|(path, _)| (*path).to_owned()).collect();
    expected.sort();
    paths.sort();
    assert_eq!(paths, expected);
}

/// All fields but the ones every object has and those inside conditions.
fn collect_paths(schema: &Value, prefix: &str, paths: &mut Vec<String>) {
    for (name, field) in schema["properties"].as_object().into_iter().flatten() {
        let path = if prefix.is_empty() { name.clone() } else { format!("{prefix}.{name}") };
        if ["apiVersion", "kind", "metadata"].contains(&path.as_str()) {
            continue;
        }
        paths.push(path.clone());
        if name != "conditions" {
            collect_paths(field, &path, paths);
            collect_paths(&field["items"], &format!("{path}[]"), paths);
        }
    }
}

fn condition(type_: &str, status: &str, reason: &str, message: &str) -> Value {
    json!({
        "lastTransitionTime": "1970-01-01T00:00:00Z",
        "type": type_, "status": status, "reason": reason, "message": message,
    })
}

fn ready() -> Value {
    condition("Ready", "Unknown", "Unknown", "Waiting for control plane to reconcile")
}

fn list_map() -> Value {
    json!({
        "type": "array",
        "x-kubernetes-list-type": "map",
        "x-kubernetes-list-map-keys": ["name"],
    })
}

fn once(extra: Value, message: &str) -> Value {
    let mut row = extra;
    row["req"] = json!(true);
    row["x-kubernetes-validations"] = json!([{"rule": "self == oldSelf", "message": message}]);
    row
}

#[test]
fn organization_fields() {
    let string = |max: u32| json!({"type": "string", "maxLength": max});
    let onboarding = condition(
        "OnboardingComplete",
        "False",
        "ContactInfoIncomplete",
        "Organization contact information is incomplete",
    );
    assert_fields::<Organization>(&[
        ("spec", json!({"type": "object"})),
        ("spec.contactInfo", json!({"type": "object"})),
        ("spec.contactInfo.address", json!({"type": "object"})),
        ("spec.contactInfo.address.city", string(128)),
        (
            "spec.contactInfo.address.country",
            json!({"type": "string", "pattern": "^[A-Z]{2}$", "req": true}),
        ),
        ("spec.contactInfo.address.line1", string(256)),
        ("spec.contactInfo.address.line2", string(256)),
        ("spec.contactInfo.address.postalCode", string(32)),
        ("spec.contactInfo.address.region", string(128)),
        ("spec.contactInfo.businessName", string(256)),
        (
            "spec.contactInfo.email",
            json!({"type": "string", "minLength": 1, "maxLength": 256, "req": true}),
        ),
        (
            "spec.contactInfo.name",
            json!({"type": "string", "minLength": 1, "maxLength": 256, "req": true}),
        ),
        (
            "spec.type",
            json!({
                "type": "string",
                "enum": ["Personal", "Standard"],
                "x-kubernetes-validations": [{
                    "rule": "type(oldSelf) == null_type || self == oldSelf",
                    "message": "organization type is immutable",
                }],
            }),
        ),
        ("status", json!({"type": "object"})),
        ("status.conditions", conditions(&json!([ready(), onboarding]))),
        ("status.observedGeneration", json!({"type": "integer", "format": "int64"})),
    ]);
}

#[test]
fn project_fields() {
    assert_fields::<Project>(&[
        ("spec", json!({"type": "object", "req": true})),
        ("spec.ownerRef", json!({"type": "object", "req": true})),
        ("spec.ownerRef.kind", json!({"type": "string", "enum": ["Organization"], "req": true})),
        ("spec.ownerRef.name", json!({"type": "string", "req": true})),
        ("status", json!({"type": "object"})),
        ("status.conditions", conditions(&json!([ready()]))),
        ("status.suspensions", json!({"type": "array"})),
        ("status.suspensions[].reason", with_req(reasons())),
        ("status.suspensions[].reinstateAuthority", with_req(authorities())),
        (
            "status.suspensions[].suspendedAt",
            json!({"type": "string", "format": "date-time", "req": true}),
        ),
    ]);
}

fn reasons() -> Value {
    json!({
        "type": "string",
        "enum": ["Fraud", "Abuse", "Billing", "Compliance", "Administrative"],
    })
}

fn authorities() -> Value {
    json!({"type": "string", "enum": ["Operator", "Consumer"]})
}

fn with_req(mut row: Value) -> Value {
    row["req"] = json!(true);
    row
}

#[test]
fn membership_fields() {
    let string = || json!({"type": "string"});
    let object = || json!({"type": "object"});
    assert_fields::<OrganizationMembership>(&[
        ("spec", object()),
        ("spec.organizationRef", with_req(object())),
        ("spec.organizationRef.name", with_req(string())),
        ("spec.roles", list_map()),
        ("spec.roles[].name", with_req(string())),
        ("spec.roles[].namespace", string()),
        ("spec.userRef", with_req(object())),
        ("spec.userRef.name", with_req(string())),
        ("status", object()),
        ("status.appliedRoles", list_map()),
        ("status.appliedRoles[].appliedAt", json!({"type": "string", "format": "date-time"})),
        ("status.appliedRoles[].message", string()),
        ("status.appliedRoles[].name", with_req(string())),
        ("status.appliedRoles[].namespace", string()),
        ("status.appliedRoles[].policyBindingRef", object()),
        ("status.appliedRoles[].policyBindingRef.name", with_req(string())),
        ("status.appliedRoles[].policyBindingRef.namespace", string()),
        (
            "status.appliedRoles[].status",
            json!({"type": "string", "enum": ["Applied", "Pending", "Failed"], "req": true}),
        ),
        ("status.conditions", conditions(&json!([ready()]))),
        ("status.observedGeneration", json!({"type": "integer", "format": "int64"})),
        ("status.organization", object()),
        ("status.organization.contactEmail", string()),
        ("status.organization.displayName", string()),
        ("status.organization.type", string()),
        ("status.user", object()),
        ("status.user.avatarUrl", string()),
        ("status.user.email", string()),
        ("status.user.familyName", string()),
        ("status.user.givenName", string()),
    ]);
}

#[test]
fn suspension_fields() {
    assert_fields::<ProjectSuspension>(&[
        ("spec", json!({"type": "object"})),
        ("spec.description", json!({"type": "string"})),
        ("spec.projectRef", once(json!({"type": "object"}), "projectRef is immutable")),
        ("spec.projectRef.name", json!({"type": "string", "req": true})),
        ("spec.reason", once(reasons(), "reason is immutable")),
        ("spec.reinstateAuthority", once(authorities(), "reinstateAuthority is immutable")),
        ("spec.requestedBy", once(json!({"type": "string"}), "requestedBy is immutable")),
        ("status", json!({"type": "object"})),
        ("status.phase", json!({"type": "string", "enum": ["Active", "Lifted"]})),
    ]);
}

/// One kind's names, scope, columns `name=path (type, priority)` and selectable fields.
fn assert_surface<K: HierarchyKind>(
    names: &str,
    categories: &[&str],
    contexts: Option<&str>,
    columns: &[&str],
    selectable: &[&str],
) {
    let crd = crd::<K>();
    let version = &crd["spec"]["versions"][0];
    let (kind, scope) = names.split_once(' ').unwrap();
    let lower = kind.to_lowercase();
    let mut expected = json!({"kind": kind, "plural": format!("{lower}s"), "singular": lower});
    if !categories.is_empty() {
        expected["categories"] = json!(categories);
    }
    assert_eq!(crd["spec"]["names"], expected);
    assert_eq!(crd["metadata"]["name"], format!("{lower}s.resourcemanager.miloapis.com"));
    assert_eq!(crd["spec"]["group"], "resourcemanager.miloapis.com");
    assert_eq!(crd["spec"]["scope"], scope);
    assert_eq!(crd["spec"]["versions"].as_array().unwrap().len(), 1);
    assert_eq!(version["name"], "v1alpha1");
    assert_eq!((&version["served"], &version["storage"]), (&json!(true), &json!(true)));
    assert_eq!(version["subresources"], json!({"status": {}}));
    let annotation =
        crd["metadata"]["annotations"]["discovery.miloapis.com/parent-contexts"].as_str();
    assert_eq!(annotation, contexts);
    let shown: Vec<String> = ResourceDefinition::of::<K>()
        .unwrap()
        .columns()
        .iter()
        .map(|c| format!("{}={} ({}, {})", c.name(), c.json_path(), c.kind(), c.priority()))
        .collect();
    assert_eq!(shown, columns);
    let paths: Vec<_> = version["selectableFields"].as_array().into_iter().flatten().collect();
    let paths: Vec<_> = paths.iter().map(|field| field["jsonPath"].as_str().unwrap()).collect();
    assert_eq!(paths, selectable);
}

const READY: &str = "Ready=.status.conditions[?(@.type=='Ready')].status (string, 0)";
const AGE: &str = "Age=.metadata.creationTimestamp (date, 0)";

#[test]
fn names_columns_and_selectable_fields() {
    assert_surface::<Organization>(
        "Organization Cluster",
        &["datum"],
        Some("Platform"),
        &[
            r"Display Name=.metadata.annotations.kubernetes\.io\/display-name (string, 0)",
            "Type=.spec.type (string, 0)",
            "Onboarding=.status.conditions[?(@.type=='OnboardingComplete')].status (string, 0)",
            READY,
            AGE,
        ],
        &[],
    );
    assert_surface::<Project>("Project Cluster", &[], Some("Organization"), &[READY, AGE], &[]);
    assert_surface::<OrganizationMembership>(
        "OrganizationMembership Namespaced",
        &[],
        Some("Organization,User"),
        &[
            "Organization=.spec.organizationRef.name (string, 0)",
            "Organization Display Name=.status.organization.displayName (string, 0)",
            "User=.spec.userRef.name (string, 0)",
            "User Email=.status.user.email (string, 1)",
            "User Given Name=.status.user.givenName (string, 1)",
            "User Family Name=.status.user.familyName (string, 1)",
            READY,
            AGE,
        ],
        &[".spec.userRef.name", ".spec.organizationRef.name"],
    );
    assert_surface::<ProjectSuspension>(
        "ProjectSuspension Cluster",
        &[],
        None,
        &[
            "Project=.spec.projectRef.name (string, 0)",
            "Reason=.spec.reason (string, 0)",
            "Phase=.status.phase (string, 0)",
            AGE,
        ],
        &[".spec.projectRef.name"],
    );
}

#[test]
fn snapshots() {
    insta::assert_json_snapshot!("organization", crd::<Organization>());
    insta::assert_json_snapshot!("project", crd::<Project>());
    insta::assert_json_snapshot!("organization_membership", crd::<OrganizationMembership>());
    insta::assert_json_snapshot!("project_suspension", crd::<ProjectSuspension>());
}

/// What Kubernetes refuses in a structural schema, or controller-gen never prints.
#[test]
fn schemas_are_structural_and_plain() {
    let forbidden = [
        "$ref",
        "$schema",
        "anyOf",
        "oneOf",
        "allOf",
        "not",
        "nullable",
        "title",
        "const",
        "additionalProperties",
        "definitions",
    ];
    for schema in [
        schema::<Organization>(),
        schema::<Project>(),
        schema::<OrganizationMembership>(),
        schema::<ProjectSuspension>(),
    ] {
        visit(&schema, &mut |node| {
            assert!(node["type"].is_string(), "{node}");
            for key in forbidden {
                assert!(node.get(key).is_none(), "{key} in {node}");
            }
            let format = node["format"].as_str();
            assert!([None, Some("int64"), Some("date-time")].contains(&format), "{node}");
            let values = node["enum"].as_array().into_iter().flatten();
            assert!(values.into_iter().all(Value::is_string), "{node}");
        });
        for name in ["apiVersion", "kind", "metadata"] {
            let description = schema["properties"][name]["description"].as_str().unwrap();
            assert!(description.contains("api-conventions.md"));
        }
    }
}

/// What `kubectl explain` says is about the field, not about its type.
#[test]
fn fields_describe_themselves() {
    let described = |schema: &Value, path: &str| field(schema, path)["description"].clone();
    let organization = schema::<Organization>();
    assert_eq!(
        described(&organization, "spec.contactInfo.address"),
        "The postal address, as on invoices."
    );
    let suspension = schema::<ProjectSuspension>();
    assert_eq!(
        described(&suspension, "status.phase"),
        "Whether the suspension is in force. It is when the phase is absent, too."
    );
}

/// Calls `check` with a schema and every schema inside it.
fn visit(schema: &Value, check: &mut impl FnMut(&Value)) {
    check(schema);
    for field in schema["properties"].as_object().into_iter().flat_map(|fields| fields.values()) {
        visit(field, check);
    }
    if let Some(items) = schema.get("items") {
        visit(items, check);
    }
}

#[test]
fn conditions_are_the_standard_ones() {
    let schema = schema::<Organization>();
    let mut item = field(&schema, "status.conditions[]").clone();
    assert_eq!(
        item["required"],
        json!(["lastTransitionTime", "message", "reason", "status", "type"])
    );
    let fields = item["properties"].as_object_mut().unwrap();
    for field in fields.values_mut() {
        assert!(field.as_object_mut().unwrap().remove("description").is_some());
    }
    assert_eq!(
        item["properties"],
        json!({
            "lastTransitionTime": {"type": "string", "format": "date-time"},
            "message": {"type": "string", "maxLength": 32768},
            "observedGeneration": {"type": "integer", "format": "int64", "minimum": 0},
            "reason": {
                "type": "string", "minLength": 1, "maxLength": 1024,
                "pattern": r"^[A-Za-z]([A-Za-z0-9_,:]*[A-Za-z0-9_])?$",
            },
            "status": {"type": "string", "enum": ["True", "False", "Unknown"]},
            "type": {
                "type": "string", "maxLength": 316,
                "pattern": r"^([a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*/)?(([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9])$",
            },
        })
    );
}

fn round_trip<T: Serialize + DeserializeOwned>(object: &Value) -> Value {
    let typed: T = serde_json::from_value(object.clone()).unwrap();
    serde_json::to_value(typed).unwrap()
}

fn object(kind: &str, spec: Value, status: Value) -> Value {
    let mut object = json!({
        "apiVersion": "resourcemanager.miloapis.com/v1alpha1",
        "kind": kind,
        "metadata": {"name": "x", "annotations": {"a": "b"}},
    });
    for (key, value) in [("spec", spec), ("status", status)] {
        if !value.is_null() {
            object[key] = value;
        }
    }
    object
}

#[test]
fn full_objects_round_trip() {
    let organization = object(
        "Organization",
        json!({
            "type": "Standard",
            "contactInfo": {
                "name": "Ada", "email": "ada@example.com", "businessName": "Acme",
                "address": {
                    "country": "DE", "city": "Berlin", "line1": "1", "line2": "2",
                    "postalCode": "10115", "region": "BE",
                },
            },
        }),
        json!({"conditions": [ready()], "observedGeneration": 3}),
    );
    assert_eq!(round_trip::<Organization>(&organization), organization);
    let project = object(
        "Project",
        json!({"ownerRef": {"kind": "Organization", "name": "acme"}}),
        json!({
            "conditions": [ready()],
            "suspensions": [{
                "reason": "Billing", "reinstateAuthority": "Consumer",
                "suspendedAt": "2026-01-02T03:04:05Z",
            }],
        }),
    );
    assert_eq!(round_trip::<Project>(&project), project);
    let membership = object(
        "OrganizationMembership",
        json!({
            "organizationRef": {"name": "acme"},
            "roles": [{"name": "owner", "namespace": "milo-system"}, {"name": "viewer"}],
            "userRef": {"name": "u-1"},
        }),
        json!({
            "appliedRoles": [{
                "name": "owner", "namespace": "milo-system", "status": "Failed", "message": "no",
                "appliedAt": "2026-01-02T03:04:05Z",
                "policyBindingRef": {"name": "b", "namespace": "n"},
            }],
            "conditions": [ready()],
            "observedGeneration": 1,
            "organization": {"contactEmail": "a@b", "displayName": "Acme", "type": "Standard"},
            "user": {"avatarUrl": "u", "email": "e", "familyName": "f", "givenName": "g"},
        }),
    );
    assert_eq!(round_trip::<OrganizationMembership>(&membership), membership);
    let suspension = object(
        "ProjectSuspension",
        json!({
            "description": "unpaid", "projectRef": {"name": "p"}, "reason": "Billing",
            "reinstateAuthority": "Operator", "requestedBy": "ops",
        }),
        json!({"phase": "Active"}),
    );
    assert_eq!(round_trip::<ProjectSuspension>(&suspension), suspension);
}

/// Without a spec, an object reads as one with the default spec; what is written is stable.
#[test]
fn objects_without_spec_and_status_are_readable() {
    fn default_spec<T: Serialize + DeserializeOwned>(kind: &str) -> Value {
        let bare = object(kind, Value::Null, Value::Null);
        let mut written = round_trip::<T>(&bare);
        assert_eq!(round_trip::<T>(&written), written);
        let mut null = bare.clone();
        null["spec"] = Value::Null;
        assert_eq!(round_trip::<T>(&null), written);
        let spec = written.as_object_mut().unwrap().remove("spec").unwrap();
        assert_eq!(written, bare, "nothing but the spec is added");
        spec
    }
    assert_eq!(default_spec::<Organization>("Organization"), json!({}));
    assert_eq!(
        default_spec::<OrganizationMembership>("OrganizationMembership"),
        json!({"organizationRef": {"name": ""}, "userRef": {"name": ""}})
    );
    assert_eq!(
        default_spec::<ProjectSuspension>("ProjectSuspension"),
        json!({
            "projectRef": {"name": ""}, "reason": "", "reinstateAuthority": "", "requestedBy": "",
        })
    );
    let project = object("Project", Value::Null, Value::Null);
    let error = serde_json::from_value::<Project>(project).unwrap_err();
    assert!(error.to_string().contains("missing field `spec`"), "{error}");
}

#[test]
fn a_spec_that_is_present_must_be_right() {
    let membership = object("OrganizationMembership", json!({}), Value::Null);
    assert!(serde_json::from_value::<OrganizationMembership>(membership).is_err());
    let organization = object("Organization", json!({"type": "Team"}), Value::Null);
    assert!(serde_json::from_value::<Organization>(organization).is_err());
}

#[test]
fn objects_are_built_in_rust() {
    let contact =
        ContactInfo { name: "Ada".into(), email: "a@b.c".into(), ..ContactInfo::default() };
    let organization = Organization::new(
        "acme",
        OrganizationSpec { contact_info: Some(contact), ..OrganizationSpec::default() },
    );
    assert!(organization.metadata.annotations.is_none());
    let json = serde_json::to_value(&organization).unwrap();
    assert_eq!(json["spec"], json!({"contactInfo": {"name": "Ada", "email": "a@b.c"}}));
    assert_eq!(serde_json::from_value::<Organization>(json).unwrap(), organization);
    let project = Project::new("p", ProjectSpec { owner_ref: ProjectOwner::organization("acme") });
    let json = serde_json::to_value(&project).unwrap();
    assert_eq!(json["spec"]["ownerRef"], json!({"kind": "Organization", "name": "acme"}));
    assert_eq!(ProjectSuspension::default().spec.reason, SuspensionReason::Unspecified);
}

/// Every column finds its value in a full object.
#[test]
fn columns_find_their_values() {
    let conditions = json!([
        condition("OnboardingComplete", "False", "r", ""),
        condition("Ready", "True", "r", ""),
    ]);
    let object = json!({
        "metadata": {
            "creationTimestamp": "2026-01-01T00:00:00Z",
            "annotations": {"kubernetes.io/display-name": "Acme Inc."},
        },
        "spec": {
            "type": "Standard",
            "organizationRef": {"name": "acme"},
            "userRef": {"name": "u-1"},
            "projectRef": {"name": "p"},
            "reason": "Fraud",
        },
        "status": {
            "conditions": conditions,
            "phase": "Active",
            "organization": {"displayName": "Acme Inc."},
            "user": {"email": "e", "givenName": "g", "familyName": "f"},
        },
    });
    let cells = |definition: ResourceDefinition| -> Vec<String> {
        let cell = |column: &milo_core::definition::Column| {
            let found = column.json_path().first(&object);
            found.and_then(Value::as_str).unwrap_or_default().to_owned()
        };
        definition.columns().iter().map(cell).collect()
    };
    let age = "2026-01-01T00:00:00Z";
    assert_eq!(
        cells(ResourceDefinition::of::<Organization>().unwrap()),
        ["Acme Inc.", "Standard", "False", "True", age]
    );
    assert_eq!(cells(ResourceDefinition::of::<Project>().unwrap()), ["True", age]);
    assert_eq!(
        cells(ResourceDefinition::of::<OrganizationMembership>().unwrap()),
        ["acme", "Acme Inc.", "u-1", "e", "g", "f", "True", age]
    );
    let suspension = ResourceDefinition::of::<ProjectSuspension>().unwrap();
    let field = &suspension.selectable_fields()[0];
    assert_eq!(field.value(object.as_object().unwrap()), "p");
    assert_eq!(cells(suspension), ["p", "Fraud", "Active", age]);
}
