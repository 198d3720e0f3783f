//! What kube-rs does, against a real server: typed calls, watchers, reflectors, finalizers,
//! controllers and discovery.

#![expect(clippy::unwrap_used, reason = "helpers of tests say what they expect by unwrapping")]

use std::{
    collections::BTreeMap,
    future::{Future, ready},
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use futures_util::{Stream, StreamExt as _, TryStreamExt as _, pin_mut};
use kube::{
    Api, Client, Discovery, ResourceExt as _,
    api::{
        DeleteParams, ListParams, Patch, PatchParams, PostParams, Preconditions, PropagationPolicy,
        WatchEvent, WatchParams,
    },
    core::{GroupVersionKind, PartialObjectMeta, PartialObjectMetaExt as _},
    runtime::{
        Controller, WatchStreamExt as _,
        controller::Action,
        finalizer::{Event as Step, finalizer},
        metadata_watcher, reflector,
        wait::{await_condition, conditions as wait_for},
        watcher::{self, Event, watcher},
    },
};
use milo_apiserver_kit::{ServerBuilder, testing::TestServer};
use milo_core::{
    conditions,
    resourcemanager::{Organization, OrganizationSpec, OrganizationStatus, OrganizationType},
    storage::Memory,
};
use serde_json::json;

/// Longer than anything here takes.
const SOON: Duration = Duration::from_secs(30);

async fn soon<T>(what: impl Future<Output = T>) -> T {
    tokio::time::timeout(SOON, what).await.expect("nothing came")
}

async fn start() -> (TestServer, Api<Organization>) {
    let server = TestServer::start(ServerBuilder::hierarchy).await.unwrap();
    let api = Api::all(server.client().unwrap());
    (server, api)
}

fn organization(name: &str) -> Organization {
    let spec = OrganizationSpec { type_: Some(OrganizationType::Standard), contact_info: None };
    Organization::new(name, spec)
}

async fn create(api: &Api<Organization>, name: &str) -> Organization {
    api.create(&PostParams::default(), &organization(name)).await.unwrap()
}

fn labels(value: &str) -> Patch<serde_json::Value> {
    Patch::Merge(json!({"metadata": {"labels": {"mark": value}}}))
}

async fn label(api: &Api<Organization>, name: &str, value: &str) -> Organization {
    api.patch(name, &PatchParams::default(), &labels(value)).await.unwrap()
}

#[track_caller]
fn refused<T: std::fmt::Debug>(answer: kube::Result<T>, code: u16, reason: &str) {
    match answer {
        Err(kube::Error::Api(status)) => {
            assert_eq!((status.code, status.reason.as_str()), (code, reason), "{status:?}");
        }
        other => assert!(matches!(other, Err(kube::Error::Api(_))), "{other:?}"),
    }
}

fn names(list: impl IntoIterator<Item = Organization>) -> Vec<String> {
    list.into_iter().map(|object| object.name_any()).collect()
}

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
    let mut change = kube::core::ObjectMeta::default();
    change.labels = Some(BTreeMap::from([("mark".to_owned(), "1".to_owned())]));
    let patch = Patch::Merge(change.into_request_partial::<Organization>());
    let patched = metadata.patch("a", &PatchParams::default(), &patch).await.unwrap();
    assert_eq!(patched.labels()["mark"], "1");
    let version = created.resource_version().unwrap();
    let events = metadata.watch(&WatchParams::default(), &version).await.unwrap();
    pin_mut!(events);
    let event = soon(events.try_next()).await.unwrap();
    assert!(matches!(event, Some(WatchEvent::Modified(object)) if object.labels()["mark"] == "1"));
}

/// What a watcher tells of: the initial objects, a new one, a change, a deletion.
async fn check_watcher<K: kube::ResourceExt + std::fmt::Debug>(
    api: &Api<Organization>,
    events: impl Stream<Item = watcher::Result<Event<K>>>,
) {
    pin_mut!(events);
    let mut seen = Vec::new();
    loop {
        let event = soon(events.try_next()).await.unwrap().unwrap();
        seen.push(match event {
            Event::Init => "init".to_owned(),
            Event::InitApply(object) => object.name_any(),
            Event::InitDone => break,
            Event::Apply(object) => format!("applied {}", object.name_any()),
            Event::Delete(object) => format!("deleted {}", object.name_any()),
        });
    }
    assert_eq!(seen, ["init", "o0", "o1", "o2", "o3", "o4"]);
    create(api, "new").await;
    label(api, "o1", "watched").await;
    api.delete("o0", &DeleteParams::default()).await.unwrap();
    let mut next = async || soon(events.try_next()).await.unwrap().unwrap();
    assert!(matches!(next().await, Event::Apply(object) if object.name_any() == "new"));
    assert!(matches!(next().await, Event::Apply(object) if object.labels()["mark"] == "watched"));
    assert!(matches!(next().await, Event::Delete(object) if object.name_any() == "o0"));
}

