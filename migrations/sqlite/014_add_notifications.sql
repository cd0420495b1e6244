-- Alerts that people look after, news, and whom it goes out to; health by numbers that can be set.

-- What a constraint says cannot be changed in place: the table is made anew, with its rows.
DROP VIEW system_self_improvement_status;
DROP VIEW self_improvement_metrics;

CREATE TABLE alerts_anew (
    id              INTEGER PRIMARY KEY AUTOINCREMENT,
    kind            TEXT NOT NULL CHECK (kind IN ('high_rollback_rate', 'degraded_performance', 'opportunity_backlog',
                    'recurring_failure', 'disk_full')),
    entity_type     TEXT,
    entity_id       INTEGER,
    fingerprint     TEXT NOT NULL DEFAULT '',
    message         TEXT NOT NULL,
    value           REAL NOT NULL,
    threshold       REAL NOT NULL,
    at              INTEGER NOT NULL,
    resolved_at     INTEGER,
    -- By the engine's clock; `at` is event time.
    raised_at       INTEGER NOT NULL DEFAULT 0,
    -- Since when it is below the threshold at which it clears.
    quiet_since     INTEGER,
    acknowledged_at INTEGER,
    acknowledged_by TEXT,
    note            TEXT,
    -- Who resolved it by hand; none where it ended by itself.
    resolved_by     TEXT
);
-- A full disk had no kind of its own.
INSERT INTO alerts_anew (id, kind, entity_type, entity_id, fingerprint, message, value, threshold, at, resolved_at,
    raised_at)
SELECT id,
    CASE WHEN kind = 'recurring_failure' AND entity_type IS NULL AND fingerprint = 'disk_full' THEN 'disk_full'
        ELSE kind END,
    entity_type, entity_id,
    CASE WHEN kind = 'recurring_failure' AND entity_type IS NULL AND fingerprint = 'disk_full' THEN ''
        ELSE fingerprint END,
    message, value, threshold, at, resolved_at, at
FROM improvement_alerts ORDER BY id;
DROP TABLE improvement_alerts;
ALTER TABLE alerts_anew RENAME TO improvement_alerts;
CREATE UNIQUE INDEX improvement_alerts_active
    ON improvement_alerts (kind, coalesce(entity_type, ''), coalesce(entity_id, 0), fingerprint)
    WHERE resolved_at IS NULL;
CREATE INDEX improvement_alerts_by_hand ON improvement_alerts (resolved_at) WHERE resolved_by IS NOT NULL;

-- What became of alerts, opportunities and improvements, in the order in which it was written. `word` is the status
-- that was reached; who listens, and who is notified, reads on from a number.
CREATE TABLE news (
    seq         INTEGER PRIMARY KEY AUTOINCREMENT,
    at          INTEGER NOT NULL,
    kind        TEXT NOT NULL CHECK (kind IN ('alert', 'opportunity', 'improvement', 'verdict')),
    word        TEXT NOT NULL,
    subject_id  INTEGER NOT NULL,
    entity_type TEXT,
    entity_id   INTEGER
);

-- Up to which number news has become deliveries.
CREATE TABLE notification_cursor (
    one INTEGER PRIMARY KEY CHECK (one = 1),
    seq INTEGER NOT NULL
);
INSERT INTO notification_cursor (one, seq) VALUES (1, 0);

-- Whom operators want to be told. The secret is needed to sign: it is kept, and never shown again.
CREATE TABLE notification_targets (
    id         INTEGER PRIMARY KEY AUTOINCREMENT,
    name       TEXT NOT NULL UNIQUE,
    url        TEXT NOT NULL,
    format     TEXT NOT NULL CHECK (format IN ('cloudevents', 'slack', 'alertmanager')),
    kinds      TEXT NOT NULL CHECK (json_valid(kinds)),
    secret     TEXT,
    created_at INTEGER NOT NULL,
    created_by TEXT NOT NULL
);

-- One message to one target: tried until it is delivered or given up.
CREATE TABLE notification_deliveries (
    id              INTEGER PRIMARY KEY AUTOINCREMENT,
    target_id       INTEGER NOT NULL REFERENCES notification_targets (id) ON DELETE CASCADE,
    message_id      TEXT NOT NULL,
    message         TEXT NOT NULL CHECK (json_valid(message)),
    created_at      INTEGER NOT NULL,
    state           TEXT NOT NULL CHECK (state IN ('pending', 'delivered', 'dead')),
    attempts        INTEGER NOT NULL DEFAULT 0,
    due_at          INTEGER,
    last_attempt_at INTEGER,
    last_status     INTEGER,
    last_error      TEXT,
    delivered_at    INTEGER,
    UNIQUE (target_id, message_id)
);
CREATE INDEX notification_deliveries_due ON notification_deliveries (due_at) WHERE state = 'pending';
CREATE INDEX notification_deliveries_waiting ON notification_deliveries (target_id) WHERE state = 'pending';
CREATE INDEX notification_deliveries_dead ON notification_deliveries (id) WHERE state = 'dead';
CREATE INDEX notification_deliveries_ended ON notification_deliveries (created_at) WHERE state <> 'pending';

