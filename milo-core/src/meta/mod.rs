//! The rules of object metadata: names, labels, annotations, finalizers, owners, and what may
//! change (`spec/wire.md` 2.3, 2.5, 2.6).
//!
//! A write calls, in this order: [`validate_shape`] (are the JSON types right? else 400),
//! [`unknown_fields`] or [`prune_unknown_fields`], [`dedupe_owner_references`], and at the end
//! [`validate`] for a new object or [`validate_update`] for a changed one (else 422). None of
//! them allocates for an object that has nothing wrong.
//!
//! ```
//! use milo_core::{meta, object::Object};
//!
//! let mut object = Object::new("example.com/v1", "Widget", "Not_A_Name");
//! let errors = meta::validate(&object, false, meta::dns_subdomain_name);
//! assert_eq!(errors[0].path().to_string(), "metadata.name");
//!
//! object.set_meta("name", &meta::generate_name("widget-"));
//! assert!(meta::validate(&object, false, meta::dns_subdomain_name).is_empty());
//! ```

mod generate;
mod names;
mod owners;
mod shape;
mod update;
mod validate;

pub use generate::{generate_name, now};
pub(crate) use generate::{in_seconds, now_in_seconds};
pub use names::{
    NameRule, dns_label_name, dns_subdomain_name, path_segment_name, validate_dns_label,
    validate_dns_subdomain, validate_label_value, validate_path_segment, validate_qualified_name,
};
pub use owners::{dedupe_owner_references, dedupe_owner_references_after_admission};
pub use shape::{prune_unknown_fields, unknown_fields, validate_shape};
pub use update::validate_update;
pub(crate) use validate::is_printable;
pub use validate::{finalizer_warnings, validate, validate_field_manager, validate_managed_fields};

use crate::status::FieldPath;

/// The path of a field of `metadata`. Only errors need it.
fn at(field: &str) -> FieldPath {
    FieldPath::new("metadata").child(field)
}
