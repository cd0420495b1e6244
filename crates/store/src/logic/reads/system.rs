//! The system as a whole.

use std::path::Path;

use crate::sql::{Connection, Row};
use async_trait::async_trait;
use serde_json::Value;
use uplift_model::alert::{Acknowledgement, Alert, AlertFinding};
use uplift_model::entity::EntityKey;
use uplift_model::{Hour, Time};

use super::cursor::{Cursor, Parts};
use super::decode::Columns;
use super::entities::OWN_ENVIRONMENT;
use super::list;
use crate::error::StoreResult;
use crate::logic::fault::{Fault, corrupt};
use crate::page::{PageRequest, Paged};
use crate::reads::SystemReads;
use crate::rows::{Counts, MetricsRow, StorageRow, SystemStatusRow, TaskCounts};
use crate::store::SqlStore;

#[async_trait]
impl SystemReads for SqlStore {
    async fn config_seq(&self) -> StoreResult<i64> {
        self.read("reading the number of the configuration", |connection| {
            let sql = "SELECT seq FROM config_seq";
            let found = list::first(connection, "the number of the configuration", sql, [], |row| Ok(row.get(0)?))?;
            found.ok_or_else(|| corrupt("the number of the configuration", "its row is missing"))
        })
        .await
    }

    async fn counts(&self) -> StoreResult<Counts> {
        self.read("counting", counts).await
    }

    async fn task_counts(&self) -> StoreResult<TaskCounts> {
        self.read("counting tasks", task_counts).await
    }

    async fn storage(&self) -> StoreResult<StorageRow> {
        let wal = self.file.as_deref().map(Self::wal_path);
        self.read("measuring the database", move |connection| storage(connection, wal.as_deref())).await
    }

    async fn metrics(&self) -> StoreResult<MetricsRow> {
        self.read("reading the metrics", |connection| {
            let sql = "SELECT decided, kept, rolled_back, inconclusive, rollback_rate, mean_effectiveness,
                opportunities_pending, alerts_active, recent_decided FROM self_improvement_metrics";
            let found =
                list::first(connection, "the metrics", sql, [], |row| metrics(&mut Columns::of(row, "the metrics")))?;
            found.ok_or_else(no_clock)
        })
        .await
    }

    async fn system_status(&self) -> StoreResult<SystemStatusRow> {
        self.read("reading the status of the system", |connection| {
            let sql = "SELECT health, score, now_us, decided, kept, rolled_back, inconclusive, rollback_rate,
                mean_effectiveness, opportunities_pending, alerts_active, recent_decided, success_change,
                duration_change FROM system_self_improvement_status";
            let found = list::first(connection, "the status of the system", sql, [], |row| {
                let mut columns = Columns::of(row, "the status of the system");
                Ok(SystemStatusRow {
                    health: columns.parsed()?,
                    score: columns.get()?,
                    // The clock stands at 0 until the engine first moves it.
                    clock: Some(columns.time()?).filter(|clock| *clock > Time::default()),
                    metrics: metrics(&mut columns)?,
                    success_change: columns.get()?,
                    duration_change: columns.get()?,
                })
            })?;
            found.ok_or_else(no_clock)
        })
        .await
    }

    async fn alerts(&self, active_only: bool, page: PageRequest) -> StoreResult<Paged<Alert>> {
        self.read("listing alerts", move |connection| alerts(connection, active_only, &page)).await
    }

    async fn setting(&self, name: String) -> StoreResult<Option<Value>> {
        self.read("reading a setting", move |connection| {
            let sql = "SELECT value FROM settings WHERE name = ?1";
            list::first(connection, "a setting", sql, [name], |row| Columns::of(row, "a setting").json())
        })
        .await
    }

    async fn migrations(&self) -> StoreResult<Vec<String>> {
        self.read("listing migrations", |connection| {
            let sql = "SELECT name FROM schema_migrations ORDER BY version";
            list::all(connection, "a migration", sql, [], |row| Ok(row.get(0)?))
        })
        .await
    }
}