#[tokio::test]
async fn watchers_list_and_watch_in_both_ways() {
    let paged = watcher::Config::default().page_size(2);
    let streaming = watcher::Config::default().streaming_lists();
    for config in [paged, streaming] {
        for metadata in [false, true] {
            let (_server, api) = start().await;
            for index in 0..5 {
                create(&api, &format!("o{index}")).await;
            }
            if metadata {
                check_watcher(&api, metadata_watcher(api.clone(), config.clone())).await;
            } else {
                check_watcher(&api, watcher(api.clone(), config.clone())).await;
            }
        }
    }
}

#[tokio::test]
async fn a_reflector_catches_up_with_concurrent_writes() {
    let (server, api) = start().await;
    for config in
        [watcher::Config::default().page_size(3), watcher::Config::default().streaming_lists()]
    {
        let (store, writer) = reflector::store::<Organization>();
        let reflecting = reflector::reflector(writer, watcher(api.clone(), config));
        // Events come in order, so the last one of all tells that the others have come.
        let reflecting = tokio::spawn(reflecting.try_for_each(|event| {
            let last = matches!(event, Event::Apply(object) if object.name_any() == "last");
            ready(if last { Err(watcher::Error::NoResourceVersion) } else { Ok(()) })
        }));
        let writers = (0..4).map(|writer| {
            let api: Api<Organization> = Api::all(server.client().unwrap());
            tokio::spawn(async move {
                for index in 0..15 {
                    let name = format!("w{writer}-{index}");
                    create(&api, &name).await;
                    label(&api, &name, "changed").await;
                    if index % 3 == 0 {
                        api.delete(&name, &DeleteParams::default()).await.unwrap();
                    }
                }
            })
        });
        for writer in futures_util::future::join_all(writers).await {
            writer.unwrap();
        }
        soon(store.wait_until_ready()).await.unwrap();
        create(&api, "last").await;
        let end = soon(reflecting).await.unwrap();
        assert!(matches!(end, Err(watcher::Error::NoResourceVersion)), "{end:?}");
        let mut known: Vec<Organization> =
            store.state().iter().map(|object| (**object).clone()).collect();
        known.sort_by_key(|object| object.name_any());
        assert_eq!(known, api.list(&ListParams::default()).await.unwrap().items);
        api.delete_collection(&DeleteParams::default(), &ListParams::default()).await.unwrap();
    }
}

#[tokio::test]
async fn conditions_can_be_waited_for() {
    let (_server, api) = start().await;
    let created = create(&api, "a").await;
    let uid = created.uid().unwrap();
    let gone = await_condition(api.clone(), "a", wait_for::is_deleted(&uid));
    let marked = await_condition(api.clone(), "a", |object: Option<&Organization>| {
        object.is_some_and(|object| object.labels().contains_key("mark"))
    });
    let appears =
        await_condition(api.clone(), "b", |object: Option<&Organization>| object.is_some());
    let act = async {
        label(&api, "a", "1").await;
        create(&api, "b").await;
    };
    let (marked, appears, ()) = soon(async { tokio::join!(marked, appears, act) }).await;
    assert_eq!(marked.unwrap().unwrap().labels()["mark"], "1");
    assert_eq!(appears.unwrap().unwrap().name_any(), "b");
    let delete = async { api.delete("a", &DeleteParams::default()).await.unwrap() };
    let (gone, _) = soon(async { tokio::join!(gone, delete) }).await;
    gone.unwrap();
}

#[tokio::test]
async fn the_finalizer_helper_cleans_up() {
    let (_server, api) = start().await;
    create(&api, "a").await;
    let seen = Arc::new(parking_lot::Mutex::new(Vec::new()));
    let step = async || {
        let object = Arc::new(api.get("a").await.unwrap());
        let seen = seen.clone();
        let reconcile = |step: Step<Organization>| async move {
            seen.lock().push(if matches!(step, Step::Apply(_)) { "apply" } else { "cleanup" });
            Ok::<_, std::io::Error>(Action::await_change())
        };
        finalizer(&api, "example.com/cleanup", object, reconcile).await.unwrap();
    };
    step().await;
    assert_eq!(api.get("a").await.unwrap().finalizers(), ["example.com/cleanup"]);
    step().await;
    let deleting = api.delete("a", &DeleteParams::default()).await.unwrap().left().unwrap();
    assert!(deleting.metadata.deletion_timestamp.is_some());
    step().await;
    assert_eq!(*seen.lock(), ["apply", "cleanup"]);
    assert_eq!(api.get_opt("a").await.unwrap(), None);
}

