-- Retention: when raw events arrived, so that they can go by age of arrival, and what is left of those that went.
-- Hours are of the engine's clock, since the Unix epoch.

-- Hours in which traces and attributes were first seen, by their numbers, which ascend. What lies before `_from` has
-- been looked at. An hour that is under way has no end yet.
CREATE TABLE arrivals (
    arrival_no      INTEGER PRIMARY KEY AUTOINCREMENT,
    hour            INTEGER NOT NULL,
    trace_from      INTEGER NOT NULL,
    trace_to        INTEGER,
    attributes_from INTEGER NOT NULL,
    attributes_to   INTEGER
);
-- What came before this migration counts as having arrived with it.
INSERT INTO arrivals (hour, trace_from, attributes_from)
SELECT now_us / 3600000000, 0, 0 FROM engine_clock
WHERE EXISTS (SELECT 1 FROM traces) OR EXISTS (SELECT 1 FROM attribute_sets);

-- Traces that got events in a later hour than their first, or that are held: the hour of the latest; the hour in which
-- their attributes were last noted as used; and, while something running needs them, the hour that was last checked.
CREATE TABLE late_traces (
    trace_no INTEGER PRIMARY KEY,
    hour     INTEGER NOT NULL,
    covered  INTEGER NOT NULL,
    checked  INTEGER
);
CREATE INDEX late_traces_by_cover ON late_traces (covered);
CREATE INDEX late_traces_held ON late_traces (checked) WHERE checked IS NOT NULL;

-- Attributes that were used in a later hour than their first: the latest.
CREATE TABLE attribute_uses (
    attributes_no INTEGER PRIMARY KEY,
    hour          INTEGER NOT NULL
);
CREATE INDEX attribute_uses_by_hour ON attribute_uses (hour);

-- Traces whose raw events are gone, or some of them, and when the latest of these had arrived. Their tasks go later.
CREATE TABLE pruned_traces (
    trace_no INTEGER PRIMARY KEY,
    hour     INTEGER NOT NULL
);
CREATE INDEX pruned_traces_by_hour ON pruned_traces (hour, trace_no);

-- What retention has deleted so far, and when it last deleted anything.
CREATE TABLE retention_totals (
    one       INTEGER PRIMARY KEY CHECK (one = 1),
    events    INTEGER NOT NULL,
    texts     INTEGER NOT NULL,
    tasks     INTEGER NOT NULL,
    last_us   INTEGER
);
INSERT INTO retention_totals (one, events, texts, tasks) VALUES (1, 0, 0, 0);
