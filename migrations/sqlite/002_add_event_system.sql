-- Events, the tasks and hourly rollups they are folded into, and the inbox for other programs.

CREATE TABLE names (
    name_no INTEGER PRIMARY KEY,
    name    TEXT NOT NULL UNIQUE
);

-- A trace is the first half of an event's identity: a trace id, else a task id, else a pseudo-task.
CREATE TABLE traces (
    trace_no    INTEGER PRIMARY KEY,
    trace_hash  BLOB NOT NULL UNIQUE,
    trace_key   TEXT NOT NULL,
    environment TEXT NOT NULL
);

-- Task ids that were seen under a trace id of another name: events that know only the task find it by these.
CREATE TABLE task_links (
    task_hash BLOB PRIMARY KEY,
    trace_no  INTEGER NOT NULL,
    task      TEXT NOT NULL
) WITHOUT ROWID;

CREATE TABLE bodies (
    body_no INTEGER PRIMARY KEY,
    content TEXT NOT NULL
);

CREATE TABLE attribute_sets (
    attributes_no INTEGER PRIMARY KEY,
    attributes    TEXT NOT NULL
);

CREATE TABLE error_groups (
    error_no    INTEGER PRIMARY KEY,
    fingerprint TEXT NOT NULL UNIQUE,
    error_type  TEXT,
    tool        TEXT,
    template    TEXT NOT NULL
);

-- Narrow rows in identity order: no tree of random keys on the hot path. Codes are those of the views below.
CREATE TABLE event_rows (
    trace_no      INTEGER NOT NULL,
    id            TEXT NOT NULL,
    ts            INTEGER NOT NULL,
    kind          INTEGER NOT NULL,
    entity_type   INTEGER NOT NULL,
    entity_id     INTEGER NOT NULL,
    task          TEXT,
    tool          INTEGER,
    outcome       INTEGER,
    duration_ms   REAL,
    tokens_in     INTEGER,
    tokens_out    INTEGER,
    tokens_cached INTEGER,
    cost_usd      REAL,
    error_type    INTEGER,
    error_no      INTEGER,
    span_id       TEXT,
    source        INTEGER NOT NULL,
    clock         INTEGER NOT NULL,
    call_hash     INTEGER,
    body_no       INTEGER,
    attributes_no INTEGER,
    exposures     TEXT,
    digest        INTEGER NOT NULL,
    PRIMARY KEY (trace_no, id)
) WITHOUT ROWID;
CREATE INDEX event_rows_errors ON event_rows (error_no, entity_id, ts) WHERE error_no IS NOT NULL;

-- What model::task::TaskDelta holds; `task` is empty where the task is named as its trace.
CREATE TABLE task_rows (
    trace_no       INTEGER NOT NULL,
    task           TEXT NOT NULL DEFAULT '',
    pseudo         INTEGER NOT NULL DEFAULT 0,
    entity_type    INTEGER,
    entity_id      INTEGER,
    owner_rank     INTEGER,
    owner_us       INTEGER,
    owner_event    TEXT,
    attributes_no  INTEGER,
    parent_task_id TEXT,
    session_id     TEXT,
    first_us       INTEGER,
    last_us        INTEGER,
    end_us         INTEGER,
    end_event      TEXT,
    duration_us    INTEGER,
    end_tokens_in  INTEGER,
    end_tokens_out INTEGER,
    end_cost_nano  INTEGER,
    outcome        INTEGER,
    outcome_us     INTEGER,
    outcome_event  TEXT,
    events         INTEGER NOT NULL,
    unclocked      INTEGER NOT NULL,
    llm_calls      INTEGER NOT NULL,
    tool_calls     INTEGER NOT NULL,
    errors         INTEGER NOT NULL,
    tokens_in      INTEGER NOT NULL,
    tokens_out     INTEGER NOT NULL,
    tokens_cached  INTEGER NOT NULL,
    cost_nano      INTEGER NOT NULL,
    PRIMARY KEY (trace_no, task)
) WITHOUT ROWID;
CREATE INDEX task_rows_by_entity ON task_rows (entity_type, entity_id, trace_no) WHERE pseudo = 0;

