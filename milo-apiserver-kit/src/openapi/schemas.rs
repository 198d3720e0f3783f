//! `components.schemas`: the kinds, their lists, and the types that every API shares.

use k8s_openapi::apimachinery::pkg::apis::meta::v1;
use kube_core::gvk::GroupVersionKind;
use milo_core::request::Verb;
use schemars::{SchemaGenerator, generate::SchemaSettings};
use serde_json::{Map, Value, json};

use super::{
    names::{self, META},
    operations::kind,
};
use crate::discovery::{GroupVersion, ServedResource};

const GVK: &str = "x-kubernetes-group-version-kind";

/// All schemas of a group version.
pub(super) fn of_version(version: &GroupVersion<'_>) -> Map<String, Value> {
    let mut schemas = shared(version);
    for resource in version.resources() {
        let definition = resource.definition();
        let (group, version) = (definition.group(), definition.version());
        let name = names::schema(group, version, definition.kind());
        if resource.verbs().contains(&Verb::List) {
            let list_name = names::schema(group, version, definition.list_kind());
            let list = list_schema(resource, &name, &schemas);
            schemas.insert(list_name, list);
        }
        let object = object_schema(resource, &schemas);
        schemas.insert(name, object);
    }
    schemas
}

/// The types that every API shares, and the kinds of subresources.
fn shared(version: &GroupVersion<'_>) -> Map<String, Value> {
    let mut generator = SchemaSettings::openapi3().into_generator();
    generator.subschema_for::<v1::APIResourceList>();
    generator.subschema_for::<v1::DeleteOptions>();
    generator.subschema_for::<v1::ListMeta>();
    generator.subschema_for::<v1::ObjectMeta>();
    generator.subschema_for::<v1::Patch>();
    generator.subschema_for::<v1::Status>();
    generator.subschema_for::<v1::WatchEvent<()>>();
    let foreign = add_subresources(version, &mut generator);
    let mut schemas = generator.take_definitions(true);
    complete(&mut schemas);
    for (name, gvk) in foreign {
        extend(&mut schemas, &name, None, &json!({GVK: [kind(&gvk)]}));
    }
    name_meta_kinds(&mut schemas, Some(version));
    schemas
}

fn add_subresources(
    version: &GroupVersion<'_>,
    generator: &mut SchemaGenerator,
) -> Vec<(String, GroupVersionKind)> {
    let subresources = version.resources().iter().flat_map(|found| found.subresources());
    let foreign = subresources.filter_map(|found| found.add_schema(generator));
    foreign.map(|(name, gvk)| (name.to_owned(), gvk.clone())).collect()
}

/// What k8s-openapi leaves out: how lists and maps are merged.
pub(super) fn complete(schemas: &mut Map<String, Value>) {
    let atomic = json!({"x-kubernetes-list-type": "atomic"});
    let atomic_map = json!({"x-kubernetes-map-type": "atomic"});
    for (name, property, extensions) in [
        (
            "ObjectMeta",
            Some("ownerReferences"),
            &json!({
                "x-kubernetes-list-type": "map",
                "x-kubernetes-list-map-keys": ["uid"],
                "x-kubernetes-patch-strategy": "merge",
                "x-kubernetes-patch-merge-key": "uid",
            }),
        ),
        (
            "ObjectMeta",
            Some("finalizers"),
            &json!({"x-kubernetes-list-type": "set", "x-kubernetes-patch-strategy": "merge"}),
        ),
        ("ObjectMeta", Some("managedFields"), &atomic),
        ("OwnerReference", None, &atomic_map),
        ("DeleteOptions", Some("dryRun"), &atomic),
        ("StatusDetails", Some("causes"), &atomic),
        ("Status", Some("details"), &atomic),
        ("LabelSelector", None, &atomic_map),
        ("LabelSelector", Some("matchExpressions"), &atomic),
        ("LabelSelectorRequirement", Some("values"), &atomic),
        ("APIResourceList", Some("resources"), &atomic),
        ("APIResource", Some("shortNames"), &atomic),
        ("APIResource", Some("categories"), &atomic),
        ("APIGroup", Some("serverAddressByClientCIDRs"), &atomic),
        ("APIGroup", Some("versions"), &atomic),
        ("APIGroupList", Some("groups"), &atomic),
        ("APIVersions", Some("serverAddressByClientCIDRs"), &atomic),
        ("APIVersions", Some("versions"), &atomic),
    ] {
        extend(schemas, &format!("{META}.{name}"), property, extensions);
    }
}

