//! JSON values written as YAML, in the ways in which people write it.

use std::fmt::Write as _;

use serde_json::Value;

use crate::choices::Choices;

/// A document; sometimes several, or one with anchors.
pub(crate) fn yaml(choices: &mut Choices<'_>, value: &Value) -> String {
    let mut text = String::new();
    if choices.one_in(8) {
        text.push_str("---\n");
    }
    if choices.one_in(16) {
        text.push_str("x: &a [1, 2]\ny: *a\nz: &b {k: v}\nw:\n  <<: *b\n");
    }
    if choices.one_in(32) {
        // Each line means nine times the line before.
        text.push_str("l0: &l0 [x]\n");
        for level in 1..10 {
            let before = format!("*l{}, ", level - 1).repeat(9);
            let _ = writeln!(text, "l{level}: &l{level} [{before}]");
        }
    }
    block(choices, value, 0, &mut text);
    if choices.one_in(16) {
        text.push_str("---\n{}\n");
    }
    text
}

fn block(choices: &mut Choices<'_>, value: &Value, depth: usize, text: &mut String) {
    let indent = "  ".repeat(depth);
    match value {
        Value::Object(map) if !map.is_empty() && !choices.one_in(8) => {
            for (key, value) in map {
                let _ = write!(text, "{indent}{}:", scalar(choices, key));
                below(choices, value, depth, text);
            }
        }
        Value::Array(list) if !list.is_empty() && !choices.one_in(8) => {
            for value in list {
                let _ = write!(text, "{indent}-");
                below(choices, value, depth, text);
            }
        }
        Value::String(string) => {
            let _ = writeln!(text, "{indent}{}", scalar(choices, string));
        }
        other => {
            let _ = writeln!(text, "{indent}{other}");
        }
    }
}

/// What follows a key or a dash.
fn below(choices: &mut Choices<'_>, value: &Value, depth: usize, text: &mut String) {
    match value {
        Value::Object(_) | Value::Array(_) => {
            text.push('\n');
            block(choices, value, depth + 1, text);
        }
        Value::Null if choices.one_in(2) => text.push_str(" ~\n"),
        Value::String(string) => {
            let _ = writeln!(text, " {}", scalar(choices, string));
        }
        other => {
            let _ = writeln!(text, " {other}");
        }
    }
}

fn scalar(choices: &mut Choices<'_>, string: &str) -> String {
    match choices.below(8) {
        5 => string.to_owned(),
        6 => format!("'{}'", string.replace('\'', "''")),
        7 => format!("!!str {}", Value::from(string)),
        _ => Value::from(string).to_string(),
    }
}
