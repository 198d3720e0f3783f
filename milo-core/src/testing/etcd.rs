//! An etcd on loopback.
