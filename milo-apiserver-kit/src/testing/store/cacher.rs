//! What can be seen of the watch cache from outside (`spec/wire.md` section 9.3).

use std::collections::BTreeMap;

use super::{
    failure::{Failure, Outcome, ensure, ensure_eq},
    lab::{Lab, items, key, keys, next, pod, version},
};
use crate::testing::Watches;

/// Upstream: `TestShouldDelegateList`.
pub(super) async fn cacher_delegates_lists(lab: &Lab) -> Outcome {
    let old = version(&lab.pods().create(&pod("ns/a")).await?)?;
    let current = version(&lab.pods().create(&pod("ns/b")).await?)?;
    let newcomer = lab.newcomer().await?;
    let asked = async |query: &str| {
        let before = newcomer.storage().lists();
        newcomer.pods().list("ns", query).await?;
        Ok::<_, Failure>(newcomer.storage().lists() - before)
    };
    for query in [
        String::new(),
        "resourceVersion=0".to_owned(),
        format!("resourceVersion={old}"),
        format!("resourceVersion={current}&resourceVersionMatch=NotOlderThan"),
        format!("resourceVersion={current}&resourceVersionMatch=Exact"),
        "limit=1".to_owned(),
        format!("resourceVersion={current}&limit=1"),
        "labelSelector=a".to_owned(),
        "fieldSelector=metadata.name=a".to_owned(),
    ] {
        ensure_eq!(asked(&query).await?, 0, "lists that {query:?} has the storage make");
    }
    let before_it_began = format!("resourceVersion={old}&resourceVersionMatch=Exact");
    ensure!(asked(&before_it_began).await? > 0, "only the storage knows what was before");
    Ok(())
}

/// Upstream: `TestMatchExactResourceVersionFallback`.
pub(super) async fn cacher_falls_back_for_exact_versions(lab: &Lab) -> Outcome {
    lab.pods().create(&pod("ns/a")).await?;
    lab.pods().list("ns", "").await?;
    lab.storage().watches(Watches::Stall);
    let at = version(&lab.pods().create(&pod("ns/b")).await?)?;
    let query = format!("resourceVersion={at}&resourceVersionMatch=Exact");
    let list = lab.pods().list("ns", &query).await?;
    ensure_eq!((keys(&list).len(), version(&list)?), (2, at));
    Ok(())
}

/// Upstream: `TestEmptyWatchEventCache`.
pub(super) async fn cacher_empty_history(lab: &Lab) -> Outcome {
    let before = version(&lab.pods().create(&pod("ns/a")).await?)?;
    let last = version(&lab.pods().create(&pod("ns/b")).await?)?;
    let newcomer = lab.newcomer().await?;
    let watch =
        async |from: u64| newcomer.pods().watch("ns", &format!("resourceVersion={from}")).await;
    let (mut earlier, mut now) = (watch(before).await?, watch(last).await?);
    let mut future = watch(last + 1_000_000_000).await?;
    lab.pods().create(&pod("ns/c")).await?;
    ensure_eq!(next(&mut earlier, 2).await?, ["ADDED ns/b", "ADDED ns/c"]);
    ensure_eq!(next(&mut now, 1).await?, ["ADDED ns/c"]);
    let status = future.expect("ERROR").await?;
    ensure_eq!((&status["code"], &status["reason"]), (&504.into(), &"Timeout".into()));
    Ok(())
}

/// Upstream: `TestWatcherNotGoingBackInTime`.
pub(super) async fn cacher_watch_does_not_go_back_in_time(lab: &Lab) -> Outcome {
    lab.pods().create(&pod("ns/a")).await?;
    lab.pods().list("ns", "").await?;
    lab.storage().watches(Watches::Stall);
    let b = version(&lab.pods().create(&pod("ns/b")).await?)?;
    let c = version(&lab.pods().create(&pod("ns/c")).await?)?;
    // The cache is behind both.
    let mut after_b = lab.pods().watch("ns", &format!("resourceVersion={b}")).await?;
    let mut after_c = lab.pods().watch("ns", &format!("resourceVersion={c}")).await?;
    let flowing = async {
        lab.storage().watches(Watches::Flow);
        lab.pods().create(&pod("ns/d")).await
    };
    let (after_b, after_c, _) =
        tokio::try_join!(next(&mut after_b, 2), next(&mut after_c, 1), flowing)?;
    ensure_eq!(after_b, ["ADDED ns/c", "ADDED ns/d"]);
    ensure_eq!(after_c, ["ADDED ns/d"]);
    Ok(())
}

