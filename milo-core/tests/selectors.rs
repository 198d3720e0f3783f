//! The grammar and the meaning of selectors.

use std::collections::BTreeMap;

use k8s_openapi::apimachinery::pkg::apis::meta::v1;
use milo_core::{
    object::Object,
    selector::{
        FieldOperator, FieldRequirement, FieldSelector, LabelOperator, LabelRequirement,
        LabelSelector,
    },
};
use proptest::prelude::*;
use serde_json::json;

#[expect(clippy::panic, reason = "a test says which text failed")]
fn labels(text: &str) -> LabelSelector {
    text.parse().unwrap_or_else(|error| panic!("{text:?}: {error}"))
}

#[test]
fn label_selectors_have_one_canonical_text() {
    let cases = [
        ("", ""),
        (" \t\r\n", ""),
        ("x", "x"),
        ("\rx", "x"),
        (" x ", "x"),
        ("!x", "!x"),
        ("! x", "!x"),
        ("x=a", "x=a"),
        ("x == a", "x=a"),
        ("x=", "x="),
        ("x=,y", "x=,y"),
        ("x= ", "x="),
        ("x!=a", "x!=a"),
        ("x!=", "x!="),
        ("x != a , y", "x!=a,y"),
        ("b,a", "a,b"),
        ("b=1,a,b!=2", "a,b=1,b!=2"),
        ("x>1", "x>1"),
        ("x < 07", "x<07"),
        ("x in (b,a)", "x in (a,b)"),
        ("x in (a,a)", "x in (a)"),
        ("x in(a)", "x in (a)"),
        ("x  in\t(\na , b )", "x in (a,b)"),
        ("x in ()", "x in ()"),
        ("x in ( )", "x in ()"),
        ("x in (,a)", "x in (,a)"),
        ("x in (a,)", "x in (,a)"),
        ("x in (,)", "x in ()"),
        ("x notin (a,,b),y", "x notin (,a,b),y"),
        ("x notin (),z", "x notin (),z"),
        // Words that are operators elsewhere.
        ("in", "in"),
        ("!notin", "!notin"),
        ("in in (in,notin)", "in in (in,notin)"),
        ("notin=in", "notin=in"),
        ("example.com/tier in (web)", "example.com/tier in (web)"),
        ("0.1.2.domain/99 notin (10.10.100.1)", "0.1.2.domain/99 notin (10.10.100.1)"),
    ];
    for (text, canonical) in cases {
        let selector = labels(text);
        assert_eq!(selector.to_string(), canonical, "{text:?}");
        assert_eq!(labels(canonical), selector, "{text:?}");
        assert_eq!(selector.is_everything(), canonical.is_empty());
    }
}

#[test]
fn label_selectors_say_what_is_wrong() {
    let cases = [
        (",", "found ',', expected: !, identifier, or 'end of string'"),
        (",x", "found ',', expected: !, identifier, or 'end of string'"),
        ("=a", "found '=', expected: !, identifier, or 'end of string'"),
        ("(", "found '(', expected: !, identifier, or 'end of string'"),
        ("x,", "found '', expected: identifier after ','"),
        ("x in (a),", "found '', expected: identifier after ','"),
        ("x,,y", "found ',', expected: identifier after ','"),
        ("!", "found '', expected: identifier"),
        ("!!x", "found '!', expected: identifier"),
        ("!x=a", "found '=', expected: ',' or 'end of string'"),
        ("x==a==b", "found '==', expected: ',' or 'end of string'"),
        ("x=a=b", "found '=', expected: ',' or 'end of string'"),
        ("x=a b", "found 'b', expected: ',' or 'end of string'"),
        ("x in (a)b", "found 'b', expected: ',' or 'end of string'"),
        ("x===a", "found '=', expected: identifier"),
        ("x=!a", "found '!', expected: identifier"),
        ("x y", "found 'y', expected: in, notin, =, ==, !=, gt, lt"),
        ("x nott in (y)", "found 'nott', expected: in, notin, =, ==, !=, gt, lt"),
        ("x (", "found '(', expected: in, notin, =, ==, !=, gt, lt"),
        ("x in", "found '', expected: '('"),
        ("x in a", "found 'a', expected: '('"),
        ("x in (", "found '', expected: ',', ')' or identifier"),
        ("x in (a", "found '', expected: ',' or ')'"),
        ("x in (a b)", "found 'b', expected: ',' or ')'"),
        ("x in (a=)", "found '=', expected: ',' or ')'"),
        (
            "x>a",
            "values[0]: Invalid value: \"a\": for 'Gt', 'Lt' operators, the value must be an integer",
        ),
        (
            "x<",
            "values[0]: Invalid value: \"\": for 'Gt', 'Lt' operators, the value must be an integer",
        ),
        (
            "x=-a",
            "values[0][x]: Invalid value: \"-a\": a valid label must be an empty string or consist of",
        ),
        ("a/b/c", "key: Invalid value: \"a/b/c\": a qualified name must consist of"),
        ("a||b=c", "key: Invalid value: \"a||b\": name part must consist of"),
        ("x=a||y=b", "values[0][x]: Invalid value: \"a||y\""),
        ("/a", "key: Invalid value: \"/a\": prefix part must be non-empty"),
        ("ä", "key: Invalid value: \"ä\": name part must consist of"),
    ];
    for (text, expected) in cases {
        let Err(error) = LabelSelector::parse(text) else { panic!("{text:?} was accepted") };
        let error = error.to_string();
        let Some(reason) = error.strip_prefix("unable to parse requirement: ") else {
            panic!("{text:?}: {error}")
        };
        assert!(reason.starts_with(expected), "{text:?}: {reason}");
    }
}

