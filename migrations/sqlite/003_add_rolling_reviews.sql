-- Opportunities, the rules that mark them, and rolling reviews.

-- Thresholds of the rules below; the engine copies them from its policy.
CREATE TABLE detection_settings (
    one                   INTEGER PRIMARY KEY CHECK (one = 1),
    error_threshold       INTEGER NOT NULL, -- more than this many of the same error in 24 hours
    degradation_ratio     REAL NOT NULL,    -- slower than this many times the week before
    degradation_ln        INTEGER NOT NULL, -- its natural logarithm, millionths
    baseline_minimum      INTEGER NOT NULL, -- calls on each side of a comparison
    quiet_us              INTEGER NOT NULL  -- what a person dismissed is not marked again for this long
);
INSERT INTO detection_settings VALUES (1, 5, 1.5, 405465, 20, 2592000000000);

CREATE TABLE optimization_opportunities (
    id               INTEGER PRIMARY KEY AUTOINCREMENT,
    entity_type      TEXT NOT NULL,
    entity_id        INTEGER NOT NULL,
    kind             TEXT NOT NULL,
    fingerprint      TEXT NOT NULL,
    status           TEXT NOT NULL DEFAULT 'pending'
                     CHECK (status IN ('pending', 'in_progress', 'completed', 'dismissed')),
    source           TEXT NOT NULL
                     CHECK (source IN ('monitor', 'pattern', 'review', 'trigger', 'prediction', 'agent', 'operator')),
    confirmed        INTEGER NOT NULL DEFAULT 0,
    description      TEXT NOT NULL DEFAULT '',
    confidence       REAL NOT NULL DEFAULT 0 CHECK (confidence BETWEEN 0 AND 1),
    potential_impact TEXT NOT NULL DEFAULT 'low' CHECK (potential_impact IN ('low', 'medium', 'high')),
    impact           TEXT NOT NULL DEFAULT '{}' CHECK (json_valid(impact)),
    improvement_type TEXT NOT NULL,
    occurrences      INTEGER NOT NULL DEFAULT 0,
    evidence         TEXT NOT NULL DEFAULT '{}' CHECK (json_valid(evidence)),
    marked_hour      INTEGER,
    created_at       INTEGER NOT NULL,
    updated_at       INTEGER NOT NULL,
    last_seen_at     INTEGER NOT NULL,
    resolution       TEXT,
    withdrawn        INTEGER NOT NULL DEFAULT 0 -- closed by Uplift because it did not hold up, not by a person
);
-- One open opportunity per problem.
CREATE UNIQUE INDEX optimization_opportunities_open
    ON optimization_opportunities (entity_type, entity_id, kind, fingerprint)
    WHERE status IN ('pending', 'in_progress');
CREATE INDEX optimization_opportunities_by_entity
    ON optimization_opportunities (entity_type, entity_id, kind, fingerprint);
CREATE INDEX optimization_opportunities_dismissed
    ON optimization_opportunities (entity_type, entity_id, kind, fingerprint, updated_at)
    WHERE status = 'dismissed' AND withdrawn = 0;
CREATE INDEX optimization_opportunities_unconfirmed
    ON optimization_opportunities (id) WHERE confirmed = 0 AND status = 'pending';

