//! Section 1.1, 1.2 and 1.6 of the wire specification.

use http::{
    StatusCode,
    header::{ACCEPT, CACHE_CONTROL, CONTENT_TYPE, ETAG, IF_NONE_MATCH, VARY},
};
use kube_core::discovery::v2::ACCEPT_AGGREGATED_DISCOVERY_V2;
use milo_core::request::Verb;
use serde_json::Value;

use super::{
    fixture::{gadgets, namespaces, widgets},
    *,
};

const VERBS: [&str; 8] =
    ["create", "delete", "deletecollection", "get", "list", "patch", "update", "watch"];

const ADDRESS: &str = "milo.example.com:6443";

fn accept(value: &str) -> HeaderMap {
    HeaderMap::from_iter([(ACCEPT, value.parse().unwrap())])
}

fn get(discovery: &Discovery, path: &str, headers: &HeaderMap) -> Response<Bytes> {
    discovery.respond(path, ADDRESS, headers).unwrap().unwrap()
}

fn body(response: &Response<Bytes>) -> Value {
    serde_json::from_slice(response.body()).unwrap()
}

fn plain(discovery: &Discovery, path: &str) -> Value {
    let response = get(discovery, path, &HeaderMap::new());
    assert_eq!(response.headers()[CONTENT_TYPE], "application/json");
    body(&response)
}

fn aggregated(discovery: &Discovery, path: &str) -> Value {
    let response = get(discovery, path, &accept(ACCEPT_AGGREGATED_DISCOVERY_V2));
    assert_eq!(response.headers()[CONTENT_TYPE], AGGREGATED);
    body(&response)
}

#[test]
fn the_core_group_is_listed_even_when_empty() {
    let discovery = Discovery::new(&[widgets()]);
    assert_eq!(
        plain(&discovery, "/api"),
        json!({
            "kind": "APIVersions",
            "versions": ["v1"],
            "serverAddressByClientCIDRs": [{"clientCIDR": "0.0.0.0/0", "serverAddress": ADDRESS}],
        })
    );
    assert_eq!(
        plain(&discovery, "/api/v1"),
        json!({"kind": "APIResourceList", "groupVersion": "v1", "resources": []})
    );
    assert_eq!(aggregated(&discovery, "/api")["items"], json!([]));
}

#[test]
fn the_core_group_is_served_below_api() {
    let discovery = Discovery::new(&[widgets(), namespaces()]);
    let list = plain(&discovery, "/api/v1");
    assert_eq!((list.get("apiVersion"), &list["groupVersion"]), (None, &json!("v1")));
    assert_eq!(list["resources"][0]["name"], "namespaces");
    let groups = aggregated(&discovery, "/api");
    assert_eq!(groups["items"].as_array().unwrap().len(), 1);
    assert_eq!(groups["items"][0]["metadata"], json!({}));
    let kind = json!({"group": "", "version": "v1", "kind": "Namespace"});
    assert_eq!(groups["items"][0]["versions"][0]["resources"][0]["responseKind"], kind);
    assert_eq!(plain(&discovery, "/apis")["groups"].as_array().unwrap().len(), 1);
}

#[test]
fn groups_list_their_versions_best_first() {
    let discovery = Discovery::new(&[gadgets(), widgets()]);
    let v1 = json!({"groupVersion": "demo.example.com/v1", "version": "v1"});
    let v1alpha1 = json!({"groupVersion": "demo.example.com/v1alpha1", "version": "v1alpha1"});
    let mut group = json!({
        "name": "demo.example.com",
        "versions": [v1, v1alpha1],
        "preferredVersion": v1,
    });
    assert_eq!(
        plain(&discovery, "/apis"),
        json!({"kind": "APIGroupList", "apiVersion": "v1", "groups": [group]})
    );
    group["kind"] = "APIGroup".into();
    group["apiVersion"] = "v1".into();
    assert_eq!(plain(&discovery, "/apis/demo.example.com"), group);
}

#[test]
fn a_version_lists_its_kinds_and_their_subresources() {
    let discovery = Discovery::new(&[widgets().with_subresource(Subresource::scale())]);
    let list = plain(&discovery, "/apis/demo.example.com/v1");
    assert_eq!(
        list,
        json!({
            "kind": "APIResourceList",
            "apiVersion": "v1",
            "groupVersion": "demo.example.com/v1",
            "resources": [
                {
                    "name": "widgets",
                    "singularName": "widget",
                    "namespaced": true,
                    "kind": "Widget",
                    "verbs": VERBS,
                    "shortNames": ["wd"],
                    "categories": ["all"],
                    // base64(sha256("demo.example.com/v1/Widget")[..8])
                    "storageVersionHash": "bQ1YHmG75GQ=",
                },
                {
                    "name": "widgets/scale",
                    "singularName": "",
                    "namespaced": true,
                    "group": "autoscaling",
                    "version": "v1",
                    "kind": "Scale",
                    "verbs": ["get", "patch", "update"],
                },
                {
                    "name": "widgets/status",
                    "singularName": "",
                    "namespaced": true,
                    "kind": "Widget",
                    "verbs": ["get", "patch", "update"],
                },
            ],
        })
    );
}

