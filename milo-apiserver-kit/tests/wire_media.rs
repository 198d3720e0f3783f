//! `spec/wire.md` section 0.3: media types of requests and answers, and how answers are transferred.

#![expect(clippy::unwrap_used, reason = "helpers of tests say what they expect by unwrapping")]

mod support;

use std::{io::Read as _, sync::Arc};

use milo_core::storage::Memory;
use proptest::{
    prelude::*,
    strategy::ValueTree as _,
    test_runner::{Config, TestRunner},
};
use prost::Message as _;
use serde_json::{Value, json};
use support::{API_VERSION, Answer, MERGE, TABLE, Wire, organization};

const YAML: &str = "application/yaml";
const JSON: &str = "application/json";
const PROTOBUF: &str = "application/vnd.kubernetes.protobuf";
const PARTIAL: &str = "application/json;as=PartialObjectMetadata;g=meta.k8s.io;v=v1";
const PARTIAL_LIST: &str = "application/json;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1";

async fn get(wire: &Wire, url: &str, accept: &str) -> Answer {
    wire.call("GET", url).header("accept", accept).send().await
}

async fn send(wire: &Wire, method: &str, url: &str, media_type: &str, body: &str) -> Answer {
    let call = wire.call(method, url).body(body.to_owned());
    call.header("content-type", media_type).send().await
}

/// The value of a YAML answer.
#[track_caller]
fn yaml(answer: &Answer) -> Value {
    assert_eq!(answer.header("content-type"), YAML, "0.3: the bare media type");
    assert!(answer.text().ends_with('\n') && !answer.text().starts_with('{'), "{}", answer.text());
    serde_saphyr::from_str(answer.text()).unwrap()
}

/// The value without what changes while one looks: ages, which are the last cell of a row.
fn ageless(mut value: Value) -> Value {
    for row in value.get_mut("rows").and_then(Value::as_array_mut).into_iter().flatten() {
        row["cells"].as_array_mut().unwrap().pop();
    }
    value
}

#[tokio::test]
async fn bodies_are_yaml_too() {
    let wire = Wire::start().await;
    let body = format!(
        "# an organization\napiVersion: {API_VERSION}\nkind: Organization\nmetadata:\n  name: a\n  annotations: &these\n    note: |\n      two\n      lines\n    \"yes\": \"no\"\n  labels: {{}}\nspec: {{type: Standard}}\n"
    );
    let created = send(&wire, "POST", "organizations", YAML, &body).await.created();
    assert_eq!(
        created["metadata"]["annotations"],
        json!({"note": "two\nlines\n", "yes": "no"}),
        "0.3"
    );
    // Neither case nor parameters matter, and JSON is YAML.
    let json = organization("b").to_string();
    send(&wire, "POST", "organizations", "Application/YAML; charset=utf-8", &json).await.created();
    let mut changed = created.clone();
    changed["spec"]["type"] = "Personal".into();
    changed["metadata"]["annotations"] = json!({"n": "1"});
    let text = serde_saphyr::to_string(&changed).unwrap();
    let updated = send(&wire, "PUT", "organizations/a", YAML, &text).await;
    assert!(matches!(updated.code, 200 | 422), "{}", updated.text());
    // A kind that is left out is that of the URL, as in JSON.
    let bare = "metadata: {name: c}\nspec: {type: Standard}";
    send(&wire, "POST", "organizations?dryRun=All", YAML, bare).await.created();
}

#[tokio::test]
async fn yaml_that_cannot_be_read() {
    let wire = Wire::start().await;
    let start = "the object provided is unrecognized (must be of type Organization): error converting YAML to JSON: yaml: …";
    let bomb: String = std::iter::once("a0: &a0 [x, x, x, x, x, x, x, x, x]\n".to_owned())
        .chain((1..10).map(|level| {
            let before = format!("*a{}, ", level - 1).repeat(9);
            format!("a{level}: &a{level} [{before}]\n")
        }))
        .collect();
    let two = "metadata: {name: a}\n---\nmetadata: {name: b}\n".to_owned();
    for (name, body) in [
        ("open", "a: [".to_owned()),
        ("two documents", two),
        ("bomb", bomb),
        ("deep", "[".repeat(100_000)),
        ("deep blocks", "- ".repeat(100_000)),
        ("no anchor", "a: *b".to_owned()),
        ("no number of JSON", "a: .inf".to_owned()),
    ] {
        let answer = send(&wire, "POST", "organizations", YAML, &body).await;
        let message = answer.refused(name, 400, "BadRequest", start)["message"].to_string();
        assert!(message.len() < 1000, "{name}: {message}");
    }
    // What is no object is told as in JSON.
    for body in ["", "- a", "text", "1"] {
        let answer = send(&wire, "POST", "organizations", YAML, body).await;
        answer.refused(body, 400, "BadRequest", "…(must be of type Organization)…");
    }
}

