//! The hierarchy kinds.
