//! A document of OpenAPI v3, from JSON to the messages of gnostic.

use serde_json::Value;

use super::message::{
    Additional, AdditionalProperties, Components, Default, DefaultValue, Document, Info, Items,
    MediaType, Operation, Parameter, ParameterOrReference, PathItem, RequestBody,
    RequestBodyOrReference, Response, ResponseOrReference, Responses, Schema, SchemaOrReference,
    SecurityScheme, SecuritySchemeOrReference, Target,
};
use crate::openapi::gnostic::{
    Reference, Strings, any, entries, extensions, field, flag, integer, list, map, named, number,
    text, texts,
};

pub(super) fn document(of: &Value) -> Document {
    Document {
        openapi: text(of, "openapi"),
        info: field(of, "info", |info| Info {
            title: text(info, "title"),
            version: text(info, "version"),
        }),
        paths: map(of, "paths", path),
        components: field(of, "components", |components| Components {
            schemas: map(components, "schemas", schema_or_reference),
            security_schemes: map(components, "securitySchemes", security_scheme),
        }),
        security: list(of, "security", |schemes| entries(schemes, Strings::of)),
    }
}

fn security_scheme(of: &Value) -> SecuritySchemeOrReference {
    let scheme = SecurityScheme { kind: text(of, "type"), scheme: text(of, "scheme") };
    SecuritySchemeOrReference { security_scheme: Some(scheme) }
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
        parameters: list(of, "parameters", parameter),
        request_body: field(of, "requestBody", |body| RequestBodyOrReference {
            request_body: Some(RequestBody {
                content: map(body, "content", media_type),
                required: flag(body, "required"),
            }),
        }),
        responses: field(of, "responses", |found| Responses {
            responses: named(found, |_| true, response),
        }),
        extensions: extensions(of),
    }
}

fn parameter(of: &Value) -> ParameterOrReference {
    let parameter = Parameter {
        name: text(of, "name"),
        place: text(of, "in"),
        description: text(of, "description"),
        required: flag(of, "required"),
        schema: field(of, "schema", schema_or_reference),
    };
    ParameterOrReference { parameter: Some(parameter) }
}

fn response(of: &Value) -> ResponseOrReference {
    let content = map(of, "content", media_type);
    let response = Response { description: text(of, "description"), content };
    ResponseOrReference { response: Some(response) }
}

fn media_type(of: &Value) -> MediaType {
    MediaType { schema: field(of, "schema", schema_or_reference) }
}

fn schema_or_reference(of: &Value) -> SchemaOrReference {
    let target = match Reference::of(of) {
        Some(reference) => Target::Reference(reference),
        None => Target::Schema(Box::new(schema(of))),
    };
    SchemaOrReference { target: Some(target) }
}

fn schema(of: &Value) -> Schema {
    Schema {
        nullable: flag(of, "nullable"),
        read_only: flag(of, "readOnly"),
        write_only: flag(of, "writeOnly"),
        example: field(of, "example", any),
        deprecated: flag(of, "deprecated"),
        title: text(of, "title"),
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
        kind: text(of, "type"),
        all_of: list(of, "allOf", schema_or_reference),
        one_of: list(of, "oneOf", schema_or_reference),
        any_of: list(of, "anyOf", schema_or_reference),
        not: field(of, "not", |not| Box::new(schema(not))),
        items: field(of, "items", |items| Items {
            schema_or_reference: vec![schema_or_reference(items)],
        }),
        properties: map(of, "properties", schema_or_reference),
        additional_properties: field(of, "additionalProperties", additional),
        default: of.get("default").and_then(default),
        description: text(of, "description"),
        format: text(of, "format"),
        extensions: extensions(of),
    }
}

fn additional(of: &Value) -> AdditionalProperties {
    let additional = match of {
        Value::Bool(allowed) => Additional::Allowed(*allowed),
        schema => Additional::Schema(schema_or_reference(schema)),
    };
    AdditionalProperties { additional: Some(additional) }
}

/// None for lists and objects, which the format cannot express.
fn default(of: &Value) -> Option<Default> {
    let value = match of {
        Value::Bool(value) => DefaultValue::Boolean(*value),
        Value::Number(number) => DefaultValue::Number(number.as_f64()?),
        Value::String(text) => DefaultValue::Text(text.clone()),
        Value::Null | Value::Array(_) | Value::Object(_) => return None,
    };
    Some(Default { value: Some(value) })
}

#[cfg(test)]
mod tests {
    use prost::Message as _;
    use serde_json::json;

    use super::*;

    #[test]
    fn what_is_written_can_be_read_again() {
        let json = json!({
            "openapi": "3.0.0",
            "components": {"schemas": {"a": {
                "type": "object", "nullable": true,
                "properties": {
                    "b": {"oneOf": [{"type": "string"}, {"not": {"type": "integer"}}]},
                    "c": {"allOf": [{"$ref": "#/components/schemas/a"}], "default": {}},
                    "d": {"type": "integer", "default": 3},
                    "e": {"type": "string", "default": ""},
                    "f": {"additionalProperties": {"type": "boolean"}, "x-f": [true]},
                },
            }}},
        });
        let written = document(&json);
        let read = Document::decode(written.encode_to_vec().as_slice()).unwrap();
        assert_eq!(read, written);
        let schemas = read.components.unwrap().schemas.unwrap().additional_properties;
        let read = |target: &Option<SchemaOrReference>| match target.clone()?.target? {
            Target::Schema(schema) => Some(*schema),
            Target::Reference(_) => None,
        };
        let schema = read(&schemas[0].value).unwrap();
        assert!(schema.nullable);
        let properties = schema.properties.unwrap().additional_properties;
        let property = |index: usize| read(&properties[index].value).unwrap();
        assert_eq!(property(0).one_of.len(), 2);
        let reference = "#/components/schemas/a".to_owned();
        let reference = Target::Reference(Reference { reference });
        assert_eq!(property(1).all_of[0].target, Some(reference));
        assert_eq!(property(1).default, None, "an object");
        let default = |index: usize| property(index).default.unwrap().value.unwrap();
        assert_eq!(default(2), DefaultValue::Number(3.0));
        assert_eq!(default(3), DefaultValue::Text(String::new()));
        assert_eq!(property(4).extensions[0].name, "x-f");
    }
}
