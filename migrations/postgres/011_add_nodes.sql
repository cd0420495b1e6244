-- Nodes: the servers that share this database.

-- Counts the transactions that wrote. Its row is held while one is written, so that one writes at a time; who finds
-- that others wrote since forgets what it has cached.
CREATE TABLE writer_turns (
    one  bigint PRIMARY KEY CHECK (one = 1),
    turn bigint NOT NULL
) WITH (fillfactor = 10);
INSERT INTO writer_turns (one, turn) VALUES (1, 0);

-- Servers that say they are at work, by the names under which they hold leases.
CREATE TABLE nodes (
    node       text COLLATE "C" PRIMARY KEY,
    url        text COLLATE "C",
    version    text COLLATE "C" NOT NULL,
    started_at bigint NOT NULL,
    seen_at    bigint NOT NULL
);
