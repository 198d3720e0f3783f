//! Deleting objects. A "suggestion" is what the watch cache knows: while its feed is stalled it
//! knows what is no longer so, and no deletion may believe it.

use std::sync::Arc;

use milo_core::admission::Operation;
use parking_lot::Mutex;
use serde_json::{Value, json};

use super::{
    failure::{Failure, Outcome, ensure, ensure_eq},
    lab::{Lab, keys, object_url, pod, pod_on, version},
};
use crate::testing::Watches;

/// An object that was deleted is what it was, with the version of the deletion.
fn ensure_was(deleted: &Value, last: &Value) -> Outcome {
    let (mut at, mut was) = (deleted.clone(), last.clone());
    ensure!(version(deleted)? > version(last)?, "{deleted} was deleted after {last}");
    at["metadata"]["resourceVersion"].take();
    was["metadata"]["resourceVersion"].take();
    ensure_eq!(at, was, "what was deleted");
    Ok(())
}

async fn ensure_gone(lab: &Lab, key: &str) -> Outcome {
    ensure_eq!(lab.stored(key).await?, None);
    lab.get(&object_url(key)).await?.refused(404, "NotFound", "not found")?;
    Ok(())
}

/// A pod that the cache knows.
async fn cached(lab: &Lab, key: &str) -> Result<Value, Failure> {
    let created = lab.pods().create(&pod_on(key, "old")).await?;
    ensure_eq!(keys(&lab.pods().list("ns", "").await?), [key]);
    Ok(created)
}

/// From here on the cache knows only this version.
async fn stall(lab: &Lab, known: &Value) -> Outcome {
    lab.storage().watches(Watches::Stall);
    let any = lab.pods().list("ns", "resourceVersion=0").await?;
    ensure_eq!(any["items"], json!([known]), "the cache knows");
    Ok(())
}

/// Notes what deletions are asked about, and refuses those that `refuse` says.
fn judge(lab: &Lab, refuse: fn(&Value) -> bool) -> Arc<Mutex<Vec<Value>>> {
    let seen = Arc::new(Mutex::new(Vec::new()));
    let asked = seen.clone();
    lab.hooks.set(move |write| {
        if write.operation != Operation::Delete {
            return std::future::ready(Ok(()));
        }
        let refused = refuse(&write.object);
        asked.lock().push(write.object);
        std::future::ready(if refused { Err("not this one".to_owned()) } else { Ok(()) })
    });
    seen
}

fn is_old(object: &Value) -> bool {
    object["spec"]["nodeName"] == "old"
}

fn is_new(object: &Value) -> bool {
    !is_old(object)
}

pub(super) async fn case_05_unconditional_delete(lab: &Lab) -> Outcome {
    let created = lab.pods().create(&pod("ns/foo")).await?;
    ensure_was(&lab.pods().delete("ns/foo").await?, &created)?;
    ensure_gone(lab, "ns/foo").await?;
    let again = lab.delete(&object_url("ns/foo"), &Value::Null).await?;
    again.refused(404, "NotFound", "not found")?;
    Ok(())
}

pub(super) async fn case_06_conditional_delete(lab: &Lab) -> Outcome {
    let created = lab.pods().create(&pod("ns/foo")).await?;
    for wrong in [json!({"uid": "someone-else"}), json!({"resourceVersion": "1"})] {
        let refused = lab.delete(&object_url("ns/foo"), &json!({"preconditions": wrong})).await?;
        refused.refused(409, "Conflict", "in the precondition")?;
        ensure_eq!(lab.pods().get("ns/foo").await?, created);
    }
    let metadata = &created["metadata"];
    let right = json!({"uid": metadata["uid"], "resourceVersion": metadata["resourceVersion"]});
    let deleted = lab.pods().delete_with("ns/foo", &json!({"preconditions": right})).await?;
    ensure_was(&deleted, &created)?;
    ensure_gone(lab, "ns/foo").await
}

pub(super) async fn case_07_delete_with_suggestion(lab: &Lab) -> Outcome {
    let created = cached(lab, "ns/foo").await?;
    ensure_was(&lab.pods().delete("ns/foo").await?, &created)?;
    ensure_gone(lab, "ns/foo").await
}

pub(super) async fn case_08_delete_with_suggestion_and_conflict(lab: &Lab) -> Outcome {
    let created = cached(lab, "ns/foo").await?;
    stall(lab, &created).await?;
    let updated = lab.pods().set("ns/foo", "nodeName", "new").await?;
    ensure_was(&lab.pods().delete("ns/foo").await?, &updated)?;
    ensure_gone(lab, "ns/foo").await
}

