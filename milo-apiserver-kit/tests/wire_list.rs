//! `spec/wire.md` sections 4.1 to 4.4: selectors, lists, their freshness and their pages.

mod support;

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use milo_core::storage::Revision;
use serde_json::{Value, json};
use support::{Refusal, Wire, membership, names, refusals, version};

const PLACE: &str = "namespaces/organization-acme/organizationmemberships";

/// Organizations `o0`, `o1`, ... one after the other; the revision of each.
async fn organizations(wire: &Wire, count: usize) -> Vec<String> {
    let mut versions = Vec::with_capacity(count);
    for index in 0..count {
        versions.push(version(&wire.organization(&format!("o{index}")).await));
    }
    versions
}

fn token(rv: i64, start: &str) -> String {
    let token = json!({"v": "meta.k8s.io/v1", "rv": rv, "start": start});
    URL_SAFE_NO_PAD.encode(token.to_string())
}

async fn list(wire: &Wire, query: &str) -> Value {
    wire.get(&format!("organizations?{query}")).await.ok()
}

#[tokio::test]
async fn selectors() {
    let wire = Wire::start().await;
    wire.organization("acme").await;
    wire.organization("other").await;
    for (name, user, labels) in [
        ("a", "u1", json!({"tier": "gold", "n": "1"})),
        ("b", "u2", json!({"tier": "silver", "n": "20"})),
        ("c", "u1", json!({})),
    ] {
        let mut object = membership(name, user, "acme");
        object["metadata"]["labels"] = labels;
        wire.post(PLACE, &object).await.created();
    }
    wire.post(
        "namespaces/organization-other/organizationmemberships",
        &membership("a", "u9", "other"),
    )
    .await
    .created();
    for (query, expected) in [
        ("labelSelector=tier", &["a", "b"][..]),
        ("labelSelector=!tier", &["c"]),
        ("labelSelector=tier=gold", &["a"]),
        ("labelSelector=tier%3D%3Dgold", &["a"]),
        ("labelSelector=tier!=gold", &["b", "c"]),
        ("labelSelector=tier%20in%20(gold,silver)", &["a", "b"]),
        ("labelSelector=tier%20notin%20(gold)", &["b", "c"]),
        ("labelSelector=n%3E3", &["b"]),
        ("labelSelector=n%3C3", &["a"]),
        ("labelSelector=tier,n=20", &["b"]),
        ("labelSelector=", &["a", "b", "c"]),
        ("fieldSelector=metadata.name=b", &["b"]),
        ("fieldSelector=metadata.name!=b", &["a", "c"]),
        ("fieldSelector=metadata.name=none", &[]),
        ("fieldSelector=metadata.namespace=organization-acme", &["a", "b", "c"]),
        ("fieldSelector=metadata.namespace=organization-other", &[]),
        ("fieldSelector=spec.userRef.name%3D%3Du1", &["a", "c"]),
        ("fieldSelector=spec.userRef.name=u1,metadata.name!=a&labelSelector=!tier", &["c"]),
    ] {
        let found = wire.get(&format!("{PLACE}?{query}")).await.ok();
        assert_eq!(names(&found), expected, "4.1: {query}");
        assert!(version(&found).parse::<u64>().unwrap() > 0, "4.2: {query}");
    }
    let everywhere = wire.get("organizationmemberships?fieldSelector=metadata.name=a").await.ok();
    assert_eq!(names(&everywhere), ["a", "a"], "4.1: in all namespaces");
    let one = wire
        .get("organizationmemberships?fieldSelector=metadata.namespace=organization-other")
        .await
        .ok();
    assert_eq!(names(&one), ["a"], "4.1");
    let label = "unable to parse requirement: …";
    let bad: &[(&str, &str)] = &[
        ("labelSelector=a%3D%3D%3Db", label),
        ("labelSelector=a%20in%20b", label),
        ("labelSelector=a%20within%20(b)", label),
        ("labelSelector=a=b,,c", label),
        ("labelSelector=-a", label),
        ("labelSelector=a=b%20c", label),
        ("labelSelector=n%3Ex", label),
        (
            "fieldSelector=spec.roles=x",
            "\"spec.roles\" is not a known field selector: only \"metadata.name\", \"metadata.namespace\"…",
        ),
        (
            "fieldSelector=metadata.name",
            "invalid selector: 'metadata.name'; can't understand 'metadata.name'",
        ),
        (
            "fieldSelector=metadata.name%3Da%5Cb",
            "invalid field selector: invalid escape sequence: …",
        ),
    ];
    for (query, text) in bad {
        for watch in ["", "&watch=true"] {
            let url = format!("{PLACE}?{query}{watch}");
            refusals(&wire, &[("4.1", "GET", &url, "", 400, "BadRequest", text)]).await;
        }
    }
    wire.get("organizations?fieldSelector=spec.type=x").await.refused(
        "4.1",
        400,
        "BadRequest",
        "\"spec.type\" is not a known field selector: only \"metadata.name\"",
    );
}

