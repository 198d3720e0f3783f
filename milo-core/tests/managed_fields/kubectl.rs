//! The way of kubectl from client-side to server-side apply.

use milo_core::object::Object;
use serde_json::{Value, json};

use crate::support::{World, whole};

const ANNOTATION: &str = "kubectl.kubernetes.io/last-applied-configuration";

fn config(spec: Value) -> Object {
    whole(json!({"spec": spec}))
}

/// As client-side apply leaves it.
fn client_side(applied: Value, live: Value) -> World {
    let text = config(applied).into_value().to_string();
    let mut world = World::new();
    let object = whole(json!({"metadata": {"annotations": {ANNOTATION: text}}, "spec": live}));
    world.update_whole("kubectl-client-side-apply", object);
    world
}

fn last_applied(world: &World) -> Value {
    let annotations = &world.live().metadata().unwrap()["annotations"];
    serde_json::from_str(annotations[ANNOTATION].as_str().unwrap()).unwrap()
}

#[test]
fn kubectl_takes_over_what_it_applied() {
    let mut world = client_side(json!({"text": "1"}), json!({"text": "1"}));
    world.try_apply("kubectl", &config(json!({"text": "2"})), false).unwrap();
    assert_eq!(world.spec(), json!({"text": "2"}));
    assert_eq!(world.owners()[0], "kubectl: f:text");
    // The way back stays open.
    assert_eq!(last_applied(&world), config(json!({"text": "2"})).into_value());
}

#[test]
fn nobody_else_does() {
    let mut world = client_side(json!({"text": "1"}), json!({"text": "1"}));
    let error = world.try_apply("flux", &config(json!({"text": "2"})), false).unwrap_err();
    assert_eq!(
        error.to_string(),
        "Apply failed with 1 conflict: conflict with \"kubectl-client-side-apply\" using g.io/v1: \
         .spec.text"
    );
}

#[test]
fn what_changed_since_is_in_the_way() {
    let mut world = client_side(
        json!({"text": "1", "flag": true}),
        json!({"text": "1", "flag": false, "number": 1}),
    );
    let wanted = config(json!({"text": "2", "flag": true, "number": 2}));
    let error = world.try_apply("kubectl", &wanted, false).unwrap_err();
    // The field that kubectl may take over is not told.
    assert_eq!(
        error.to_string(),
        "Apply failed with 2 conflicts: conflicts with \"kubectl-client-side-apply\" using \
         g.io/v1:\n- .spec.flag\n- .spec.number"
    );
}

#[test]
fn an_annotation_that_cannot_be_used_allows_nothing() {
    for annotation in [
        "{".to_owned(),
        json!({"apiVersion": "g.io/v0", "spec": {"text": "1"}}).to_string(),
        json!({"apiVersion": "g.io/v1", "spec": {"unknown": "1", "text": "1"}}).to_string(),
    ] {
        let mut world = World::new();
        let annotations = json!({ANNOTATION: annotation});
        let live = whole(json!({"metadata": {"annotations": annotations}, "spec": {"text": "1"}}));
        world.update_whole("u", live);
        assert!(world.try_apply("kubectl", &config(json!({"text": "2"})), false).is_err());
    }
}

#[test]
fn the_second_apply_of_kubectl_owns_the_annotation() {
    let mut world = client_side(json!({"text": "1"}), json!({"text": "1"}));
    world.try_apply("kubectl", &config(json!({"text": "1"})), false).unwrap();
    let annotations = world.live().metadata().unwrap()["annotations"].clone();
    let second = whole(json!({"metadata": {"annotations": annotations}}));
    world.try_apply("kubectl-last-applied", &second, false).unwrap();
    assert!(
        world
            .owners()
            .contains(&format!("kubectl-last-applied: f:metadata/f:annotations/f:{ANNOTATION}"))
    );
}