pub(super) async fn case_09_delete_with_conflict(lab: &Lab) -> Outcome {
    lab.pods().create(&pod_on("ns/foo", "old")).await?;
    let (pods, updated) = (lab.pods(), Arc::new(Mutex::new(Vec::new())));
    let (seen, written) = (Arc::new(Mutex::new(0)), updated.clone());
    let asked = seen.clone();
    lab.hooks.set(move |write| {
        let deletes = write.operation == Operation::Delete;
        *asked.lock() += u32::from(deletes);
        let first = deletes && *asked.lock() == 1;
        let (pods, written) = (pods.clone(), written.clone());
        async move {
            if first {
                let update = pods.set("ns/foo", "nodeName", "new").await;
                written.lock().push(update.map_err(Failure::into_text)?);
            }
            Ok(())
        }
    });
    let deleted = lab.pods().delete("ns/foo").await?;
    ensure_eq!(*seen.lock(), 2, "how often the deletion was validated");
    let updated = updated.lock().first().cloned().unwrap_or_default();
    ensure_was(&deleted, &updated)?;
    ensure_gone(lab, "ns/foo").await
}

pub(super) async fn case_10_delete_with_suggestion_of_deleted_object(lab: &Lab) -> Outcome {
    let created = cached(lab, "ns/foo").await?;
    stall(lab, &created).await?;
    lab.pods().delete("ns/foo").await?;
    let any = lab.pods().list("ns", "resourceVersion=0").await?;
    ensure_eq!(keys(&any), ["ns/foo"], "the cache still knows");
    lab.delete(&object_url("ns/foo"), &Value::Null).await?.refused(404, "NotFound", "not found")?;
    Ok(())
}

pub(super) async fn case_11_validate_deletion_with_suggestion(lab: &Lab) -> Outcome {
    let created = cached(lab, "ns/foo").await?;
    let seen = judge(lab, is_old);
    let refused = lab.delete(&object_url("ns/foo"), &Value::Null).await?;
    refused.refused(403, "Forbidden", "not this one")?;
    ensure_eq!(seen.lock().len(), 1, "how often the deletion was validated");
    ensure_eq!(lab.pods().get("ns/foo").await?, created);
    // What the cache knows would be refused; what is stored is not.
    stall(lab, &created).await?;
    let updated = lab.pods().set("ns/foo", "nodeName", "new").await?;
    let seen = judge(lab, is_old);
    ensure_was(&lab.pods().delete("ns/foo").await?, &updated)?;
    let validated = seen.lock().len();
    ensure!((1..=2).contains(&validated), "the deletion was validated {validated} times");
    ensure_gone(lab, "ns/foo").await
}

pub(super) async fn case_12_validate_deletion_with_only_suggestion_valid(lab: &Lab) -> Outcome {
    let created = cached(lab, "ns/foo").await?;
    stall(lab, &created).await?;
    let updated = lab.pods().set("ns/foo", "nodeName", "new").await?;
    let seen = judge(lab, is_new);
    let refused = lab.delete(&object_url("ns/foo"), &Value::Null).await?;
    refused.refused(403, "Forbidden", "not this one")?;
    ensure_eq!(seen.lock().last(), Some(&updated), "what was validated last");
    ensure_eq!(lab.pods().get("ns/foo").await?, updated);
    Ok(())
}

/// A pod that was deleted and created anew; the cache knows the first one. Both.
async fn recreated(lab: &Lab) -> Result<(Value, Value), Failure> {
    let first = cached(lab, "ns/foo").await?;
    stall(lab, &first).await?;
    lab.pods().delete("ns/foo").await?;
    let second = lab.pods().create(&pod_on("ns/foo", "new")).await?;
    ensure!(first["metadata"]["uid"] != second["metadata"]["uid"], "a UID is used twice");
    Ok((first, second))
}

pub(super) async fn case_13_preconditional_delete_with_suggestion(lab: &Lab) -> Outcome {
    let (_, second) = recreated(lab).await?;
    let uid = json!({"preconditions": {"uid": second["metadata"]["uid"]}});
    ensure_was(&lab.pods().delete_with("ns/foo", &uid).await?, &second)?;
    ensure_gone(lab, "ns/foo").await
}

pub(super) async fn case_14_preconditional_delete_with_only_suggestion_pass(lab: &Lab) -> Outcome {
    let (first, second) = recreated(lab).await?;
    let uid = json!({"preconditions": {"uid": first["metadata"]["uid"]}});
    lab.delete(&object_url("ns/foo"), &uid).await?.refused(
        409,
        "Conflict",
        "UID in the precondition",
    )?;
    ensure_eq!(lab.pods().get("ns/foo").await?, second);
    Ok(())
}
