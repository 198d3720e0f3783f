//! Paths, queries and headers.

use http::{HeaderMap, Method, header};
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};

use super::{
    object::{json_patch, merge_patch, object},
    spoil::spoiled,
    value::text,
};
use crate::{
    choices::Choices,
    world::{Call, GADGETS, User},
};

const METHODS: &[&str] =
    &["GET", "POST", "PUT", "PATCH", "DELETE", "HEAD", "OPTIONS", "TRACE", "CONNECT", "FOO"];

const SEGMENTS: &[&str] = &[
    "apis",
    "api",
    "v1",
    "v1alpha1",
    "fuzz.example.com",
    "resourcemanager.miloapis.com",
    "iam.miloapis.com",
    "organizations",
    "projects",
    "users",
    "organizationmemberships",
    "control-plane",
    "acme",
    "p1",
    "p2",
    "namespaces",
    "default",
    "gadgets",
    "seed",
    "twin",
    "status",
    "scale",
    "finalize",
    "watch",
    "proxy",
    "openapi",
    "v2",
    "v3",
    "version",
    "healthz",
    "livez",
    "readyz",
    "ping",
    "metrics",
    "",
    ".",
    "..",
    "%2f",
    "%2e%2e",
    "%00",
    "%",
    "%zz",
    "a%20b",
    "a+b",
    "seed;x",
    "authorization.k8s.io",
    "selfsubjectaccessreviews",
    "authentication.k8s.io",
    "selfsubjectreviews",
    "log",
    "*",
];

const PREFIXES: &[&str] = &[
    "/projects/p1/control-plane",
    "",
    "/organizations/acme/control-plane",
    "/users/u/control-plane",
    "/projects/none/control-plane",
    "/apis/resourcemanager.miloapis.com/v1alpha1/projects/p1/control-plane",
    "/apis/iam.miloapis.com/v1alpha1/users/u/control-plane",
];

const PLACES: &[&str] = &[
    "/apis/fuzz.example.com/v1/namespaces/default/gadgets",
    "/apis/fuzz.example.com/v1/namespaces/default/gadgets/seed",
    "/apis/fuzz.example.com/v1/namespaces/default/gadgets/seed/status",
    "/apis/fuzz.example.com/v1/namespaces/default/gadgets/seed/scale",
    "/apis/fuzz.example.com/v1/gadgets",
    "/apis/resourcemanager.miloapis.com/v1alpha1/organizations/acme",
    "/apis/resourcemanager.miloapis.com/v1alpha1/projects",
    "/apis",
    "/api",
    "/apis/fuzz.example.com",
    "/apis/fuzz.example.com/v1",
    "/openapi/v2",
    "/openapi/v3",
    "/openapi/v3/apis/fuzz.example.com/v1",
    "/version",
    "/readyz",
    "",
];

/// A path: a known one with changes, or known segments in any order.
pub(crate) fn path(choices: &mut Choices<'_>) -> String {
    let mut path = choices.pick(PREFIXES).to_owned();
    path.push_str(choices.pick(PLACES));
    for _ in 0..choices.below(6) {
        path.push('/');
        path.push_str(choices.pick(SEGMENTS));
    }
    if choices.one_in(4) {
        path = String::from_utf8_lossy(&spoiled(choices, path)).into_owned();
    }
    if path.starts_with('/') { path } else { format!("/{path}") }
}

pub(crate) fn method(choices: &mut Choices<'_>) -> Method {
    choices.pick(METHODS).parse().unwrap_or_default()
}

pub(crate) fn user(choices: &mut Choices<'_>) -> User {
    match choices.below(8) {
        6 => User::Nobody,
        7 => User::Stranger,
        _ => User::Admin,
    }
}

/// A text as it may stand in a query.
pub(crate) fn escape(text: &str) -> String {
    utf8_percent_encode(text, NON_ALPHANUMERIC).to_string()
}

/// Parameters and values for them: what is known, or any text.
fn query(choices: &mut Choices<'_>, known: &[(&str, &[&str])]) -> String {
    let mut query = String::new();
    for _ in 0..choices.below(6) {
        query.push(if query.is_empty() { '?' } else { '&' });
        let (name, values) = known[choices.below(known.len())];
        query.push_str(name);
        query.push('=');
        match choices.below(values.len() + 1) {
            any if any == values.len() => query.push_str(&escape(&text(choices))),
            at => query.push_str(&escape(values[at])),
        }
    }
    query
}

const VERSIONS: &[&str] =
    &["0", "1", "2", "5", "", "-1", "99999999999", "18446744073709551615", "x"];
const FLAGS: &[&str] = &["true", "false", "1", "0", "", "yes"];

