//! The rules of object metadata, table by table.

use milo_core::{
    meta,
    object::Object,
    status::{FieldError, FieldErrorKind},
};
use proptest::prelude::*;
use serde_json::{Value, json};

fn object(metadata: impl Into<Value>) -> Object {
    let mut object = Object::new("g.io/v1", "Widget", "");
    object.fields_mut().insert("metadata".to_owned(), metadata.into());
    object
}

/// A valid object with more metadata.
fn with(field: &str, value: Value) -> Object {
    let mut object = Object::new("g.io/v1", "Widget", "a");
    object.metadata_mut().insert(field.to_owned(), value);
    object
}

fn texts(errors: &[FieldError]) -> Vec<String> {
    errors.iter().map(ToString::to_string).collect()
}

fn check(object: &Object) -> Vec<String> {
    texts(&meta::validate(object, false, meta::dns_subdomain_name))
}

#[test]
fn dns_subdomains() {
    let label = "a".repeat(63);
    let longest = format!("{label}.{label}.{label}.{}", "a".repeat(61));
    for good in ["a", "0", "a-b", "a.b", "1.2.3", "a--b.c", &longest, &"a".repeat(253)] {
        assert_eq!(meta::validate_dns_subdomain(good), Ok(()), "{good}");
    }
    for bad in ["", "-a", "a-", "A", "a..b", ".a", "a.", "a_b", "a.-b", "a-.b", "é", "a b", "a/b"]
    {
        let error = meta::validate_dns_subdomain(bad).unwrap_err();
        assert_eq!(
            error,
            "a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, \
             '-' or '.', and must start and end with an alphanumeric character (e.g. \
             'example.com', regex used for validation is \
             '[a-z0-9]([-a-z0-9]*[a-z0-9])?(\\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*')",
            "{bad}"
        );
    }
    let error = meta::validate_dns_subdomain(&"a".repeat(254)).unwrap_err();
    assert_eq!(error, "must be no more than 253 bytes");
}

#[test]
fn dns_labels() {
    for good in ["a", "a-b", "0a", &"a".repeat(63)] {
        assert_eq!(meta::validate_dns_label(good), Ok(()), "{good}");
    }
    for bad in ["", "-a", "a-", "A", "a_b"] {
        assert_eq!(
            meta::validate_dns_label(bad).unwrap_err(),
            "a lowercase RFC 1123 label must consist of lower case alphanumeric characters or \
             '-', and must start and end with an alphanumeric character (e.g. 'my-name',  or \
             '123-abc', regex used for validation is '[a-z0-9]([-a-z0-9]*[a-z0-9])?')"
        );
    }
    assert_eq!(meta::validate_dns_label("a.b").unwrap_err(), "must not contain dots");
    let error = meta::validate_dns_label(&"a".repeat(64)).unwrap_err();
    assert_eq!(error, "must be no more than 63 bytes");
}

#[test]
fn path_segments() {
    for good in ["a", "...", "A b", "system:x", "é"] {
        assert_eq!(meta::validate_path_segment(good), Ok(()), "{good}");
    }
    for (bad, problem) in [
        (".", "may not be '.'"),
        ("..", "may not be '..'"),
        ("a/b", "may not contain '/'"),
        ("a%b", "may not contain '%'"),
        ("/%", "may not contain '/'; may not contain '%'"),
    ] {
        assert_eq!(meta::validate_path_segment(bad).unwrap_err(), problem);
    }
    assert!(meta::path_segment_name("..", true).is_empty());
}

#[test]
fn qualified_names() {
    let long = "a".repeat(64);
    for good in ["a", "A_b.c-9", "example.com/a", "1/2", &"a".repeat(63)] {
        assert_eq!(meta::validate_qualified_name(good), Ok(()), "{good}");
    }
    for (bad, beginning) in [
        ("", "name part must be non-empty; name part must consist of alphanumeric characters"),
        ("a/", "name part must be non-empty; name part must consist of"),
        ("/a", "prefix part must be non-empty"),
        ("a/b/c", "a qualified name must consist of alphanumeric characters"),
        ("A.com/b", "prefix part a lowercase RFC 1123 subdomain must consist of"),
        ("-a", "name part must consist of"),
        ("a-", "name part must consist of"),
        ("a b", "name part must consist of"),
        (&long, "name part must be no more than 63 bytes"),
    ] {
        let error = meta::validate_qualified_name(bad).unwrap_err();
        assert!(error.starts_with(beginning), "{bad}: {error}");
    }
    let error = meta::validate_qualified_name("a/b/c").unwrap_err();
    assert!(error.ends_with(
        "'([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]') with an optional DNS \
        subdomain prefix and '/' (e.g. 'example.com/MyName')"
    ));
}

