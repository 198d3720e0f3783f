//! `spec/wire.md` sections 2.4, 4.1 and 4.5: what may be asked of reads, and with which numbers.

mod support;

use serde_json::json;
use support::{GROUP, Refusal, Wire, membership, names, refusals, version};

const PLACE: &str = "namespaces/organization-o/organizationmemberships";

#[tokio::test]
async fn the_old_paths_watch_as_well() {
    let wire = Wire::start().await;
    let a = version(&wire.organization("a").await);
    let o = version(&wire.organization("o").await);
    let member = wire.post(PLACE, &membership("m", "u", "o")).await.created();
    let other = wire.post(PLACE, &membership("mm", "u", "o")).await.created();
    let (m, mm) = (version(&member), version(&other));
    for (url, expected) in [
        ("watch/organizations", vec![format!("ADDED a {a}"), format!("ADDED o {o}")]),
        ("watch/organizations?watch=false", vec![format!("ADDED a {a}"), format!("ADDED o {o}")]),
        ("watch/organizations/o", vec![format!("ADDED o {o}")]),
        ("watch/organizations/o?fieldSelector=metadata.name%3Do", vec![format!("ADDED o {o}")]),
        ("watch/organizationmemberships", vec![format!("ADDED m {m}"), format!("ADDED mm {mm}")]),
        (
            "watch/namespaces/organization-o/organizationmemberships",
            vec![format!("ADDED m {m}"), format!("ADDED mm {mm}")],
        ),
        ("watch/namespaces/organization-o/organizationmemberships/m", vec![format!("ADDED m {m}")]),
    ] {
        let separator = if url.contains('?') { '&' } else { '?' };
        let mut events = wire.watch(&format!("{url}{separator}timeoutSeconds=1")).await;
        assert_eq!(events.brief(expected.len()).await, expected, "2.1: {url}");
        events.ends().await;
    }
    let gone = "the server could not find the requested resource";
    let cases: &[Refusal<'_>] = &[
        (
            "4.1",
            "GET",
            "watch/organizations/o?fieldSelector=metadata.name%3Da",
            "",
            400,
            "BadRequest",
            "fieldSelector metadata.name doesn't match requested name",
        ),
        ("2.1", "POST", "watch/organizations", "{}", 405, "MethodNotAllowed", "post is not…"),
        ("2.1", "DELETE", "watch/organizations/o", "", 405, "MethodNotAllowed", "delete is not…"),
        ("2.1", "GET", "watch", "", 404, "NotFound", gone),
        ("2.1", "GET", "watch/nothings", "", 404, "NotFound", gone),
        ("2.1", "GET", "watch/organizationmemberships/m", "", 404, "NotFound", gone),
        (
            "2.1",
            "GET",
            "watch/organizations/o/status",
            "",
            405,
            "MethodNotAllowed",
            "watch is not supported on resources of kind…",
        ),
    ];
    refusals(&wire, cases).await;
}

#[tokio::test]
async fn namespaces_in_selectors_narrow_what_is_watched() {
    let wire = Wire::start().await;
    for organization in ["o", "other"] {
        wire.organization(organization).await;
        let place = format!("namespaces/organization-{organization}/organizationmemberships");
        wire.post(&place, &membership("m", "u", organization)).await.created();
    }
    let all = "organizationmemberships?watch=true&timeoutSeconds=1";
    for (url, count) in [
        (format!("{all}&fieldSelector=metadata.namespace%3Dorganization-o"), 1),
        (format!("{all}&fieldSelector=metadata.namespace!%3Dorganization-o"), 1),
        (format!("{all}&fieldSelector=metadata.name%3Dm"), 2),
        (
            format!(
                "{all}&fieldSelector=metadata.name%3Dm,metadata.namespace%3Dorganization-other"
            ),
            1,
        ),
        (format!("{all}&fieldSelector=metadata.name%3Dm,metadata.namespace%3Dnone"), 0),
        (format!("{all}&fieldSelector=metadata.name%3Dm,metadata.name%3Dn"), 0),
        (format!("{PLACE}?watch=true&timeoutSeconds=1&fieldSelector=metadata.namespace%3Dnone"), 0),
        // No object has such a name.
        (format!("{all}&fieldSelector=metadata.name%3Da%252Fb"), 0),
    ] {
        let mut events = wire.watch(&url).await;
        assert_eq!(events.brief(count).await.len(), count, "4.1: {url}");
        events.ends().await;
    }
}

