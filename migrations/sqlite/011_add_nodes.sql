-- Nodes: the servers that share this database.

-- Counts the transactions that wrote, where many nodes write. SQLite has one writer, and its own lock.
CREATE TABLE writer_turns (
    one  INTEGER PRIMARY KEY CHECK (one = 1),
    turn INTEGER NOT NULL
);
INSERT INTO writer_turns (one, turn) VALUES (1, 0);

-- Servers that say they are at work, by the names under which they hold leases.
CREATE TABLE nodes (
    node       TEXT PRIMARY KEY,
    url        TEXT,
    version    TEXT NOT NULL,
    started_at INTEGER NOT NULL,
    seen_at    INTEGER NOT NULL
) WITHOUT ROWID;
