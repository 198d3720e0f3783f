//! The kinds of `iam.miloapis.com`, against the tables of the specification: their published form
//! as snapshots, and every rule that the schemas hold.

#![expect(clippy::unwrap_used, reason = "tests say what they expect by unwrapping")]

use milo_core::{definition::ResourceDefinition, object::Object};
use milo_iam::kinds::{
    PolicyBinding, Role, User, UserPreference, custom_resource_definitions, definitions,
};
use serde_json::{Value, json};

#[test]
fn snapshots() {
    for crd in custom_resource_definitions() {
        insta::assert_json_snapshot!(crd.spec.names.plural.clone(), crd);
    }
}

fn definition(kind: &str) -> ResourceDefinition {
    definitions().unwrap().into_iter().find(|found| found.kind() == kind).unwrap()
}

fn object(kind: &str, spec: &Value) -> Object {
    let mut object = json!({
        "apiVersion": "iam.miloapis.com/v1alpha1", "kind": kind,
        "metadata": {"name": "x", "uid": "u-1"},
    });
    if !spec.is_null() {
        object["spec"] = spec.clone();
    }
    Object::from_value(object).unwrap()
}

/// What validation says about a spec, or about the change from one to another.
fn errors(kind: &str, old: Option<&Value>, new: &Value) -> Vec<String> {
    let definition = definition(kind);
    let old = old.map(|old| object(kind, old));
    let errors = definition.schema().validate(&object(kind, new), old.as_ref());
    errors.iter().map(ToString::to_string).collect()
}

/// A change that must be refused with an error that holds `text`, and only with that one.
fn refused(kind: &str, old: &Value, new: &Value, text: &str) {
    let found = errors(kind, Some(old), new);
    assert!(found.len() == 1 && found[0].contains(text), "{kind}: {found:?}, not {text:?}");
}

/// Beside the value itself, Kubernetes says that rules were not checked because of it.
fn unsupported(errors: &[String]) {
    assert!(errors[0].contains("Unsupported value"), "{errors:?}");
}

/// The spec with one field set, or taken away.
fn with(spec: &Value, field: &str, value: Value) -> Value {
    let mut spec = spec.clone();
    if value.is_null() {
        spec.as_object_mut().unwrap().remove(field);
    } else {
        spec[field] = value;
    }
    spec
}

fn binding() -> Value {
    json!({
        "resourceSelector": {"resourceKind": {"apiGroup": "g.io", "kind": "Thing"}},
        "roleRef": {"name": "viewer", "namespace": "milo-system"},
        "subjects": [{"kind": "User", "name": "ada", "uid": "1"}],
    })
}

#[test]
fn bindings_change_nothing_but_their_subjects() {
    let old = binding();
    assert_eq!(errors("PolicyBinding", None, &old), [""; 0]);
    let group = json!([{"kind": "Group", "name": "system:authenticated"}]);
    assert_eq!(errors("PolicyBinding", Some(&old), &with(&old, "subjects", group)), [""; 0]);
    refused(
        "PolicyBinding",
        &old,
        &with(&old, "roleRef", json!({"name": "owner", "namespace": "milo-system"})),
        "spec.roleRef: Invalid value: \"object\": RoleRef is immutable and cannot be changed after \
         creation",
    );
    refused(
        "PolicyBinding",
        &old,
        &with(&old, "resourceSelector", json!({"resourceKind": {"kind": "Thing"}})),
        "ResourceSelector is immutable and cannot be changed after creation",
    );
    refused("PolicyBinding", &old, &Value::Null, "spec cannot be removed");
}

#[test]
fn bindings_name_one_target_and_pinned_subjects() {
    let reference = json!({"apiGroup": "g.io", "kind": "Thing", "name": "a", "uid": "1"});
    let one = "exactly one of resourceRef or resourceKind must be specified, but not both";
    for selector in
        [json!({}), json!({"resourceKind": {"kind": "Thing"}, "resourceRef": reference})]
    {
        let found = errors("PolicyBinding", None, &with(&binding(), "resourceSelector", selector));
        assert!(found.len() == 1 && found[0].contains(one), "{found:?}");
    }
    for subjects in [
        json!([{"kind": "User", "name": "ada"}]),
        json!([{"kind": "User", "name": "system:authenticated"}]),
        json!([{"kind": "Group", "name": "staff", "uid": ""}]),
    ] {
        let found = errors("PolicyBinding", None, &with(&binding(), "subjects", subjects));
        assert!(found.len() == 1 && found[0].contains("UID is required"), "{found:?}");
    }
    let none = errors("PolicyBinding", None, &with(&binding(), "subjects", json!([])));
    assert_eq!(none.len(), 1, "{none:?}");
    let robot = json!([{"kind": "Robot", "name": "r", "uid": "1"}]);
    unsupported(&errors("PolicyBinding", None, &with(&binding(), "subjects", robot)));
}

