//! What a refused apply is told.

use milo_core::managed_fields::ApplyError;
use serde_json::json;

use crate::support::{World, object};

#[test]
fn many_conflicts_are_listed_by_manager() {
    let mut world = World::new();
    world.update("u", json!({"text": "1", "items": [{"name": "i", "value": "1"}]}));
    world.apply("b", json!({"flag": true, "number": 1}));
    let config = json!({
        "text": "2", "flag": false, "number": 2, "items": [{"name": "i", "value": "2"}],
    });
    assert_eq!(
        world.conflict("a", config),
        "Apply failed with 4 conflicts: conflicts with \"b\":\n- .spec.flag\n- .spec.number\n\
         conflicts with \"u\" using g.io/v1:\n- .spec.text\n- .spec.items[name=\"i\"].value"
    );
}

#[test]
fn causes_name_manager_and_field() {
    let mut world = World::new();
    world.update(
        "u",
        json!({"ports": [{"port": 80, "protocol": "TCP", "name": "a"}], "flag": true}),
    );
    let config = object(json!({"ports": [{"port": 80, "name": "b"}], "flag": false}));
    let Err(ApplyError::Conflicts(conflicts)) = world.try_apply("a", &config, false) else {
        panic!("no conflict");
    };
    let message = "conflict with \"u\" using g.io/v1".to_owned();
    assert_eq!(
        conflicts.causes().collect::<Vec<_>>(),
        [
            (message.clone(), ".spec.flag"),
            (message.clone(), ".spec.ports[port=80,protocol=\"TCP\"].name"),
        ]
    );
    let status = conflicts.to_status();
    assert_eq!((status.code(), status.reason()), (409, "Conflict"));
    let causes = status.details().unwrap().causes.as_ref().unwrap();
    assert_eq!(causes[0].reason.as_deref(), Some("FieldManagerConflict"));
    assert_eq!(causes[0].message.as_deref(), Some(message.as_str()));
    assert_eq!(causes[0].field.as_deref(), Some(".spec.flag"));
}

#[test]
fn a_refused_apply_changes_nothing_and_set_items_never_conflict() {
    let mut world = World::new();
    world.apply("b", json!({"set": ["x"], "text": "1"}));
    let before = world.live().clone();
    world.conflict("a", json!({"set": ["x", "y"], "text": "2"}));
    assert_eq!(*world.live(), before);
    world.apply("a", json!({"set": ["x", "y"]}));
    assert_eq!(world.spec(), json!({"set": ["x", "y"], "text": "1"}));
}

#[test]
fn an_atomic_value_conflicts_as_a_whole() {
    let mut world = World::new();
    world.apply("b", json!({"atomicMap": {"k": "1"}}));
    assert_eq!(
        world.conflict("a", json!({"atomicMap": {"k": "1", "l": "1"}})),
        "Apply failed with 1 conflict: conflict with \"b\": .spec.atomicMap"
    );
}