/// Bytes that the database takes up, and bytes of these that are in use, as far as the engine tells.
fn size(connection: &Connection) -> Result<(u64, u64), Fault> {
    let number = |sql: &str| -> Result<u64, Fault> {
        let value: i64 = connection.query_row(sql, [], |row| row.get(0))?;
        Ok(u64::try_from(value).unwrap_or(0))
    };
    if connection.either(false, true) {
        // What is free within its tables PostgreSQL does not tell without reading them.
        let bytes = number("SELECT pg_database_size(current_database())")?;
        return Ok((bytes, bytes));
    }
    let (page, pages) = (number("PRAGMA page_size")?, number("PRAGMA page_count")?);
    Ok((page * pages, page * pages.saturating_sub(number("PRAGMA freelist_count")?)))
}

fn storage(connection: &Connection, wal: Option<&Path>) -> Result<StorageRow, Fault> {
    let (file_bytes, used_bytes) = size(connection)?;
    // Held traces were looked at in the hour that covers them; theirs are older, and stay for a while.
    let sql = "SELECT
            (SELECT min(hour) FROM (
                SELECT min(hour) AS hour FROM arrivals WHERE trace_to IS NULL OR trace_from < trace_to
                UNION ALL SELECT min(covered) FROM late_traces) AS held),
            (SELECT min(hour) FROM pruned_traces), events, texts, tasks, last_us
        FROM retention_totals";
    let row = list::first(connection, "what retention has deleted", sql, [], |row| {
        let mut columns = Columns::of(row, "what retention has deleted");
        Ok(StorageRow {
            file_bytes,
            used_bytes,
            wal_bytes: wal.and_then(|wal| wal.metadata().ok()).map_or(0, |meta| meta.len()),
            events_since: columns.get::<Option<i64>>()?.map(Hour::from_number),
            tasks_since: columns.get::<Option<i64>>()?.map(Hour::from_number),
            events_deleted: columns.get::<i64>()?.max(0).unsigned_abs(),
            texts_deleted: columns.get::<i64>()?.max(0).unsigned_abs(),
            tasks_deleted: columns.get::<i64>()?.max(0).unsigned_abs(),
            last_deleted_at: columns.time_option()?,
        })
    })?;
    row.ok_or_else(|| corrupt("what retention has deleted", "its row is missing"))
}

fn no_clock() -> Fault {
    corrupt("the engine's clock", "its row is missing")
}

fn metrics(columns: &mut Columns<'_>) -> Result<MetricsRow, Fault> {
    Ok(MetricsRow {
        decided: columns.get()?,
        kept: columns.get()?,
        rolled_back: columns.get()?,
        inconclusive: columns.get()?,
        rollback_rate: columns.get()?,
        mean_effectiveness: columns.get()?,
        opportunities_pending: columns.get()?,
        alerts_active: columns.get()?,
        recent_decided: columns.get()?,
    })
}

fn counts(connection: &Connection) -> Result<Counts, Fault> {
    let sql = "SELECT
            (SELECT count(*) FROM entities WHERE entity_type = 'agent' AND environment <> ?1),
            (SELECT count(*) FROM entities WHERE entity_type = 'tool' AND environment <> ?1),
            (SELECT count(*) FROM error_groups),
            (SELECT count(*) FROM optimization_opportunities WHERE status = 'pending'),
            (SELECT count(*) FROM optimization_opportunities WHERE status = 'in_progress'),
            (SELECT count(*) FROM improvements
                WHERE status IN ('validated', 'testing', 'awaiting_approval', 'queued')),
            (SELECT count(*) FROM improvement_alerts WHERE resolved_at IS NULL)";
    let found = list::first(connection, "the counts", sql, [OWN_ENVIRONMENT], |row| {
        let mut columns = Columns::of(row, "the counts");
        Ok(Counts {
            agents: columns.get()?,
            tools: columns.get()?,
            error_groups: columns.get()?,
            opportunities_pending: columns.get()?,
            opportunities_in_progress: columns.get()?,
            improvements_active: columns.get()?,
            alerts_active: columns.get()?,
        })
    })?;
    Ok(found.unwrap_or_default())
}

