-- Improvements, what came of them, alerts, and the views people and tools look at.

CREATE TABLE improvements (
    id               INTEGER PRIMARY KEY AUTOINCREMENT,
    entity_type      TEXT NOT NULL,
    entity_id        INTEGER NOT NULL,
    opportunity_id   INTEGER REFERENCES optimization_opportunities (id),
    improvement_type TEXT NOT NULL CHECK (improvement_type IN ('instruction_update', 'context_optimization',
                     'tool_reassignment', 'process_automation', 'performance_tuning', 'error_prevention')),
    proposed_by      TEXT NOT NULL CHECK (proposed_by IN ('rule', 'llm', 'agent', 'operator')),
    edits            TEXT NOT NULL CHECK (json_valid(edits)),
    base             TEXT REFERENCES revisions (revision_id),
    candidate        TEXT REFERENCES revisions (revision_id),
    rationale        TEXT NOT NULL,
    expected_impact  TEXT NOT NULL,
    confidence       REAL NOT NULL CHECK (confidence BETWEEN 0 AND 1),
    status           TEXT NOT NULL CHECK (status IN ('proposed', 'validated', 'rejected', 'testing', 'deployed',
                     'rolled_back', 'needs_proposal', 'awaiting_approval', 'queued', 'cancelled')),
    created_at       INTEGER NOT NULL,
    updated_at       INTEGER NOT NULL,
    version          INTEGER NOT NULL DEFAULT 1
);
-- One improvement per entity at a time, whoever validates.
CREATE UNIQUE INDEX improvements_one_per_entity ON improvements (entity_type, entity_id)
    WHERE status IN ('validated', 'testing');
CREATE INDEX improvements_by_entity ON improvements (entity_type, entity_id, id);
CREATE INDEX improvements_active ON improvements (id)
    WHERE status IN ('validated', 'testing', 'awaiting_approval', 'queued');

CREATE TABLE improvement_history (
    id                 INTEGER PRIMARY KEY AUTOINCREMENT,
    improvement_id     INTEGER NOT NULL REFERENCES improvements (id),
    entity_type        TEXT NOT NULL,
    entity_id          INTEGER NOT NULL,
    improvement_type   TEXT NOT NULL,
    outcome            TEXT NOT NULL CHECK (outcome IN ('kept', 'rolled_back', 'inconclusive', 'rejected', 'cancelled')),
    reason             TEXT,
    started_at         INTEGER,
    decided_at         INTEGER NOT NULL,
    metrics_before     TEXT CHECK (metrics_before IS NULL OR json_valid(metrics_before)),
    metrics_after      TEXT CHECK (metrics_after IS NULL OR json_valid(metrics_after)),
    effectiveness      REAL CHECK (effectiveness BETWEEN -1 AND 1),
    effectiveness_low  REAL,
    effectiveness_high REAL,
    rollback_revision  TEXT REFERENCES revisions (revision_id),
    report             TEXT
);
CREATE INDEX improvement_history_by_entity ON improvement_history (entity_type, entity_id, id);
CREATE INDEX improvement_history_by_time ON improvement_history (decided_at);

CREATE TABLE improvement_alerts (
    id          INTEGER PRIMARY KEY AUTOINCREMENT,
    kind        TEXT NOT NULL CHECK (kind IN ('high_rollback_rate', 'degraded_performance', 'opportunity_backlog',
                'recurring_failure')),
    entity_type TEXT,
    entity_id   INTEGER,
    fingerprint TEXT NOT NULL DEFAULT '',
    message     TEXT NOT NULL,
    value       REAL NOT NULL,
    threshold   REAL NOT NULL,
    at          INTEGER NOT NULL,
    resolved_at INTEGER
);
CREATE UNIQUE INDEX improvement_alerts_active
    ON improvement_alerts (kind, coalesce(entity_type, ''), coalesce(entity_id, 0), fingerprint)
    WHERE resolved_at IS NULL;

CREATE VIEW improvement_analytics AS
SELECT
    improvement_type,
    count(*) AS total,
    sum(outcome = 'kept') AS kept,
    sum(outcome = 'rolled_back') AS rolled_back,
    sum(outcome = 'inconclusive') AS inconclusive,
    sum(outcome = 'kept') * 1.0 / nullif(sum(outcome IN ('kept', 'rolled_back')), 0) AS success_rate,
    avg(CASE WHEN outcome = 'kept' THEN effectiveness END) AS mean_effectiveness
