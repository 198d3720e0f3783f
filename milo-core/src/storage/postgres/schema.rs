//! The tables: made when they are not there, and brought to the newest layout.
//!
//! ```text
//! log      every change, once, in commit order; a row without a value is a removal
//! current  which row of the log has the newest value of each key
//! floor    what may be read of the past, and up to where the log has been thinned out
//! layout   which layout this is
//! ```
//!
//! Keys are `bytea`: compared byte by byte as text with `COLLATE "C"` would be, and they may hold
//! any byte.

use tokio_postgres::types::ToSql;

use super::{
    connection::{Connection, within},
    error::{Failure, PostgresConnectError},
    target::Target,
};

/// The newest layout.
const LAYOUT: i32 = 1;

/// What makes each layout of the one before it, beginning with none.
const MIGRATIONS: [&str; 1] = ["CREATE TABLE log (
         revision bigint NOT NULL,
         index integer NOT NULL,
         key bytea NOT NULL,
         value bytea,
         previous_revision bigint,
         previous_index integer,
         batch bytea,
         PRIMARY KEY (revision, index)
     ) WITH (autovacuum_vacuum_scale_factor = 0.05);
     CREATE TABLE current (
         key bytea PRIMARY KEY,
         revision bigint NOT NULL,
         index integer NOT NULL
     ) WITH (fillfactor = 80, autovacuum_vacuum_scale_factor = 0.05);
     CREATE TABLE floor (
         id integer PRIMARY KEY CHECK (id = 1),
         revision bigint NOT NULL,
         erased bigint NOT NULL
     );
     INSERT INTO floor VALUES (1, 0, 0);
     CREATE TABLE layout (id integer PRIMARY KEY CHECK (id = 1), version integer NOT NULL);
     INSERT INTO layout VALUES (1, 0);"];

/// Makes the tables what they must be. One replica at a time does it; who comes when it is done
/// needs no right to do it.
pub(super) async fn migrate(target: &Target) -> Result<(), PostgresConnectError> {
    let connection = Connection::open(target).await?;
    let found = layout(&connection, target).await?;
    if found == LAYOUT {
        return Ok(());
    }
    check(target, found)?;
    let failed = |failure: Failure| PostgresConnectError::Tables {
        schema: target.schema.clone(),
        server: target.server.clone(),
        reason: failure.to_string(),
    };
    let client = connection.client();
    let lock =
        "BEGIN; SELECT pg_advisory_xact_lock(1835625585, hashtext(current_setting('search_path')))";
    within(target.patience.operation, client.batch_execute(lock)).await.map_err(failed)?;
    // Another replica may have been quicker.
    let found = layout(&connection, target).await?;
    check(target, found)?;
    // Moving rows to another layout takes as long as it takes.
    let steps = format!("SET LOCAL statement_timeout = 0; {}", steps(target, found));
    client.batch_execute(&steps).await.map_err(|error| failed(error.into()))
}

fn check(target: &Target, found: i32) -> Result<(), PostgresConnectError> {
    if found > LAYOUT {
        let (schema, server) = (target.schema.clone(), target.server.clone());
        return Err(PostgresConnectError::NewerLayout { schema, server, found, known: LAYOUT });
    }
    Ok(())
}

/// The layout of the tables; zero when there are none.
async fn layout(connection: &Connection, target: &Target) -> Result<i32, PostgresConnectError> {
    let client = connection.client();
    let patience = target.patience.operation;
    let failed = |failure: Failure| PostgresConnectError::new(&target.server, &failure);
    let parameters: [&(dyn ToSql + Sync); 1] = [&target.schema];
    // Not `to_regclass`: that would remember what it did not find before the lock was there.
    let there =
        "SELECT EXISTS (SELECT FROM pg_tables WHERE schemaname = $1 AND tablename = 'layout')";
    let there = client.query_one(there, &parameters);
    let there = within(patience, there).await.map_err(failed)?;
    if !there.try_get::<_, bool>(0).map_err(|error| failed(error.into()))? {
        return Ok(0);
    }
    let version = client.query_one("SELECT version FROM layout WHERE id = 1", &[]);
    let version = within(patience, version).await.map_err(failed)?;
    version.try_get(0).map_err(|error| failed(error.into()))
}

fn steps(target: &Target, found: i32) -> String {
    let schema = &target.schema;
    let mut steps = String::new();
    if found == 0 {
        // Asking for a schema that is there would need the right to make one.
        steps += &format!(
            "DO $$ BEGIN IF NOT EXISTS (SELECT FROM pg_namespace WHERE nspname = '{schema}') \
             THEN CREATE SCHEMA {schema}; END IF; END $$;"
        );
    }
    let done = usize::try_from(found).unwrap_or_default();
    for migration in MIGRATIONS.iter().skip(done) {
        steps += migration;
    }
    steps + &format!("UPDATE layout SET version = {LAYOUT} WHERE id = 1; COMMIT")
}