#[tokio::test]
async fn an_empty_list_is_a_list() {
    let wire = Wire::start().await;
    let empty = list(&wire, "").await;
    assert_eq!((&empty["kind"], &empty["items"]), (&"OrganizationList".into(), &json!([])), "4.2");
    assert_eq!(empty["apiVersion"], support::API_VERSION, "4.2");
    assert!(version(&empty).parse::<u64>().unwrap() > 0, "4.2: never 0 nor nothing");
    wire.organization("a").await;
    let elsewhere = wire.get("projects").await.ok();
    assert_ne!(version(&elsewhere), version(&empty), "4.2: the store's revision, not the kind's");
    let item = list(&wire, "").await["items"][0].clone();
    assert_eq!(item, wire.get("organizations/a").await.ok(), "4.2: items say what they are");
}

#[tokio::test]
async fn freshness() {
    let wire = Wire::start().await;
    let versions = organizations(&wire, 3).await;
    wire.delete("organizations/o0").await.ok();
    let now = version(&list(&wire, "").await);
    let second = &versions[1];
    for (query, expected, exact) in [
        (String::new(), &["o1", "o2"][..], Some(&now)),
        ("resourceVersion=0".into(), &["o1", "o2"], None),
        ("resourceVersion=0&limit=1".into(), &["o1", "o2"], None),
        ("resourceVersion=0&resourceVersionMatch=NotOlderThan".into(), &["o1", "o2"], None),
        (format!("resourceVersion={second}"), &["o1", "o2"], Some(&now)),
        (
            format!("resourceVersion={second}&resourceVersionMatch=NotOlderThan"),
            &["o1", "o2"],
            Some(&now),
        ),
        (
            format!("resourceVersion={second}&resourceVersionMatch=Exact"),
            &["o0", "o1"],
            Some(second),
        ),
        (format!("resourceVersion={second}&limit=5"), &["o0", "o1"], Some(second)),
        (format!("resourceVersion={second}&limit=1"), &["o0"], Some(second)),
        (format!("resourceVersion={now}&resourceVersionMatch=Exact"), &["o1", "o2"], Some(&now)),
        (
            format!(
                "resourceVersion={second}&resourceVersionMatch=Exact&fieldSelector=metadata.name=o0"
            ),
            &["o0"],
            Some(second),
        ),
    ] {
        let found = list(&wire, &query).await;
        assert_eq!(names(&found), expected, "4.3: {query}");
        assert!(exact.is_none_or(|exact| *exact == version(&found)), "4.3: {query}");
    }
    let invalid = "ListOptions.meta.k8s.io \"\" is invalid: ";
    let unset = format!(
        "{invalid}resourceVersionMatch: Forbidden: resourceVersionMatch is forbidden unless resourceVersion is provided"
    );
    let zero = format!(
        "{invalid}resourceVersionMatch: Forbidden: resourceVersionMatch \"exact\" is forbidden for resourceVersion \"0\""
    );
    let sloppy = format!(
        "{invalid}resourceVersionMatch: Unsupported value: \"Sloppy\": supported values: …"
    );
    let with_continue = format!(
        "{invalid}resourceVersionMatch: Forbidden: resourceVersionMatch is forbidden when continue is provided"
    );
    let initial =
        format!("{invalid}sendInitialEvents: Forbidden: sendInitialEvents is forbidden for list");
    let both = "specifying resource version is not allowed when using continue";
    let cases: &[Refusal<'_>] = &[
        ("4.3", "GET", "organizations?resourceVersionMatch=Exact", "", 422, "Invalid", &unset),
        (
            "4.3",
            "GET",
            "organizations?resourceVersionMatch=NotOlderThan",
            "",
            422,
            "Invalid",
            &unset,
        ),
        (
            "4.3",
            "GET",
            "organizations?resourceVersion=0&resourceVersionMatch=Exact",
            "",
            422,
            "Invalid",
            &zero,
        ),
        (
            "4.3",
            "GET",
            "organizations?resourceVersion=1&resourceVersionMatch=Sloppy",
            "",
            422,
            "Invalid",
            &sloppy,
        ),
        (
            "4.3",
            "GET",
            "organizations?continue=x&resourceVersionMatch=Exact",
            "",
            422,
            "Invalid",
            &with_continue,
        ),
        ("4.3", "GET", "organizations?sendInitialEvents=true", "", 422, "Invalid", &initial),
        ("4.3", "GET", "organizations?continue=x&resourceVersion=1", "", 400, "BadRequest", both),
        (
            "4.3",
            "GET",
            "organizations?resourceVersion=abc",
            "",
            400,
            "BadRequest",
            "invalid resource version: …",
        ),
        (
            "4.3",
            "GET",
            "organizations?resourceVersion=-1",
            "",
            400,
            "BadRequest",
            "invalid resource version: …",
        ),
        (
            "4.3",
            "GET",
            "organizations?resourceVersion=1.5&limit=1",
            "",
            400,
            "BadRequest",
            "invalid resource version: …",
        ),
        ("2.2", "GET", "organizations?limit=some", "", 400, "BadRequest", "…limit…"),
        (
            "2.2",
            "GET",
            "organizations?export=true",
            "",
            400,
            "BadRequest",
            "the export parameter, deprecated since v1.14, is no longer supported",
        ),
        (
            "2.2",
            "GET",
            "organizations/o1?export=true",
            "",
            400,
            "BadRequest",
            "the export parameter, deprecated since v1.14, is no longer supported",
        ),
    ];
    refusals(&wire, cases).await;
}

