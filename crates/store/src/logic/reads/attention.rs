//! News, alerts one by one, notifications; days and entities.

use async_trait::async_trait;
use uplift_model::alert::Alert;
use uplift_model::entity::EntityKey;
use uplift_model::notification::{Delivery, NewTarget, Target};
use uplift_model::time::MICROS_PER_DAY;
use uplift_model::{Hour, Time};

use super::cursor::{Cursor, Parts};
use super::decode::Columns;
use super::{list, system};
use crate::error::{StoreError, StoreResult};
use crate::logic::fault::{Fault, corrupt};
use crate::page::{PageRequest, Paged};
use crate::reads::{NewsReads, TrendReads};
use crate::rows::{DayDecisions, DayTasks, DeliveryCounts, DeliveryFilter, EntityAnalyticsRow, NewsKind, NewsRow};
use crate::sql::{Connection, Row};
use crate::store::SqlStore;

const DELIVERIES: &str = "SELECT d.id, d.target_id, t.name, d.message, d.created_at, d.state, d.attempts, d.due_at,
    d.last_attempt_at, d.last_status, d.last_error, d.delivered_at
    FROM notification_deliveries AS d JOIN notification_targets AS t ON t.id = d.target_id";

#[async_trait]
impl NewsReads for SqlStore {
    async fn news(&self, after: i64, limit: u32) -> StoreResult<Vec<NewsRow>> {
        self.read("reading news", move |connection| {
            let sql = "SELECT seq, at, kind, word, subject_id, entity_type, entity_id FROM news WHERE seq > ?1
                ORDER BY seq LIMIT ?2";
            list::all(connection, "news", sql, (after, i64::from(limit)), news)
        })
        .await
    }

    async fn last_news(&self) -> StoreResult<i64> {
        self.read("reading the number of the latest news", |connection| {
            let sql = "SELECT coalesce(max(seq), 0) FROM news";
            let found = list::first(connection, "the number of the latest news", sql, [], |row| Ok(row.get(0)?))?;
            Ok(found.unwrap_or(0))
        })
        .await
    }

    async fn alert(&self, id: i64) -> StoreResult<Alert> {
        self.read("reading an alert", move |connection| {
            let sql = format!("{} WHERE id = ?1", system::ALERTS);
            let found = list::first(connection, "an alert", &sql, [id], system::alert)?;
            found.ok_or_else(|| StoreError::not_found("alert", id).into())
        })
        .await
    }

    async fn resolved_by_hand(&self, since: Time) -> StoreResult<Vec<Alert>> {
        self.read("reading alerts that were resolved by hand", move |connection| {
            let sql = format!(
                "{} WHERE resolved_by IS NOT NULL AND resolved_at >= ?1 ORDER BY resolved_at, id",
                system::ALERTS
            );
            list::all(connection, "an alert", &sql, [since.micros()], system::alert)
        })
        .await
    }

    async fn targets(&self) -> StoreResult<Vec<Target>> {
        self.read("reading notification targets", |connection| {
            let sql = "SELECT id, name, url, format, kinds, secret, created_at, created_by FROM notification_targets
                ORDER BY name";
            list::all(connection, "a notification target", sql, [], target)
        })
        .await
    }

    async fn notified(&self) -> StoreResult<i64> {
        self.read("reading what was told", |connection| {
            let sql = "SELECT seq FROM notification_cursor";
            let found = list::first(connection, "what was told", sql, [], |row| Ok(row.get(0)?))?;
            found.ok_or_else(|| corrupt("what was told", "its row is missing"))
        })
        .await
    }

    async fn due_deliveries(&self, now: Time, each: u32) -> StoreResult<Vec<Delivery>> {
        self.read("reading deliveries that are due", move |connection| {
            let sql = format!(
                "{DELIVERIES} JOIN (
                    SELECT id AS due_id, row_number() OVER (PARTITION BY target_id ORDER BY due_at, id) AS place
                    FROM notification_deliveries WHERE state = 'pending' AND due_at <= ?1) AS w ON w.due_id = d.id
                 WHERE w.place <= ?2 ORDER BY d.due_at, d.id"
            );
            list::all(connection, "a delivery", &sql, (now.micros(), i64::from(each)), delivery)
        })
        .await
    }

    async fn deliveries(&self, filter: DeliveryFilter, page: PageRequest) -> StoreResult<Paged<Delivery>> {
        self.read("listing deliveries", move |connection| deliveries(connection, &filter, &page)).await
    }

    async fn delivery_counts(&self) -> StoreResult<DeliveryCounts> {
        self.read("counting deliveries", |connection| {
            let sql = "SELECT (SELECT count(*) FROM notification_deliveries WHERE state = 'pending'),
                (SELECT count(*) FROM notification_deliveries WHERE state = 'dead')";
            let found = list::first(connection, "the counts of deliveries", sql, [], |row| {
                Ok(DeliveryCounts { pending: row.get(0)?, dead: row.get(1)? })
            })?;
            Ok(found.unwrap_or_default())
        })
        .await
    }
}

