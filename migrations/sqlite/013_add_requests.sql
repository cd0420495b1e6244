-- What agents asked for, as they said it and as it was checked; and the order in which the planning agent wants
-- opportunities to be worked on.

CREATE TABLE improvement_requests (
    id               INTEGER PRIMARY KEY AUTOINCREMENT,
    -- Who asked, and what is to be improved.
    entity_type      TEXT NOT NULL,
    entity_id        INTEGER NOT NULL,
    about_type       TEXT NOT NULL,
    about_id         INTEGER NOT NULL,
    improvement_type TEXT NOT NULL CHECK (improvement_type IN ('instruction_update', 'context_optimization',
                     'tool_reassignment', 'process_automation', 'performance_tuning', 'error_prevention')),
    description      TEXT NOT NULL,
    rationale        TEXT NOT NULL,
    evidence         TEXT NOT NULL CHECK (json_valid(evidence)),
    -- What was found of the evidence, item by item.
    checked          TEXT NOT NULL CHECK (json_valid(checked)),
    priority         TEXT NOT NULL CHECK (priority IN ('low', 'medium', 'high')),
    confidence       REAL NOT NULL CHECK (confidence BETWEEN 0 AND 1),
    opportunity_id   INTEGER NOT NULL REFERENCES optimization_opportunities (id),
    -- Its own change, where the agent brought one along.
    improvement_id   INTEGER REFERENCES improvements (id),
    -- Under which name it was asked: that of a token, or `local`.
    asked_by         TEXT NOT NULL,
    at               INTEGER NOT NULL
);
CREATE INDEX improvement_requests_by_asker ON improvement_requests (entity_type, entity_id, at);
CREATE INDEX improvement_requests_by_opportunity ON improvement_requests (opportunity_id);

-- How far each has come: as its improvement, which is its own or else the latest that answers its opportunity; what
-- ended before it was asked for is not an answer. Without an improvement, as the opportunity.
CREATE VIEW improvement_request_status AS
SELECT r.id, coalesce(i.status, o.status) AS status, i.id AS improvement_id, o.status AS opportunity_status
FROM improvement_requests AS r
JOIN optimization_opportunities AS o ON o.id = r.opportunity_id
LEFT JOIN improvements AS i ON i.id = coalesce(r.improvement_id, (
    SELECT max(a.id) FROM improvements AS a
    WHERE a.opportunity_id = r.opportunity_id
        AND (a.status NOT IN ('rejected', 'rolled_back', 'cancelled') OR a.updated_at >= r.at)
));

-- Higher ones are worked on first, whatever their impact.
ALTER TABLE optimization_opportunities ADD COLUMN planned INTEGER NOT NULL DEFAULT 0;
CREATE INDEX optimization_opportunities_planned ON optimization_opportunities (planned) WHERE planned <> 0;
