//! Entries of the subresource `scale`.

use milo_core::{
    managed_fields::{Manager, ReplicasPath, ResetFields, track_update},
    object::Object,
    schema::Schema,
};
use serde_json::{Value, json};

use crate::support::World;

fn scale_schema() -> Schema {
    let replicas = json!({"type": "object", "properties": {"replicas": {"type": "integer"}}});
    Schema::compile(json!({"type": "object", "properties": {"spec": replicas}})).unwrap()
}

fn scale(replicas: i64, managed_fields: Option<Value>) -> Object {
    let mut scale = Object::from_value(json!({
        "apiVersion": "autoscaling/v1", "kind": "Scale", "metadata": {"name": "x"},
        "spec": {"replicas": replicas},
    }))
    .unwrap();
    if let Some(managed_fields) = managed_fields {
        scale.metadata_mut().insert("managedFields".into(), managed_fields);
    }
    scale
}

#[test]
fn the_owner_of_replicas_moves() {
    let mut world = World::new();
    world.apply("a", json!({"number": 1, "text": "1"}));
    let path = ReplicasPath::new(["spec", "number"]);
    let shown = path.to_scale(&world.schema, world.live()).unwrap();
    assert_eq!(shown[0]["apiVersion"], "autoscaling/v1");
    assert_eq!(shown[0]["fieldsV1"], json!({"f:spec": {"f:replicas": {}}}));

    let live = scale(1, Some(shown));
    let write = |replicas: i64| {
        let mut new = scale(replicas, None);
        let manager = Manager::new("hpa", "autoscaling/v1").subresource("scale");
        track_update(&scale_schema(), Some(&live), &mut new, &manager, &ResetFields::none())
            .unwrap();
        new
    };
    let mut parent = world.live().clone();
    path.to_parent(&world.schema, &mut parent, &write(1));
    assert_eq!(parent, *world.live(), "nothing changed");

    path.to_parent(&world.schema, &mut parent, &write(2));
    world.live = Some(parent);
    assert_eq!(world.owners(), ["a: f:text", "hpa*/scale: f:number"]);
    // A conflict names who scales.
    assert_eq!(
        world.conflict("a", json!({"number": 3, "text": "1"})),
        "Apply failed with 1 conflict: conflict with \"hpa\" with subresource \"scale\" using \
         g.io/v1: .spec.number"
    );
}

#[test]
fn an_object_that_nobody_tracks_stays_so() {
    let world = World::untracked(json!({"number": 1}));
    let path = ReplicasPath::new(["spec", "number"]);
    assert_eq!(path.to_scale(&world.schema, world.live()), None);
    let mut parent = world.live().clone();
    path.to_parent(&world.schema, &mut parent, &scale(2, None));
    assert_eq!(parent, *world.live());
}