/// The query of a list or a watch.
pub(crate) fn collection_query(choices: &mut Choices<'_>) -> String {
    query(
        choices,
        &[
            ("watch", &["true", "1", "false", ""]),
            ("resourceVersion", VERSIONS),
            ("resourceVersionMatch", &["NotOlderThan", "Exact", "", "exact"]),
            ("sendInitialEvents", FLAGS),
            ("allowWatchBookmarks", FLAGS),
            ("timeoutSeconds", &["1", "0", "-1", "30", "9223372036854775807", "1.5"]),
            ("limit", &["1", "0", "-1", "2", "500", "9223372036854775807"]),
            (
                "continue",
                &["", "x", "eyJ2IjoibWV0YS5rOHMuaW8vdjEiLCJydiI6LTEsInN0YXJ0Ijoic2VlZFx1MDAwMCJ9"],
            ),
            (
                "labelSelector",
                &["app=shop", "app in (shop,x),!y", "app!=shop", "tier>3", "app==", ",", "a b"],
            ),
            (
                "fieldSelector",
                &[
                    "metadata.name=seed",
                    "metadata.namespace=default",
                    "spec.color=red",
                    "spec.x=1",
                    "metadata.name!=seed",
                    "metadata.name=seed,metadata.name=twin",
                    "metadata.name=..%2f..",
                ],
            ),
            ("timeout", &["1s", "0", "1ns", "-1s", "1h", "1h1m1s1ms"]),
            ("pretty", FLAGS),
            ("includeObject", &["None", "Metadata", "Object", "x"]),
            ("shardSelector", &["x"]),
            ("follow", FLAGS),
        ],
    )
}

/// The query of a write.
pub(crate) fn write_query(choices: &mut Choices<'_>) -> String {
    query(
        choices,
        &[
            (
                "fieldManager",
                &["one", "two", "kubectl", "kubectl-client-side-apply", "", "a/b", "\u{0}"],
            ),
            ("force", FLAGS),
            ("dryRun", &["All", "", "all"]),
            ("fieldValidation", &["Strict", "Warn", "Ignore", "x"]),
            ("pretty", FLAGS),
            ("timeout", &["1s", "0", "1h"]),
            ("propagationPolicy", &["Background", "Foreground", "Orphan", "x"]),
            ("gracePeriodSeconds", &["0", "-1", "9223372036854775807", "x"]),
            ("orphanDependents", FLAGS),
        ],
    )
}

const ACCEPTED: &[&str] = &[
    "application/json",
    "application/json;as=Table;v=v1;g=meta.k8s.io",
    "application/json;as=Table;v=v1;g=meta.k8s.io,application/json;as=Table;v=v1beta1;g=meta.k8s.io,application/json",
    "application/json;as=PartialObjectMetadata;v=v1;g=meta.k8s.io",
    "application/json;as=PartialObjectMetadataList;v=v1;g=meta.k8s.io",
    "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList",
    "application/yaml",
    "application/vnd.kubernetes.protobuf",
    "application/vnd.kubernetes.protobuf;stream=watch",
    "application/json;stream=watch",
    "application/cbor-seq",
    "application/com.github.proto-openapi.spec.v2@v1.0+protobuf",
    "*/*;q=0.1,text/html",
    "a/b;q=x;;=,,",
    "",
];

const CONTENT_TYPES: &[&str] = &[
    "application/json",
    "application/yaml",
    "application/merge-patch+json",
    "application/json-patch+json",
    "application/strategic-merge-patch+json",
    "application/apply-patch+yaml",
    "application/apply-patch+cbor",
    "application/vnd.kubernetes.protobuf",
    "application/json; charset=utf-8",
    "text/plain",
    ";",
];

pub(crate) fn headers(choices: &mut Choices<'_>) -> HeaderMap {
    let mut headers = HeaderMap::new();
    for _ in 0..choices.below(4) {
        let (name, value) = match choices.below(8) {
            0 | 1 => (header::ACCEPT, choices.pick(ACCEPTED).to_owned()),
            2 | 3 => (header::CONTENT_TYPE, choices.pick(CONTENT_TYPES).to_owned()),
            4 => {
                (header::ACCEPT_ENCODING, choices.pick(&["gzip", "gzip;q=0", "*", "br"]).to_owned())
            }
            5 => (header::IF_NONE_MATCH, choices.pick(&["*", "\"x\"", "W/\"x\""]).to_owned()),
            6 => (
                header::USER_AGENT,
                choices.pick(&["kubectl/v1", "curl/8", "Mozilla/5.0"]).to_owned(),
            ),
            _ => {
                let known = &["impersonate-user", "upgrade", "connection", "audit-id", "expect"];
                let name = header::HeaderName::from_static(choices.pick(known));
                (name, text(choices))
            }
        };
        if let Ok(value) = value.parse() {
            headers.append(name, value);
        }
    }
    headers
}

/// Any request about the gadgets of the first project.
pub(crate) fn any_call(choices: &mut Choices<'_>) -> Call {
    let name = choices.pick(&["seed", "new", "twin"]);
    let part = choices.pick(&["", "", "", "/status", "/scale"]);
    let url = format!("{GADGETS}/{name}{part}{}", write_query(choices));
    let one = |method| Call::new(method, url.clone());
    let json = |value: serde_json::Value| value.to_string();
    match choices.below(8) {
        0 => one(Method::PATCH).sending("application/merge-patch+json", json(merge_patch(choices))),
        1 => one(Method::PATCH).sending("application/json-patch+json", json(json_patch(choices))),
        2 => {
            one(Method::PATCH).sending("application/apply-patch+yaml", json(object(choices, name)))
        }
        3 => one(Method::PUT).sending("application/json", json(object(choices, name))),
        4 => Call::new(Method::POST, format!("{GADGETS}{}", write_query(choices)))
            .sending("application/json", json(object(choices, name))),
        5 => one(Method::DELETE),
        6 => Call::new(Method::DELETE, format!("{GADGETS}{}", collection_query(choices))),
        _ => Call::new(Method::GET, format!("{GADGETS}{}", collection_query(choices))),
    }
}
