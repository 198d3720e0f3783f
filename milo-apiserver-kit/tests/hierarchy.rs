//! What keeps tenants apart: whose projects and memberships are whose, also when names are used
//! again.

#![expect(clippy::unwrap_used, reason = "helpers of tests say what they expect by unwrapping")]

mod support;

use std::sync::Arc;

use milo_core::{
    key::{GroupResource, Key},
    resourcemanager::{GROUP, labels},
    scope::Scope,
    storage::{Memory, Storage, Transaction},
};
use serde_json::{Value, json};
use support::{Wire, names, version};

const UID: &str = labels::ORGANIZATION_UID;
const NAME: &str = labels::ORGANIZATION_NAME;

/// A resource in the control plane of an organization.
fn within(organization: &str, resource: &str) -> String {
    format!("/organizations/{organization}/control-plane{}/{resource}", support::GROUP)
}

fn project(name: &str, owner: &str) -> Value {
    json!({"metadata": {"name": name}, "spec": {"ownerRef": {"kind": "Organization", "name": owner}}})
}

/// Whether a project can be entered.
async fn enterable(wire: &Wire, name: &str) -> bool {
    let answer = wire.get(&format!("/projects/{name}/control-plane/apis")).await;
    assert!(matches!(answer.code, 200 | 404), "{}", answer.text());
    answer.code == 200
}

/// Removes an organization behind the server's back, whatever it still has.
async fn remove(storage: &Memory, name: &str) {
    let organizations = GroupResource::new(GROUP, "organizations");
    let key = Key::object(&organizations, &Scope::Platform, "", name).unwrap();
    storage.commit(Transaction::new().delete(key)).await.unwrap();
}

#[tokio::test]
async fn a_name_that_is_used_again_brings_no_projects() {
    let storage = Arc::new(Memory::new());
    let wire = Wire::on(storage.clone()).await;
    wire.organization("acme").await;
    let projects = within("acme", "projects");
    let old = wire.post(&projects, &project("secret", "acme")).await.created();
    assert!(enterable(&wire, "secret").await);
    let mut before = wire.watch(&format!("{projects}?watch=true&resourceVersion=0")).await;
    assert_eq!(before.expect("ADDED").await["metadata"]["name"], "secret");

    remove(&storage, "acme").await;
    assert!(!enterable(&wire, "secret").await, "its organization is gone");
    let acme = wire.organization("acme").await;
    assert!(!enterable(&wire, "secret").await, "another organization has the name");

    assert_eq!(names(&wire.get(&projects).await.ok()), [""; 0], "list");
    let selected = format!("{projects}?fieldSelector=metadata.name%3Dsecret");
    assert_eq!(names(&wire.get(&selected).await.ok()), [""; 0], "list of one");
    let one = within("acme", "projects/secret");
    let missing = "projects.resourcemanager.miloapis.com \"secret\" not found";
    wire.get(&one).await.refused("get", 404, "NotFound", missing);
    wire.put(&one, &old).await.refused("update", 404, "NotFound", missing);
    let claim = json!({"metadata": {"labels": {UID: acme["metadata"]["uid"]}}});
    wire.merge(&one, &claim).await.refused("patch", 404, "NotFound", missing);
    wire.delete(&one).await.refused("delete", 404, "NotFound", missing);
    assert_eq!(names(&wire.delete(&projects).await.ok()), [""; 0], "deletecollection");

    // Watches tell each organization of its own projects only: of what was there, and of what comes.
    let mut after = wire.watch(&format!("{projects}?watch=true&resourceVersion=0")).await;
    let mut since =
        wire.watch(&format!("{projects}?watch=true&resourceVersion={}", version(&old))).await;
    wire.merge("projects/secret", &json!({"metadata": {"annotations": {"x": "y"}}})).await.ok();
    assert_eq!(before.expect("MODIFIED").await["metadata"]["name"], "secret");
    wire.post(&projects, &project("fresh", "acme")).await.created();
    for events in [&mut after, &mut since] {
        assert_eq!(events.expect("ADDED").await["metadata"]["name"], "fresh");
    }
    wire.delete("projects/secret").await.ok();
    assert_eq!(before.expect("DELETED").await["metadata"]["name"], "secret", "and not fresh");
    assert!(enterable(&wire, "fresh").await);
}

#[tokio::test]
async fn a_project_keeps_its_organization() {
    let wire = Wire::start().await;
    let acme = wire.organization("acme").await;
    let beta = wire.organization("beta").await;
    let mut sent = project("p", "beta");
    sent["metadata"]["labels"] = json!({UID: beta["metadata"]["uid"], NAME: "beta"});
    let made = wire.post(&within("acme", "projects"), &sent).await.created();
    let uid = &acme["metadata"]["uid"];
    assert_eq!(made["metadata"]["labels"], json!({UID: uid, NAME: "acme"}));
    assert_eq!(made["metadata"]["ownerReferences"][0]["uid"], *uid);
    assert_eq!(made["spec"]["ownerRef"]["name"], "acme");
    sent["metadata"] = json!({"name": "bare", "labels": null});
    let bare = wire.post("projects", &sent).await.created();
    assert_eq!(bare["metadata"]["labels"][UID], beta["metadata"]["uid"]);

    for (path, key) in [("projects/p".to_owned(), UID), (within("acme", "projects/p"), NAME)] {
        for (value, why) in [(json!("other"), "changed"), (Value::Null, "removed")] {
            let text = format!(
                "Project.resourcemanager.miloapis.com \"p\" is invalid: metadata.labels[{key}]: Forbidden: cannot be {why}"
            );
            let patch = json!({"metadata": {"labels": {key: value}}});
            wire.merge(&path, &patch).await.refused(key, 422, "Invalid", &text);
        }
    }
    let text = "Project.resourcemanager.miloapis.com \"p\" is invalid: spec.ownerRef.name: Invalid value: \"beta\": field is immutable";
    let patch = json!({"spec": {"ownerRef": {"name": "beta"}}});
    wire.merge("projects/p", &patch).await.refused("owner", 422, "Invalid", text);
}