#[test]
fn labels_match_as_required() {
    let own = [("app", "shop"), ("empty", ""), ("size", "10"), ("tier", "web")];
    let matching = [
        "",
        "app",
        "!other",
        "app=shop",
        "other!=x",
        "app!=x",
        "app in (a,shop)",
        "app notin (a)",
        "other notin (a)",
        "size>9",
        "size<11",
        "empty",
        "empty=",
        "empty in ()",
        "app=shop,tier",
        "empty!=x",
        "other notin ()",
    ];
    let others = [
        "other",
        "!app",
        "app=Shop",
        "other=",
        "app!=shop",
        "app in (a,b)",
        "other in (a)",
        "app notin (b,shop)",
        "size>10",
        "size<10",
        "app>1",
        "other>1",
        "other<1",
        "empty>0",
        "app=shop,tier=api",
        "empty!=",
        "other in ()",
        "app=a,app=shop",
    ];
    let object = Object::from_value(json!({"metadata": {"labels": BTreeMap::from(own)}})).unwrap();
    for (texts, expected) in [(&matching[..], true), (&others[..], false)] {
        for text in texts {
            let selector = labels(text);
            assert_eq!(selector.matches_sorted(&own), expected, "{text}");
            assert_eq!(selector.matches_object(&object), expected, "{text}");
        }
    }
    let bare = Object::new("v1", "Widget", "a");
    assert!(labels("!app,x!=y").matches_object(&bare));
    assert!(!labels("app").matches_object(&bare));
}

#[test]
fn comparisons_are_of_whole_numbers() {
    let bounds = [i64::MIN, -1, 0, 9, i64::MAX];
    for bound in bounds.into_iter().filter(|bound| *bound >= 0) {
        let above =
            LabelRequirement::new("x", LabelOperator::GreaterThan, [bound.to_string()]).unwrap();
        for value in bounds {
            assert_eq!(above.matches(Some(&value.to_string())), value > bound);
        }
        for odd in ["", "a", "1.5", "9223372036854775808", " 1"] {
            assert!(!above.matches(Some(odd)), "{odd}");
        }
    }
    assert!(LabelSelector::parse("x>9223372036854775808").is_err());
}

