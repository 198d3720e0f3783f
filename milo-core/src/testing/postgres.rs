//! A PostgreSQL on loopback.
