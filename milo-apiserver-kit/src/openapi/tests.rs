//! Section 1.5 of the wire specification.

use std::collections::BTreeSet;

use bytes::Bytes;
use http::{
    HeaderMap, Response, StatusCode,
    header::{ACCEPT, CACHE_CONTROL, ETAG, EXPIRES, LOCATION, VARY},
};
use serde_json::{Value, json};

use super::{names::META, v3::OpenApi};
use crate::discovery::{
    Subresource,
    fixture::{gadgets, namespaces, widgets},
};

const PATCH_TYPES: [&str; 2] = ["application/json-patch+json", "application/merge-patch+json"];
const WIDGETS: &str = "/openapi/v3/apis/demo.example.com/v1";
const WIDGET: &str = "com.example.demo.v1.Widget";

fn openapi() -> OpenApi {
    let widgets = widgets().with_subresource(Subresource::scale());
    OpenApi::new(&[widgets, gadgets()], &PATCH_TYPES)
}

fn get(path: &str, query: Option<&str>) -> Response<Bytes> {
    openapi().respond(path, query, &HeaderMap::new()).unwrap()
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
        ["apis/demo.example.com/v1", "apis/demo.example.com/v1alpha1"]
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
    for unknown in ["/openapi/v3/apis/x/v1", "/openapi/v3/version", "/openapi/v3x", "/openapi/v2"] {
        let error = openapi.respond(unknown, None, &HeaderMap::new()).unwrap_err();
        assert_eq!(error.code(), 404, "{unknown}");
    }
    let accept = |value: &str| HeaderMap::from_iter([(ACCEPT, value.parse().unwrap())]);
    let protobuf = "application/com.github.proto-openapi.spec.v3@v1.0+protobuf";
    let only = openapi.respond(WIDGETS, None, &accept(protobuf)).unwrap_err();
    assert_eq!(only.code(), 406);
    let first = format!("{protobuf}, application/json;q=0.5");
    assert!(openapi.respond(WIDGETS, None, &accept(&first)).is_ok());
}

#[test]
fn the_hash_is_the_same_in_every_process() {
    // The same kinds, registered in another order.
    let widgets = widgets().with_subresource(Subresource::scale());
    let other = OpenApi::new(&[gadgets(), widgets], &PATCH_TYPES);
    let other = other.respond("/openapi/v3", None, &HeaderMap::new()).unwrap();
    assert_eq!(other.body(), get("/openapi/v3", None).body());
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
    let apply = body(&apply.respond(WIDGETS, None, &HeaderMap::new()).unwrap());
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
    let core = body(&core);
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
