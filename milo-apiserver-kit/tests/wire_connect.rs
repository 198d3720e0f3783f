//! `spec/wire.md` sections 2.1, 2.8, 6.1 and 7.2: subresources that answer HTTP themselves.

#![expect(clippy::unwrap_used, reason = "tests say what they expect by unwrapping")]

mod rest_support;
mod support;

use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use bytes::Bytes;
use http::{Method, Response, StatusCode};
use http_body_util::BodyExt as _;
use milo_apiserver_kit::{
    Kind,
    body::Body,
    rest::{Connect, ConnectOptions, ConnectRequest},
};
use milo_core::{
    admission::{Admission, AdmissionRequest, Operation},
    definition::{ResourceDefinition, View},
    object::Object,
    scope::ScopeKind,
    status::StatusError,
    storage::Memory,
};
use rest_support::{Book, GROUP, Shelf, book, books, complete};
use serde_json::{Value, json};
use support::{Wire, soon};
use tokio::sync::mpsc;

/// Says what it was asked.
struct Echo;

#[async_trait]
impl Connect for Echo {
    async fn connect(&self, request: ConnectRequest<'_>) -> Result<Response<Body>, StatusError> {
        let (parts, body) = request.http.into_parts();
        let body = body.collect().await.map_err(StatusError::internal)?.to_bytes();
        let mut headers: Vec<&str> = parts.headers.keys().map(http::HeaderName::as_str).collect();
        headers
            .retain(|name| name.starts_with("x-") || *name == "authorization" || *name == "cookie");
        let told = json!({
            "name": request.resource.name(),
            "namespace": request.resource.namespace(),
            "user": request.resource.user().username,
            "scope": request.resource.scope().to_string(),
            "method": parts.method.as_str(),
            "path": request.path,
            "query": parts.uri.query(),
            "headers": headers,
            "body": std::str::from_utf8(&body).unwrap(),
        });
        let mut response = Response::new(Body::full(told.to_string()));
        *response.status_mut() = StatusCode::ACCEPTED;
        Ok(response)
    }
}

