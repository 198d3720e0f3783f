//! What is asked of PostgreSQL.
//!
//! Every statement sees one snapshot, so what it tells of the state, the newest revision and the
//! floor always fits together. The newest revision is that of the newest row of the log; no row
//! is updated by every commit, since its dead versions would pile up while a backup keeps a
//! snapshot open.
//!
//! The first row of an answer to a read is about the store as a whole, and has no key. Nothing
//! rests on the order of the rows of a `UNION ALL`.

/// The newest revision. An empty log is at revision 1.
macro_rules! newest {
    () => {
        "coalesce((SELECT revision FROM log ORDER BY revision DESC, index DESC LIMIT 1), 1)"
    };
}

macro_rules! floor {
    () => {
        "(SELECT revision FROM floor WHERE id = 1)"
    };
}

/// Begins a commit. It is a query of its own, so that what is read after it has a snapshot that
/// was taken with the lock held.
pub(super) const BEGIN: &str = "BEGIN ISOLATION LEVEL READ COMMITTED; \
     SELECT pg_advisory_xact_lock(1835625583, hashtext(current_schema()))";

/// The newest revision, and the current values at the keys `$1`, each with the number of its key
/// counted from one.
pub(super) const CURRENT: &str = concat!(
    "SELECT 0::bigint, ",
    newest!(),
    ", 0, NULL::bytea
     UNION ALL
     SELECT asked.number, current.revision, current.index, log.value
     FROM unnest($1::bytea[]) WITH ORDINALITY AS asked (key, number)
     JOIN current ON current.key = asked.key
     LEFT JOIN log ON log.revision = current.revision AND log.index = current.index"
);

/// Writes a batch: the changes `$1` to `$7`, the keys `$8` that are gone, and the keys `$9` with
/// the places `$10`, `$11` of their new values; tells the channel `$12` the revision `$13`.
pub(super) const WRITE: &str = "WITH logged AS (
         INSERT INTO log (revision, index, key, value, previous_revision, previous_index, batch)
         SELECT * FROM unnest($1::bigint[], $2::integer[], $3::bytea[], $4::bytea[],
             $5::bigint[], $6::integer[], $7::bytea[])
     ), removed AS (
         DELETE FROM current WHERE key = ANY ($8::bytea[])
     ), written AS (
         INSERT INTO current (key, revision, index)
         SELECT * FROM unnest($9::bytea[], $10::bigint[], $11::integer[])
         ON CONFLICT (key) DO UPDATE SET revision = excluded.revision, index = excluded.index
     )
     SELECT pg_notify($12, $13)";

/// The newest revision, and the mark of the batch that made revision `$1`.
pub(super) const OUTCOME: &str =
    concat!("SELECT ", newest!(), ", (SELECT batch FROM log WHERE revision = $1 AND index = 0)");

/// The newest revision.
pub(super) const REVISION: &str = concat!("SELECT ", newest!());

/// The current value at the key `$1`.
pub(super) const GET: &str = "SELECT current.revision, log.value
     FROM current
     LEFT JOIN log ON log.revision = current.revision AND log.index = current.index
     WHERE current.key = $1";

/// All current values of the range from `$1` to before `$2`.
pub(super) const LIST: &str = concat!(
    "SELECT NULL::bytea, ",
    newest!(),
    ", NULL::bytea, ",
    floor!(),
    ", 0::bigint
     UNION ALL
     (SELECT current.key, current.revision, log.value, NULL, NULL
     FROM current
     LEFT JOIN log ON log.revision = current.revision AND log.index = current.index
     WHERE current.key >= $1 AND current.key < $2
     ORDER BY current.key)"
);

/// The first `$3` current values of the range from `$1` to before `$2`, and how many follow. They
/// are counted only when there are any.
pub(super) const PAGE: &str = concat!(
    "WITH page AS MATERIALIZED (
         SELECT key, revision, index FROM current
         WHERE key >= $1 AND key < $2 ORDER BY key LIMIT $3::bigint + 1
     )
     SELECT NULL::bytea, ",
    newest!(),
    ", NULL::bytea, ",
    floor!(),
    ", CASE WHEN (SELECT count(*) FROM page) > $3
         THEN (SELECT count(*) FROM current WHERE key >= $1 AND key < $2) - $3
         ELSE 0 END
     UNION ALL
     (SELECT page.key, page.revision, log.value, NULL, NULL
     FROM (SELECT * FROM page ORDER BY key LIMIT $3) AS page
     LEFT JOIN log ON log.revision = page.revision AND log.index = page.index)"
);