#[test]
fn requirements_need_the_right_number_of_values() {
    let none: [&str; 0] = [];
    for (operator, values, fits) in [
        (LabelOperator::Exists, &none[..], true),
        (LabelOperator::DoesNotExist, &["a"], false),
        (LabelOperator::Equals, &none, false),
        (LabelOperator::NotEquals, &["a", "b"], false),
        (LabelOperator::In, &none, false),
        (LabelOperator::NotIn, &["a", "b"], true),
        (LabelOperator::LessThan, &["1", "2"], false),
    ] {
        let made = LabelRequirement::new("x", operator, values.iter().copied());
        assert_eq!(made.is_ok(), fits, "{operator:?} {values:?}");
    }
    let error = LabelRequirement::new("x", LabelOperator::In, none).unwrap_err();
    assert_eq!(
        error.to_string(),
        "values: Invalid value: []: for 'in', 'notin' operators, values set can't be empty"
    );
    let error = LabelRequirement::new("x y", LabelOperator::Equals, none).unwrap_err();
    assert_eq!(error.errors().len(), 2);
    assert!(error.to_string().starts_with("[key: Invalid value: \"x y\": name part"));
}

#[test]
fn selectors_of_specs_are_understood() {
    let selector = |value| -> v1::LabelSelector { serde_json::from_value(value).unwrap() };
    let all = selector(json!({
        "matchLabels": {"tier": "web"},
        "matchExpressions": [
            {"key": "app", "operator": "In", "values": ["b", "a"]},
            {"key": "env", "operator": "NotIn", "values": ["dev"]},
            {"key": "gone", "operator": "DoesNotExist"},
            {"key": "there", "operator": "Exists", "values": []},
        ],
    }));
    let parsed = LabelSelector::try_from(&all).unwrap();
    assert_eq!(parsed.to_string(), "app in (a,b),env notin (dev),!gone,there,tier=web");
    assert!(LabelSelector::try_from(&selector(json!({}))).unwrap().is_everything());
    for bad in [
        json!({"matchLabels": {"tier": "-"}}),
        json!({"matchExpressions": [{"key": "a", "operator": "Gt", "values": ["1"]}]}),
        json!({"matchExpressions": [{"key": "a", "operator": "In"}]}),
        json!({"matchExpressions": [{"key": "a", "operator": "Exists", "values": ["x"]}]}),
    ] {
        assert!(LabelSelector::try_from(&selector(bad.clone())).is_err(), "{bad}");
    }
}

#[test]
fn requirements_are_added_in_order() {
    let made = ["c", "a", "b"].into_iter().fold(LabelSelector::default(), |selector, key| {
        selector.with(LabelRequirement::new(key, LabelOperator::Exists, [""; 0]).unwrap())
    });
    assert_eq!(made, labels("b,c,a"));
    assert_eq!(made.requirements()[0].key(), "a");
}

#[test]
fn field_selectors_have_one_canonical_text() {
    let cases = [
        ("", ""),
        (",", ""),
        (",,a=b,", "a=b"),
        ("a=b", "a=b"),
        ("a==b", "a=b"),
        ("a!=b", "a!=b"),
        ("a=", "a="),
        ("a!=", "a!="),
        ("=b", "=b"),
        ("metadata.name=x,spec.n!=y", "metadata.name=x,spec.n!=y"),
        ("b=1,a=2", "b=1,a=2"),
        (r"a=x\,y", r"a=x\,y"),
        (r"a=\=\\\,,b=c", r"a=\=\\\,,b=c"),
        ("a= b ", "a= b "),
        ("a=b!", "a=b!"),
        ("a=ü", "a=ü"),
    ];
    for (text, canonical) in cases {
        let selector = FieldSelector::parse(text).unwrap();
        assert_eq!(selector.to_string(), canonical, "{text:?}");
        assert_eq!(FieldSelector::parse(canonical).unwrap(), selector, "{text:?}");
        assert_eq!(selector.is_everything(), canonical.is_empty());
    }
    let escaped = FieldSelector::parse(r"a=\=\\\,").unwrap();
    assert_eq!(escaped.requirements()[0].value(), r"=\,");
}

