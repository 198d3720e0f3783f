//! The engine on PostgreSQL.
