//! Quotas for Milo. This crate is still empty.
//!
//! It will hold the kinds of `quota.miloapis.com/v1alpha1` (registrations, grants, claims,
//! allowance buckets) and the ledger that decides a claim inside the commit which creates the
//! object that claims. It depends on [`milo_core`] only and implements
//! [`milo_core::admission::Admission`].
