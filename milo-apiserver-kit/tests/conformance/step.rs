//! Requests, and what is expected of the answers, as data. `README.md` describes the fields.

use std::{
    collections::{BTreeMap, HashMap},
    sync::Arc,
};

use base64::{Engine as _, engine::general_purpose::STANDARD};
use milo_core::storage::Revision;
use serde::Deserialize;
use serde_json::{Map, Value};

use crate::{
    case::Outcome,
    expect::{self, json_of},
    fixture::{Cx, Shared},
    support::{Answer, Events},
    vars::Vars,
};

/// The first word of a step: method, and the type of its body.
const REQUESTS: [(&str, &str, &str); 12] = [
    ("GET", "GET", ""),
    ("HEAD", "HEAD", ""),
    ("OPTIONS", "OPTIONS", ""),
    ("TRACE", "TRACE", ""),
    ("POST", "POST", "application/json"),
    ("PUT", "PUT", "application/json"),
    ("DELETE", "DELETE", "application/json"),
    ("MERGE", "PATCH", "application/merge-patch+json"),
    ("JSONPATCH", "PATCH", "application/json-patch+json"),
    ("STRATEGIC", "PATCH", "application/strategic-merge-patch+json"),
    ("APPLY", "PATCH", "application/apply-patch+yaml"),
    ("WATCH", "GET", ""),
];

/// One request and what is expected, or something else that a case does.
#[derive(Clone, Debug)]
pub(crate) struct Step {
    word: &'static str,
    method: &'static str,
    url: String,
    content_type: &'static str,
    rest: Rest,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub(crate) struct Rest {
    // What is sent.
    pub(crate) body: Option<Value>,
    pub(crate) raw: Option<String>,
    base64: Option<String>,
    pub(crate) with: BTreeMap<String, Value>,
    pub(crate) without: Vec<String>,
    pub(crate) r#type: Option<String>,
    pub(crate) accept: Option<String>,
    pub(crate) send: BTreeMap<String, String>,
    pub(crate) r#as: Option<String>,
    pub(crate) repeat: Option<usize>,
    // What must come back.
    pub(crate) code: Option<u16>,
    pub(crate) is: Option<Value>,
    pub(crate) yaml: Option<Value>,
    pub(crate) text: Option<String>,
    pub(crate) names: Option<Vec<String>>,
    pub(crate) head: BTreeMap<String, Value>,
    pub(crate) warnings: Option<Vec<String>>,
    pub(crate) refused: Option<(u16, String, String)>,
    pub(crate) details: Option<Value>,
    pub(crate) causes: Option<Vec<(String, String, String)>>,
    pub(crate) save: BTreeMap<String, String>,
    // Watches.
    pub(crate) of: Option<String>,
    pub(crate) events: Option<Vec<(String, Value)>>,
    pub(crate) unordered: bool,
    pub(crate) ended: Option<bool>,
    // The rest.
    pub(crate) compact: Option<String>,
    pub(crate) restart: bool,
}

impl Step {
    pub(crate) fn parse(value: &Value) -> Result<Self, String> {
        let mut map: Map<String, Value> =
            value.as_object().cloned().ok_or("a step is a mapping".to_owned())?;
        let found = REQUESTS.iter().find(|(word, ..)| map.contains_key(*word));
        let (word, method, content_type) = found.copied().unwrap_or_default();
        let url = map.remove(word).and_then(|url| url.as_str().map(str::to_owned));
        let rest = Rest::deserialize(Value::Object(map)).map_err(|error| error.to_string())?;
        Ok(Self { word, method, url: url.unwrap_or_default(), content_type, rest })
    }
}

/// Runs the steps of a case, one after the other.
pub(crate) async fn run_all(steps: &[Step], mut cx: Cx) -> Outcome {
    let mut watches = HashMap::new();
    for (at, step) in steps.iter().enumerate() {
        for number in 0..step.rest.repeat.unwrap_or(1) {
            cx.vars.set("n", number.to_string());
            let done = run(step, &mut cx, &mut watches).await;
            done.map_err(|why| {
                let Step { word, url, .. } = step;
                format!("step {}: {word} {}: {why}", at + 1, cx.vars.text(url))
            })?;
        }
    }
    Ok(())
}

async fn run(step: &Step, cx: &mut Cx, watches: &mut HashMap<String, Events>) -> Outcome {
    let rest = &step.rest;
    let watch = rest.of.clone().unwrap_or_default();
    if let Some(version) = &rest.compact {
        let floor = Revision::new(cx.vars.text(version).parse().unwrap());
        let storage = cx.shared.server.storage();
        return storage.compact(floor).await.map_err(|error| error.to_string());
    }
    if rest.restart {
        let storage = cx.shared.server.storage().clone();
        cx.shared = Arc::new(Shared::start_on(storage).await);
        return Ok(());
    }
    if step.word == "WATCH" {
        let call = prepare(step, cx).await;
        let response = call.respond().await;
        expect::heads(&rest.head, response.headers(), &cx.vars)?;
        if response.status() != 200 {
            return Err(format!("the watch is answered with {}", response.status()));
        }
        watches.insert(watch.clone(), Events::new(response.into_body()));
    } else if !step.word.is_empty() {
        let answer = prepare(step, cx).await.send().await;
        expect::answer(rest, &answer, cx)?;
        return save(rest, &answer, cx);
    }
    if rest.events.is_none() && rest.ended.is_none() {
        return Ok(());
    }
    let events = watches.get_mut(&watch).ok_or("there is no such watch")?;
    expect::events(rest, events, cx).await
}

async fn prepare(step: &Step, cx: &Cx) -> crate::support::Call {
    let rest = &step.rest;
    let mut call = match &rest.r#as {
        Some(who) => cx.call_as(who, step.method, &step.url).await,
        None => cx.call(step.method, &step.url),
    };
    if let Some(body) = body_of(rest, &cx.vars) {
        let content_type = rest.r#type.as_deref().unwrap_or(step.content_type);
        if !content_type.is_empty() {
            call = call.header("content-type", content_type);
        }
        call = call.body(body);
    }
    if let Some(accept) = &rest.accept {
        call = call.header("accept", accept);
    }
    for (name, value) in &rest.send {
        call = call.header(name, &cx.vars.text(value));
    }
    call
}

