//! The server that every target talks to, and what must be true of every answer.
//!
//! One server per thread, in process, on memory storage, for as long as the thread lives. Its
//! clock is tokio's and stands still until nothing else can go on: a wait of an hour takes no
//! time, and a wait that would never end is noticed at once.

use std::{cell::RefCell, collections::BTreeMap, time::Duration};

use bytes::Bytes;
use http::{HeaderMap, Method, Request, StatusCode, header};
use http_body_util::{BodyExt as _, Full};
use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use milo_apiserver_kit::{
    Server,
    authn::{StaticTokens, Union},
    service::ApiService,
};
use milo_core::{
    definition::ResourceDefinition,
    identity::{SYSTEM_MASTERS, UserInfo},
    key::{Key, KeyRange},
    object::Object,
    scope::ScopeKind,
    storage::{ListOptions, Memory, Revision, Storage as _, Transaction},
};
use serde_json::{Value, json};
use tokio::runtime::Runtime;
use tower::ServiceExt as _;

/// Where the gadgets of the first project are.
pub(crate) const GADGETS: &str =
    "/projects/p1/control-plane/apis/fuzz.example.com/v1/namespaces/default/gadgets";
/// Where the gadgets of somebody else are.
const GADGETS_OF_OTHERS: &str =
    "/projects/p2/control-plane/apis/fuzz.example.com/v1/namespaces/default/gadgets";
/// What every object of somebody else holds, and no answer about the first project may.
const MARK_OF_OTHERS: &str = "mark-of-p2";
/// What every object holds, and nobody without rights may see.
const MARK: &str = "mark-of-p";
const HIERARCHY: &str = "/apis/resourcemanager.miloapis.com/v1alpha1";

/// Longer than any answer takes, on a clock that only runs when nothing else does: a watch may be
/// asked to last a day.
const NEVER: Duration = Duration::from_secs(25 * 60 * 60);
/// How many pieces of a stream are read before the client goes away.
const MOST_FRAMES: usize = 64;
/// After so many inputs history is forgotten, or it would fill the memory.
const COMPACTED_EVERY: u64 = 512;

/// Who asks.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum User {
    /// A member of `system:masters`.
    #[default]
    Admin,
    /// Authenticated, without any right.
    Nobody,
    /// Without a credential.
    Stranger,
}

/// A request.
#[derive(Clone, Debug, Default)]
pub(crate) struct Call {
    pub(crate) user: User,
    pub(crate) method: Method,
    /// Path and query.
    pub(crate) target: String,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
}

impl Call {
    pub(crate) fn new(method: Method, target: impl Into<String>) -> Self {
        Self { method, target: target.into(), ..Self::default() }
    }

    /// With a body. A content type that cannot be sent is left out.
    pub(crate) fn sending(mut self, content_type: &str, body: impl Into<Bytes>) -> Self {
        self.body = body.into();
        self.with(header::CONTENT_TYPE, content_type)
    }

    pub(crate) fn with(mut self, name: header::HeaderName, value: &str) -> Self {
        if let Ok(value) = value.parse() {
            self.headers.insert(name, value);
        }
        self
    }

    fn query_holds(&self, text: &str) -> bool {
        self.target.split_once('?').is_some_and(|(_, query)| query.contains(text))
    }
}

/// What came back.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) code: u16,
    headers: HeaderMap,
    pub(crate) body: Bytes,
}

impl Answer {
    /// The body, when it is JSON.
    pub(crate) fn json(&self) -> Option<Value> {
        serde_json::from_slice(&self.body).ok()
    }

    fn is_json(&self) -> bool {
        let kind = self.headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok());
        kind.is_some_and(|kind| kind.starts_with("application/json"))
    }
}

/// The resource version of an object or a list.
pub(crate) fn version_of(object: &Value) -> u64 {
    let text = object["metadata"]["resourceVersion"].as_str().unwrap_or_default();
    text.parse().unwrap_or_else(|_| panic!("no resource version in {object}"))
}

/// A server with a few objects, to which every input returns.
pub(crate) struct World {
    service: ApiService,
    storage: Memory,
    /// What is stored when an input begins.
    seed: BTreeMap<Key, Bytes>,
    /// The URL of the gadgets of each scope, by the name of the scope in keys.
    gadgets: BTreeMap<String, &'static str>,
    inputs: u64,
    runtime: Runtime,
    _server: Server,
}

thread_local! {
    static WORLD: RefCell<World> = RefCell::new(World::new());
}

/// Runs one input in the world of this thread, and looks at what it left behind.
pub(crate) fn visit<T>(input: impl FnOnce(&mut World) -> T) -> T {
    WORLD.with_borrow_mut(|world| {
        let result = input(world);
        world.settle();
        result
    })
}