/// Says that an organization is ready, every time: what does not change must not be an event.
async fn reconcile(
    object: Arc<Organization>,
    context: Arc<(Api<Organization>, AtomicUsize)>,
) -> kube::Result<Action> {
    context.1.fetch_add(1, Ordering::SeqCst);
    let mut status = object.status.clone().unwrap_or_default();
    conditions::set(&mut status.conditions, conditions::new("Ready", true, "Reconciled", ""));
    status.observed_generation = object.metadata.generation;
    let patch = Patch::Merge(json!({"status": status}));
    context.0.patch_status(&object.name_any(), &PatchParams::default(), &patch).await?;
    Ok(Action::await_change())
}

fn is_ready(object: Option<&Organization>, generation: i64) -> bool {
    let status: Option<&OrganizationStatus> = object.and_then(|object| object.status.as_ref());
    status.is_some_and(|status| {
        conditions::is_true(&status.conditions, "Ready")
            && status.observed_generation == Some(generation)
    })
}

#[tokio::test]
async fn a_controller_settles() {
    let (_server, api) = start().await;
    for index in 0..5 {
        create(&api, &format!("o{index}")).await;
    }
    let (stop, stopped) = tokio::sync::oneshot::channel::<()>();
    let context = Arc::new((api.clone(), AtomicUsize::new(0)));
    let controller = Controller::new(api.clone(), watcher::Config::default())
        .graceful_shutdown_on(async {
            let _ = stopped.await;
        })
        .run(reconcile, |_, _, _| Action::requeue(Duration::from_millis(10)), context.clone());
    let running = tokio::spawn(controller.for_each(|result| {
        assert!(result.is_ok(), "{result:?}");
        ready(())
    }));
    let settled = async |name: &str, generation: i64| {
        let condition = move |object: Option<&Organization>| is_ready(object, generation);
        soon(await_condition(api.clone(), name, condition)).await.unwrap().unwrap()
    };
    let mut first = Vec::new();
    for index in 0..5 {
        first.push(settled(&format!("o{index}"), 1).await);
    }
    let contact = json!({"spec": {"contactInfo": {"name": "Ann", "email": "ann@example.com"}}});
    let changed = api.patch("o0", &PatchParams::default(), &Patch::Merge(contact)).await.unwrap();
    assert_eq!(changed.metadata.generation, Some(2), "status writes are no new generation");
    settled("o0", 2).await;
    create(&api, "o9").await;
    settled("o9", 1).await;
    let now = api.list(&ListParams::default()).await.unwrap();
    for (before, after) in first.iter().zip(&now.items).skip(1) {
        assert_eq!(before, after, "nothing is written where nothing changes");
    }
    stop.send(()).unwrap();
    soon(running).await.unwrap();
    // Each object once when it appears, once for its own status, and twice more for the change.
    let count = context.1.load(Ordering::SeqCst);
    assert!((7..=14).contains(&count), "{count} reconciliations");
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

#[tokio::test]
async fn watches_resume_on_another_server_of_the_same_storage() {
    let storage = Arc::new(Memory::new());
    let first = TestServer::start_on(storage.clone(), ServerBuilder::hierarchy).await.unwrap();
    let api: Api<Organization> = Api::all(first.client().unwrap());
    let mut version = create(&api, "a").await.resource_version().unwrap();
    let events = api.watch(&WatchParams::default(), &version).await.unwrap();
    pin_mut!(events);
    let seen = label(&api, "a", "1").await;
    let event = soon(events.try_next()).await.unwrap();
    assert!(matches!(event, Some(WatchEvent::Modified(object)) if object == seen));
    version.clone_from(seen.metadata.resource_version.as_ref().unwrap());
    // Nobody watches while this is written; the server then goes away.
    let ended = async { while events.try_next().await.is_ok_and(|event| event.is_some()) {} };
    let missed = label(&api, "a", "2").await;
    tokio::join!(soon(first.stop()), soon(ended));

    let second = TestServer::start_on(storage, ServerBuilder::hierarchy).await.unwrap();
    let api: Api<Organization> = Api::all(second.client().unwrap());
    assert_eq!(api.get("a").await.unwrap(), missed);
    let events = api.watch(&WatchParams::default(), &version).await.unwrap().boxed();
    let next = label(&api, "a", "3").await;
    let resumed: Vec<_> = soon(events.take(2).try_collect()).await.unwrap();
    for (event, expected) in resumed.into_iter().zip([missed, next]) {
        assert!(matches!(event, WatchEvent::Modified(object) if object == expected));
    }
}
