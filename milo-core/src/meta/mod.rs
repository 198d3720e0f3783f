//! The rules of object metadata.
