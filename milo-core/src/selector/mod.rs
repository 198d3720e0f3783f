//! Label and field selectors: which objects a list, a watch or a controller wants.
//!
//! The grammar is that of Kubernetes (`spec/wire.md` 4.1). A selector is parsed once per request
//! and then matched against very many objects, so matching never allocates.
//!
//! ```
//! use milo_core::selector::{FieldSelector, LabelSelector};
//!
//! let labels: LabelSelector = "tier in (web, api),!legacy".parse()?;
//! assert!(labels.matches_sorted(&[("app", "shop"), ("tier", "web")]));
//! assert!(!labels.matches_sorted(&[("legacy", ""), ("tier", "web")]));
//! assert_eq!(labels.to_string(), "!legacy,tier in (api,web)");
//!
//! let fields: FieldSelector = "metadata.name=shop,status.phase!=Failed".parse()?;
//! assert_eq!(fields.required_value("metadata.name"), Some("shop"));
//! # Ok::<(), milo_core::selector::ParseSelectorError>(())
//! ```

mod field;
mod label;
mod parser;

pub use field::{FieldOperator, FieldRequirement, FieldSelector};
pub use label::{InvalidRequirement, LabelOperator, LabelRequirement, LabelSelector};

/// Why a text is not a selector. Clients are answered 400 with this text.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ParseSelectorError {
    /// A label selector breaks the grammar, or a key or value in it is not allowed.
    #[error("unable to parse requirement: {0}")]
    Requirement(String),
    /// A term of a field selector has no operator.
    #[error("invalid selector: '{selector}'; can't understand '{term}'")]
    Term {
        /// The whole selector.
        selector: String,
        /// The term without an operator.
        term: String,
    },
    /// A backslash in the value of a field selector is not followed by `\`, `,` or `=`.
    #[error("invalid field selector: invalid escape sequence: {0}")]
    Escape(String),
    /// The value of a field selector holds a bare `,` or `=`; write `\,` or `\=`.
    #[error("invalid field selector: unescaped character in value: {0}")]
    Unescaped(char),
}