-- By what health is judged: a copy of the settings, and the trends that the engine last measured.
CREATE TABLE health_settings (
    one                   INTEGER PRIMARY KEY CHECK (one = 1),
    alert_points          REAL NOT NULL,
    rollback_points       REAL NOT NULL,
    rollback_free         REAL NOT NULL,
    ineffective_points    REAL NOT NULL,
    backlog_points        REAL NOT NULL,
    backlog_alert         INTEGER NOT NULL,
    success_points        REAL NOT NULL,
    duration_points       REAL NOT NULL,
    needs_attention_below REAL NOT NULL,
    fair_below            REAL NOT NULL,
    fair_rollback_rate    REAL NOT NULL,
    excellent_from        REAL NOT NULL,
    rollback_window_us    INTEGER NOT NULL,
    min_decisions         INTEGER NOT NULL
);
INSERT INTO health_settings VALUES (1, 15, 30, 0.1, 10, 10, 50, 20, 10, 50, 75, 0.2, 90, 2592000000000, 10);
CREATE TABLE health_trends (
    one             INTEGER PRIMARY KEY CHECK (one = 1),
    success_change  REAL,
    duration_change REAL,
    measured_at     INTEGER NOT NULL
);
INSERT INTO health_trends (one, measured_at) VALUES (1, 0);

-- Rollback rates look back for a while by the engine's clock; inconclusive endings never count.
CREATE VIEW self_improvement_metrics AS
SELECT
    count(h.id) AS decided,
    coalesce(sum(h.outcome = 'kept'), 0) AS kept,
    coalesce(sum(h.outcome = 'rolled_back'), 0) AS rolled_back,
    coalesce(sum(h.outcome = 'inconclusive'), 0) AS inconclusive,
    sum(h.outcome = 'rolled_back' AND h.decided_at > c.now_us - s.rollback_window_us) * 1.0
        / nullif(sum(h.outcome IN ('kept', 'rolled_back') AND h.decided_at > c.now_us - s.rollback_window_us), 0)
        AS rollback_rate,
    avg(CASE WHEN h.outcome = 'kept' THEN h.effectiveness END) AS mean_effectiveness,
    (SELECT count(*) FROM optimization_opportunities WHERE status = 'pending') AS opportunities_pending,
    (SELECT count(*) FROM improvement_alerts WHERE resolved_at IS NULL) AS alerts_active,
    coalesce(sum(h.outcome IN ('kept', 'rolled_back') AND h.decided_at > c.now_us - s.rollback_window_us), 0)
        AS recent_decided
FROM engine_clock AS c
JOIN health_settings AS s
LEFT JOIN improvement_history AS h ON h.outcome IN ('kept', 'rolled_back', 'inconclusive');

-- Starts at 100 and loses points; docs/health.md explains it.
CREATE VIEW system_self_improvement_status AS
SELECT
    CASE
        WHEN alert_kinds > 0 OR score < needs_attention_below THEN 'needs_attention'
        WHEN score < fair_below OR known_rate > fair_rollback_rate THEN 'fair'
        WHEN kept > 0 AND score >= excellent_from AND known_rate <= rollback_free
            AND coalesce(mean_effectiveness, 0) > 0 THEN 'excellent'
        ELSE 'good'
    END AS health,
    score, now_us, decided, kept, rolled_back, inconclusive, rollback_rate, mean_effectiveness,
    opportunities_pending, alerts_active, recent_decided, success_change, duration_change
FROM (
    SELECT *,
        max(0.0, 100.0 - alert_points * alert_kinds
            - rollback_points * min(1.0, max(0.0, known_rate - rollback_free) / 0.3)
            - ineffective_points * min(1.0, max(0.0, -coalesce(mean_effectiveness, 0.0)) / 0.2)
            - backlog_points * min(1.0, opportunities_pending * 1.0 / backlog_alert)
            - success_points * min(1.0, max(0.0, -coalesce(success_change, 0.0)) / 0.2)
            - duration_points * min(1.0, max(0.0, coalesce(duration_change, 0.0)) / 0.25)) AS score
    FROM (
        SELECT m.*, s.*, t.success_change, t.duration_change, c.now_us, k.alert_kinds,
            CASE WHEN m.recent_decided >= s.min_decisions THEN coalesce(m.rollback_rate, 0.0) ELSE 0.0 END AS known_rate
        FROM self_improvement_metrics AS m
        JOIN engine_clock AS c
        JOIN health_settings AS s
        JOIN health_trends AS t
        JOIN (SELECT count(DISTINCT kind) AS alert_kinds FROM improvement_alerts WHERE resolved_at IS NULL) AS k
    )
);