#[async_trait]
impl TrendReads for SqlStore {
    async fn decisions_by_day(&self, since: Time) -> StoreResult<Vec<DayDecisions>> {
        self.read("reading decisions by day", move |connection| {
            let sql = format!(
                "SELECT decided_at / {MICROS_PER_DAY}, count(CASE WHEN outcome = 'kept' THEN 1 END),
                    count(CASE WHEN outcome = 'rolled_back' THEN 1 END),
                    count(CASE WHEN outcome = 'inconclusive' THEN 1 END),
                    count(CASE WHEN outcome = 'rejected' THEN 1 END),
                    count(CASE WHEN outcome = 'cancelled' THEN 1 END)
                 FROM improvement_history WHERE decided_at >= ?1 GROUP BY 1 ORDER BY 1"
            );
            list::all(connection, "the decisions of a day", &sql, [since.micros()], |row| {
                let mut columns = Columns::of(row, "the decisions of a day");
                Ok(DayDecisions {
                    day: columns.get()?,
                    kept: columns.get()?,
                    rolled_back: columns.get()?,
                    inconclusive: columns.get()?,
                    rejected: columns.get()?,
                    cancelled: columns.get()?,
                })
            })
        })
        .await
    }

    async fn tasks_by_day(
        &self,
        agent: Option<EntityKey>,
        from: Hour,
        to: Hour,
        limit: u32,
    ) -> StoreResult<Vec<DayTasks>> {
        self.read("reading tasks by day", move |connection| tasks_by_day(connection, agent, from, to, limit)).await
    }

    async fn analytics_by_entity(&self, limit: u32) -> StoreResult<Vec<EntityAnalyticsRow>> {
        self.read("reading what came of entities", move |connection| {
            let sql = "SELECT n.entity_type, n.entity_id, n.name, n.environment, count(*),
                    count(CASE WHEN h.outcome = 'kept' THEN 1 END),
                    count(CASE WHEN h.outcome = 'rolled_back' THEN 1 END),
                    count(CASE WHEN h.outcome = 'inconclusive' THEN 1 END),
                    CAST(count(CASE WHEN h.outcome = 'kept' THEN 1 END) AS double precision)
                        / nullif(count(CASE WHEN h.outcome IN ('kept', 'rolled_back') THEN 1 END), 0),
                    avg(CASE WHEN h.outcome = 'kept' THEN h.effectiveness END)
                FROM improvement_history AS h
                JOIN entities AS n ON n.entity_type = h.entity_type AND n.entity_id = h.entity_id
                WHERE h.outcome IN ('kept', 'rolled_back', 'inconclusive')
                GROUP BY n.entity_type, n.entity_id, n.name, n.environment
                ORDER BY 5 DESC, n.entity_type, n.entity_id LIMIT ?1";
            list::all(connection, "what came of an entity", sql, [i64::from(limit)], |row| {
                let mut columns = Columns::of(row, "what came of an entity");
                Ok(EntityAnalyticsRow {
                    entity: columns.key()?,
                    entity_name: columns.get()?,
                    environment: columns.get()?,
                    total: columns.get()?,
                    kept: columns.get()?,
                    rolled_back: columns.get()?,
                    inconclusive: columns.get()?,
                    success_rate: columns.get()?,
                    mean_effectiveness: columns.get()?,
                })
            })
        })
        .await
    }
}

