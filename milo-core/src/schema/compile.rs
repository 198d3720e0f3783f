//! From a document to the compiled tree.

use regex::Regex;
use serde_json::{Map, Number, Value};

use super::{
    SchemaError,
    checks::{Bound, Checks},
    compose::Compositions,
    default,
    format::Format,
    node::{Additional, List, Node, Types, is_meta},
    path::Path,
    prune,
    rule::Rule,
    validate,
};
use crate::status::FieldPath;

/// Deepest nesting of schemas. Walks recurse along the schema, so this bounds their stack too.
const MAX_DEPTH: usize = 64;

/// Compiles the schema of a whole object.
pub(super) fn compile(document: &Value) -> Result<Node, SchemaError> {
    compile_node(document, &FieldPath::new("openAPIV3Schema"), Place::Root, 0)
}

/// Where in the document a schema stands; it decides what must and may be said.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Place {
    Root,
    /// A field, an item or a map entry.
    Value,
    /// Inside `allOf`, `anyOf`, `oneOf` or `not`.
    Nested,
}

impl Place {
    fn below(self) -> Self {
        if self == Self::Nested { Self::Nested } else { Self::Value }
    }
}

fn compile_node(
    document: &Value,
    path: &FieldPath,
    place: Place,
    depth: usize,
) -> Result<Node, SchemaError> {
    if depth > MAX_DEPTH {
        return Err(SchemaError::new(path, format!("is nested deeper than {MAX_DEPTH} levels")));
    }
    let fields = document.as_object().ok_or_else(|| SchemaError::new(path, "must be an object"))?;
    let source = Source { fields, path, place, depth };
    if fields.contains_key("$ref") {
        return Err(source.error("$ref", "references are not supported"));
    }
    let mut node = Node {
        types: source.types()?,
        nullable: source.flag("nullable")?,
        preserve_unknown: source.flag("x-kubernetes-preserve-unknown-fields")?,
        embedded: place == Place::Root || source.flag("x-kubernetes-embedded-resource")?,
        required: source.strings("required")?,
        ..Node::default()
    };
    source.children(&mut node)?;
    source.require_types(&node)?;
    node.list = source.list(&node)?;
    node.atomic_map = source.is_atomic_map()?;
    node.format = source.string("format")?.and_then(|format| Format::new(node.types, format));
    node.checks = source.checks()?;
    node.checks.int32 =
        node.types == Types::Integer && node.format.as_ref().is_some_and(|f| f.name() == "int32");
    node.compositions = source.compositions()?;
    node.rules = source.rules(&node)?;
    node.default = source.default(&node)?;
    node.summarize();
    Ok(node)
}

/// A schema in the document, with readers that name what they dislike.
struct Source<'a> {
    fields: &'a Map<String, Value>,
    path: &'a FieldPath,
    place: Place,
    depth: usize,
}

impl<'a> Source<'a> {
    fn error(&self, field: &str, problem: impl Into<String>) -> SchemaError {
        SchemaError::new(&self.path.child(field), problem)
    }

