//! Lists and watches of namespaces, names and selected fields, alone and together.

use futures_util::future::try_join_all;
use serde_json::json;

use super::{
    failure::{Failure, Outcome, ensure_eq},
    lab::{Lab, Pods, brief, keys, pod_on, url, version},
};
use crate::testing::wire::Events;

const PODS: [(&str, &str); 4] =
    [("ns1/a", "n1"), ("ns1/b", "n2"), ("ns2/a", "n1"), ("ns2/c", "n2")];

/// The namespace of a request, its field selector, and the pods that it means.
const NAMESPACED: [(&str, &str, &[&str]); 17] = [
    ("", "", &["ns1/a", "ns1/b", "ns2/a", "ns2/c"]),
    ("ns1", "", &["ns1/a", "ns1/b"]),
    ("ns3", "", &[]),
    ("", "metadata.namespace=ns1", &["ns1/a", "ns1/b"]),
    ("", "metadata.name=a", &["ns1/a", "ns2/a"]),
    ("", "spec.nodeName=n1", &["ns1/a", "ns2/a"]),
    ("", "metadata.name=a,spec.nodeName=n1", &["ns1/a", "ns2/a"]),
    ("", "metadata.namespace=ns1,metadata.name=a", &["ns1/a"]),
    ("", "metadata.namespace=ns1,spec.nodeName=n2", &["ns1/b"]),
    ("", "metadata.namespace=ns1,metadata.name=b,spec.nodeName=n2", &["ns1/b"]),
    ("", "metadata.namespace=ns1,metadata.name=b,spec.nodeName=n1", &[]),
    ("ns1", "metadata.name=a", &["ns1/a"]),
    ("ns1", "spec.nodeName=n1", &["ns1/a"]),
    ("ns1", "metadata.namespace=ns1", &["ns1/a", "ns1/b"]),
    ("ns1", "metadata.namespace=ns2", &[]),
    ("ns1", "metadata.name=a,spec.nodeName=n2", &[]),
    ("ns1", "metadata.namespace=ns1,metadata.name=b,spec.nodeName=n2", &["ns1/b"]),
];

async fn create(pods: &Pods) -> Outcome {
    for (key, node) in PODS {
        pods.create(&pod_on(key, node)).await?;
    }
    Ok(())
}

pub(super) async fn case_37_namespace_scoped_list(lab: &Lab) -> Outcome {
    create(&lab.pods()).await?;
    let (last, newcomer) = (lab.revision().await?, lab.newcomer().await?);
    for (namespace, fields, expected) in NAMESPACED {
        for freshness in ["", "resourceVersion=0", "limit=500"] {
            let query = format!("fieldSelector={fields}&{freshness}");
            let list = lab.pods().list(namespace, &query).await?;
            ensure_eq!(keys(&list), expected, "{namespace:?} {query}");
        }
        let exact = format!("resourceVersion={last}&resourceVersionMatch=Exact");
        let query = format!("fieldSelector={fields}&{exact}");
        let list = newcomer.pods().list(namespace, &query).await?;
        ensure_eq!(keys(&list), expected, "{namespace:?} {query}");
    }
    Ok(())
}

/// What a watch tells up to a version, which it says by a bookmark that it has reached.
async fn until(events: &mut Events, last: u64) -> Result<Vec<String>, Failure> {
    let mut seen = Vec::new();
    while let Some(event) = events.next().await? {
        if event.kind != "BOOKMARK" {
            seen.push(brief(&event));
        } else if version(&event.object)? >= last {
            return Ok(seen);
        }
    }
    Err(Failure::new(format!("the watch ended without a bookmark of {last}, after {seen:?}")))
}

pub(super) async fn case_53_namespace_scoped_watch(lab: &Lab) -> Outcome {
    let before = lab.revision().await?;
    create(&lab.pods()).await?;
    // Onto another node and back: out of each selection and into it again.
    for (key, node) in PODS {
        lab.pods().set(key, "nodeName", "n3").await?;
        lab.pods().set(key, "nodeName", node).await?;
    }
    let last = version(&lab.pods().delete("ns2/c").await?)?;
    let rows = NAMESPACED.into_iter().map(async |(namespace, fields, expected)| {
        let by_node = fields.contains("nodeName");
        let mut told: Vec<String> = expected.iter().map(|key| format!("ADDED {key}")).collect();
        for key in expected {
            let [out, back] =
                if by_node { ["DELETED", "ADDED"] } else { ["MODIFIED", "MODIFIED"] };
            told.extend([format!("{out} {key}"), format!("{back} {key}")]);
        }
        told.extend(expected.contains(&"ns2/c").then(|| "DELETED ns2/c".to_owned()));
        let query = format!(
            "fieldSelector={fields}&resourceVersion={before}&allowWatchBookmarks=true&timeoutSeconds=3"
        );
        let mut events = lab.pods().watch(namespace, &query).await?;
        let seen = until(&mut events, last).await?;
        ensure_eq!(seen, told, "{namespace:?} {fields}");
        Ok::<_, Failure>(())
    });
    try_join_all(rows).await?;
    Ok(())
}

pub(super) async fn case_52_cluster_scoped_watch(lab: &Lab) -> Outcome {
    let hosts = url("hosts", "");
    let host =
        |name: &str, node: &str| json!({"metadata": {"name": name}, "spec": {"nodeName": node}});
    let before = lab.revision().await?;
    let mut last = 0;
    for (name, node) in [("a", "n1"), ("b", "n2"), ("ab", "n1")] {
        last = version(&lab.post(&hosts, &host(name, node)).await?.ok()?)?;
    }
    let rows: [(&str, &[&str]); 6] = [
        ("", &["ADDED a", "ADDED b", "ADDED ab"]),
        ("metadata.name=a", &["ADDED a"]),
        ("metadata.name=c", &[]),
        ("spec.nodeName=n1", &["ADDED a", "ADDED ab"]),
        ("metadata.name=a,spec.nodeName=n1", &["ADDED a"]),
        ("metadata.name=a,spec.nodeName=n2", &[]),
    ];
    try_join_all(rows.map(async |(fields, expected)| {
        let url = format!(
            "{hosts}?watch=true&fieldSelector={fields}&resourceVersion={before}&allowWatchBookmarks=true&timeoutSeconds=3"
        );
        let seen = until(&mut lab.watch(&url).await?, last).await?;
        ensure_eq!(seen, expected, "{fields}");
        Ok::<_, Failure>(())
    }))
    .await?;
    Ok(())
}
