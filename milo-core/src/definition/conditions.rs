//! Lists of conditions, told apart by their type.

use serde_json::{Value, json};

/// What every condition has, and hardly anything else: the fields of `metav1.Condition`.
const FIELDS: [&str; 5] = ["type", "status", "reason", "message", "lastTransitionTime"];

/// Keys lists of conditions by their type, so that several controllers can each apply their own.
///
/// Rust types cannot say so: their schemas carry no `x-kubernetes-*`, and a list without a list
/// type is owned as one value. A list type that the schema names is kept.
pub(super) fn keyed(mut document: Value) -> Value {
    visit(&mut document);
    document
}

fn visit(schema: &mut Value) {
    match schema {
        Value::Array(schemas) => schemas.iter_mut().for_each(visit),
        Value::Object(members) => {
            let is_keyed = members.contains_key("x-kubernetes-list-type");
            if !is_keyed && members.get("items").is_some_and(is_condition) {
                members.insert("x-kubernetes-list-type".into(), "map".into());
                members.insert("x-kubernetes-list-map-keys".into(), json!(["type"]));
            }
            members.values_mut().for_each(visit);
        }
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}

fn is_condition(items: &Value) -> bool {
    let has = |field: &&str| items["properties"].get(*field).is_some();
    let required = items["required"].as_array();
    FIELDS.iter().all(has) && required.is_some_and(|names| names.iter().any(|name| name == "type"))
}

#[cfg(test)]
mod tests {
    use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
    use kube::CustomResource;
    use schemars::JsonSchema;
    use serde::{Deserialize, Serialize};

    use super::super::ResourceDefinition;

    /// A lamp.
    #[derive(CustomResource, JsonSchema, Serialize, Deserialize, Clone, Debug)]
    #[kube(group = "demo.example.com", version = "v1", kind = "Lamp", status = "LampStatus")]
    struct LampSpec {
        steps: Vec<String>,
    }

    /// How it is.
    #[derive(JsonSchema, Serialize, Deserialize, Clone, Debug)]
    struct LampStatus {
        conditions: Vec<Condition>,
    }

    #[test]
    fn conditions_of_rust_types_are_keyed_by_their_type() {
        let definition = ResourceDefinition::of::<Lamp>().unwrap();
        let schema = definition.schema().document();
        let conditions = &schema["properties"]["status"]["properties"]["conditions"];
        assert_eq!(conditions["x-kubernetes-list-type"], "map", "{conditions}");
        assert_eq!(conditions["x-kubernetes-list-map-keys"][0], "type");
        let steps = &schema["properties"]["spec"]["properties"]["steps"];
        assert_eq!(steps.get("x-kubernetes-list-type"), None);
    }

    #[test]
    fn definitions_from_elsewhere_are_taken_as_they_are() {
        use kube_core::CustomResourceExt;
        let definition = ResourceDefinition::from_crd(&Lamp::crd()).unwrap();
        let schema = definition.schema().document().to_string();
        assert!(!schema.contains("x-kubernetes-list-type"), "{schema}");
    }
}
