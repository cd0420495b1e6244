//! Rolling reviews.

use crate::sql::{Connection, Row};
use async_trait::async_trait;
use uplift_model::entity::EntityKey;
use uplift_model::review::{Review, ReviewCounter, ReviewSchedule};

use super::cursor::{Cursor, Parts};
use super::decode::Columns;
use super::list;
use crate::error::StoreResult;
use crate::logic::fault::Fault;
use crate::page::{MAX_PAGE, PageRequest, Paged};
use crate::reads::ReviewReads;
use crate::store::SqlStore;

const HEAD: &str = "SELECT r.entity_type, r.entity_id, n.name, n.environment, r.review_type, r.task_threshold,
    r.period_hours, r.tasks_since_review, r.last_review_at, r.last_event_at, r.due
    FROM rolling_review_counters AS r
    JOIN entities AS n ON n.entity_type = r.entity_type AND n.entity_id = r.entity_id
    WHERE TRUE";

#[async_trait]
impl ReviewReads for SqlStore {
    async fn review_queue(&self, due_only: bool, page: PageRequest) -> StoreResult<Paged<ReviewCounter>> {
        self.read("listing review counters", move |connection| queue(connection, due_only, &page)).await
    }

    async fn reviews(&self, entity: EntityKey, limit: u32) -> StoreResult<Vec<Review>> {
        self.read("listing reviews", move |connection| {
            let sql = "SELECT reviewed_at, reason, tasks, findings, summary FROM reviews
                WHERE entity_type = ?1 AND entity_id = ?2 ORDER BY id DESC LIMIT ?3";
            let parameters = (entity.entity_type.as_str(), entity.entity_id, limit.clamp(1, MAX_PAGE));
            list::all(connection, "a review", sql, parameters, |row| {
                let mut columns = Columns::of(row, "a review");
                Ok(Review {
                    entity,
                    reviewed_at: columns.time()?,
                    reason: columns.parsed()?,
                    tasks: columns.get()?,
                    findings: columns.get()?,
                    summary: columns.get()?,
                })
            })
        })
        .await
    }
}

fn decode(row: &Row<'_>) -> Result<ReviewCounter, Fault> {
    let mut columns = Columns::of(row, "a review counter");
    Ok(ReviewCounter {
        entity: columns.key()?,
        entity_name: columns.get()?,
        environment: columns.get()?,
        schedule: ReviewSchedule {
            kind: columns.parsed()?,
            task_threshold: columns.get()?,
            period_hours: columns.get()?,
        },
        tasks_since_review: columns.get()?,
        last_review_at: columns.time_option()?,
        last_event_at: columns.time_option()?,
        due: columns.parsed_option()?,
    })
}

fn queue(connection: &Connection, due_only: bool, page: &PageRequest) -> Result<Paged<ReviewCounter>, Fault> {
    let mut conditions = list::Conditions::default();
    if due_only {
        conditions.when("r.due IS NOT NULL");
    }
    if let Some(cursor) = &page.cursor {
        let mut parts = Parts::of("r", cursor)?;
        let key = [parts.number()?.into(), parts.text()?.into(), parts.number()?.into()];
        parts.end()?;
        conditions.with("(r.due IS NULL, r.entity_type, r.entity_id) > (?, ?, ?)", key);
    }
    let tail = "ORDER BY r.due IS NULL, r.entity_type, r.entity_id";
    let (sql, parameters) = conditions.query(HEAD, tail, page.clamped());
    let items = list::all(connection, "a review counter", &sql, parameters, decode)?;
    Ok(list::page(items, page, |last| {
        Cursor::of("r")
            .number(i64::from(last.due.is_none()))
            .text(last.entity.entity_type.as_str())
            .number(last.entity.entity_id)
            .finish()
    }))
}