#[test]
fn field_selectors_say_what_is_wrong() {
    let cases = [
        ("a", "invalid selector: 'a'; can't understand 'a'"),
        ("a=b,c", "invalid selector: 'a=b,c'; can't understand 'c'"),
        ("a!b", "invalid selector: 'a!b'; can't understand 'a!b'"),
        ("a=b=c", "invalid field selector: unescaped character in value: ="),
        ("a===c", "invalid field selector: unescaped character in value: ="),
        ("a!==c", "invalid field selector: unescaped character in value: ="),
        (r"a=\x", r"invalid field selector: invalid escape sequence: \x"),
        (r"a=b\", r"invalid field selector: invalid escape sequence: \"),
    ];
    for (text, expected) in cases {
        assert_eq!(FieldSelector::parse(text).unwrap_err().to_string(), expected, "{text:?}");
    }
}

#[test]
fn fields_match_as_required() {
    let get = |path: &str| match path {
        "metadata.name" => Some("a"),
        "spec.empty" => Some(""),
        _ => None,
    };
    for (text, expected) in [
        ("", true),
        ("metadata.name=a", true),
        ("metadata.name!=a", false),
        ("metadata.name=b", false),
        ("metadata.name=a,metadata.name=b", false),
        ("spec.empty=", true),
        ("spec.missing=", true),
        ("spec.missing!=", false),
        ("spec.missing!=x", true),
        ("spec.missing=x", false),
    ] {
        assert_eq!(FieldSelector::parse(text).unwrap().matches(get), expected, "{text}");
    }
}

#[test]
fn only_an_equality_requires_a_value() {
    let selector = FieldSelector::parse("metadata.name!=x,metadata.namespace=ns,a=").unwrap();
    assert_eq!(selector.required_value("metadata.name"), None);
    assert_eq!(selector.required_value("metadata.namespace"), Some("ns"));
    assert_eq!(selector.required_value("a"), Some(""));
    let named = selector.with(FieldRequirement::new("metadata.name", FieldOperator::Equals, "y"));
    assert_eq!(named.required_value("metadata.name"), Some("y"));
}

fn requirement_text() -> impl Strategy<Value = String> {
    let key = "([a-z][a-z0-9-]{0,5}[a-z0-9]/)?[A-Za-z0-9]([A-Za-z0-9_.-]{0,5}[A-Za-z0-9])?";
    let value = || "([A-Za-z0-9]([A-Za-z0-9_.-]{0,4}[A-Za-z0-9])?)?";
    let blank = || "[ \t]{0,2}";
    let set = proptest::collection::vec(value(), 1..4);
    (key, 0..8_u8, value(), set, 0..u32::MAX, blank(), blank()).prop_map(
        |(key, form, value, set, number, a, b)| match form {
            0 => format!("{a}{key}{b}"),
            1 => format!("!{a}{key}{b}"),
            2 => format!("{key}{a}={b}{value}"),
            3 => format!("{key}{a}!={b}{value}"),
            4 => format!("{key} {a}in{b}({}){a}", set.join(",")),
            5 => format!("{key} {a}notin{b}({})", set.join(&format!("{a},{b}"))),
            6 => format!("{key}>{a}{number}"),
            _ => format!("{key}{b}<{number}"),
        },
    )
}

proptest! {
    #[test]
    fn any_valid_label_selector_survives_its_text(
        texts in proptest::collection::vec(requirement_text(), 0..5)
    ) {
        let selector = LabelSelector::parse(&texts.join(",")).unwrap();
        prop_assert_eq!(selector.requirements().len(), texts.len());
        prop_assert_eq!(&LabelSelector::parse(&selector.to_string()).unwrap(), &selector);
    }

    #[test]
    fn no_text_breaks_the_parsers(text in "[xyin!=<>(), \\\\.0-9/ä]{0,24}") {
        if let Ok(selector) = LabelSelector::parse(&text) {
            prop_assert_eq!(&LabelSelector::parse(&selector.to_string()).unwrap(), &selector);
        }
        if let Ok(selector) = FieldSelector::parse(&text) {
            prop_assert_eq!(&FieldSelector::parse(&selector.to_string()).unwrap(), &selector);
        }
    }

    #[test]
    fn nothing_panics(text in any::<String>()) {
        let _ = LabelSelector::parse(&text);
        let _ = FieldSelector::parse(&text);
    }

    #[test]
    fn any_field_value_survives_its_text(value in any::<String>(), path in "[a-z.]{1,8}") {
        let made = FieldRequirement::new(path.as_str(), FieldOperator::NotEquals, value.as_str());
        let selector = FieldSelector::default().with(made);
        let parsed = FieldSelector::parse(&selector.to_string()).unwrap();
        prop_assert_eq!(parsed, selector);
    }
}
