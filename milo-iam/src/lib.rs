//! Identity and access management for Milo: the kinds of `iam.miloapis.com/v1alpha1`, and an
//! evaluator that answers in process, explains itself and is never stale.
//!
//! | module or type | what it is |
//! |---|---|
//! | [`kinds`] | the kinds as Rust types with their schemas |
//! | [`world`] | the facts that decide, read from stored objects |
//! | [`model`] | what access means, in about a page: the reference |
//! | [`Evaluator`] | takes lists and changes with revisions, publishes whole states |
//! | [`Snapshot`] | one state: checks, lists, explanations, what-ifs, guards against escalation |
//! | [`Certificate`] | why something is allowed, to be checked by whoever doubts it |
//! | [`IamAuthorizer`] | the evaluator as [`milo_core::authorization::Authorizer`] |
//!
//! ```
//! use milo_iam::{Evaluator, Explanation, Principal, Question, Within, world::WorldBuilder};
//!
//! let world = WorldBuilder::new()
//!     .organization("acme")
//!     .project("web", "acme")
//!     .user("ada")
//!     .kind("g.io", "Thing", "things", &["get"], &["Project"])
//!     .role("", "viewer", &["g.io/things.get"], &[])
//!     .bind_on_organization("acme", "ada-views", "viewer", "ada", "acme")
//!     .build();
//! let evaluator = Evaluator::new();
//! evaluator.relist(1, world)?;
//!
//! let snapshot = evaluator.snapshot();
//! let question = Question::new(Principal::new("ada"), "g.io/things.get".parse()?)
//!     .within(Within::project("web"))
//!     .name("a");
//! assert!(snapshot.check(&question));
//! let Explanation::Allowed(proof) = snapshot.explain(&question) else { unreachable!() };
//! assert!(proof.verify(snapshot.world()));
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

// The Rust in the README must compile.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;

mod authorizer;
mod certificate;
mod engine;
mod evaluator;
pub mod kinds;
pub mod model;
mod permission;
mod persistent;
mod publication;
mod question;
mod text;
pub mod world;

pub use authorizer::{IamAuthorizer, NotFresh};
pub use certificate::Certificate;
pub use engine::{
    AccessChange, Check, Denial, Difference, Explanation, Extent, GrantError, Guard, Memory,
    Objects, Page, Snapshot, Subjects, Suggestion,
};
pub use evaluator::{DecisionChange, DecisionChanges, Evaluator, FeedError, Stale};
pub use permission::{CORE_SERVICE, MalformedPermission, Permission};
pub use question::{Principal, Question, TenantRef, UnknownScope, Within};
pub use text::Text;
