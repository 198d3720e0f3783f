//! YAML as Kubernetes reads and writes it: one document of JSON-like values, in the flavour of
//! YAML 1.1 that upstream's parser takes (`yes` is a boolean, `0644` is octal).

use serde::de::DeserializeSeed;
use serde_json::Value;
use serde_saphyr::{
    Error, MergeKeyPolicy, Options, SerializerOptions, UserMessageFormatter,
    options::DuplicateKeyPolicy,
};

use super::json::{Notes, Strict, decode_json};
use crate::request::body::LIMIT;

/// How deep values may be nested. The parser needs far more stack for a level than that of JSON does.
const DEPTH: usize = 64;
/// How many values a document may have: it takes a third of a second to read them.
const NODES: usize = 100_000;
/// Documents up to this size are read at once: mostly in less than a millisecond.
const SHORT: usize = 8 * 1024;
/// How many events aliases may repeat: enough for a template, too little for a bomb.
const REPEATED: usize = 20_000;
/// How many bytes of text the document may have, aliases resolved. Escapes and repeated text may
/// make it larger than the body.
const TEXT: usize = 2 * LIMIT;
/// How much is told of what is wrong.
const MESSAGE: usize = 512;

/// Why bytes are not one YAML document of JSON-like values: for the client.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub(crate) struct YamlError(String);

impl YamlError {
    fn new(error: &Error) -> Self {
        let mut text = error.render_with_formatter(&UserMessageFormatter);
        text.truncate(text.floor_char_boundary(MESSAGE));
        Self(text)
    }
}

/// YAML, and the paths of the keys that it holds twice: `spec.type`.
///
/// JSON is taken for what it is: it is faster, and in a few corners (the escapes of characters
/// outside the basic plane) it is no YAML. A document that may take a while, because it is long or
/// has aliases, is read on a thread of its own.
pub(super) async fn decode_yaml(body: &[u8]) -> Result<(Value, Vec<String>), YamlError> {
    if body.trim_ascii_start().first() == Some(&b'{')
        && let Ok(decoded) = decode_json(body)
    {
        return Ok(decoded);
    }
    if body.len() <= SHORT && !body.contains(&b'*') {
        return read(body);
    }
    let body = body.to_vec();
    tokio::task::spawn_blocking(move || read(&body)).await.unwrap_or_else(|error| {
        tracing::error!(%error, "the YAML parser failed");
        Err(YamlError("the document cannot be read".into()))
    })
}

fn read(body: &[u8]) -> Result<(Value, Vec<String>), YamlError> {
    let mut notes = Notes::default();
    let value = parse(body, DuplicateKeyPolicy::LastWins, &mut notes);
    let value = value.map_err(|error| YamlError::new(&error))?;
    // Numbers are compared as numbers, by the parser: of such keys we are shown the last only.
    if notes.numeric_keys
        && notes.duplicates.is_empty()
        && let Err(error) = parse(body, DuplicateKeyPolicy::Error, &mut Notes::default())
        && let Error::DuplicateMappingKey { key, .. } = error.without_snippet()
    {
        notes.duplicates.push(key.clone().unwrap_or_default());
    }
    Ok((value, notes.duplicates))
}

fn parse(body: &[u8], duplicates: DuplicateKeyPolicy, notes: &mut Notes) -> Result<Value, Error> {
    let options = options(duplicates);
    serde_saphyr::with_deserializer_from_slice_with_options(body, options, |deserializer| {
        Strict::new(notes).deserialize(deserializer)
    })
}

fn options(duplicates: DuplicateKeyPolicy) -> Options {
    serde_saphyr::options! {
        budget: serde_saphyr::budget! {
            max_depth: DEPTH,
            max_nodes: NODES,
            flow_nesting_limit: DEPTH,
            max_documents: 1,
            max_anchors: 1_000,
            max_aliases: 10_000,
            max_merge_keys: 1_000,
            max_recorded_anchor_events: REPEATED,
            max_recorded_anchor_bytes: TEXT,
            max_total_scalar_bytes: TEXT,
        },
        alias_limits: serde_saphyr::alias_limits! {
            max_total_replayed_events: REPEATED,
            max_replay_stack_depth: 16,
        },
        duplicate_keys: duplicates,
        merge_keys: MergeKeyPolicy::Merge,
        legacy_octal_numbers: true,
        with_snippet: false,
        emit_comments: false,
    }
}

