-- Spans: where an event stands in the tree of its trace. Ids are those of the spans.

-- Empty for the root of a trace, nothing for what is no span.
ALTER TABLE event_rows ADD COLUMN parent text COLLATE "C";
-- Bits: 1-2 role (0 agent, 1 work, 2 plain), 4 it names its entity, 8 it is within a call that reports tokens of its
-- own, 16 counted for its entity, 32 counted for its task, 64 it stands for the task at the root of its trace.
ALTER TABLE event_rows ADD COLUMN span_flags bigint;
-- The span that is missing on the way up to an agent. With it, a task is only taken for the time being.
ALTER TABLE event_rows ADD COLUMN waits_at text COLLATE "C";
-- The name of the agent that stands in where no agent is found above: names.name_no.
ALTER TABLE event_rows ADD COLUMN stand_in bigint;

-- Spans that are no events: others hang from them. The root of a trace without agents stands for the task.
CREATE TABLE plain_spans (
    trace_no      bigint NOT NULL,
    id            text COLLATE "C" NOT NULL,
    ts            bigint NOT NULL,
    parent        text COLLATE "C" NOT NULL,
    span_flags    bigint NOT NULL,
    waits_at      text COLLATE "C",
    stand_in      bigint,
    task          text COLLATE "C",
    outcome       bigint,
    duration_ms   double precision,
    error_type    bigint,
    clock         bigint NOT NULL,
    body_no       bigint,
    attributes_no bigint,
    exposures     text COLLATE "C",
    digest        bigint NOT NULL,
    PRIMARY KEY (trace_no, id)
);

-- The session of a trace: the least name, should its spans disagree.
ALTER TABLE traces ADD COLUMN session_id text COLLATE "C";

-- Traces some spans of which wait for others, and when the last span came in.
CREATE TABLE unsettled_traces (
    trace_no  bigint PRIMARY KEY,
    last_us   bigint NOT NULL
);

DROP VIEW events;
CREATE VIEW events AS
SELECT
    t.trace_key, e.id,
    to_char(timestamp 'epoch' + e.ts * interval '1 microsecond', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"') AS ts,
    CASE e.kind
        WHEN 0 THEN 'TASK_STARTED' WHEN 1 THEN 'LLM_CALL' WHEN 2 THEN 'TOOL_EXECUTED' WHEN 3 THEN 'TASK_COMPLETED'
        WHEN 4 THEN 'TASK_FAILED' WHEN 5 THEN 'ERROR' WHEN 6 THEN 'CONTEXT_READ' WHEN 7 THEN 'FEEDBACK'
        WHEN 8 THEN 'HANDOFF' WHEN 9 THEN 'IMPROVEMENT_REQUESTED' WHEN 10 THEN 'IMPROVEMENT_PROPOSED'
        WHEN 11 THEN 'IMPROVEMENT_VALIDATED' WHEN 12 THEN 'IMPROVEMENT_REJECTED' WHEN 13 THEN 'IMPROVEMENT_STARTED'
        WHEN 14 THEN 'IMPROVEMENT_DEPLOYED' WHEN 15 THEN 'IMPROVEMENT_ROLLED_BACK'
        WHEN 16 THEN 'IMPROVEMENT_INCONCLUSIVE'
    END AS event_type,
    -- A span that waits for the agent above it is nobody's yet.
    t.environment, n.entity_type, nullif(e.entity_id, 0) AS entity_id, n.name AS entity,
    coalesce(e.task, CASE WHEN k.pseudo IS DISTINCT FROM 1 AND e.parent IS NULL THEN t.trace_key END) AS task_id,
    k.parent_task_id, k.session_id, coalesce(e.span_id, CASE WHEN e.parent IS NOT NULL THEN e.id END) AS span_id,
    nullif(e.parent, '') AS parent_span_id, tool.name AS tool,
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

-- Every span, events and others alike.
CREATE VIEW spans AS
SELECT trace_key, span_id, nullif(parent, '') AS parent_span_id, role, task, waits_at FROM (
    SELECT trace_no, id AS span_id, parent, CASE span_flags & 3 WHEN 0 THEN 'agent' WHEN 1 THEN 'work' END AS role,
        task, waits_at
    FROM event_rows WHERE parent IS NOT NULL
    UNION ALL
    SELECT trace_no, id, parent, 'plain', task, waits_at FROM plain_spans
) AS s JOIN traces AS t ON t.trace_no = s.trace_no;
