//! A request, parsed once at the edge: where, what and how.

pub(crate) mod body;
pub(crate) mod info;
pub(crate) mod options;
pub(crate) mod path;
pub(crate) mod query;

pub(crate) use info::RequestInfo;
pub(crate) use query::Query;
