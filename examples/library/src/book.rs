//! Books.

use kube::CustomResource;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// A book in the library.
#[derive(CustomResource, JsonSchema, Serialize, Deserialize, Clone, Debug, PartialEq)]
#[kube(group = "library.example.com", version = "v1", kind = "Book", namespaced)]
#[kube(status = "BookStatus", derive = "PartialEq")]
#[kube(selectable = ".spec.author", selectable = ".spec.shelf")]
#[kube(
    printcolumn = r#"{"name": "Author", "type": "string", "jsonPath": ".spec.author"}"#,
    printcolumn = r#"{"name": "Shelf", "type": "string", "jsonPath": ".spec.shelf"}"#,
    printcolumn = r#"{"name": "Lent To", "type": "string", "jsonPath": ".status.lentTo"}"#
)]
pub struct BookSpec {
    /// What is on its cover.
    #[schemars(length(min = 1))]
    pub title: String,
    /// Who wrote it.
    #[schemars(length(min = 1))]
    pub author: String,
    /// Where it stands.
    #[serde(default = "unsorted")]
    #[schemars(length(max = 63), regex(pattern = r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?$"))]
    pub shelf: String,
    /// How many pages it has.
    #[serde(default)]
    pub pages: u32,
}

/// What is known of a book beside what is wanted of it.
#[derive(JsonSchema, Serialize, Deserialize, Clone, Debug, Default, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct BookStatus {
    /// Who has it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub lent_to: Option<String>,
}

fn unsorted() -> String {
    "unsorted".to_owned()
}
