-- What pages and lists read often, in the order in which they read it.

-- Open opportunities first, then by impact, the surest first.
CREATE INDEX optimization_opportunities_listed ON optimization_opportunities (
    (CASE WHEN status IN ('pending', 'in_progress') THEN 0 ELSE 1 END),
    (CASE potential_impact WHEN 'high' THEN 0 WHEN 'medium' THEN 1 ELSE 2 END),
    (-confidence), (-occurrences), (-id)
);

-- What came of improvements is counted without reading their reports.
CREATE INDEX improvement_history_counted
    ON improvement_history (outcome, improvement_type, entity_type, entity_id, decided_at, effectiveness);

-- The few that wait for somebody, among all that were ever decided.
CREATE INDEX improvements_by_status ON improvements (status, id);
