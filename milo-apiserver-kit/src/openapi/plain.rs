//! The documents about the paths that lead to the kinds, and about the server itself.

use k8s_openapi::apimachinery::pkg::{apis::meta::v1, version::Info};
use schemars::{JsonSchema, generate::SchemaSettings};
use serde_json::{Map, Value, json};

use super::{names, operations::answers, schemas, v3};

/// `/api/`
pub(super) fn core_versions() -> Value {
    let id = "getCoreAPIVersions";
    of_path::<v1::APIVersions>("/api/", id, "core", "get available API versions")
}

/// `/apis/`
pub(super) fn groups() -> Value {
    let id = "getAPIVersions";
    of_path::<v1::APIGroupList>("/apis/", id, "apis", "get available API groups")
}

/// `/apis/{group}/`
pub(super) fn group(name: &str) -> Value {
    let id = names::operation("get", name, "", "APIGroup");
    let path = format!("/apis/{name}/");
    of_path::<v1::APIGroup>(&path, &id, &names::group_tag(name), "get information of a group")
}

/// `/version/`
pub(super) fn server_version() -> Value {
    of_path::<Info>("/version/", "getCodeVersion", "version", "get the version of the server")
}

/// A document of one path that answers a `T`.
fn of_path<T: JsonSchema>(path: &str, id: &str, tag: &str, description: &str) -> Value {
    let mut generator = SchemaSettings::openapi3().into_generator();
    generator.subschema_for::<T>();
    let mut found = generator.take_definitions(true);
    schemas::complete(&mut found);
    schemas::name_meta_kinds(&mut found, None);
    let paths = Map::from_iter([(path.to_owned(), get(id, tag, description, &T::schema_name()))]);
    v3::document(paths, found)
}

/// A path that can only be read.
pub(super) fn get(id: &str, tag: &str, description: &str, schema: &str) -> Value {
    let mut responses = answers(&["200"], schema);
    responses["401"] = json!({"description": "Unauthorized"});
    json!({"get": {
        "description": description,
        "operationId": id,
        "responses": responses,
        "tags": [tag],
    }})
}
