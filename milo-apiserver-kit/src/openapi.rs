//! OpenAPI: the published schemas and operations of the served kinds.
//!
//! kubectl reads them before it creates or applies anything, and `kubectl explain` prints them.
//! Everything is derived from the served kinds; the schemas of `ObjectMeta` and its like come
//! from k8s-openapi, completed by what it leaves out.

mod names;
mod operations;
mod parameters;
mod paths;
mod schemas;
pub mod v3;

#[cfg(test)]
mod tests;
