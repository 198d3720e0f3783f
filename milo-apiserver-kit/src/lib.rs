//! A framework for Kubernetes-style API servers.