/// Sends what it is given for as long as it is given something.
struct Lines(Mutex<Option<mpsc::Receiver<&'static str>>>);

#[async_trait]
impl Connect for Lines {
    async fn connect(&self, _: ConnectRequest<'_>) -> Result<Response<Body>, StatusError> {
        let lines = self.0.lock().unwrap().take();
        let lines = lines.ok_or_else(|| StatusError::bad_request("taken"))?;
        let chunks = futures_util::stream::unfold(lines, |mut lines| async {
            let line = lines.recv().await?;
            Some((Ok(Bytes::from_static(line.as_bytes())), lines))
        });
        Ok(Response::new(Body::stream(chunks)))
    }
}

/// Refuses what asks for a secret, and remembers what it is shown.
#[derive(Clone, Debug, Default)]
struct Guard(Arc<Mutex<Vec<Value>>>);

#[async_trait]
impl Admission for Guard {
    async fn validate(
        &self,
        request: &mut AdmissionRequest<'_>,
        object: &Object,
    ) -> Result<(), StatusError> {
        if request.operation != Operation::Connect {
            return Ok(());
        }
        let shown = object.clone().into_value();
        let secret = shown["query"]["secret"] != Value::Null;
        self.0.lock().unwrap().push(shown);
        if secret {
            return Err(StatusError::forbidden_path("not that"));
        }
        Ok(())
    }
}

struct Fixture {
    wire: Wire,
    lines: Option<mpsc::Sender<&'static str>>,
    guard: Guard,
}

async fn start() -> Fixture {
    let guard = Guard::default();
    let (lines, receiver) = mpsc::channel(1);
    let echo = ConnectOptions::methods([Method::GET, Method::POST, Method::DELETE]);
    let kind = Kind::of::<Book>()
        .handlers(complete(&Shelf::default()))
        .connect("echo", echo.with_paths(), Echo)
        .connect("plain", ConnectOptions::get(), Echo)
        .connect("log", ConnectOptions::get().long_running(), Lines(Mutex::new(Some(receiver))));
    let wire = Wire::with(Arc::new(Memory::new()), |server| {
        server.hierarchy().serve(kind).admission(guard.clone())
    });
    let wire = wire.await;
    wire.post(&books(""), &book("emma", "austen")).await.created();
    Fixture { wire, lines: Some(lines), guard }
}

#[tokio::test]
async fn methods_paths_and_bodies_reach_the_handler() {
    let Fixture { wire, guard, .. } = start().await;
    let call = wire.call("POST", &books("/emma/echo/a/b%20c/?x=1&x=2")).body("hello");
    let call =
        call.header("x-kept", "1").header("cookie", "secret").header("x-remote-user", "root");
    let answer = call.header("authorization", "Bearer nobody").send().await;
    assert_eq!(answer.code, 202, "{}", answer.text());
    let expected = json!({
        "name": "emma", "namespace": "default", "user": "admin", "scope": "platform",
        "method": "POST", "path": "/a/b c/", "query": "x=1&x=2", "headers": ["x-kept"],
        "body": "hello",
    });
    assert_eq!(answer.json(), expected, "2.8");
    assert_eq!(answer.header("content-type"), "application/octet-stream", "2.8");
    let shown = json!({
        "apiVersion": "library.example.com/v1", "kind": "ConnectOptions",
        "metadata": {"name": "emma", "namespace": "default"},
        "method": "POST", "path": "/a/b c/", "query": {"x": ["1", "2"]},
    });
    assert_eq!(*guard.0.lock().unwrap(), [shown], "6.1");

    let path = |answer: support::Answer| answer.json()["path"].clone();
    assert_eq!(path(wire.get(&books("/emma/echo")).await), "");
    assert_eq!(path(wire.get(&books("/emma/plain")).await), "");
    assert_eq!(path(wire.delete(&books("/nobody/echo/x")).await), "/x");
    let head = wire.call("HEAD", &books("/emma/plain")).send().await;
    assert_eq!((head.code, head.body.len()), (202, 0), "2.1");
}

#[tokio::test]
async fn what_is_not_declared_is_refused() {
    let Fixture { wire, .. } = start().await;
    for (method, path, code) in [
        ("PUT", "/emma/echo", 405),
        ("POST", "/emma/plain", 405),
        ("GET", "/emma/plain/below", 404),
        ("GET", "/emma/other", 404),
        ("GET", "/emma/status/below", 404),
        ("GET", "/emma/echo?dryRun=All", 400),
        ("POST", "/emma/echo?dryRun=", 400),
        ("GET", "/emma/echo?secret=1", 403),
        ("GET", "/emma/plain?timeout=soon", 400),
        // A handler that passes the path on must not be led out of it.
        ("GET", "/emma/echo/../../hamlet", 400),
        ("GET", "/emma/echo/a/%2e%2e/b", 400),
        ("GET", "/emma/echo/a/.", 400),
        ("GET", "/emma/echo/a%2Fb", 400),
    ] {
        let answer = wire.call(method, &books(path)).send().await;
        assert_eq!(answer.code, code, "2.8: {method} {path}: {}", answer.text());
    }
    let dry = wire.get(&books("/emma/echo?dryRun=All")).await;
    dry.refused("2.8", 400, "BadRequest", "dryRun is not supported");
    let everywhere = wire.get(&format!("{GROUP}/books/emma/echo")).await;
    assert_eq!(everywhere.code, 404, "2.1");
    let elsewhere = format!("/organizations/x/control-plane{}", books("/emma/echo"));
    assert_eq!(wire.get(&elsewhere).await.code, 404);
}

#[tokio::test]
async fn discovery_lists_the_verbs_of_the_methods() {
    let Fixture { wire, .. } = start().await;
    let list = wire.get(GROUP).await.ok();
    let entry = |name: &str| {
        let resources = list["resources"].as_array().unwrap();
        resources.iter().find(|resource| resource["name"] == name).unwrap().clone()
    };
    assert_eq!(entry("books/echo")["verbs"], json!(["create", "delete", "get"]), "1.1");
    assert_eq!(entry("books/log")["verbs"], json!(["get"]), "1.1");
    assert_eq!(entry("books/log")["namespaced"], true, "1.1");
}

#[tokio::test]
async fn a_stream_is_sent_as_it_is_made_and_ends_with_the_server() {
    let Fixture { wire, lines, .. } = start().await;
    let lines = lines.unwrap();
    let response = wire.call("GET", &books("/emma/log?follow=true")).respond().await;
    assert_eq!(response.status(), 200);
    let mut body = response.into_body();
    for line in ["one\n", "two\n"] {
        lines.send(line).await.unwrap();
        let frame = soon(body.frame()).await.unwrap().unwrap();
        assert_eq!(frame.into_data().unwrap(), line, "2.8");
    }
    let Wire { server, .. } = wire;
    let ended = async { while body.frame().await.is_some() {} };
    tokio::join!(server.stop(), soon(ended));
}

#[tokio::test]
async fn a_client_that_leaves_is_noticed() {
    let Fixture { wire, lines, .. } = start().await;
    let response = wire.call("GET", &books("/emma/log")).respond().await;
    drop(response);
    soon(lines.unwrap().closed()).await;
}

#[tokio::test]
async fn what_cannot_be_seen_cannot_be_connected_to() {
    let view = View::Label("by".into());
    let definition = ResourceDefinition::of::<Book>().unwrap();
    let kind = Kind::from(definition.seen_from(ScopeKind::Organization, view))
        .handlers(complete(&Shelf::default()))
        .connect("plain", ConnectOptions::get(), Echo);
    let wire = Wire::with(Arc::new(Memory::new()), |server| server.hierarchy().serve(kind)).await;
    wire.organization("austen").await;
    for (name, author) in [("emma", "austen"), ("hamlet", "shakespeare")] {
        wire.post(&books(""), &book(name, author)).await.created();
    }
    for (name, code) in [("emma", 202), ("hamlet", 404), ("macbeth", 404)] {
        let url =
            format!("/organizations/austen/control-plane{}", books(&format!("/{name}/plain")));
        assert_eq!(wire.get(&url).await.code, code, "2.8: {name}");
    }
    assert_eq!(wire.get(&books("/hamlet/plain")).await.code, 202, "2.8");
}
