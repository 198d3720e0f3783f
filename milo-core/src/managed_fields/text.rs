//! Values as text: canonical JSON for steps of a path, and Go's notation for error texts, which
//! tools know from upstream.

use std::fmt::{self, Write};

use serde_json::{Number, Value};

/// Largest integer that a float holds exactly.
const EXACT: f64 = 9_007_199_254_740_991.0;

/// Writes JSON such that equal values have equal texts: sorted fields, `1` for `1.0`, and the
/// escapes of Go's encoder.
pub(super) fn write_canonical(value: &Value, out: &mut String) {
    match value {
        Value::String(text) => write_string(text, out),
        Value::Number(number) => write_number(number, out),
        Value::Array(items) => {
            out.push('[');
            for (place, item) in items.iter().enumerate() {
                if place > 0 {
                    out.push(',');
                }
                write_canonical(item, out);
            }
            out.push(']');
        }
        Value::Object(fields) => {
            let mut fields: Vec<_> = fields.iter().collect();
            fields.sort_unstable_by_key(|(name, _)| *name);
            out.push('{');
            for (place, (name, value)) in fields.into_iter().enumerate() {
                if place > 0 {
                    out.push(',');
                }
                write_string(name, out);
                out.push(':');
                write_canonical(value, out);
            }
            out.push('}');
        }
        // INVARIANT: writing to a string cannot fail, here and below.
        Value::Null | Value::Bool(_) => drop(write!(out, "{value}")),
    }
}

fn write_number(number: &Number, out: &mut String) {
    let whole = number
        .as_f64()
        .filter(|float| number.is_f64() && float.fract() == 0.0 && float.abs() <= EXACT);
    let _ = match whole {
        Some(float) => write!(out, "{float:.0}"),
        None => write!(out, "{number}"),
    };
}

/// Writes a JSON string, escaping what Go's encoder escapes for the sake of HTML.
pub(super) fn write_string(text: &str, out: &mut String) {
    out.push('"');
    if text.bytes().all(is_plain) {
        out.push_str(text);
    } else {
        for character in text.chars() {
            match character {
                '"' => out.push_str("\\\""),
                '\\' => out.push_str("\\\\"),
                '\n' => out.push_str("\\n"),
                '\r' => out.push_str("\\r"),
                '\t' => out.push_str("\\t"),
                '<' | '>' | '&' | '\u{2028}' | '\u{2029}' | '\0'..='\x1f' => {
                    let _ = write!(out, "\\u{:04x}", u32::from(character));
                }
                other => out.push(other),
            }
        }
    }
    out.push('"');
}

/// Needs no escape and no second look.
fn is_plain(byte: u8) -> bool {
    matches!(byte, b' '..=b'~') && !matches!(byte, b'"' | b'\\' | b'<' | b'>' | b'&')
}

/// Whether JSON is a plain string or a short integer: surely canonical.
pub(super) fn is_canonical_scalar(text: &str) -> bool {
    plain_scalar(text.as_bytes()) == Some(text.len())
}

/// Whether JSON is an object whose fields are sorted and hold plain strings or short integers:
/// surely canonical.
pub(super) fn is_canonical_key(text: &str) -> bool {
    let bytes = text.as_bytes();
    let mut at = 0;
    let mut last: &[u8] = &[];
    loop {
        let opens = if at == 0 { b'{' } else { b',' };
        if bytes.get(at) != Some(&opens) {
            return at > 0 && bytes.get(at..) == Some(b"}");
        }
        at += 1;
        let Some(length) = plain_string(&bytes[at..]) else { return false };
        let name = &bytes[at..at + length];
        if name <= last {
            return false;
        }
        last = name;
        at += length;
        if bytes.get(at) != Some(&b':') {
            return false;
        }
        at += 1;
        let Some(length) = plain_scalar(&bytes[at..]) else { return false };
        at += length;
    }
}

fn plain_string(bytes: &[u8]) -> Option<usize> {
    let inner = bytes.strip_prefix(b"\"")?;
    let length = inner.iter().position(|&byte| !is_plain(byte))?;
    (inner[length] == b'"').then_some(length + 2)
}

