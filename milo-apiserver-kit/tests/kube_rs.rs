//! What kube-rs asks of a server: typed calls, pages, metadata alone, discovery.

mod kube_support;

use std::collections::BTreeMap;

use futures_util::{StreamExt as _, TryStreamExt as _, pin_mut};
use kube::{
    Api, Client, Discovery, ResourceExt as _,
    api::{
        DeleteParams, ListParams, ObjectMeta, Patch, PatchParams, PostParams, Preconditions,
        PropagationPolicy, WatchEvent, WatchParams,
    },
    core::{GroupVersionKind, PartialObjectMeta, PartialObjectMetaExt as _},
    runtime::watcher::{self, Event, watcher},
};
use kube_support::{create, label, labels, names, organization, refused, soon, start};
use milo_core::{conditions, resourcemanager::Organization};
use serde_json::json;

#[tokio::test]
async fn objects_are_written_and_read() {
    let (_server, api) = start().await;
    let created = create(&api, "a").await;
    assert_eq!((created.metadata.generation, created.uid().is_some()), (Some(1), true));
    refused(api.create(&PostParams::default(), &organization("a")).await, 409, "AlreadyExists");
    assert_eq!(api.get("a").await.unwrap(), created);
    refused(api.get("b").await, 404, "NotFound");
    assert_eq!(api.get_opt("b").await.unwrap(), None);

    let mut next = created.clone();
    next.annotations_mut().insert("x".into(), "1".into());
    let replaced = api.replace("a", &PostParams::default(), &next).await.unwrap();
    assert_ne!(replaced.resource_version(), created.resource_version());
    refused(api.replace("a", &PostParams::default(), &next).await, 409, "Conflict");

    let merged = label(&api, "a", "1").await;
    assert_eq!(merged.labels()["mark"], "1");
    let patch = json!([
        {"op": "test", "path": "/metadata/labels/mark", "value": "1"},
        {"op": "replace", "path": "/metadata/labels/mark", "value": "2"},
    ]);
    let patch: json_patch::Patch = serde_json::from_value(patch).unwrap();
    let patch = Patch::Json::<()>(patch);
    let patched = api.patch("a", &PatchParams::default(), &patch).await.unwrap();
    assert_eq!(patched.labels()["mark"], "2");
    refused(api.patch("a", &PatchParams::default(), &patch).await, 422, "Invalid");
    let dry = PatchParams::default().dry_run();
    assert_eq!(api.patch("a", &dry, &labels("3")).await.unwrap().labels()["mark"], "3");
    assert_eq!(api.get("a").await.unwrap(), patched);
}

#[tokio::test]
async fn status_is_written_apart() {
    let (_server, api) = start().await;
    create(&api, "a").await;
    let ready = conditions::new("Ready", true, "Fine", "");
    let patch = Patch::Merge(json!({"status": {"conditions": [ready]}}));
    let patched = api.patch_status("a", &PatchParams::default(), &patch).await.unwrap();
    let conditions = &patched.status.as_ref().unwrap().conditions;
    assert!(conditions::is_true(conditions, "Ready"));
    let mut next = patched.clone();
    next.status.as_mut().unwrap().observed_generation = Some(7);
    next.spec.type_ = None;
    let replaced = api.replace_status("a", &PostParams::default(), &next).await.unwrap();
    assert_eq!(replaced.status.as_ref().unwrap().observed_generation, Some(7));
    assert_eq!((replaced.spec.type_, replaced.metadata.generation), (patched.spec.type_, Some(1)));
    refused(api.replace_status("a", &PostParams::default(), &next).await, 409, "Conflict");
    assert_eq!(api.get_status("a").await.unwrap(), replaced);
}

#[tokio::test]
async fn objects_are_deleted() {
    let (_server, api) = start().await;
    let created = create(&api, "a").await;
    let only = |uid: Option<String>, resource_version: Option<String>| {
        DeleteParams::default().preconditions(Preconditions { resource_version, uid })
    };
    refused(api.delete("a", &only(Some("other".into()), None)).await, 409, "Conflict");
    refused(api.delete("a", &only(None, Some("1".into()))).await, 409, "Conflict");
    let dry = DeleteParams::default().dry_run();
    assert!(api.delete("a", &dry).await.unwrap().is_right());
    let mut exactly = only(created.uid(), created.resource_version());
    exactly.propagation_policy = Some(PropagationPolicy::Foreground);
    let status = api.delete("a", &exactly).await.unwrap().right().unwrap();
    assert!(status.is_success());
    assert_eq!(status.details.unwrap().uid, created.uid().unwrap());
    refused(api.delete("a", &DeleteParams::default()).await, 404, "NotFound");

    for (name, mark) in [("a", "x"), ("b", "y"), ("c", "x")] {
        create(&api, name).await;
        label(&api, name, mark).await;
    }
    let some = ListParams::default().labels("mark=x");
    let deleted = api.delete_collection(&DeleteParams::default(), &some).await.unwrap();
    assert_eq!(names(deleted.left().unwrap()), ["a", "c"]);
    assert_eq!(names(api.list(&ListParams::default()).await.unwrap()), ["b"]);
    let one = ListParams::default().fields("metadata.name=b");
    api.delete_collection(&DeleteParams::default(), &one).await.unwrap();
    assert!(api.list(&ListParams::default()).await.unwrap().items.is_empty());
}

