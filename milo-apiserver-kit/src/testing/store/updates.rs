//! Changing objects: every update is a loop around one compare-and-swap.

use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering},
};

use milo_core::admission::Operation;
use serde_json::{Value, json};

use super::{
    failure::{Failure, Outcome, ensure, ensure_eq},
    lab::{Lab, object_url, pod, pod_on, version},
};
use crate::testing::{
    Watches,
    wire::{APPLY_PATCH, MERGE_PATCH},
};

pub(super) async fn case_29_guaranteed_update(lab: &Lab) -> Outcome {
    let pods = lab.pods();
    // What is not there is not updated, but it is applied.
    lab.put(&object_url("ns/foo"), &pod("ns/foo")).await?.refused(404, "NotFound", "foo")?;
    let url = format!("{}?fieldManager=suite", object_url("ns/foo"));
    let mut config = pod_on("ns/foo", "n1");
    let applied = lab.patch(&url, APPLY_PATCH, &config).await?;
    ensure_eq!(applied.code, 201, "a first apply");
    lab.check_stored("ns/foo").await?;
    config["spec"]["nodeName"] = "n2".into();
    let applied = lab.patch(&url, APPLY_PATCH, &config).await?.ok()?;
    // An update has a new version.
    let mut object = pods.get("ns/foo").await?;
    ensure_eq!(object, applied);
    object["spec"]["note"] = "changed".into();
    let updated = pods.update(&object).await?;
    ensure!(version(&updated)? > version(&object)?, "{updated} is an update of {object}");
    lab.check_stored("ns/foo").await?;
    // The same data is not written, not even with a self link.
    let (before, mut same) = (lab.revision().await?, updated.clone());
    ensure_eq!(pods.update(&same).await?, updated, "an update that changes nothing");
    same["metadata"]["selfLink"] = "/self".into();
    ensure_eq!(pods.update(&same).await?, updated, "an update of the self link");
    ensure_eq!(pods.merge("ns/foo", &json!({})).await?, updated, "an empty patch");
    let stored = lab.stored("ns/foo").await?.map(|record| record.revision.get());
    ensure_eq!(stored, Some(version(&updated)?), "nothing was written after {before}");
    // The UID must be the one that is stored.
    let mut other = updated.clone();
    other["metadata"]["uid"] = "someone-else".into();
    lab.put(&object_url("ns/foo"), &other).await?.refused(409, "Conflict", "")?;
    ensure_eq!(pods.get("ns/foo").await?, updated);
    let mut right = updated.clone();
    right["spec"]["note"] = "again".into();
    ensure!(version(&pods.update(&right).await?)? > version(&updated)?, "the UID is right");
    lab.check_stored("ns/foo").await
}

pub(super) async fn case_31_guaranteed_update_checks_stored_data(lab: &Lab) -> Outcome {
    let pods = lab.pods();
    let created = pods.create(&pod_on("ns/foo", "n1")).await?;
    let canonical = lab.stored("ns/foo").await?.map(|record| record.value);
    let canonical = canonical.ok_or_else(|| Failure::new("nothing is stored"))?;
    // The same object in other bytes, as another program may write it.
    let stored: Value = serde_json::from_slice(&canonical)?;
    let other = lab.store("ns/foo", serde_json::to_vec_pretty(&stored)?).await?;
    ensure!(other > version(&created)?, "{other} is after {created}");
    let seen = pods.get("ns/foo").await?;
    ensure_eq!(version(&seen)?, other);
    let updated = pods.update(&seen).await?;
    ensure!(version(&updated)? > other, "bytes that are not canonical are written anew");
    let written = lab.stored("ns/foo").await?.map(|record| record.value);
    ensure_eq!(written.as_ref(), Some(&canonical));
    ensure_eq!(pods.update(&updated).await?, updated, "and then not again");
    Ok(())
}

/// Counts the updates that are computed with this note, and lets `before` happen in the first.
fn count(lab: &Lab, note: &'static str, before: Option<Value>) -> Arc<AtomicUsize> {
    let (seen, pods) = (Arc::new(AtomicUsize::new(0)), lab.pods());
    let counter = seen.clone();
    lab.hooks.set(move |write| {
        let ours = write.operation == Operation::Update && write.object["spec"]["note"] == note;
        let first = ours && counter.fetch_add(1, Ordering::SeqCst) == 0;
        let (pods, before) = (pods.clone(), before.clone().filter(|_| first));
        async move {
            if let Some(patch) = before {
                let merged = pods.merge("ns/foo", &patch).await;
                merged.map_err(Failure::into_text)?;
            }
            Ok(())
        }
    });
    seen
}

pub(super) async fn case_32_guaranteed_update_with_conflict(lab: &Lab) -> Outcome {
    let pods = lab.pods();
    let created = pods.create(&pod("ns/foo")).await?;
    let seen = count(lab, "loser", Some(json!({"metadata": {"labels": {"winner": "yes"}}})));
    let updated = pods.set("ns/foo", "note", "loser").await?;
    ensure_eq!(seen.load(Ordering::SeqCst), 2, "how often the loser was computed");
    ensure_eq!(updated["metadata"]["labels"]["winner"], "yes", "the winner's change");
    ensure_eq!(updated["spec"]["note"], "loser", "the loser's change");
    ensure!(version(&updated)? > version(&created)?, "{updated}");
    ensure_eq!(pods.get("ns/foo").await?, updated);
    lab.check_stored("ns/foo").await?;
    // An update of a version that is over is not computed again: it is refused.
    let seen = count(lab, "stale", Some(json!({"metadata": {"labels": {"winner": "two"}}})));
    let mut stale = updated;
    stale["spec"]["note"] = "stale".into();
    lab.put(&object_url("ns/foo"), &stale).await?.refused(409, "Conflict", "has been modified")?;
    ensure_eq!(seen.load(Ordering::SeqCst), 1, "how often the stale one was computed");
    Ok(())
}

pub(super) async fn case_33_guaranteed_update_with_suggestion_and_conflict(lab: &Lab) -> Outcome {
    let pods = lab.pods();
    pods.create(&pod("ns/foo")).await?;
    pods.list("ns", "").await?;
    // From here on the cache knows what is no longer so.
    lab.storage().watches(Watches::Stall);
    let fresh = pods.merge("ns/foo", &json!({"metadata": {"labels": {"a": "b"}}})).await?;
    let seen = count(lab, "more", None);
    let updated = pods.set("ns/foo", "note", "more").await?;
    ensure_eq!(updated["metadata"]["labels"], json!({"a": "b"}), "what is stored counts");
    ensure!(seen.load(Ordering::SeqCst) <= 2, "it was computed {seen:?} times");
    ensure!(version(&updated)? > version(&fresh)?, "{updated}");
    // What fails on what is stored fails, after two attempts at most.
    let refusals = Arc::new(AtomicUsize::new(0));
    let counter = refusals.clone();
    lab.hooks.set(move |_| {
        counter.fetch_add(1, Ordering::SeqCst);
        std::future::ready(Err("not like this".to_owned()))
    });
    let patch = json!({"spec": {"note": "refused"}});
    let refused = lab.patch(&object_url("ns/foo"), MERGE_PATCH, &patch).await?;
    refused.refused(403, "Forbidden", "not like this")?;
    ensure!(refusals.load(Ordering::SeqCst) <= 2, "it was refused {refusals:?} times");
    ensure_eq!(pods.get("ns/foo").await?, updated);
    Ok(())
}
