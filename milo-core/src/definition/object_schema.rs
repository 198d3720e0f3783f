//! Schemas of kinds that kube's `CustomResource` derive cannot express.
//!
//! The derive makes `spec` required, knows nothing of defaults below `status`, allows `null`
//! wherever Rust has an `Option`, and leaves `apiVersion`, `kind` and `metadata` undescribed. A
//! kind that needs better says `#[kube(schema = "manual")]`, implements [`JsonSchema`] for its root
//! type with an [`ObjectSchema`], and everything else, `crd()` included, stays derived:
//!
//! ```
//! use std::borrow::Cow;
//!
//! use kube::CustomResource;
//! use milo_core::definition::{ResourceDefinition, object_schema::ObjectSchema};
//! use schemars::{JsonSchema, Schema, SchemaGenerator};
//! use serde::{Deserialize, Serialize};
//!
//! /// What the widget should be.
//! #[derive(CustomResource, JsonSchema, Serialize, Deserialize, Clone, Debug, Default)]
//! #[kube(group = "demo.example.com", version = "v1", kind = "Widget", schema = "manual")]
//! #[serde(remote = "Self")]
//! pub struct WidgetSpec {
//!     /// Its colour.
//!     #[serde(default, skip_serializing_if = "Option::is_none")]
//!     pub colour: Option<String>,
//! }
//! milo_core::optional_spec!(WidgetSpec);
//!
//! impl JsonSchema for Widget {
//!     fn schema_name() -> Cow<'static, str> {
//!         "Widget".into()
//!     }
//!     fn json_schema(_: &mut SchemaGenerator) -> Schema {
//!         ObjectSchema::new("A widget.").optional_spec::<WidgetSpec>().build()
//!     }
//! }
//!
//! let definition = ResourceDefinition::of::<Widget>()?;
//! assert_eq!(definition.schema().document().get("required"), None);
//! // An object without a spec reads as one with an empty spec.
//! let widget: Widget = serde_json::from_str(r#"{"metadata": {"name": "w"}}"#)?;
//! assert_eq!(widget.spec.colour, None);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use kube_core::Rule;
use schemars::{
    JsonSchema, Schema, SchemaGenerator,
    generate::SchemaSettings,
    transform::{AddNullable, RecursiveTransform},
};
use serde_json::{Map, Number, Value, json};

const CONVENTIONS: &str =
    "https://git.k8s.io/community/contributors/devel/sig-architecture/api-conventions.md";

/// Builds the schema of a whole object: the fields that every object has, described, and `spec`
/// and `status` of Rust types.
///
/// `Option` fields are optional and not nullable, as in definitions that Go types generate.
#[derive(Clone, Debug)]
#[must_use]
pub struct ObjectSchema {
    document: Map<String, Value>,
    properties: Map<String, Value>,
}

impl ObjectSchema {
    /// An object without `spec` and `status`. The description is what `kubectl explain` says
    /// about the kind.
    pub fn new(description: &str) -> Self {
        let document = [("description", description.into()), ("type", "object".into())];
        Self {
            document: document.map(|(key, value)| (key.to_owned(), value)).into_iter().collect(),
            properties: common_properties(),
        }
    }

    /// A spec that every object must have.
    pub fn required_spec<T: JsonSchema>(mut self) -> Self {
        self.document.insert("required".into(), json!(["spec"]));
        self.optional_spec::<T>()
    }

    /// A spec that may be absent; see [`optional_spec!`](crate::optional_spec).
    pub fn optional_spec<T: JsonSchema>(self) -> Self {
        self.property::<T>("spec")
    }

    /// The status. It is always optional: a new object has none.
    pub fn status<T: JsonSchema>(self) -> Self {
        self.property::<T>("status")
    }

    /// The schema, structural and without references.
    #[must_use]
    pub fn build(mut self) -> Schema {
        self.document.insert("properties".into(), self.properties.into());
        self.document.into()
    }

    fn property<T: JsonSchema>(mut self, name: &str) -> Self {
        let not_nullable = RecursiveTransform(|schema: &mut Schema| {
            schema.remove("nullable");
        });
        let settings = structural().with_transform(not_nullable);
        self.properties.insert(name.into(), root_schema::<T>(settings));
        self
    }
}

/// A condition that the schema fills into a status that has no conditions yet, so that clients can
/// wait for it before any controller has seen the object.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct InitialCondition {
    /// The condition's type, as `Ready`.
    pub type_: &'static str,
    /// `True`, `False` or `Unknown`.
    pub status: &'static str,
    /// The reason, in CamelCase.
    pub reason: &'static str,
    /// The message for people.
    pub message: &'static str,
}

