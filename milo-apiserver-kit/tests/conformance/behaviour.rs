//! Kinds that are more than their schema: strategies, handlers, subresources that speak HTTP.

use async_trait::async_trait;
use bytes::Bytes;
use futures_util::StreamExt as _;
use http::Response;
use http_body_util::BodyExt as _;
use milo_apiserver_kit::{
    body::Body,
    rest::{Connect, ConnectRequest, Get, List, ListQuery, ObjectList, RestRequest},
    strategy::{GcPolicy, Strategy, WriteContext},
};
use milo_core::{
    object::Object,
    status::{FieldError, FieldPath, StatusError},
    storage::Revision,
};
use serde_json::{Value, json};

fn spec<'a>(object: &'a Object, field: &str) -> Option<&'a Value> {
    object.fields().get("spec")?.get(field)
}

/// A strategy with every hook: names begin with no `x`, `prepared` is the server's, `words` are
/// sorted, the word `bad` is invalid.
#[derive(Debug)]
pub(crate) struct Jobs;

fn prepare(object: &mut Object, value: &str) {
    if let Some(spec) = object.fields_mut().get_mut("spec").and_then(Value::as_object_mut) {
        spec.insert("prepared".into(), value.into());
    }
}

fn bad_word(object: &Object) -> Vec<FieldError> {
    let word = spec(object, "word").cloned().unwrap_or_default();
    let path = FieldPath::new("spec").child("word");
    if word == "bad" { vec![FieldError::invalid(path, word, "is a bad word")] } else { Vec::new() }
}

impl Strategy for Jobs {
    fn validate_name(&self, name: &str, prefix: bool) -> Vec<String> {
        let mut problems = milo_core::meta::dns_subdomain_name(name, prefix);
        if name.starts_with('x') {
            problems.push("must not begin with x".to_owned());
        }
        problems
    }

    /// Always the same, so that the second one is taken.
    fn generate_name(&self, base: &str) -> String {
        format!("{base}made")
    }

    fn prepare_for_create(&self, _: &WriteContext<'_>, object: &mut Object) {
        prepare(object, "created");
    }

    fn prepare_for_update(&self, _: &WriteContext<'_>, new: &mut Object, old: &Object) {
        let kept = spec(old, "prepared").and_then(Value::as_str).unwrap_or_default().to_owned();
        prepare(new, &kept);
    }

    fn reset_fields(&self) -> &[&[&'static str]] {
        &[&["spec", "prepared"]]
    }

    fn validate(&self, _: &WriteContext<'_>, object: &Object) -> Vec<FieldError> {
        bad_word(object)
    }

    fn validate_update(&self, _: &WriteContext<'_>, new: &Object, _: &Object) -> Vec<FieldError> {
        bad_word(new)
    }

    fn warnings_on_create(&self, _: &WriteContext<'_>, _: &Object) -> Vec<String> {
        vec!["a job is created".to_owned()]
    }

    fn warnings_on_update(&self, _: &WriteContext<'_>, _: &Object, _: &Object) -> Vec<String> {
        vec!["a job is changed".to_owned()]
    }

    fn canonicalize(&self, object: &mut Object) {
        let words = object.fields_mut().get_mut("spec").and_then(|spec| spec.get_mut("words"));
        if let Some(Value::Array(words)) = words {
            words.sort_by_key(ToString::to_string);
        }
    }

    fn allows_create_on_update(&self) -> bool {
        true
    }

    fn allows_unconditional_update(&self) -> bool {
        true
    }

    fn gc_policy(&self) -> GcPolicy {
        GcPolicy::DeleteDependents
    }

    fn returns_deleted_object(&self) -> bool {
        true
    }
}

/// Objects that get time to end: 30 seconds unless the client says otherwise.
#[derive(Debug)]
pub(crate) struct Tasks;

impl Strategy for Tasks {
    fn gc_policy(&self) -> GcPolicy {
        GcPolicy::OrphanDependents
    }

    fn check_graceful_delete(
        &self,
        _: &WriteContext<'_>,
        _: &Object,
        requested: Option<i64>,
    ) -> Option<i64> {
        Some(requested.unwrap_or(30))
    }
}

/// Two readings in every namespace, which can be read and nothing else.
pub(crate) struct Readings;

fn reading(request: &RestRequest<'_>, name: &str) -> Object {
    let object = json!({
        "apiVersion": "more.conformance.milo.test/v1alpha1", "kind": "Reading",
        "metadata": {
            "name": name, "namespace": request.namespace(), "resourceVersion": "7",
            "labels": {"name": name},
        },
        "spec": {"word": name},
    });
    Object::from_value(object).unwrap()
}

#[async_trait]
impl Get for Readings {
    async fn get(&self, request: &RestRequest<'_>) -> Result<Option<Object>, StatusError> {
        let name = request.name();
        Ok(["one", "two"].contains(&name).then(|| reading(request, name)))
    }
}

#[async_trait]
impl List for Readings {
    async fn list(
        &self,
        request: &RestRequest<'_>,
        _: &ListQuery,
    ) -> Result<ObjectList, StatusError> {
        let items = ["one", "two"].map(|name| reading(request, name));
        Ok(ObjectList::new(items.to_vec(), Revision::new(7)))
    }
}

/// Says two lines, and then nothing until the client goes away.
pub(crate) struct Log;

#[async_trait]
impl Connect for Log {
    async fn connect(&self, request: ConnectRequest<'_>) -> Result<Response<Body>, StatusError> {
        let name = request.resource.name().to_owned();
        let lines = ["begin", "end"].map(|line| Ok(Bytes::from(format!("{name} {line}\n"))));
        let follow = request.http.uri().query().is_some_and(|query| query.contains("follow=true"));
        let lines = futures_util::stream::iter(lines);
        Ok(Response::new(match follow {
            true => Body::stream(lines.chain(futures_util::stream::pending())),
            false => Body::stream(lines),
        }))
    }
}

/// Answers with what it was asked.
pub(crate) struct Echo;

#[async_trait]
impl Connect for Echo {
    async fn connect(&self, request: ConnectRequest<'_>) -> Result<Response<Body>, StatusError> {
        let (path, name) = (request.path.to_owned(), request.resource.name().to_owned());
        let (parts, body) = request.http.into_parts();
        let body =
            body.collect().await.map_err(|e| StatusError::bad_request(e.to_string()))?.to_bytes();
        let credentials = parts.headers.contains_key("authorization");
        let answer = json!({
            "method": parts.method.as_str(), "path": path, "name": name,
            "query": parts.uri.query(), "body": String::from_utf8_lossy(&body),
            "credentials": credentials,
        });
        let mut response = Response::new(Body::full(format!("{answer}\n")));
        let json = http::HeaderValue::from_static("application/json");
        response.headers_mut().insert(http::header::CONTENT_TYPE, json);
        Ok(response)
    }
}
