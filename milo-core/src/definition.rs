//! Everything the server knows of a kind.
