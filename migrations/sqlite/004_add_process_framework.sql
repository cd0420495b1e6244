-- Durable processes: a row is claimed by lease, stepped, and committed with its outgoing actions in one transaction.

CREATE TABLE process_registry (
    name        TEXT PRIMARY KEY,
    description TEXT NOT NULL
) WITHOUT ROWID;
INSERT INTO process_registry VALUES
    ('ImprovementProcess', 'Validates and deploys an improvement.'),
    ('ImprovementMonitoringProcess', 'Tracks a deployed improvement and decides whether it stays.');

CREATE TABLE process_instances (
    id         INTEGER PRIMARY KEY AUTOINCREMENT,
    name       TEXT NOT NULL REFERENCES process_registry (name),
    subject    TEXT NOT NULL,
    state      TEXT NOT NULL,
    wake_at    INTEGER,
    attempts   INTEGER NOT NULL DEFAULT 0,
    last_error TEXT,
    created_at INTEGER NOT NULL,
    ended_at   INTEGER
);
CREATE INDEX process_instances_due ON process_instances (wake_at) WHERE wake_at IS NOT NULL;
CREATE UNIQUE INDEX process_instances_running ON process_instances (name, subject) WHERE ended_at IS NULL;

CREATE TABLE process_steps (
    instance_id INTEGER NOT NULL REFERENCES process_instances (id),
    seq         INTEGER NOT NULL,
    from_state  TEXT NOT NULL,
    to_state    TEXT NOT NULL,
    note        TEXT,
    at          INTEGER NOT NULL,
    PRIMARY KEY (instance_id, seq)
) WITHOUT ROWID;

-- Every write under a lease names its epoch; an older one is refused.
CREATE TABLE leases (
    name       TEXT PRIMARY KEY,
    holder     TEXT NOT NULL,
    epoch      INTEGER NOT NULL,
    expires_at INTEGER NOT NULL
) WITHOUT ROWID;

CREATE TABLE outbox (
    id         INTEGER PRIMARY KEY AUTOINCREMENT,
    kind       TEXT NOT NULL,
    payload    TEXT NOT NULL CHECK (json_valid(payload)),
    created_at INTEGER NOT NULL,
    attempts   INTEGER NOT NULL DEFAULT 0,
    done_at    INTEGER
);
CREATE INDEX outbox_waiting ON outbox (id) WHERE done_at IS NULL;
