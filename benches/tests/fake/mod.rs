//! A small API server over HTTPS, which misbehaves when told to.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use http::{Method, Request, Response, StatusCode};
use http_body_util::channel::{Channel, Sender};
use http_body_util::combinators::BoxBody;
use http_body_util::{BodyExt as _, Full};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use rustls_pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio_rustls::TlsAcceptor;

pub(crate) const COLLECTION: &str = "/apis/resourcemanager.miloapis.com/v1alpha1/organizations";
pub(crate) const TOKEN: &str = "secret";

/// What the server does wrong. Counts begin at 1; 0 means never.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Faults {
    /// Every so many creates, answer 500.
    pub(crate) fail_create: usize,
    /// Every so many gets, take `slow` longer.
    pub(crate) slow_get: usize,
    pub(crate) slow: Duration,
    /// Close the connection after every answer.
    pub(crate) close: bool,
    /// What happens to one event of the first watch.
    pub(crate) event: Option<(usize, EventFault)>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum EventFault {
    Drop,
    Repeat,
    /// Exchange it with the next.
    Swap,
    /// End the stream after it, as a server may.
    End,
    /// Send an ERROR event in its place.
    Error,
}

pub(crate) struct Fake {
    pub(crate) address: SocketAddr,
    pub(crate) state: Arc<State>,
    folder: tempfile::TempDir,
}

#[derive(Default)]
pub(crate) struct State {
    faults: Faults,
    store: Mutex<Store>,
    revision: watch::Sender<u64>,
    creates: AtomicUsize,
    gets: AtomicUsize,
    pub(crate) watches: AtomicUsize,
    pub(crate) connections: AtomicUsize,
}

#[derive(Default)]
struct Store {
    objects: BTreeMap<String, Value>,
    history: Vec<(u64, Bytes)>,
}

type Body = BoxBody<Bytes, std::convert::Infallible>;

impl Fake {
    /// Starts on a free port, with a certificate of its own in `ca()`.
    pub(crate) async fn start(faults: Faults) -> Self {
        Self::start_on(0, faults, |_| ()).await
    }

    /// Starts on this port; nothing is answered until `prepare` is done.
    pub(crate) async fn start_on(port: u16, faults: Faults, prepare: impl FnOnce(&Self)) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let acceptor = acceptor(&folder.path().join("ca.pem"));
        let listener = TcpListener::bind(("127.0.0.1", port)).await.unwrap();
        let address = listener.local_addr().unwrap();
        let state = Arc::new(State { faults, ..State::default() });
        let fake = Self { address, state, folder };
        prepare(&fake);
        tokio::spawn(accept(listener, acceptor, Arc::clone(&fake.state)));
        fake
    }

    pub(crate) fn ca(&self) -> PathBuf {
        self.folder.path().join("ca.pem")
    }

    pub(crate) fn url(&self) -> String {
        format!("https://{}", self.address)
    }

    pub(crate) fn kubeconfig(&self) -> String {
        format!(
            "{{current-context: x, contexts: [{{name: x, context: {{cluster: x, user: x}}}}], \
             clusters: [{{name: x, cluster: {{server: '{}', certificate-authority: '{}'}}}}], \
             users: [{{name: x, user: {{token: {TOKEN}}}}}]}}",
            self.url(),
            self.ca().display(),
        )
    }

    pub(crate) fn len(&self) -> usize {
        self.state.store.lock().unwrap().objects.len()
    }
}

fn acceptor(ca: &Path) -> TlsAcceptor {
    let names = vec!["127.0.0.1".to_owned()];
    let certified = rcgen::generate_simple_self_signed(names).unwrap();
    std::fs::write(ca, certified.cert.pem()).unwrap();
    let key = PrivateKeyDer::from(PrivatePkcs8KeyDer::from(certified.signing_key.serialize_der()));
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = rustls::ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![certified.cert.der().clone()], key)
        .unwrap();
    TlsAcceptor::from(Arc::new(config))
}