-- The same error, more than error_threshold times in 24 hours. Looks at every 24-hour window that holds the changed
-- hour and ends in an hour with such an error, so late events count; fires on crossing only: before this change no
-- such window was over the threshold by more than the change itself.
CREATE TRIGGER auto_create_error_opportunities
AFTER INSERT ON rollup_errors
WHEN new.n > 0
BEGIN
    INSERT INTO optimization_opportunities (entity_type, entity_id, kind, fingerprint, source, description,
        improvement_type, occurrences, marked_hour, created_at, updated_at, last_seen_at)
    SELECT new.entity_type, new.entity_id, 'recurring_error', new.fingerprint, 'trigger',
        'error group ' || new.fingerprint || ' occurred ' || max(w.n) || ' times within 24 hours',
        'error_prevention', max(w.n), new.hour, c.now_us, c.now_us, new.hour * 3600000000
    FROM (
        SELECT sum(r.n) AS n
        FROM rollup_errors AS e
        JOIN rollup_errors AS r
            ON r.entity_type = e.entity_type AND r.entity_id = e.entity_id AND r.fingerprint = e.fingerprint
            AND r.hour BETWEEN e.hour - 23 AND e.hour
        WHERE e.entity_type = new.entity_type AND e.entity_id = new.entity_id AND e.fingerprint = new.fingerprint
            AND e.hour BETWEEN new.hour AND new.hour + 23
        GROUP BY e.hour
    ) AS w
    JOIN engine_clock AS c JOIN detection_settings AS s
    HAVING max(w.n) > s.error_threshold AND max(w.n) - new.n <= s.error_threshold
        AND NOT EXISTS (SELECT 1 FROM optimization_opportunities AS d
            WHERE d.entity_type = new.entity_type AND d.entity_id = new.entity_id AND d.kind = 'recurring_error'
            AND d.fingerprint = new.fingerprint AND d.status = 'dismissed' AND d.withdrawn = 0
            AND s.quiet_us > 0 AND d.updated_at > c.now_us - s.quiet_us)
    ON CONFLICT (entity_type, entity_id, kind, fingerprint) WHERE status IN ('pending', 'in_progress')
    DO UPDATE SET occurrences = max(occurrences, excluded.occurrences), marked_hour = excluded.marked_hour,
        last_seen_at = max(last_seen_at, excluded.last_seen_at), updated_at = excluded.updated_at;
END;

CREATE TRIGGER auto_create_error_opportunities_on_update
AFTER UPDATE OF n ON rollup_errors
WHEN new.n > old.n
BEGIN
    INSERT INTO optimization_opportunities (entity_type, entity_id, kind, fingerprint, source, description,
        improvement_type, occurrences, marked_hour, created_at, updated_at, last_seen_at)
    SELECT new.entity_type, new.entity_id, 'recurring_error', new.fingerprint, 'trigger',
        'error group ' || new.fingerprint || ' occurred ' || max(w.n) || ' times within 24 hours',
        'error_prevention', max(w.n), new.hour, c.now_us, c.now_us, new.hour * 3600000000
    FROM (
        SELECT sum(r.n) AS n
        FROM rollup_errors AS e
        JOIN rollup_errors AS r
            ON r.entity_type = e.entity_type AND r.entity_id = e.entity_id AND r.fingerprint = e.fingerprint
            AND r.hour BETWEEN e.hour - 23 AND e.hour
        WHERE e.entity_type = new.entity_type AND e.entity_id = new.entity_id AND e.fingerprint = new.fingerprint
            AND e.hour BETWEEN new.hour AND new.hour + 23
        GROUP BY e.hour
    ) AS w
    JOIN engine_clock AS c JOIN detection_settings AS s
    HAVING max(w.n) > s.error_threshold AND max(w.n) - (new.n - old.n) <= s.error_threshold
        AND NOT EXISTS (SELECT 1 FROM optimization_opportunities AS d
            WHERE d.entity_type = new.entity_type AND d.entity_id = new.entity_id AND d.kind = 'recurring_error'
            AND d.fingerprint = new.fingerprint AND d.status = 'dismissed' AND d.withdrawn = 0
            AND s.quiet_us > 0 AND d.updated_at > c.now_us - s.quiet_us)
    ON CONFLICT (entity_type, entity_id, kind, fingerprint) WHERE status IN ('pending', 'in_progress')
    DO UPDATE SET occurrences = max(occurrences, excluded.occurrences), marked_hour = excluded.marked_hour,
        last_seen_at = max(last_seen_at, excluded.last_seen_at), updated_at = excluded.updated_at;
END;

