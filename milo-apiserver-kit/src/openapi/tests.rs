//! Sections 1.4 and 1.5 of the wire specification.

use std::collections::BTreeSet;

use bytes::Bytes;
use http::{
    HeaderMap, Method, Response, StatusCode,
    header::{ACCEPT, CACHE_CONTROL, CONTENT_TYPE, ETAG, EXPIRES, LAST_MODIFIED, LOCATION, VARY},
};
use kube_core::{CustomResourceExt as _, gvk::GroupVersionKind};
use milo_core::{definition::ResourceDefinition, request::Verb};
use serde_json::{Value, json};

use super::{OpenApi, names::META};
use crate::discovery::{
    ServedResource, Subresource,
    fixture::{Widget, gadgets, namespaces, widgets},
};

const PATCH_TYPES: [&str; 2] = ["application/json-patch+json", "application/merge-patch+json"];
const WIDGETS: &str = "/openapi/v3/apis/demo.example.com/v1";
const WIDGET: &str = "com.example.demo.v1.Widget";

fn openapi() -> OpenApi {
    let widgets = widgets().with_subresource(Subresource::scale());
    OpenApi::new(&[widgets, gadgets()], &PATCH_TYPES)
}

fn get(path: &str, query: Option<&str>) -> Response<Bytes> {
    openapi().respond(path, query, &HeaderMap::new()).unwrap().unwrap()
}

fn body(response: &Response<Bytes>) -> Value {
    serde_json::from_slice(response.body()).unwrap()
}

fn document(path: &str) -> Value {
    body(&get(path, None))
}

fn operations(document: &Value) -> impl Iterator<Item = (&str, &str, &Value)> {
    document["paths"].as_object().unwrap().iter().flat_map(|(path, methods)| {
        let methods = methods.as_object().unwrap().iter();
        methods
            .filter(|(method, _)| *method != "parameters")
            .map(move |(method, operation)| (path.as_str(), method.as_str(), operation))
    })
}

#[test]
fn the_index_points_at_the_documents_by_hash() {
    let index = document("/openapi/v3");
    let paths = index["paths"].as_object().unwrap();
    assert_eq!(
        paths.keys().collect::<Vec<_>>(),
        [
            "api",
            "apis",
            "apis/demo.example.com",
            "apis/demo.example.com/v1",
            "apis/demo.example.com/v1alpha1",
            "version",
        ]
    );
    for entry in paths.values() {
        let url = entry["serverRelativeURL"].as_str().unwrap();
        let (path, query) = url.split_once('?').unwrap();
        // kubectl adds parameters of its own behind the hash.
        let response = get(path, Some(&format!("{query}&timeout=32s")));
        assert_eq!(response.status(), StatusCode::OK);
        assert_eq!(response.headers()[CACHE_CONTROL], "public, immutable");
        assert!(response.headers()[EXPIRES].to_str().unwrap().ends_with(" GMT"));
        assert_eq!(response.headers()[VARY], "Accept");
        let hash = query.strip_prefix("hash=").unwrap();
        assert_eq!(response.headers()[ETAG], format!("\"{hash}\""));
    }
}

#[test]
fn another_hash_is_redirected_to_the_right_one() {
    let etag = get(WIDGETS, None).headers()[ETAG].to_str().unwrap().to_owned();
    let response = get(WIDGETS, Some("timeout=32s&hash=STALE"));
    assert_eq!(response.status(), StatusCode::MOVED_PERMANENTLY);
    assert_eq!(response.headers()[LOCATION], format!("?hash={}", etag.trim_matches('"')));
    for unhashed in [None, Some(""), Some("hash="), Some("hash"), Some("timeout=32s")] {
        let response = get(WIDGETS, unhashed);
        assert_eq!(response.status(), StatusCode::OK, "{unhashed:?}");
        assert!(!response.headers().contains_key(CACHE_CONTROL), "{unhashed:?}");
    }
}

