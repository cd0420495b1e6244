-- What Uplift brings along, in an environment of its own: the tool by which agents ask for improvements, the agents
-- that work on them, and the document that explains it to them. Their ids start high, to leave the low ones to the
-- fleet.

CREATE TABLE context_documents (
    entity_id bigint PRIMARY KEY,
    content   text COLLATE "C" NOT NULL
);

INSERT INTO entities (entity_type, entity_id, environment, name, created_at)
SELECT b.entity_type, 2000000000 + b.n, 'uplift', b.name, c.now_us
FROM (
    SELECT 'agent' AS entity_type, 1 AS n, 'optimizer' AS name
    UNION ALL SELECT 'agent', 2, 'planning'
    UNION ALL SELECT 'agent', 3, 'recovery'
    UNION ALL SELECT 'tool', 1, 'request_improvement'
    UNION ALL SELECT 'context', 1, 'self_improvement_guide'
) AS b
CROSS JOIN engine_clock AS c;

INSERT INTO context_documents (entity_id, content)
SELECT entity_id,
'Ask for an improvement with the tool request_improvement when something keeps you from doing your work well:
improvement_type is one of instruction_update, context_optimization, tool_reassignment, process_automation,
performance_tuning, error_prevention; description says what should change; rationale says why; evidence names the
tasks or events that show it. Each request is checked against what was recorded, tried beside an unchanged control,
and answered with a verdict. Requests that turn out to help raise the weight of the next ones.'
FROM entities WHERE environment = 'uplift' AND entity_type = 'context' AND name = 'self_improvement_guide';

INSERT INTO entity_relationships (from_type, from_id, kind, to_type, to_id, strength, source)
SELECT a.entity_type, a.entity_id, 'uses', t.entity_type, t.entity_id, 1.0, 'declared'
FROM entities AS a
JOIN entities AS t ON t.environment = 'uplift' AND t.entity_type IN ('tool', 'context')
WHERE a.environment = 'uplift' AND a.entity_type = 'agent';

INSERT INTO agent_tools (entity_id, tool, required)
SELECT entity_id, 'request_improvement', 0 FROM entities WHERE environment = 'uplift' AND entity_type = 'agent';

INSERT INTO agent_contexts (entity_id, context)
SELECT entity_id, 'self_improvement_guide' FROM entities WHERE environment = 'uplift' AND entity_type = 'agent';
