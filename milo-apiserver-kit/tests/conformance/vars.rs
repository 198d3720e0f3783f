//! What a case has learnt so far, by name: `{uid}` stands for it in all that follows.

use std::collections::BTreeMap;

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use serde_json::Value;

#[derive(Clone, Debug, Default)]
pub(crate) struct Vars(BTreeMap<String, Value>);

impl Vars {
    pub(crate) fn set(&mut self, name: &str, value: impl Into<Value>) {
        self.0.insert(name.to_owned(), value.into());
    }

    /// A text with the names replaced. `{token:RV:START}` is a continue token, `{long:N}` a text of
    /// N letters.
    pub(crate) fn text(&self, text: &str) -> String {
        let mut text = text.to_owned();
        if !text.contains('{') {
            return text;
        }
        for (name, value) in &self.0 {
            let shown = match value {
                Value::String(text) => text.clone(),
                other => other.to_string(),
            };
            text = text.replace(&format!("{{{name}}}"), &shown);
        }
        while let Some((before, argument, after)) = call(&text, "{long:") {
            text = format!("{before}{}{after}", "x".repeat(argument.parse().unwrap()));
        }
        while let Some((before, argument, after)) = call(&text, "{token:") {
            let (version, start) = argument.split_once(':').unwrap();
            let start = start.replace('$', "\0");
            let version: i64 = version.parse().unwrap();
            let token = serde_json::json!({"v": "meta.k8s.io/v1", "rv": version, "start": start});
            text = format!("{before}{}{after}", URL_SAFE_NO_PAD.encode(token.to_string()));
        }
        text
    }

    /// A document with the names replaced; a text that is nothing but a name becomes its value.
    pub(crate) fn value(&self, value: &Value) -> Value {
        match value {
            Value::String(text) => {
                let name = text.strip_prefix('{').and_then(|text| text.strip_suffix('}'));
                match name.and_then(|name| self.0.get(name)) {
                    Some(value) => value.clone(),
                    None => self.text(text).into(),
                }
            }
            Value::Array(items) => items.iter().map(|item| self.value(item)).collect(),
            Value::Object(map) => {
                map.iter().map(|(key, value)| (self.text(key), self.value(value))).collect()
            }
            other => other.clone(),
        }
    }
}

/// The text before, inside and after the first `{name:...}`.
fn call<'a>(text: &'a str, name: &str) -> Option<(&'a str, &'a str, &'a str)> {
    let (before, rest) = text.split_once(name)?;
    let (argument, after) = rest.split_once('}')?;
    Some((before, argument, after))
}