#[test]
fn unknown_documents_and_unacceptable_forms_are_refused() {
    let openapi = openapi();
    for unknown in ["/openapi/v3/apis/x/v1", "/openapi/v3/versions"] {
        let error = openapi.respond(unknown, None, &HeaderMap::new()).unwrap().unwrap_err();
        assert_eq!(error.code(), 404, "{unknown}");
    }
    for foreign in ["/openapi", "/openapi/v3x", "/openapi/v20", "/openapi/v2/x", "/apis"] {
        assert!(openapi.respond(foreign, None, &HeaderMap::new()).is_none(), "{foreign}");
    }
    for path in ["/openapi/v2", WIDGETS] {
        let text = HeaderMap::from_iter([(ACCEPT, "text/html, application/yaml".parse().unwrap())]);
        let refused = openapi.respond(path, None, &text).unwrap().unwrap();
        assert_eq!((refused.status().as_u16(), refused.body().len()), (406, 0), "{path}");
        assert_eq!(refused.headers()[VARY], "Accept");
    }
}

#[test]
fn the_hash_is_the_same_in_every_process() {
    // The same kinds, registered in another order.
    let widgets = widgets().with_subresource(Subresource::scale());
    let other = OpenApi::new(&[gadgets(), widgets], &PATCH_TYPES);
    for path in ["/openapi/v2", "/openapi/v3"] {
        let theirs = other.respond(path, None, &HeaderMap::new()).unwrap().unwrap();
        assert_eq!(theirs.body(), get(path, None).body(), "{path}");
    }
}

#[test]
fn what_several_control_planes_serve_is_kept_once() {
    let (widgets, gadgets) = (widgets(), gadgets());
    let all = OpenApi::new(&[widgets.clone(), gadgets.clone()], &PATCH_TYPES);
    let some = OpenApi::new(std::slice::from_ref(&widgets), &PATCH_TYPES).sharing(&all);
    let more = gadgets.with_subresource(Subresource::scale());
    let other = OpenApi::new(&[widgets, more], &PATCH_TYPES).sharing(&all).sharing(&some);
    let body = |openapi: &OpenApi, path: &str| {
        openapi.respond(path, None, &HeaderMap::new()).unwrap().unwrap().body().as_ptr()
    };
    for path in [WIDGETS, "/openapi/v3/apis/demo.example.com", "/openapi/v3/version"] {
        assert_eq!(body(&all, path), body(&some, path), "{path}");
        assert_eq!(body(&all, path), body(&other, path), "{path}");
    }
    let gadgets = format!("{WIDGETS}alpha1");
    assert_ne!(body(&all, &gadgets), body(&other, &gadgets));
    assert!(some.respond(&gadgets, None, &HeaderMap::new()).unwrap().is_err());
}

/// Visits every object in a document.
fn walk(value: &Value, visit: &mut impl FnMut(&serde_json::Map<String, Value>)) {
    match value {
        Value::Object(object) => {
            visit(object);
            object.values().for_each(|value| walk(value, visit));
        }
        Value::Array(list) => list.iter().for_each(|value| walk(value, visit)),
        _ => {}
    }
}

