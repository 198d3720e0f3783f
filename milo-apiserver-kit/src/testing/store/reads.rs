//! Getting one object, and lists of one key or of what lies below it.

use futures_util::future::try_join_all;
use serde_json::{Value, json};

use super::{
    failure::{Failure, Outcome, ensure, ensure_eq},
    lab::{Lab, items, keys, object_url, pod, pod_on, token, version},
};
use crate::testing::wire::Answer;

pub(super) async fn case_04_get(lab: &Lab) -> Outcome {
    let created = lab.pods().create(&pod("ns/foo")).await?;
    let updated = lab.pods().set("ns/foo", "note", "new").await?;
    let elsewhere = lab.unrelated().await?;
    let get = async |key: &str, query: String| -> Result<Answer, Failure> {
        Ok(lab.get(&format!("{}?{query}", object_url(key))).await?)
    };
    let newest = async |query: String| {
        ensure_eq!(get("ns/foo", query.clone()).await?.ok()?, updated, "get with {query:?}");
        Ok::<_, Failure>(())
    };
    // Zero and old versions may be answered with what was then; here they never are.
    let found = try_join_all([
        newest(String::new()),
        newest("resourceVersion=0".to_owned()),
        newest(format!("resourceVersion={}", version(&created)?)),
        newest(format!("resourceVersion={}", version(&updated)?)),
        newest(format!("resourceVersion={elsewhere}")),
    ]);
    let too_large = async {
        let answer = get("ns/foo", format!("resourceVersion={}", i64::MAX)).await?;
        let status = answer.refused(504, "Timeout", "Too large resource version")?;
        let cause = &status["details"]["causes"][0]["reason"];
        ensure_eq!(*cause, "ResourceVersionTooLarge", "{status}");
        Ok::<_, Failure>(())
    };
    let missing = async {
        get("ns/bar", String::new()).await?.refused(404, "NotFound", "not found")?;
        let query = format!("resourceVersion={elsewhere}");
        get("ns/bar", query).await?.refused(404, "NotFound", "not found")?;
        Ok::<_, Failure>(())
    };
    tokio::try_join!(found, too_large, missing)?;
    Ok(())
}

/// A list of the newest state has the revision that was the newest one meanwhile.
async fn consistent(lab: &Lab, query: &str) -> Result<Value, Failure> {
    let before = lab.revision().await?;
    let list = lab.pods().list("", query).await?;
    let (after, at) = (lab.revision().await?, version(&list)?);
    ensure!(before <= at && at <= after, "{query:?}: {at} is not within {before} and {after}");
    Ok(list)
}

pub(super) async fn case_19_consistent_list(lab: &Lab) -> Outcome {
    for name in ["ns/a", "ns/b", "ns/c"] {
        lab.pods().create(&pod(name)).await?;
    }
    let page = lab.pods().list("", "limit=1").await?;
    let later = at_latest(token(&page))?;
    for _ in 0..3 {
        // Nothing of the kind changes, yet the store goes on.
        let written = lab.unrelated().await?;
        let any = version(&lab.pods().list("", "resourceVersion=0").await?)?;
        let list = consistent(lab, "").await?;
        ensure!(version(&list)? >= written, "{written} is missing from {list}");
        ensure_eq!(keys(&list), ["ns/a", "ns/b", "ns/c"]);
        let caught_up = version(&lab.pods().list("", "resourceVersion=0").await?)?;
        ensure!(caught_up >= version(&list)?.max(any), "the cache went back to {caught_up}");
        let rest = consistent(lab, &format!("continue={later}")).await?;
        ensure_eq!(keys(&rest), ["ns/b", "ns/c"]);
        ensure!(version(&rest)? >= written, "{written} is missing from {rest}");
    }
    Ok(())
}

/// A token that goes on where this one does, in the newest state.
pub(super) fn at_latest(token: &str) -> Result<String, Failure> {
    use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
    let mut wire: Value = serde_json::from_slice(&URL_SAFE_NO_PAD.decode(token)?)?;
    wire["rv"] = json!(-1);
    Ok(URL_SAFE_NO_PAD.encode(wire.to_string()))
}

pub(super) async fn case_20_get_list_non_recursive(lab: &Lab) -> Outcome {
    let old = lab.pods().create(&pod_on("ns/foo", "old")).await?;
    // What only begins like the key.
    lab.pods().create(&pod_on("ns/foobar", "old")).await?;
    let new = lab.pods().set("ns/foo", "nodeName", "new").await?;
    let (previous, current) = (version(&old)?, version(&new)?);
    let none: &[&Value] = &[];
    let rows: [(&str, String, &[&Value]); 11] = [
        ("foo", String::new(), &[&new]),
        ("foo", "resourceVersion=0".into(), &[&new]),
        ("foo", "resourceVersion=0&resourceVersionMatch=NotOlderThan".into(), &[&new]),
        ("foo", format!("resourceVersion={current}"), &[&new]),
        ("foo", format!("resourceVersion={previous}"), &[&new]),
        ("foo", format!("resourceVersion={previous}&resourceVersionMatch=NotOlderThan"), &[&new]),
        ("foo", format!("resourceVersion={current}&resourceVersionMatch=Exact"), &[&new]),
        ("foo", format!("resourceVersion={previous}&resourceVersionMatch=Exact"), &[&old]),
        ("fo", String::new(), none),
        ("foo,spec.nodeName=old", String::new(), none),
        ("foo,spec.nodeName=new", String::new(), &[&new]),
    ];
    for (name, query, expected) in rows {
        let query = format!("fieldSelector=metadata.name={name}&{query}");
        let list = lab.pods().list("ns", &query).await?;
        let found: Vec<&Value> = items(&list).iter().collect();
        ensure_eq!(found, expected, "{query}");
        version(&list)?;
    }
    let query = format!("fieldSelector=metadata.name=foo&resourceVersion={}", i64::MAX);
    let answer = lab.pods().ask("ns", &query).await?;
    answer.refused(504, "Timeout", "Too large resource version")?;
    Ok(())
}

pub(super) async fn case_21_get_list_recursive_prefix(lab: &Lab) -> Outcome {
    let mut last = 0;
    for name in ["foo/foo", "foo/foobar", "foobar/foo", "foobar/foobar"] {
        last = version(&lab.pods().create(&pod(name)).await?)?;
    }
    let rows: [(&str, &str, &[&str]); 8] = [
        ("foo", "", &["foo/foo", "foo/foobar"]),
        ("foobar", "", &["foobar/foo", "foobar/foobar"]),
        ("fo", "", &[]),
        ("", "", &["foo/foo", "foo/foobar", "foobar/foo", "foobar/foobar"]),
        ("foo", "metadata.name=foo", &["foo/foo"]),
        ("foo", "metadata.name=foobar", &["foo/foobar"]),
        ("foo", "metadata.name=fo", &[]),
        ("", "metadata.name=foo", &["foo/foo", "foobar/foo"]),
    ];
    lab.pods().list("", "").await?;
    for (namespace, field, expected) in rows {
        for freshness in [
            String::new(),
            "resourceVersion=0&resourceVersionMatch=NotOlderThan".to_owned(),
            format!("resourceVersion={last}&resourceVersionMatch=Exact"),
        ] {
            let query = format!("fieldSelector={field}&{freshness}");
            let list = lab.pods().list(namespace, &query).await?;
            ensure_eq!(keys(&list), expected, "{namespace} {query}");
        }
    }
    Ok(())
}