/// The first `$3` values, or all, of the range from `$1` to before `$2` at revision `$4`, and how
/// many follow: what has not changed since then, and what the first change since then replaced.
pub(super) const PAST_PAGE: &str = concat!(
    "WITH replaced AS MATERIALIZED (
         SELECT DISTINCT ON (key) key, previous_revision AS revision, previous_index AS index
         FROM log
         WHERE revision > $4 AND key >= $1 AND key < $2 AND $4 >= ",
    floor!(),
    "    ORDER BY key, log.revision
     ), page AS MATERIALIZED (
         SELECT key, revision, index FROM (
             (SELECT key, revision, index FROM current
             WHERE key >= $1 AND key < $2 AND revision <= $4 ORDER BY key LIMIT $3::bigint + 1)
             UNION ALL
             (SELECT key, revision, index FROM replaced
             WHERE revision IS NOT NULL ORDER BY key LIMIT $3 + 1)
         ) AS both_parts ORDER BY key LIMIT $3 + 1
     )
     SELECT NULL::bytea, ",
    newest!(),
    ", NULL::bytea, ",
    floor!(),
    ", CASE WHEN (SELECT count(*) FROM page) > $3
         THEN (SELECT count(*) FROM current WHERE key >= $1 AND key < $2 AND revision <= $4)
             + (SELECT count(*) FROM replaced WHERE revision IS NOT NULL) - $3
         ELSE 0 END
     UNION ALL
     (SELECT page.key, page.revision, log.value, NULL, NULL
     FROM (SELECT * FROM page ORDER BY key LIMIT $3) AS page
     LEFT JOIN log ON log.revision = page.revision AND log.index = page.index)"
);

/// The next changes after revision `$1` in the range from `$2` to before `$3`, of whole commits,
/// until there are `$4` of them or they have `$5` bytes. At most `$6` rows of the log are looked
/// at, if a commit has not more. The first row says how far that is, what the floor is, up to where
/// rows have been erased, and the newest revision.
pub(super) const CHANGES: &str = concat!(
    "WITH scanned AS MATERIALIZED (
         SELECT revision, index, previous_revision, previous_index,
             key >= $2 AND key < $3 AS within, coalesce(octet_length(value), 0) AS size
         FROM log WHERE revision > $1 ORDER BY revision, index LIMIT $6
     ), sized AS MATERIALIZED (
         SELECT scanned.revision, count(*) OVER before AS number,
             sum(scanned.size + coalesce(octet_length(log.value), 0)) OVER before AS bytes
         FROM scanned
         LEFT JOIN log ON log.revision = scanned.previous_revision
             AND log.index = scanned.previous_index
         WHERE scanned.within
         WINDOW before AS
             (ORDER BY scanned.revision, scanned.index ROWS UNBOUNDED PRECEDING)
     ), whole AS MATERIALIZED (
         SELECT CASE WHEN (SELECT count(*) FROM scanned) < $6 THEN ",
    newest!(),
    "        ELSE (SELECT CASE WHEN max(revision) - 1 > $1 THEN max(revision) - 1
                 ELSE max(revision) END FROM scanned) END AS revision
     ), until AS MATERIALIZED (
         SELECT least((SELECT revision FROM whole),
             coalesce((SELECT min(revision) FROM sized WHERE number >= $4 OR bytes >= $5),
                 9223372036854775807)) AS revision
     )
     SELECT (SELECT revision FROM until), NULL::integer, NULL::bytea, NULL::bytea, floor.revision,
         NULL::bytea, floor.erased, ",
    newest!(),
    " FROM floor WHERE id = 1
     UNION ALL
     (SELECT log.revision, log.index, log.key, log.value, log.previous_revision, previous.value,
         NULL, NULL
     FROM log
     LEFT JOIN log AS previous ON previous.revision = log.previous_revision
         AND previous.index = log.previous_index
     WHERE log.revision > $1 AND log.revision <= (SELECT revision FROM until)
         AND log.key >= $2 AND log.key < $3
         AND $1 >= (SELECT erased FROM floor WHERE id = 1)
     ORDER BY log.revision, log.index)"
);

