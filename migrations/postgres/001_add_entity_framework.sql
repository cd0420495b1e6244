-- Entities, how they hang together, and their immutable revisions.
-- Times are microseconds since the Unix epoch, UTC. Tables, columns and rules are those of SQLite's migrations: whole
-- numbers of 64 bits throughout, 0 and 1 for no and yes, and texts in the order of their bytes.

-- Whether a text is JSON.
CREATE FUNCTION json_valid(document text) RETURNS boolean LANGUAGE plpgsql IMMUTABLE STRICT AS $$
BEGIN
    PERFORM CAST(document AS json);
    RETURN true;
EXCEPTION WHEN others THEN
    RETURN false;
END $$;

-- The engine's clock. No rule, view or trigger asks the time: they read this row.
CREATE TABLE engine_clock (
    one    bigint PRIMARY KEY CHECK (one = 1),
    now_us bigint NOT NULL
);
INSERT INTO engine_clock (one, now_us) VALUES (1, 0);

-- Counts up with every change of a pointer, a trial or a policy: resolvers watch it.
CREATE TABLE config_seq (
    one bigint PRIMARY KEY CHECK (one = 1),
    seq bigint NOT NULL
);
INSERT INTO config_seq (one, seq) VALUES (1, 0);

CREATE TABLE settings (
    name       text COLLATE "C" PRIMARY KEY,
    value      text COLLATE "C" NOT NULL CHECK (json_valid(value)),
    updated_at bigint NOT NULL
);

-- Content-addressed: never updated, never deleted.
CREATE TABLE revisions (
    revision_id   text COLLATE "C" PRIMARY KEY CHECK (length(revision_id) = 64),
    configuration text COLLATE "C" NOT NULL CHECK (json_valid(configuration)),
    created_at    bigint NOT NULL
);

CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION '%', TG_ARGV[0] USING ERRCODE = 'check_violation';
END $$;

CREATE TRIGGER revisions_are_immutable
BEFORE UPDATE ON revisions
FOR EACH ROW EXECUTE FUNCTION refuse('a revision is never edited');

CREATE TRIGGER revisions_are_kept
BEFORE DELETE ON revisions
FOR EACH ROW EXECUTE FUNCTION refuse('a revision is never deleted');

CREATE TABLE entities (
    entity_type        text COLLATE "C" NOT NULL CHECK (entity_type IN ('agent', 'tool', 'context', 'process')),
    entity_id          bigint NOT NULL CHECK (entity_id > 0),
    environment        text COLLATE "C" NOT NULL DEFAULT 'default',
    name               text COLLATE "C" NOT NULL,
    state              text COLLATE "C" NOT NULL DEFAULT 'active'
                       CHECK (state IN ('active', 'inactive', 'deprecated', 'archived', 'failed')),
    improvement_config json NOT NULL DEFAULT
        '{"auto_improve_enabled":true,"min_confidence_threshold":0.8,"test_duration_hours":24.0,"max_rollback_rate":0.1}',
    revision_id        text COLLATE "C" REFERENCES revisions (revision_id),
    created_at         bigint NOT NULL,
    last_seen_at       bigint,
    version            bigint NOT NULL DEFAULT 1,
    PRIMARY KEY (entity_type, entity_id),
    UNIQUE (environment, entity_type, name)
);

-- Which revisions an entity ran, and since when: a rollback is a pointer move, and this is its trail.
CREATE TABLE entity_revisions (
    entity_type text COLLATE "C" NOT NULL,
    entity_id   bigint NOT NULL,
    seq         bigint NOT NULL,
    revision_id text COLLATE "C" NOT NULL REFERENCES revisions (revision_id),
    since       bigint NOT NULL,
    PRIMARY KEY (entity_type, entity_id, seq)
);

CREATE TABLE entity_relationships (
    from_type text COLLATE "C" NOT NULL,
    from_id   bigint NOT NULL,
    kind      text COLLATE "C" NOT NULL
              CHECK (kind IN ('uses', 'depends_on', 'creates', 'optimizes', 'triggers', 'references', 'contains')),
    to_type   text COLLATE "C" NOT NULL,
    to_id     bigint NOT NULL,
    strength  double precision NOT NULL CHECK (strength BETWEEN 0 AND 1),
    source    text COLLATE "C" NOT NULL CHECK (source IN ('declared', 'learnt')),
    PRIMARY KEY (from_type, from_id, kind, to_type, to_id)
);
CREATE INDEX entity_relationships_by_target ON entity_relationships (to_type, to_id);