FROM improvement_history
WHERE outcome IN ('kept', 'rolled_back', 'inconclusive')
GROUP BY improvement_type;

CREATE VIEW self_improvement_status AS
SELECT
    n.entity_type, n.entity_id, n.environment, n.name, n.state,
    json_extract(n.improvement_config, '$.auto_improve_enabled') AS auto_improve_enabled,
    (SELECT count(*) FROM optimization_opportunities AS o
        WHERE o.entity_type = n.entity_type AND o.entity_id = n.entity_id
        AND o.status IN ('pending', 'in_progress')) AS open_opportunities,
    (SELECT count(*) FROM improvements AS i
        WHERE i.entity_type = n.entity_type AND i.entity_id = n.entity_id
        AND i.status IN ('validated', 'testing', 'awaiting_approval', 'queued')) AS active_improvements,
    (SELECT count(*) FROM improvement_history AS h
        WHERE h.entity_type = n.entity_type AND h.entity_id = n.entity_id AND h.outcome = 'kept') AS kept,
    (SELECT count(*) FROM improvement_history AS h
        WHERE h.entity_type = n.entity_type AND h.entity_id = n.entity_id AND h.outcome = 'rolled_back') AS rolled_back,
    (SELECT max(h.decided_at) FROM improvement_history AS h
        WHERE h.entity_type = n.entity_type AND h.entity_id = n.entity_id) AS last_decided_at,
    coalesce(r.tasks_since_review, 0) AS tasks_since_review,
    r.due AS review_due
FROM entities AS n
LEFT JOIN rolling_review_counters AS r ON r.entity_type = n.entity_type AND r.entity_id = n.entity_id;

-- Rollback rates look at 30 days of the engine's clock; inconclusive endings never count.
CREATE VIEW self_improvement_metrics AS
SELECT
    count(h.id) AS decided,
    coalesce(sum(h.outcome = 'kept'), 0) AS kept,
    coalesce(sum(h.outcome = 'rolled_back'), 0) AS rolled_back,
    coalesce(sum(h.outcome = 'inconclusive'), 0) AS inconclusive,
    sum(h.outcome = 'rolled_back' AND h.decided_at > c.now_us - 2592000000000) * 1.0
        / nullif(sum(h.outcome IN ('kept', 'rolled_back') AND h.decided_at > c.now_us - 2592000000000), 0) AS rollback_rate,
    avg(CASE WHEN h.outcome = 'kept' THEN h.effectiveness END) AS mean_effectiveness,
    (SELECT count(*) FROM optimization_opportunities WHERE status = 'pending') AS opportunities_pending,
    (SELECT count(*) FROM improvement_alerts WHERE resolved_at IS NULL) AS alerts_active
FROM engine_clock AS c
LEFT JOIN improvement_history AS h ON h.outcome IN ('kept', 'rolled_back', 'inconclusive');

-- Starts at 100 and loses points: 15 for each kind of active alert, up to 30 for rollbacks beyond 10 %, up to 10
-- for a backlog. docs/health.md explains it.
CREATE VIEW system_self_improvement_status AS
SELECT
    CASE
        WHEN alert_kinds > 0 OR score < 50 THEN 'needs_attention'
        WHEN score < 75 OR coalesce(rollback_rate, 0) > 0.2 THEN 'fair'
        WHEN kept > 0 AND coalesce(rollback_rate, 0) <= 0.1 AND coalesce(mean_effectiveness, 0) > 0 THEN 'excellent'
        ELSE 'good'
    END AS health,
    score, now_us, decided, kept, rolled_back, inconclusive, rollback_rate, mean_effectiveness,
    opportunities_pending, alerts_active
FROM (
    SELECT m.*, c.now_us, k.alert_kinds,
        max(0.0, 100.0 - 15.0 * k.alert_kinds
            - min(30.0, 100.0 * max(0.0, coalesce(m.rollback_rate, 0) - 0.1))
            - min(10.0, m.opportunities_pending / 5.0)) AS score
    FROM self_improvement_metrics AS m
    JOIN engine_clock AS c
    JOIN (SELECT count(DISTINCT kind) AS alert_kinds FROM improvement_alerts WHERE resolved_at IS NULL) AS k
);