#[test]
fn label_values() {
    for good in ["", "a", "A.b_c-9", "12345", &"a".repeat(63)] {
        assert_eq!(meta::validate_label_value(good), Ok(()), "{good}");
    }
    for bad in ["-", "a-", ".a", "a b", "a/b", "é"] {
        assert_eq!(
            meta::validate_label_value(bad).unwrap_err(),
            "a valid label must be an empty string or consist of alphanumeric characters, '-', \
             '_' or '.', and must start and end with an alphanumeric character (e.g. 'MyValue',  \
             or 'my_value',  or '12345', regex used for validation is \
             '(([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9])?')"
        );
    }
    assert_eq!(
        meta::validate_label_value(&"a".repeat(64)).unwrap_err(),
        "must be no more than 63 bytes"
    );
}

#[test]
fn names_and_prefixes() {
    for good in ["a", "a-", "a--", "org-", "a.b-"] {
        assert!(meta::dns_subdomain_name(good, true).is_empty(), "{good}");
    }
    for bad in ["-", "a.", "a.-", "A-", ""] {
        assert!(!meta::dns_subdomain_name(bad, true).is_empty(), "{bad}");
    }
    assert!(!meta::dns_subdomain_name("a-", false).is_empty());
    assert!(meta::dns_label_name("a-", true).is_empty());
    assert_eq!(meta::dns_label_name("a.b-", true), ["must not contain dots"]);

    assert_eq!(
        check(&object(json!({}))),
        ["metadata.name: Required value: name or generateName is required"]
    );
    let generated = object(json!({"name": "a-x", "generateName": "-"}));
    assert!(check(&generated)[0].starts_with("metadata.generateName: Invalid value: \"-\": a low"));
    assert!(check(&with("name", json!("A")))[0].starts_with("metadata.name: Invalid value: \"A\""));
}

#[test]
fn namespaces() {
    let validate = |object: &Object| texts(&meta::validate(object, true, meta::path_segment_name));
    assert_eq!(validate(&with("name", json!("A"))), ["metadata.namespace: Required value"]);
    assert!(validate(&with("namespace", json!("ns"))).is_empty());
    assert_eq!(
        validate(&with("namespace", json!("a.b"))),
        ["metadata.namespace: Invalid value: \"a.b\": must not contain dots"]
    );
    assert_eq!(
        check(&with("namespace", json!("ns"))),
        ["metadata.namespace: Forbidden: not allowed on this type"]
    );
}

#[test]
fn labels_and_annotations() {
    let good = json!({"a": "", "example.com/b": "c"});
    assert!(check(&with("labels", good.clone())).is_empty());
    assert!(check(&with("annotations", good)).is_empty());
    let errors = check(&with("labels", json!({"a b": "-"})));
    assert!(errors[0].starts_with("metadata.labels: Invalid value: \"a b\": name part must"));
    assert!(errors[1].starts_with("metadata.labels: Invalid value: \"-\": a valid label"));
    // Only annotation keys may have an upper-case prefix.
    assert!(check(&with("annotations", json!({"Example.com/B": "any\nthing"}))).is_empty());
    assert_eq!(check(&with("labels", json!({"Example.com/B": ""}))).len(), 1);

    let full = 262_144 - 2;
    assert!(check(&with("annotations", json!({"a": "x".repeat(full), "b": ""}))).is_empty());
    assert_eq!(
        check(&with("annotations", json!({"a": "x".repeat(full), "b": "y"}))),
        ["metadata.annotations: Too long: may not be more than 262144 bytes"]
    );
}

#[test]
fn finalizers() {
    let plain = with("finalizers", json!(["example.com/a", "orphan", "kubernetes", "mine"]));
    assert!(check(&plain).is_empty());
    assert_eq!(
        meta::finalizer_warnings(&plain, None),
        ["metadata.finalizers: \"mine\": prefer a domain-qualified finalizer name including a \
          path (/) to avoid accidental conflicts with other finalizer writers"]
    );
    assert!(check(&with("finalizers", json!([""])))[0].starts_with("metadata.finalizers: Invalid"));
    assert_eq!(
        check(&with("finalizers", json!(["orphan", "foregroundDeletion"]))),
        ["metadata.finalizers: Invalid value: [\"orphan\",\"foregroundDeletion\"]: finalizer \
          orphan and foregroundDeletion cannot be both set"]
    );
}

