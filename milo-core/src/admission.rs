//! The trait that mutates and checks writes.