fn gadget_definition() -> ResourceDefinition {
    let crd: CustomResourceDefinition =
        serde_json::from_str(include_str!("gadget.json")).expect("gadget.json is a definition");
    let definition = ResourceDefinition::from_crd(&crd).expect("gadgets can be served");
    definition.living_in(ScopeKind::Project)
}

/// A gadget that uses every part of its schema.
pub(crate) fn gadget(name: &str, mark: &str) -> Value {
    json!({
        "apiVersion": "fuzz.example.com/v1",
        "kind": "Gadget",
        "metadata": {
            "name": name,
            "namespace": "default",
            "labels": {"app": "shop", "tier": name},
            "annotations": {"mark": mark},
        },
        "spec": {
            "color": "red",
            "replicas": 3,
            "tags": ["a", "b"],
            "list": [1, 2, 3],
            "parts": [{"name": "wheel", "size": 1}, {"name": "wheel", "side": 2}],
            "settings": {"x": "1", "y": "2"},
            "whole": {"a": 1, "b": 2},
            "free": {"any": {"thing": [1, {"deep": null}]}},
            "either": {"left": "here"},
            "min": 1,
            "max": 5,
        },
    })
}

impl World {
    fn new() -> Self {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_time()
            .start_paused(true)
            .build()
            .expect("a runtime");
        let storage = Memory::new();
        let tokens = |token: &str, user| StaticTokens::single(token, user);
        let admin = UserInfo::new("admin").with_group(SYSTEM_MASTERS);
        let authenticators = Union::new()
            .static_tokens(tokens("admin", admin))
            .static_tokens(tokens("nobody", UserInfo::new("nobody")));
        let builder = Server::builder(storage.clone())
            .authenticators(authenticators)
            .hierarchy()
            .self_reviews()
            .resource(gadget_definition());
        let server = runtime.block_on(builder.build()).expect("a server");
        let service = server.service();
        let (seed, gadgets) = Default::default();
        let mut world =
            Self { service, storage, seed, gadgets, inputs: 0, runtime, _server: server };
        world.plant();
        world
    }

    /// Makes what every input begins with: an organization with two projects, and gadgets in both.
    fn plant(&mut self) {
        let made = |world: &Self, url: &str, object: &Value| {
            let call = Call::new(Method::POST, url).sending("application/json", object.to_string());
            let answer = world.call(&call);
            assert_eq!(answer.code, 201, "{answer:?}");
            answer.json().expect("an object")
        };
        let acme = json!({"metadata": {"name": "acme"}});
        made(self, &format!("{HIERARCHY}/organizations"), &acme);
        for (name, gadgets) in [("p1", GADGETS), ("p2", GADGETS_OF_OTHERS)] {
            let owner = json!({"kind": "Organization", "name": "acme"});
            let project = json!({"metadata": {"name": name}, "spec": {"ownerRef": owner}});
            let project = made(self, &format!("{HIERARCHY}/projects"), &project);
            let uid = project["metadata"]["uid"].as_str().unwrap_or_default();
            self.gadgets.insert(format!("project:{uid}"), gadgets);
            for gadget_name in ["seed", "twin"] {
                made(self, gadgets, &gadget(gadget_name, &format!("mark-of-{name}")));
            }
        }
        self.seed = self.stored();
    }

    fn stored(&self) -> BTreeMap<Key, Bytes> {
        let all = KeyRange::all();
        let page = self.runtime.block_on(self.storage.list(&all, ListOptions::default()));
        let page = page.expect("memory storage reads");
        page.records.into_iter().map(|record| (record.key, record.value)).collect()
    }

    fn revision(&self) -> Revision {
        self.runtime.block_on(self.storage.revision()).expect("memory storage reads")
    }

    /// Sends a request and checks what must be true of every answer. None for what cannot be sent
    /// over HTTP at all.
    pub(crate) fn send(&self, call: &Call) -> Option<Answer> {
        call.target.parse::<http::Uri>().ok().filter(|_| call.target.starts_with('/'))?;
        let before = self.revision();
        let answer = self.call(call);
        check_answer(call, &answer);
        let reads = matches!(call.method, Method::GET | Method::HEAD | Method::OPTIONS);
        let must_not_write = reads
            || answer.code >= 400
            || call.user != User::Admin
            || call.query_holds("dryRun=All");
        if must_not_write && call.method != Method::DELETE {
            assert_eq!(self.revision(), before, "something was written by {call:?}: {answer:?}");
        }
        Some(answer)
    }