#[tokio::test]
async fn the_future_is_waited_for_and_then_refused() {
    let wire = Wire::start().await;
    for query in [
        "resourceVersion=999999",
        "resourceVersion=999999&resourceVersionMatch=Exact",
        "resourceVersion=9223372036854775807&limit=1",
    ] {
        let answer = wire.get(&format!("organizations?{query}")).await;
        let status = answer.refused(
            query,
            504,
            "Timeout",
            "Timeout: Too large resource version: …, current: …",
        );
        let cause =
            json!({"reason": "ResourceVersionTooLarge", "message": "Too large resource version"});
        assert_eq!(status["details"]["causes"], json!([cause]), "4.3: {query}");
        assert_eq!(status["details"]["retryAfterSeconds"], 1, "4.3: {query}");
        assert_eq!(answer.header("retry-after"), "1", "0.2: {query}");
    }
    // What becomes true meanwhile is answered.
    let next = version(&list(&wire, "").await).parse::<u64>().unwrap() + 1;
    let url = format!("resourceVersion={next}");
    let (found, _) = tokio::join!(list(&wire, &url), wire.organization("a"));
    assert_eq!(names(&found), ["a"], "4.3");
}

#[tokio::test]
async fn pages_are_one_list() {
    let wire = Wire::start().await;
    organizations(&wire, 5).await;
    let first = list(&wire, "limit=2").await;
    assert_eq!(
        (names(&first), &first["metadata"]["remainingItemCount"]),
        (vec!["o0", "o1"], &json!(3))
    );
    // What happens now is not seen by the pages to come.
    wire.delete("organizations/o3").await.ok();
    wire.organization("o25").await;
    wire.touch("o4", "changed").await;
    let mut seen = vec!["o0".to_owned(), "o1".to_owned()];
    let mut page = first.clone();
    for (limit, remaining) in [(1, Some(2)), (2, None)] {
        let next = page["metadata"]["continue"].as_str().unwrap().to_owned();
        page = list(&wire, &format!("limit={limit}&continue={next}")).await;
        assert_eq!(version(&page), version(&first), "4.4: one snapshot");
        assert_eq!(
            page["metadata"].get("remainingItemCount").and_then(Value::as_u64),
            remaining,
            "4.4"
        );
        seen.extend(names(&page).into_iter().map(str::to_owned));
    }
    assert_eq!(seen, ["o0", "o1", "o2", "o3", "o4"], "4.4");
    assert!(page["items"][1]["metadata"].get("annotations").is_none(), "4.4: o4 as it was");
    assert!(page["metadata"].get("continue").is_none(), "4.4: the last page");
    let selected = list(&wire, "limit=1&labelSelector=!none").await;
    assert!(selected["metadata"].get("remainingItemCount").is_none(), "4.4: not with selectors");
    assert!(selected["metadata"]["continue"].is_string(), "4.4");
    let all = list(&wire, "limit=0").await;
    assert_eq!(names(&all).len(), 5, "4.4: zero is no limit");
}

