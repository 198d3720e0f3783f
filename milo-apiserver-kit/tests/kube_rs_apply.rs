//! Server-side apply as kube-rs does it: managers that share an object, conflicts, what is no
//! longer applied, the status, metadata alone.

mod kube_support;

use std::collections::BTreeMap;

use kube::{
    Api, ResourceExt as _,
    api::{ObjectMeta, Patch, PatchParams},
    core::{PartialObjectMeta, PartialObjectMetaExt as _},
};
use kube_support::{label, refused, start};
use milo_core::resourcemanager::Organization;
use serde_json::{Value, json};

fn by(manager: &str) -> PatchParams {
    PatchParams::apply(manager)
}

/// What a manager wants of the organization `a`.
fn wanted(more: &Value) -> Patch<Value> {
    let mut object = json!({
        "apiVersion": "resourcemanager.miloapis.com/v1alpha1",
        "kind": "Organization",
        "metadata": {"name": "a"},
    });
    json_patch::merge(&mut object, more);
    Patch::Apply(object)
}

fn labels(of: &[(&str, &str)]) -> Patch<Value> {
    let labels: BTreeMap<_, _> = of.iter().copied().collect();
    wanted(&json!({"metadata": {"labels": labels}}))
}

/// Who owns something of an object, and how: `one Apply`, or `one Apply status`.
fn owners(object: &Organization) -> Vec<String> {
    let entries = object.metadata.managed_fields.iter().flatten();
    let mut owners: Vec<String> = entries
        .map(|entry| {
            let parts = [&entry.manager, &entry.operation, &entry.subresource];
            let parts: Vec<&str> = parts.into_iter().flatten().map(String::as_str).collect();
            parts.join(" ")
        })
        .collect();
    // They come in the order of the seconds in which they last changed something.
    owners.sort();
    owners
}

fn owned_by<'a>(object: &'a Organization, manager: &str) -> &'a Value {
    let mut entries = object.metadata.managed_fields.iter().flatten();
    let entry = entries.find(|entry| entry.manager.as_deref() == Some(manager)).expect("an owner");
    &entry.fields_v1.as_ref().expect("fields").0
}

#[tokio::test]
async fn applying_creates_changes_and_leaves_alone() {
    let (_server, api) = start().await;
    let first = wanted(&json!({"spec": {"type": "Standard"}}));
    let created = api.patch("a", &by("one"), &first).await.unwrap();
    assert_eq!(
        (created.metadata.generation, owners(&created)),
        (Some(1), vec!["one Apply".into()])
    );
    assert_eq!(*owned_by(&created, "one"), json!({"f:spec": {"f:type": {}}}));
    // The same again changes nothing, not even the time.
    assert_eq!(api.patch("a", &by("one"), &first).await.unwrap(), created);
    let more = wanted(&json!({"spec": {
        "type": "Standard",
        "contactInfo": {"name": "Ada", "email": "ada@example.com"},
    }}));
    let dry = api.patch("a", &by("one").dry_run(), &more).await.unwrap();
    assert_eq!(dry.spec.contact_info.unwrap().name, "Ada");
    assert_eq!(api.get("a").await.unwrap(), created);
    let changed = api.patch("a", &by("one"), &more).await.unwrap();
    assert_eq!(changed.metadata.generation, Some(2));
    // A typed object can be applied as it is.
    let mut typed = Organization::new("b", changed.spec);
    typed.metadata.labels = Some(BTreeMap::from([("x".into(), "1".into())]));
    let typed = api.patch("b", &by("one"), &Patch::Apply(&typed)).await.unwrap();
    assert_eq!((typed.labels()["x"].as_str(), owners(&typed)), ("1", vec!["one Apply".into()]));
}

#[tokio::test]
async fn whoever_disagrees_is_told_and_may_insist() {
    let (_server, api) = start().await;
    api.patch("a", &by("one"), &labels(&[("tier", "gold"), ("size", "large")])).await.unwrap();
    let conflict = api.patch("a", &by("two"), &labels(&[("tier", "silver")])).await;
    let Err(kube::Error::Api(status)) = &conflict else { panic!("{conflict:?}") };
    assert_eq!(
        status.message,
        "Apply failed with 1 conflict: conflict with \"one\": .metadata.labels.tier"
    );
    let causes = &status.details.as_ref().unwrap().causes;
    let cause = (causes[0].reason.as_str(), causes[0].message.as_str(), causes[0].field.as_str());
    assert_eq!(cause, ("FieldManagerConflict", "conflict with \"one\"", ".metadata.labels.tier"));
    refused(conflict, 409, "Conflict");
    let forced = api.patch("a", &by("two").force(), &labels(&[("tier", "silver")])).await.unwrap();
    assert_eq!(
        (forced.labels()["tier"].as_str(), forced.labels()["size"].as_str()),
        ("silver", "large")
    );
    assert_eq!(*owned_by(&forced, "one"), json!({"f:metadata": {"f:labels": {"f:size": {}}}}));
    assert_eq!(*owned_by(&forced, "two"), json!({"f:metadata": {"f:labels": {"f:tier": {}}}}));
    // Who does not apply owns what they change as well.
    label(&api, "a", "theirs").await;
    let conflict =
        api.patch("a", &by("one"), &labels(&[("size", "large"), ("mark", "mine")])).await;
    refused(conflict, 409, "Conflict");
}

