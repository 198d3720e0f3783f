//! What inputs are made of: valid requests, objects and patches, and ways to spoil them.
//!
//! Random bytes seldom get past the first check. These grammars begin with something valid and
//! change a few things about it, so that inputs reach the checks behind.

mod object;
mod protobuf;
mod request;
mod schema;
mod spoil;
mod value;
mod yaml;

pub(crate) use object::{json_patch, merge_patch, object};
pub(crate) use protobuf::protobuf;
pub(crate) use request::{
    any_call, collection_query, escape, headers, method, path, user, write_query,
};
pub(crate) use schema::schema;
pub(crate) use spoil::spoiled;
pub(crate) use value::{number, text, value};
pub(crate) use yaml::yaml;