fn task_counts(connection: &Connection) -> Result<TaskCounts, Fault> {
    // Events are counted by the tasks they were folded into: a tenth of the rows, and narrow ones.
    let sql = "SELECT coalesce(sum(events), 0), count(CASE WHEN pseudo = 0 AND entity_id IS NOT NULL THEN 1 END),
            count(CASE WHEN pseudo = 0 AND entity_id IS NOT NULL AND outcome = 0 THEN 1 END),
            count(CASE WHEN pseudo = 0 AND entity_id IS NOT NULL AND outcome IN (1, 2) THEN 1 END)
        FROM task_rows";
    let found = list::first(connection, "the counts of tasks", sql, [], |row| {
        let mut columns = Columns::of(row, "the counts of tasks");
        Ok(TaskCounts {
            events: columns.get()?,
            tasks: columns.get()?,
            tasks_succeeded: columns.get()?,
            tasks_failed: columns.get()?,
        })
    })?;
    Ok(found.unwrap_or_default())
}

/// The columns that [`alert`] reads.
pub(super) const ALERTS: &str = "SELECT id, kind, entity_type, entity_id, fingerprint, message, value, threshold, at,
    raised_at, quiet_since, acknowledged_at, acknowledged_by, note, resolved_at, resolved_by FROM improvement_alerts";

/// Two columns that are both empty where something concerns the system as a whole.
pub(super) fn entity(columns: &mut Columns<'_>) -> Result<Option<EntityKey>, Fault> {
    let (entity_type, entity_id) = (columns.parsed_option()?, columns.get::<Option<i64>>()?);
    Ok(entity_type.zip(entity_id).map(|(entity_type, entity_id)| EntityKey::new(entity_type, entity_id)))
}

/// An alert, from the columns of [`ALERTS`].
pub(super) fn alert(row: &Row<'_>) -> Result<Alert, Fault> {
    let mut columns = Columns::of(row, "an alert");
    let (id, kind) = (columns.get()?, columns.parsed()?);
    let finding = AlertFinding {
        kind,
        entity: entity(&mut columns)?,
        fingerprint: columns.get()?,
        message: columns.get()?,
        value: columns.get()?,
        threshold: columns.get()?,
        at: columns.time()?,
    };
    let (raised_at, quiet_since) = (columns.time()?, columns.time_option()?);
    let (at, by): (Option<Time>, Option<String>) = (columns.time_option()?, columns.get()?);
    let note = columns.get()?;
    let acknowledged = at.zip(by).map(|(at, by)| Acknowledgement { at, by, note });
    let resolved_at = columns.time_option()?;
    Ok(Alert {
        id,
        finding,
        active: resolved_at.is_none(),
        raised_at,
        quiet_since,
        acknowledged,
        resolved_at,
        resolved_by: columns.get()?,
    })
}

fn alerts(connection: &Connection, active_only: bool, page: &PageRequest) -> Result<Paged<Alert>, Fault> {
    let mut conditions = list::Conditions::default();
    if let Some(cursor) = &page.cursor {
        let mut parts = Parts::of("a", cursor)?;
        conditions.with("id < ?", [parts.number()?.into()]);
        parts.end()?;
    }
    // The active ones are few and have an index; all of them are in order already.
    let head = if active_only {
        format!("{ALERTS} INDEXED BY improvement_alerts_active WHERE resolved_at IS NULL")
    } else {
        format!("{ALERTS} WHERE TRUE")
    };
    let (sql, parameters) = conditions.query(&head, "ORDER BY id DESC", page.clamped());
    let items = list::all(connection, "an alert", &sql, parameters, alert)?;
    Ok(list::page(items, page, |last| Cursor::of("a").number(last.id).finish()))
}