/// The kinds that every group answers or accepts, which clients find by their own group too.
pub(super) fn name_meta_kinds(
    schemas: &mut Map<String, Value>,
    version: Option<&GroupVersion<'_>>,
) {
    const NAMES: [&str; 7] = [
        "APIGroup",
        "APIGroupList",
        "APIResourceList",
        "APIVersions",
        "DeleteOptions",
        "Status",
        "WatchEvent",
    ];
    for name in NAMES {
        let mut kinds = vec![kind(&GroupVersionKind::gvk("", "v1", name))];
        let own = version.map(|found| GroupVersionKind::gvk(found.group(), found.version(), name));
        let own = own.filter(|found| found.api_version() != "v1");
        if matches!(name, "DeleteOptions" | "WatchEvent") {
            kinds.extend(own.as_ref().map(kind));
        }
        extend(schemas, &format!("{META}.{name}"), None, &json!({GVK: kinds}));
    }
}

/// Adds `extensions` to a schema or to one of its properties, where there is one.
fn extend(
    schemas: &mut Map<String, Value>,
    name: &str,
    property: Option<&str>,
    extensions: &Value,
) {
    let schema = schemas.get_mut(name);
    let target = match property {
        None => schema,
        Some(property) => schema.and_then(|schema| schema.get_mut("properties")?.get_mut(property)),
    };
    if let (Some(Value::Object(target)), Value::Object(extensions)) = (target, extensions) {
        target.extend(extensions.clone());
    }
}

/// The schema of the kind as it was declared, with the properties that every object has.
fn object_schema(resource: &ServedResource, shared: &Map<String, Value>) -> Value {
    let mut schema = match resource.definition().schema().document() {
        Value::Object(schema) => schema.clone(),
        _ => Map::new(),
    };
    complete_embedded(&mut schema, shared);
    add_object_properties(&mut schema, shared);
    schema.insert("type".into(), "object".into());
    schema.insert(GVK.into(), json!([kind(&resource.gvk())]));
    let selectable = resource.definition().selectable_fields();
    if !selectable.is_empty() {
        let fields = selectable.iter().map(|field| json!({"fieldPath": field.label()}));
        schema.insert("x-kubernetes-selectable-fields".into(), fields.collect());
    }
    schema.into()
}

/// Says of the objects within an object that they have what every object has.
fn complete_embedded(schema: &mut Map<String, Value>, shared: &Map<String, Value>) {
    for (key, value) in schema {
        let inner = match (key.as_str(), value) {
            ("properties", Value::Object(properties)) => properties.values_mut().collect(),
            ("items" | "additionalProperties", value) => vec![value],
            _ => continue,
        };
        for schema in inner.into_iter().filter_map(Value::as_object_mut) {
            complete_embedded(schema, shared);
            if schema.get("x-kubernetes-embedded-resource").is_some_and(|found| found == true) {
                add_object_properties(schema, shared);
            }
        }
    }
}

fn add_object_properties(schema: &mut Map<String, Value>, shared: &Map<String, Value>) {
    let properties = schema.entry("properties").or_insert_with(|| json!({}));
    if let Some(properties) = properties.as_object_mut() {
        properties.extend(type_properties(shared));
        let metadata = described("Standard object's metadata.", &format!("{META}.ObjectMeta"));
        properties.insert("metadata".into(), metadata);
    }
}

fn list_schema(resource: &ServedResource, item: &str, shared: &Map<String, Value>) -> Value {
    let definition = resource.definition();
    let gvk = GroupVersionKind { kind: definition.list_kind().into(), ..resource.gvk() };
    let items = reference(item);
    let mut properties = type_properties(shared);
    properties.insert(
        "items".into(),
        json!({"type": "array", "items": items, "description": "The objects."}),
    );
    properties.insert(
        "metadata".into(),
        described("Standard list metadata.", &format!("{META}.ListMeta")),
    );
    json!({
        "description": format!("{} is a list of {}", definition.list_kind(), definition.kind()),
        "type": "object",
        "required": ["items"],
        "properties": properties,
        GVK: [kind(&gvk)],
    })
}

/// `apiVersion` and `kind`, in the words of Kubernetes.
fn type_properties(shared: &Map<String, Value>) -> Map<String, Value> {
    let status = shared.get(&format!("{META}.Status")).and_then(|status| status.get("properties"));
    ["apiVersion", "kind"]
        .into_iter()
        .map(|name| {
            let schema = status.and_then(|found| found.get(name)).cloned();
            (name.to_owned(), schema.unwrap_or_else(|| json!({"type": "string"})))
        })
        .collect()
}

/// A reference with a description beside it, which OpenAPI 3.0 allows only in this form.
fn described(description: &str, schema: &str) -> Value {
    json!({"description": description, "allOf": [reference(schema)]})
}

fn reference(schema: &str) -> Value {
    json!({"$ref": names::reference(schema)})
}
