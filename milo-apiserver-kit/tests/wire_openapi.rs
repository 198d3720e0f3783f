//! `spec/wire.md` sections 1.4 and 1.5: OpenAPI, of a whole server and of a tenant.

#![expect(clippy::unwrap_used, reason = "tests say what they expect by unwrapping")]

mod support;

use bytes::Bytes;
use serde_json::{Value, json};
use sha2::{Digest as _, Sha512};
use support::{Answer, GROUP, Wire};

const V2: &str = "/openapi/v2";
const V3: &str = "/openapi/v3";
const ORGANIZATION: &str = "com.miloapis.resourcemanager.v1alpha1.Organization";
const TENANT: &str = "/organizations/acme/control-plane";

fn protobuf(version: &str) -> [String; 2] {
    let name = format!("application/com.github.proto-openapi.spec.{version}");
    [format!("{name}@v1.0+protobuf"), format!("{name}.v1.0+protobuf")]
}

async fn get(wire: &Wire, url: &str, accept: &str) -> Answer {
    wire.call("GET", url).header("accept", accept).send().await
}

/// The document of the group, as the index points at it.
async fn document(wire: &Wire) -> (String, Answer) {
    let index = wire.get(V3).await.ok();
    let url = index["paths"][GROUP.trim_start_matches('/')]["serverRelativeURL"].as_str().unwrap();
    (url.to_owned(), wire.get(url).await)
}

#[tokio::test]
async fn version_2() {
    let wire = Wire::start().await;
    let answer = wire.get(V2).await;
    let document = answer.ok();
    assert_eq!(document["swagger"], "2.0", "1.4");
    assert_eq!(answer.header("content-type"), "application/json", "1.4");
    assert_eq!(answer.header("vary"), "Accept", "1.4");
    let etag = answer.header("etag");
    let hash: String = Sha512::digest(&answer.body).iter().map(|b| format!("{b:02X}")).collect();
    assert_eq!(etag, format!("\"{hash}\""), "1.4");
    let modified = answer.header("last-modified");
    for (header, value, code) in [
        ("if-none-match", etag, 304),
        ("if-none-match", "\"0\"", 200),
        ("if-modified-since", modified, 304),
        ("if-modified-since", "Thu, 01 Jan 1970 00:00:00 GMT", 200),
    ] {
        for accept in ["application/json", &protobuf("v2")[0]] {
            let call = wire.call("GET", V2).header("accept", accept).header(header, value);
            let answer = call.send().await;
            assert_eq!(answer.code, code, "1.4: {header}: {value}");
            assert_eq!(answer.body.is_empty(), code == 304, "1.4: {header}: {value}");
            assert_eq!(answer.header("etag"), etag, "1.4");
        }
    }
    for (accept, code, content_type) in [
        ("", 200, "application/json"),
        ("*/*", 200, "application/json"),
        ("application/*", 200, "application/json"),
        (&protobuf("v2")[0], 200, &*protobuf("v2")[1]),
        (&protobuf("v2")[1], 200, &*protobuf("v2")[1]),
        (&format!("{},application/json;q=0.5", protobuf("v2")[0]), 200, &*protobuf("v2")[1]),
        (&format!("{};q=0.5,application/json", protobuf("v2")[0]), 200, "application/json"),
        (&protobuf("v3")[0], 406, ""),
        ("text/html", 406, ""),
    ] {
        let answer = get(&wire, V2, accept).await;
        let got = (answer.code, answer.header("content-type"));
        assert_eq!(got, (code, content_type), "1.4: {accept}");
        assert_eq!(answer.header("vary"), "Accept", "1.4: {accept}");
        assert_eq!(answer.body.is_empty(), code == 406, "1.4: {accept}");
    }
    let head = wire.call("HEAD", V2).send().await;
    assert_eq!((head.code, head.body.len(), head.header("etag")), (200, 0, etag), "1.4");
    assert_eq!(head.header("content-length"), answer.body.len().to_string(), "1.4");
    wire.call("POST", V2).send().await.refused(
        "1.6",
        405,
        "MethodNotAllowed",
        "the server does not allow this method on the requested resource",
    );
}

