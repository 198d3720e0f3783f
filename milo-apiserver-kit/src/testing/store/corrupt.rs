//! Stored bytes that are no object. Nothing is made of them, and nothing hides that they are there:
//! an object that is left out of a list would look as if it had been deleted.

use futures_util::future::try_join_all;
use serde_json::Value;

use super::{
    failure::{Failure, Outcome, ensure_eq},
    lab::{Lab, keys, object_url, pod, version},
};
use crate::testing::wire::MERGE_PATCH;

const GARBAGE: &[u8] = b"no object at all";

async fn corrupted(lab: &Lab) -> Result<u64, Failure> {
    for key in ["a/fine", "b/bad", "b/fine"] {
        lab.pods().create(&pod(key)).await?;
    }
    lab.store("b/bad", GARBAGE.to_vec()).await
}

pub(super) async fn case_23_get_list_without_error_aggregation(lab: &Lab) -> Outcome {
    let before = lab.revision().await?;
    let at = corrupted(lab).await?;
    for pods in [lab.pods(), lab.newcomer().await?.pods()] {
        for query in [
            String::new(),
            format!("resourceVersion={at}"),
            format!("resourceVersion={at}&resourceVersionMatch=Exact"),
            "limit=500".to_owned(),
        ] {
            for namespace in ["", "b"] {
                let answer = pods.ask(namespace, &query).await?;
                let refused = answer.refused(500, "InternalError", "b/bad");
                refused
                    .map_err(|error| Failure::new(error).when(format!("{namespace:?} {query}")))?;
            }
            // Elsewhere nobody suffers.
            ensure_eq!(keys(&pods.list("a", &query).await?), ["a/fine"], "{query}");
        }
        let query = "fieldSelector=metadata.name=fine";
        ensure_eq!(keys(&pods.list("b", query).await?), ["b/fine"]);
    }
    ensure_eq!(lab.stored("b/bad").await?.map(|record| record.revision.get()), Some(at));
    assert_later(before, at)
}

fn assert_later(before: u64, at: u64) -> Outcome {
    super::failure::ensure!(at > before, "{at} is not after {before}");
    Ok(())
}

pub(super) async fn case_34_transformation_failure(lab: &Lab) -> Outcome {
    corrupted(lab).await?;
    let at = object_url("b/bad");
    for answer in [
        lab.pods().ask("b", "").await?,
        lab.get(&at).await?,
        lab.put(&at, &pod("b/bad")).await?,
        lab.patch(&at, MERGE_PATCH, &pod("b/bad")).await?,
        lab.delete(&at, &Value::Null).await?,
    ] {
        answer.refused(500, "InternalError", "b/bad")?;
    }
    let stored = lab.stored("b/bad").await?.map(|record| record.value);
    ensure_eq!(stored.as_deref(), Some(GARBAGE), "it is still there");
    // Once it is whole again, so is everything.
    let bytes = lab.stored("b/fine").await?.map(|record| record.value);
    let text = String::from_utf8_lossy(&bytes.unwrap_or_default()).replace("\"fine\"", "\"bad\"");
    lab.store("b/bad", text.into_bytes()).await?;
    ensure_eq!(keys(&lab.pods().list("b", "").await?), ["b/bad", "b/fine"]);
    lab.pods().delete("b/bad").await?;
    ensure_eq!(keys(&lab.pods().list("b", "").await?), ["b/fine"]);
    Ok(())
}

pub(super) async fn case_45_watch_error(lab: &Lab) -> Outcome {
    let created = lab.pods().create(&pod("b/bad")).await?;
    let from = version(&created)?;
    let query = format!("resourceVersion={from}");
    let mut live = lab.pods().watch("b", &query).await?;
    let mut elsewhere = lab.pods().watch("a", &query).await?;
    lab.pods().list("", "").await?;
    lab.store("b/bad", GARBAGE.to_vec()).await?;
    let from_the_past = lab.newcomer().await?;
    let mut past = from_the_past.pods().watch("b", &query).await?;
    let mut beginning = from_the_past.pods().watch("b", "").await?;
    for events in [&mut live, &mut past, &mut beginning] {
        let status = events.expect("ERROR").await?;
        ensure_eq!((&status["code"], &status["reason"]), (&500.into(), &"InternalError".into()));
        ensure_eq!(events.next().await?, None, "nothing follows an error");
    }
    lab.pods().create(&pod("a/fine")).await?;
    elsewhere.expect("ADDED").await?;
    Ok(())
}

pub(super) async fn case_60_watch_error_is_blocking_further_events(lab: &Lab) -> Outcome {
    let from = version(&lab.pods().create(&pod("b/bad")).await?)?;
    let query = format!("resourceVersion={from}");
    let mut watches = Vec::new();
    for _ in 0..10 {
        watches.push(lab.pods().watch("b", &query).await?);
    }
    lab.store("b/bad", GARBAGE.to_vec()).await?;
    lab.pods().create(&pod("b/later")).await?;
    try_join_all(watches.into_iter().map(async |mut events| {
        events.expect("ERROR").await?;
        ensure_eq!(events.rest().await?, [], "what follows the error");
        Ok::<_, Failure>(())
    }))
    .await?;
    Ok(())
}
