//! JSON as CEL sees it: typed by the schema, with names that are CEL identifiers.

use std::{borrow::Cow, collections::HashMap, sync::Arc};

use base64::{Engine as _, engine::general_purpose::STANDARD};
use kube_cel::cel::{
    Value as Cel, functions,
    objects::{Key, Map},
};
use serde_json::Number;

use super::{
    expression::Extent,
    node::{Node, Types, is_meta},
    view::View,
};

/// Words that cannot be field names in CEL.
const RESERVED: [&str; 21] = [
    "true",
    "false",
    "null",
    "in",
    "as",
    "break",
    "const",
    "continue",
    "else",
    "for",
    "function",
    "if",
    "import",
    "let",
    "loop",
    "package",
    "namespace",
    "return",
    "var",
    "void",
    "while",
];

/// A value for CEL. `extent` grows by what was converted.
pub(super) fn convert(node: Option<&Node>, value: View<'_>, extent: &mut Extent) -> Cel {
    extent.nodes += 1;
    match value {
        View::Null => Cel::Null,
        View::Bool(value) => Cel::Bool(value),
        View::Number(number) => convert_number(node, number),
        View::String(text) => {
            extent.longest_string = extent.longest_string.max(text.len() as u64);
            convert_string(node, text)
        }
        View::Array(items) => {
            extent.widest = extent.widest.max(items.len() as u64);
            let node = node.and_then(|node| node.items.as_deref());
            let items = items.iter().map(|item| convert(node, item.into(), extent)).collect();
            Cel::List(Arc::new(items))
        }
        View::Object(fields) => {
            extent.widest = extent.widest.max(fields.len() as u64);
            convert_fields(node, fields, extent)
        }
    }
}

fn convert_fields(
    node: Option<&Node>,
    fields: &serde_json::Map<String, serde_json::Value>,
    extent: &mut Extent,
) -> Cel {
    let has_free_keys = node.is_some_and(Node::is_map);
    let embedded = node.is_some_and(|node| node.embedded);
    let mut map = HashMap::with_capacity(fields.len());
    for (name, value) in fields {
        let value = if embedded && name == "metadata" {
            convert_metadata(value.into())
        } else {
            convert(node.and_then(|node| node.field(name)), value.into(), extent)
        };
        // The keys of a map are data, not names.
        let name = if has_free_keys { Cow::Borrowed(name.as_str()) } else { escape(name) };
        map.insert(Key::String(Arc::new(name.into_owned())), value);
    }
    if embedded {
        for name in ["apiVersion", "kind"] {
            debug_assert!(is_meta(name));
            map.entry(Key::from(name)).or_insert_with(|| Cel::from(""));
        }
    }
    Cel::Map(Map { map: Arc::new(map) })
}

/// Rules see of metadata what can never change.
fn convert_metadata(metadata: View<'_>) -> Cel {
    let names = ["generateName", "name"].into_iter();
    let map = names
        .filter_map(|name| match metadata.field(name) {
            Some(View::String(text)) => Some((Key::from(name), Cel::from(text))),
            _ => None,
        })
        .collect();
    Cel::Map(Map { map: Arc::new(map) })
}

fn convert_number(node: Option<&Node>, number: &Number) -> Cel {
    let types = node.map_or(Types::Any, |node| node.types);
    let float = number.as_f64().unwrap_or(f64::NAN);
    match number.as_i64() {
        Some(integer) if types != Types::Number => Cel::Int(integer),
        // Validated: a whole number that a float holds exactly.
        None if matches!(types, Types::Integer | Types::IntOrString) => Cel::Int(float as i64),
        _ => Cel::Float(float),
    }
}

/// Formats that have a CEL type get it; a text that does not parse stays a text, and has been
/// reported as a structural error.
fn convert_string(node: Option<&Node>, text: &str) -> Cel {
    let format = node.filter(|node| node.types == Types::String).and_then(|n| n.format.as_ref());
    let typed = match format.map(super::format::Format::name) {
        Some("date-time" | "datetime") => {
            functions::timestamp(Arc::new(text.to_ascii_uppercase())).ok()
        }
        Some("date") => functions::timestamp(Arc::new(format!("{text}T00:00:00Z"))).ok(),
        Some("duration") => functions::duration(Arc::new(text.to_owned())).ok(),
        Some("byte") => STANDARD.decode(text).ok().map(|bytes| Cel::Bytes(Arc::new(bytes))),
        _ => None,
    };
    typed.unwrap_or_else(|| Cel::from(text))
}

/// A field name as rules write it: `self.x__dash__y`, `self.__namespace__`.
fn escape(name: &str) -> Cow<'_, str> {
    if RESERVED.contains(&name) {
        return format!("__{name}__").into();
    }
    if !name.contains(['.', '-', '/']) && !name.contains("__") {
        return name.into();
    }
    name.replace("__", "__underscores__")
        .replace('.', "__dot__")
        .replace('-', "__dash__")
        .replace('/', "__slash__")
        .into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_escaped_as_documented() {
        let cases = [
            ("namespace", "__namespace__"),
            ("x-prop", "x__dash__prop"),
            ("redact__d", "redact__underscores__d"),
            ("a.b/c", "a__dot__b__slash__c"),
            ("my_field", "my_field"),
            ("string", "string"),
        ];
        for (name, escaped) in cases {
            assert_eq!(escape(name), escaped);
        }
    }
}