#[test]
fn paths_are_the_templates_that_kubectl_looks_for() {
    let (document, cluster) = (document(WIDGETS), document(&format!("{WIDGETS}alpha1")));
    let found = operations(&document).chain(operations(&cluster));
    let found: Vec<_> = found
        .filter(|(_, _, operation)| operation.get("x-kubernetes-action").is_some())
        .map(|(path, method, operation)| {
            let path = path.strip_prefix("/apis/demo.example.com").unwrap();
            let id = operation["operationId"].as_str().unwrap();
            format!("{method} {path} {} {id}", operation["x-kubernetes-action"].as_str().unwrap())
        })
        .collect();
    assert_eq!(
        found,
        [
            "delete /v1/namespaces/{namespace}/widgets deletecollection deleteDemoExampleComV1CollectionNamespacedWidget",
            "get /v1/namespaces/{namespace}/widgets list listDemoExampleComV1NamespacedWidget",
            "post /v1/namespaces/{namespace}/widgets post createDemoExampleComV1NamespacedWidget",
            "delete /v1/namespaces/{namespace}/widgets/{name} delete deleteDemoExampleComV1NamespacedWidget",
            "get /v1/namespaces/{namespace}/widgets/{name} get readDemoExampleComV1NamespacedWidget",
            "patch /v1/namespaces/{namespace}/widgets/{name} patch patchDemoExampleComV1NamespacedWidget",
            "put /v1/namespaces/{namespace}/widgets/{name} put replaceDemoExampleComV1NamespacedWidget",
            "get /v1/namespaces/{namespace}/widgets/{name}/scale get readDemoExampleComV1NamespacedWidgetScale",
            "patch /v1/namespaces/{namespace}/widgets/{name}/scale patch patchDemoExampleComV1NamespacedWidgetScale",
            "put /v1/namespaces/{namespace}/widgets/{name}/scale put replaceDemoExampleComV1NamespacedWidgetScale",
            "get /v1/namespaces/{namespace}/widgets/{name}/status get readDemoExampleComV1NamespacedWidgetStatus",
            "patch /v1/namespaces/{namespace}/widgets/{name}/status patch patchDemoExampleComV1NamespacedWidgetStatus",
            "put /v1/namespaces/{namespace}/widgets/{name}/status put replaceDemoExampleComV1NamespacedWidgetStatus",
            "get /v1/widgets list listDemoExampleComV1WidgetForAllNamespaces",
            "delete /v1alpha1/gadgets deletecollection deleteDemoExampleComV1alpha1CollectionGadget",
            "get /v1alpha1/gadgets list listDemoExampleComV1alpha1Gadget",
            "post /v1alpha1/gadgets post createDemoExampleComV1alpha1Gadget",
            "delete /v1alpha1/gadgets/{name} delete deleteDemoExampleComV1alpha1Gadget",
            "get /v1alpha1/gadgets/{name} get readDemoExampleComV1alpha1Gadget",
            "patch /v1alpha1/gadgets/{name} patch patchDemoExampleComV1alpha1Gadget",
            "put /v1alpha1/gadgets/{name} put replaceDemoExampleComV1alpha1Gadget",
        ]
    );
    let ids: BTreeSet<_> = found.iter().map(|line| line.rsplit(' ').next()).collect();
    assert_eq!(ids.len(), found.len(), "operation ids are unique");
}

#[test]
fn every_operation_names_its_kind_and_its_path_parameters() {
    let document = document(WIDGETS);
    for (path, method, operation) in operations(&document) {
        let in_path = document["paths"][path]["parameters"].as_array();
        for parameter in ["name", "namespace"] {
            let declared = in_path.into_iter().flatten().any(|found| found["name"] == parameter);
            assert_eq!(declared, path.contains(&format!("{{{parameter}}}")), "{path} {parameter}");
        }
        assert_eq!(operation["responses"]["401"]["description"], "Unauthorized");
        if operation.get("x-kubernetes-action").is_none() {
            continue;
        }
        let expected = if path.ends_with("/scale") {
            json!({"group": "autoscaling", "version": "v1", "kind": "Scale"})
        } else {
            json!({"group": "demo.example.com", "version": "v1", "kind": "Widget"})
        };
        assert_eq!(operation["x-kubernetes-group-version-kind"], expected, "{method} {path}");
    }
}

