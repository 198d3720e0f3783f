//! Watches: what they tell, in which order, and that nobody is held up.

use std::time::Duration;

use serde_json::{Value, json};

use super::{
    failure::{Failure, Outcome, ensure, ensure_eq},
    lab::{Lab, key, next, pod, pod_on, version},
};
use crate::testing::wire::Events;

/// What is done to a pod: its labels and its node from then on, or that it is deleted.
type Step = Option<(&'static str, &'static str)>;

/// What selects, what is done, and which event each of it is.
type Flow = (&'static str, &'static [(Step, &'static str)]);

const FLOWS: [Flow; 5] = [
    ("", &[(Some(("x", "n1")), "ADDED"), (Some(("x", "n2")), "MODIFIED"), (None, "DELETED")]),
    (
        "fieldSelector=spec.nodeName=n1",
        &[(Some(("x", "n2")), ""), (Some(("x", "n1")), "ADDED"), (None, "DELETED")],
    ),
    (
        "fieldSelector=spec.nodeName=n1",
        &[
            (Some(("x", "n1")), "ADDED"),
            (Some(("y", "n1")), "MODIFIED"),
            (Some(("y", "n2")), "DELETED"),
            (Some(("z", "n2")), ""),
            (Some(("z", "n1")), "ADDED"),
        ],
    ),
    (
        "labelSelector=mark=x",
        &[
            (Some(("y", "n1")), ""),
            (Some(("x", "n1")), "ADDED"),
            (Some(("y", "n1")), "DELETED"),
            (Some(("x", "n1")), "ADDED"),
            (Some(("y", "n1")), "DELETED"),
            (None, ""),
        ],
    ),
    (
        "labelSelector=mark=x&fieldSelector=spec.nodeName!=n2",
        &[
            (Some(("x", "n1")), "ADDED"),
            (Some(("x", "n2")), "DELETED"),
            (Some(("x", "n3")), "ADDED"),
            (None, "DELETED"),
        ],
    ),
];

/// Takes a step. The pod afterwards; of a deletion, as it was.
async fn take(lab: &Lab, key: &str, step: Step) -> Result<Value, Failure> {
    let pods = lab.pods();
    let Some((mark, node)) = step else { return pods.delete(key).await };
    if lab.stored(key).await?.is_some() {
        let labels = json!({"mark": mark});
        return pods
            .merge(key, &json!({"metadata": {"labels": labels}, "spec": {"nodeName": node}}))
            .await;
    }
    let mut new = pod_on(key, node);
    new["metadata"]["labels"] = json!({"mark": mark});
    pods.create(&new).await
}

/// Takes the steps of a flow, each with one next to it that nobody watches, and looks at the events.
async fn flow(
    lab: &Lab,
    events: &mut Events,
    watched: &str,
    aside: &str,
    steps: &[(Step, &str)],
) -> Outcome {
    let mut before = Value::Null;
    for (step, kind) in steps {
        take(lab, aside, *step).await?;
        let after = take(lab, watched, *step).await?;
        if !kind.is_empty() {
            let told = events.expect(kind).await?;
            let mut shown = if *kind == "DELETED" { before } else { after.clone() };
            // What is gone, or gone from here, is what it was, at the version of its going.
            shown["metadata"]["resourceVersion"] = after["metadata"]["resourceVersion"].clone();
            ensure_eq!(told, shown, "{step:?} is {kind}");
        }
        before = after;
    }
    Ok(())
}

async fn flows(lab: &Lab, name: &str, aside: impl Fn(&str) -> String) -> Outcome {
    for (number, (selector, steps)) in FLOWS.into_iter().enumerate() {
        let namespace = format!("{name}{number}");
        let only = if name == "one" { "&fieldSelector=metadata.name=foo" } else { "" };
        let only = match selector.split_once("fieldSelector=") {
            Some((rest, fields)) if !only.is_empty() => {
                format!("{rest}fieldSelector=metadata.name=foo,{fields}")
            }
            _ => format!("{selector}{only}"),
        };
        let query = format!("{only}&resourceVersion={}", lab.revision().await?);
        let mut events = lab.pods().watch(&namespace, &query).await?;
        let watched = format!("{namespace}/foo");
        flow(lab, &mut events, &watched, &aside(&namespace), steps)
            .await
            .map_err(|failure| failure.when(format!("flow {number}, {query}")))?;
    }
    Ok(())
}

pub(super) async fn case_40_watch(lab: &Lab) -> Outcome {
    // A namespace whose name begins like the one that is watched.
    flows(lab, "all", |namespace| format!("{namespace}x/foo")).await
}

pub(super) async fn case_40_watch_of_one_object(lab: &Lab) -> Outcome {
    // An object whose name begins like the one that is watched.
    flows(lab, "one", |namespace| format!("{namespace}/foobar")).await
}

pub(super) async fn case_41_watch_from_zero(lab: &Lab) -> Outcome {
    let pods = lab.pods();
    let created = pods.create(&pod("ns/foo")).await?;
    for query in ["", "resourceVersion=0"] {
        let current = pods.get("ns/foo").await?;
        let mut events = pods.watch("ns", query).await?;
        ensure_eq!(events.expect("ADDED").await?, current, "{query:?}");
        let updated = pods.set("ns/foo", "note", &format!("after {query}")).await?;
        ensure_eq!(events.expect("MODIFIED").await?, updated, "{query:?}");
    }
    pods.delete("ns/foo").await?;
    let again = pods.create(&pod_on("ns/foo", "again")).await?;
    lab.compact(version(&again)?).await?;
    for lab in [&lab.newcomer().await?, lab] {
        let mut events = lab.pods().watch("ns", "resourceVersion=0").await?;
        ensure_eq!(events.expect("ADDED").await?, again, "after a compaction");
    }
    let newcomer = lab.newcomer().await?;
    let query = format!("resourceVersion={}", version(&created)?);
    let mut events = newcomer.pods().watch("ns", &query).await?;
    let status = events.expect("ERROR").await?;
    ensure_eq!((&status["code"], &status["reason"]), (&410.into(), &"Expired".into()));
    ensure_eq!(events.next().await?, None, "nothing follows an error");
    Ok(())
}

pub(super) async fn case_42_delete_trigger_watch(lab: &Lab) -> Outcome {
    let created = lab.pods().create(&pod("ns/foo")).await?;
    let query = format!("resourceVersion={}", version(&created)?);
    let mut events = lab.pods().watch("ns", &query).await?;
    lab.pods().delete("ns/foo").await?;
    ensure_eq!(key(&events.expect("DELETED").await?), "ns/foo");
    Ok(())
}

pub(super) async fn case_43_watch_from_non_zero(lab: &Lab) -> Outcome {
    let created = lab.pods().create(&pod("ns/foo")).await?;
    let query = format!("resourceVersion={}", version(&created)?);
    let mut events = lab.pods().watch("ns", &query).await?;
    let updated = lab.pods().set("ns/foo", "note", "new").await?;
    ensure_eq!(events.expect("MODIFIED").await?, updated);
    // The past is told as well as the present.
    let newcomer = lab.newcomer().await?;
    let mut events = newcomer.pods().watch("ns", &query).await?;
    ensure_eq!(events.expect("MODIFIED").await?, updated);
    Ok(())
}

pub(super) async fn case_44_delayed_watch_delivery(lab: &Lab) -> Outcome {
    let query = format!("resourceVersion={}", lab.revision().await?);
    let mut events = lab.pods().watch("ns", &query).await?;
    let mut versions = Vec::new();
    for n in 0..21 {
        versions.push(version(&lab.pods().create(&pod(&format!("ns/pod-{n}"))).await?)?);
    }
    // Nobody has read until now.
    let mut seen = Vec::new();
    for _ in 0..21 {
        seen.push(version(&events.expect("ADDED").await?)?);
    }
    ensure_eq!(seen, versions);
    Ok(())
}

pub(super) async fn case_47_watch_context_cancel(lab: &Lab) -> Outcome {
    let query = format!("resourceVersion={}", lab.revision().await?);
    let server = lab.newcomer().await?;
    let mut open = server.pods().watch("ns", &query).await?;
    let mut left = server.pods().watch("ns", &query).await?;
    lab.pods().create(&pod("ns/foo")).await?;
    open.expect("ADDED").await?;
    left.expect("ADDED").await?;
    // A client that leaves.
    drop(left);
    // A server that stops: the watch ends, and nothing is wrong.
    server.stop();
    ensure_eq!(open.rest().await?, [], "what comes after the end");
    Ok(())
}

pub(super) async fn case_48_watcher_timeout(lab: &Lab) -> Outcome {
    let query = format!("resourceVersion={}", lab.revision().await?);
    let mut idle = Vec::new();
    for _ in 0..50 {
        idle.push(lab.pods().watch("ns", &query).await?);
    }
    let mut reading = lab.pods().watch("ns", &query).await?;
    let writing = async {
        for n in 0..22 {
            lab.pods().create(&pod(&format!("ns/pod-{n}"))).await?;
        }
        Ok::<_, Failure>(())
    };
    let (seen, ()) = tokio::try_join!(next(&mut reading, 22), writing)?;
    ensure_eq!(seen.len(), 22);
    // And those who did not read have lost nothing either.
    for events in &mut idle {
        ensure_eq!(next(events, 22).await?, seen);
    }
    Ok(())
}

pub(super) async fn case_49_watch_delete_event_object_have_latest_rv(lab: &Lab) -> Outcome {
    let created = lab.pods().create(&pod("ns/foo")).await?;
    let query = format!("resourceVersion={}", version(&created)?);
    let mut events = lab.pods().watch("ns", &query).await?;
    let mut selected =
        lab.pods().watch("ns", &format!("{query}&fieldSelector=metadata.name=foo")).await?;
    let deleted = lab.pods().delete("ns/foo").await?;
    ensure!(version(&deleted)? > version(&created)?, "{deleted} is not after {created}");
    ensure_eq!(events.expect("DELETED").await?, deleted);
    ensure_eq!(selected.expect("DELETED").await?, deleted);
    // Whoever goes on from there sees what came later, and nothing twice.
    let query = format!("resourceVersion={}", version(&deleted)?);
    let mut later = lab.pods().watch("ns", &query).await?;
    let again = lab.pods().create(&pod("ns/foo")).await?;
    let told = tokio::time::timeout(Duration::from_secs(20), later.expect("ADDED")).await;
    ensure_eq!(told.map_err(Failure::new)??, again);
    Ok(())
}
