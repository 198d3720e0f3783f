//! Loads YAML objects and answers one question:
//!
//! ```sh
//! cargo run -p milo-iam --example can_i -- milo-iam/examples/shop/objects.yaml \
//!     ada g.io/things.get web a
//! ```

use anyhow::{Context, Result, bail};
use milo_core::object::Object;
use milo_iam::{
    Principal, Question, Snapshot, Within,
    world::{Fact, Plane, World},
};
use serde_json::Value;

fn main() -> Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [file, user, permission, project, name] = &arguments[..] else {
        bail!("usage: can_i FILE USER PERMISSION PROJECT NAME");
    };
    let text = std::fs::read_to_string(file).with_context(|| format!("cannot read {file}"))?;
    let objects: Vec<Value> = serde_saphyr::from_multiple(&text)?;
    let facts = objects.into_iter().map(|value| {
        let object = Object::from_value(value)?;
        Ok(Fact::from_object(&Plane::Platform, &object)?)
    });
    let snapshot = Snapshot::of(facts.collect::<Result<World>>()?);
    let question = Question::new(Principal::new(user), permission.parse()?)
        .within(Within::project(project))
        .name(name);
    println!("{}", snapshot.explain(&question));
    Ok(())
}
