-- Trials: two revisions of one entity at the same time, the units that changed since they were looked at, and what
-- the looks found. The monitor's state is saved together with the cursor, so a look is never counted twice.

ALTER TABLE improvements ADD COLUMN proposer TEXT NOT NULL DEFAULT '';
ALTER TABLE improvements ADD COLUMN expected_gain REAL NOT NULL DEFAULT 0;
ALTER TABLE improvements ADD COLUMN comparison TEXT NOT NULL DEFAULT 'concurrent'
    CHECK (comparison IN ('concurrent', 'before_after'));
ALTER TABLE improvements ADD COLUMN processes TEXT NOT NULL DEFAULT '[]' CHECK (json_valid(processes));
ALTER TABLE improvements ADD COLUMN checks TEXT NOT NULL DEFAULT '[]' CHECK (json_valid(checks));
ALTER TABLE improvements ADD COLUMN preflight TEXT CHECK (preflight IS NULL OR json_valid(preflight));
ALTER TABLE improvements ADD COLUMN approved_by TEXT;
CREATE INDEX improvements_by_opportunity ON improvements (opportunity_id) WHERE opportunity_id IS NOT NULL;
-- What waits for something: no second proposal is written for the same entity meanwhile.
CREATE INDEX improvements_open ON improvements (entity_type, entity_id)
    WHERE status IN ('proposed', 'validated', 'testing', 'awaiting_approval', 'queued');

ALTER TABLE improvement_history ADD COLUMN verdict TEXT CHECK (verdict IS NULL OR json_valid(verdict));
CREATE INDEX improvement_history_by_improvement ON improvement_history (improvement_id, id);

-- What happened to an improvement is asked for by its name.
CREATE INDEX process_instances_by_subject ON process_instances (subject, id);

-- Not claimed before this moment of the engine's clock.
ALTER TABLE optimization_opportunities ADD COLUMN not_before INTEGER NOT NULL DEFAULT 0;
CREATE INDEX optimization_opportunities_claimable ON optimization_opportunities (not_before, id)
    WHERE status = 'pending' AND confirmed = 1;

CREATE TABLE trials (
    trial_id       INTEGER PRIMARY KEY AUTOINCREMENT,
    improvement_id INTEGER NOT NULL REFERENCES improvements (id),
    entity_type    TEXT NOT NULL,
    entity_id      INTEGER NOT NULL,
    base           TEXT NOT NULL REFERENCES revisions (revision_id),
    candidate      TEXT NOT NULL REFERENCES revisions (revision_id),
    trial          TEXT NOT NULL CHECK (json_valid(trial)),
    cursor         INTEGER NOT NULL DEFAULT 0,
    looked_us      INTEGER NOT NULL,
    state          TEXT CHECK (state IS NULL OR json_valid(state)),
    verdict        TEXT CHECK (verdict IS NULL OR json_valid(verdict)),
    started_at     INTEGER NOT NULL,
    ended_at       INTEGER,
    ending         TEXT
);
-- One running trial per entity, a hold-back included.
CREATE UNIQUE INDEX trials_running ON trials (entity_type, entity_id) WHERE ended_at IS NULL;
CREATE INDEX trials_by_entity ON trials (entity_type, entity_id, trial_id);
CREATE INDEX trials_by_improvement ON trials (improvement_id, trial_id);

-- Units of running trials with the traces they are made of. `seq` counts up with every change of one of their tasks,
-- in the transaction that stores the events; the look reads what is beyond the trial's cursor. A trace that has gone
-- over to another unit, or to none, leaves a row with `gone` behind: the unit it has left is looked at again, too.
CREATE TABLE trial_units (
    trace_no INTEGER NOT NULL,
    trial_id INTEGER NOT NULL REFERENCES trials (trial_id),
    unit     TEXT NOT NULL,
    seq      INTEGER NOT NULL,
    last_us  INTEGER NOT NULL,
    gone     INTEGER NOT NULL DEFAULT 0 CHECK (gone IN (0, 1)),
    PRIMARY KEY (trace_no, trial_id, unit)
) WITHOUT ROWID;
-- Of `last_us`, so that what is forgotten is found without a look at the rows.
CREATE INDEX trial_units_by_seq ON trial_units (trial_id, seq, last_us);
CREATE INDEX trial_units_by_unit ON trial_units (trial_id, unit);

CREATE TABLE trial_looks (
    trial_id INTEGER NOT NULL REFERENCES trials (trial_id),
    at       INTEGER NOT NULL,
    summary  TEXT NOT NULL CHECK (json_valid(summary)),
    PRIMARY KEY (trial_id, at)
) WITHOUT ROWID;

-- The configurations that the code of an entity brought along as its defaults, in the order in which they were first
-- seen. The latest is the base that kept changes are applied to.
CREATE TABLE entity_defaults (
    entity_type   TEXT NOT NULL,
    entity_id     INTEGER NOT NULL,
    seq           INTEGER NOT NULL,
    revision_id   TEXT NOT NULL REFERENCES revisions (revision_id),
    first_seen_at INTEGER NOT NULL,
    PRIMARY KEY (entity_type, entity_id, seq),
    UNIQUE (entity_type, entity_id, revision_id)
) WITHOUT ROWID;

-- Entities were registered with a copy of the defaults, which hid the engine's settings: what says the same as the
-- defaults of that time is left to the engine.
UPDATE entities SET improvement_config = json_remove(improvement_config, '$.min_confidence_threshold')
WHERE json_extract(improvement_config, '$.min_confidence_threshold') = 0.8;
UPDATE entities SET improvement_config = json_remove(improvement_config, '$.test_duration_hours')
WHERE json_extract(improvement_config, '$.test_duration_hours') = 24.0;
