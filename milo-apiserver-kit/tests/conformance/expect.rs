//! Whether an answer, or the events of a watch, are what a step expects.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use crate::{
    case::Outcome,
    fixture::Cx,
    matcher::check,
    step::Rest,
    support::{Answer, Events, matches},
    vars::Vars,
};

pub(crate) fn answer(rest: &Rest, answer: &Answer, cx: &Cx) -> Outcome {
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
    heads(&rest.head, &answer.headers, &cx.vars)?;
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
    body(rest, answer, cx)
}

fn body(rest: &Rest, answer: &Answer, cx: &Cx) -> Outcome {
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

pub(crate) fn json_of(answer: &Answer) -> Result<Value, String> {
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

pub(crate) fn heads(
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

pub(crate) async fn events(rest: &Rest, events: &mut Events, cx: &mut Cx) -> Outcome {
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
