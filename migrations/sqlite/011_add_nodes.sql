-- Nodes: the servers that share this database.

-- Counts the transactions that wrote, where many nodes write. SQLite has one writer, and its own lock.
CREATE TABLE writer_turns (
    one  INTEGER PRIMARY KEY CHECK (one = 1),
    turn INTEGER NOT NULL
);
INSERT INTO writer_turns (one, turn) VALUES (1, 0);
