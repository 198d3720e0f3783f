//! The objects that are written, and how they are recognised in answers.

use std::path::Path;
use std::time::{SystemTime, UNIX_EPOCH};

use anyhow::{Context as _, bail};
use bytes::Bytes;
use memchr::memmem::Finder;
use serde_json::{Value, json};

/// Selects every object of the driver.
pub(crate) const ALL_SELECTOR: &str = "bench%3Dtrue";
/// Selects a tenth of them.
pub(crate) const TENTH_SELECTOR: &str = "bench-tenth%3Dyes";

/// One per object in compact JSON, because it is the label that every object has.
const ITEM_MARK: &[u8] = br#""bench":"true""#;

/// Makes bodies of objects that differ in their names and in one label.
pub(crate) struct ObjectTemplate {
    plain: Vec<String>,
    tenth: Vec<String>,
}

impl ObjectTemplate {
    /// The template in `file`, or else an Organization.
    ///
    /// # Errors
    ///
    /// When the file is unreadable or is not a JSON object.
    pub(crate) fn load(file: Option<&Path>) -> anyhow::Result<Self> {
        let Some(file) = file else { return Self::new(organization()) };
        let text =
            std::fs::read(file).with_context(|| format!("cannot read {}", file.display()))?;
        serde_json::from_slice(&text)
            .map_err(anyhow::Error::from)
            .and_then(Self::new)
            .with_context(|| format!("{} is no template of an object", file.display()))
    }

    fn new(mut object: Value) -> anyhow::Result<Self> {
        let pieces =
            |object: &Value| object.to_string().split("{name}").map(str::to_owned).collect();
        set(&mut object, &["metadata", "name"], "{name}")?;
        set(&mut object, &["metadata", "labels", "bench"], "true")?;
        let plain = pieces(&object);
        set(&mut object, &["metadata", "labels", "bench-tenth"], "yes")?;
        Ok(Self { plain, tenth: pieces(&object) })
    }

    /// The body of the object with this name; every tenth index has the second label.
    pub(crate) fn body(&self, name: &str, index: usize) -> Bytes {
        let pieces = if index.is_multiple_of(10) { &self.tenth } else { &self.plain };
        Bytes::from(pieces.join(name))
    }

    /// A body without the second label.
    pub(crate) fn plain_body(&self, name: &str) -> Bytes {
        Bytes::from(self.plain.join(name))
    }
}

fn organization() -> Value {
    json!({
        "apiVersion": "resourcemanager.miloapis.com/v1alpha1",
        "kind": "Organization",
        "metadata": {"annotations": {"kubernetes.io/display-name": "Organization {name}"}},
        "spec": {
            "type": "Standard",
            "contactInfo": {"name": "Contact of {name}", "email": "{name}@example.com"},
        },
    })
}

/// Sets a member, making the objects on the way to it.
fn set(object: &mut Value, path: &[&str], text: &str) -> anyhow::Result<()> {
    let mut place = object;
    for key in path {
        if place.is_null() {
            *place = json!({});
        }
        let Some(members) = place.as_object_mut() else { bail!("{key} is not inside an object") };
        place = members.entry(*key).or_insert(Value::Null);
    }
    *place = Value::from(text);
    Ok(())
}

/// A prefix for names that no earlier run has used.
pub(crate) fn fresh_prefix() -> String {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    format!("bench-{:x}{:04x}", now.as_millis(), fastrand::u16(..))
}

/// Counts the driver's objects in a body that arrives in parts.
pub(crate) struct ItemCounter {
    finder: Finder<'static>,
    /// The last bytes seen, one fewer than a mark has.
    carry: Vec<u8>,
    count: u64,
}

impl ItemCounter {
    pub(crate) fn new() -> Self {
        Self { finder: Finder::new(ITEM_MARK), carry: Vec::new(), count: 0 }
    }

    /// Counts in the next part.
    pub(crate) fn feed(&mut self, part: &[u8]) {
        const KEEP: usize = ITEM_MARK.len() - 1;
        self.carry.extend_from_slice(&part[..part.len().min(KEEP)]);
        self.count += self.finder.find_iter(&self.carry).count() as u64;
        self.count += self.finder.find_iter(part).count() as u64;
        if part.len() >= KEEP {
            self.carry.clear();
            self.carry.extend_from_slice(&part[part.len() - KEEP..]);
        } else {
            let excess = self.carry.len().saturating_sub(KEEP);
            self.carry.drain(..excess);
        }
    }

    /// The number since the last call.
    pub(crate) fn take(&mut self) -> u64 {
        self.carry.clear();
        std::mem::take(&mut self.count)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bodies_have_their_name_and_labels() {
        let template = ObjectTemplate::load(None).unwrap();
        let tenth: Value = serde_json::from_slice(&template.body("x", 20)).unwrap();
        assert_eq!(tenth["metadata"]["name"], "x");
        assert_eq!(tenth["metadata"]["labels"], json!({"bench": "true", "bench-tenth": "yes"}));
        assert_eq!(tenth["spec"]["contactInfo"]["email"], "x@example.com");
        let plain: Value = serde_json::from_slice(&template.body("x", 21)).unwrap();
        assert_eq!(plain["metadata"]["labels"], json!({"bench": "true"}));
    }

    #[test]
    fn templates_keep_what_they_say_and_must_be_objects() {
        let template = json!({"metadata": {"labels": {"a": "b"}}, "data": {"n": "{name}"}});
        let body = ObjectTemplate::new(template).unwrap().plain_body("y");
        let body: Value = serde_json::from_slice(&body).unwrap();
        let metadata = json!({"name": "y", "labels": {"a": "b", "bench": "true"}});
        assert_eq!(body, json!({"metadata": metadata, "data": {"n": "y"}}));
        assert!(ObjectTemplate::new(json!([])).is_err());
        assert!(ObjectTemplate::new(json!({"metadata": "x"})).is_err());
    }

    #[test]
    fn items_are_counted_however_the_body_is_cut() {
        let mut body = Vec::new();
        for n in 0..7 {
            body.extend_from_slice(ITEM_MARK);
            body.resize(body.len() + n, b'x');
        }
        for size in 1..=body.len() {
            let mut counter = ItemCounter::new();
            body.chunks(size).for_each(|part| counter.feed(part));
            assert_eq!(counter.take(), 7, "in parts of {size}");
            assert_eq!(counter.take(), 0);
        }
    }
}