fn plain_scalar(bytes: &[u8]) -> Option<usize> {
    if bytes.first() == Some(&b'"') {
        return plain_string(bytes);
    }
    let digits = bytes.iter().take_while(|byte| byte.is_ascii_digit()).count();
    let plain = (1..=15).contains(&digits) && (bytes[0] != b'0' || digits == 1);
    let ends = !matches!(bytes.get(digits), Some(b'.' | b'e' | b'E'));
    (plain && ends).then_some(digits)
}

/// Whether two values are the same, `1` and `1.0` included.
pub(super) fn same(left: &Value, right: &Value) -> bool {
    match (left, right) {
        (Value::Number(left), Value::Number(right)) => {
            left == right || (left.is_f64() != right.is_f64() && left.as_f64() == right.as_f64())
        }
        (Value::Array(left), Value::Array(right)) => {
            left.len() == right.len() && left.iter().zip(right).all(|(l, r)| same(l, r))
        }
        (Value::Object(left), Value::Object(right)) => {
            let same_field = |(name, value): (&String, &Value)| {
                right.get(name).is_some_and(|other| same(value, other))
            };
            left.len() == right.len() && left.iter().all(same_field)
        }
        (left, right) => left == right,
    }
}

/// A value within a path that is shown to people.
pub(super) fn write_path_value(value: &Value, f: &mut fmt::Formatter<'_>) -> fmt::Result {
    match value {
        Value::String(text) => write!(f, "{text:?}"),
        other => write!(f, "{other}"),
    }
}

/// Go's `%v`.
pub(super) fn go_value(value: &Value) -> String {
    let mut out = String::new();
    write_go_value(value, &mut out);
    out
}

fn write_go_value(value: &Value, out: &mut String) {
    match value {
        Value::Null => out.push_str("<nil>"),
        Value::String(text) => out.push_str(text),
        Value::Array(items) => {
            out.push('[');
            for (place, item) in items.iter().enumerate() {
                if place > 0 {
                    out.push(' ');
                }
                write_go_value(item, out);
            }
            out.push(']');
        }
        Value::Object(fields) => {
            out.push_str("map[");
            for (place, (name, value)) in fields.iter().enumerate() {
                if place > 0 {
                    out.push(' ');
                }
                out.push_str(name);
                out.push(':');
                write_go_value(value, out);
            }
            out.push(']');
        }
        Value::Bool(_) | Value::Number(_) => drop(write!(out, "{value}")),
    }
}

/// Go's `%#v`.
pub(super) fn go_syntax(value: &Value) -> String {
    let mut out = String::new();
    write_go_syntax(value, &mut out);
    out
}

fn write_go_syntax(value: &Value, out: &mut String) {
    match value {
        Value::Null => out.push_str("interface {}(nil)"),
        Value::String(text) => drop(write!(out, "{text:?}")),
        Value::Array(items) => {
            out.push_str("[]interface {}{");
            for (place, item) in items.iter().enumerate() {
                if place > 0 {
                    out.push_str(", ");
                }
                write_go_syntax(item, out);
            }
            out.push('}');
        }
        Value::Object(fields) => {
            out.push_str("map[string]interface {}{");
            for (place, (name, value)) in fields.iter().enumerate() {
                if place > 0 {
                    out.push_str(", ");
                }
                let _ = write!(out, "{name:?}:");
                write_go_syntax(value, out);
            }
            out.push('}');
        }
        Value::Bool(_) | Value::Number(_) => drop(write!(out, "{value}")),
    }
}

/// Go's `%T`.
pub(super) fn go_type(value: &Value) -> &'static str {
    match value {
        Value::Null => "<nil>",
        Value::Bool(_) => "bool",
        Value::Number(number) if number.is_f64() => "float64",
        Value::Number(_) => "int64",
        Value::String(_) => "string",
        Value::Array(_) => "[]interface {}",
        Value::Object(_) => "map[string]interface {}",
    }
}
