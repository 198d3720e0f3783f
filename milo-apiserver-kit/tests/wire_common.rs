//! `spec/wire.md` section 0: what holds for every endpoint.

mod support;

use std::sync::Arc;

use bytes::Bytes;
use http_body_util::{BodyExt as _, StreamBody};
use milo_core::storage::Memory;
use serde_json::json;
use support::{GROUP, MERGE, TABLE, Wire, organization, refusals};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

const LIMIT: usize = 3 * 1024 * 1024;
const TOO_LARGE: &str = "Request entity too large: limit is 3145728";
const NO_ROUTE: &str = "the server could not find the requested resource";

#[tokio::test]
async fn routes_and_methods() {
    let wire = Wire::start().await;
    wire.organization("a").await;
    let unsupported = |verb: &str, plural: &str| {
        format!(
            "{verb} is not supported on resources of kind \"{plural}.resourcemanager.miloapis.com\""
        )
    };
    let (create, update) =
        (unsupported("create", "organizations"), unsupported("update", "organizations"));
    let (patch, delete) =
        (unsupported("patch", "organizations"), unsupported("delete", "organizations"));
    let across_create = unsupported("create", "organizationmemberships");
    let across_delete = unsupported("deletecollection", "organizationmemberships");
    refusals(
        &wire,
        &[
            ("1.6", "GET", "nothings", "", 404, "NotFound", NO_ROUTE),
            ("1.6", "GET", "nothings/a", "", 404, "NotFound", NO_ROUTE),
            ("1.6", "GET", "/apis/unknown.example.com/v1/things", "", 404, "NotFound", NO_ROUTE),
            ("1.6", "GET", "/apis/unknown.example.com", "", 404, "NotFound", NO_ROUTE),
            (
                "1.6",
                "GET",
                "/apis/resourcemanager.miloapis.com/v9/organizations",
                "",
                404,
                "NotFound",
                NO_ROUTE,
            ),
            ("1.6", "GET", "/api/v1/pods", "", 404, "NotFound", NO_ROUTE),
            ("2.1", "GET", "organizations/a/scale", "", 404, "NotFound", NO_ROUTE),
            ("2.1", "GET", "organizations/a/status/more", "", 404, "NotFound", NO_ROUTE),
            ("2.1", "GET", "namespaces/x/organizations", "", 404, "NotFound", NO_ROUTE),
            ("2.1", "GET", "organizationmemberships/m", "", 404, "NotFound", NO_ROUTE),
            (
                "2.4",
                "GET",
                "organizations/b",
                "",
                404,
                "NotFound",
                "organizations.resourcemanager.miloapis.com \"b\" not found",
            ),
            ("2.1", "POST", "organizations/a", "{}", 405, "MethodNotAllowed", &create),
            ("2.1", "POST", "organizations/a/status", "{}", 405, "MethodNotAllowed", &create),
            ("2.1", "PUT", "organizations", "{}", 405, "MethodNotAllowed", &update),
            ("2.1", "PATCH", "organizations", "{}", 405, "MethodNotAllowed", &patch),
            ("2.1", "DELETE", "organizations/a/status", "", 405, "MethodNotAllowed", &delete),
            (
                "2.1",
                "POST",
                "organizationmemberships",
                "{}",
                405,
                "MethodNotAllowed",
                &across_create,
            ),
            (
                "2.1",
                "DELETE",
                "organizationmemberships",
                "",
                405,
                "MethodNotAllowed",
                &across_delete,
            ),
        ],
    )
    .await;
    let status = wire.get("organizations/b").await.json();
    let details =
        json!({"name": "b", "group": "resourcemanager.miloapis.com", "kind": "organizations"});
    assert_eq!(status["details"], details);
    assert_eq!(status["metadata"], json!({}));
    let status = wire.put("organizations", &json!({})).await.json();
    assert_eq!(status["details"]["kind"], "organizations");
}