/// Upstream: `TestCacherDontMissEventsOnReinitialization`.
pub(super) async fn cacher_misses_nothing_when_it_is_built_anew(lab: &Lab) -> Outcome {
    let writing = async {
        for n in 0..40 {
            let name = format!("ns/pod-{n}");
            lab.pods().create(&pod(&name)).await?;
            lab.pods().set(&name, "note", "new").await?;
            if n % 3 == 0 {
                lab.pods().delete(&name).await?;
            }
            if n % 10 == 5 {
                lab.storage().forget();
                lab.storage().watches(Watches::Flow);
            }
        }
        lab.pods().create(&pod("ns/last")).await
    };
    let (held, _) = tokio::try_join!(inform(lab), writing)?;
    let list = lab.pods().list("ns", "").await?;
    let expected = items(&list).iter().map(|object| Ok((key(object), version(object)?)));
    ensure_eq!(held, expected.collect::<Result<BTreeMap<_, _>, Failure>>()?);
    Ok(())
}

/// What an informer holds that lists once, watches, and goes on where it was whenever a watch ends;
/// up to the creation of `last`.
async fn inform(lab: &Lab) -> Result<BTreeMap<String, u64>, Failure> {
    let list = lab.pods().list("ns", "").await?;
    let (mut held, mut at) = (BTreeMap::new(), version(&list)?);
    for object in items(&list) {
        held.insert(key(object), version(object)?);
    }
    loop {
        let answer = lab.pods().watch("ns", &format!("resourceVersion={at}")).await;
        // While the storage is away there is no watch to be had.
        let Ok(mut events) = answer else { continue };
        while let Some(event) = events.next().await? {
            let (name, version) = (key(&event.object), version(&event.object)?);
            ensure!(version > at, "{event:?} comes after {at}");
            at = version;
            match event.kind.as_str() {
                "ADDED" => ensure_eq!(held.insert(name.clone(), version), None, "{event:?}"),
                "MODIFIED" => {
                    ensure!(held.insert(name.clone(), version).is_some(), "{event:?} of nothing");
                }
                "DELETED" => ensure!(held.remove(&name).is_some(), "{event:?} of nothing"),
                other => ensure!(false, "an event is {other}"),
            }
            if name == "ns/last" {
                return Ok(held);
            }
        }
    }
}

/// Upstream: `TestWatchListIsSynchronisedWhenNoEventsFromStoreReceived` and
/// `TestBookmarksOnResourceVersionUpdates`.
pub(super) async fn cacher_watch_list_of_an_idle_kind(lab: &Lab) -> Outcome {
    for _ in 0..3 {
        let elsewhere = lab.unrelated().await?;
        let query =
            "sendInitialEvents=true&resourceVersionMatch=NotOlderThan&allowWatchBookmarks=true";
        let mark = lab.pods().watch("ns", query).await?.expect("BOOKMARK").await?;
        ensure!(version(&mark)? >= elsewhere, "{mark} is older than {elsewhere}");
        // Whoever was told a version elsewhere can ask for it here.
        let query = format!("resourceVersion={}", lab.unrelated().await?);
        lab.pods().list("ns", &query).await?;
    }
    Ok(())
}

/// Upstream: `TestStartingResourceVersion`.
pub(super) async fn cacher_starting_resource_version(lab: &Lab) -> Outcome {
    lab.pods().create(&pod("ns/foo")).await?;
    let mut versions = Vec::new();
    for n in 0..10 {
        versions.push(version(&lab.pods().set("ns/foo", "note", &n.to_string()).await?)?);
    }
    for lab in [lab, &lab.newcomer().await?] {
        for (at, from) in versions.iter().enumerate().take(9) {
            let mut events = lab.pods().watch("ns", &format!("resourceVersion={from}")).await?;
            let first = events.expect("MODIFIED").await?;
            ensure_eq!(version(&first)?, versions[at + 1], "the first event after {from}");
        }
    }
    Ok(())
}