#[test]
fn parameters_are_where_they_belong() {
    let parameters = |document: &Value, path: &str, method: &str| -> Vec<String> {
        let found = &document["paths"][path][method]["parameters"];
        let found = found.as_array().into_iter().flatten();
        found.map(|parameter| parameter["name"].as_str().unwrap().to_owned()).collect()
    };
    let collection = "/apis/demo.example.com/v1/namespaces/{namespace}/widgets";
    let item = &format!("{collection}/{{name}}");
    let document = document(WIDGETS);
    let writes = ["dryRun", "fieldManager", "fieldValidation"];
    for (path, method) in [(collection, "post"), (item, "put"), (item, "patch")] {
        assert_eq!(parameters(&document, path, method), writes, "{method}");
    }
    assert!(parameters(&document, item, "get").is_empty());
    let lists = parameters(&document, collection, "get");
    for name in ["labelSelector", "fieldSelector", "limit", "continue", "watch"] {
        assert!(lists.iter().any(|found| found == name), "{name}");
    }
    let deletes = parameters(&document, item, "delete");
    assert!(deletes.contains(&"propagationPolicy".to_owned()));

    let apply = OpenApi::new(&[widgets()], &["application/apply-patch+yaml"]);
    let apply = body(&apply.respond(WIDGETS, None, &HeaderMap::new()).unwrap().unwrap());
    assert_eq!(parameters(&apply, item, "patch")[3], "force");
    assert_eq!(parameters(&apply, item, "put"), writes);
}

#[test]
fn patches_are_offered_in_exactly_the_supported_forms() {
    let document = document(WIDGETS);
    let patches = operations(&document).filter(|(_, method, _)| *method == "patch");
    for (path, _, patch) in patches {
        let content = patch["requestBody"]["content"].as_object().unwrap();
        assert_eq!(content.keys().collect::<Vec<_>>(), PATCH_TYPES, "{path}");
    }
}

#[test]
fn every_reference_leads_somewhere_and_stands_alone() {
    let document = document(WIDGETS);
    let schemas = document["components"]["schemas"].as_object().unwrap();
    let mut references = BTreeSet::new();
    walk(&document, &mut |object| {
        if let Some(reference) = object.get("$ref").and_then(Value::as_str) {
            let name = reference.strip_prefix("#/components/schemas/").unwrap();
            assert!(schemas.contains_key(name), "{reference}");
            assert_eq!(object.len(), 1, "{object:?} has siblings of $ref");
            references.insert(name.to_owned());
        }
        // OpenAPI 3.0 has neither lists of types nor the type null.
        assert!(!object.get("type").is_some_and(Value::is_array), "{object:?}");
        assert_ne!(object.get("type"), Some(&json!("null")), "{object:?}");
        assert!(!object.contains_key("$schema"), "{object:?}");
    });
    assert!(references.contains(WIDGET));
    assert!(references.contains("io.k8s.api.autoscaling.v1.Scale"));
    assert!(references.contains(&format!("{META}.ObjectMeta")));
}

#[test]
fn kinds_keep_their_schema_and_gain_what_every_object_has() {
    let document = document(WIDGETS);
    let widget = &document["components"]["schemas"][WIDGET];
    let gvk = json!([{"group": "demo.example.com", "version": "v1", "kind": "Widget"}]);
    assert_eq!(widget["x-kubernetes-group-version-kind"], gvk);
    assert_eq!(
        widget["properties"]["spec"]["properties"]["size"]["description"],
        "How large it is."
    );
    assert_eq!(widget["properties"]["kind"]["type"], "string");
    assert_eq!(
        widget["properties"]["metadata"]["allOf"],
        json!([{"$ref": format!("#/components/schemas/{META}.ObjectMeta")}])
    );
    let list = &document["components"]["schemas"][format!("{WIDGET}List")];
    assert_eq!(list["x-kubernetes-group-version-kind"][0]["kind"], "WidgetList");
    assert_eq!(list["required"], json!(["items"]));
}

#[test]
fn selectable_fields_are_published() {
    let document = document(WIDGETS);
    assert_eq!(
        document["components"]["schemas"][WIDGET]["x-kubernetes-selectable-fields"],
        json!([{"fieldPath": "spec.note"}])
    );
}

