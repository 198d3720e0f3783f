//! A framework for Kubernetes-style API servers.

pub mod discovery;
pub mod document;
pub mod openapi;
pub mod version;
