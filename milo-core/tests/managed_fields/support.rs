//! A small world: one object, and those who write it.

use jiff::Timestamp;
use milo_core::{
    managed_fields::{ApplyError, Manager, ResetFields, apply, track_update},
    object::Object,
    schema::Schema,
};
use serde_json::{Value, json};

pub(crate) const VERSION: &str = "g.io/v1";

/// A kind with something of everything.
pub(crate) fn schema() -> Schema {
    let text = || json!({"type": "string"});
    let pair = || json!({"type": "object", "properties": {"x": text(), "y": text()}});
    Schema::compile(json!({
        "type": "object",
        "properties": {
            "spec": {"type": "object", "properties": {
                "text": text(),
                "number": {"type": "number"},
                "flag": {"type": "boolean"},
                "either": {"x-kubernetes-int-or-string": true},
                "nullable": {"type": "string", "nullable": true},
                "pair": {"type": "object", "properties": {"x": text(), "y": text(), "deep": pair()}},
                "map": {"type": "object", "additionalProperties": text()},
                "pairs": {"type": "object", "additionalProperties": pair()},
                "atomicMap": {"type": "object", "additionalProperties": text(),
                    "x-kubernetes-map-type": "atomic"},
                "atomicPair": {"type": "object", "properties": {"x": text(), "y": text()},
                    "x-kubernetes-map-type": "atomic"},
                "list": {"type": "array", "items": pair()},
                "set": {"type": "array", "items": text(), "x-kubernetes-list-type": "set"},
                "numbers": {"type": "array", "items": {"type": "number"},
                    "x-kubernetes-list-type": "set"},
                "items": {"type": "array", "x-kubernetes-list-type": "map",
                    "x-kubernetes-list-map-keys": ["name"],
                    "items": {"type": "object", "required": ["name"], "properties": {
                        "name": text(), "value": text(), "pair": pair(),
                        "tags": {"type": "array", "items": text(), "x-kubernetes-list-type": "set"},
                    }}},
                "ports": {"type": "array", "x-kubernetes-list-type": "map",
                    "x-kubernetes-list-map-keys": ["port", "protocol"],
                    "items": {"type": "object", "properties": {
                        "port": {"type": "integer"},
                        "protocol": {"type": "string", "default": "TCP"},
                        "name": text(),
                    }}},
                "free": {"type": "object", "x-kubernetes-preserve-unknown-fields": true},
                "half": {"type": "object", "x-kubernetes-preserve-unknown-fields": true,
                    "properties": {"pair": pair()}},
                "any": {"x-kubernetes-preserve-unknown-fields": true},
                "template": {"type": "object", "x-kubernetes-embedded-resource": true,
                    "properties": {"spec": pair()}},
            }},
            "status": {"type": "object", "properties": {"ready": {"type": "boolean"}, "seen": text()}},
        },
    }))
    .unwrap()
}

pub(crate) fn object(spec: Value) -> Object {
    whole(json!({"spec": spec}))
}

/// An object with these fields, and what every object has.
pub(crate) fn whole(fields: Value) -> Object {
    let mut object = Object::from_value(fields).unwrap();
    object.set_type(VERSION, "Thing");
    object.set_meta("name", "x");
    object
}

pub(crate) struct World {
    pub(crate) schema: Schema,
    pub(crate) live: Option<Object>,
    pub(crate) reset: ResetFields,
    pub(crate) subresource: &'static str,
    /// Seconds since 1970; every write comes a second later.
    pub(crate) clock: i64,
}

impl World {
    pub(crate) fn new() -> Self {
        Self { schema: schema(), live: None, reset: ResetFields::none(), subresource: "", clock: 0 }
    }

    /// With an object that nobody tracks.
    pub(crate) fn untracked(spec: Value) -> Self {
        Self { live: Some(object(spec)), ..Self::new() }
    }

    fn manager<'a>(&self, name: &'a str, version: &'a str) -> Manager<'a> {
        Manager::new(name, version)
            .subresource(self.subresource)
            .at(Timestamp::from_second(self.clock).unwrap())
    }

    pub(crate) fn try_apply(
        &mut self,
        name: &str,
        config: &Object,
        force: bool,
    ) -> Result<(), ApplyError> {
        self.clock += 1;
        let manager = self.manager(name, config.api_version());
        let applied =
            apply(&self.schema, self.live.as_ref(), config, &manager, &self.reset, force)?;
        self.live = Some(applied);
        Ok(())
    }

    pub(crate) fn apply(&mut self, name: &str, spec: Value) -> &mut Self {
        self.try_apply(name, &object(spec), false).unwrap();
        self
    }

    pub(crate) fn force(&mut self, name: &str, spec: Value) -> &mut Self {
        self.try_apply(name, &object(spec), true).unwrap();
        self
    }

    pub(crate) fn conflict(&mut self, name: &str, spec: Value) -> String {
        match self.try_apply(name, &object(spec), false) {
            Err(ApplyError::Conflicts(conflicts)) => conflicts.message(),
            other => panic!("no conflict but {other:?}"),
        }
    }

    pub(crate) fn error(&mut self, spec: Value) -> String {
        self.try_apply("a", &object(spec), false).unwrap_err().to_string()
    }

    /// A PUT of a whole object by a client that sends no `managedFields`.
    pub(crate) fn update_whole(&mut self, name: &str, mut new: Object) -> &mut Self {
        self.clock += 1;
        let version = new.api_version().to_owned();
        let manager = self.manager(name, &version);
        track_update(&self.schema, self.live.as_ref(), &mut new, &manager, &self.reset).unwrap();
        self.live = Some(new);
        self
    }

    pub(crate) fn update(&mut self, name: &str, spec: Value) -> &mut Self {
        self.update_whole(name, object(spec))
    }

    pub(crate) fn live(&self) -> &Object {
        self.live.as_ref().unwrap()
    }

    pub(crate) fn spec(&self) -> Value {
        self.live().fields().get("spec").cloned().unwrap_or_default()
    }

    pub(crate) fn managed_fields(&self) -> Value {
        self.live().metadata().unwrap().get("managedFields").cloned().unwrap_or_default()
    }

    /// Each entry as `manager(Operation)[/subresource]: paths`, in stored order. Paths are below
    /// `f:spec/`, if they are.
    pub(crate) fn owners(&self) -> Vec<String> {
        let Value::Array(entries) = self.managed_fields() else { return Vec::new() };
        entries.iter().map(owner).collect()
    }
}

fn owner(entry: &Value) -> String {
    let text = |name: &str| entry[name].as_str().unwrap_or_default();
    let mut paths = Vec::new();
    flatten(&entry["fieldsV1"], "", &mut paths);
    let mut subresource = text("subresource").to_owned();
    if !subresource.is_empty() {
        subresource.insert(0, '/');
    }
    let operation = if text("operation") == "Apply" { "" } else { "*" };
    format!("{}{operation}{subresource}: {}", text("manager"), paths.join(" "))
}

fn flatten(fields: &Value, path: &str, paths: &mut Vec<String>) {
    let fields = fields.as_object().unwrap();
    if fields.is_empty() || fields.contains_key(".") {
        paths.push(path.strip_prefix("f:spec/").unwrap_or(path).to_owned());
    }
    for (key, below) in fields.iter().filter(|(key, _)| *key != ".") {
        let path = if path.is_empty() { key.clone() } else { format!("{path}/{key}") };
        flatten(below, &path, paths);
    }
}