#[test]
fn the_core_group_is_known_by_its_own_names() {
    let openapi = OpenApi::new(&[namespaces()], &PATCH_TYPES);
    let core = openapi.respond("/openapi/v3/api/v1", None, &HeaderMap::new()).unwrap();
    let core = body(&core.unwrap());
    assert!(core["components"]["schemas"].get("io.k8s.api.core.v1.NamespaceList").is_some());
    let read = &core["paths"]["/api/v1/namespaces/{name}"]["get"];
    assert_eq!(read["operationId"], "readCoreV1Namespace");
    assert_eq!(read["tags"], json!(["core_v1"]));
    let options = &core["components"]["schemas"][format!("{META}.DeleteOptions")];
    assert_eq!(options["x-kubernetes-group-version-kind"].as_array().unwrap().len(), 1);
}

#[test]
fn shared_types_say_how_they_are_merged() {
    let document = document(WIDGETS);
    let property = |schema: &str, property: &str, extension: &str| {
        let schema = &document["components"]["schemas"][format!("{META}.{schema}")];
        schema["properties"][property][format!("x-kubernetes-{extension}")].clone()
    };
    assert_eq!(property("ObjectMeta", "ownerReferences", "list-type"), "map");
    assert_eq!(property("ObjectMeta", "ownerReferences", "list-map-keys"), json!(["uid"]));
    assert_eq!(property("ObjectMeta", "ownerReferences", "patch-merge-key"), "uid");
    assert_eq!(property("ObjectMeta", "finalizers", "list-type"), "set");
    assert_eq!(property("ObjectMeta", "managedFields", "list-type"), "atomic");
    let options = &document["components"]["schemas"][format!("{META}.DeleteOptions")];
    assert_eq!(
        options["x-kubernetes-group-version-kind"],
        json!([
            {"group": "", "version": "v1", "kind": "DeleteOptions"},
            {"group": "demo.example.com", "version": "v1", "kind": "DeleteOptions"},
        ])
    );
}

#[test]
fn a_kind_offers_what_its_storage_can_do() {
    let definition = widgets().definition().clone();
    for (verbs, expected) in [
        (&[Verb::Create][..], &["post /namespaces/{namespace}/widgets"][..]),
        (&[Verb::Get], &["get /namespaces/{namespace}/widgets/{name}"]),
        (&[Verb::List], &["get /namespaces/{namespace}/widgets", "get /widgets"]),
    ] {
        let served = ServedResource::new(definition.clone(), verbs.iter().cloned());
        let openapi = OpenApi::new(&[served], &PATCH_TYPES);
        let answer = openapi.respond(WIDGETS, None, &HeaderMap::new()).unwrap().unwrap();
        let document = body(&answer);
        let found = operations(&document).filter_map(|(path, method, operation)| {
            operation.get("x-kubernetes-action")?;
            Some(format!("{method} {}", path.strip_prefix("/apis/demo.example.com/v1")?))
        });
        assert_eq!(found.collect::<Vec<_>>(), expected);
        let schemas = document["components"]["schemas"].as_object().unwrap();
        let listed = verbs.contains(&Verb::List);
        assert_eq!(schemas.contains_key(&format!("{WIDGET}List")), listed);
        // It cannot be watched.
        assert!(!answer.body().windows(13).any(|found| found == b"stream=watch\""));
        assert!(!answer.body().windows(19).any(|found| found == b"allowWatchBookmarks"));
    }
}

#[test]
fn connections_are_told_method_by_method() {
    let options = GroupVersionKind::gvk("demo.example.com", "v1", "WidgetLogOptions");
    let log = Subresource::connect("event-log", [Method::POST, Method::GET, Method::GET])
        .with_options_kind(options)
        .with_parameter("follow", "boolean", "Whether to wait for more.")
        .with_paths_below();
    assert_eq!(log.verbs(), [Verb::Create, Verb::Get]);
    let openapi = OpenApi::new(&[widgets().with_subresource(log)], &PATCH_TYPES);
    let document = openapi.respond(WIDGETS, None, &HeaderMap::new()).unwrap().unwrap();
    let document = body(&document);
    let found: Vec<_> = operations(&document)
        .filter(|(_, _, operation)| operation["x-kubernetes-action"] == "connect")
        .map(|(path, method, operation)| {
            let (_, path) = path.split_once("{name}/").unwrap();
            let kind = &operation["x-kubernetes-group-version-kind"]["kind"];
            assert_eq!(kind, "WidgetLogOptions");
            assert_eq!(operation["parameters"][0]["name"], "follow");
            assert_eq!(operation["parameters"][0]["schema"]["type"], "boolean");
            format!("{method} {path} {}", operation["operationId"].as_str().unwrap())
        })
        .collect();
    assert_eq!(
        found,
        [
            "get event-log connectDemoExampleComV1GetNamespacedWidgetEventLog",
            "post event-log connectDemoExampleComV1PostNamespacedWidgetEventLog",
            "get event-log/{path} connectDemoExampleComV1GetNamespacedWidgetEventLogWithPath",
            "post event-log/{path} connectDemoExampleComV1PostNamespacedWidgetEventLogWithPath",
        ]
    );
}

