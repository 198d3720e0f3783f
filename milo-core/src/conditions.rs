//! Helpers for `status.conditions`.
