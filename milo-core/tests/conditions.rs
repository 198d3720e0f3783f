//! Conditions in lists and in objects behave alike.

use k8s_openapi::{
    apimachinery::pkg::apis::meta::v1::{Condition, Time},
    jiff::Timestamp,
};
use milo_core::{conditions, object::Object};
use proptest::prelude::*;
use serde_json::json;

fn at(seconds: i64, status: bool, reason: &str) -> Condition {
    let time = Time(Timestamp::from_second(seconds).unwrap_or_default());
    Condition { last_transition_time: time, ..conditions::new("Ready", status, reason, "") }
}

fn seconds(condition: &Condition) -> i64 {
    condition.last_transition_time.0.as_second()
}

#[test]
fn the_time_moves_only_with_the_status() {
    let mut list = Vec::new();
    let mut object = Object::new("g.io/v1", "Widget", "a");
    for (condition, changed, time) in [
        (at(10, false, "Waiting"), true, 10),
        (at(20, false, "Waiting"), false, 10),
        (at(30, false, "Failing"), true, 10),
        (at(40, true, "Done"), true, 40),
        (at(50, true, "Done"), false, 40),
    ] {
        assert_eq!(conditions::set(&mut list, condition.clone()), changed);
        assert_eq!(conditions::set_in(&mut object, condition.clone()), changed);
        assert_eq!(seconds(&list[0]), time);
        assert_eq!(conditions::list_in(&object), list);
        assert_eq!(conditions::is_true(&list, "Ready"), condition.status == "True");
        assert_eq!(conditions::is_true_in(&object, "Ready"), condition.status == "True");
    }
    assert_eq!(conditions::find(&list, "Other"), None);
    assert_eq!(conditions::find_in(&object, "Ready").as_ref(), list.first());
    assert_eq!(conditions::status_in(&object, "Ready"), Some("True"));
    assert!(conditions::remove(&mut list, "Ready") && !conditions::remove(&mut list, "Ready"));
    assert!(conditions::remove_in(&mut object, "Ready"));
    assert!(!conditions::remove_in(&mut object, "Ready"));
    assert!(!conditions::is_true(&list, "Ready") && !conditions::is_true_in(&object, "Ready"));
}

#[test]
fn other_fields_count_as_changes() {
    let mut list = vec![at(10, true, "Done")];
    let seen = Condition { observed_generation: Some(2), ..at(20, true, "Done") };
    assert!(conditions::set(&mut list, seen));
    let said = Condition { message: "well".into(), ..list[0].clone() };
    assert!(conditions::set(&mut list, said));
    assert_eq!((list.len(), seconds(&list[0]), list[0].observed_generation), (1, 10, Some(2)));
}

#[test]
fn times_are_whole_seconds_and_never_the_epoch() {
    let mut list = Vec::new();
    let fraction = Time("2026-01-02T03:04:05.678Z".parse().unwrap());
    conditions::set(&mut list, Condition { last_transition_time: fraction, ..at(1, true, "Done") });
    assert_eq!(list[0].last_transition_time.0.to_string(), "2026-01-02T03:04:05Z");
    conditions::set(&mut list, at(0, false, "Undone"));
    assert!(seconds(&list[0]) > 1_700_000_000);
    assert_eq!(list[0].last_transition_time.0.subsec_nanosecond(), 0);
}

#[test]
fn a_schema_default_gives_way() {
    let mut object = Object::from_value(json!({"status": {"phase": "New", "conditions": [
        {"type": "Ready", "status": "Unknown", "reason": "Unknown", "message": "wait",
         "lastTransitionTime": "1970-01-01T00:00:00Z"},
        {"type": "Odd", "status": "True", "extra": 1},
    ]}}))
    .unwrap();
    assert!(conditions::is_true_in(&object, "Odd"), "even what cannot be decoded is found");
    assert!(conditions::set_in(&mut object, at(10, true, "Done")));
    assert_eq!(
        object.fields()["status"],
        json!({"phase": "New", "conditions": [
            {"type": "Ready", "status": "True", "reason": "Done", "message": "",
             "lastTransitionTime": "1970-01-01T00:00:10Z"},
            {"type": "Odd", "status": "True", "extra": 1},
        ]})
    );
}

proptest! {
    #[test]
    fn no_status_breaks_the_helpers(
        status in prop_oneof![
            Just(json!(null)), Just(json!(1)), Just(json!([])), Just(json!({"conditions": 1})),
            Just(json!({"conditions": [1, null, {"type": 3}, {"type": "Ready"}]})),
        ],
        holds: bool,
        time in 1_i64..1 << 33,
    ) {
        let mut object = Object::from_value(json!({"status": status})).unwrap();
        prop_assert!(conditions::set_in(&mut object, at(time, holds, "R")));
        prop_assert!(!conditions::set_in(&mut object, at(time + 1, holds, "R")));
        prop_assert_eq!(conditions::is_true_in(&object, "Ready"), holds);
        prop_assert_eq!(conditions::find_in(&object, "Ready").map(|c| seconds(&c)), Some(time));
        prop_assert!(conditions::remove_in(&mut object, "Ready"));
    }
}
