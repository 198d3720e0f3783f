//! Lists, written item by item.

use bytes::{BufMut, BytesMut};
use milo_core::status::StatusError;
use serde_json::{Map, Value};

use super::{Encoding, yaml::encode_yaml};

/// Writes an object whose last member is a long list: a list kind's `items`, a table's `rows`.
///
/// The head goes first, then every item, then the tail.
#[derive(Debug)]
pub(crate) struct ListSyntax {
    encoding: Encoding,
    items: &'static str,
    empty: bool,
}

impl ListSyntax {
    /// `items` is the name of the member that is the list.
    pub(crate) fn new(encoding: Encoding, items: &'static str) -> Self {
        Self { encoding, items, empty: true }
    }

    /// Everything up to the first item. `members` are those before the list, in order.
    pub(crate) fn head(
        &self,
        members: &[(&str, Value)],
        out: &mut BytesMut,
    ) -> Result<(), StatusError> {
        match self.encoding {
            Encoding::Json => {
                out.put_u8(b'{');
                for (name, value) in members {
                    out.put_slice(format!("\"{name}\":{value},").as_bytes());
                }
                out.put_slice(format!("\"{}\":[", self.items).as_bytes());
            }
            Encoding::PrettyJson => {
                out.put_slice(b"{");
                for (name, value) in members {
                    out.put_slice(format!("\n  \"{name}\": ").as_bytes());
                    put_indented(&format!("{value:#}"), "  ", out);
                    out.put_u8(b',');
                }
                out.put_slice(format!("\n  \"{}\": [", self.items).as_bytes());
            }
            Encoding::Yaml => {
                let members: Map<String, Value> = members
                    .iter()
                    .map(|(name, value)| ((*name).to_owned(), value.clone()))
                    .collect();
                out.put_slice(&yaml(&Value::Object(members))?);
                out.put_slice(self.items.as_bytes());
                out.put_u8(b':');
            }
        }
        Ok(())
    }

    /// What stands before the next item, when that is written by other hands: compact JSON only.
    pub(crate) fn separator(&mut self, out: &mut BytesMut) {
        if !std::mem::replace(&mut self.empty, false) {
            out.put_u8(b',');
        }
    }

    /// The next item.
    pub(crate) fn item(&mut self, item: Value, out: &mut BytesMut) -> Result<(), StatusError> {
        match self.encoding {
            Encoding::Json => {
                self.separator(out);
                serde_json::to_writer(out.writer(), &item).map_err(StatusError::internal)?;
            }
            Encoding::PrettyJson => {
                self.separator(out);
                out.put_slice(b"\n    ");
                put_indented(&format!("{item:#}"), "    ", out);
            }
            Encoding::Yaml => {
                if std::mem::replace(&mut self.empty, false) {
                    out.put_u8(b'\n');
                }
                // A list at the top is written as it is below a key.
                out.put_slice(&yaml(&Value::Array(vec![item]))?);
            }
        }
        Ok(())
    }

    /// What follows the last item.
    pub(crate) fn tail(&self, out: &mut BytesMut) {
        out.put_slice(match (self.encoding, self.empty) {
            (Encoding::Json, _) => b"]}\n",
            (Encoding::PrettyJson, true) => b"]\n}\n",
            (Encoding::PrettyJson, false) => b"\n  ]\n}\n",
            (Encoding::Yaml, true) => b" []\n",
            (Encoding::Yaml, false) => b"",
        });
    }
}

/// JSON of several lines, further to the right. There are no line breaks inside of its strings.
fn put_indented(json: &str, indent: &str, out: &mut BytesMut) {
    for (index, line) in json.split('\n').enumerate() {
        if index > 0 {
            out.put_u8(b'\n');
            out.put_slice(indent.as_bytes());
        }
        out.put_slice(line.as_bytes());
    }
}

fn yaml(value: &Value) -> Result<Vec<u8>, StatusError> {
    let mut bytes = encode_yaml(value).map_err(StatusError::internal)?;
    if bytes.last() != Some(&b'\n') {
        bytes.push(b'\n');
    }
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn write(encoding: Encoding, items: &[Value]) -> String {
        let mut syntax = ListSyntax::new(encoding, "items");
        let mut out = BytesMut::new();
        let members = [("kind", json!("List")), ("metadata", json!({"a": {"b": "c"}}))];
        syntax.head(&members, &mut out).unwrap();
        for item in items {
            syntax.item(item.clone(), &mut out).unwrap();
        }
        syntax.tail(&mut out);
        String::from_utf8(out.to_vec()).unwrap()
    }

    #[test]
    fn a_list_written_by_pieces_is_the_list() {
        let items = [
            json!({"x": "a\nb\n", "y": [1, {"z": null}]}),
            json!({}),
            json!({"m": {}}),
            json!([[1], "- x"]),
        ];
        for count in 0..=items.len() {
            let items = &items[..count];
            let whole = json!({"kind": "List", "metadata": {"a": {"b": "c"}}, "items": items});
            for encoding in [Encoding::Json, Encoding::PrettyJson, Encoding::Yaml] {
                let text = write(encoding, items);
                let read: Value = serde_saphyr::from_str(&text).unwrap();
                assert_eq!(read, whole, "{encoding:?}\n{text}");
                assert!(text.ends_with('\n') && !text.ends_with("\n\n"), "{text:?}");
            }
        }
    }

    #[test]
    fn pretty_lists_look_as_if_written_at_once() {
        let items = [json!({"x": [1, "a\nb"]}), json!({})];
        let whole = json!({"items": items, "kind": "List", "metadata": {"a": {"b": "c"}}});
        let mut lines: Vec<String> = format!("{whole:#}")
            .lines()
            .map(|line| line.trim_end_matches(',').to_owned())
            .collect();
        let text = write(Encoding::PrettyJson, &items);
        let mut written: Vec<String> =
            text.lines().map(|line| line.trim_end_matches(',').to_owned()).collect();
        lines.sort();
        written.sort();
        assert_eq!(written, lines);
    }
}