#[tokio::test]
async fn keys_that_are_there_twice() {
    let wire = Wire::start().await;
    let body = "metadata: {name: a}\nspec:\n  type: Personal\n  type: Standard\n";
    let told = "299 - \"duplicate field \\\"spec.type\\\"\"";
    let answer = send(&wire, "POST", "organizations?dryRun=All", YAML, body).await;
    assert_eq!(answer.created()["spec"]["type"], "Standard", "2.10: the last wins");
    assert_eq!(answer.headers("warning"), [told], "2.10");
    let url = "organizations?fieldValidation=Strict";
    send(&wire, "POST", url, YAML, body).await.refused(
        "2.10",
        400,
        "BadRequest",
        "…strict decoding error: duplicate field \"spec.type\"",
    );
    let url = "organizations?fieldValidation=Ignore&dryRun=All";
    assert!(send(&wire, "POST", url, YAML, body).await.headers("warning").is_empty());
}

#[tokio::test]
async fn unknown_media_types() {
    let wire = Wire::start().await;
    wire.organization("a").await;
    let known = "the body of the request was in an unknown format - accepted media types include: application/json, application/yaml, application/vnd.kubernetes.protobuf";
    for (method, url) in [
        ("POST", "organizations"),
        ("PUT", "organizations/a"),
        ("DELETE", "organizations/a"),
        ("DELETE", "organizations"),
    ] {
        for media_type in ["text/plain", "application/x-yaml", "application/jsonx", "yaml", ";"] {
            let answer = send(&wire, method, url, media_type, "{}").await;
            if media_type == ";" && answer.code != 415 {
                // Nothing before the parameters is nothing: JSON.
                continue;
            }
            answer.refused(
                &format!("0.3: {method} {media_type}"),
                415,
                "UnsupportedMediaType",
                known,
            );
        }
    }
}

/// `runtime.Unknown`, as clients send it.
#[derive(Clone, PartialEq, prost::Message)]
struct Envelope {
    #[prost(message, optional, tag = "1")]
    type_meta: Option<TypeMeta>,
    #[prost(bytes = "vec", tag = "2")]
    raw: Vec<u8>,
    #[prost(string, tag = "3")]
    content_encoding: String,
    #[prost(string, tag = "4")]
    content_type: String,
}

#[derive(Clone, PartialEq, prost::Message)]
struct TypeMeta {
    #[prost(string, tag = "1")]
    api_version: String,
    #[prost(string, tag = "2")]
    kind: String,
}

fn seal(kind: &str, raw: &[u8], content_type: &str) -> Vec<u8> {
    let type_meta = TypeMeta { api_version: "v1".into(), kind: kind.into() };
    let envelope = Envelope {
        type_meta: Some(type_meta),
        raw: raw.to_vec(),
        content_encoding: String::new(),
        content_type: content_type.into(),
    };
    [b"k8s\0", envelope.encode_to_vec().as_slice()].concat()
}

#[tokio::test]
async fn protobuf_bodies() {
    let wire = Wire::start().await;
    let post = |body: Vec<u8>| {
        wire.call("POST", "organizations").body(body).header("content-type", PROTOBUF).send()
    };
    let object = organization("a").to_string();
    post(seal("Organization", object.as_bytes(), JSON)).await.created();
    let other = "the body of the request was in an unknown format - accepted media types include: application/json, application/yaml";
    post(seal("Organization", b"", "")).await.refused("0.4", 415, "UnsupportedMediaType", other);
    let refused = "the object provided is unrecognized (must be of type Organization): …";
    for body in [b"{}".to_vec(), b"k8s\0\xff\xff\xff".to_vec(), Vec::new()] {
        post(body).await.refused("0.3", 400, "BadRequest", refused);
    }
}