#[tokio::test]
async fn lists_come_in_pages() {
    let (_server, api) = start().await;
    for index in 0..5 {
        create(&api, &format!("o{index}")).await;
    }
    let (mut params, mut seen, mut version) = (ListParams::default().limit(2), Vec::new(), None);
    loop {
        let page = api.list(&params).await.unwrap();
        let at = version.get_or_insert(page.metadata.resource_version.clone());
        assert_eq!(*at, page.metadata.resource_version);
        create(&api, &format!("o{}-later", seen.len())).await;
        let next = page.metadata.continue_.clone();
        seen.extend(names(page));
        match next {
            Some(token) => params = ListParams::default().limit(2).continue_token(&token),
            None => break,
        }
    }
    assert_eq!(seen, ["o0", "o1", "o2", "o3", "o4"]);
    let stale = ListParams::default().continue_token("nonsense");
    refused(api.list(&stale).await, 400, "BadRequest");
}

#[tokio::test]
async fn metadata_is_enough_for_some() {
    let (server, api) = start().await;
    let created = create(&api, "a").await;
    let metadata: Api<PartialObjectMeta<Organization>> = Api::all(server.client().unwrap());
    let one = metadata.get("a").await.unwrap();
    assert_eq!(
        (one.metadata.uid, one.types.unwrap().kind),
        (created.uid(), "PartialObjectMetadata".into())
    );
    assert_eq!(metadata.list(&ListParams::default()).await.unwrap().items.len(), 1);
    assert_eq!(api.list_metadata(&ListParams::default()).await.unwrap().items.len(), 1);
    let labels = Some(BTreeMap::from([("mark".to_owned(), "1".to_owned())]));
    let change = ObjectMeta { labels, ..ObjectMeta::default() };
    let patch = Patch::Merge(change.into_request_partial::<Organization>());
    let patched = metadata.patch("a", &PatchParams::default(), &patch).await.unwrap();
    assert_eq!(patched.labels()["mark"], "1");
    let version = created.resource_version().unwrap();
    let events = metadata.watch(&WatchParams::default(), &version).await.unwrap();
    pin_mut!(events);
    let event = soon(events.try_next()).await.unwrap();
    assert!(matches!(event, Some(WatchEvent::Modified(object)) if object.labels()["mark"] == "1"));
}

#[tokio::test]
async fn discovery_finds_the_kinds_in_both_ways() {
    let (server, _) = start().await;
    let client = || server.client().unwrap();
    for discovery in [
        Discovery::new(client()).run().await.unwrap(),
        Discovery::new(client()).run_aggregated().await.unwrap(),
    ] {
        let kind =
            |kind: &str| GroupVersionKind::gvk("resourcemanager.miloapis.com", "v1alpha1", kind);
        let (resource, capabilities) = discovery.resolve_gvk(&kind("Organization")).unwrap();
        assert_eq!(resource.plural, "organizations");
        assert_eq!(capabilities.scope, kube::discovery::Scope::Cluster);
        assert!(capabilities.supports_operation(kube::discovery::verbs::DELETE_COLLECTION));
        assert!(
            capabilities
                .subresources
                .iter()
                .any(|(resource, _)| resource.plural.contains("status"))
        );
        let (_, members) = discovery.resolve_gvk(&kind("OrganizationMembership")).unwrap();
        assert_eq!(members.scope, kube::discovery::Scope::Namespaced);
        assert!(discovery.resolve_gvk(&kind("Nothing")).is_none());
    }
}

#[tokio::test]
async fn strangers_are_forbidden() {
    let (server, admin) = start().await;
    create(&admin, "a").await;
    let client: Client = server.client_as("alice", &["staff"]).unwrap();
    let api: Api<Organization> = Api::all(client.clone());
    refused(api.get("a").await, 403, "Forbidden");
    refused(api.list(&ListParams::default()).await, 403, "Forbidden");
    refused(api.create(&PostParams::default(), &organization("b")).await, 403, "Forbidden");
    refused(api.delete("a", &DeleteParams::default()).await, 403, "Forbidden");
    let events = watcher(api, watcher::Config::default());
    pin_mut!(events);
    let failed = loop {
        match soon(events.next()).await.unwrap() {
            Ok(event) => assert!(matches!(event, Event::Init)),
            Err(error) => break error,
        }
    };
    assert!(
        matches!(failed, watcher::Error::InitialListFailed(kube::Error::Api(status)) if status.code == 403)
    );
    assert!(Discovery::new(client).run_aggregated().await.is_ok(), "discovery is for everybody");
}
