//! Who owns which field: server-side apply, and `metadata.managedFields` (`spec/wire.md` 3.4).
//!
//! Every write records in `metadata.managedFields` which fields its manager owns. [`apply`] merges
//! a partial configuration into an object by schema: it takes ownership of what it says, refuses
//! to change what others own unless forced, and removes what the manager said before and says no
//! longer. All other writes go through [`track_update`], which never fails for want of ownership.
//! Formats, rules and texts are those of upstream's `structured-merge-diff`.
//!
//! A kind is served in one version. Entries that speak of another are kept as they are: nothing
//! conflicts with them, and what they name is not pruned.
//!
//! ```
//! use milo_core::{
//!     managed_fields::{ApplyError, Manager, ResetFields, apply},
//!     object::Object,
//!     schema::Schema,
//! };
//! use serde_json::json;
//!
//! let schema = Schema::compile(json!({
//!     "type": "object",
//!     "properties": {"spec": {"type": "object", "properties": {"size": {"type": "integer"}}}},
//! }))?;
//! let config = |size: i64| {
//!     Object::from_value(json!({
//!         "apiVersion": "g/v1", "kind": "K", "metadata": {"name": "n"}, "spec": {"size": size},
//!     }))
//! };
//! let reset = ResetFields::none();
//! let created =
//!     apply(&schema, None, &config(1)?, &Manager::new("a", "g/v1"), &reset, false).unwrap();
//! let refused =
//!     apply(&schema, Some(&created), &config(2)?, &Manager::new("b", "g/v1"), &reset, false);
//! let Err(ApplyError::Conflicts(conflicts)) = refused else { panic!("no conflict") };
//! assert_eq!(
//!     conflicts.message(),
//!     "Apply failed with 1 conflict: conflict with \"a\": .spec.size"
//! );
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! | file | what it does |
//! |---|---|
//! | `apply`, `last_applied`, `conflict` | server-side apply |
//! | `update` | all other writes |
//! | `manager`, `entry` | who writes, and what is recorded of it |
//! | `set`, `element`, `fields_v1` | sets of fields, and their JSON |
//! | `fields`, `compare`, `merge`, `prune`, `reconcile`, `item` | walks along the schema |
//! | `scale` | entries of the subresource `scale` |

mod apply;
mod compare;
mod conflict;
mod element;
mod entry;
mod fields;
mod fields_v1;
mod item;
mod last_applied;
mod manager;
mod merge;
mod problem;
mod prune;
mod reconcile;
mod scale;
mod set;
mod text;
mod update;

pub use apply::{ApplyError, apply};
pub use conflict::Conflicts;
pub use manager::{Manager, ResetFields, default_manager};
pub use scale::ReplicasPath;
pub use update::{TrackError, keep_timestamps, track_update};
