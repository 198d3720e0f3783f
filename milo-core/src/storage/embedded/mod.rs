//! The durable embedded engine, on redb.

/// A durable engine in one directory.
#[derive(Debug)]
pub struct Embedded {}
/// Options for [`Embedded`].
#[derive(Debug)]
pub struct EmbeddedBuilder {}
/// Why a directory could not be opened.
#[derive(Debug)]
pub struct OpenError {}
