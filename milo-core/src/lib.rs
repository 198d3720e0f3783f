//! The heart of Milo: what a resource is, where it lives, who asks, and how it is kept.
//!
//! Nothing in this crate opens a socket, but for the storage engines on PostgreSQL and etcd and
//! the snapshot that another process asks for. An evaluator, a ledger or a storage engine depends
//! on `milo-core` alone; `milo-apiserver-kit` puts a Kubernetes-style API server on top.
//!
//! | module | what it holds |
//! |---|---|
//! | [`definition`] | [`ResourceDefinition`](definition::ResourceDefinition): everything the server knows of a kind |
//! | [`json_path`] | the JSONPath subset of printer columns and selectable fields |
//! | [`schema`] | structural schemas: prune, default, validate, CEL rules |
//! | [`object`], [`meta`], [`conditions`] | objects, their metadata rules, condition helpers |
//! | [`scope`], [`key`] | control planes and the storage keys that cannot be built without one |
//! | [`identity`], [`request`] | who asks, and what is asked |
//! | [`authorization`], [`admission`] | the traits that decide |
//! | [`managed_fields`] | server-side apply: who owns which field, and merging by schema |
//! | [`selector`] | label and field selectors |
//! | [`status`] | Kubernetes `Status` errors |
//! | [`storage`] | the storage trait and its engines |
//! | `testing` | with the feature of that name: real database servers on loopback |
//! | [`resourcemanager`] | the hierarchy kinds: Organization, Project, memberships, suspensions |

// The Rust in the README must compile.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;

// And that in the guide to the storage contract.
#[cfg(all(doctest, feature = "testing"))]
#[doc = include_str!("../../docs/storage.md")]
struct StorageGuide;

pub mod admission;
pub mod authorization;
pub mod canonical;
pub mod conditions;
pub mod definition;
pub mod identity;
pub mod json_path;
pub mod key;
pub mod managed_fields;
pub mod meta;
pub mod object;
pub mod request;
pub mod resourcemanager;
pub mod schema;
pub mod scope;
pub mod selector;
pub mod status;
pub mod storage;
#[cfg(feature = "testing")]
pub mod testing;

// Re-exported so that users of this crate cannot mismatch versions.
pub use bytes;
pub use k8s_openapi;
pub use kube_core;
pub use schemars;