async fn accept(listener: TcpListener, acceptor: TlsAcceptor, state: Arc<State>) {
    while let Ok((stream, _)) = listener.accept().await {
        stream.set_nodelay(true).unwrap();
        let (acceptor, state) = (acceptor.clone(), Arc::clone(&state));
        tokio::spawn(async move {
            let Ok(stream) = acceptor.accept(stream).await else { return };
            state.connections.fetch_add(1, Ordering::Relaxed);
            let service = service_fn(|request| {
                let state = Arc::clone(&state);
                async move { Ok::<_, std::convert::Infallible>(state.answer(request).await) }
            });
            let _ = hyper::server::conn::http1::Builder::new()
                .serve_connection(TokioIo::new(stream), service)
                .await;
        });
    }
}

impl State {
    async fn answer(self: Arc<Self>, request: Request<Incoming>) -> Response<Body> {
        let close = self.faults.close;
        let mut response = self.route(request).await;
        if close {
            response.headers_mut().insert("connection", "close".parse().unwrap());
        }
        response
    }

    async fn route(self: Arc<Self>, request: Request<Incoming>) -> Response<Body> {
        let path = request.uri().path().to_owned();
        let query = request.uri().query().unwrap_or_default().to_owned();
        if path == "/readyz" {
            let is_anonymous = !request.headers().contains_key("authorization");
            return json_answer(if is_anonymous { 200 } else { 400 }, &json!("ok"));
        }
        let authorization = request.headers().get("authorization").cloned();
        if authorization.is_none_or(|value| value != format!("Bearer {TOKEN}")) {
            return status(401, "Unauthorized");
        }
        assert!(!request.headers().contains_key("accept-encoding"));
        let method = request.method().clone();
        let body = request.into_body().collect().await.unwrap().to_bytes();
        match (method, path.strip_prefix(COLLECTION)) {
            (Method::POST, Some("")) => self.create(&body),
            (Method::GET, Some("")) if query.contains("watch=true") => self.watch(&query),
            (Method::GET, Some("")) => self.list(&query),
            (Method::GET, Some(name)) => self.get(&name[1..]).await,
            (Method::PATCH, Some(name)) => self.patch(&name[1..], &body),
            (Method::DELETE, Some(name)) => self.delete(&name[1..]),
            _ => status(404, "no such path"),
        }
    }

    fn create(&self, body: &[u8]) -> Response<Body> {
        let number = self.creates.fetch_add(1, Ordering::Relaxed) + 1;
        if is_turn(number, self.faults.fail_create) {
            return status(500, "told to fail");
        }
        let object: Value = serde_json::from_slice(body).unwrap();
        let name = object["metadata"]["name"].as_str().unwrap().to_owned();
        if self.store.lock().unwrap().objects.contains_key(&name) {
            return status(409, "already exists");
        }
        json_answer(201, &self.put("ADDED", name, object))
    }

    async fn get(&self, name: &str) -> Response<Body> {
        let number = self.gets.fetch_add(1, Ordering::Relaxed) + 1;
        if is_turn(number, self.faults.slow_get) {
            tokio::time::sleep(self.faults.slow).await;
        }
        match self.store.lock().unwrap().objects.get(name) {
            Some(object) => json_answer(200, object),
            None => status(404, "not found"),
        }
    }

    fn patch(&self, name: &str, patch: &[u8]) -> Response<Body> {
        let object = self.store.lock().unwrap().objects.get(name).cloned();
        let Some(mut object) = object else { return status(404, "not found") };
        merge(&mut object, serde_json::from_slice(patch).unwrap());
        json_answer(200, &self.put("MODIFIED", name.to_owned(), object))
    }

    fn delete(&self, name: &str) -> Response<Body> {
        match self.store.lock().unwrap().objects.remove(name) {
            Some(object) => json_answer(200, &object),
            None => status(404, "not found"),
        }
    }

    fn put(&self, event: &str, name: String, mut object: Value) -> Value {
        let mut store = self.store.lock().unwrap();
        let revision = store.history.len() as u64 + 1;
        object["metadata"]["resourceVersion"] = json!(revision.to_string());
        let line = format!("{{\"type\":\"{event}\",\"object\":{object}}}\n");
        store.history.push((revision, Bytes::from(line)));
        store.objects.insert(name, object.clone());
        self.revision.send_replace(revision);
        object
    }