#[tokio::test]
async fn numbers_of_any_size() {
    let wire = Wire::start().await;
    for name in ["a", "b"] {
        wire.organization(name).await;
    }
    for query in [
        "limit=-1",
        "limit=9223372036854775807",
        "resourceVersion=00",
        "resourceVersion=0&limit=1",
        "shardSelector=shardRange(object.metadata.uid,%20'0x0',%20'0x8')",
        "nonsense=1",
        "watch=False",
        "watch=0",
    ] {
        let list = wire.get(&format!("organizations?{query}")).await.ok();
        assert_eq!(names(&list), ["a", "b"], "4.3: {query}");
    }
    for query in [
        "watch=true&timeoutSeconds=-1",
        "watch=true&timeoutSeconds=-9223372036854775808",
        "watch=true&timeoutSeconds=-1&resourceVersion=0",
    ] {
        let mut events = wire.watch(&format!("organizations?{query}")).await;
        while let Some(event) = events.try_next().await {
            assert_eq!(event["type"], "ADDED", "4.6: time that is over is over: {query}");
        }
    }
    for query in [
        "watch=true&timeoutSeconds=0",
        "watch=true&timeoutSeconds=9223372036854775807",
        "watch=true&resourceVersion=00",
        "watch=&resourceVersion=0",
    ] {
        let mut events = wire.watch(&format!("organizations?{query}")).await;
        assert_eq!(events.brief(2).await.len(), 2, "4.6: {query}");
    }
    let version = "invalid resource version: …";
    let large = "99999999999999999999";
    let cases: &[Refusal<'_>] = &[
        ("2.2", "GET", &format!("organizations?limit={large}"), "", 400, "BadRequest", "…limit…"),
        (
            "2.2",
            "GET",
            &format!("organizations?watch=1&timeoutSeconds={large}"),
            "",
            400,
            "BadRequest",
            "…timeoutSeconds…",
        ),
        (
            "4.3",
            "GET",
            &format!("organizations?resourceVersion={large}"),
            "",
            400,
            "BadRequest",
            version,
        ),
        (
            "4.6",
            "GET",
            &format!("organizations?watch=1&resourceVersion={large}"),
            "",
            400,
            "BadRequest",
            version,
        ),
    ];
    refusals(&wire, cases).await;
    let most = u64::MAX;
    wire.get(&format!("organizations?resourceVersion={most}")).await.refused(
        "4.3",
        504,
        "Timeout",
        "Timeout: Too large resource version: 18446744073709551615, current: …",
    );
}

#[tokio::test]
async fn the_version_of_a_get() {
    let wire = Wire::start().await;
    let first = version(&wire.organization("a").await);
    let second = wire.touch("a", "x").await;
    for known in ["", "0", "00", &first, &second] {
        let got = wire.get(&format!("organizations/a?resourceVersion={known}")).await.ok();
        assert_eq!(version(&got), second, "2.4: {known}");
    }
    for bad in ["abc", "-1", "1.5", "18446744073709551616"] {
        let message = format!(
            "GetOptions.meta.k8s.io \"\" is invalid: resourceVersion: Invalid value: \"{bad}\": …"
        );
        let answer = wire.get(&format!("organizations/a?resourceVersion={bad}")).await;
        let status = answer.refused("2.4", 422, "Invalid", &message);
        let causes = &status["details"]["causes"];
        assert_eq!(causes[0]["reason"], "FieldValueInvalid", "2.4: {bad}");
        assert_eq!(causes[0]["field"], "resourceVersion", "2.4: {bad}");
    }
    let answer = wire.get("organizations/a?resourceVersion=999999").await;
    let text = "Timeout: Too large resource version: 999999, current: …";
    let status = answer.refused("2.4", 504, "Timeout", text);
    let cause =
        json!({"reason": "ResourceVersionTooLarge", "message": "Too large resource version"});
    assert_eq!(status["details"]["causes"], json!([cause]), "2.4");
    // What becomes true meanwhile is answered.
    let next = second.parse::<u64>().unwrap() + 1;
    let url = format!("organizations/a?resourceVersion={next}");
    let (got, written) = tokio::join!(wire.get(&url), wire.touch("a", "y"));
    assert_eq!(version(&got.ok()), written, "2.4");
}

#[tokio::test]
async fn watches_speak_json_only() {
    let wire = Wire::start().await;
    let url = format!("{GROUP}/organizations?watch=true");
    let accept = "application/vnd.kubernetes.protobuf;stream=watch";
    let answer = wire.call("GET", &url).header("accept", accept).send().await;
    answer.refused("4.6", 406, "NotAcceptable", "only the following media types…");
    // An error is told in what the client reads, which a watch is not.
    let answer = wire.call("GET", &url).header("accept", "application/yaml").respond().await;
    assert_eq!(
        (answer.status().as_u16(), &answer.headers()["content-type"]),
        (406, &"application/yaml".parse().unwrap())
    );
    let accept = "application/yaml, application/json;stream=watch";
    let answer = wire.call("GET", &url).header("accept", accept).respond().await;
    assert_eq!(
        (answer.status().as_u16(), &answer.headers()["content-type"]),
        (200, &"application/json".parse().unwrap())
    );
}
