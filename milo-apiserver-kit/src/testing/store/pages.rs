//! Lists in pages.

use serde_json::{Value, json};

use super::{
    failure::{Failure, Outcome, ensure, ensure_eq},
    lab::{Lab, Pods, items, keys, pod, pod_on, token, version},
};

async fn create(lab: &Lab, keys: &[&str]) -> Outcome {
    for key in keys {
        lab.pods().create(&pod(key)).await?;
    }
    Ok(())
}

/// Pages to the end: each with its keys and its version.
async fn pages(pods: &Pods, query: &str) -> Result<Vec<(Vec<String>, u64)>, Failure> {
    let (mut pages, mut next) = (Vec::new(), String::new());
    loop {
        let list = pods.list("", &format!("{query}&continue={next}")).await?;
        pages.push((keys(&list), version(&list)?));
        if token(&list).is_empty() {
            return Ok(pages);
        }
        token(&list).clone_into(&mut next);
    }
}

pub(super) async fn case_24_list_continuation(lab: &Lab) -> Outcome {
    create(lab, &["a/one", "b/one", "b/two"]).await?;
    let first = lab.pods().list("", "limit=1").await?;
    ensure_eq!((keys(&first), token(&first).is_empty()), (vec!["a/one".to_owned()], false));
    let asked = lab.storage().lists();
    let rest = lab.pods().list("", &format!("continue={}", token(&first))).await?;
    ensure_eq!((keys(&rest), token(&rest)), (vec!["b/one".to_owned(), "b/two".to_owned()], ""));
    ensure_eq!(version(&rest)?, version(&first)?, "all pages are of one version");
    let at = version(&first)?;
    let expected = ["a/one", "b/one", "b/two"].map(|key| (vec![key.to_owned()], at));
    let query = format!("limit=1&continue={}", token(&first));
    let second = lab.pods().list("", &query).await?;
    let query = format!("limit=1&continue={}", token(&second));
    let third = lab.pods().list("", &query).await?;
    let found = [first, second, third];
    let found = found.iter().map(|page| Ok((keys(page), version(page)?)));
    ensure_eq!(found.collect::<Result<Vec<_>, Failure>>()?, expected, "page by page");
    // Nothing has changed since, so that nobody has to be asked.
    ensure_eq!(lab.storage().lists(), asked, "lists that the storage was asked for");
    Ok(())
}

pub(super) async fn case_25_list_pagination_rare_object(lab: &Lab) -> Outcome {
    let mut all: Vec<Value> = (0..1000).map(|n| pod(&format!("ns/pod-{n:04}"))).collect();
    all.push(pod_on("ns/pod-last", "rare"));
    lab.store_all(&all).await?;
    let list = lab.pods().list("", "limit=1&fieldSelector=spec.nodeName=rare").await?;
    ensure_eq!(keys(&list), ["ns/pod-last"]);
    ensure_eq!(token(&list), "", "nothing comes after the last one");
    ensure_eq!(list["metadata"]["remainingItemCount"], Value::Null);
    Ok(())
}

pub(super) async fn case_26_list_continuation_with_filter(lab: &Lab) -> Outcome {
    for (n, node) in ["yes", "no", "no", "yes", "no", "yes", "no"].into_iter().enumerate() {
        lab.pods().create(&pod_on(&format!("ns/pod-{n}"), node)).await?;
    }
    let query = "limit=2&fieldSelector=spec.nodeName=yes";
    let first = lab.pods().list("", query).await?;
    ensure_eq!(keys(&first), ["ns/pod-0", "ns/pod-3"]);
    ensure!(!token(&first).is_empty(), "the list goes on");
    ensure_eq!(first["metadata"]["remainingItemCount"], Value::Null);
    let second = lab.pods().list("", &format!("{query}&continue={}", token(&first))).await?;
    ensure_eq!(keys(&second), ["ns/pod-5"]);
    ensure_eq!(token(&second), "", "what comes after is not selected");
    ensure_eq!(version(&second)?, version(&first)?);
    Ok(())
}

