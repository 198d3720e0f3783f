//! The compiled tree.

use std::collections::BTreeMap;

use serde_json::Value;

use super::{checks::Checks, compose::Compositions, format::Format, rule::Rule};

/// One schema of the tree.
#[derive(Debug, Default)]
pub(super) struct Node {
    pub(super) types: Types,
    pub(super) nullable: bool,
    /// Unknown fields are kept.
    pub(super) preserve_unknown: bool,
    /// The root, or `x-kubernetes-embedded-resource`: has type and metadata of its own.
    pub(super) embedded: bool,
    pub(super) properties: BTreeMap<String, Self>,
    pub(super) additional: Additional,
    pub(super) items: Option<Box<Self>>,
    pub(super) list: List,
    /// `x-kubernetes-map-type: atomic`: merged and owned as one.
    pub(super) atomic_map: bool,
    /// With the defaults below it already applied.
    pub(super) default: Option<Value>,
    pub(super) required: Vec<String>,
    pub(super) format: Option<Format>,
    pub(super) checks: Checks,
    pub(super) compositions: Option<Box<Compositions>>,
    pub(super) rules: Vec<Rule>,
    /// There are CEL rules here or below.
    pub(super) rules_below: bool,
    /// There are sets or list maps here or below.
    pub(super) lists_below: bool,
}

/// What a value may be.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Types {
    #[default]
    Any,
    Object,
    Array,
    String,
    Integer,
    Number,
    Boolean,
    IntOrString,
}

/// Fields that are not declared.
#[derive(Debug, Default)]
pub(super) enum Additional {
    /// Unknown: pruned.
    #[default]
    Undeclared,
    /// `additionalProperties: false`: pruned, and an error when not.
    Forbidden,
    /// `additionalProperties: true`.
    Any,
    Node(Box<Node>),
}

/// How items of a list are told apart.
#[derive(Debug, Default)]
pub(super) enum List {
    #[default]
    Atomic,
    Set,
    /// By these fields.
    Map(Vec<String>),
}

impl Node {
    /// The schema of a field, if there is one.
    pub(super) fn field(&self, name: &str) -> Option<&Self> {
        self.properties.get(name).or(match &self.additional {
            Additional::Node(node) => Some(node),
            _ => None,
        })
    }

    /// Whether a field is type or metadata, which are none of our business.
    pub(super) fn is_meta(&self, name: &str) -> bool {
        self.embedded && is_meta(name)
    }

    /// A map with free keys rather than a struct with fields.
    pub(super) fn is_map(&self) -> bool {
        matches!(self.additional, Additional::Any | Additional::Node(_))
    }

    /// Sets the flags that say what is below.
    pub(super) fn summarize(&mut self) {
        let additional = match &self.additional {
            Additional::Node(node) => Some(&**node),
            _ => None,
        };
        let children = || self.properties.values().chain(self.items.as_deref()).chain(additional);
        let rules = !self.rules.is_empty() || children().any(|child| child.rules_below);
        let lists = !matches!(self.list, List::Atomic) || children().any(|child| child.lists_below);
        self.rules_below = rules;
        self.lists_below = lists;
    }
}

/// Whether a field of a whole object is type or metadata.
pub(super) fn is_meta(name: &str) -> bool {
    matches!(name, "apiVersion" | "kind" | "metadata")
}

impl Types {
    /// The name in the document, as CEL errors show it instead of a value.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Object => "object",
            Self::Array => "array",
            Self::String => "string",
            Self::Integer => "integer",
            Self::Number => "number",
            Self::Boolean => "boolean",
            Self::Any | Self::IntOrString => "",
        }
    }

    /// The names that a wrong value should have had.
    pub(super) fn expected(self) -> &'static str {
        if self == Self::IntOrString { "integer,string" } else { self.name() }
    }
}