#[test]
fn objects_within_objects_have_metadata() {
    let schema = json!({
        "type": "object",
        "properties": {"spec": {"type": "object", "properties": {"templates": {
            "type": "array",
            "items": {
                "type": "object",
                "x-kubernetes-embedded-resource": true,
                "x-kubernetes-preserve-unknown-fields": true,
            },
        }}}},
    });
    let mut crd = Widget::crd();
    let props = serde_json::from_value(schema).unwrap();
    crd.spec.versions[0].schema.as_mut().unwrap().open_api_v3_schema = Some(props);
    crd.spec.versions[0].selectable_fields = None;
    let served = ServedResource::complete(ResourceDefinition::from_crd(&crd).unwrap().into());
    let openapi = OpenApi::new(&[served], &PATCH_TYPES);
    let read = |path: &str| body(&openapi.respond(path, None, &HeaderMap::new()).unwrap().unwrap());
    let templates = "/properties/spec/properties/templates/items";
    let v3 = &read(WIDGETS)["components"]["schemas"][WIDGET];
    let item = v3.pointer(templates).unwrap();
    assert_eq!(item["properties"]["kind"]["type"], "string");
    assert!(item["properties"]["metadata"]["allOf"][0]["$ref"].is_string());
    let v2 = &read("/openapi/v2")["definitions"][WIDGET];
    let item = v2.pointer(templates).unwrap().as_object().unwrap();
    let extensions = ["x-kubernetes-embedded-resource", "x-kubernetes-preserve-unknown-fields"];
    assert_eq!(item.keys().collect::<Vec<_>>(), extensions);
}

#[test]
fn v2_says_what_v3_says() {
    let v2 = document("/openapi/v2");
    assert_eq!(v2["swagger"], "2.0");
    let mut ids = BTreeSet::new();
    for key in document("/openapi/v3")["paths"].as_object().unwrap().keys() {
        let v3 = document(&format!("/openapi/v3/{key}"));
        for (path, method, operation) in operations(&v3) {
            let other = &v2["paths"][path][method];
            for field in [
                "operationId",
                "tags",
                "description",
                "x-kubernetes-action",
                "x-kubernetes-group-version-kind",
            ] {
                assert_eq!(operation[field], other[field], "{method} {path} {field}");
            }
            assert!(ids.insert(other["operationId"].as_str().unwrap().to_owned()), "{other}");
            let codes = |of: &Value| of["responses"].as_object().unwrap().len();
            assert_eq!(codes(operation), codes(other), "{method} {path}");
            let bodies = usize::from(operation.get("requestBody").is_some());
            let count = |of: &Value| of["parameters"].as_array().map_or(0, Vec::len);
            assert_eq!(count(operation) + bodies, count(other), "{method} {path}");
        }
        for (name, schema) in v3["components"]["schemas"].as_object().unwrap() {
            let other = &v2["definitions"][name];
            for field in ["type", "description", "x-kubernetes-list-type"] {
                assert_eq!(schema[field], other[field], "{name} {field}");
            }
            let properties =
                |of: &Value| of["properties"].as_object().map_or(0, serde_json::Map::len);
            assert_eq!(properties(schema), properties(other), "{name}");
        }
    }
    assert_eq!(operations(&v2).count(), ids.len());
}

