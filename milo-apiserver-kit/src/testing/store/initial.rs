//! Watches that begin with a state.

use std::collections::BTreeSet;

use futures_util::future::try_join_all;

use super::{
    failure::{Failure, Outcome, ensure, ensure_eq},
    lab::{Lab, key, next, pod, version},
};

const INITIAL: &str = "sendInitialEvents=true&resourceVersionMatch=NotOlderThan";

pub(super) async fn case_56_send_initial_events_backward_compatibility(lab: &Lab) -> Outcome {
    lab.pods().create(&pod("ns/foo")).await?;
    let query = format!("{INITIAL}&timeoutSeconds=2");
    let events = lab.pods().watch("ns", &query).await?.rest().await?;
    let seen: Vec<_> = events.iter().map(super::lab::brief).collect();
    ensure_eq!(seen, ["ADDED ns/foo"], "there is no bookmark that nobody asked for");
    Ok(())
}

/// One way to begin: the version, whether bookmarks are wanted, `sendInitialEvents` if it is said.
#[derive(Clone, Copy, Debug)]
struct Row {
    version: &'static str,
    bookmarks: bool,
    initial: Option<bool>,
}

/// All ways to begin: four versions, with and without bookmarks and initial events, and the old way
/// to ask for initial events, which is to say no version or zero.
fn rows() -> Vec<Row> {
    let mut rows = Vec::new();
    for bookmarks in [false, true] {
        for version in ["", "0", "old", "current"] {
            for initial in [Some(false), Some(true)] {
                rows.push(Row { version, bookmarks, initial });
            }
        }
        rows.push(Row { version: "", bookmarks, initial: None });
        rows.push(Row { version: "0", bookmarks, initial: None });
    }
    rows
}

pub(super) async fn case_57_watch_semantics(lab: &Lab) -> Outcome {
    try_join_all(rows().into_iter().enumerate().map(async |(number, row)| {
        let semantics = semantics(lab, &format!("ns{number}"), row).await;
        semantics.map_err(|failure| failure.when(format!("{row:?}")))
    }))
    .await?;
    Ok(())
}

async fn semantics(lab: &Lab, namespace: &str, row: Row) -> Outcome {
    let create = async |name: &str| lab.pods().create(&pod(&format!("{namespace}/{name}"))).await;
    let old = lab.revision().await?;
    let mut last = 0;
    for name in ["a", "b", "c"] {
        last = version(&create(name).await?)?;
    }
    // Where any state will do, the cache must have come as far as that.
    lab.pods().list(namespace, "").await?;
    let mut query = format!("allowWatchBookmarks={}", row.bookmarks);
    match row.version {
        "old" => query.push_str(&format!("&resourceVersion={old}")),
        "current" => query.push_str(&format!("&resourceVersion={last}")),
        version => query.push_str(&format!("&resourceVersion={version}")),
    }
    if let Some(initial) = row.initial {
        query.push_str(&format!("&sendInitialEvents={initial}&resourceVersionMatch=NotOlderThan"));
    }
    let mut events = lab.pods().watch(namespace, &query).await?;
    let shown: &[&str] = match (row.initial, row.version) {
        // What came after an old version is told one by one; it is the same here.
        (None | Some(true), _) | (Some(false), "old") => &["a", "b", "c"],
        (Some(false), _) => &[],
    };
    let mut seen = BTreeSet::new();
    for _ in shown {
        let object = events.expect("ADDED").await?;
        ensure!(version(&object)? <= last, "{object} is newer than {last}");
        seen.insert(key(&object));
    }
    let expected = shown.iter().map(|name| format!("{namespace}/{name}")).collect();
    ensure_eq!(seen, expected, "{query}");
    let mut told = last;
    if row.bookmarks && row.initial == Some(true) {
        let mark = events.expect("BOOKMARK").await?;
        let end = &mark["metadata"]["annotations"]["k8s.io/initial-events-end"];
        ensure_eq!(*end, "true", "{mark}");
        ensure!(version(&mark)? >= last, "{mark} is older than {last}");
        told = version(&mark)?;
    } else if shown.is_empty() {
        // A watch that begins now begins when it is first read.
        if row.version != "current" {
            told = begun(lab, namespace, &mut events).await?;
        }
    }
    // From here on it is like any watch.
    for name in ["x", "y"] {
        let created = create(name).await?;
        ensure!(version(&created)? > told, "{created} is not after {told}");
        ensure_eq!(events.expect("ADDED").await?, created, "{query}");
    }
    let deleted = lab.pods().delete(&format!("{namespace}/x")).await?;
    ensure_eq!(events.expect("DELETED").await?, deleted, "{query}");
    Ok(())
}

/// Creates pods until a watch that begins now has begun and tells of them. The last one's version.
async fn begun(
    lab: &Lab,
    namespace: &str,
    events: &mut crate::testing::wire::Events,
) -> Result<u64, Failure> {
    let mut first = Box::pin(events.next());
    for number in 0.. {
        let name = format!("{namespace}/early-{number}");
        let created = lab.pods().create(&pod(&name)).await?;
        let told = tokio::select! {
            biased;
            told = &mut first => told?,
            () = tokio::task::yield_now() => continue,
        };
        drop(first);
        let mut told = told.ok_or_else(|| Failure::new("the watch ended"))?;
        // Those that it has told of since come in order, up to the last one.
        loop {
            ensure_eq!(told.kind, "ADDED", "{told:?}");
            if told.object == created {
                return version(&created);
            }
            told = events.next().await?.ok_or_else(|| Failure::new("the watch ended"))?;
        }
    }
    Err(Failure::new("the watch does not begin"))
}

pub(super) async fn case_58_watch_semantic_initial_events_extended(lab: &Lab) -> Outcome {
    lab.pods().create(&pod("ns/a")).await?;
    // What the watch does not mean counts for where it is.
    let elsewhere = version(&lab.pods().create(&pod("other/b")).await?)?;
    let unrelated = lab.unrelated().await?;
    let query = format!("{INITIAL}&allowWatchBookmarks=true");
    let mut events = lab.pods().watch("ns", &query).await?;
    ensure_eq!(next(&mut events, 1).await?, ["ADDED ns/a"]);
    let mark = events.expect("BOOKMARK").await?;
    let newest = elsewhere.max(unrelated);
    ensure!(version(&mark)? >= newest, "{mark} is older than {newest}");
    ensure!(version(&mark)? <= lab.revision().await?, "{mark} is of the future");
    Ok(())
}

pub(super) async fn case_59_watch_list_match_single(lab: &Lab) -> Outcome {
    for name in ["ns/a", "ns/ab", "ns/b"] {
        lab.pods().create(&pod(name)).await?;
    }
    let newest = lab.unrelated().await?;
    let query = format!("{INITIAL}&allowWatchBookmarks=true&fieldSelector=metadata.name=a");
    let mut events = lab.pods().watch("ns", &query).await?;
    ensure_eq!(next(&mut events, 1).await?, ["ADDED ns/a"]);
    let mark = events.expect("BOOKMARK").await?;
    ensure!(version(&mark)? >= newest, "{mark} is older than {newest}");
    let again = lab.pods().set("ns/a", "note", "new").await?;
    lab.pods().set("ns/ab", "note", "new").await?;
    ensure_eq!(events.expect("MODIFIED").await?, again);
    Ok(())
}