#[test]
fn aggregated_discovery_says_the_same_in_one_answer() {
    let discovery = Discovery::new(&[gadgets(), widgets()]);
    let kind = |version: &str, kind: &str| json!({"group": "demo.example.com", "version": version, "kind": kind});
    assert_eq!(
        aggregated(&discovery, "/apis"),
        json!({
            "kind": "APIGroupDiscoveryList",
            "apiVersion": "apidiscovery.k8s.io/v2",
            "metadata": {},
            "items": [{
                "metadata": {"name": "demo.example.com"},
                "versions": [
                    {
                        "version": "v1",
                        "freshness": "Current",
                        "resources": [{
                            "resource": "widgets",
                            "responseKind": kind("v1", "Widget"),
                            "scope": "Namespaced",
                            "singularResource": "widget",
                            "verbs": VERBS,
                            "shortNames": ["wd"],
                            "categories": ["all"],
                            "subresources": [{
                                "subresource": "status",
                                "responseKind": kind("v1", "Widget"),
                                "verbs": ["get", "patch", "update"],
                            }],
                        }],
                    },
                    {
                        "version": "v1alpha1",
                        "freshness": "Current",
                        "resources": [{
                            "resource": "gadgets",
                            "responseKind": kind("v1alpha1", "Gadget"),
                            "scope": "Cluster",
                            "singularResource": "gadget",
                            "verbs": VERBS,
                        }],
                    },
                ],
            }],
        })
    );
}

#[test]
fn the_form_follows_accept() {
    let discovery = Discovery::new(&[widgets()]);
    let beta = "application/json;g=apidiscovery.k8s.io;v=v2beta1;as=APIGroupDiscoveryList";
    for (header, expected) in [
        (ACCEPT_AGGREGATED_DISCOVERY_V2.to_owned(), AGGREGATED),
        ("application/json;as=APIGroupDiscoveryList;v=v2;g=apidiscovery.k8s.io".into(), AGGREGATED),
        (format!("{AGGREGATED};profile=nopeer,application/json;q=0.9"), AGGREGATED),
        (format!("{beta},application/json"), "application/json"),
        ("application/json, */*".into(), "application/json"),
        ("application/yaml".into(), "application/yaml"),
    ] {
        for path in ["/api", "/apis", "/apis/"] {
            let response = get(&discovery, path, &accept(&header));
            assert_eq!(response.headers()[CONTENT_TYPE], expected, "{path} {header}");
            assert_eq!(response.headers()[VARY], "Accept");
        }
    }
    for header in [beta, "application/vnd.kubernetes.protobuf"] {
        assert!(discovery.respond("/apis", ADDRESS, &accept(header)).unwrap().is_err(), "{header}");
    }
}

#[test]
fn aggregated_discovery_is_cached_by_hash() {
    let discovery = Discovery::new(&[widgets(), gadgets()]);
    let mut headers = accept(ACCEPT_AGGREGATED_DISCOVERY_V2);
    let response = get(&discovery, "/apis", &headers);
    assert_eq!(response.headers()[CACHE_CONTROL], "public");
    let etag = response.headers()[ETAG].clone();

    // Another process, in which the kinds were registered the other way round.
    let other = Discovery::new(&[gadgets(), widgets()]);
    headers.insert(IF_NONE_MATCH, etag.clone());
    let response = get(&other, "/apis", &headers);
    assert_eq!((response.status(), &response.headers()[ETAG]), (StatusCode::NOT_MODIFIED, &etag));

    // The hash of one form is not the other's.
    headers.remove(ACCEPT);
    assert_eq!(get(&other, "/apis", &headers).status(), StatusCode::OK);
}

#[test]
fn control_planes_list_what_they_serve() {
    let resources = [widgets(), gadgets()];
    for (scope, expected) in [
        (ScopeKind::Platform, &["v1alpha1"][..]),
        (ScopeKind::Organization, &["v1alpha1"]),
        (ScopeKind::Project, &["v1"]),
        (ScopeKind::User, &[]),
    ] {
        let discovery = Discovery::for_scope(&resources, scope);
        let groups = plain(&discovery, "/apis");
        let versions = groups["groups"].as_array().unwrap().iter().flat_map(|group| {
            group["versions"].as_array().unwrap().iter().map(|found| found["version"].clone())
        });
        assert_eq!(versions.collect::<Vec<_>>(), expected, "{scope}");
    }
    let user = Discovery::for_scope(&resources, ScopeKind::User);
    assert!(user.respond("/apis/demo.example.com/v1", ADDRESS, &HeaderMap::new()).is_none());
}

#[test]
fn verbs_are_those_of_the_storage() {
    let definition = widgets().definition().clone();
    let served = ServedResource::new(definition, [Verb::List, Verb::Get, Verb::List]);
    let list = plain(&Discovery::new(&[served]), "/apis/demo.example.com/v1");
    assert_eq!(list["resources"].as_array().unwrap().len(), 1);
    assert_eq!(list["resources"][0]["verbs"], json!(["get", "list"]));
}

#[test]
fn the_index_lists_every_path() {
    let index = Discovery::new(&[widgets()]).index(["/version", "/openapi/v3", "/api"]);
    let index: Value = serde_json::from_slice(index.body()).unwrap();
    assert_eq!(
        index,
        json!({"paths": [
            "/api", "/api/v1", "/apis", "/apis/demo.example.com", "/apis/demo.example.com/v1",
            "/openapi/v3", "/version",
        ]})
    );
}
