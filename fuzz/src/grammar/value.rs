//! JSON values, mostly those at which something changes.

use serde_json::{Map, Value, json};

use crate::choices::Choices;

const TEXTS: &[&str] = &[
    "",
    "a",
    "red",
    "blue",
    "x y",
    "-",
    ".",
    "..",
    "a/b",
    "a.b/c",
    "~1",
    "true",
    "null",
    "0",
    "1e3",
    "2024-01-01T00:00:00Z",
    "9999-99-99T99:99:99Z",
    "Ready",
    "wheel",
    "forbidden",
    "\u{0}",
    "ä",
    "\u{1f600}",
    "$patch",
    "f:spec",
    "=",
    ",",
    "\\",
    "{}",
    "[]",
    "%s",
    "<script>",
    "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa",
];

const KEYS: &[&str] = &[
    "name",
    "spec",
    "metadata",
    "status",
    "color",
    "a",
    "b",
    "kind",
    "apiVersion",
    "key",
    "value",
    "side",
    "",
    ".",
    "f:spec",
    "example.com/x",
    "left",
    "right",
    "labels",
    "$patch",
    "ü",
];

/// A text: one at which something changes, or any.
pub(crate) fn text(choices: &mut Choices<'_>) -> String {
    match choices.below(8) {
        7 => choices.text().into_owned(),
        _ => choices.pick(TEXTS).to_owned(),
    }
}

pub(crate) fn key(choices: &mut Choices<'_>) -> String {
    match choices.below(8) {
        7 => choices.text().into_owned(),
        _ => choices.pick(KEYS).to_owned(),
    }
}

pub(crate) fn number(choices: &mut Choices<'_>) -> Value {
    match choices.below(12) {
        0 => json!(0),
        1 => json!(1),
        2 => json!(-1),
        3 => json!(100),
        4 => json!(101),
        5 => json!(i64::MAX),
        6 => json!(i64::MIN),
        7 => json!(u64::MAX),
        8 => json!(0.5),
        9 => json!(-0.0),
        10 => json!(1e308),
        _ => json!(i64::from(choices.byte()) << choices.below(56)),
    }
}

/// Any value, at most this deep.
pub(crate) fn value(choices: &mut Choices<'_>, depth: usize) -> Value {
    let kinds = if depth == 0 { 5 } else { 7 };
    match choices.below(kinds) {
        0 => Value::Null,
        1 => json!(choices.one_in(2)),
        2 => number(choices),
        3 | 4 => text(choices).into(),
        5 => (0..choices.below(4)).map(|_| value(choices, depth - 1)).collect(),
        _ => {
            let mut map = Map::new();
            for _ in 0..choices.below(4) {
                map.insert(key(choices), value(choices, depth - 1));
            }
            map.into()
        }
    }
}