#[test]
fn v2_has_its_own_way_of_saying_it() {
    let v2 = document("/openapi/v2");
    let definitions = v2["definitions"].as_object().unwrap();
    walk(&v2, &mut |object| {
        if let Some(reference) = object.get("$ref").and_then(Value::as_str) {
            assert!(definitions.contains_key(reference.strip_prefix("#/definitions/").unwrap()));
            assert!(!object.contains_key("type") && !object.contains_key("properties"));
        }
        for foreign in ["nullable", "oneOf", "anyOf", "allOf", "not", "content", "requestBody"] {
            assert!(!object.contains_key(foreign), "{foreign} in {object:?}");
        }
    });
    let item = "/apis/demo.example.com/v1/namespaces/{namespace}/widgets/{name}";
    let patch = &v2["paths"][item]["patch"];
    assert_eq!(patch["consumes"], json!(PATCH_TYPES));
    assert_eq!(patch["produces"], json!(["application/json", "application/yaml"]));
    assert_eq!(
        patch["parameters"][0],
        json!({
            "name": "body", "in": "body", "required": true,
            "schema": {"$ref": format!("#/definitions/{META}.Patch")},
        })
    );
    let dry_run = &patch["parameters"][1];
    assert_eq!((&dry_run["name"], &dry_run["in"]), (&json!("dryRun"), &json!("query")));
    assert_eq!((&dry_run["type"], &dry_run["uniqueItems"]), (&json!("string"), &json!(true)));
    let schema = json!({"$ref": format!("#/definitions/{WIDGET}")});
    assert_eq!(patch["responses"]["200"]["schema"], schema);
    assert_eq!(
        definitions[WIDGET]["properties"]["metadata"]["$ref"],
        format!("#/definitions/{META}.ObjectMeta")
    );
    let delete = &v2["paths"][item]["delete"]["parameters"][0];
    assert_eq!((&delete["in"], delete.get("required")), (&json!("body"), None));
    // A shared type is of the kinds of all versions.
    let kinds = &definitions[&format!("{META}.DeleteOptions")]["x-kubernetes-group-version-kind"];
    let versions: Vec<_> = kinds.as_array().unwrap().iter().map(|kind| &kind["version"]).collect();
    assert_eq!(versions, ["v1", "v1", "v1alpha1"]);
    // kubectl does not know what a note is that may be null, so it lets it pass.
    let note = &definitions[WIDGET]["properties"]["spec"]["properties"]["note"];
    assert_eq!(note.get("type"), None);
}

#[test]
fn protobuf_has_the_hash_of_the_json() {
    for (path, query, deprecated, current) in [
        (
            "/openapi/v2",
            None,
            "application/com.github.proto-openapi.spec.v2@v1.0+protobuf",
            "application/com.github.proto-openapi.spec.v2.v1.0+protobuf",
        ),
        (
            WIDGETS,
            Some("hash="),
            "application/com.github.proto-openapi.spec.v3@v1.0+protobuf",
            "application/com.github.proto-openapi.spec.v3.v1.0+protobuf",
        ),
    ] {
        let json = get(path, query);
        let mut bodies = BTreeSet::new();
        for accept in [
            deprecated.to_owned(),
            current.to_owned(),
            format!("{deprecated},application/json;q=0.5"),
        ] {
            let headers = HeaderMap::from_iter([(ACCEPT, accept.parse().unwrap())]);
            let answer = openapi().respond(path, query, &headers).unwrap().unwrap();
            assert_eq!(answer.headers()[CONTENT_TYPE], current, "{accept}");
            assert_eq!(answer.headers()[ETAG], json.headers()[ETAG], "{accept}");
            assert_eq!(answer.headers()[VARY], "Accept");
            assert!(answer.headers().contains_key(LAST_MODIFIED));
            bodies.insert(answer.body().clone());
        }
        assert_eq!(bodies.len(), 1);
        assert!(!bodies.contains(json.body()));
    }
}