#[test]
fn owner_references() {
    let owner = |name: &str, controller: bool| json!({"apiVersion": "v1", "kind": "Pod", "name": name, "uid": "u", "controller": controller});
    let fine = json!([owner("a", true), owner("b", false)]);
    assert!(check(&with("ownerReferences", fine)).is_empty());
    let two = check(&with("ownerReferences", json!([owner("a", true), owner("b", true)])));
    assert!(two[0].ends_with(
        "Only one reference can have Controller set to true. Found \"true\" in references for \
         Pod/a and Pod/b"
    ));
    assert_eq!(
        check(&with("ownerReferences", json!([{"apiVersion": "g.io/"}]))),
        [
            "metadata.ownerReferences[0].apiVersion: Invalid value: \"g.io/\": version must not be empty",
            "metadata.ownerReferences[0].kind: Invalid value: \"\": must not be empty",
            "metadata.ownerReferences[0].name: Invalid value: \"\": must not be empty",
            "metadata.ownerReferences[0].uid: Invalid value: \"\": must not be empty",
        ]
    );
    let mut event = owner("e", false);
    event["kind"] = "Event".into();
    let errors = check(&with("ownerReferences", json!([event])));
    assert!(errors[0].ends_with(": /v1, Kind=Event is disallowed from being an owner"));
    event["apiVersion"] = "events.k8s.io/v1".into();
    assert!(check(&with("ownerReferences", json!([event]))).is_empty());
}

#[test]
fn duplicate_owners_go_with_a_warning() {
    let owner = |uid: &str| json!({"apiVersion": "v1", "kind": "Pod", "name": "a", "uid": uid});
    let mut object = with(
        "ownerReferences",
        json!([owner("1"), owner("2"), owner("1"), owner("2"), owner("1")]),
    );
    let mut again = object.clone();
    assert_eq!(
        meta::dedupe_owner_references(&mut object).unwrap(),
        ".metadata.ownerReferences contains duplicate entries; API server dedups owner references \
         in 1.20+, and may reject such requests as early as 1.24; please fix your requests; \
         duplicate UID(s) observed: 1, 2"
    );
    assert_eq!(object.fields()["metadata"]["ownerReferences"], json!([owner("1"), owner("2")]));
    assert_eq!(meta::dedupe_owner_references(&mut object), None);
    let warning = meta::dedupe_owner_references_after_admission(&mut again).unwrap();
    assert!(warning.contains("duplicate entries after mutating admission happens; API server"));
    assert_eq!(again, object);
}

#[test]
fn a_hostile_object_costs_little() {
    let many = 50_000;
    assert!(check(&with("finalizers", json!(vec![""; many]))).len() < 110);
    let owners = |owner: Value| with("ownerReferences", Value::from(vec![owner; many]));
    assert!(check(&owners(json!({}))).len() < 110);
    let controllers = owners(json!({"apiVersion": "v1", "kind": "P", "name": "a", "uid": "u",
        "controller": true}));
    assert_eq!(check(&controllers).len(), 1);
    let uid = |index: usize| json!({"uid": index.to_string()});
    let mut distinct = with("ownerReferences", (0..many).map(uid).collect());
    assert_eq!(meta::dedupe_owner_references(&mut distinct), None);

    let names: Vec<String> = (0..many).map(|index| format!("g.io/{index}")).collect();
    let mut old = with("finalizers", json!(names));
    old.set_meta("deletionTimestamp", "2026-01-02T03:04:05Z");
    assert!(meta::validate_update(&old, &old).is_empty());
}

#[test]
fn managed_fields() {
    let entry = |field: &str, value: &str| {
        let mut entry = json!({"manager": "m", "operation": "Apply", "fieldsType": "FieldsV1"});
        entry[field] = value.into();
        check(&with("managedFields", json!([entry])))
    };
    assert!(entry("manager", &"m".repeat(128)).is_empty());
    assert!(entry("operation", "Update").is_empty());
    let cases = [
        ("operation", "Patch".to_owned(), "Invalid value: \"Patch\": must be `Apply` or `Update`"),
        ("fieldsType", "V2".to_owned(), "Invalid value: \"V2\": must be `FieldsV1`"),
        ("manager", "m".repeat(129), "Too long: may not be more than 128 bytes"),
        (
            "manager",
            "\t".to_owned(),
            "Invalid value: \"\\t\": invalid character U+0009 (at position 0)",
        ),
        ("subresource", "s".repeat(257), "Too long: may not be more than 256 bytes"),
    ];
    for (field, value, body) in cases {
        assert_eq!(entry(field, &value), [format!("metadata.managedFields[0].{field}: {body}")]);
    }
}