impl InitialCondition {
    /// `Ready` is `Unknown`: no controller has looked at the object yet.
    pub const READY: Self = Self {
        type_: "Ready",
        status: "Unknown",
        reason: "Unknown",
        message: "Waiting for control plane to reconcile",
    };

    fn to_json(self) -> Value {
        let Self { type_, status, reason, message } = self;
        json!({
            "lastTransitionTime": "1970-01-01T00:00:00Z",
            "message": message,
            "reason": reason,
            "status": status,
            "type": type_,
        })
    }
}

/// The schema of a list of standard conditions, defaulted unless `initial` is empty. The list is
/// keyed by the type of its conditions. For `#[schemars(schema_with = "...")]`.
#[must_use]
pub fn conditions(generator: &mut SchemaGenerator, initial: &[InitialCondition]) -> Schema {
    let mut schema = schemars::json_schema!({ "type": "array", "items": condition(generator) });
    if !initial.is_empty() {
        let initial: Vec<Value> = initial.iter().map(|condition| condition.to_json()).collect();
        schema.insert("default".into(), initial.into());
    }
    schema
}

/// The `x-kubernetes-validations` of a required field that keeps its first value. On an optional
/// field the rule would not run when the field is added or removed.
///
/// For `#[schemars(extend("x-kubernetes-validations" = immutable("colour is immutable")))]`; other
/// rules take kube's `Rule` in a list.
#[must_use]
pub fn immutable(message: &str) -> [Rule; 1] {
    [Rule::new("self == oldSelf").message(message)]
}

/// k8s-openapi's schema of a condition, with the constraints that it leaves out.
fn condition(generator: &mut SchemaGenerator) -> Schema {
    let constraints = json!({
        "message": {"maxLength": 32768},
        "observedGeneration": {"minimum": 0},
        "reason": {
            "maxLength": 1024,
            "minLength": 1,
            "pattern": "^[A-Za-z]([A-Za-z0-9_,:]*[A-Za-z0-9_])?$",
        },
        "status": {"enum": ["True", "False", "Unknown"]},
        "type": {
            "maxLength": 316,
            "pattern": "^([a-z0-9]([-a-z0-9]*[a-z0-9])?(\\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*/)?\
                        (([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9])$",
        },
    });
    let mut schema = Condition::json_schema(generator);
    if let Some(Value::Object(properties)) = schema.get_mut("properties") {
        for (name, property) in properties {
            if let (Some(property), Some(more)) =
                (property.as_object_mut(), constraints.get(name).and_then(Value::as_object))
            {
                property.extend(more.clone());
            }
        }
    }
    schema
}

/// Reads an absent `spec` as `T::default()`, for a kind whose schema does not require it.
///
/// kube's derive gives every root type a `spec: T` that must be present. An object without one can
/// be stored all the same, and one such object must not make typed lists unreadable. The struct
/// needs `Default` and `#[serde(remote = "Self")]` beside serde's derives; see
/// [`definition::object_schema`](crate::definition::object_schema) for an example.
#[macro_export]
macro_rules! optional_spec {
    ($spec:ty) => {
        impl<'de> ::serde::Deserialize<'de> for $spec {
            fn deserialize<D: ::serde::Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
                struct Present($spec);
                impl<'de> ::serde::Deserialize<'de> for Present {
                    fn deserialize<D: ::serde::Deserializer<'de>>(
                        from: D,
                    ) -> Result<Self, D::Error> {
                        // The function that `remote` made of the derive, not the trait's.
                        <$spec>::deserialize(from).map(Self)
                    }
                }
                // serde offers a missing field as nothing to whoever asks for an option.
                let spec = <Option<Present> as ::serde::Deserialize<'de>>::deserialize(from)?;
                Ok(spec.map(|present| present.0).unwrap_or_default())
            }
        }
        impl ::serde::Serialize for $spec {
            fn serialize<S: ::serde::Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
                <$spec>::serialize(self, to)
            }
        }
    };
}

/// The schema of a root type by the rules of kube's derive, its metadata reduced to an object.
pub(super) fn of_root<T: JsonSchema>() -> Value {
    let mut document = root_schema::<T>(structural());
    if let Some(properties) = document.get_mut("properties").and_then(Value::as_object_mut) {
        properties.extend(common_properties());
    }
    normalized(document)
}