const TOO_OLD: &str =
    "The provided continue parameter is too old to display a consistent list result.";

pub(super) async fn case_27_list_inconsistent_continuation(lab: &Lab) -> Outcome {
    create(lab, &["a/one", "b/one", "b/two"]).await?;
    let first = lab.pods().list("", "limit=1").await?;
    let updated = lab.pods().set("b/two", "note", "new").await?;
    let last = version(&lab.pods().set("b/one", "note", "new").await?)?;
    lab.compact(last).await?;
    // A cache that remembers tells the same as one that does not.
    for pods in [lab.pods(), lab.newcomer().await?.pods()] {
        let query = format!("limit=1&continue={}", token(&first));
        let status = pods.ask("", &query).await?.refused(410, "Expired", TOO_OLD)?;
        let query = format!("limit=1&continue={}", token(&status));
        let second = pods.list("", &query).await?;
        ensure_eq!(keys(&second), ["b/one"]);
        ensure!(version(&second)? >= last, "{second} is not of the newest state");
        let query = format!("limit=1&continue={}", token(&second));
        let third = pods.list("", &query).await?;
        ensure_eq!(items(&third), std::slice::from_ref(&updated));
        ensure_eq!(version(&third)?, version(&second)?, "the version stays from here on");
        ensure_eq!(token(&third), "");
    }
    Ok(())
}

pub(super) async fn case_28_list_resource_version_match(lab: &Lab) -> Outcome {
    for n in 0..6 {
        let node = if n % 2 == 0 { "yes" } else { "no" };
        lab.pods().create(&pod_on(&format!("ns/pod-{n}"), node)).await?;
    }
    let select = "fieldSelector=spec.nodeName=yes";
    let first = lab.pods().list("", &format!("limit=1&{select}")).await?;
    // What is created while the list is read, before and behind the place where it is.
    lab.pods().create(&pod_on("ns/pod-00", "yes")).await?;
    lab.pods().create(&pod_on("ns/pod-9", "yes")).await?;
    let query = format!("{select}&continue={}", token(&first));
    let rest = lab.pods().list("", &query).await?;
    let at = version(&first)?;
    let all: Vec<Value> = [items(&first), items(&rest)].concat();
    let exact = format!("{select}&resourceVersion={at}&resourceVersionMatch=Exact");
    let exact = lab.pods().list("", &exact).await?;
    ensure_eq!((items(&exact), version(&exact)?), (all.as_slice(), at));
    let newer = format!("{select}&resourceVersion={at}&resourceVersionMatch=NotOlderThan");
    let newer = lab.pods().list("", &newer).await?;
    ensure!(version(&newer)? >= at, "{newer} is older than {at}");
    for object in &all {
        ensure!(items(&newer).contains(object), "{object} is missing");
    }
    Ok(())
}

pub(super) async fn case_36_list_paging(lab: &Lab) -> Outcome {
    let names = ["ns/b", "ns/d", "ns/f", "ns/h"];
    create(lab, &names).await?;
    let (mut seen, mut next) = (Vec::new(), String::new());
    for new in ["ns/a", "ns/e", "ns/i", "ns/g"] {
        let list = lab.pods().list("", &format!("limit=1&continue={next}")).await?;
        seen.extend(keys(&list));
        token(&list).clone_into(&mut next);
        lab.pods().create(&pod(new)).await?;
    }
    ensure_eq!(seen, names, "what was there when the list began");
    ensure_eq!(next, "");
    let all = pages(&lab.pods(), "limit=3").await?;
    ensure_eq!(all.iter().map(|(keys, _)| keys.len()).collect::<Vec<_>>(), [3, 3, 2]);
    ensure_eq!(
        json!(all.iter().flat_map(|(keys, _)| keys).collect::<Vec<_>>()),
        json!(["ns/a", "ns/b", "ns/d", "ns/e", "ns/f", "ns/g", "ns/h", "ns/i"])
    );
    Ok(())
}