#[tokio::test]
async fn version_3() {
    let wire = Wire::start().await;
    let index = wire.get(V3).await;
    let hash: String = Sha512::digest(&index.body).iter().map(|b| format!("{b:02X}")).collect();
    assert_eq!(index.header("etag"), format!("\"{hash}\""), "1.5");
    let index = index.ok();
    assert!(index["paths"]["version"]["serverRelativeURL"].is_string(), "1.5: {index}");
    let (url, answer) = document(&wire).await;
    answer.ok();
    let (path, hash) = url.split_once("?hash=").unwrap();
    assert_eq!(path, format!("{V3}{GROUP}"), "1.5");
    assert_eq!(answer.header("etag"), format!("\"{hash}\""), "1.5: content hash");
    assert_eq!(answer.header("cache-control"), "public, immutable", "1.5");
    assert!(answer.header("expires").ends_with(" GMT"), "1.5");
    let plain = wire.get(path).await;
    assert_eq!((plain.code, plain.header("expires")), (200, ""), "1.5: no hash");
    assert_eq!(plain.header("cache-control"), "no-cache, private", "1.5: no hash");
    let with_more = wire.get(&format!("{url}&timeout=32s")).await;
    assert_eq!(with_more.code, 200, "1.5: further parameters");
    let stale = wire.get(&format!("{path}?hash=0&timeout=32s")).await;
    assert_eq!(
        (stale.code, stale.header("location")),
        (301, &*format!("?hash={hash}")),
        "1.5: another hash"
    );
    for accept in protobuf("v3") {
        let answer = get(&wire, &url, &accept).await;
        assert_eq!(answer.header("content-type"), protobuf("v3")[1], "1.5");
        assert_eq!(answer.header("etag"), format!("\"{hash}\""), "1.5");
        assert_eq!(answer.header("cache-control"), "public, immutable", "1.5");
    }
    let refused = get(&wire, &url, "application/yaml").await;
    assert_eq!((refused.code, refused.body.len()), (406, 0), "1.5");
    let missing = "the server could not find the requested resource";
    for path in ["apis/unheard.example.com/v1", "api/v1", "apis/resourcemanager.miloapis.com/v9"] {
        let answer = wire.get(&format!("{V3}/{path}")).await;
        answer.refused(&format!("1.5: {path}"), 404, "NotFound", missing);
    }
}

#[tokio::test]
async fn what_clients_look_for() {
    let wire = Wire::start().await;
    let (_, answer) = document(&wire).await;
    let (v2, v3) = (wire.get(V2).await.ok(), answer.ok());
    let gvk = |kind: &str| json!({"group": "resourcemanager.miloapis.com", "version": "v1alpha1", "kind": kind});
    // An array on schemas, an object on operations.
    for schemas in [&v2["definitions"], &v3["components"]["schemas"]] {
        let found = &schemas[ORGANIZATION];
        assert_eq!(found["x-kubernetes-group-version-kind"], json!([gvk("Organization")]), "1.5");
        let meta = &schemas["io.k8s.apimachinery.pkg.apis.meta.v1.ObjectMeta"]["properties"];
        let owners = &meta["ownerReferences"];
        assert_eq!(owners["x-kubernetes-list-type"], "map", "1.5");
        assert_eq!(owners["x-kubernetes-list-map-keys"], json!(["uid"]), "1.5");
        assert_eq!(meta["finalizers"]["x-kubernetes-list-type"], "set", "1.5");
        assert_eq!(meta["managedFields"]["x-kubernetes-list-type"], "atomic", "1.5");
    }
    let refused = wire.call("PATCH", "organizations/x").header("content-type", "x/y").send().await;
    let offered = refused.json()["message"].as_str().unwrap().to_owned();
    for name in ["", "/status"] {
        let path = format!("{GROUP}/organizations/{{name}}{name}");
        let patch = &v3["paths"][&path]["patch"];
        assert_eq!(patch["x-kubernetes-group-version-kind"], gvk("Organization"), "1.5");
        assert_eq!(patch["x-kubernetes-action"], "patch", "1.5");
        for parameter in ["dryRun", "fieldManager", "fieldValidation"] {
            let parameters = patch["parameters"].as_array().unwrap();
            assert!(parameters.iter().any(|found| found["name"] == parameter), "1.5: {parameter}");
        }
        let types: Vec<&String> =
            patch["requestBody"]["content"].as_object().unwrap().keys().collect();
        assert!(types.len() > 1, "1.5");
        for media_type in types {
            assert!(offered.contains(media_type.as_str()), "1.5: {media_type} in {offered}");
        }
    }
}

