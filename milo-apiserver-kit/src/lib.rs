//! A framework for Kubernetes-style API servers.

pub mod authn;
pub mod body;
pub mod kubeconfig;
pub mod listener;
pub mod pki;
pub mod tls;