#[tokio::test]
async fn pages_are_consistent_while_writes_happen() {
    let wire = Wire::start().await;
    organizations(&wire, 10).await;
    let writes = async {
        for index in 0..60 {
            wire.touch(&format!("o{}", index % 10), &index.to_string()).await;
        }
    };
    let reads = async {
        for _ in 0..15 {
            let mut query = "limit=3".to_owned();
            let (mut rv, mut items): (Option<String>, Vec<Value>) = (None, Vec::new());
            loop {
                let mut page = list(&wire, &query).await;
                let at = rv.get_or_insert_with(|| version(&page)).clone();
                assert_eq!(version(&page), at, "4.4");
                items.append(page["items"].as_array_mut().unwrap());
                let Some(next) = page["metadata"]["continue"].as_str() else { break };
                query = format!("limit=3&continue={next}");
            }
            let rv = rv.unwrap();
            let whole =
                list(&wire, &format!("resourceVersion={rv}&resourceVersionMatch=Exact")).await;
            assert_eq!(whole["items"], Value::Array(items), "4.4: the state at {rv}");
        }
    };
    tokio::join!(writes, reads);
}

#[tokio::test]
async fn continue_tokens() {
    let wire = Wire::start().await;
    let rv: i64 = organizations(&wire, 3).await[2].parse().unwrap();
    let invalid = "invalid continue token: continue key is not valid…";
    for bad in [
        "!!!".to_owned(),
        URL_SAFE_NO_PAD.encode("{"),
        URL_SAFE_NO_PAD.encode("{}"),
        URL_SAFE_NO_PAD.encode(r#"{"v":"v2","rv":1,"start":"a"}"#),
        token(rv, ""),
        token(0, "o0\0"),
        token(-2, "o0\0"),
        token(rv, "../o0"),
        token(rv, "/o0"),
        token(rv, "a//b"),
        token(rv, "\u{10ffff}/../../x"),
    ] {
        let answer = wire.get(&format!("organizations?limit=1&continue={bad}")).await;
        answer.refused(&format!("4.4: {bad}"), 400, "BadRequest", invalid);
    }
    // The token of another collection stays inside the collection that it is used on.
    let page = list(&wire, "limit=1").await;
    let next = page["metadata"]["continue"].as_str().unwrap();
    let other = wire.get(&format!("projects?continue={next}")).await.ok();
    assert_eq!(other["items"], json!([]), "4.4");
    assert_eq!(names(&list(&wire, &format!("continue={}", token(rv, "o0\0"))).await), ["o1", "o2"]);
    assert_eq!(
        names(&list(&wire, &format!("continue={}", token(-1, "o1\0"))).await),
        ["o2"],
        "4.4"
    );
    assert_eq!(
        names(&list(&wire, &format!("continue={}&resourceVersion=0", token(rv, "o1\0"))).await),
        ["o2"]
    );
}

#[tokio::test]
async fn what_was_compacted_has_expired() {
    let wire = Wire::start().await;
    let versions = organizations(&wire, 3).await;
    let page = list(&wire, "limit=1").await;
    let next = page["metadata"]["continue"].as_str().unwrap().to_owned();
    let last = wire.touch("o2", "later").await;
    wire.organization("o3").await;
    wire.server.storage().compact(Revision::new(last.parse().unwrap())).await.unwrap();
    let text = "The resourceVersion for the provided list is too old.";
    for query in ["&resourceVersionMatch=Exact", "&limit=1"] {
        let url = format!("organizations?resourceVersion={}{query}", versions[0]);
        wire.get(&url).await.refused("4.3", 410, "Expired", text);
    }
    let status = wire.get(&format!("organizations?limit=1&continue={next}")).await.refused(
        "4.4",
        410,
        "Expired",
        "The provided continue parameter is too old to display a consistent list result.…",
    );
    let inconsistent = status["metadata"]["continue"].as_str().unwrap();
    let rest = list(&wire, &format!("limit=2&continue={inconsistent}")).await;
    assert_eq!(names(&rest), ["o1", "o2"], "4.4: goes on at the same place");
    assert_eq!(rest["items"][1]["metadata"]["annotations"]["mark"], "later", "4.4: as it is now");
    let next = rest["metadata"]["continue"].as_str().unwrap();
    assert_eq!(names(&list(&wire, &format!("limit=2&continue={next}")).await), ["o3"], "4.4");
    // Not older than the floor is no problem.
    let url = format!("resourceVersion={}", versions[0]);
    assert_eq!(names(&list(&wire, &url).await).len(), 4, "4.3");
}