/// Makes a schema document what the server works with: it takes out the noise of Rust types (the
/// title that schemars gives to every root; whole bounds written as fractions, because k8s-openapi
/// keeps them as `f64`) and adds the fields that every object has, where they are not described.
pub(super) fn normalized(mut document: Value) -> Value {
    if let Some(object) = document.as_object_mut() {
        object.remove("title");
        let properties = object.entry("properties").or_insert_with(|| json!({}));
        if let Some(properties) = properties.as_object_mut() {
            for (name, schema) in common_properties() {
                properties.entry(name).or_insert(schema);
            }
        }
    }
    write_whole_bounds(&mut document);
    document
}

fn write_whole_bounds(document: &mut Value) {
    match document {
        Value::Array(items) => items.iter_mut().for_each(write_whole_bounds),
        Value::Object(object) => {
            for (key, value) in object {
                if matches!(key.as_str(), "minimum" | "maximum" | "multipleOf") {
                    write_whole(value);
                }
                write_whole_bounds(value);
            }
        }
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}

fn write_whole(value: &mut Value) {
    // Above 2^53, an f64 no longer tells neighbouring integers apart.
    const EXACT: f64 = 9_007_199_254_740_992.0;
    if let Some(number) =
        value.as_f64().filter(|n| value.is_f64() && n.fract() == 0.0 && n.abs() <= EXACT)
    {
        #[expect(clippy::cast_possible_truncation, reason = "whole and within 2^53")]
        let whole = number as i64;
        *value = Value::Number(Number::from(whole));
    }
}

fn common_properties() -> Map<String, Value> {
    let text = |description: String| json!({"type": "string", "description": description});
    let api_version = text(format!(
        "APIVersion defines the versioned schema of this representation of an object. Servers \
         should convert recognized schemas to the latest internal value, and may reject \
         unrecognized values. More info: {CONVENTIONS}#resources"
    ));
    let kind = text(format!(
        "Kind is a string value representing the REST resource this object represents. Servers \
         may infer this from the endpoint the client submits requests to. Cannot be updated. In \
         CamelCase. More info: {CONVENTIONS}#types-kinds"
    ));
    let metadata = json!({
        "type": "object",
        "description": format!("Standard object's metadata. More info: {CONVENTIONS}#metadata"),
    });
    [("apiVersion", api_version), ("kind", kind), ("metadata", metadata)]
        .map(|(name, schema)| (name.to_owned(), schema))
        .into_iter()
        .collect()
}

/// What kube's derive uses (no references, and the rewrites that make a schema structural), with
/// better descriptions.
fn structural() -> SchemaSettings {
    SchemaSettings::openapi3()
        .with(|settings| {
            settings.inline_subschemas = true;
            settings.meta_schema = None;
            settings.transforms.insert(0, Box::new(RecursiveTransform(unwrap_option)));
        })
        .with_transform(AddNullable::default())
        .with_transform(kube_core::schema::StructuralSchemaRewriter)
        .with_transform(kube_core::schema::OptionalEnum)
        .with_transform(kube_core::schema::OptionalIntOrString)
        .with_transform(RecursiveTransform(join_lines))
}

/// Writes `anyOf: [T, null]` as a nullable `T`. kube's own rewrite describes the field with what
/// is said about its type; what is said about the field is more to the point.
fn unwrap_option(schema: &mut Schema) {
    let Some(object) = schema.as_object_mut() else { return };
    let Some([inner, null]) = object.get("anyOf").and_then(Value::as_array).map(Vec::as_slice)
    else {
        return;
    };
    let Some(inner) = inner.as_object().filter(|_| *null == json!({"type": "null"})).cloned()
    else {
        return;
    };
    object.remove("anyOf");
    for (key, value) in inner {
        object.entry(key).or_insert(value);
    }
    object.insert("nullable".into(), true.into());
}

/// The lines of a doc comment end where the source's margin is. Only paragraphs matter.
fn join_lines(schema: &mut Schema) {
    if let Some(Value::String(description)) = schema.get_mut("description") {
        let paragraphs: Vec<_> = description.split("\n\n").map(|p| p.replace('\n', " ")).collect();
        *description = paragraphs.join("\n\n");
    }
}

fn root_schema<T: JsonSchema>(settings: SchemaSettings) -> Value {
    let mut schema = settings.into_generator().into_root_schema_for::<T>();
    schema.remove("title");
    schema.to_value()
}
