//! Why a definition is refused.

use crate::{json_path::InvalidJsonPath, schema::SchemaError};

/// Why a [`ResourceDefinition`](super::ResourceDefinition) could not be made. Every variant names the kind it is about.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum DefinitionError {
    /// No version is both served and stored.
    #[error("kind `{kind}` has no version that is both served and stored: set both on one version")]
    NoVersion {
        /// The kind.
        kind: String,
    },
    /// The version carries no schema.
    #[error("kind `{kind}` has no schema: set `schema.openAPIV3Schema` of version `{version}`")]
    NoSchema {
        /// The kind.
        kind: String,
        /// The version.
        version: String,
    },
    /// The schema is not one that can be enforced.
    #[error("kind `{kind}`: {source}")]
    Schema {
        /// The kind.
        kind: String,
        /// What is wrong with the schema.
        source: SchemaError,
    },
    /// A name that cannot stand in a URL or a storage key.
    #[error("kind `{kind}`: {field} `{value}` is not valid: {rule}")]
    Name {
        /// The kind.
        kind: String,
        /// Which name it is, for example `plural`.
        field: &'static str,
        /// The name.
        value: String,
        /// What it must be.
        rule: &'static str,
    },
    /// A printer column that cannot be shown.
    #[error("kind `{kind}`: column `{column}`: {source}")]
    Column {
        /// The kind.
        kind: String,
        /// The column's name.
        column: String,
        /// What is wrong with it.
        source: InvalidColumn,
    },
    /// A scale subresource that leads nowhere.
    #[error("kind `{kind}`: scale: {source}")]
    Scale {
        /// The kind.
        kind: String,
        /// What is wrong with it.
        source: InvalidScale,
    },
    /// A selectable field that cannot be selected.
    #[error("kind `{kind}`: selectable field: {source}")]
    SelectableField {
        /// The kind.
        kind: String,
        /// What is wrong with it.
        source: InvalidSelectableField,
    },
}

/// Why a [`Column`](super::Column) could not be made.
#[derive(Clone, Debug, thiserror::Error, PartialEq, Eq)]
#[non_exhaustive]
pub enum InvalidColumn {
    /// The type is none that a table knows.
    #[error("type `{0}` must be string, integer, number, boolean or date")]
    Kind(String),
    /// The path cannot be read.
    #[error(transparent)]
    Path(#[from] InvalidJsonPath),
}

/// Why [`ReplicaPaths`](super::ReplicaPaths) could not be made.
#[derive(Clone, Debug, thiserror::Error, PartialEq, Eq)]
#[error(
    "path `{path}` must be made of field names below `.{root}`, for example `.{root}.replicas`"
)]
pub struct InvalidScale {
    pub(super) path: String,
    pub(super) root: String,
}

/// Why a [`SelectableField`](super::SelectableField) could not be made.
#[derive(Clone, Debug, thiserror::Error, PartialEq, Eq)]
#[non_exhaustive]
pub enum InvalidSelectableField {
    /// The path cannot be read.
    #[error(transparent)]
    Path(#[from] InvalidJsonPath),
    /// The path does not lead to exactly one value.
    #[error("path `{0}` must be made of field names only, for example `.spec.color`")]
    NotPlain(String),
}