    fn list(&self, query: &str) -> Response<Body> {
        let limit = parameter(query, "limit").map_or(usize::MAX, |limit| limit.parse().unwrap());
        let start = parameter(query, "continue").unwrap_or_default();
        let label = parameter(query, "labelSelector").and_then(|text| text.split_once("%3D"));
        let store = self.store.lock().unwrap();
        let selected = |object: &&Value| {
            label.is_none_or(|(key, value)| object["metadata"]["labels"][key] == value)
        };
        let mut items = store.objects.range(start.to_owned()..).map(|(_, o)| o).filter(selected);
        let page: Vec<&Value> = items.by_ref().take(limit).collect();
        let next = items.next().map_or(json!(""), |object| object["metadata"]["name"].clone());
        let revision = store.history.len().to_string();
        let metadata = json!({"resourceVersion": revision, "continue": next});
        json_answer(200, &json!({"kind": "OrganizationList", "metadata": metadata, "items": page}))
    }

    fn watch(self: Arc<Self>, query: &str) -> Response<Body> {
        let from: u64 = parameter(query, "resourceVersion").unwrap().parse().unwrap();
        let (sender, body) = Channel::new(16);
        let is_first = self.watches.fetch_add(1, Ordering::Relaxed) == 0;
        let fault = self.faults.event.filter(|_| is_first);
        tokio::spawn(follow(self, from, fault, sender));
        Response::new(body.boxed())
    }

    fn events_after(&self, revision: u64) -> Vec<(u64, Bytes)> {
        self.store.lock().unwrap().history[revision as usize..].to_vec()
    }
}

/// Sends events until the watcher goes, or the fault ends it.
async fn follow(
    state: Arc<State>,
    mut from: u64,
    fault: Option<(usize, EventFault)>,
    mut sender: Sender<Bytes, std::convert::Infallible>,
) {
    let mut changed = state.revision.subscribe();
    let (mut number, mut held) = (0, None);
    loop {
        for (revision, line) in state.events_after(from) {
            from = revision;
            number += 1;
            let fault = fault.filter(|(wanted, _)| *wanted == number).map(|(_, fault)| fault);
            let lines = match fault {
                None => vec![Some(line), held.take()],
                Some(EventFault::Drop) => vec![],
                Some(EventFault::Repeat) => vec![Some(line.clone()), Some(line)],
                Some(EventFault::Swap) => {
                    held = Some(line);
                    vec![]
                }
                Some(EventFault::End) => vec![Some(line)],
                Some(EventFault::Error) => {
                    vec![Some(Bytes::from("{\"type\":\"ERROR\",\"object\":{\"code\":410}}\n"))]
                }
            };
            for line in lines.into_iter().flatten() {
                // In two parts, as a network may deliver it.
                let (head, tail) = (line.slice(..9), line.slice(9..));
                if sender.send_data(head).await.is_err() || sender.send_data(tail).await.is_err() {
                    return;
                }
            }
            if matches!(fault, Some(EventFault::End | EventFault::Error)) {
                return;
            }
        }
        if changed.changed().await.is_err() {
            return;
        }
    }
}

fn is_turn(number: usize, every: usize) -> bool {
    every > 0 && number.is_multiple_of(every)
}

fn parameter<'a>(query: &'a str, name: &str) -> Option<&'a str> {
    query.split('&').find_map(|pair| pair.strip_prefix(name)?.strip_prefix('='))
}

fn merge(target: &mut Value, patch: Value) {
    match patch {
        Value::Object(members) => {
            for (key, value) in members {
                merge(&mut target[key], value);
            }
        }
        other => *target = other,
    }
}

fn json_answer(code: u16, value: &Value) -> Response<Body> {
    let mut response = Response::new(Full::from(value.to_string()).boxed());
    *response.status_mut() = StatusCode::from_u16(code).unwrap();
    response
}

fn status(code: u16, message: &str) -> Response<Body> {
    json_answer(code, &json!({"kind": "Status", "code": code, "message": message}))
}
