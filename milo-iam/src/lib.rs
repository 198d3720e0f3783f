//! Identity and access management for Milo. This crate is still empty.
//!
//! It will hold the kinds of `iam.miloapis.com/v1alpha1` (users, groups, roles, policy bindings,
//! protected resources, service accounts, invitations) and the permission evaluator that answers
//! questions about them in process: `check`, `list_objects`, `list_subjects`, `explain` and
//! `what_if`. It depends on [`milo_core`] only and implements
//! [`milo_core::authorization::Authorizer`], so that it can be embedded in any program.
