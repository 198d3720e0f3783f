//! The document of OpenAPI v2, from JSON to the messages of gnostic.

use serde_json::Value;

use super::message::{
    Additional, AdditionalProperties, ApiKey, BodyParameter, Carrier, Document, Info, Items,
    NonBodyParameter, Operation, Parameter, ParametersItem, PathItem, PathParameter, Paths, Place,
    QueryParameter, Response, ResponseValue, Responses, Schema, SchemaItem, SecurityDefinition,
};
use crate::openapi::gnostic::{
    Strings, any, entries, extensions, field, flag, integer, list, map, named, number, text, texts,
};

pub(super) fn document(of: &Value) -> Document {
    Document {
        swagger: text(of, "swagger"),
        info: field(of, "info", |info| Info {
            title: text(info, "title"),
            version: text(info, "version"),
        }),
        paths: field(of, "paths", |found| Paths { path: named(found, |_| true, path) }),
        definitions: map(of, "definitions", schema),
        security: list(of, "security", |schemes| entries(schemes, Strings::of)),
        security_definitions: map(of, "securityDefinitions", security_definition),
    }
}

fn security_definition(of: &Value) -> SecurityDefinition {
    let api_key = ApiKey {
        kind: text(of, "type"),
        name: text(of, "name"),
        place: text(of, "in"),
        description: text(of, "description"),
    };
    SecurityDefinition { api_key: Some(api_key) }
}

fn path(of: &Value) -> PathItem {
    PathItem {
        get: field(of, "get", operation),
        put: field(of, "put", operation),
        post: field(of, "post", operation),
        delete: field(of, "delete", operation),
        options: field(of, "options", operation),
        head: field(of, "head", operation),
        patch: field(of, "patch", operation),
        parameters: list(of, "parameters", parameter),
    }
}

fn operation(of: &Value) -> Operation {
    Operation {
        tags: texts(of, "tags"),
        description: text(of, "description"),
        operation_id: text(of, "operationId"),
        produces: texts(of, "produces"),
        consumes: texts(of, "consumes"),
        parameters: list(of, "parameters", parameter),
        responses: field(of, "responses", |found| Responses {
            response_code: named(found, |_| true, response),
        }),
        schemes: texts(of, "schemes"),
        extensions: extensions(of),
    }
}

fn parameter(of: &Value) -> ParametersItem {
    let (name, place, required) = (text(of, "name"), text(of, "in"), flag(of, "required"));
    let carrier = match place.as_str() {
        "body" => {
            let schema = field(of, "schema", schema);
            Carrier::Body(Box::new(BodyParameter { name, place, required, schema }))
        }
        _ => Carrier::Other(NonBodyParameter { place: Some(non_body(of, name, place, required)) }),
    };
    ParametersItem { parameter: Some(Parameter { carrier: Some(carrier) }) }
}

fn non_body(of: &Value, name: String, place: String, required: bool) -> Place {
    let (description, kind) = (text(of, "description"), text(of, "type"));
    let unique_items = flag(of, "uniqueItems");
    match place.as_str() {
        "path" => {
            Place::Path(PathParameter { required, place, description, name, kind, unique_items })
        }
        _ => {
            Place::Query(QueryParameter { required, place, description, name, kind, unique_items })
        }
    }
}

fn response(of: &Value) -> ResponseValue {
    let schema = field(of, "schema", |found| SchemaItem { schema: Some(schema(found)) });
    ResponseValue { response: Some(Response { description: text(of, "description"), schema }) }
}

fn schema(of: &Value) -> Schema {
    Schema {
        reference: text(of, "$ref"),
        format: text(of, "format"),
        title: text(of, "title"),
        description: text(of, "description"),
        default: field(of, "default", any),
        multiple_of: number(of, "multipleOf"),
        maximum: number(of, "maximum"),
        exclusive_maximum: flag(of, "exclusiveMaximum"),
        minimum: number(of, "minimum"),
        exclusive_minimum: flag(of, "exclusiveMinimum"),
        max_length: integer(of, "maxLength"),
        min_length: integer(of, "minLength"),
        pattern: text(of, "pattern"),
        max_items: integer(of, "maxItems"),
        min_items: integer(of, "minItems"),
        unique_items: flag(of, "uniqueItems"),
        max_properties: integer(of, "maxProperties"),
        min_properties: integer(of, "minProperties"),
        required: texts(of, "required"),
        variants: list(of, "enum", any),
        additional_properties: field(of, "additionalProperties", |found| {
            Box::new(additional(found))
        }),
        kind: field(of, "type", Strings::of),
        items: field(of, "items", |items| Items { schema: vec![schema(items)] }),
        properties: map(of, "properties", schema),
        read_only: flag(of, "readOnly"),
        example: field(of, "example", any),
        extensions: extensions(of),
    }
}

fn additional(of: &Value) -> AdditionalProperties {
    let additional = match of {
        Value::Bool(allowed) => Additional::Allowed(*allowed),
        found => Additional::Schema(Box::new(schema(found))),
    };
    AdditionalProperties { additional: Some(additional) }
}

#[cfg(test)]
mod tests {
    use prost::Message as _;
    use serde_json::json;

    use super::*;

    #[test]
    fn what_is_written_can_be_read_again() {
        let json = json!({
            "swagger": "2.0",
            "info": {"title": "t", "version": "v"},
            "definitions": {"a": {
                "type": "object", "required": ["b"], "maxProperties": 3,
                "properties": {
                    "b": {"type": "number", "maximum": 0.5, "exclusiveMaximum": true, "default": 0},
                    "c": {"type": "array", "items": {"$ref": "#/definitions/a"}, "minItems": 1},
                    "d": {"type": "string", "enum": ["x", "\u{1f980}"], "pattern": "^x", "maxLength": 9},
                    "e": {"type": "object", "additionalProperties": {"type": "boolean"}},
                    "f": {"additionalProperties": false, "x-f": {"g": [1, null, "\"\\\n"]}},
                },
            }},
        });
        let written = document(&json);
        let read = Document::decode(written.encode_to_vec().as_slice()).unwrap();
        assert_eq!(read, written);
        let a = &read.definitions.unwrap().additional_properties[0];
        let schema = a.value.as_ref().unwrap();
        assert_eq!((a.name.as_str(), schema.max_properties), ("a", 3));
        assert_eq!(schema.required, ["b"]);
        let properties = &schema.properties.as_ref().unwrap().additional_properties;
        let property = |index: usize| properties[index].value.as_ref().unwrap();
        assert!((property(0).maximum - 0.5).abs() < f64::EPSILON && property(0).exclusive_maximum);
        assert_eq!(property(0).default, Some(any(&json!(0))));
        assert_eq!(property(1).items.as_ref().unwrap().schema[0].reference, "#/definitions/a");
        assert_eq!(property(2).variants[1].yaml, "\"\u{1f980}\"\n");
        let closed = property(4).additional_properties.as_ref().unwrap();
        assert_eq!(closed.additional, Some(Additional::Allowed(false)));
        let extension = &property(4).extensions[0];
        assert_eq!(extension.name, "x-f");
        let value = serde_saphyr::from_str::<Value>(&extension.value.as_ref().unwrap().yaml);
        assert_eq!(value.unwrap(), json!({"g": [1, null, "\"\\\n"]}), "as YAML");
    }
}