fn body_of(rest: &Rest, vars: &Vars) -> Option<Vec<u8>> {
    if let Some(raw) = &rest.raw {
        return Some(vars.text(raw).into_bytes());
    }
    if let Some(bytes) = &rest.base64 {
        return Some(STANDARD.decode(bytes.replace(['\n', ' '], "")).unwrap());
    }
    let mut body = vars.value(rest.body.as_ref()?);
    for (pointer, value) in &rest.with {
        *place(&mut body, pointer) = vars.value(value);
    }
    for pointer in &rest.without {
        let (parent, field) = pointer.rsplit_once('/').unwrap();
        let parent = body.pointer_mut(parent).and_then(Value::as_object_mut);
        parent.map(|parent| parent.remove(field));
    }
    Some(body.to_string().into_bytes())
}

/// The value at a pointer; objects on the way are made.
fn place<'a>(value: &'a mut Value, pointer: &str) -> &'a mut Value {
    let steps = pointer.split('/').skip(1).map(|step| step.replace("~1", "/"));
    steps.fold(value, |value, step| match (step.parse::<usize>(), value.is_array()) {
        (Ok(index), true) => &mut value[index],
        _ => &mut value[step],
    })
}

/// Keeps parts of the answer under names: `/metadata/uid`, or `header:etag`; empty for all.
fn save(rest: &Rest, answer: &Answer, cx: &mut Cx) -> Outcome {
    for (name, from) in &rest.save {
        let value = match from.strip_prefix("header:") {
            Some(header) => answer.header(header).into(),
            None => match json_of(answer)?.pointer_mut(from) {
                Some(value) => value.take(),
                None => return Err(format!("there is no {from} to keep")),
            },
        };
        cx.vars.set(name, value);
    }
    Ok(())
}
