//! One entry of `x-kubernetes-validations`.

use serde::Deserialize;

use super::{
    SchemaError,
    expression::Expression,
    node::{Additional, Node, Types},
};
use crate::status::{FieldError, FieldErrorKind, FieldPath};

/// A compiled rule.
#[derive(Debug)]
pub(super) struct Rule {
    pub(super) expression: Expression,
    pub(super) message_expression: Option<Expression>,
    /// `oldSelf` is an optional value, and the rule runs without an old object too.
    pub(super) optional_old_self: bool,
    message: Option<String>,
    source: String,
    reason: FieldErrorKind,
    /// Below the rule's own path.
    field_path: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Source {
    rule: String,
    message: Option<String>,
    message_expression: Option<String>,
    reason: Option<String>,
    field_path: Option<String>,
    optional_old_self: Option<bool>,
}

impl Rule {
    /// Compiles a rule of a schema.
    pub(super) fn compile(
        document: &serde_json::Value,
        node: &Node,
        path: &FieldPath,
    ) -> Result<Self, SchemaError> {
        let source =
            Source::deserialize(document).map_err(|e| SchemaError::new(path, e.to_string()))?;
        let compile = |field: &str, text: &str| {
            Expression::compile(text).map_err(|problem| {
                SchemaError::new(&path.child(field), format!("{text:?}: {problem}"))
            })
        };
        let expression = compile("rule", &source.rule)?;
        let optional_old_self = source.optional_old_self.unwrap_or(false);
        if optional_old_self && !expression.uses_old_self() {
            let problem = "may not be set if oldSelf is not used in the rule";
            return Err(SchemaError::new(&path.child("optionalOldSelf"), problem));
        }
        let message_expression = source
            .message_expression
            .as_deref()
            .map(|text| compile("messageExpression", text))
            .transpose()?;
        if message_expression.as_ref().is_some_and(Expression::uses_old_self)
            && !expression.uses_old_self()
        {
            let problem = "may use oldSelf only if the rule does";
            return Err(SchemaError::new(&path.child("messageExpression"), problem));
        }
        let field_path = match source.field_path.as_deref() {
            None => None,
            Some(text) => Some(parse_field_path(text, node).map_err(|problem| {
                SchemaError::new(&path.child("fieldPath"), format!("{text:?} {problem}"))
            })?),
        };
        let trimmed = |text: String| Some(text.trim().to_owned()).filter(|text| !text.is_empty());
        Ok(Self {
            expression,
            message_expression,
            optional_old_self,
            message: source.message.and_then(trimmed),
            source: source.rule.trim().to_owned(),
            reason: parse_reason(source.reason.as_deref())
                .map_err(|problem| SchemaError::new(&path.child("reason"), problem))?,
            field_path,
        })
    }

    /// How the rule is called in errors about itself.
    pub(super) fn label(&self) -> &str {
        self.message.as_deref().unwrap_or(&self.source)
    }

    /// The error of a violated rule, with the text of its message expression if there is one.
    pub(super) fn violated(
        &self,
        path: &FieldPath,
        types: Types,
        message: Option<String>,
    ) -> FieldError {
        let message = message
            .or_else(|| self.message.clone())
            .unwrap_or_else(|| format!("failed rule: {}", self.source));
        let path = match &self.field_path {
            None => path.clone(),
            Some(below) if path.to_string() == "<nil>" => FieldPath::new(below),
            Some(below) => path.child(below),
        };
        FieldError::new(self.reason, path, types.name(), self.detail(message))
    }

    /// A duplicate shows the value and nothing else.
    fn detail(&self, message: String) -> String {
        if self.reason == FieldErrorKind::Duplicate { String::new() } else { message }
    }
}

fn parse_reason(reason: Option<&str>) -> Result<FieldErrorKind, String> {
    match reason {
        None | Some("FieldValueInvalid") => Ok(FieldErrorKind::Invalid),
        Some("FieldValueForbidden") => Ok(FieldErrorKind::Forbidden),
        Some("FieldValueRequired") => Ok(FieldErrorKind::Required),
        Some("FieldValueDuplicate") => Ok(FieldErrorKind::Duplicate),
        Some(other) => Err(format!("unknown reason {other:?}")),
    }
}

/// A path such as `.spec.labels['a.b']`, as errors print it: `spec.labels[a.b]`.
fn parse_field_path(text: &str, node: &Node) -> Result<String, &'static str> {
    let mut path = FieldPath::new("");
    let mut node = Some(node);
    let mut rest = text;
    while !rest.is_empty() {
        let (name, after) = split_step(rest)?;
        rest = after;
        let parent = node.ok_or("does not refer to a valid field")?;
        node = match (parent.properties.get(name.as_str()), &parent.additional) {
            (Some(child), _) => {
                path = path.child(&name);
                Some(child)
            }
            (None, Additional::Node(child)) if parent.properties.is_empty() => {
                path = path.key(&name);
                Some(child)
            }
            _ => return Err("does not refer to a valid field"),
        };
    }
    let path = path.to_string();
    if path.is_empty() { Err("is empty") } else { Ok(path) }
}

/// The first step, and what follows it.
fn split_step(text: &str) -> Result<(String, &str), &'static str> {
    if let Some(rest) = text.strip_prefix('.') {
        let end = rest.find(['.', '[']).unwrap_or(rest.len());
        let (name, rest) = rest.split_at(end);
        return if name.is_empty() {
            Err("has an empty step")
        } else {
            Ok((name.to_owned(), rest))
        };
    }
    let mut rest = text.strip_prefix("['").ok_or("must consist of .name and ['name'] steps")?;
    let mut name = String::new();
    loop {
        let mut chars = rest.chars();
        match chars.next() {
            None => return Err("has a quote that does not end"),
            Some('\'') => break,
            Some('\\') => match chars.next() {
                Some(quoted @ ('\'' | '\\')) => name.push(quoted),
                _ => return Err("has an unknown escape"),
            },
            Some(other) => name.push(other),
        }
        rest = chars.as_str();
    }
    let rest = rest.strip_prefix("']").ok_or("has a bracket that does not end")?;
    Ok((name, rest))
}