-- Sums by entity, operation ('task', 'llm', 'tool:NAME') and hour of event time (hours since the Unix epoch).
-- Logarithms are natural, of milliseconds, in millionths; cost is in nano-dollars. The last four columns belong to
-- the rules (migration 003), which keep them: sums over the 24 hours up to this one, and over the 7 days before those.
CREATE TABLE rollup_ops (
    entity_type TEXT NOT NULL,
    entity_id   INTEGER NOT NULL,
    operation   TEXT NOT NULL,
    hour        INTEGER NOT NULL,
    n           INTEGER NOT NULL DEFAULT 0,
    errors      INTEGER NOT NULL DEFAULT 0,
    timed       INTEGER NOT NULL DEFAULT 0,
    sum_us      INTEGER NOT NULL DEFAULT 0,
    sum_ln      INTEGER NOT NULL DEFAULT 0,
    sum_ln2     INTEGER NOT NULL DEFAULT 0,
    tokens_in   INTEGER NOT NULL DEFAULT 0,
    tokens_out  INTEGER NOT NULL DEFAULT 0,
    cost_nano   INTEGER NOT NULL DEFAULT 0,
    day_timed   INTEGER NOT NULL DEFAULT 0,
    day_ln      INTEGER NOT NULL DEFAULT 0,
    week_timed  INTEGER NOT NULL DEFAULT 0,
    week_ln     INTEGER NOT NULL DEFAULT 0,
    PRIMARY KEY (entity_type, entity_id, operation, hour)
) WITHOUT ROWID;

CREATE TABLE rollup_errors (
    entity_type TEXT NOT NULL,
    entity_id   INTEGER NOT NULL,
    fingerprint TEXT NOT NULL,
    hour        INTEGER NOT NULL,
    n           INTEGER NOT NULL DEFAULT 0,
    PRIMARY KEY (entity_type, entity_id, fingerprint, hour)
) WITHOUT ROWID;

-- Programs other than Uplift insert events here, in the wire format; the writer folds them and deletes the row.
-- What cannot be taken moves to event_inbox_rejected, with the reason.
CREATE TABLE event_inbox (
    seq   INTEGER PRIMARY KEY AUTOINCREMENT,
    event TEXT NOT NULL
);
CREATE TABLE event_inbox_rejected (
    seq         INTEGER PRIMARY KEY,
    event       TEXT NOT NULL,
    reason      TEXT NOT NULL,
    rejected_at INTEGER NOT NULL
);

CREATE VIEW events AS
SELECT
    t.trace_key, e.id,
    strftime('%Y-%m-%dT%H:%M:%S', e.ts / 1000000, 'unixepoch') || printf('.%06dZ', e.ts % 1000000) AS ts,
    CASE e.kind
        WHEN 0 THEN 'TASK_STARTED' WHEN 1 THEN 'LLM_CALL' WHEN 2 THEN 'TOOL_EXECUTED' WHEN 3 THEN 'TASK_COMPLETED'
        WHEN 4 THEN 'TASK_FAILED' WHEN 5 THEN 'ERROR' WHEN 6 THEN 'CONTEXT_READ' WHEN 7 THEN 'FEEDBACK'
        WHEN 8 THEN 'HANDOFF' WHEN 9 THEN 'IMPROVEMENT_REQUESTED' WHEN 10 THEN 'IMPROVEMENT_PROPOSED'
        WHEN 11 THEN 'IMPROVEMENT_VALIDATED' WHEN 12 THEN 'IMPROVEMENT_REJECTED' WHEN 13 THEN 'IMPROVEMENT_STARTED'
        WHEN 14 THEN 'IMPROVEMENT_DEPLOYED' WHEN 15 THEN 'IMPROVEMENT_ROLLED_BACK'
        WHEN 16 THEN 'IMPROVEMENT_INCONCLUSIVE'
    END AS event_type,
    t.environment, n.entity_type, e.entity_id, n.name AS entity,
    coalesce(e.task, CASE WHEN k.pseudo IS NOT 1 THEN t.trace_key END) AS task_id,
    k.parent_task_id, k.session_id, e.span_id, tool.name AS tool,
    CASE e.outcome WHEN 0 THEN 'SUCCESS' WHEN 1 THEN 'FAILURE' WHEN 2 THEN 'ERROR' END AS outcome,
    e.duration_ms, e.tokens_in, e.tokens_out, e.tokens_cached, e.cost_usd,
    error_type.name AS error_type, g.fingerprint, b.content, a.attributes, e.exposures,
    CASE e.source WHEN 0 THEN 'environment' WHEN 1 THEN 'self' WHEN 2 THEN 'human' END AS source,
    CASE e.clock WHEN 0 THEN 'own' WHEN 1 THEN 'inherited' WHEN 2 THEN 'received' END AS clock