-- Mean log duration of 24 hours against the 7 days before, at least baseline_minimum calls on each side. Looks at
-- every 24-hour window that holds the changed hour, or has it in the week before, and ends in an hour with calls; fires on crossing
-- only: without this change the window was not over the threshold (for an hour's first call: the window before was not). The sums of a row's two windows are in the row:
-- the week is read once, when the row is inserted, and a change is added to the rows whose windows hold its hour,
-- which for events in order is the row itself.
CREATE TRIGGER auto_create_performance_opportunities
AFTER INSERT ON rollup_ops
BEGIN
    UPDATE rollup_ops SET
        (day_timed, day_ln) = (SELECT sum(timed), sum(sum_ln) FROM rollup_ops
            WHERE entity_type = new.entity_type AND entity_id = new.entity_id AND operation = new.operation
            AND hour BETWEEN new.hour - 23 AND new.hour),
        (week_timed, week_ln) = (SELECT coalesce(sum(timed), 0), coalesce(sum(sum_ln), 0) FROM rollup_ops
            WHERE entity_type = new.entity_type AND entity_id = new.entity_id AND operation = new.operation
            AND hour BETWEEN new.hour - 191 AND new.hour - 24)
    WHERE entity_type = new.entity_type AND entity_id = new.entity_id AND operation = new.operation
        AND hour = new.hour;
    UPDATE rollup_ops SET day_timed = day_timed + new.timed, day_ln = day_ln + new.sum_ln
    WHERE entity_type = new.entity_type AND entity_id = new.entity_id AND operation = new.operation
        AND hour BETWEEN new.hour + 1 AND new.hour + 23;
    UPDATE rollup_ops SET week_timed = week_timed + new.timed, week_ln = week_ln + new.sum_ln
    WHERE entity_type = new.entity_type AND entity_id = new.entity_id AND operation = new.operation
        AND hour BETWEEN new.hour + 24 AND new.hour + 191;
    INSERT INTO optimization_opportunities (entity_type, entity_id, kind, fingerprint, source, description,
        improvement_type, occurrences, marked_hour, created_at, updated_at, last_seen_at)
    SELECT r.entity_type, r.entity_id, 'performance_degradation', r.operation, 'trigger',
        'an operation has become slower', 'performance_tuning', r.day_timed, r.hour, c.now_us, c.now_us,
        r.hour * 3600000000
    FROM rollup_ops AS r JOIN engine_clock AS c JOIN detection_settings AS s
    WHERE r.entity_type = new.entity_type AND r.entity_id = new.entity_id AND r.operation = new.operation
        AND r.hour BETWEEN new.hour AND new.hour + 191
        AND r.day_timed >= s.baseline_minimum AND r.week_timed >= s.baseline_minimum
        AND r.day_ln * 1.0 / r.day_timed > r.week_ln * 1.0 / r.week_timed + s.degradation_ln
        AND CASE WHEN r.hour = new.hour
            THEN NOT EXISTS (
                SELECT 1 FROM rollup_ops AS p
                WHERE p.entity_type = new.entity_type AND p.entity_id = new.entity_id
                    AND p.operation = new.operation
                    AND p.hour = (SELECT max(q.hour) FROM rollup_ops AS q
                        WHERE q.entity_type = new.entity_type AND q.entity_id = new.entity_id
                        AND q.operation = new.operation AND q.hour < new.hour)
                    AND p.day_timed >= s.baseline_minimum AND p.week_timed >= s.baseline_minimum
                    AND p.day_ln * 1.0 / p.day_timed > p.week_ln * 1.0 / p.week_timed + s.degradation_ln)
            WHEN r.hour <= new.hour + 23
            THEN r.day_timed - new.timed < s.baseline_minimum
                OR (r.day_ln - new.sum_ln) * 1.0 / (r.day_timed - new.timed)
                    <= r.week_ln * 1.0 / r.week_timed + s.degradation_ln
            ELSE r.week_timed - new.timed < s.baseline_minimum
                OR r.day_ln * 1.0 / r.day_timed
                    <= (r.week_ln - new.sum_ln) * 1.0 / (r.week_timed - new.timed) + s.degradation_ln
            END
        AND NOT EXISTS (SELECT 1 FROM optimization_opportunities AS d
            WHERE d.entity_type = new.entity_type AND d.entity_id = new.entity_id AND d.kind = 'performance_degradation'
            AND d.fingerprint = new.operation AND d.status = 'dismissed' AND d.withdrawn = 0
            AND s.quiet_us > 0 AND d.updated_at > c.now_us - s.quiet_us)
    ORDER BY r.hour LIMIT 1
    ON CONFLICT (entity_type, entity_id, kind, fingerprint) WHERE status IN ('pending', 'in_progress')
    DO UPDATE SET occurrences = excluded.occurrences, marked_hour = excluded.marked_hour,
        last_seen_at = max(last_seen_at, excluded.last_seen_at), updated_at = excluded.updated_at;
END;

CREATE TRIGGER auto_create_performance_opportunities_on_update
AFTER UPDATE OF timed, sum_ln ON rollup_ops
WHEN new.timed <> old.timed OR new.sum_ln <> old.sum_ln
BEGIN
    UPDATE rollup_ops SET day_timed = day_timed + (new.timed - old.timed), day_ln = day_ln + (new.sum_ln - old.sum_ln)
    WHERE entity_type = new.entity_type AND entity_id = new.entity_id AND operation = new.operation
        AND hour BETWEEN new.hour AND new.hour + 23;
    UPDATE rollup_ops SET week_timed = week_timed + (new.timed - old.timed), week_ln = week_ln + (new.sum_ln - old.sum_ln)
    WHERE entity_type = new.entity_type AND entity_id = new.entity_id AND operation = new.operation
        AND hour BETWEEN new.hour + 24 AND new.hour + 191;
    INSERT INTO optimization_opportunities (entity_type, entity_id, kind, fingerprint, source, description,
        improvement_type, occurrences, marked_hour, created_at, updated_at, last_seen_at)
    SELECT r.entity_type, r.entity_id, 'performance_degradation', r.operation, 'trigger',
        'an operation has become slower', 'performance_tuning', r.day_timed, r.hour, c.now_us, c.now_us,
        r.hour * 3600000000
    FROM rollup_ops AS r JOIN engine_clock AS c JOIN detection_settings AS s
    WHERE r.entity_type = new.entity_type AND r.entity_id = new.entity_id AND r.operation = new.operation
        AND r.hour BETWEEN new.hour AND new.hour + 191
        AND r.day_timed >= s.baseline_minimum AND r.week_timed >= s.baseline_minimum
        AND r.day_ln * 1.0 / r.day_timed > r.week_ln * 1.0 / r.week_timed + s.degradation_ln
        AND new.timed > old.timed
        AND CASE WHEN r.hour <= new.hour + 23
            THEN r.day_timed - (new.timed - old.timed) < s.baseline_minimum
                OR (r.day_ln - (new.sum_ln - old.sum_ln)) * 1.0 / (r.day_timed - (new.timed - old.timed))
                    <= r.week_ln * 1.0 / r.week_timed + s.degradation_ln
            ELSE r.week_timed - (new.timed - old.timed) < s.baseline_minimum
                OR r.day_ln * 1.0 / r.day_timed
                    <= (r.week_ln - (new.sum_ln - old.sum_ln)) * 1.0 / (r.week_timed - (new.timed - old.timed))
                        + s.degradation_ln
            END
        AND NOT EXISTS (SELECT 1 FROM optimization_opportunities AS d
            WHERE d.entity_type = new.entity_type AND d.entity_id = new.entity_id AND d.kind = 'performance_degradation'
            AND d.fingerprint = new.operation AND d.status = 'dismissed' AND d.withdrawn = 0
            AND s.quiet_us > 0 AND d.updated_at > c.now_us - s.quiet_us)
    ORDER BY r.hour LIMIT 1
    ON CONFLICT (entity_type, entity_id, kind, fingerprint) WHERE status IN ('pending', 'in_progress')
    DO UPDATE SET occurrences = excluded.occurrences, marked_hour = excluded.marked_hour,
        last_seen_at = max(last_seen_at, excluded.last_seen_at), updated_at = excluded.updated_at;
END;

-- Rows that somebody deletes leave the sums.
CREATE TRIGGER auto_create_performance_opportunities_on_delete
AFTER DELETE ON rollup_ops
BEGIN
    UPDATE rollup_ops SET day_timed = day_timed - old.timed, day_ln = day_ln - old.sum_ln
    WHERE entity_type = old.entity_type AND entity_id = old.entity_id AND operation = old.operation
        AND hour BETWEEN old.hour + 1 AND old.hour + 23;
    UPDATE rollup_ops SET week_timed = week_timed - old.timed, week_ln = week_ln - old.sum_ln
    WHERE entity_type = old.entity_type AND entity_id = old.entity_id AND operation = old.operation
        AND hour BETWEEN old.hour + 24 AND old.hour + 191;
END;

-- A review is due after so many tasks ('threshold'), so many hours of event time ('periodic'), or either ('hybrid').
CREATE TABLE rolling_review_counters (
    entity_type        TEXT NOT NULL,
    entity_id          INTEGER NOT NULL,
    review_type        TEXT NOT NULL DEFAULT 'hybrid' CHECK (review_type IN ('threshold', 'periodic', 'hybrid')),
    task_threshold     INTEGER NOT NULL DEFAULT 100 CHECK (task_threshold > 0),
    period_hours       INTEGER NOT NULL DEFAULT 24 CHECK (period_hours > 0),
    tasks_since_review INTEGER NOT NULL DEFAULT 0,
    period_start_at    INTEGER,
    last_review_at     INTEGER,
    last_event_at      INTEGER,
    due                TEXT CHECK (due IN ('tasks', 'time')),
    PRIMARY KEY (entity_type, entity_id)
) WITHOUT ROWID;
CREATE INDEX rolling_review_counters_due ON rolling_review_counters (entity_type, entity_id) WHERE due IS NOT NULL;

CREATE TRIGGER auto_mark_reviews_due
AFTER UPDATE OF tasks_since_review, last_event_at ON rolling_review_counters
WHEN new.due IS NULL AND (
    (new.review_type <> 'periodic' AND new.tasks_since_review >= new.task_threshold)
    OR (new.review_type <> 'threshold' AND new.tasks_since_review > 0
        AND new.last_event_at - new.period_start_at >= new.period_hours * 3600000000))
BEGIN
    UPDATE rolling_review_counters
    SET due = CASE WHEN new.review_type <> 'periodic' AND new.tasks_since_review >= new.task_threshold
        THEN 'tasks' ELSE 'time' END
    WHERE entity_type = new.entity_type AND entity_id = new.entity_id;
END;

CREATE TRIGGER auto_mark_reviews_due_on_insert
AFTER INSERT ON rolling_review_counters
WHEN new.due IS NULL AND (
    (new.review_type <> 'periodic' AND new.tasks_since_review >= new.task_threshold)
    OR (new.review_type <> 'threshold' AND new.tasks_since_review > 0
        AND new.last_event_at - new.period_start_at >= new.period_hours * 3600000000))
BEGIN
    UPDATE rolling_review_counters
    SET due = CASE WHEN new.review_type <> 'periodic' AND new.tasks_since_review >= new.task_threshold
        THEN 'tasks' ELSE 'time' END
    WHERE entity_type = new.entity_type AND entity_id = new.entity_id;
END;

CREATE TABLE reviews (
    id          INTEGER PRIMARY KEY AUTOINCREMENT,
    entity_type TEXT NOT NULL,
    entity_id   INTEGER NOT NULL,
    reviewed_at INTEGER NOT NULL,
    reason      TEXT NOT NULL CHECK (reason IN ('tasks', 'time')),
    tasks       INTEGER NOT NULL,
    findings    INTEGER NOT NULL,
    summary     TEXT NOT NULL
);
CREATE INDEX reviews_by_entity ON reviews (entity_type, entity_id, id);
