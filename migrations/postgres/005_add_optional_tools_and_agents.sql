-- What agents have: the tools (required or optional), contexts and processes of the revision each one runs, spread
-- out for queries. The revision is the truth; these rows move with the pointer.

CREATE TABLE agent_tools (
    entity_id bigint NOT NULL,
    tool      text COLLATE "C" NOT NULL,
    required  bigint NOT NULL CHECK (required IN (0, 1)),
    PRIMARY KEY (entity_id, tool)
);

CREATE TABLE agent_contexts (
    entity_id bigint NOT NULL,
    context   text COLLATE "C" NOT NULL,
    PRIMARY KEY (entity_id, context)
);

CREATE VIEW optional_tools AS
SELECT a.entity_id, n.environment, n.name AS agent, a.tool
FROM agent_tools AS a
JOIN entities AS n ON n.entity_type = 'agent' AND n.entity_id = a.entity_id
WHERE a.required = 0;
