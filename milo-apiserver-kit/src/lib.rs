//! A framework for Kubernetes-style API servers: kubectl, kube-rs and client-go speak to it
//! unmodified.
//!
//! Declare a kind with kube's own `CustomResource` derive, hand it to a [`Server`], and it is
//! discovered, validated, stored, listed, watched and patched as any Kubernetes kind is. There is
//! no generated code and no external process.
//!
//! ```
//! use kube::CustomResource;
//! use milo_apiserver_kit::Server;
//! use milo_core::storage::Memory;
//! use schemars::JsonSchema;
//! use serde::{Deserialize, Serialize};
//!
//! /// A virtual machine.
//! #[derive(CustomResource, Serialize, Deserialize, Clone, Debug, JsonSchema)]
//! #[kube(group = "compute.example.com", version = "v1", kind = "VirtualMachine", shortname = "vm")]
//! pub struct VirtualMachineSpec {
//!     /// Number of cores.
//!     pub cores: u32,
//! }
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let server = Server::builder(Memory::new()).kind::<VirtualMachine>().build().await?;
//! // A `tower::Service`: serve it with `server.serve(...)`, or nest it in a program of yours.
//! let service = server.service();
//! # drop(service);
//! # Ok(())
//! # }
//! ```
//!
//! | module | what it holds |
//! |---|---|
//! | [`server`] | [`Server`] and its builder |
//! | [`kind`], [`rest`] | kinds with subresources or a storage of their own |
//! | [`strategy`] | what a kind decides for itself when it is written |
//! | [`service`] | the server as one `tower::Service` |
//! | [`authn`] | who is calling: client certificates, bearer tokens |
//! | [`listener`], [`tls`], [`pki`], [`kubeconfig`] | the kit's own HTTPS edge |
//! | [`discovery`], [`openapi`], [`version`], [`document`] | what the server says of itself |
//! | `cli` (feature) | Kubernetes-style flags and the main function of a server program |
//! | `testing` (feature) | a real server on a random port, and clients for it |

// The Rust in the READMEs must compile.
#[cfg(all(doctest, feature = "cli"))]
#[doc = include_str!("../../README.md")]
#[doc = include_str!("../README.md")]
struct Readme;

pub mod authn;
mod authorizers;
pub mod body;
mod bounded;
mod cache;
#[cfg(feature = "cli")]
pub mod cli;
mod compress;
pub mod discovery;
pub mod document;
mod duration;
mod errors;
mod health;
mod human;
mod in_flight;
pub mod kind;
pub mod kubeconfig;
pub mod listener;
mod media;
mod negotiate;
pub mod openapi;
mod paths;
pub mod pki;
mod protobuf;
mod registry;
mod request;
mod respond;
pub mod rest;
mod reviews;
pub mod server;
pub mod service;
pub mod strategy;
mod table;
#[cfg(feature = "testing")]
pub mod testing;
pub mod tls;
pub mod version;
mod websocket;

pub use kind::Kind;
pub use milo_core;
pub use server::{Server, ServerBuilder};