#[tokio::test]
async fn scopes() {
    let wire = Wire::start().await;
    wire.organization("acme").await;
    let separator = "the path holds an encoded separator, which no name may contain";
    let doubled = "the path names two control planes; name the innermost one only";
    refusals(
        &wire,
        &[
            (
                "0.1",
                "GET",
                "/organizations/-/control-plane/apis",
                "",
                400,
                "BadRequest",
                "invalid control plane: \"-\" cannot be the name of one of the organizations",
            ),
            (
                "0.1",
                "GET",
                "organizations/a%20b/control-plane/apis",
                "",
                400,
                "BadRequest",
                "invalid control plane: \"a b\" cannot be the name of one of the organizations",
            ),
            (
                "0.1",
                "GET",
                "/organizations/acme%2fx/control-plane/apis",
                "",
                400,
                "BadRequest",
                separator,
            ),
            (
                "0.1",
                "GET",
                "/organizations/acme%00/control-plane/apis",
                "",
                400,
                "BadRequest",
                separator,
            ),
            (
                "0.1",
                "GET",
                "/organizations/acme/control-plane/projects/p/control-plane/apis",
                "",
                400,
                "BadRequest",
                doubled,
            ),
            (
                "0.1",
                "GET",
                "/organizations/nobody/control-plane/apis",
                "",
                404,
                "NotFound",
                NO_ROUTE,
            ),
            ("0.1", "GET", "/projects/nothing/control-plane/apis", "", 404, "NotFound", NO_ROUTE),
        ],
    )
    .await;
    // A kind that does not exist in the scope is no route there.
    let url = format!("/organizations/acme/control-plane{GROUP}/organizations");
    wire.get(&url).await.refused("0.1", 404, "NotFound", NO_ROUTE);
    let url = format!("/organizations/acme/control-plane{GROUP}/projects");
    wire.get(&url).await.ok();
}

#[tokio::test]
async fn content_types() {
    let wire = Wire::start().await;
    let old = wire.organization("a").await;
    let unknown =
        "the body of the request was in an unknown format - accepted media types include: ";
    let json_only = format!("{unknown}application/json…");
    let patches = format!("{unknown}application/json-patch+json, application/merge-patch+json…");
    let body = organization("b").to_string();
    for (method, url, content_type, message) in [
        ("POST", "organizations", "text/plain", &json_only),
        ("PUT", "organizations/a", "application/x-www-form-urlencoded", &json_only),
        ("DELETE", "organizations/a", "application/octet-stream", &json_only),
        ("DELETE", "organizations", "application/octet-stream", &json_only),
        ("PATCH", "organizations/a", "application/json", &patches),
        ("PATCH", "organizations/a", "application/strategic-merge-patch+json", &patches),
        // Before anything else: the object does not exist, the accepted type neither.
        ("PATCH", "organizations/none", "", &patches),
    ] {
        let call = wire.call(method, url).body(body.clone()).header("content-type", content_type);
        let about = format!("0.3: {method} {content_type}");
        call.send().await.refused(&about, 415, "UnsupportedMediaType", message);
    }
    for content_type in ["", "application/json; charset=utf-8", "Application/JSON"] {
        let call = wire.call("POST", "organizations?dryRun=All").body(body.clone());
        let answer = call.header("content-type", content_type).send().await;
        assert_eq!(answer.code, 201, "{content_type}: {}", answer.text());
    }
    assert_eq!(wire.get("organizations/a").await.ok(), old);
}

#[tokio::test]
async fn accepted_forms() {
    let wire = Wire::start().await;
    wire.organization("a").await;
    let accepted = "only the following media types are accepted: application/json…";
    for (accept, url) in [
        ("text/html", "organizations/a"),
        ("application/xml, image/png", "organizations"),
        ("application/json;q=0", "organizations"),
        ("application/json;as=Teapot;v=v1;g=meta.k8s.io", "organizations"),
        ("application/json;as=Table;v=v7;g=meta.k8s.io", "organizations"),
        ("text/html", "organizations?watch=true&timeoutSeconds=1"),
    ] {
        let answer = wire.call("GET", url).header("accept", accept).send().await;
        answer.refused(&format!("0.3: {accept}"), 406, "NotAcceptable", accepted);
    }
    // Nothing is written when the answer could not be sent.
    let call = wire.call("POST", "organizations").json(&organization("b"));
    let answer = call.header("accept", "text/html").send().await;
    answer.refused("2.3", 406, "NotAcceptable", accepted);
    assert_eq!(wire.get("organizations/b").await.code, 404);
    for (accept, kind) in [
        ("*/*", "OrganizationList"),
        ("application/*", "OrganizationList"),
        ("text/html, */*;q=0.1", "OrganizationList"),
        ("application/vnd.kubernetes.protobuf, application/json", "OrganizationList"),
        ("application/json;as=Table;v=v9;g=meta.k8s.io, application/json", "OrganizationList"),
        (TABLE, "Table"),
    ] {
        let answer = wire.call("GET", "organizations").header("accept", accept).send().await;
        assert_eq!(answer.ok()["kind"], kind, "{accept}");
        assert_eq!(answer.header("content-type"), "application/json", "{accept}");
    }
}

