//! The messages of gnostic's `openapi.v3`, as far as the server uses them. Field numbers are those
//! of `OpenAPIv3.proto`.

use prost::{Message, Oneof};

use crate::openapi::gnostic::{Any, Entries, Named, Reference, Strings};

#[derive(Clone, PartialEq, Message)]
pub(super) struct Document {
    #[prost(string, tag = "1")]
    pub(super) openapi: String,
    #[prost(message, optional, tag = "2")]
    pub(super) info: Option<Info>,
    #[prost(message, optional, tag = "4")]
    pub(super) paths: Option<Entries<PathItem>>,
    #[prost(message, optional, tag = "5")]
    pub(super) components: Option<Components>,
    #[prost(message, repeated, tag = "6")]
    pub(super) security: Vec<Entries<Strings>>,
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct Info {
    #[prost(string, tag = "1")]
    pub(super) title: String,
    #[prost(string, tag = "6")]
    pub(super) version: String,
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct Components {
    #[prost(message, optional, tag = "1")]
    pub(super) schemas: Option<Entries<SchemaOrReference>>,
    #[prost(message, optional, tag = "7")]
    pub(super) security_schemes: Option<Entries<SecuritySchemeOrReference>>,
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct SecuritySchemeOrReference {
    #[prost(message, optional, tag = "1")]
    pub(super) security_scheme: Option<SecurityScheme>,
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct SecurityScheme {
    #[prost(string, tag = "1")]
    pub(super) kind: String,
    #[prost(string, tag = "5")]
    pub(super) scheme: String,
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct PathItem {
    #[prost(message, optional, tag = "4")]
    pub(super) get: Option<Operation>,
    #[prost(message, optional, tag = "5")]
    pub(super) put: Option<Operation>,
    #[prost(message, optional, tag = "6")]
    pub(super) post: Option<Operation>,
    #[prost(message, optional, tag = "7")]
    pub(super) delete: Option<Operation>,
    #[prost(message, optional, tag = "8")]
    pub(super) options: Option<Operation>,
    #[prost(message, optional, tag = "9")]
    pub(super) head: Option<Operation>,
    #[prost(message, optional, tag = "10")]
    pub(super) patch: Option<Operation>,
    #[prost(message, repeated, tag = "13")]
    pub(super) parameters: Vec<ParameterOrReference>,
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct Operation {
    #[prost(string, repeated, tag = "1")]
    pub(super) tags: Vec<String>,
    #[prost(string, tag = "3")]
    pub(super) description: String,
    #[prost(string, tag = "5")]
    pub(super) operation_id: String,
    #[prost(message, repeated, tag = "6")]
    pub(super) parameters: Vec<ParameterOrReference>,
    #[prost(message, optional, tag = "7")]
    pub(super) request_body: Option<RequestBodyOrReference>,
    #[prost(message, optional, tag = "8")]
    pub(super) responses: Option<Responses>,
    #[prost(message, repeated, tag = "13")]
    pub(super) extensions: Vec<Named<Any>>,
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct ParameterOrReference {
    #[prost(message, optional, tag = "1")]
    pub(super) parameter: Option<Parameter>,
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct Parameter {
    #[prost(string, tag = "1")]
    pub(super) name: String,
    #[prost(string, tag = "2")]
    pub(super) place: String,
    #[prost(string, tag = "3")]
    pub(super) description: String,
    #[prost(bool, tag = "4")]
    pub(super) required: bool,
    #[prost(message, optional, tag = "10")]
    pub(super) schema: Option<SchemaOrReference>,
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct RequestBodyOrReference {
    #[prost(message, optional, tag = "1")]
    pub(super) request_body: Option<RequestBody>,
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct RequestBody {
    #[prost(message, optional, tag = "2")]
    pub(super) content: Option<Entries<MediaType>>,
    #[prost(bool, tag = "3")]
    pub(super) required: bool,
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct MediaType {
    #[prost(message, optional, tag = "1")]
    pub(super) schema: Option<SchemaOrReference>,
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct Responses {
    #[prost(message, repeated, tag = "2")]
    pub(super) responses: Vec<Named<ResponseOrReference>>,
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct ResponseOrReference {
    #[prost(message, optional, tag = "1")]
    pub(super) response: Option<Response>,
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct Response {
    #[prost(string, tag = "1")]
    pub(super) description: String,
    #[prost(message, optional, tag = "3")]
    pub(super) content: Option<Entries<MediaType>>,
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct SchemaOrReference {
    #[prost(oneof = "Target", tags = "1, 2")]
    pub(super) target: Option<Target>,
}

#[derive(Clone, PartialEq, Oneof)]
pub(super) enum Target {
    #[prost(message, tag = "1")]
    Schema(Box<Schema>),
    #[prost(message, tag = "2")]
    Reference(Reference),
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct Schema {
    #[prost(bool, tag = "1")]
    pub(super) nullable: bool,
    #[prost(bool, tag = "3")]
    pub(super) read_only: bool,
    #[prost(bool, tag = "4")]
    pub(super) write_only: bool,
    #[prost(message, optional, tag = "7")]
    pub(super) example: Option<Any>,
    #[prost(bool, tag = "8")]
    pub(super) deprecated: bool,
    #[prost(string, tag = "9")]
    pub(super) title: String,
    #[prost(double, tag = "10")]
    pub(super) multiple_of: f64,
    #[prost(double, tag = "11")]
    pub(super) maximum: f64,
    #[prost(bool, tag = "12")]
    pub(super) exclusive_maximum: bool,
    #[prost(double, tag = "13")]
    pub(super) minimum: f64,
    #[prost(bool, tag = "14")]
    pub(super) exclusive_minimum: bool,
    #[prost(int64, tag = "15")]
    pub(super) max_length: i64,
    #[prost(int64, tag = "16")]
    pub(super) min_length: i64,
    #[prost(string, tag = "17")]
    pub(super) pattern: String,
    #[prost(int64, tag = "18")]
    pub(super) max_items: i64,
    #[prost(int64, tag = "19")]
    pub(super) min_items: i64,
    #[prost(bool, tag = "20")]
    pub(super) unique_items: bool,
    #[prost(int64, tag = "21")]
    pub(super) max_properties: i64,
    #[prost(int64, tag = "22")]
    pub(super) min_properties: i64,
    #[prost(string, repeated, tag = "23")]
    pub(super) required: Vec<String>,
    #[prost(message, repeated, tag = "24")]
    pub(super) variants: Vec<Any>,
    #[prost(string, tag = "25")]
    pub(super) kind: String,
    #[prost(message, repeated, tag = "26")]
    pub(super) all_of: Vec<SchemaOrReference>,
    #[prost(message, repeated, tag = "27")]
    pub(super) one_of: Vec<SchemaOrReference>,
    #[prost(message, repeated, tag = "28")]
    pub(super) any_of: Vec<SchemaOrReference>,
    #[prost(message, optional, boxed, tag = "29")]
    pub(super) not: Option<Box<Schema>>,
    #[prost(message, optional, tag = "30")]
    pub(super) items: Option<Items>,
    #[prost(message, optional, tag = "31")]
    pub(super) properties: Option<Entries<SchemaOrReference>>,
    #[prost(message, optional, tag = "32")]
    pub(super) additional_properties: Option<AdditionalProperties>,
    #[prost(message, optional, tag = "33")]
    pub(super) default: Option<Default>,
    #[prost(string, tag = "34")]
    pub(super) description: String,
    #[prost(string, tag = "35")]
    pub(super) format: String,
    #[prost(message, repeated, tag = "36")]
    pub(super) extensions: Vec<Named<Any>>,
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct Items {
    #[prost(message, repeated, tag = "1")]
    pub(super) schema_or_reference: Vec<SchemaOrReference>,
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct AdditionalProperties {
    #[prost(oneof = "Additional", tags = "1, 2")]
    pub(super) additional: Option<Additional>,
}

#[derive(Clone, PartialEq, Oneof)]
pub(super) enum Additional {
    #[prost(message, tag = "1")]
    Schema(SchemaOrReference),
    #[prost(bool, tag = "2")]
    Allowed(bool),
}

/// `DefaultType`: gnostic knows no defaults but these.
#[derive(Clone, PartialEq, Message)]
pub(super) struct Default {
    #[prost(oneof = "DefaultValue", tags = "1, 2, 3")]
    pub(super) value: Option<DefaultValue>,
}

#[derive(Clone, PartialEq, Oneof)]
pub(super) enum DefaultValue {
    #[prost(double, tag = "1")]
    Number(f64),
    #[prost(bool, tag = "2")]
    Boolean(bool),
    #[prost(string, tag = "3")]
    Text(String),
}