#[tokio::test]
async fn whoever_agrees_owns_it_too() {
    let (_server, api) = start().await;
    let both = labels(&[("tier", "gold")]);
    api.patch("a", &by("one"), &both).await.unwrap();
    let shared = api.patch("a", &by("two"), &both).await.unwrap();
    assert_eq!(owners(&shared), ["one Apply", "two Apply"]);
    // It goes when the last one who wanted it no longer does.
    let none = wanted(&json!({}));
    let left = api.patch("a", &by("one"), &none).await.unwrap();
    assert_eq!((left.labels()["tier"].as_str(), owners(&left).len()), ("gold", 1));
    let gone = api.patch("a", &by("two"), &none).await.unwrap();
    assert!(gone.labels().is_empty(), "{gone:?}");
}

#[tokio::test]
async fn what_is_no_longer_applied_goes_away() {
    let (_server, api) = start().await;
    let contact = |contact: Value| wanted(&json!({"spec": {"contactInfo": contact}}));
    let all = json!({"name": "Ada", "email": "ada@example.com", "businessName": "Acme"});
    api.patch("a", &by("one"), &contact(all)).await.unwrap();
    // What others put there is not ours to remove.
    label(&api, "a", "theirs").await;
    let less = contact(json!({"name": "Ada", "email": "ada@example.com"}));
    let applied = api.patch("a", &by("one"), &less).await.unwrap();
    assert_eq!(applied.spec.contact_info.as_ref().unwrap().business_name, None);
    assert_eq!(applied.labels()["mark"], "theirs");
    let applied = api.patch("a", &by("one"), &wanted(&json!({}))).await.unwrap();
    assert_eq!(applied.spec.contact_info, None);
    assert_eq!(applied.labels()["mark"], "theirs");
}

#[tokio::test]
async fn the_status_is_applied_apart() {
    let (_server, api) = start().await;
    api.patch("a", &by("owner"), &wanted(&json!({"spec": {"type": "Standard"}}))).await.unwrap();
    let ready = |status: &str| {
        wanted(&json!({"status": {"observedGeneration": 1, "conditions": [{
            "type": "Ready",
            "status": status,
            "reason": "Checked",
            "message": "",
            "lastTransitionTime": "2026-01-02T03:04:05Z",
        }]}}))
    };
    let applied = api.patch_status("a", &by("controller"), &ready("True")).await.unwrap();
    assert_eq!(owners(&applied), ["controller Apply status", "owner Apply"]);
    assert_eq!(applied.metadata.generation, Some(1));
    assert_eq!(api.patch_status("a", &by("controller"), &ready("True")).await.unwrap(), applied);
    refused(api.patch_status("a", &by("other"), &ready("False")).await, 409, "Conflict");
    let fields = owned_by(&applied, "controller");
    // The list of conditions is one value for this kind.
    assert_eq!(*fields, json!({"f:status": {"f:conditions": {}, "f:observedGeneration": {}}}));
}

#[tokio::test]
async fn metadata_alone_is_applied() {
    let (server, api) = start().await;
    kube_support::create(&api, "a").await;
    let metadata: Api<PartialObjectMeta<Organization>> = Api::all(server.client().unwrap());
    let labels = Some(BTreeMap::from([("tier".to_owned(), "gold".to_owned())]));
    let change = ObjectMeta { labels, ..ObjectMeta::default() };
    let change = change.into_request_partial::<Organization>();
    let applied = metadata.patch("a", &by("one"), &Patch::Apply(&change)).await.unwrap();
    assert_eq!(applied.labels()["tier"], "gold");
    let whole = api.get("a").await.unwrap();
    assert_eq!(*owned_by(&whole, "one"), json!({"f:metadata": {"f:labels": {"f:tier": {}}}}));
    assert!(whole.spec.type_.is_some());
}