#[test]
fn optional_fields_of_an_invitation_can_neither_go_nor_come_back() {
    let old = json!({
        "email": "a@b.c", "organizationRef": {"name": "acme"}, "roles": [{"name": "viewer"}],
        "state": "Pending", "invitedBy": {"name": "ada"}, "givenName": "Ada",
        "expirationDate": "2026-01-01T00:00:00Z",
    });
    let kind = "UserInvitation";
    assert_eq!(errors(kind, None, &old), [""; 0]);
    refused(kind, &old, &with(&old, "email", json!("x@y.z")), "email type is immutable");
    refused(
        kind,
        &old,
        &with(&old, "organizationRef", json!({"name": "evil"})),
        "organizationRef type is immutable",
    );
    refused(
        kind,
        &old,
        &with(&old, "roles", json!([{"name": "owner"}])),
        "roles type is immutable",
    );
    for (field, other) in [
        ("expirationDate", json!("2027-01-01T00:00:00Z")),
        ("invitedBy", json!({"name": "eve"})),
        ("givenName", json!("Eve")),
    ] {
        let text = format!("{field} type is immutable");
        refused(kind, &old, &with(&old, field, other), &text);
        let without = with(&old, field, Value::Null);
        refused(kind, &old, &without, &text);
        refused(kind, &without, &old, &text);
    }
    refused(kind, &old, &Value::Null, "spec cannot be removed");
}

#[test]
fn an_invitation_is_answered_once() {
    let pending = json!({
        "email": "a@b.c", "organizationRef": {"name": "acme"}, "roles": [{"name": "viewer"}],
        "state": "Pending",
    });
    let state = |state: &str| with(&pending, "state", json!(state));
    let kind = "UserInvitation";
    assert_eq!(errors(kind, Some(&pending), &state("Accepted")), [""; 0]);
    assert_eq!(errors(kind, Some(&pending), &state("Declined")), [""; 0]);
    assert_eq!(errors(kind, Some(&state("Accepted")), &state("Accepted")), [""; 0]);
    for (from, to) in [("Accepted", "Pending"), ("Declined", "Accepted")] {
        refused(kind, &state(from), &state(to), "state can only transition from Pending");
    }
    unsupported(&errors(kind, None, &state("Maybe")));
    let roles: Vec<Value> = (0..101).map(|n| json!({"name": format!("r{n}")})).collect();
    assert!(errors(kind, None, &with(&pending, "roles", json!(roles)))[0].contains("Too many"));
    assert_eq!(errors(kind, None, &with(&pending, "roles", json!([]))).len(), 1);
}

#[test]
fn platform_access_keeps_its_user() {
    let old = json!({"state": "Pending", "userRef": {"name": "ada"}});
    let kind = "PlatformAccess";
    assert_eq!(errors(kind, Some(&old), &with(&old, "state", json!("Approved"))), [""; 0]);
    refused(kind, &old, &with(&old, "userRef", json!({"name": "eve"})), "userRef is immutable");
    unsupported(&errors(kind, None, &with(&old, "state", json!("Sure"))));
}

#[test]
fn approvals_and_rejections_cannot_be_changed() {
    let approval = json!({"subjectRef": {"email": "a@b.c"}});
    let kind = "PlatformAccessApproval";
    assert_eq!(errors(kind, Some(&approval), &approval), [""; 0]);
    let other = json!({"subjectRef": {"userRef": {"name": "ada"}}});
    refused(kind, &approval, &other, "spec is immutable");
    for subject in [json!({}), json!({"email": "a@b.c", "userRef": {"name": "ada"}})] {
        let found = errors(kind, None, &json!({"subjectRef": subject}));
        assert!(
            found[0].contains("Exactly one of email or userRef must be specified"),
            "{found:?}"
        );
    }
    let rejection = json!({"reason": "spam", "subjectRef": {"name": "ada"}});
    let changed = with(&rejection, "reason", json!("fun"));
    refused("PlatformAccessRejection", &rejection, &changed, "spec is immutable");
}

#[test]
fn platform_invitations_keep_address_and_inviter() {
    let old = json!({"email": "a@b.c", "invitedBy": {"name": "ada"}});
    let kind = "PlatformInvitation";
    let named = with(&old, "givenName", json!("Ada"));
    assert_eq!(errors(kind, Some(&old), &named), [""; 0]);
    refused(kind, &old, &with(&old, "email", json!("x@y.z")), "email type is immutable");
    refused(kind, &old, &with(&old, "invitedBy", Value::Null), "invitedBy type is immutable");
}

#[test]
fn defaults() {
    let filled = |kind: &str, object: Value| {
        let mut object = Object::from_value(object).unwrap();
        definition(kind).schema().apply_defaults(&mut object);
        object.into_value()
    };
    let bare = |spec: Value| json!({"metadata": {"name": "x"}, "spec": spec});
    assert_eq!(filled("ServiceAccount", bare(json!({})))["spec"]["state"], "Active");
    assert_eq!(filled("UserPreference", bare(json!({})))["spec"]["theme"], "system");
    assert_eq!(filled("PlatformAccess", bare(json!({})))["spec"]["state"], "Pending");
    assert_eq!(filled("Role", bare(json!({})))["status"]["conditions"][0]["type"], "Ready");
    let user = filled("User", json!({"metadata": {}, "status": {}}));
    assert_eq!(user["status"]["state"], "Active");
    assert_eq!(user["status"]["conditions"][0]["status"], "Unknown");
}

#[test]
fn objects_without_spec_are_readable() {
    let bare = json!({"metadata": {"name": "x"}});
    let binding: PolicyBinding = serde_json::from_value(bare.clone()).unwrap();
    assert!(binding.spec.subjects.is_empty());
    assert_eq!(serde_json::from_value::<User>(bare.clone()).unwrap().spec.email, "");
    assert_eq!(serde_json::from_value::<UserPreference>(bare.clone()).unwrap().spec.theme, None);
    assert!(serde_json::from_value::<Role>(bare).unwrap().spec.included_permissions.is_empty());
}