/// Raises the floor to `$1`, or to the newest revision if that is less.
pub(super) const RAISE_FLOOR: &str = concat!(
    "UPDATE floor SET revision = greatest(revision, least($1, ",
    newest!(),
    ")) WHERE id = 1 AND revision < $1"
);

/// Erases what no revision from the floor on needs, going over about `$1` changes: the values that
/// they replaced, and those of them that are removals. Returns whether there may be more, or no
/// row while another replica is doing it. The changes of the newest revision always stay, because
/// they say what that is.
pub(super) const ERASE: &str = concat!(
    "WITH bounds AS MATERIALIZED (
         SELECT erased, least(revision, ",
    newest!(),
    " - 1) AS floor
         FROM floor WHERE id = 1 AND pg_try_advisory_xact_lock(1835625584, hashtext(current_schema()))
     ), scanned AS MATERIALIZED (
         SELECT revision FROM log
         WHERE revision > (SELECT erased FROM bounds) AND revision <= (SELECT floor FROM bounds)
         ORDER BY revision, index LIMIT $1
     ), until AS MATERIALIZED (
         SELECT CASE WHEN (SELECT count(*) FROM scanned) < $1 THEN floor
             ELSE (SELECT max(revision) FROM scanned) END AS revision, erased
         FROM bounds WHERE floor > erased
     ), chunk AS MATERIALIZED (
         SELECT revision, index, previous_revision, previous_index, value IS NULL AS removal
         FROM log
         WHERE revision > (SELECT erased FROM until) AND revision <= (SELECT revision FROM until)
     ), old AS (
         DELETE FROM log USING (
             SELECT previous_revision AS revision, previous_index AS index FROM chunk
             WHERE previous_revision IS NOT NULL
             UNION ALL
             SELECT revision, index FROM chunk WHERE removal
         ) AS gone
         WHERE log.revision = gone.revision AND log.index = gone.index
     )
     UPDATE floor SET erased = greatest(floor.erased, until.revision)
     FROM until, bounds WHERE floor.id = 1
     RETURNING until.revision < bounds.floor"
);

/// Lets the transaction that was begun take its time.
#[cfg(feature = "snapshot")]
pub(super) const WITHOUT_HASTE: &str =
    "SET LOCAL statement_timeout = 0; SET LOCAL idle_in_transaction_session_timeout = 0";

/// How many objects there are, the key of one, and the newest revision.
#[cfg(feature = "snapshot")]
pub(super) const CONTENT: &str = concat!(
    "SELECT (SELECT count(*) FROM current),
         (SELECT key FROM current ORDER BY key LIMIT 1), ",
    newest!()
);

/// Forgets the history of an empty store.
#[cfg(feature = "snapshot")]
pub(super) const FORGET: &str = "DELETE FROM log";

/// Adds the values `$4` of the keys `$3`, written at the places `$1`, `$2`, to an empty store.
#[cfg(feature = "snapshot")]
pub(super) const IMPORT: &str = "WITH logged AS (
         INSERT INTO log (revision, index, key, value)
         SELECT * FROM unnest($1::bigint[], $2::integer[], $3::bytea[], $4::bytea[])
     )
     INSERT INTO current (key, revision, index)
     SELECT * FROM unnest($3::bytea[], $1::bigint[], $2::integer[])";

/// Makes `$1` the newest revision, by a change that nobody can be told of: see [`FLOOR_IS`].
#[cfg(feature = "snapshot")]
pub(super) const NEWEST_IS: &str =
    "INSERT INTO log (revision, index, key) VALUES ($1::bigint, 0, '')";

/// Nothing before `$1` may be read, and nothing is left to be erased but the newest change.
#[cfg(feature = "snapshot")]
pub(super) const FLOOR_IS: &str =
    "UPDATE floor SET revision = $1::bigint, erased = $1::bigint - 1 WHERE id = 1";
