//! Whether a document is what a case expects: a subset, with patterns.
//!
//! An object is matched by those of its fields that are named, a list item by item. `…` in a text
//! stands for any text. A text in angle brackets is a kind of value, see [`word`]; an object whose
//! only field begins with `$` is a rule, see [`rule`].

use std::collections::BTreeSet;

use serde_json::Value;

use crate::support::matches;

/// The first difference, with its path.
pub(crate) fn check(expected: &Value, actual: Option<&Value>, path: &str) -> Result<(), String> {
    let shown = || actual.map_or("nothing".to_owned(), short);
    let wrong = || Err(format!("{path} is {}, not {}", shown(), short(expected)));
    match (expected, actual) {
        (Value::String(text), _) if text.starts_with('<') && text.ends_with('>') => {
            if word(text, actual) { Ok(()) } else { wrong() }
        }
        (Value::Object(map), actual)
            if map.len() == 1 && map.keys().all(|k| k.starts_with('$')) =>
        {
            let (name, argument) = map.iter().next().unwrap();
            rule(name, argument, actual, path)
        }
        (_, None) => wrong(),
        (Value::String(pattern), Some(Value::String(text))) => {
            if matches(pattern, text) {
                Ok(())
            } else {
                wrong()
            }
        }
        (Value::Object(map), Some(Value::Object(_))) => map.iter().try_for_each(|(key, value)| {
            check(value, actual.and_then(|actual| actual.get(key)), &format!("{path}/{key}"))
        }),
        (Value::Array(items), Some(Value::Array(found))) if items.len() == found.len() => {
            let mut pairs = items.iter().zip(found).enumerate();
            pairs.try_for_each(|(at, (item, found))| {
                check(item, Some(found), &format!("{path}/{at}"))
            })
        }
        (expected, Some(actual)) if expected == actual => Ok(()),
        _ => wrong(),
    }
}

fn word(word: &str, actual: Option<&Value>) -> bool {
    let text = actual.and_then(Value::as_str).unwrap_or_default();
    match word {
        "<absent>" => actual.is_none(),
        "<any>" => actual.is_some_and(|value| !value.is_null()),
        "<empty>" => match actual {
            None | Some(Value::Null) => true,
            Some(Value::String(text)) => text.is_empty(),
            Some(Value::Array(items)) => items.is_empty(),
            Some(Value::Object(map)) => map.is_empty(),
            _ => false,
        },
        "<string>" => actual.is_some_and(Value::is_string),
        "<integer>" => actual.is_some_and(Value::is_i64),
        "<rv>" => text.parse::<u64>().is_ok_and(|version| version > 0 && !text.starts_with('0')),
        "<uuid>" => uuid::Uuid::parse_str(text).is_ok() && text.len() == 36,
        // Whole seconds, UTC.
        "<time>" => {
            text.len() == 20 && text.ends_with('Z') && text.parse::<jiff::Timestamp>().is_ok()
        }
        // 64 bytes in upper-case hexadecimal digits, quoted.
        "<etag>" => {
            let digits = text.trim_matches('"');
            digits.len() == 128
                && digits.bytes().all(|b| b.is_ascii_digit() || (b'A'..=b'F').contains(&b))
        }
        other => panic!("no such word: {other}"),
    }
}

fn rule(name: &str, argument: &Value, actual: Option<&Value>, path: &str) -> Result<(), String> {
    let items = || actual.and_then(Value::as_array).ok_or(format!("{path} is no list"));
    let wanted = || argument.as_array().unwrap();
    let shown = || actual.map_or("nothing".to_owned(), short);
    let number = |value: &Value| match value {
        Value::String(text) => text.parse::<i64>().ok(),
        value => value.as_i64(),
    };
    let holds = |holds: bool| match holds {
        true => Ok(()),
        false => Err(format!("{path} is {}, not {name} {}", shown(), short(argument))),
    };
    match name {
        "$has" => {
            let items = items()?;
            let missing = wanted()
                .iter()
                .find(|wanted| items.iter().all(|item| check(wanted, Some(item), "").is_err()));
            missing.map_or(Ok(()), |missing| {
                Err(format!("{path} is {} without {}", shown(), short(missing)))
            })
        }
        "$all" => {
            let mut items = items()?.iter().enumerate();
            items.try_for_each(|(at, item)| check(argument, Some(item), &format!("{path}/{at}")))
        }
        "$len" => holds(Some(items()?.len() as u64) == argument.as_u64()),
        "$not" => holds(check(argument, actual, path).is_err()),
        "$is" => holds(actual == Some(argument)),
        "$any" => holds(wanted().iter().any(|wanted| check(wanted, actual, path).is_ok())),
        "$both" => wanted().iter().try_for_each(|wanted| check(wanted, actual, path)),
        "$keys" => {
            let map = actual.and_then(Value::as_object);
            let keys: BTreeSet<&str> = map.into_iter().flatten().map(|(key, _)| &**key).collect();
            holds(keys == wanted().iter().filter_map(Value::as_str).collect())
        }
        "$over" => holds(actual.and_then(number) > number(argument)),
        "$min" => holds(actual.and_then(number) >= number(argument)),
        other => panic!("no such rule: {other}"),
    }
}

fn short(value: &Value) -> String {
    let text = value.to_string();
    match text.char_indices().nth(400) {
        Some((at, _)) => format!("{}...", &text[..at]),
        None => text,
    }
}
