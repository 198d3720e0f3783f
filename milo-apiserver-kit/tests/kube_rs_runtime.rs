//! kube-rs's runtime against a server: watchers, reflectors, waiting, finalizers, controllers.

#![expect(clippy::unwrap_used, reason = "helpers of tests say what they expect by unwrapping")]

mod kube_support;

use std::{
    fmt::Debug,
    future::ready,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use futures_util::{Stream, StreamExt as _, TryStreamExt as _, pin_mut};
use kube::{
    Api, ResourceExt,
    api::{DeleteParams, ListParams, Patch, PatchParams, WatchEvent, WatchParams},
    core::PartialObjectMeta,
    runtime::{
        Controller,
        controller::Action,
        finalizer::{self, Event as Step, finalizer},
        reflector,
        wait::{await_condition, conditions as wait_for},
        watcher::{self, Event, watcher},
    },
};
use kube_support::{create, label, soon, start};
use milo_apiserver_kit::{ServerBuilder, testing::TestServer};
use milo_core::{
    conditions,
    resourcemanager::{Organization, OrganizationStatus},
    storage::Memory,
};
use serde_json::json;

/// What a watcher tells of: the initial objects, a new one, a change, a deletion.
async fn check_watcher<K: ResourceExt + Debug>(
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
#[expect(deprecated, reason = "controllers in the field use the old metadata watcher")]
async fn watchers_list_and_watch_in_both_ways() {
    let paged = watcher::Config::default().page_size(2);
    let streaming = watcher::Config::default().streaming_lists();
    for config in [paged, streaming] {
        for form in ["objects", "metadata", "metadata, as before"] {
            let (server, api) = start().await;
            for index in 0..5 {
                create(&api, &format!("o{index}")).await;
            }
            let metadata: Api<PartialObjectMeta<Organization>> = Api::all(server.client().unwrap());
            let (all, config) = (api.clone(), config.clone());
            match form {
                "objects" => check_watcher(&api, watcher(all, config)).await,
                "metadata" => check_watcher(&api, watcher(metadata, config)).await,
                _ => check_watcher(&api, kube::runtime::metadata_watcher(all, config)).await,
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
        let reflecting = reflector(writer, watcher(api.clone(), config));
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
        known.sort_by_key(ResourceExt::name_any);
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

/// Puts a finalizer on what it sees and notes what it cleans up.
async fn keep_track(
    object: Arc<Organization>,
    context: Arc<(Api<Organization>, parking_lot::Mutex<Vec<String>>)>,
) -> Result<Action, finalizer::Error<std::io::Error>> {
    let cleaned = &context.1;
    let step = |step: Step<Organization>| async move {
        if let Step::Cleanup(object) = step {
            cleaned.lock().push(object.name_any());
        }
        Ok(Action::await_change())
    };
    finalizer(&context.0, "example.com/tracked", object, step).await
}

#[tokio::test]
async fn a_controller_with_a_finalizer_cleans_up_once() {
    let (_server, api) = start().await;
    let (stop, stopped) = tokio::sync::oneshot::channel::<()>();
    let context = Arc::new((api.clone(), parking_lot::Mutex::new(Vec::new())));
    let controller = Controller::new(api.clone(), watcher::Config::default().streaming_lists())
        .graceful_shutdown_on(async {
            let _ = stopped.await;
        })
        .run(keep_track, |_, _, _| Action::requeue(Duration::from_millis(10)), context.clone());
    let running = tokio::spawn(controller.for_each(|result| {
        assert!(result.is_ok(), "{result:?}");
        ready(())
    }));
    let names = ["a", "b", "c"];
    for name in names {
        create(&api, name).await;
    }
    for name in names {
        let tracked = |object: Option<&Organization>| {
            object.is_some_and(|object| !object.finalizers().is_empty())
        };
        let object = soon(await_condition(api.clone(), name, tracked)).await.unwrap().unwrap();
        let uid = object.uid().unwrap();
        let deleted = api.delete(name, &DeleteParams::default()).await.unwrap().left();
        assert!(deleted.is_some(), "the finalizer holds it");
        soon(await_condition(api.clone(), name, wait_for::is_deleted(&uid))).await.unwrap();
        assert_eq!(api.get_opt(name).await.unwrap(), None);
    }
    stop.send(()).unwrap();
    soon(running).await.unwrap();
    assert_eq!(*context.1.lock(), names);
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