#[tokio::test]
async fn every_tenant_has_its_own() {
    let wire = Wire::start().await;
    wire.organization("acme").await;
    for path in [V2, V3] {
        let (platform, tenant) = (wire.get(path).await, wire.get(&format!("{TENANT}{path}")).await);
        assert_ne!(platform.header("etag"), tenant.header("etag"), "1.4, 1.5: {path}");
        tenant.ok();
    }
    let definitions = wire.get(&format!("{TENANT}{V2}")).await.ok();
    assert!(definitions["definitions"].get(ORGANIZATION).is_none(), "not served there");
    let projects = format!("{GROUP}/projects/{{name}}");
    assert!(definitions["paths"].get(projects).is_some(), "1.4");
    let index = wire.get(&format!("{TENANT}/")).await.ok();
    for path in [V2, V3] {
        assert!(index["paths"].as_array().unwrap().contains(&path.into()), "1.6: {path}");
    }
}

/// The fields of a protobuf message by number: those that are messages, text or bytes.
fn fields(mut message: &[u8]) -> Vec<(u64, Bytes)> {
    fn varint(message: &mut &[u8]) -> u64 {
        let (mut value, mut shift) = (0, 0);
        loop {
            let (byte, rest) = message.split_first().unwrap();
            *message = rest;
            value |= u64::from(byte & 0x7f) << shift;
            shift += 7;
            if byte & 0x80 == 0 {
                return value;
            }
        }
    }
    let mut fields = Vec::new();
    while !message.is_empty() {
        let tag = varint(&mut message);
        match tag & 7 {
            0 => {
                let value = varint(&mut message);
                fields.push((tag >> 3, Bytes::copy_from_slice(&value.to_le_bytes())));
            }
            1 => message = message.split_at(8).1,
            2 => {
                let length = usize::try_from(varint(&mut message)).unwrap();
                let (value, rest) = message.split_at(length);
                fields.push((tag >> 3, Bytes::copy_from_slice(value)));
                message = rest;
            }
            other => unreachable!("wire type {other}"),
        }
    }
    fields
}

/// All values at a path of field numbers.
fn at(message: &Bytes, path: &[u64]) -> Vec<Bytes> {
    path.iter().fold(vec![message.clone()], |messages, number| {
        let all = messages.iter().flat_map(|message| fields(message));
        all.filter(|(found, _)| found == number).map(|(_, value)| value).collect()
    })
}

/// The one value at a path of field numbers.
fn one(message: &Bytes, path: &[u64]) -> Bytes {
    let found = at(message, path);
    assert_eq!(found.len(), 1, "{path:?}");
    found[0].clone()
}

/// The value of an entry of a map, where names are field 1 and values field 2.
fn entry(map: &[Bytes], name: &str) -> Bytes {
    let found = map.iter().find(|entry| one(entry, &[1]) == name).map(|entry| one(entry, &[2]));
    found.unwrap_or_else(|| unreachable!("no {name}"))
}

/// The extension `name` of something that has extensions at `number`.
fn extension(of: &Bytes, number: u64, name: &str) -> Value {
    let yaml = one(&entry(&at(of, &[number]), name), &[2]);
    serde_json::from_slice(&yaml).unwrap()
}