fn news(row: &Row<'_>) -> Result<NewsRow, Fault> {
    let mut columns = Columns::of(row, "news");
    let (seq, at) = (columns.get()?, columns.time()?);
    let kind: String = columns.get()?;
    let kind = NewsKind::ALL.into_iter().find(|known| known.as_str() == kind);
    let kind = kind.ok_or_else(|| corrupt("news", "it is of no known kind"))?;
    let (word, id) = (columns.get()?, columns.get()?);
    Ok(NewsRow { seq, at, kind, word, id, entity: system::entity(&mut columns)? })
}

fn target(row: &Row<'_>) -> Result<Target, Fault> {
    let mut columns = Columns::of(row, "a notification target");
    let id = columns.get()?;
    let target = NewTarget {
        name: columns.get()?,
        url: columns.get()?,
        format: columns.parsed()?,
        kinds: columns.json()?,
        secret: columns.get()?,
    };
    Ok(Target { id, target, created_at: columns.time()?, created_by: columns.get()? })
}

fn delivery(row: &Row<'_>) -> Result<Delivery, Fault> {
    const WHAT: &str = "a delivery";
    let mut columns = Columns::of(row, WHAT);
    let status = |status: Option<i64>| status.map(u16::try_from).transpose().map_err(|error| corrupt(WHAT, error));
    Ok(Delivery {
        id: columns.get()?,
        target_id: columns.get()?,
        target: columns.get()?,
        message: columns.json()?,
        created_at: columns.time()?,
        state: columns.parsed()?,
        attempts: columns.get()?,
        due_at: columns.time_option()?,
        last_attempt_at: columns.time_option()?,
        last_status: status(columns.get()?)?,
        last_error: columns.get()?,
        delivered_at: columns.time_option()?,
    })
}

fn deliveries(
    connection: &Connection,
    filter: &DeliveryFilter,
    page: &PageRequest,
) -> Result<Paged<Delivery>, Fault> {
    let mut conditions = list::Conditions::default();
    if let Some(cursor) = &page.cursor {
        let mut parts = Parts::of("n", cursor)?;
        conditions.with("d.id < ?", [parts.number()?.into()]);
        parts.end()?;
    }
    conditions.among("d.state", filter.state.iter().map(|state| state.as_str()).collect());
    conditions.given("d.target_id = ?", filter.target_id);
    let head = format!("{DELIVERIES} WHERE TRUE");
    let (sql, parameters) = conditions.query(&head, "ORDER BY d.id DESC", page.clamped());
    let items = list::all(connection, "a delivery", &sql, parameters, delivery)?;
    Ok(list::page(items, page, |last| Cursor::of("n").number(last.id).finish()))
}

/// Agent by agent, each by its key: hours outside of the range are not read.
fn tasks_by_day(
    connection: &Connection,
    agent: Option<EntityKey>,
    from: Hour,
    to: Hour,
    limit: u32,
) -> Result<Vec<DayTasks>, Fault> {
    const SUMS: [&str; 9] =
        ["n", "errors", "timed", "sum_us", "sum_ln", "sum_ln2", "tokens_in", "tokens_out", "cost_nano"];
    let sums = SUMS.map(|column| format!("CAST(sum(r.{column}) AS bigint)")).join(", ");
    let mut conditions = list::Conditions::after([from.number().into(), to.number().into()]);
    if let Some(agent) = agent {
        conditions.with(
            "n.entity_type = ? AND n.entity_id = ?",
            [agent.entity_type.as_str().to_owned().into(), agent.entity_id.into()],
        );
    }
    let head = format!(
        "SELECT r.hour / 24, n.entity_type, n.entity_id, n.name, n.environment, {sums}
         FROM entities AS n CROSS JOIN rollup_ops AS r ON r.entity_type = n.entity_type AND r.entity_id = n.entity_id
            AND r.operation = 'task' AND r.hour BETWEEN ? AND ?
         WHERE n.entity_type = 'agent'"
    );
    let tail = "GROUP BY 1, n.entity_type, n.entity_id, n.name, n.environment ORDER BY 1, n.entity_id";
    // The query asks for one more than its limit, which lists use to see whether there is a next page.
    let (sql, parameters) = conditions.query(&head, tail, limit.saturating_sub(1));
    list::all(connection, "the tasks of a day", &sql, parameters, |row| {
        let mut columns = Columns::of(row, "the tasks of a day");
        Ok(DayTasks {
            day: columns.get()?,
            agent: columns.key()?,
            agent_name: columns.get()?,
            environment: columns.get()?,
            sums: columns.sums()?,
        })
    })
}