/// YAML for people and tools of any age: what an old parser could take for something else than
/// text is quoted.
pub(super) fn encode_yaml(value: &Value) -> Result<Vec<u8>, serde_saphyr::SerializeError> {
    serde_saphyr::to_string_with_options(value, style()).map(String::into_bytes)
}

fn style() -> SerializerOptions {
    serde_saphyr::ser_options! {
        // Lines are never folded: what is one line stays one.
        folded_wrap_chars: usize::MAX,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    fn decode_yaml(body: &[u8]) -> Result<(Value, Vec<String>), YamlError> {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        runtime.block_on(super::decode_yaml(body))
    }

    fn decode(text: &str) -> Value {
        decode_yaml(text.as_bytes()).unwrap_or_else(|error| panic!("{error}: {text}")).0
    }

    #[test]
    fn scalars_are_what_upstream_takes_them_for() {
        for (text, expected) in [
            ("a: 1", json!({"a": 1})),
            ("a: 9223372036854775807", json!({"a": i64::MAX})),
            ("a: -9223372036854775808", json!({"a": i64::MIN})),
            ("a: 0644", json!({"a": 420})),
            ("a: 0x10", json!({"a": 16})),
            ("a: 1.5", json!({"a": 1.5})),
            ("a: yes", json!({"a": true})),
            ("a: Off", json!({"a": false})),
            ("a: \"yes\"", json!({"a": "yes"})),
            ("a: ~", json!({"a": null})),
            ("a:", json!({"a": null})),
            ("a: 2001-01-01", json!({"a": "2001-01-01"})),
            ("a: |\n  x\n  y\n", json!({"a": "x\ny\n"})),
            ("1: a\ntrue: b", json!({"1": "a", "true": "b"})),
            ("x: &x {a: 1}\ny: *x", json!({"x": {"a": 1}, "y": {"a": 1}})),
            ("x: &x {a: 1}\ny: {<<: *x, b: 2}", json!({"x": {"a": 1}, "y": {"a": 1, "b": 2}})),
            ("{\"a\": \"\\ud83d\\ude00\"}", json!({"a": "😀"})),
            ("", Value::Null),
            ("- a", json!(["a"])),
            ("---\na: 1\n", json!({"a": 1})),
            ("a: 1\n...\n", json!({"a": 1})),
        ] {
            assert_eq!(decode(text), expected, "{text}");
        }
    }

    #[test]
    fn duplicates_are_noted_and_the_last_wins() {
        for (text, value, duplicates) in [
            (
                "a: 1\nb: {c: [{d: 1, d: 2}]}\na: 3\n",
                json!({"a": 3, "b": {"c": [{"d": 2}]}}),
                vec!["b.c[0].d", "a"],
            ),
            ("{\"a\": 1, \"a\": 2}", json!({"a": 2}), vec!["a"]),
            ("a: {1: x, 2: w, 1: z}", json!({"a": {"1": "z", "2": "w"}}), vec!["1"]),
            ("a: {1: x, 2: w}", json!({"a": {"1": "x", "2": "w"}}), vec![]),
        ] {
            let (got, noted) = decode_yaml(text.as_bytes()).unwrap();
            assert_eq!(
                (got, noted),
                (value, duplicates.into_iter().map(str::to_owned).collect()),
                "{text}"
            );
        }
    }

    #[test]
    fn what_is_not_one_document_is_told() {
        for (text, told) in [
            ("a: 1\n---\nb: 2\n", "document"),
            ("a: [", ""),
            ("a: b: c", ""),
            ("a: *nothing", ""),
            ("a: .inf", ""),
            ("? [a]\n: b", ""),
            ("a: &a [*a]", ""),
            ("\u{0}", ""),
        ] {
            let error =
                decode_yaml(text.as_bytes()).map(|(value, _)| value).unwrap_err().to_string();
            assert!(error.contains(told) && !error.is_empty(), "{text:?}: {error}");
        }
        assert!(decode_yaml(b"a: \xff").is_err());
    }

    /// Bodies of the largest size that try to cost far more than they are.
    #[test]
    fn hostile_documents_are_refused() {
        let mut laughs = "a0: &a0 [x,x,x,x,x,x,x,x,x]\n".to_owned();
        for level in 1..12 {
            let before = format!("*a{},", level - 1).repeat(9);
            laughs.push_str(&format!("a{level}: &a{level} [{before}]\n"));
        }
        let long = "x".repeat(1 << 20);
        let mut merges = "a0: &a0 {k: 1}\n".to_owned();
        for level in 1..1000 {
            merges.push_str(&format!("a{level}: &a{level} {{<<: *a{}, k{level}: 1}}\n", level - 1));
        }
        for (name, text) in [
            ("laughs", laughs),
            ("long text, often", format!("a: &a {long}\nb: [{}]", "*a,".repeat(1000))),
            ("flow depth", "[".repeat(LIMIT)),
            ("block depth", "- ".repeat(LIMIT / 2)),
            ("map depth", "{a: ".repeat(LIMIT / 4)),
            ("key depth", "? ".repeat(LIMIT / 2)),
            ("anchors", "- &a x\n".repeat(10_000)),
            ("merges", merges),
            ("documents", "---\n".repeat(LIMIT / 4)),
            ("nodes", "a,".repeat(LIMIT / 2)),
            ("list", format!("[{}]", "a,".repeat(LIMIT / 2 - 1))),
        ] {
            let started = std::time::Instant::now();
            let decoded = decode_yaml(text.as_bytes());
            println!(
                "{name}: {:?} {:?}",
                started.elapsed(),
                decoded.as_ref().map(|_| ()).map_err(ToString::to_string)
            );
            assert!(decoded.is_err() || name == "nodes", "{name}");
        }
    }

    /// A worker's stack is 2 MiB, of which a request has used some.
    #[test]
    fn the_deepest_document_leaves_stack_to_others() {
        let deepest = (1..DEPTH).fold(String::new(), |text, _| text + "- ") + "a: 1";
        let decode = move || decode_yaml(deepest.as_bytes()).map(|_| ()).map_err(|e| e.to_string());
        let thread = std::thread::Builder::new().stack_size(1536 * 1024).spawn(decode).unwrap();
        assert_eq!(thread.join().unwrap(), Ok(()));
    }

    fn value() -> impl Strategy<Value = Value> {
        let text = prop_oneof![
            "\\PC{0,24}",
            "[ \\n\\t:#'\"|>&*!%@`{},\\[\\]?~-]{0,12}",
            "[0-9eE_.:+xo-]{1,8}",
            proptest::sample::select(vec![
                "yes",
                "No",
                "ON",
                "off",
                "y",
                "N",
                "null",
                "~",
                "",
                "<<",
                "=",
                "---",
                "...",
                "0644",
                "0o17",
                "1_000",
                "1e3",
                ".inf",
                "12:30:45",
                "2001-01-01",
                "true\n",
                " x",
                "x ",
                "a: b",
                "- a",
                "\u{feff}",
                "\u{85}",
                "\u{2028}",
                "\r\n",
                "\u{7f}",
                "\u{0}",
            ])
            .prop_map(str::to_owned),
        ];
        let leaf = prop_oneof![
            Just(Value::Null),
            any::<bool>().prop_map(Value::from),
            any::<i64>().prop_map(Value::from),
            any::<u64>().prop_map(Value::from),
            (-1e9..1e9).prop_map(Value::from),
            text.clone().prop_map(Value::from),
        ];
        leaf.prop_recursive(4, 48, 6, move |inner| {
            prop_oneof![
                proptest::collection::vec(inner.clone(), 0..6).prop_map(Value::from),
                proptest::collection::btree_map(text.clone(), inner, 0..6)
                    .prop_map(|map| Value::Object(map.into_iter().collect())),
            ]
        })
    }

    proptest! {
        #[test]
        fn what_is_written_is_read_again(value in value()) {
            let text = String::from_utf8(encode_yaml(&value).unwrap()).unwrap();
            let read = decode_yaml(text.as_bytes());
            prop_assert!(read.is_ok(), "{:?}\n{}", read, text);
            let (read, duplicates) = read.unwrap();
            prop_assert_eq!(&read, &value, "{}", text);
            prop_assert!(duplicates.is_empty());
        }

        #[test]
        fn anything_is_read_or_refused(text in "[a-c0:#'\"|>&*!%@`{},\\[\\]?~<\\n \\t-]{0,200}|\\PC{0,100}") {
            let _ = decode_yaml(text.as_bytes());
        }

        #[test]
        fn any_bytes_are_read_or_refused(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            let _ = decode_yaml(&bytes);
        }
    }
}