#[tokio::test]
async fn version_2_in_protobuf() {
    let wire = Wire::start().await;
    let json = wire.get(V2).await.ok();
    let answer = get(&wire, V2, &protobuf("v2")[0]).await;
    let document = answer.body;
    assert_eq!(one(&document, &[1]), "2.0", "swagger");
    assert_eq!(one(&document, &[2, 1]), "Milo", "info.title");
    let definitions = at(&document, &[9, 1]);
    assert_eq!(definitions.len(), json["definitions"].as_object().unwrap().len());
    let organization = entry(&definitions, ORGANIZATION);
    assert_eq!(one(&organization, &[22, 1]), "object", "type");
    let gvk = "x-kubernetes-group-version-kind";
    assert_eq!(extension(&organization, 31, gvk), json["definitions"][ORGANIZATION][gvk]);
    let metadata = entry(&at(&organization, &[25, 1]), "metadata");
    let reference = "#/definitions/io.k8s.apimachinery.pkg.apis.meta.v1.ObjectMeta";
    assert_eq!(one(&metadata, &[1]), reference, "$ref");
    let of_metadata = entry(&definitions, "io.k8s.apimachinery.pkg.apis.meta.v1.ObjectMeta");
    let labels = entry(&at(&of_metadata, &[25, 1]), "labels");
    assert_eq!(one(&labels, &[21, 1, 22, 1]), "string", "additionalProperties.type");
    let owners = entry(&at(&of_metadata, &[25, 1]), "ownerReferences");
    assert!(one(&owners, &[23, 1, 1]).ends_with(b".OwnerReference"), "items.$ref");

    let paths = at(&document, &[8, 2]);
    assert_eq!(paths.len(), json["paths"].as_object().unwrap().len());
    let path = format!("{GROUP}/organizations/{{name}}");
    let organization = entry(&paths, &path);
    // get, put, delete, patch
    for (number, method) in [(2, "get"), (3, "put"), (5, "delete"), (8, "patch")] {
        let (operation, json) = (one(&organization, &[number]), &json["paths"][&path][method]);
        assert_eq!(one(&operation, &[5]), json["operationId"].as_str().unwrap());
        assert_eq!(extension(&operation, 13, gvk), json[gvk]);
        assert_eq!(at(&operation, &[6]), ["application/json", "application/yaml"], "produces");
        assert_eq!(one(&operation, &[10]), "https", "schemes");
        let count = json["parameters"].as_array().map_or(0, Vec::len);
        assert_eq!(at(&operation, &[8]).len(), count, "parameters");
        let responses = at(&operation, &[9, 1]);
        let ok = entry(&responses, "200");
        let schema = json["responses"]["200"]["schema"]["$ref"].as_str().unwrap();
        assert_eq!(one(&ok, &[1, 2, 1, 1]), schema, "responses.200.schema");
        assert_eq!(one(&entry(&responses, "401"), &[1, 1]), "Unauthorized");
    }
    let patch = one(&organization, &[8]);
    let types = json["paths"][&path]["patch"]["consumes"].as_array().unwrap();
    assert_eq!(at(&patch, &[7]), types.iter().map(|t| t.as_str().unwrap()).collect::<Vec<_>>());
    let body = one(&patch, &[8, 1, 1]);
    assert_eq!((one(&body, &[2]), one(&body, &[3])), ("body".into(), "body".into()));
    // Queries are read as such, names from the path as such.
    let queries: Vec<Bytes> = at(&patch, &[8, 1, 2, 3, 4]);
    assert_eq!(queries[..3], ["dryRun", "fieldManager", "fieldValidation"]);
    assert_eq!(at(&patch, &[8, 1, 2, 3, 6])[0], "string", "type");
    assert_eq!(one(&organization, &[9, 1, 2, 4, 4]), "name");
    assert_eq!(one(&organization, &[9, 1, 2, 4, 5]), "string");
    // securityDefinitions: apiKey
    let token = entry(&at(&document, &[13, 1]), "BearerToken");
    assert_eq!(one(&token, &[2, 1]), "apiKey");
    assert_eq!(one(&document, &[12, 1, 1]), "BearerToken");
}

#[tokio::test]
async fn version_3_in_protobuf() {
    let wire = Wire::start().await;
    let (url, answer) = document(&wire).await;
    let json = answer.ok();
    let document = get(&wire, &url, &protobuf("v3")[1]).await.body;
    assert_eq!(one(&document, &[1]), "3.0.0");
    assert_eq!(one(&document, &[2, 1]), "Milo");
    let schemas = at(&document, &[5, 1, 1]);
    assert_eq!(schemas.len(), json["components"]["schemas"].as_object().unwrap().len());
    let organization = one(&entry(&schemas, ORGANIZATION), &[1]);
    assert_eq!(one(&organization, &[25]), "object");
    let gvk = "x-kubernetes-group-version-kind";
    let expected = &json["components"]["schemas"][ORGANIZATION][gvk];
    assert_eq!(extension(&organization, 36, gvk), *expected);
    let metadata = entry(&at(&organization, &[31, 1]), "metadata");
    let reference = "#/components/schemas/io.k8s.apimachinery.pkg.apis.meta.v1.ObjectMeta";
    assert_eq!(one(&metadata, &[1, 26, 2, 1]), reference, "allOf.$ref");
    let path = format!("{GROUP}/organizations/{{name}}");
    let patch = one(&entry(&at(&document, &[4, 1]), &path), &[10]);
    let json = &json["paths"][&path]["patch"];
    assert_eq!(one(&patch, &[5]), json["operationId"].as_str().unwrap());
    assert_eq!(extension(&patch, 13, gvk), json[gvk]);
    let content = at(&patch, &[7, 1, 2, 1, 1]);
    assert_eq!(content.len(), json["requestBody"]["content"].as_object().unwrap().len());
    let ok = entry(&at(&patch, &[8, 2]), "200");
    let schema = one(&entry(&at(&ok, &[1, 3, 1]), "application/json"), &[1, 2, 1]);
    assert_eq!(schema, format!("#/components/schemas/{ORGANIZATION}"));
    assert_eq!(at(&patch, &[6, 1, 1])[0], "dryRun");
    assert_eq!(at(&patch, &[6, 1, 2])[0], "query");
    assert_eq!(at(&patch, &[6, 1, 10, 1, 25])[0], "string", "type");
}
