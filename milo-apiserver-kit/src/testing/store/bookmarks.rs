//! Bookmarks: where a watch is, whether or not anything happens.

use serde_json::json;

use super::{
    failure::{Failure, Outcome, ensure, ensure_eq},
    lab::{Lab, pod, url, version},
};

/// A bookmark comes two seconds before a watch ends.
const SHORT: &str = "allowWatchBookmarks=true&timeoutSeconds=3";

pub(super) async fn case_51_progress_notify(lab: &Lab) -> Outcome {
    lab.pods().create(&pod("ns/foo")).await?;
    let from = lab.revision().await?;
    let query = format!("{SHORT}&resourceVersion={from}");
    let mut events = lab.pods().watch("ns", &query).await?;
    let elsewhere = lab.unrelated().await?;
    let mark = events.expect("BOOKMARK").await?;
    ensure!(version(&mark)? >= elsewhere, "{mark} does not know of {elsewhere}");
    let metadata = mark["metadata"].as_object().cloned().unwrap_or_default();
    let set = metadata.iter().filter(|(_, value)| !value.is_null()).map(|(field, _)| field);
    ensure_eq!(set.collect::<Vec<_>>(), ["resourceVersion"], "{mark}");
    ensure_eq!((&mark["kind"], &mark["spec"]), (&json!("Pod"), &json!(null)));
    Ok(())
}

pub(super) async fn case_54_watch_dispatch_bookmark_events(lab: &Lab) -> Outcome {
    let created = lab.pods().create(&pod("ns/foo")).await?;
    let kinds = async |query: &str| {
        let at = format!("timeoutSeconds=3&{query}&resourceVersion={}", version(&created)?);
        let events = lab.pods().watch("ns", &at).await?.rest().await?;
        let bookmarks = events.iter().filter(|event| event.kind == "BOOKMARK").count();
        ensure_eq!(events.len(), bookmarks, "{query}: {events:?}");
        Ok::<_, Failure>(bookmarks)
    };
    let (none, refused, asked) = tokio::try_join!(
        kinds(""),
        kinds("allowWatchBookmarks=false"),
        kinds("allowWatchBookmarks=true"),
    )?;
    ensure_eq!((none, refused), (0, 0), "bookmarks that nobody asked for");
    ensure!(asked > 0, "there is no bookmark");
    Ok(())
}

pub(super) async fn case_55_watch_bookmarks_with_correct_resource_version(lab: &Lab) -> Outcome {
    let from = lab.revision().await?;
    let query = format!("{SHORT}&resourceVersion={from}");
    let events = lab.pods().watch("ns", &query).await?;
    let writing = async {
        for n in 0..100 {
            lab.post(&url("pods", "ns"), &pod(&format!("ns/pod-{n}"))).await?.ok()?;
        }
        Ok::<_, Failure>(())
    };
    let reading = async {
        let mut events = events;
        let (mut newest, mut marks) = (from, 0);
        while let Some(event) = events.next().await? {
            let (at, mark) = (version(&event.object)?, event.kind == "BOOKMARK");
            marks += usize::from(mark);
            ensure!(at > newest || (mark && at == newest), "{event:?} comes after {newest}");
            newest = at;
        }
        Ok::<_, Failure>(marks)
    };
    let (marks, ()) = tokio::try_join!(reading, writing)?;
    ensure!(marks > 0, "there is no bookmark");
    Ok(())
}
