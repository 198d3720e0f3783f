-- Books, by the control plane and namespace that they belong to. What a column can say has a
-- column; the rest of an object's metadata is kept as it is.
CREATE TABLE IF NOT EXISTS books (
  scope      TEXT    NOT NULL,  -- UID of the tenant; empty on the platform
  namespace  TEXT    NOT NULL,
  name       TEXT    NOT NULL,
  revision   INTEGER NOT NULL,  -- of the last change: the resourceVersion
  uid        TEXT    NOT NULL,
  generation INTEGER NOT NULL,
  created    TEXT    NOT NULL,
  title      TEXT    NOT NULL,
  author     TEXT    NOT NULL,
  shelf      TEXT    NOT NULL,
  pages      INTEGER NOT NULL,
  lent_to    TEXT,
  metadata   TEXT    NOT NULL,  -- JSON
  PRIMARY KEY (scope, namespace, name)
) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS books_by_author ON books (scope, author, namespace, name);
CREATE INDEX IF NOT EXISTS books_by_shelf ON books (scope, shelf, namespace, name);

CREATE TABLE IF NOT EXISTS labels (
  scope     TEXT NOT NULL,
  namespace TEXT NOT NULL,
  name      TEXT NOT NULL,
  key       TEXT NOT NULL,
  value     TEXT NOT NULL,
  PRIMARY KEY (scope, namespace, name, key),
  FOREIGN KEY (scope, namespace, name) REFERENCES books ON DELETE CASCADE
) WITHOUT ROWID;

-- The change feed: what watches, logs and later pages of a list are told.
CREATE TABLE IF NOT EXISTS changes (
  revision  INTEGER PRIMARY KEY,
  scope     TEXT NOT NULL,
  namespace TEXT NOT NULL,
  name      TEXT NOT NULL,
  made      TEXT NOT NULL,      -- when
  maker     TEXT NOT NULL,      -- who
  book      TEXT,               -- the object afterwards, as JSON; null when it was removed
  previous  TEXT                -- the object before, as JSON; null when it was new
);
CREATE INDEX IF NOT EXISTS changes_by_name ON changes (scope, namespace, name, revision);

-- One number counts the changes of all books, in the transaction that makes them.
CREATE TABLE IF NOT EXISTS counter (
  id       INTEGER PRIMARY KEY CHECK (id = 0),
  revision INTEGER NOT NULL,
  floor    INTEGER NOT NULL     -- changes up to here may have been forgotten
);
INSERT OR IGNORE INTO counter VALUES (0, 1, 0);
