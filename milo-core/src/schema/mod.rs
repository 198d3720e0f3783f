//! Structural schemas.

use serde_json::Value;

/// A structural schema, ready to use.
#[derive(Clone, Debug, PartialEq)]
pub struct Schema {
    document: Value,
}

/// Why a document is no structural schema.
#[derive(Debug, thiserror::Error)]
#[error("schema must be an object")]
pub struct SchemaError;

impl Schema {
    /// Reads a schema document.
    ///
    /// # Errors
    /// When the document is not an object.
    pub fn compile(document: Value) -> Result<Self, SchemaError> {
        if document.is_object() { Ok(Self { document }) } else { Err(SchemaError) }
    }

    /// The document it was made of.
    #[must_use]
    pub fn document(&self) -> &Value {
        &self.document
    }
}