#[test]
fn some_things_never_change() {
    let old = object(json!({
        "name": "a", "namespace": "n", "uid": "u", "generation": 3,
        "creationTimestamp": "2026-01-02T03:04:05Z", "deletionTimestamp": null,
    }));
    let change = |field: &str, value: Value| {
        let mut new = old.clone();
        new.metadata_mut().insert(field.to_owned(), value);
        texts(&meta::validate_update(&new, &old))
    };
    assert!(change("labels", json!({"a": "b"})).is_empty());
    assert!(change("generation", json!(4)).is_empty());
    assert_eq!(
        change("generation", json!(2)),
        ["metadata.generation: Invalid value: 2: must not be decremented"]
    );
    for (field, value, shown) in [
        ("name", json!("b"), "\"b\""),
        ("namespace", json!("m"), "\"m\""),
        ("uid", json!("v"), "\"v\""),
        ("creationTimestamp", json!(null), "null"),
        ("deletionTimestamp", json!("2026-01-02T03:04:05Z"), "\"2026-01-02T03:04:05Z\""),
        ("deletionGracePeriodSeconds", json!(0), "0"),
    ] {
        let expected = format!("metadata.{field}: Invalid value: {shown}: field is immutable");
        assert_eq!(change(field, value), [expected]);
    }
    assert_eq!(change("labels", json!({"a": "-"})).len(), 1);
}

#[test]
fn no_new_finalizers_while_deleting() {
    let mut old = with("finalizers", json!(["g.io/a", "g.io/b"]));
    let mut new = with("finalizers", json!(["g.io/z", "g.io/a", "g.io/c"]));
    assert!(meta::validate_update(&new, &old).is_empty());
    for object in [&mut old, &mut new] {
        object.set_meta("deletionTimestamp", "2026-01-02T03:04:05Z");
    }
    let errors = meta::validate_update(&new, &old);
    assert_eq!(errors[0].kind(), FieldErrorKind::Forbidden);
    assert_eq!(
        texts(&errors),
        ["metadata.finalizers: Forbidden: no new finalizers can be added if the object is being \
          deleted, found new finalizers []string{\"g.io/c\", \"g.io/z\"}"]
    );
    new.metadata_mut().remove("finalizers");
    assert!(meta::validate_update(&new, &old).is_empty());
}

#[test]
fn wrong_types_are_decode_errors() {
    let cases = [
        ("name", json!(1), "number into metadata.name of type string"),
        ("uid", json!({}), "object into metadata.uid of type string"),
        ("labels", json!([]), "array into metadata.labels of type map of strings"),
        ("labels", json!({"a": true}), "bool into metadata.labels[a] of type string"),
        ("annotations", json!({"a": null}), "null into metadata.annotations[a] of type string"),
        ("generation", json!("1"), "string into metadata.generation of type int64"),
        ("generation", json!(1.5), "number 1.5 into metadata.generation of type int64"),
        ("finalizers", json!("a"), "string into metadata.finalizers of type list of strings"),
        ("finalizers", json!(["a", 1]), "number into metadata.finalizers[1] of type string"),
        (
            "creationTimestamp",
            json!("now"),
            "string \"now\" into metadata.creationTimestamp of type time",
        ),
        ("ownerReferences", json!([1]), "number into metadata.ownerReferences[0] of type object"),
        (
            "ownerReferences",
            json!([{"controller": "true"}]),
            "string into metadata.ownerReferences[0].controller of type bool",
        ),
        (
            "managedFields",
            json!([{}, {"fieldsV1": 1}]),
            "number into metadata.managedFields[1].fieldsV1 of type object",
        ),
    ];
    for (field, value, expected) in cases {
        let error = meta::validate_shape(&with(field, value)).unwrap_err();
        assert_eq!(error, format!("json: cannot unmarshal {expected}"));
    }
    let fine = object(json!({
        "name": null, "labels": null, "foo": 1, "generation": 3, "finalizers": [],
        "ownerReferences": [{"controller": null, "foo": 1}], "creationTimestamp": null,
        "managedFields": [{"time": "2026-01-02T03:04:05Z", "fieldsV1": {"f:a": {}}}],
    }));
    assert_eq!(meta::validate_shape(&fine), Ok(()));
}