    fn get(&self, field: &str) -> Option<&'a Value> {
        self.fields.get(field).filter(|value| !value.is_null())
    }

    /// Reads a field as something, or says what it must be.
    fn read<T>(
        &self,
        field: &str,
        what: &str,
        read: impl FnOnce(&'a Value) -> Option<T>,
    ) -> Result<Option<T>, SchemaError> {
        let Some(value) = self.get(field) else { return Ok(None) };
        let problem = || self.error(field, format!("must be {what}, but is {value}"));
        read(value).map(Some).ok_or_else(problem)
    }

    fn flag(&self, field: &str) -> Result<bool, SchemaError> {
        Ok(self.read(field, "true or false", Value::as_bool)?.unwrap_or(false))
    }

    fn string(&self, field: &str) -> Result<Option<&'a str>, SchemaError> {
        self.read(field, "a string", Value::as_str)
    }

    fn strings(&self, field: &str) -> Result<Vec<String>, SchemaError> {
        let all = |value: &Value| {
            value.as_array()?.iter().map(|item| item.as_str().map(str::to_owned)).collect()
        };
        Ok(self.read(field, "a list of strings", all)?.unwrap_or_default())
    }

    fn list_of(&self, field: &str) -> Result<&'a [Value], SchemaError> {
        let items = self.read(field, "a list", Value::as_array)?;
        Ok(items.map_or(&[], Vec::as_slice))
    }

    fn count(&self, field: &str) -> Result<Option<usize>, SchemaError> {
        let count = |value: &Value| value.as_u64().and_then(|count| usize::try_from(count).ok());
        self.read(field, "a number of at least 0", count)
    }

    fn number(&self, field: &str) -> Result<Option<&'a Number>, SchemaError> {
        self.read(field, "a number", Value::as_number)
    }

    fn node(&self, document: &Value, path: &FieldPath, place: Place) -> Result<Node, SchemaError> {
        compile_node(document, path, place, self.depth + 1)
    }

    fn types(&self) -> Result<Types, SchemaError> {
        if self.flag("x-kubernetes-int-or-string")? {
            return Ok(Types::IntOrString);
        }
        match self.string("type")? {
            None | Some("") => Ok(Types::Any),
            Some("object") => Ok(Types::Object),
            Some("array") => Ok(Types::Array),
            Some("string") => Ok(Types::String),
            Some("integer") => Ok(Types::Integer),
            Some("number") => Ok(Types::Number),
            Some("boolean") => Ok(Types::Boolean),
            Some(other) => Err(self.error("type", format!("unknown type {other:?}"))),
        }
    }

    /// What must be said of a type so that the schema is structural.
    fn require_types(&self, node: &Node) -> Result<(), SchemaError> {
        if self.place == Place::Nested {
            return Ok(());
        }
        let must_be_object = node.embedded && node.types != Types::Object;
        if must_be_object {
            return Err(self.error("type", "must be object"));
        }
        if node.types == Types::Any && !node.preserve_unknown {
            return Err(self.error("type", "must be specified"));
        }
        if node.types == Types::Array && node.items.is_none() {
            return Err(self.error("items", "must be specified"));
        }
        if self.place == Place::Root && !matches!(node.additional, Additional::Undeclared) {
            return Err(self.error("additionalProperties", "must not be used at the root"));
        }
        Ok(())
    }

    fn children(&self, node: &mut Node) -> Result<(), SchemaError> {
        if node.embedded {
            node.required.retain(|name| !is_meta(name));
        }
        if let Some(properties) = self.read("properties", "an object", Value::as_object)? {
            let path = self.path.child("properties");
            for (name, document) in properties {
                if !node.is_meta(name) {
                    let child = self.node(document, &path.key(name), self.place.below())?;
                    node.properties.insert(name.clone(), child);
                }
            }
        }
        if let Some(document) = self.get("items") {
            let items = self.node(document, &self.path.child("items"), self.place.below())?;
            node.items = Some(Box::new(items));
        }
        node.additional = match self.get("additionalProperties") {
            None => Additional::Undeclared,
            Some(Value::Bool(false)) => Additional::Forbidden,
            Some(Value::Bool(true)) => Additional::Any,
            Some(document) => {
                let path = self.path.child("additionalProperties");
                Additional::Node(Box::new(self.node(document, &path, self.place.below())?))
            }
        };
        Ok(())
    }

    fn list(&self, node: &Node) -> Result<List, SchemaError> {
        const TYPE: &str = "x-kubernetes-list-type";
        const KEYS: &str = "x-kubernetes-list-map-keys";
        let keys = self.strings(KEYS)?;
        let list = self.string(TYPE)?;
        if list.is_some() && node.types != Types::Array {
            return Err(self.error(TYPE, "is only for arrays"));
        }
        if list != Some("map") && !keys.is_empty() {
            return Err(self.error(KEYS, format!("is only for {TYPE} map")));
        }
        match list {
            None | Some("atomic") => Ok(List::Atomic),
            Some("set") => Ok(List::Set),
            Some("map") if keys.is_empty() => {
                Err(self.error(KEYS, format!("must not be empty if {TYPE} is map")))
            }
            Some("map") => {
                let items = node.items.as_deref();
                let missing =
                    |key: &&String| !items.is_some_and(|items| items.properties.contains_key(*key));
                match keys.iter().find(missing) {
                    Some(key) => {
                        Err(self.error(KEYS, format!("{key:?} is not a property of the items")))
                    }
                    None => Ok(List::Map(keys)),
                }
            }
            Some(other) => {
                Err(self.error(TYPE, format!("must be atomic, set or map, but is {other:?}")))
            }
        }
    }

    fn is_atomic_map(&self) -> Result<bool, SchemaError> {
        const TYPE: &str = "x-kubernetes-map-type";
        match self.string(TYPE)? {
            None | Some("granular") => Ok(false),
            Some("atomic") => Ok(true),
            Some(other) => {
                Err(self.error(TYPE, format!("must be atomic or granular, but is {other:?}")))
            }
        }
    }

    fn checks(&self) -> Result<Checks, SchemaError> {
        let pattern = match self.string("pattern")?.filter(|pattern| !pattern.is_empty()) {
            None => None,
            Some(pattern) => Some(Regex::new(pattern).map_err(|error| {
                let problem = format!("must be a valid regular expression, but isn't: {error}");
                self.error("pattern", problem)
            })?),
        };
        let multiple_of = self.number("multipleOf")?;
        if multiple_of.and_then(Number::as_f64).is_some_and(|factor| factor <= 0.0) {
            return Err(self.error("multipleOf", "must be greater than 0"));
        }
        Ok(Checks {
            allowed: self.list_of("enum")?.to_vec(),
            minimum: self.bound("minimum", "exclusiveMinimum")?,
            maximum: self.bound("maximum", "exclusiveMaximum")?,
            multiple_of: multiple_of.cloned(),
            int32: false,
            min_length: self.count("minLength")?,
            max_length: self.count("maxLength")?,
            pattern,
            min_items: self.count("minItems")?,
            max_items: self.count("maxItems")?,
            unique_items: self.flag("uniqueItems")?,
            min_properties: self.count("minProperties")?,
            max_properties: self.count("maxProperties")?,
        })
    }

    /// OpenAPI 3.0 has a flag beside the limit, later JSON Schema a limit of its own.
    fn bound(&self, limit: &str, exclusive: &str) -> Result<Option<Bound>, SchemaError> {
        if let Some(Value::Number(limit)) = self.get(exclusive) {
            return Ok(Some(Bound { limit: limit.clone(), exclusive: true }));
        }
        let exclusive = self.flag(exclusive)?;
        Ok(self.number(limit)?.map(|limit| Bound { limit: limit.clone(), exclusive }))
    }

    fn compositions(&self) -> Result<Option<Box<Compositions>>, SchemaError> {
        let all = |field: &str| -> Result<Vec<Node>, SchemaError> {
            let path = self.path.child(field);
            let documents = self.list_of(field)?.iter().enumerate();
            documents.map(|(i, node)| self.node(node, &path.index(i), Place::Nested)).collect()
        };
        let not = match self.get("not") {
            None => None,
            Some(node) => Some(self.node(node, &self.path.child("not"), Place::Nested)?),
        };
        let found =
            Compositions { all: all("allOf")?, any: all("anyOf")?, one: all("oneOf")?, not };
        Ok((!found.is_empty()).then(|| Box::new(found)))
    }

    fn rules(&self, node: &Node) -> Result<Vec<Rule>, SchemaError> {
        const RULES: &str = "x-kubernetes-validations";
        let rules = self.list_of(RULES)?;
        if self.place == Place::Nested && !rules.is_empty() {
            return Err(self.error(RULES, "must be empty to be structural"));
        }
        let path = self.path.child(RULES);
        rules
            .iter()
            .enumerate()
            .map(|(i, rule)| Rule::compile(rule, node, &path.index(i)))
            .collect()
    }

    /// The default with all defaults below it, if it is valid.
    fn default(&self, node: &Node) -> Result<Option<Value>, SchemaError> {
        let Some(value) = self.get("default") else { return Ok(None) };
        if self.place == Place::Nested {
            return Err(self.error("default", "must be undefined to be structural"));
        }
        let mut value = value.clone();
        default::apply(node, &mut value);
        // What is pruned from a written object must not come back with its defaults.
        let mut unknown = prune::Removed::default();
        prune::value(node, &mut value, &Path::Root, &mut unknown);
        let unknown = unknown.into_paths();
        if let Some(field) = unknown.first() {
            return Err(self.error("default", format!("unknown field {field:?}")));
        }
        let mut errors = Vec::new();
        validate::value(node, (&value).into(), None, &Path::Root, &mut errors);
        match errors.first() {
            Some(error) => Err(self.error("default", error.to_string())),
            None => Ok(Some(value)),
        }
    }
}
