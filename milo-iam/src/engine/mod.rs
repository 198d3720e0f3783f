//! The engine: what the [model](crate::model) says, from indexes.
//!
//! A [`Writer`] holds the facts and turns changes into a new [`Snapshot`]; the old one stays as it
//! was for those who look at it. A snapshot knows, for each *node* (a target together with the home
//! of the bindings that name it) who is granted which role there, and for each subject on which
//! nodes. Homes are part of nodes so that what one tenant writes about another's objects is not
//! even looked at. A check finds the few nodes that cover a place, the few subjects that a principal
//! is, and intersects rows; roles are bits. Nothing is remembered from one check to the next.

mod catalogue;
mod resolve;
mod rows;
mod slab;
mod snapshot;
mod table;
mod writer;

pub use snapshot::{Check, Snapshot};
pub(crate) use writer::Writer;
