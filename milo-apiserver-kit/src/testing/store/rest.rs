//! The generic store above the engine: collections, finalizers, names (`spec/wire.md` section 9.4).

use std::collections::BTreeSet;

use serde_json::{Value, json};

use super::{
    failure::{Failure, Outcome, ensure, ensure_eq},
    lab::{Lab, keys, pod, pod_on, url, version},
};

pub(super) async fn rest_delete_collection_with_watch(lab: &Lab) -> Outcome {
    for n in 0..12 {
        let node = if n % 2 == 0 { "go" } else { "stay" };
        lab.pods().create(&pod_on(&format!("ns/pod-{n:02}"), node)).await?;
    }
    let from = lab.revision().await?;
    let mut events = lab.pods().watch("ns", &format!("resourceVersion={from}")).await?;
    let selected = format!("{}?fieldSelector=spec.nodeName=go", url("pods", "ns"));
    let deleted = lab.delete(&selected, &Value::Null).await?.ok()?;
    let mut told = BTreeSet::new();
    for _ in 0..6 {
        told.insert(super::lab::key(&events.expect("DELETED").await?));
    }
    let listed: BTreeSet<String> = keys(&deleted).into_iter().collect();
    ensure_eq!(told, listed, "what the watch told and what the answer lists");
    let rest = lab.pods().list("ns", "").await?;
    ensure_eq!(keys(&rest).len(), 6);
    // Nothing to delete is no error.
    let none = lab.delete(&url("pods", "empty"), &Value::Null).await?.ok()?;
    ensure_eq!(keys(&none), Vec::<String>::new());
    Ok(())
}

pub(super) async fn rest_finalizers(lab: &Lab) -> Outcome {
    let mut held = pod("ns/foo");
    held["metadata"]["finalizers"] = json!(["store.milo.test/hold"]);
    let created = lab.pods().create(&held).await?;
    let query = format!("resourceVersion={}", version(&created)?);
    let mut events = lab.pods().watch("ns", &query).await?;
    let marked = lab.pods().delete("ns/foo").await?;
    ensure!(marked["metadata"]["deletionTimestamp"].is_string(), "{marked} is not marked");
    ensure_eq!(events.expect("MODIFIED").await?, marked);
    // To delete it again changes nothing.
    lab.pods().delete("ns/foo").await?;
    ensure_eq!(lab.pods().get("ns/foo").await?, marked);
    // Who takes the last finalizer off removes it.
    lab.pods().merge("ns/foo", &json!({"metadata": {"finalizers": null}})).await?;
    let gone = events.expect("DELETED").await?;
    ensure!(version(&gone)? > version(&marked)?, "{gone} is not after {marked}");
    ensure_eq!(lab.stored("ns/foo").await?, None);
    Ok(())
}

pub(super) async fn rest_generate_name_retries(lab: &Lab) -> Outcome {
    lab.pods().create(&pod("ns/taken-1")).await?;
    lab.pods().create(&pod("ns/taken-2")).await?;
    let body = json!({"metadata": {"generateName": "taken-"}});
    let created = lab.post(&url("pods", "ns"), &body).await?.ok()?;
    ensure_eq!(created["metadata"]["name"], "taken-3", "two names were taken");
    // Whoever says the name is told that it is taken.
    let named = lab.post(&url("pods", "ns"), &pod("ns/taken-3")).await?;
    named.refused(409, "AlreadyExists", "taken-3")?;
    Ok(())
}

pub(super) async fn rest_halves_are_written_apart(lab: &Lab) -> Outcome {
    let created = lab.pods().create(&pod("ns/foo")).await?;
    let status_url = format!("{}/status", super::lab::object_url("ns/foo"));
    let write = async |number: usize| -> Result<(), Failure> {
        let (status, note) = (format!("phase-{number}"), format!("note-{number}"));
        let status = json!({"status": {"phase": status}});
        let form = crate::testing::wire::MERGE_PATCH;
        lab.patch(&status_url, form, &status).await?.ok()?;
        lab.pods().set("ns/foo", "note", &note).await?;
        Ok(())
    };
    futures_util::future::try_join_all((0..8).map(write)).await?;
    let last = lab.pods().get("ns/foo").await?;
    // Each change of the specification is a generation; those of the status are none.
    ensure_eq!(last["metadata"]["generation"], 9, "{last} was {created}");
    ensure!(last["status"]["phase"].is_string(), "{last} has no status");
    lab.check_stored("ns/foo").await
}