FROM event_rows AS e
JOIN traces AS t ON t.trace_no = e.trace_no
LEFT JOIN task_rows AS k ON k.trace_no = e.trace_no AND k.task = coalesce(e.task, '')
LEFT JOIN entities AS n
    ON n.entity_type = CASE e.entity_type WHEN 0 THEN 'agent' WHEN 1 THEN 'tool' WHEN 2 THEN 'context' ELSE 'process' END
    AND n.entity_id = e.entity_id
LEFT JOIN names AS tool ON tool.name_no = e.tool
LEFT JOIN names AS error_type ON error_type.name_no = e.error_type
LEFT JOIN error_groups AS g ON g.error_no = e.error_no
LEFT JOIN bodies AS b ON b.body_no = e.body_no
LEFT JOIN attribute_sets AS a ON a.attributes_no = e.attributes_no;

CREATE VIEW tasks AS
SELECT
    t.trace_key, CASE WHEN k.task = '' THEN t.trace_key ELSE k.task END AS task_id, t.environment,
    n.entity_type, k.entity_id, n.name AS entity, k.parent_task_id, k.session_id,
    strftime('%Y-%m-%dT%H:%M:%S', k.first_us / 1000000, 'unixepoch') || printf('.%06dZ', k.first_us % 1000000) AS started_at,
    strftime('%Y-%m-%dT%H:%M:%S', k.last_us / 1000000, 'unixepoch') || printf('.%06dZ', k.last_us % 1000000) AS last_at,
    k.end_us IS NOT NULL AS ended,
    CASE k.outcome WHEN 0 THEN 'SUCCESS' WHEN 1 THEN 'FAILURE' WHEN 2 THEN 'ERROR' END AS outcome,
    CASE
        WHEN k.end_us IS NULL THEN NULL
        WHEN k.duration_us IS NOT NULL THEN k.duration_us / 1000.0
        WHEN k.unclocked = 0 AND k.last_us > k.first_us THEN (k.last_us - k.first_us) / 1000.0
    END AS duration_ms,
    k.events, k.llm_calls, k.tool_calls, k.errors,
    CASE WHEN k.outcome = 0 THEN k.errors ELSE 0 END AS errors_recovered,
    coalesce(k.end_tokens_in, k.tokens_in) AS tokens_in, coalesce(k.end_tokens_out, k.tokens_out) AS tokens_out,
    k.tokens_cached, coalesce(k.end_cost_nano, k.cost_nano) / 1e9 AS cost_usd
FROM task_rows AS k
JOIN traces AS t ON t.trace_no = k.trace_no
LEFT JOIN entities AS n
    ON n.entity_type = CASE k.entity_type WHEN 0 THEN 'agent' WHEN 1 THEN 'tool' WHEN 2 THEN 'context' ELSE 'process' END
    AND n.entity_id = k.entity_id
WHERE k.pseudo = 0;
