//! Paths that are read, refused and followed.

use serde_json::json;

use super::*;

fn object() -> Value {
    json!({
        "metadata": {
            "name": "acme",
            "annotations": {"kubernetes.io/display-name": "Acme Inc.", "a'b": "quoted", "": "empty"},
        },
        "spec": {"replicas": 3, "flag": false, "nothing": null},
        "status": {"conditions": [
            {"type": "Onboarded", "status": "False", "n": 1.0},
            {"status": "Lost"},
            {"type": "Ready", "status": "True", "n": 2, "on": true},
        ]},
    })
}

fn select(path: &str) -> Option<Value> {
    let path = JsonPath::parse(path).unwrap_or_else(|error| panic!("{error}"));
    let object = object();
    let found = path.first(&object);
    assert_eq!(found, path.first_in(object.as_object().unwrap()), "{path}");
    found.cloned()
}

#[test]
fn fields_indices_and_wildcards() {
    for (path, expected) in [
        (".metadata.name", json!("acme")),
        ("{.metadata.name}", json!("acme")),
        ("$.metadata['name']", json!("acme")),
        ("['metadata'][ \"name\" ]", json!("acme")),
        (r".metadata.annotations.kubernetes\.io\/display-name", json!("Acme Inc.")),
        (r".metadata.annotations.kubernetes\.io/display-name", json!("Acme Inc.")),
        (".metadata.annotations['kubernetes.io/display-name']", json!("Acme Inc.")),
        (r".metadata.annotations['a\'b']", json!("quoted")),
        (".metadata.annotations['']", json!("empty")),
        (".spec.nothing", Value::Null),
        (".status.conditions[0].type", json!("Onboarded")),
        (".status.conditions[-1].type", json!("Ready")),
        (".status.conditions[*].on", json!(true)),
        (".status.*[2].status", json!("True")),
        (".*.name", json!("acme")),
    ] {
        assert_eq!(select(path), Some(expected), "{path}");
    }
}

#[test]
fn filters() {
    for (path, expected) in [
        (".status.conditions[?(@.type=='Ready')].status", Some(json!("True"))),
        (r#".status.conditions[?( @.type == "Ready" )].status"#, Some(json!("True"))),
        (".status.conditions[?(@['type']=='Ready')].status", Some(json!("True"))),
        (".status.conditions[?(@.type!='Onboarded')].status", Some(json!("True"))),
        (".status.conditions[?(@.on)].type", Some(json!("Ready"))),
        (".status.conditions[?(@.on==true)].type", Some(json!("Ready"))),
        (".status.conditions[?(@.n==1)].type", Some(json!("Onboarded"))),
        (".status.conditions[?(@.n==2.0)].type", Some(json!("Ready"))),
        (".status.conditions[?(@.n!=-2e1)].type", Some(json!("Onboarded"))),
        (".status.conditions[?(@.type=='Gone')].status", None),
        (".status.conditions[?(@.type==1)].status", None),
        (".spec[?(@.flag==false)]", None),
    ] {
        assert_eq!(select(path), expected, "{path}");
    }
}

#[test]
fn what_is_missing_selects_nothing() {
    for path in [
        ".spec.none.deeper",
        ".metadata.name.deeper",
        ".status.conditions.type",
        ".status.conditions[3]",
        ".status.conditions[-4]",
        ".status.conditions[9223372036854775807]",
        ".status.conditions[-9223372036854775808]",
        ".spec[0]",
        "[0]",
        "[*].none",
    ] {
        assert_eq!(select(path), None, "{path}");
    }
}

#[test]
fn other_texts_are_refused() {
    for bad in [
        "",
        ".",
        "$",
        "{}",
        "{.a",
        ".a}",
        "a",
        "spec.type",
        ".a.",
        ".a..b",
        "..a",
        ".a b",
        ".a\\",
        ".a[",
        ".a[]",
        ".a[x]",
        ".a[1",
        ".a[1:2]",
        ".a[1,2]",
        ".a['x",
        ".a['x'",
        ".a[9999999999999999999]",
        ".a[?]",
        ".a[?(]",
        ".a[?(@.x]",
        ".a[?(@.x=1)]",
        ".a[?(@.x>1)]",
        ".a[?(@.x==)]",
        ".a[?(@.x==y)]",
        ".a[?(@.x=='y')",
        ".a[?(@.x[*]==1)]",
        ".a[?(@.x[?(@.y)])]",
        ".a[?(@.*==1)]",
        ".a*b",
    ] {
        assert!(JsonPath::parse(bad).is_err(), "{bad}");
    }
    assert!(JsonPath::parse(&".a".repeat(1000)).is_err());
    let error = JsonPath::parse(".spec.é[?").unwrap_err();
    assert_eq!(error.to_string(), "invalid JSONPath `.spec.é[?` at byte 10: expected `(`");
}

#[test]
fn a_path_of_fields_names_them() {
    let fields = |path| JsonPath::parse(path).unwrap().fields().map(|f| f.join("/"));
    assert_eq!(fields(".spec.userRef.name").as_deref(), Some("spec/userRef/name"));
    assert_eq!(fields(".spec[0]"), None);
    assert_eq!(fields(".spec.*"), None);
}

proptest::proptest! {
    #[test]
    fn nothing_panics(text in r"[.$\[\]{}()?@*'=!\\a0\- é]{0,24}") {
        if let Ok(path) = JsonPath::parse(&text) {
            let _ = path.first(&object());
            let _ = path.first(&json!([[1], {"a": 0}]));
        }
    }
}