#[tokio::test]
async fn options_of_deletions() {
    let wire = Wire::start().await;
    // Field 2 of the message holds the preconditions, field 1 of those the UID.
    let protobuf = |uid: &str| {
        let raw = [&[0x12, 2 + uid.len() as u8, 0x0a, uid.len() as u8], uid.as_bytes()].concat();
        seal("DeleteOptions", &raw, "")
    };
    for (media_type, right, wrong) in [
        (PROTOBUF, None, protobuf("wrong")),
        (
            YAML,
            None,
            b"kind: DeleteOptions\napiVersion: v1\npreconditions: {uid: wrong}\n".to_vec(),
        ),
        (JSON, Some(Vec::new()), br#"{"preconditions":{"uid":"wrong"}}"#.to_vec()),
    ] {
        let uid = wire.organization("a").await["metadata"]["uid"].as_str().unwrap().to_owned();
        let delete = |body: Vec<u8>| {
            let call = wire.call("DELETE", "organizations/a").body(body);
            call.header("content-type", media_type).send()
        };
        delete(wrong).await.refused(
            media_type,
            409,
            "Conflict",
            "…the UID in the precondition (wrong)…",
        );
        let right = right.unwrap_or_else(|| match media_type {
            PROTOBUF => protobuf(&uid),
            _ => format!("preconditions:\n  uid: {uid}\n").into_bytes(),
        });
        assert_eq!(delete(right).await.ok()["status"], "Success", "2.7: {media_type}");
    }
    wire.organization("a").await;
    for (media_type, body) in
        [(YAML, &b"a: ["[..]), (YAML, b"- a"), (PROTOBUF, b"{}"), (YAML, b"kind: Pod")]
    {
        let call = wire.call("DELETE", "organizations/a").body(body.to_vec());
        let answer = call.header("content-type", media_type).send().await;
        answer.refused(media_type, 400, "BadRequest", "…");
    }
    // Without a body its type does not matter.
    let call = wire.call("DELETE", "organizations/a").header("content-type", "text/plain");
    call.send().await.ok();
}

#[tokio::test]
async fn answers_are_yaml_too() {
    let wire = Wire::start().await;
    assert_eq!(yaml(&get(&wire, "organizations", YAML).await)["items"], json!([]), "an empty list");
    wire.organization("a").await;
    wire.organization("b").await;
    let of_yaml = |accept: &str| accept.replace(JSON, YAML);
    for (url, accept) in [
        ("organizations/a", JSON),
        ("organizations", JSON),
        ("organizations?limit=1", JSON),
        ("organizations/a", TABLE),
        ("organizations", TABLE),
        ("organizations?includeObject=None", TABLE),
        ("organizations/a", PARTIAL),
        ("organizations", PARTIAL_LIST),
        ("organizations?fieldSelector=metadata.name%3Dnone", PARTIAL_LIST),
        ("organizations?fieldSelector=metadata.name%3Dnone", TABLE),
    ] {
        let plain = ageless(get(&wire, url, accept).await.ok());
        let answer = get(&wire, url, &of_yaml(accept)).await;
        assert_eq!(
            (answer.code, ageless(yaml(&answer))),
            (200, plain.clone()),
            "0.3: {url} {accept}"
        );
        // YAML is never indented JSON, whoever asks for it.
        let call = wire.call("GET", url).header("accept", &of_yaml(accept));
        assert_eq!(ageless(yaml(&call.header("user-agent", "curl/8").send().await)), plain);
        let pretty = wire.call("GET", url).header("accept", &format!("{accept};pretty=1"));
        let pretty = pretty.send().await;
        assert!(pretty.text().starts_with("{\n  \""), "0.3: {}", pretty.text());
        assert_eq!(ageless(pretty.ok()), plain);
    }
    let writes = [
        ("POST", "organizations", JSON, organization("c"), 201),
        ("PATCH", "organizations/a", MERGE, json!({"metadata": {"labels": {"x": "y"}}}), 200),
        ("DELETE", "organizations/b", JSON, json!({}), 200),
    ];
    for (method, url, media_type, body, code) in writes {
        let call = wire.call(method, url).json(&body).header("content-type", media_type);
        let answer = call.header("accept", YAML).send().await;
        assert_eq!(answer.code, code, "{method}: {}", answer.text());
        yaml(&answer);
    }
}

#[tokio::test]
async fn the_best_encoding_wins() {
    let wire = Wire::start().await;
    wire.organization("a").await;
    for (accept, content_type) in [
        ("application/yaml, application/json;q=0.9", YAML),
        ("application/yaml;q=0.5, application/json", JSON),
        ("application/vnd.kubernetes.protobuf, application/yaml, application/json", YAML),
        ("application/*", JSON),
        ("application/yaml;charset=utf-8", YAML),
        ("application/yaml;as=Table;v=v9;g=meta.k8s.io, */*", JSON),
        ("application/json;stream=watch", JSON),
        ("application/json;stream=chunks, application/yaml", YAML),
    ] {
        for url in ["organizations/a", "organizations", "organizations/none"] {
            let answer = get(&wire, url, accept).await;
            assert_eq!(answer.header("content-type"), content_type, "0.3: {accept} {url}");
        }
    }
    let both = "only the following media types are accepted: application/json, application/yaml";
    for accept in
        ["text/yaml", "application/yaml;q=0", "application/json;g=apidiscovery.k8s.io;v=v2"]
    {
        get(&wire, "organizations", accept).await.refused(accept, 406, "NotAcceptable", both);
    }
}

#[tokio::test]
async fn watches_are_json() {
    let wire = Wire::start().await;
    wire.organization("a").await;
    let url = "organizations?watch=true&timeoutSeconds=1";
    let only = "only the following media types are accepted: application/json;stream=watch";
    let answer = get(&wire, url, YAML).await;
    assert_eq!((answer.code, answer.header("content-type")), (406, YAML), "4.6");
    let status = yaml(&answer);
    assert_eq!((&status["message"], &status["reason"]), (&only.into(), &"NotAcceptable".into()));
    get(&wire, url, "text/html").await.refused("4.6", 406, "NotAcceptable", only);
    for accept in ["application/json;stream=watch", "*/*", "application/yaml, application/json"] {
        let response = wire.call("GET", url).header("accept", accept).respond().await;
        assert_eq!(
            (response.status(), &response.headers()["content-type"]),
            (http::StatusCode::OK, &JSON.parse().unwrap())
        );
    }
}

#[tokio::test]
async fn errors_are_negotiated() {
    let wire = Wire::start().await;
    for (method, url, code) in [
        ("GET", "organizations/none", 404),
        ("GET", "nothings", 404),
        ("PUT", "organizations", 405),
        ("GET", "organizations?resourceVersion=x", 400),
        ("GET", "/apis/none.example.com", 404),
        ("GET", "/organizations/none/control-plane/apis", 404),
    ] {
        let call = || wire.call(method, url);
        let answer = call().header("accept", YAML).send().await;
        assert_eq!((answer.code, &yaml(&answer)["code"]), (code, &code.into()), "0.3: {url}");
        // Errors are not converted: who takes nothing else gets indented JSON.
        for accept in [TABLE, "text/html"] {
            let answer = call().header("accept", accept).send().await;
            let text = answer.text().to_owned();
            let status = answer.json();
            assert!(text.starts_with("{\n  \""), "0.3: {url} {accept}: {text}");
            assert_eq!(answer.header("content-type"), JSON);
            assert_eq!(status["kind"], "Status");
        }
        let either = format!("{TABLE}, {JSON}");
        let answer = call().header("accept", &either).send().await;
        assert_eq!((answer.code, answer.text().lines().count()), (code, 1), "{url}");
        let answer = call().header("user-agent", "curl/8").send().await;
        assert!(answer.text().lines().count() > 1, "0.3: {url}");
    }
    let alice = wire.server.pki().issue_client("alice", &[]).unwrap();
    let mut wire = wire;
    wire.connect_as(Some(&alice)).await;
    let answer = get(&wire, "organizations", YAML).await;
    assert_eq!((answer.code, &yaml(&answer)["reason"]), (403, &"Forbidden".into()));
    assert_eq!(answer.header("x-content-type-options"), "nosniff", "0.3");
    wire.connect_as(None).await;
    let answer = get(&wire, "organizations", YAML).await;
    assert_eq!((answer.code, &yaml(&answer)["message"]), (401, &"Unauthorized".into()));
}

#[tokio::test]
async fn other_methods() {
    let wire = Wire::start().await;
    wire.organization("a").await;
    for url in ["organizations", "organizations/a"] {
        let text = "options is not supported on resources of kind \"organizations.resourcemanager.miloapis.com\"";
        let answer = wire.call("OPTIONS", url).send().await;
        answer.refused("2.1", 405, "MethodNotAllowed", text);
    }
    for url in ["/", "/apis", "/version", "/healthz"] {
        let text = "the server does not allow this method on the requested resource";
        let answer = wire.call("OPTIONS", url).send().await;
        answer.refused("2.1", 405, "MethodNotAllowed", text);
    }
    wire.call("OPTIONS", "nothings").send().await.refused("2.1", 404, "NotFound", "…");
}

/// An organization of at least so many bytes, which do not compress to nothing.
fn large(name: &str, size: usize) -> Value {
    let mut object = organization(name);
    let words = (0u64..).map(|i| format!("{:x} ", i.wrapping_mul(0x9e37_79b9_7f4a_7c15)));
    let text: String = words.flat_map(|word| word.chars().collect::<Vec<_>>()).take(size).collect();
    object["metadata"]["annotations"] = json!({ "text": text });
    object
}

fn unzip(answer: &Answer) -> String {
    let mut text = String::new();
    flate2::read::GzDecoder::new(answer.body.as_ref()).read_to_string(&mut text).unwrap();
    text
}

#[tokio::test]
async fn large_answers_are_compressed() {
    let wire = Wire::start().await;
    wire.post("organizations", &large("big", 200_000)).await.created();
    wire.organization("small").await;
    for name in ["a", "b", "c", "d", "e", "f"] {
        wire.post("organizations", &large(name, 230_000)).await.created();
    }
    let zipped = async |method: &str, url: &str, accept: &str, encoding: &str| {
        let call = wire.call(method, url).header("accept", accept);
        call.header("accept-encoding", encoding).send().await
    };
    // One block, the stream of a long list, and what is converted while it is sent.
    for (url, accept) in [
        ("organizations/big", JSON),
        ("organizations?limit=2", JSON),
        ("organizations", JSON),
        ("organizations", YAML),
        ("organizations", TABLE),
        ("organizations", PARTIAL_LIST),
        ("organizations?pretty=true", JSON),
    ] {
        let plain = get(&wire, url, accept).await;
        assert_eq!((plain.header("content-encoding"), plain.header("vary")), ("", ""), "{url}");
        let answer = zipped("GET", url, accept, "gzip").await;
        assert_eq!(answer.headers("content-encoding"), ["gzip"], "0.3: {url} {accept}");
        assert_eq!(answer.headers("vary"), ["Accept-Encoding"], "0.3: {url}");
        assert_eq!(answer.header("content-type"), plain.header("content-type"));
        assert_eq!(answer.header("content-length"), "", "0.3: {url}");
        assert!(answer.body.len() < plain.body.len());
        if accept == TABLE {
            let table = serde_json::from_str(&unzip(&answer)).unwrap();
            assert_eq!(ageless(table), ageless(plain.ok()), "0.3: {url}");
        } else {
            assert_eq!(unzip(&answer), plain.text(), "0.3: {url} {accept}");
        }
        // A HEAD tells the same of an answer that it does not bring.
        let head = zipped("HEAD", url, accept, "gzip").await;
        assert_eq!((head.code, head.body.len()), (200, 0), "2.1: {url}");
        assert_eq!(head.header("content-encoding"), "gzip", "2.1: {url}");
        assert_eq!(head.header("content-length"), "", "2.1: {url}");
    }
    for (url, encoding) in [
        ("organizations/small", "gzip"),
        ("organizations/none", "gzip"),
        ("/apis", "gzip"),
        ("organizations", "deflate, br"),
        ("organizations", "gzip;q=0"),
        ("organizations", "identity"),
    ] {
        let answer = zipped("GET", url, JSON, encoding).await;
        assert_eq!(answer.header("content-encoding"), "", "0.3: {url} {encoding}");
        assert_eq!(answer.text(), wire.get(url).await.text());
    }
    let head = wire.call("HEAD", "organizations/small").send().await;
    let length = wire.get("organizations/small").await.body.len();
    assert_eq!(head.header("content-length"), length.to_string(), "2.1");
    // Writes answer with objects as well.
    let patch = json!({"metadata": {"labels": {"x": "y"}}});
    let call = wire.call("PATCH", "organizations/big").json(&patch).header("content-type", MERGE);
    let answer = call.header("accept-encoding", "gzip").send().await;
    assert_eq!(answer.header("content-encoding"), "gzip", "0.3");
    assert_eq!(unzip(&answer), wire.get("organizations/big").await.text());
}

#[tokio::test]
async fn watches_are_never_compressed() {
    let wire = Wire::start().await;
    for name in ["a", "b", "c"] {
        wire.post("organizations", &large(name, 230_000)).await.created();
    }
    let call = wire.call("GET", "organizations?watch=true").header("accept-encoding", "gzip");
    let response = call.respond().await;
    assert!(!response.headers().contains_key("content-encoding"), "0.3");
    let mut events = support::Events::new(response.into_body());
    for name in ["a", "b", "c"] {
        assert_eq!(events.expect("ADDED").await["metadata"]["name"], name, "0.3");
    }
}

#[tokio::test]
async fn documents_are_compressed() {
    let wire = Wire::start().await;
    let index = wire.get("/openapi/v3").await.ok();
    let url = index["paths"]["apis/resourcemanager.miloapis.com/v1alpha1"]["serverRelativeURL"]
        .as_str()
        .unwrap()
        .to_owned();
    let plain = wire.get(&url).await;
    let answer = wire.call("GET", &url).header("accept-encoding", "gzip").send().await;
    assert_eq!(answer.header("etag"), plain.header("etag"), "1.5: the same for every encoding");
    if plain.body.len() > 128 * 1024 {
        assert_eq!(answer.headers("vary"), ["Accept", "Accept-Encoding"], "0.3");
        assert_eq!(unzip(&answer), plain.text());
    }
    let call = wire.call("GET", &url).header("accept-encoding", "gzip");
    let known = call.header("if-none-match", plain.header("etag")).send().await;
    assert_eq!((known.code, known.body.len(), known.header("content-encoding")), (304, 0, ""));
}

#[tokio::test]
async fn what_goes_in_as_yaml_comes_out() {
    let text = prop_oneof![
        "\\PC{0,40}",
        "[ \\n\\t:#'\"|>&*!%@`{},\\[\\]?~-]{0,20}",
        "[0-9eE_.:+xo-]{1,12}",
        proptest::sample::select(vec![
            "yes", "null", "~", "", "0644", "1e3", "---\n", " x ", "é\r\n"
        ])
        .prop_map(str::to_owned),
    ];
    let annotations = proptest::collection::btree_map("[a-z0-9]{1,8}", text, 0..6);
    // Cases are made first: they are sent by the same runtime that the server runs in.
    let mut runner = TestRunner::new(Config::default());
    let cases: Vec<_> = (0..100)
        .map(|_| annotations.new_tree(&mut runner).map(|tree| tree.current()).unwrap())
        .collect();
    let wire =
        Wire::with(Arc::new(Memory::new()), milo_apiserver_kit::ServerBuilder::hierarchy).await;
    for (index, annotations) in cases.into_iter().enumerate() {
        let name = format!("o{index}");
        let mut object = organization(&name);
        object["metadata"]["annotations"] = json!(annotations);
        let body = serde_saphyr::to_string(&object).unwrap();
        let created = send(&wire, "POST", "organizations", YAML, &body).await.created();
        let kept = created["metadata"].get("annotations").cloned().unwrap_or(json!({}));
        assert_eq!(kept, json!(annotations), "{body}");
        let url = format!("organizations/{name}");
        assert_eq!(yaml(&get(&wire, &url, YAML).await), created);
        assert_eq!(wire.get(&url).await.ok(), created);
    }
    let list = wire.get("organizations").await.ok();
    assert_eq!(yaml(&get(&wire, "organizations", YAML).await), list);
}
