-- Entities, how they hang together, and their immutable revisions.
-- Times are microseconds since the Unix epoch, UTC.

-- The engine's clock. No rule, view or trigger asks the time: they read this row.
CREATE TABLE engine_clock (
    one    INTEGER PRIMARY KEY CHECK (one = 1),
    now_us INTEGER NOT NULL
);
INSERT INTO engine_clock (one, now_us) VALUES (1, 0);

-- Counts up with every change of a pointer, a trial or a policy: resolvers watch it.
CREATE TABLE config_seq (
    one INTEGER PRIMARY KEY CHECK (one = 1),
    seq INTEGER NOT NULL
);
INSERT INTO config_seq (one, seq) VALUES (1, 0);

CREATE TABLE settings (
    name       TEXT PRIMARY KEY,
    value      TEXT NOT NULL CHECK (json_valid(value)),
    updated_at INTEGER NOT NULL
) WITHOUT ROWID;

-- Content-addressed: never updated, never deleted.
CREATE TABLE revisions (
    revision_id   TEXT PRIMARY KEY CHECK (length(revision_id) = 64),
    configuration TEXT NOT NULL CHECK (json_valid(configuration)),
    created_at    INTEGER NOT NULL
) WITHOUT ROWID;

CREATE TRIGGER revisions_are_immutable
BEFORE UPDATE ON revisions
BEGIN
    SELECT RAISE(ABORT, 'a revision is never edited');
END;

CREATE TRIGGER revisions_are_kept
BEFORE DELETE ON revisions
BEGIN
    SELECT RAISE(ABORT, 'a revision is never deleted');
END;

CREATE TABLE entities (
    entity_type        TEXT NOT NULL CHECK (entity_type IN ('agent', 'tool', 'context', 'process')),
    entity_id          INTEGER NOT NULL CHECK (entity_id > 0),
    environment        TEXT NOT NULL DEFAULT 'default',
    name               TEXT NOT NULL,
    state              TEXT NOT NULL DEFAULT 'active'
                       CHECK (state IN ('active', 'inactive', 'deprecated', 'archived', 'failed')),
    improvement_config TEXT NOT NULL DEFAULT
        '{"auto_improve_enabled":true,"min_confidence_threshold":0.8,"test_duration_hours":24.0,"max_rollback_rate":0.1}'
                       CHECK (json_valid(improvement_config)),
    revision_id        TEXT REFERENCES revisions (revision_id),
    created_at         INTEGER NOT NULL,
    last_seen_at       INTEGER,
    version            INTEGER NOT NULL DEFAULT 1,
    PRIMARY KEY (entity_type, entity_id),
    UNIQUE (environment, entity_type, name)
) WITHOUT ROWID;

-- Which revisions an entity ran, and since when: a rollback is a pointer move, and this is its trail.
CREATE TABLE entity_revisions (
    entity_type TEXT NOT NULL,
    entity_id   INTEGER NOT NULL,
    seq         INTEGER NOT NULL,
    revision_id TEXT NOT NULL REFERENCES revisions (revision_id),
    since       INTEGER NOT NULL,
    PRIMARY KEY (entity_type, entity_id, seq)
) WITHOUT ROWID;

CREATE TABLE entity_relationships (
    from_type TEXT NOT NULL,
    from_id   INTEGER NOT NULL,
    kind      TEXT NOT NULL
              CHECK (kind IN ('uses', 'depends_on', 'creates', 'optimizes', 'triggers', 'references', 'contains')),
    to_type   TEXT NOT NULL,
    to_id     INTEGER NOT NULL,
    strength  REAL NOT NULL CHECK (strength BETWEEN 0 AND 1),
    source    TEXT NOT NULL CHECK (source IN ('declared', 'learnt')),
    PRIMARY KEY (from_type, from_id, kind, to_type, to_id)
) WITHOUT ROWID;
CREATE INDEX entity_relationships_by_target ON entity_relationships (to_type, to_id);