#[tokio::test]
async fn bodies_have_a_limit() {
    let wire = Wire::start().await;
    wire.organization("a").await;
    let large = vec![b' '; LIMIT + 1];
    for (method, url, kind) in [
        ("POST", "organizations", "application/json"),
        ("PUT", "organizations/a", "application/json"),
        ("PATCH", "organizations/a", MERGE),
        ("DELETE", "organizations/a", "application/json"),
    ] {
        let call = wire.call(method, url).header("content-type", kind).body(large.clone());
        call.send().await.refused("0.2", 413, "RequestEntityTooLarge", TOO_LARGE);
        let chunk = || Ok(http_body::Frame::data(Bytes::from_static(&[b' '; 1 << 16])));
        let chunks = StreamBody::new(futures_util::stream::iter((0..49).map(move |_| chunk())));
        let call = wire.call(method, url).header("content-type", kind).stream(chunks.boxed());
        let answer = call.send().await;
        answer.refused(
            &format!("0.2: {method} in pieces"),
            413,
            "RequestEntityTooLarge",
            TOO_LARGE,
        );
    }
    // The connection is as good as before, and a body of exactly the limit is read.
    let mut body = organization("b").to_string().into_bytes();
    body.resize(LIMIT, b' ');
    assert_eq!(wire.call("POST", "organizations").body(body).send().await.code, 201);
}

#[tokio::test]
async fn bodies_over_http1_have_a_limit() {
    let wire = Wire::start().await;
    for (header, body) in [
        (format!("content-length: {}", LIMIT + 1), Vec::new()),
        ("transfer-encoding: chunked".to_owned(), format!("{:x}\r\n", LIMIT + 1).into_bytes()),
    ] {
        let mut stream = wire.tls(b"http/1.1").await;
        let head = format!("POST {GROUP}/organizations HTTP/1.1\r\nhost: milo\r\n{header}\r\n\r\n");
        stream.write_all(head.as_bytes()).await.unwrap();
        if !body.is_empty() {
            stream.write_all(&body).await.unwrap();
            // The server may hang up while we still talk.
            let _ = stream.write_all(&vec![b' '; LIMIT + 1]).await;
        }
        let mut answer = vec![0; 12];
        support::soon(stream.read_exact(&mut answer)).await.unwrap();
        assert_eq!(String::from_utf8(answer).unwrap(), "HTTP/1.1 413");
    }
}

#[tokio::test]
async fn headers_of_every_answer() {
    let wire = Wire::start().await;
    wire.organization("a").await;
    for url in ["organizations", "organizations/none", "/healthz", "/nowhere", "/version"] {
        let answer = wire.call("GET", url).header("audit-id", "the-clients-own").send().await;
        assert_eq!(answer.headers("audit-id"), ["the-clients-own"], "0.1: {url}");
        assert_eq!(answer.headers("cache-control"), ["no-cache, private"], "0.3: {url}");
        assert_eq!(answer.headers("date").len(), 1, "0.3: {url}");
        let (one, other) = (wire.get(url).await, wire.get(url).await);
        assert!(uuid::Uuid::parse_str(one.header("audit-id")).is_ok());
        assert_ne!(one.header("audit-id"), other.header("audit-id"));
        assert!(answer.text().ends_with('\n') || url == "/healthz", "0.3: {url}");
    }
    let long = "x".repeat(200);
    let answer = wire.call("GET", "organizations").header("audit-id", &long).send().await;
    assert_eq!(answer.header("audit-id"), long, "0.1: as it is");
}

