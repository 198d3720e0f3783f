//! Sets of fields as JSON: the format `FieldsV1`.

use serde_json::{Map, Value};

use super::{
    element::{Element, Malformed},
    set::{Entry, FieldSet},
};

/// Deepest path that is read. Objects are not nested deeper.
const MAX_DEPTH: usize = 512;

/// The place itself, beside what is below.
const SELF: &str = ".";

/// Reads `fieldsV1`. Nothing is an empty set.
pub(super) fn decode(value: Option<&Value>) -> Result<FieldSet<'_>, Malformed> {
    match value {
        None | Some(Value::Null) => Ok(FieldSet::default()),
        Some(Value::Object(fields)) => Ok(decode_below(fields, 0)?.1),
        Some(_) => Err(Malformed),
    }
}

/// Whether the place itself is a member, and what is below.
fn decode_below(
    fields: &Map<String, Value>,
    depth: usize,
) -> Result<(bool, FieldSet<'_>), Malformed> {
    if depth > MAX_DEPTH {
        return Err(Malformed);
    }
    let mut member = false;
    let mut entries = Vec::with_capacity(fields.len());
    for (key, value) in fields {
        if key == SELF {
            member = true;
            continue;
        }
        let Some(element) = Element::parse(key)? else { continue };
        let (member, below) = match value {
            Value::Object(fields) => decode_below(fields, depth + 1)?,
            Value::Null => (true, FieldSet::default()),
            _ => return Err(Malformed),
        };
        entries.push(Entry::new(element, member, below));
    }
    let below = FieldSet::from_entries(entries);
    Ok((member || below.is_empty(), below))
}

/// Writes `fieldsV1`.
pub(super) fn encode(set: &FieldSet<'_>) -> Value {
    Value::Object(encode_below(false, set))
}

fn encode_below(member: bool, set: &FieldSet<'_>) -> Map<String, Value> {
    let mut fields = Map::new();
    if member && !set.is_empty() {
        fields.insert(SELF.to_owned(), Value::Object(Map::new()));
    }
    for entry in set.entries() {
        let below = encode_below(entry.member, &entry.below);
        fields.insert(entry.element.to_key(), Value::Object(below));
    }
    fields
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn sets_survive_the_round_trip() {
        let fields = json!({
            "f:metadata": {"f:labels": {".": {}, "f:app": {}}},
            "f:spec": {
                "f:ports": {"k:{\"name\":\"a\"}": {".": {}, "f:name": {}, "f:port": {}}},
                "f:tags": {"v:\"x\"": {}, "v:7": {}},
                "f:replicas": {},
            },
        });
        let set = decode(Some(&fields)).unwrap();
        assert_eq!(encode(&set), fields);
        assert_eq!(
            set.paths(&mut usize::MAX.clone()),
            [
                ".metadata.labels",
                ".metadata.labels.app",
                ".spec.replicas",
                ".spec.ports[name=\"a\"]",
                ".spec.ports[name=\"a\"].name",
                ".spec.ports[name=\"a\"].port",
                ".spec.tags[=\"x\"]",
                ".spec.tags[=7]",
            ]
        );
    }

    #[test]
    fn what_a_later_version_knows_is_left_out() {
        let fields = json!({"f:a": {"x:later": {"f:b": {}}}, "y:z": {}});
        let set = decode(Some(&fields)).unwrap();
        assert_eq!(encode(&set), json!({"f:a": {}}));
    }

    #[test]
    fn nonsense_is_refused() {
        for bad in [json!([]), json!(1), json!({"spec": {}}), json!({"f:a": 1}), json!({"k:{": {}})]
        {
            assert_eq!(decode(Some(&bad)), Err(Malformed), "{bad}");
        }
        let mut deep = json!({});
        for _ in 0..600 {
            deep = json!({"f:a": deep});
        }
        assert_eq!(decode(Some(&deep)), Err(Malformed));
    }

    #[test]
    fn set_algebra() {
        let read = |value: &'static str| -> Value { serde_json::from_str(value).unwrap() };
        let left = read(r#"{"f:a":{".":{},"f:b":{}},"f:c":{},"f:d":{"f:e":{},"f:g":{}}}"#);
        let right = read(r#"{"f:a":{},"f:d":{"f:e":{}},"f:z":{}}"#);
        let (left, right) = (decode(Some(&left)).unwrap(), decode(Some(&right)).unwrap());
        let json = |set: &FieldSet<'_>| encode(set).to_string();
        assert_eq!(
            json(&left.union(&right)),
            r#"{"f:a":{".":{},"f:b":{}},"f:c":{},"f:d":{"f:e":{},"f:g":{}},"f:z":{}}"#
        );
        assert_eq!(json(&left.intersection(&right)), r#"{"f:a":{},"f:d":{"f:e":{}}}"#);
        let mut rest = left.clone();
        rest.remove(&right);
        assert_eq!(json(&rest), r#"{"f:a":{"f:b":{}},"f:c":{},"f:d":{"f:g":{}}}"#);
        let mut rest = left.clone();
        rest.remove_trees(&right);
        assert_eq!(json(&rest), r#"{"f:c":{},"f:d":{"f:g":{}}}"#);
        assert!(left.intersection(&right).is_subset(&left));
        assert!(!right.is_subset(&left));
    }
}
