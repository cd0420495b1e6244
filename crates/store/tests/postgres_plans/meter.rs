//! How often tables were read from end to end, and how many entries of indexes were read, as the server counts it.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use tokio_postgres::{Client, NoTls};
use uplift_store::suite::scratch::Scratch;

/// What the sessions that are measured are called.
const SESSIONS: &str = "measured";
/// How long the server may take to notice that sessions have ended.
const PATIENCE: Duration = Duration::from_mins(1);
/// Rows from which a table is large.
pub(crate) const LARGE: f32 = 1_000.0;

/// By table.
pub(crate) type Counts = BTreeMap<String, Count>;

/// What was read of a table.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Count {
    /// How often it was read from end to end.
    pub(crate) scans: i64,
    /// Rows read on the way.
    pub(crate) rows: i64,
    /// Entries read of its indexes.
    pub(crate) entries: i64,
}

/// Asks the server.
pub(crate) struct Meter {
    client: Client,
    address: String,
}

impl Meter {
    pub(crate) async fn of(scratch: &Scratch) -> Self {
        let (client, connection) = tokio_postgres::connect(&scratch.address(), NoTls).await.unwrap();
        tokio::spawn(connection);
        Self { client, address: scratch.address_of(SESSIONS) }
    }

    /// The address for sessions that are measured.
    pub(crate) fn address(&self) -> &str {
        &self.address
    }

    /// Waits until no session that is measured is left: each hands in what it counted before it goes.
    pub(crate) async fn settle(&self) {
        let sql = "SELECT count(*) FROM pg_stat_activity WHERE application_name = current_schema() || '_' || $1";
        let begun = Instant::now();
        while self.client.query_one(sql, &[&SESSIONS]).await.unwrap().get::<_, i64>(0) > 0 {
            assert!(begun.elapsed() < PATIENCE, "sessions do not end");
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }

    /// All that was counted since the schema was made, of its large tables.
    pub(crate) async fn read(&self) -> Counts {
        let sql = "SELECT CAST(t.relname AS text), t.seq_scan, t.seq_tup_read,
                (SELECT CAST(sum(i.idx_tup_read) AS bigint) FROM pg_stat_user_indexes AS i WHERE i.relid = t.relid)
            FROM pg_stat_user_tables AS t JOIN pg_class AS c ON c.oid = t.relid
            WHERE t.schemaname = current_schema() AND c.reltuples >= $1";
        let rows = self.client.query(sql, &[&LARGE]).await.unwrap();
        let count = |row: &tokio_postgres::Row| Count {
            scans: row.get(1),
            rows: row.get(2),
            entries: row.get::<_, Option<i64>>(3).unwrap_or(0),
        };
        rows.iter().map(|row| (row.get(0), count(row))).collect()
    }
}

/// What was read from one reading of the meter to the next.
pub(crate) fn between(before: &Counts, after: &Counts) -> Counts {
    let less = |(table, now): (&String, &Count)| {
        let then = before.get(table).copied().unwrap_or_default();
        let (scans, rows) = (now.scans - then.scans, now.rows - then.rows);
        (table.clone(), Count { scans, rows, entries: now.entries - then.entries })
    };
    after.iter().map(less).collect()
}
