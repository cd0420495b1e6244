-- Access: tokens by which others are known, and what was done by whom.

-- A token itself is never stored: `hash` is its SHA-256.
CREATE TABLE api_tokens (
    id           INTEGER PRIMARY KEY AUTOINCREMENT,
    name         TEXT NOT NULL,
    role         TEXT NOT NULL CHECK (role IN ('viewer', 'agent', 'operator', 'admin')),
    hash         TEXT NOT NULL UNIQUE CHECK (length(hash) = 64),
    -- Whom an agent's token stands for; [] for all other roles.
    entities     TEXT NOT NULL CHECK (json_valid(entities)),
    created_at   INTEGER NOT NULL,
    created_by   TEXT NOT NULL,
    expires_at   INTEGER,
    revoked_at   INTEGER,
    revoked_by   TEXT,
    last_used_at INTEGER
);
-- One token of a name is in force at a time.
CREATE UNIQUE INDEX api_tokens_in_force ON api_tokens (name) WHERE revoked_at IS NULL;

-- What people and agents asked to be changed: written before it is carried out, its outcome after.
CREATE TABLE audit_log (
    id       INTEGER PRIMARY KEY AUTOINCREMENT,
    at       INTEGER NOT NULL,
    actor    TEXT NOT NULL,
    role     TEXT NOT NULL,
    token_id INTEGER,
    peer     TEXT,
    action   TEXT NOT NULL,
    subject  TEXT NOT NULL,
    detail   TEXT,
    -- The status of the answer; none where nothing is known of it, after a crash.
    status   INTEGER,
    ended_at INTEGER
);
CREATE INDEX audit_log_by_actor ON audit_log (actor, id);
CREATE INDEX audit_log_by_time ON audit_log (at);
