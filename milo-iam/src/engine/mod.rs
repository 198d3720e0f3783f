//! The engine: what the [model](crate::model) says, from indexes.
//!
//! A [`Writer`] holds the facts and turns changes into a new [`Snapshot`]; the old one stays as it
//! was for those who look at it. A snapshot knows, for each *node* (the id of an [`Extent`]: a target
//! together with the home of the bindings that name it) who is granted which role there, and for each subject on which
//! nodes. Homes are part of nodes so that what one tenant writes about another's objects is not
//! even looked at. A check finds the few nodes that cover a place, the few subjects that a principal
//! is, and intersects rows; roles are bits. Nothing is remembered from one check to the next.

mod catalogue;
mod detail;
mod difference;
mod explain;
mod extent;
mod grant;
mod identity;
mod index;
mod memory;
mod node_ids;
mod places;
mod resolve;
mod row;
mod rows;
mod slab;
mod snapshot;
mod subject_ids;
mod subjects;
mod suggestion;
mod tenant;
mod writer;

pub use difference::{AccessChange, Difference};
pub use explain::{Denial, Explanation, Guard};
pub use extent::{Extent, Objects, Page};
pub use grant::GrantError;
pub use snapshot::{Check, Memory, Snapshot};
pub use subjects::Subjects;
pub use suggestion::Suggestion;
pub(crate) use writer::Writer;
