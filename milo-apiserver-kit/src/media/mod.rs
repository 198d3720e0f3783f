//! Media types and values: which bytes become which JSON value, and back (`spec/wire.md` section
//! 0.3).
//!
//! The rest of the kit knows values only. What a client sends is a [`BodyType`] and becomes a value
//! by [`BodyType::decode`]; what a client is sent is written in an [`Encoding`], a list item by item
//! ([`ListSyntax`]), so that no list has to be in memory twice. Reads of plain JSON pass none of
//! this: they copy stored bytes.

mod body;
mod encoding;
mod json;
mod list;
mod yaml;

pub(crate) use body::{BodyType, Decoded};
pub(crate) use encoding::Encoding;
pub(crate) use json::decode_json;
pub(crate) use list::ListSyntax;

pub(crate) use crate::document::{JSON, YAML};
pub(crate) const PROTOBUF: &str = "application/vnd.kubernetes.protobuf";
