//! Identity and access management for Milo: the kinds of `iam.miloapis.com/v1alpha1`.

mod authorizer;
mod certificate;
mod engine;
mod evaluator;
pub mod kinds;
pub mod model;
mod permission;
mod publication;
mod question;
mod text;
pub mod world;

pub use authorizer::{IamAuthorizer, NotFresh};
pub use certificate::Certificate;
pub use engine::{
    AccessChange, Check, Denial, Difference, Explanation, Extent, GrantError, Guard, Objects, Page,
    Snapshot, Subjects, Suggestion,
};
pub use evaluator::{DecisionChange, DecisionChanges, Evaluator, FeedError, Stale};
pub use permission::{CORE_SERVICE, MalformedPermission, Permission};
pub use question::{Principal, Question, TenantRef, UnknownScope, Within};
pub use text::Text;
