//! Requests, and what is expected of the answers, as data. `README.md` describes the fields.

use std::{
    collections::{BTreeMap, HashMap},
    sync::Arc,
};

use base64::{Engine as _, engine::general_purpose::STANDARD};
use milo_core::storage::Revision;
use serde::Deserialize;
use serde_json::{Map, Value, json};

use crate::{
    case::Outcome,
    fixture::{Cx, Shared},
    matcher::check,
    support::{Answer, Events, matches},
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
struct Rest {
    // What is sent.
    body: Option<Value>,
    raw: Option<String>,
    base64: Option<String>,
    with: BTreeMap<String, Value>,
    without: Vec<String>,
    r#type: Option<String>,
    accept: Option<String>,
    send: BTreeMap<String, String>,
    r#as: Option<String>,
    repeat: Option<usize>,
    // What must come back.
    code: Option<u16>,
    is: Option<Value>,
    yaml: Option<Value>,
    text: Option<String>,
    names: Option<Vec<String>>,
    head: BTreeMap<String, Value>,
    warnings: Option<Vec<String>>,
    refused: Option<(u16, String, String)>,
    details: Option<Value>,
    causes: Option<Vec<(String, String, String)>>,
    save: BTreeMap<String, String>,
    // Watches.
    of: Option<String>,
    events: Option<Vec<(String, Value)>>,
    unordered: bool,
    ended: Option<bool>,
    // The rest.
    compact: Option<String>,
    restart: bool,
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
        check_heads(&rest.head, response.headers(), &cx.vars)?;
        if response.status() != 200 {
            return Err(format!("the watch is answered with {}", response.status()));
        }
        watches.insert(watch.clone(), Events::new(response.into_body()));
    } else if !step.word.is_empty() {
        let answer = prepare(step, cx).await.send().await;
        check_answer(rest, &answer, cx)?;
        return save(rest, &answer, cx);
    }
    if rest.events.is_none() && rest.ended.is_none() {
        return Ok(());
    }
    let events = watches.get_mut(&watch).ok_or("there is no such watch")?;
    check_events(rest, events, cx).await
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

fn check_answer(rest: &Rest, answer: &Answer, cx: &Cx) -> Outcome {
    let shown = || answer.text().chars().take(600).collect::<String>();
    // What every answer has (section 0.3).
    for header in ["audit-id", "cache-control", "date"] {
        if !answer.headers.contains_key(header) {
            return Err(format!("the answer has no {header}"));
        }
    }
    if let Some((code, reason, message)) = &rest.refused {
        let (message, status) = (cx.vars.text(message), status_of(answer)?);
        let got = (answer.code, status["reason"].as_str().unwrap_or_default());
        let text = status["message"].as_str().unwrap_or_default();
        if got != (*code, reason.as_str()) || !matches(&message, text) {
            return Err(format!("{} {} {text:?}, not {code} {reason} {message:?}", got.0, got.1));
        }
    } else {
        let expected = rest.code.unwrap_or(200);
        if answer.code != expected {
            return Err(format!("answers {}, not {expected}: {}", answer.code, shown()));
        }
    }
    check_heads(&rest.head, &answer.headers, &cx.vars)?;
    if let Some(expected) = &rest.warnings {
        let expected: Vec<String> = expected.iter().map(|text| cx.vars.text(text)).collect();
        let got = answer.headers("warning");
        let alike = expected.len() == got.len()
            && expected.iter().zip(&got).all(|(expected, got)| {
                let got = got.strip_prefix("299 - \"").and_then(|text| text.strip_suffix('"'));
                matches(expected, &got.unwrap_or_default().replace("\\\"", "\""))
            });
        if !alike {
            return Err(format!("the warnings are {got:?}, not {expected:?}"));
        }
    }
    if let Some(text) = &rest.text {
        let text = cx.vars.text(text);
        if !matches(&text, answer.text()) {
            return Err(format!("the body is {:?}, not {text:?}", shown()));
        }
    }
    check_body(rest, answer, cx)
}

fn check_body(rest: &Rest, answer: &Answer, cx: &Cx) -> Outcome {
    if let Some(expected) = &rest.is {
        check(&cx.vars.value(expected), Some(&json_of(answer)?), "")?;
        if !answer.text().ends_with('\n') {
            return Err("the body does not end with a newline".to_owned());
        }
    }
    if let Some(expected) = &rest.yaml {
        let found: Value = serde_saphyr::from_str(answer.text()).map_err(|e| e.to_string())?;
        check(&cx.vars.value(expected), Some(&found), "")?;
    }
    if let Some(names) = &rest.names {
        let expected: Value =
            names.iter().map(|name| json!({"metadata": {"name": name}})).collect();
        let list = json_of(answer)?;
        check(&cx.vars.value(&expected), list.get("items"), "/items")?;
    }
    if let Some(expected) = &rest.details {
        check(&cx.vars.value(expected), json_of(answer)?.get("details"), "/details")?;
    }
    if let Some(causes) = &rest.causes {
        let text = |key: &str, text: &str| match text {
            "" => (key.to_owned(), json!("<empty>")),
            text => (key.to_owned(), cx.vars.text(text).into()),
        };
        let expected = causes.iter().map(|(reason, field, message)| {
            let fields = [text("reason", reason), text("field", field), text("message", message)];
            Value::Object(fields.into_iter().collect())
        });
        let status = json_of(answer)?;
        let mut found = status.pointer("/details/causes").cloned();
        if let Some(Value::Array(found)) = &mut found {
            // Says only that rules were not looked at.
            found.retain(|cause| cause["field"] != "<nil>");
        }
        check(&expected.collect(), found.as_ref(), "/details/causes")?;
    }
    Ok(())
}

fn json_of(answer: &Answer) -> Result<Value, String> {
    let shown = || answer.text().chars().take(300).collect::<String>();
    serde_json::from_slice(&answer.body).map_err(|error| format!("{error}: {:?}", shown()))
}

/// A refusal must be a Status that agrees with its own headers (section 0.2).
fn status_of(answer: &Answer) -> Result<Value, String> {
    let status = json_of(answer)?;
    let shape = json!({
        "kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure",
        "message": "<string>", "code": answer.code,
    });
    check(&shape, Some(&status), "the Status: ")?;
    let content_type = answer.header("content-type");
    if content_type != "application/json" {
        return Err(format!("the type of the Status is {content_type:?}"));
    }
    let (wanted, sent) =
        (status.pointer("/details/retryAfterSeconds"), answer.header("retry-after"));
    if wanted.map_or(String::new(), ToString::to_string) != sent {
        return Err(format!("retryAfterSeconds is {wanted:?}, Retry-After {sent:?}"));
    }
    Ok(status)
}

fn check_heads(
    expected: &BTreeMap<String, Value>,
    headers: &http::HeaderMap,
    vars: &Vars,
) -> Outcome {
    expected.iter().try_for_each(|(name, expected)| {
        let values: Vec<&str> =
            headers.get_all(name).iter().map(|value| value.to_str().unwrap_or_default()).collect();
        let got = (!values.is_empty()).then(|| Value::from(values.join(", ")));
        check(&vars.value(expected), got.as_ref(), &format!("header {name}"))
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

async fn check_events(rest: &Rest, events: &mut Events, cx: &mut Cx) -> Outcome {
    let mut expected: Vec<(&str, Value)> = Vec::new();
    for (kind, object) in rest.events.iter().flatten() {
        let object = cx.vars.value(object);
        let object = match object {
            Value::String(name) => json!({"metadata": {"name": name}}),
            object => object,
        };
        expected.push((kind, object));
    }
    for number in 0..expected.len() {
        let Some(event) = events.try_next().await else {
            return Err(format!("the watch ends before event {}", number + 1));
        };
        let kind = event["type"].as_str().unwrap_or_default();
        let fits = |(wanted, object): &(&str, Value)| match *wanted == kind {
            true => check(object, event.get("object"), &format!("event {}: ", number + 1)),
            false => Err(format!("event {} is {event}, not {wanted}", number + 1)),
        };
        if rest.unordered {
            let at = expected.iter().position(|wanted| fits(wanted).is_ok());
            expected.remove(at.ok_or_else(|| format!("event {event} is not expected"))?);
        } else {
            fits(&expected[number])?;
        }
        for (name, from) in &rest.save {
            if let Some(value) = event["object"].pointer(from) {
                cx.vars.set(name, value.clone());
            }
        }
    }
    match (rest.ended, events) {
        (Some(true), events) => match events.try_next().await {
            None => Ok(()),
            Some(event) => Err(format!("{event} comes instead of the end")),
        },
        _ => Ok(()),
    }
}
