//! Printer columns and selectable fields.

use std::{borrow::Cow, fmt};

use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceColumnDefinition;
use serde_json::{Map, Value};

use super::{InvalidColumn, InvalidSelectableField};
use crate::json_path::JsonPath;

/// What a column holds: the types of a Kubernetes table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum ColumnKind {
    /// Text.
    String,
    /// A whole number.
    Integer,
    /// Any number.
    Number,
    /// `true` or `false`.
    Boolean,
    /// A point in time, shown as the time that has passed since.
    Date,
}

impl ColumnKind {
    const ALL: [Self; 5] = [Self::String, Self::Integer, Self::Number, Self::Boolean, Self::Date];

    /// The word that definitions and tables use.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::String => "string",
            Self::Integer => "integer",
            Self::Number => "number",
            Self::Boolean => "boolean",
            Self::Date => "date",
        }
    }
}

impl fmt::Display for ColumnKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// A column of a kind's table, as `kubectl get` prints it.
#[derive(Clone, Debug, PartialEq)]
pub struct Column {
    name: String,
    kind: ColumnKind,
    format: String,
    description: String,
    priority: i32,
    json_path: JsonPath,
}

impl Column {
    /// A column that is always shown.
    ///
    /// # Errors
    /// When the path is not one that [`JsonPath`] reads.
    pub fn new(
        name: impl Into<String>,
        kind: ColumnKind,
        json_path: &str,
    ) -> Result<Self, InvalidColumn> {
        Ok(Self {
            name: name.into(),
            kind,
            format: String::new(),
            description: String::new(),
            priority: 0,
            json_path: JsonPath::parse(json_path)?,
        })
    }

    /// Names an OpenAPI format, as `int64`.
    #[must_use]
    pub fn with_format(mut self, format: impl Into<String>) -> Self {
        self.format = format.into();
        self
    }

    /// Describes the column.
    #[must_use]
    pub fn with_description(mut self, description: impl Into<String>) -> Self {
        self.description = description.into();
        self
    }

    /// Above 0, the column is shown in wide tables only.
    #[must_use]
    pub fn with_priority(mut self, priority: i32) -> Self {
        self.priority = priority;
        self
    }

    /// The only column of a kind that declares none.
    pub(super) fn age() -> Self {
        // INVARIANT: the path is a constant of the supported form; a unit test makes the column.
        #[expect(clippy::expect_used, reason = "see the invariant above")]
        let age = Self::new("Age", ColumnKind::Date, ".metadata.creationTimestamp")
            .expect("the path of the age is valid");
        age.with_description("When the object was created.")
    }

    pub(super) fn from_crd(column: &CustomResourceColumnDefinition) -> Result<Self, InvalidColumn> {
        let kind = ColumnKind::ALL.into_iter().find(|kind| kind.as_str() == column.type_);
        let kind = kind.ok_or_else(|| InvalidColumn::Kind(column.type_.clone()))?;
        Ok(Self {
            format: column.format.clone().unwrap_or_default(),
            description: column.description.clone().unwrap_or_default(),
            priority: column.priority.unwrap_or_default(),
            ..Self::new(&column.name, kind, &column.json_path)?
        })
    }

    /// The heading.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// What the cells hold.
    #[must_use]
    pub fn kind(&self) -> ColumnKind {
        self.kind
    }

    /// The OpenAPI format; empty for none.
    #[must_use]
    pub fn format(&self) -> &str {
        &self.format
    }

    /// The description; empty for none.
    #[must_use]
    pub fn description(&self) -> &str {
        &self.description
    }

    /// 0 for a column that is always shown, more for wide tables.
    #[must_use]
    pub fn priority(&self) -> i32 {
        self.priority
    }

    /// Where in an object the cell's value is.
    #[must_use]
    pub fn json_path(&self) -> &JsonPath {
        &self.json_path
    }
}

/// A field that clients can select by.
#[derive(Clone, Debug, PartialEq)]
pub struct SelectableField {
    label: String,
    json_path: JsonPath,
}

impl SelectableField {
    /// From a path of field names, as `.spec.userRef.name`; the leading dot may be missing.
    ///
    /// # Errors
    /// When the path cannot be read or could select more than one value.
    pub fn new(path: &str) -> Result<Self, InvalidSelectableField> {
        let dotted = if path.starts_with(['.', '[']) { path.into() } else { format!(".{path}") };
        let json_path = JsonPath::parse(&dotted)?;
        let fields = json_path.fields();
        let label = fields.map(|fields| fields.join("."));
        let label = label.ok_or_else(|| InvalidSelectableField::NotPlain(path.to_owned()))?;
        Ok(Self { label, json_path })
    }

    /// What a field selector calls it: the path without the leading dot.
    #[must_use]
    pub fn label(&self) -> &str {
        &self.label
    }

    /// Where in an object the value is.
    #[must_use]
    pub fn json_path(&self) -> &JsonPath {
        &self.json_path
    }

    /// What a selector compares with: the text of a string, number or boolean, and the empty text
    /// for all else, as upstream.
    #[must_use]
    pub fn value<'a>(&self, object: &'a Map<String, Value>) -> Cow<'a, str> {
        match self.json_path.first_in(object) {
            Some(Value::String(text)) => Cow::Borrowed(text),
            Some(value @ (Value::Number(_) | Value::Bool(_))) => Cow::Owned(value.to_string()),
            Some(Value::Null | Value::Array(_) | Value::Object(_)) | None => Cow::Borrowed(""),
        }
    }
}