#[tokio::test]
async fn heads_and_pretty_printing() {
    let wire = Wire::start().await;
    wire.organization("a").await;
    for url in ["organizations/a", "organizations", "/version", "/healthz", "/apis"] {
        let (get, head) = (wire.get(url).await, wire.call("HEAD", url).send().await);
        assert_eq!((head.code, head.body.len()), (200, 0), "2.1: {url}");
        assert_eq!(head.header("content-type"), get.header("content-type"), "2.1: {url}");
    }
    assert_eq!(wire.call("HEAD", "organizations/b").send().await.code, 404);
    for (url, agent, pretty) in [
        ("organizations/a", "kubectl", false),
        ("organizations/a", "curl/8", true),
        ("organizations/a", "Wget/1", true),
        ("organizations", "Mozilla/5.0 (X)", true),
        ("organizations/a?pretty=true", "kubectl", true),
        ("organizations?pretty=1", "kubectl", true),
        ("organizations?pretty=false", "curl/8", false),
    ] {
        let answer = wire.call("GET", url).header("user-agent", agent).send().await;
        assert_eq!(answer.text().lines().count() > 1, pretty, "0.3: {url} {agent}");
        answer.ok();
    }
}

#[tokio::test]
async fn who_may_ask() {
    let mut wire = Wire::start().await;
    for url in [
        "organizations",
        "nothings",
        "/apis",
        "/livez/ping",
        "/organizations/nobody/control-plane/apis",
    ] {
        // The server hangs up on connections that show nobody.
        wire.connect_as(None).await;
        wire.get(url).await.refused("0.1", 401, "Unauthorized", "Unauthorized");
    }
    wire.connect_as(None).await;
    assert_eq!(wire.get("/readyz").await.text(), "ok");
    let alice = wire.server.pki().issue_client("alice", &["staff"]).unwrap();
    wire.connect_as(Some(&alice)).await;
    refusals(
        &wire,
        &[
            ("5.3", "GET", "organizations/a", "", 403, "Forbidden",
                "organizations.resourcemanager.miloapis.com \"a\" is forbidden: User \"alice\" cannot get resource \"organizations\" in API group \"resourcemanager.miloapis.com\" at the cluster scope"),
            ("5.3", "GET", "organizations", "", 403, "Forbidden",
                "organizations.resourcemanager.miloapis.com is forbidden: User \"alice\" cannot list resource…"),
            ("5.3", "DELETE", "namespaces/n/organizationmemberships", "", 403, "Forbidden",
                "organizationmemberships.resourcemanager.miloapis.com is forbidden: User \"alice\" cannot deletecollection resource \"organizationmemberships\" in API group \"resourcemanager.miloapis.com\" in the namespace \"n\""),
            ("5.3", "GET", "/metrics", "", 403, "Forbidden",
                "forbidden: User \"alice\" cannot get path \"/metrics\""),
            // Refused before the kind, the form and the body are looked at.
            ("0.1", "POST", "nothings", "{", 403, "Forbidden", "…cannot create resource \"nothings\"…"),
        ],
    )
    .await;
    let answer = wire.get("organizations").await;
    assert_eq!(answer.header("x-content-type-options"), "nosniff", "0.3");
}

#[tokio::test]
async fn a_request_can_be_given_less_time() {
    let wire =
        Wire::with(Arc::new(Memory::new()), |server| server.hierarchy().admission(Stuck)).await;
    let call = wire.call("POST", "organizations?timeout=20ms").json(&organization("slow"));
    let status = call.send().await.refused(
        "7.2",
        504,
        "Timeout",
        "Timeout: request did not complete within the allotted timeout",
    );
    assert_ne!(status["details"]["retryAfterSeconds"], 0, "0.2: absent rather than zero");
    for (timeout, code) in [("0s", 200), ("1m30s", 200), ("", 200), ("tomorrow", 400), ("-1x", 400)]
    {
        let answer = wire.get(&format!("organizations?timeout={timeout}")).await;
        assert_eq!(answer.code, code, "7.2: {timeout}");
    }
    let refused = "invalid timeout specified in the request URL - …";
    wire.get("organizations?timeout=x").await.refused("2.2", 400, "BadRequest", refused);
}

/// Never lets `slow` through.
#[derive(Debug)]
struct Stuck;

#[async_trait::async_trait]
impl milo_core::admission::Admission for Stuck {
    async fn mutate(
        &self,
        _: &mut milo_core::admission::AdmissionRequest<'_>,
        _: &mut milo_core::object::Object,
    ) -> Result<(), milo_core::status::StatusError> {
        std::future::pending().await
    }
}