    fn call(&self, call: &Call) -> Answer {
        let mut request = Request::builder().method(&call.method).uri(&call.target);
        if let Some(headers) = request.headers_mut() {
            headers.clone_from(&call.headers);
            let token = match call.user {
                User::Admin => Some("Bearer admin"),
                User::Nobody => Some("Bearer nobody"),
                User::Stranger => None,
            };
            if let Some(token) = token {
                headers.insert(header::AUTHORIZATION, header::HeaderValue::from_static(token));
            }
        }
        let request = request.body(Full::new(call.body.clone())).expect("looked at before");
        let answered = async {
            let response = match self.service.clone().oneshot(request).await {
                Ok(response) => response,
                Err(never) => match never {},
            };
            let (parts, mut body) = response.into_parts();
            let mut received = Vec::new();
            for _ in 0..MOST_FRAMES {
                let Some(frame) = body.frame().await else { break };
                let frame = frame.unwrap_or_else(|error| panic!("{call:?} was cut off: {error}"));
                received.extend_from_slice(frame.data_ref().map_or(&[], |data| data));
            }
            Answer { code: parts.status.as_u16(), headers: parts.headers, body: received.into() }
        };
        let answered = async { tokio::time::timeout(NEVER, answered).await };
        let answered = self.runtime.block_on(answered);
        answered.unwrap_or_else(|_| panic!("no answer to {call:?}"))
    }

    /// Looks at what an input left behind, and takes it away.
    fn settle(&mut self) {
        let stored = self.stored();
        if stored != self.seed {
            for (key, value) in &stored {
                if self.seed.get(key) != Some(value) {
                    self.check_stored(key, value);
                }
            }
            self.restore(&stored);
        }
        self.inputs += 1;
        if self.inputs.is_multiple_of(COMPACTED_EVERY) {
            let ready = self.call(&Call::new(Method::GET, "/readyz"));
            assert_eq!(ready.code, 200, "the server is not well: {ready:?}");
            let compacted = self.storage.compact(self.revision());
            self.runtime.block_on(compacted).expect("memory storage compacts");
        }
    }

    fn restore(&self, stored: &BTreeMap<Key, Bytes>) {
        let mut back = Transaction::new();
        for key in stored.keys().filter(|key| !self.seed.contains_key(key)) {
            back = back.delete(key.clone());
        }
        for (key, value) in &self.seed {
            if stored.get(key) != Some(value) {
                back = back.put(key.clone(), value.clone());
            }
        }
        self.runtime.block_on(self.storage.commit(back)).expect("memory storage commits");
    }

    /// What is stored can be read, and writing it as it was read changes nothing.
    fn check_stored(&self, key: &Key, value: &Bytes) {
        let object = Object::from_slice(value)
            .unwrap_or_else(|error| panic!("{key} does not decode: {error}: {value:?}"));
        assert_eq!(object.encode().bytes(), value, "{key} is not stored in its canonical form");
        let segments = key.segments().unwrap_or_else(|| panic!("{key} is no key of an object"));
        let Some(gadgets) = self.gadgets.get(segments.scope) else { return };
        let url = format!("{gadgets}/{}", segments.name);
        if segments.namespace != "default" {
            return;
        }
        let read = self.call(&Call::new(Method::GET, &url));
        assert_eq!(read.code, 200, "{key} cannot be read: {read:?}");
        let write = Call::new(Method::PUT, &url).sending("application/json", read.body.clone());
        let written = self.call(&write);
        assert_eq!(written.code, 200, "{key} cannot be written as it was read: {written:?}");
        assert_eq!(written.body, read.body, "{key} changes when it is written as it was read");
    }
}

/// What must be true of every answer.
fn check_answer(call: &Call, answer: &Answer) {
    let text = || String::from_utf8_lossy(&answer.body);
    let code = answer.code;
    if code >= 500 {
        // A client may ask for a state that does not exist yet, or allow no time.
        let asked = ["resourceVersion", "continue", "timeout"];
        let asked = asked.iter().any(|option| call.query_holds(option));
        assert!(code == 504 && asked, "{code} for {call:?}: {}", text());
    }
    assert!(StatusCode::from_u16(code).is_ok_and(|code| !code.is_informational()), "{code}");
    let lines = call.query_holds("watch") && code == 200;
    if answer.is_json() && call.method != Method::HEAD && !lines {
        let body = answer.json().unwrap_or_else(|| panic!("no JSON for {call:?}: {}", text()));
        // Where nothing is, whoever may know is told what there is instead.
        if code >= 400 && body["paths"].is_null() {
            assert_eq!(body["kind"], "Status", "{call:?}: {body}");
            assert_eq!(body["code"], code, "{call:?}: {body}");
            assert!(body["message"].is_string(), "{call:?}: {body}");
        }
    }
    let held = |mark: &str| text().contains(mark) && !mentions(call, mark);
    if call.user != User::Admin {
        assert!(!held(MARK), "shown to {:?} by {call:?}: {}", call.user, text());
    } else if call.target.starts_with(GADGETS) {
        assert!(!held(MARK_OF_OTHERS), "another tenant's, for {call:?}: {}", text());
    }
}

/// Whether the request itself holds a text.
fn mentions(call: &Call, text: &str) -> bool {
    call.target.contains(text) || String::from_utf8_lossy(&call.body).contains(text)
}