#[test]
fn times_are_rfc_3339() {
    let check = |text: &str| meta::validate_shape(&with("deletionTimestamp", json!(text))).is_ok();
    for good in [
        "2026-01-02T03:04:05Z",
        "2026-01-02T03:04:05.123456Z",
        "2026-01-02T03:04:05+02:00",
        "1970-01-01T00:00:00Z",
    ] {
        assert!(check(good), "{good}");
    }
    for bad in [
        "",
        "2026-01-02",
        "2026-01-02T03:04Z",
        "2026-01-02 03:04:05Z",
        "2026-01-02T03:04:05",
        "2026-13-02T03:04:05Z",
        "2026-01-02T03:04:05.Z",
        "2026-01-02T03:04:05+0200",
        "2026-01-02T03:04:05Z[UTC]",
        "2026-01-02t03:04:05z",
        "2026-02-30T00:00:00Z",
        "éééééééééé",
    ] {
        assert!(!check(bad), "{bad}");
    }
}

#[test]
fn unknown_fields_are_named_and_pruned() {
    let mut object = object(json!({
        "name": "a", "foo": 1, "clusterName": "c", "labels": {"any": "x"},
        "ownerReferences": [{"uid": "u"}, {"uid": "v", "bar": 2}],
        "managedFields": [{"baz": 3, "fieldsV1": {"f:any": {}}}],
    }));
    let mut unknown = meta::unknown_fields(&object);
    unknown.sort();
    assert_eq!(
        unknown,
        [
            "metadata.clusterName",
            "metadata.foo",
            "metadata.managedFields[0].baz",
            "metadata.ownerReferences[1].bar",
        ]
    );
    meta::prune_unknown_fields(&mut object);
    assert_eq!(
        object.fields()["metadata"],
        json!({
            "name": "a", "labels": {"any": "x"},
            "ownerReferences": [{"uid": "u"}, {"uid": "v"}],
            "managedFields": [{"fieldsV1": {"f:any": {}}}],
        })
    );
    assert!(meta::unknown_fields(&object).is_empty());
}

fn json_value() -> impl Strategy<Value = Value> {
    let names = prop::sample::select(vec![
        "name",
        "labels",
        "finalizers",
        "ownerReferences",
        "managedFields",
        "time",
        "controller",
        "generation",
        "deletionTimestamp",
        "annotations",
        "uid",
        "x/y",
    ]);
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        any::<String>().prop_map(Value::from),
    ];
    leaf.prop_recursive(4, 32, 5, move |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            prop::collection::btree_map(names.clone().prop_map(str::to_owned), inner, 0..6)
                .prop_map(|map| Value::Object(map.into_iter().collect())),
        ]
    })
}

fn regex_case() -> impl Strategy<Value = String> {
    prop_oneof![any::<String>(), "[aZ0._/-]{0,8}", "[a-z0-9.-]{60,66}", "[a-z.]{250,256}"]
}

proptest! {
    #[test]
    fn the_checks_agree_with_the_expressions_they_quote(text in regex_case()) {
        let full = |pattern: &str| regex::Regex::new(&format!("^(?:{pattern})$")).unwrap();
        let subdomain =
            full(r"[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*");
        let label = full("[a-z0-9]([-a-z0-9]*[a-z0-9])?");
        let value = full("(([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9])?");
        let fits = |limit: usize| text.len() <= limit;
        let subdomain_ok = fits(253) && subdomain.is_match(&text);
        prop_assert_eq!(meta::validate_dns_subdomain(&text).is_ok(), subdomain_ok);
        prop_assert_eq!(meta::validate_dns_label(&text).is_ok(), fits(63) && label.is_match(&text));
        prop_assert_eq!(meta::validate_label_value(&text).is_ok(), fits(63) && value.is_match(&text));
    }

    #[test]
    fn no_metadata_breaks_the_rules(a in json_value(), b in json_value()) {
        let (Ok(mut a), Ok(b)) = (
            Object::from_value(json!({"metadata": a})),
            Object::from_value(json!({"metadata": b})),
        ) else { return Ok(()) };
        let _ = meta::validate_shape(&a);
        let _ = meta::validate(&a, true, meta::dns_subdomain_name);
        let _ = meta::validate_update(&a, &b);
        let _ = meta::dedupe_owner_references(&mut a);
        meta::prune_unknown_fields(&mut a);
        prop_assert!(meta::unknown_fields(&a).is_empty());
    }

    #[test]
    fn generated_names_are_valid(base in "[a-z]([a-z0-9-]{0,70})") {
        prop_assume!(meta::dns_subdomain_name(&base, true).is_empty());
        let name = meta::generate_name(&base);
        prop_assert_eq!(meta::validate_dns_label(&name), Ok(()));
    }
}
