//! Improvements and what came of them.

use async_trait::async_trait;
use rusqlite::{Connection, Row, params_from_iter};
use uplift_model::entity::EntityKey;
use uplift_model::improvement::Improvement;
use uplift_model::revision::RevisionId;

use super::cursor::{Cursor, Parts};
use super::decode::Columns;
use super::list;
use crate::error::{StoreError, StoreResult};
use crate::page::{PageRequest, Paged};
use crate::reads::ImprovementReads;
use crate::rows::{AnalyticsRow, EntityStatusRow, HistoryRow};
use crate::sqlite::SqliteStore;
use crate::sqlite::fault::Fault;

#[async_trait]
impl ImprovementReads for SqliteStore {
    async fn active_improvements(&self, page: PageRequest) -> StoreResult<Paged<Improvement>> {
        self.read("listing active improvements", move |connection| active(connection, &page)).await
    }

    async fn history(&self, entity: Option<EntityKey>, page: PageRequest) -> StoreResult<Paged<HistoryRow>> {
        self.read("listing decided improvements", move |connection| history(connection, entity, &page)).await
    }

    async fn analytics(&self) -> StoreResult<Vec<AnalyticsRow>> {
        self.read("reading the analytics of improvements", |connection| {
            let sql =
                "SELECT improvement_type, total, kept, rolled_back, inconclusive, success_rate, mean_effectiveness
                FROM improvement_analytics ORDER BY improvement_type";
            list::all(connection, "the analytics of improvements", sql, [], |row| {
                let mut columns = Columns::of(row, "the analytics of improvements");
                Ok(AnalyticsRow {
                    improvement_type: columns.get()?,
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

    async fn entity_status(&self, entity: EntityKey) -> StoreResult<EntityStatusRow> {
        self.read("reading the status of an entity", move |connection| status(connection, entity)).await
    }
}

fn active(connection: &Connection, page: &PageRequest) -> Result<Paged<Improvement>, Fault> {
    let head = "SELECT id, entity_type, entity_id, opportunity_id, improvement_type, proposed_by, edits, base,
        candidate, rationale, expected_impact, confidence, status, created_at, updated_at, version
        FROM improvements WHERE status IN ('validated', 'testing', 'awaiting_approval', 'queued')";
    let mut conditions = list::Conditions::default();
    if let Some(cursor) = &page.cursor {
        let mut parts = Parts::of("i", cursor)?;
        conditions.with("id > ?", [parts.number()?.into()]);
        parts.end()?;
    }
    let (sql, parameters) = conditions.query(head, "ORDER BY id", page.clamped());
    let items = list::all(connection, "an improvement", &sql, params_from_iter(parameters), |row| {
        let mut columns = Columns::of(row, "an improvement");
        Ok(Improvement {
            id: columns.get()?,
            entity: columns.key()?,
            opportunity_id: columns.get()?,
            improvement_type: columns.parsed()?,
            proposed_by: columns.parsed()?,
            edits: columns.json()?,
            base: columns.get::<Option<String>>()?.map(RevisionId::from_stored),
            candidate: columns.get::<Option<String>>()?.map(RevisionId::from_stored),
            rationale: columns.get()?,
            expected_impact: columns.get()?,
            confidence: columns.get()?,
            status: columns.parsed()?,
            created_at: columns.time()?,
            updated_at: columns.time()?,
            version: columns.get()?,
        })
    })?;
    Ok(list::page(items, page, |last| Cursor::of("i").number(last.id).finish()))
}

fn history(
    connection: &Connection,
    entity: Option<EntityKey>,
    page: &PageRequest,
) -> Result<Paged<HistoryRow>, Fault> {
    let head = "SELECT h.id, h.improvement_id, h.entity_type, h.entity_id, n.name, h.improvement_type, h.outcome,
        h.reason, h.started_at, h.decided_at, h.metrics_before, h.metrics_after, h.effectiveness, h.effectiveness_low,
        h.effectiveness_high
        FROM improvement_history AS h
        LEFT JOIN entities AS n ON n.entity_type = h.entity_type AND n.entity_id = h.entity_id
        WHERE 1";
    let mut conditions = list::Conditions::default();
    if let Some(entity) = entity {
        let key = [entity.entity_type.as_str().to_owned().into(), entity.entity_id.into()];
        conditions.with("h.entity_type = ? AND h.entity_id = ?", key);
    }
    if let Some(cursor) = &page.cursor {
        let mut parts = Parts::of("h", cursor)?;
        let key = [parts.number()?.into(), parts.number()?.into()];
        parts.end()?;
        conditions.with("(h.decided_at, h.id) < (?, ?)", key);
    }
    let tail = "ORDER BY h.decided_at DESC, h.id DESC";
    let (sql, parameters) = conditions.query(head, tail, page.clamped());
    let items = list::all(connection, "a decided improvement", &sql, params_from_iter(parameters), decided)?;
    let paged =
        list::page(items, page, |(id, last)| Cursor::of("h").number(last.decided_at.micros()).number(*id).finish());
    Ok(Paged { items: paged.items.into_iter().map(|(_, item)| item).collect(), next: paged.next })
}

fn decided(row: &Row<'_>) -> Result<(i64, HistoryRow), Fault> {
    let mut columns = Columns::of(row, "a decided improvement");
    let (id, improvement_id) = (columns.get()?, columns.get()?);
    let entity = columns.key()?;
    let name: Option<String> = columns.get()?;
    let item = HistoryRow {
        improvement_id,
        entity,
        entity_name: name.unwrap_or_else(|| entity.to_string()),
        improvement_type: columns.get()?,
        outcome: columns.get()?,
        reason: columns.get()?,
        started_at: columns.time_option()?,
        decided_at: columns.time()?,
        metrics_before: columns.json_option()?,
        metrics_after: columns.json_option()?,
        effectiveness: columns.get()?,
        effectiveness_low: columns.get()?,
        effectiveness_high: columns.get()?,
    };
    Ok((id, item))
}

fn status(connection: &Connection, entity: EntityKey) -> Result<EntityStatusRow, Fault> {
    let sql = "SELECT name, environment, auto_improve_enabled, open_opportunities, active_improvements, kept,
        rolled_back, last_decided_at, tasks_since_review, review_due
        FROM self_improvement_status WHERE entity_type = ?1 AND entity_id = ?2";
    let parameters = (entity.entity_type.as_str(), entity.entity_id);
    let found = list::first(connection, "the status of an entity", sql, parameters, |row| {
        let mut columns = Columns::of(row, "the status of an entity");
        Ok(EntityStatusRow {
            entity,
            entity_name: columns.get()?,
            environment: columns.get()?,
            // Settings that say nothing leave it on, as the default does.
            auto_improve_enabled: columns.get::<Option<bool>>()?.unwrap_or(true),
            open_opportunities: columns.get()?,
            active_improvements: columns.get()?,
            kept: columns.get()?,
            rolled_back: columns.get()?,
            last_decided_at: columns.time_option()?,
            tasks_since_review: columns.get()?,
            review_due: columns.get()?,
        })
    })?;
    found.ok_or_else(|| StoreError::not_found(entity.entity_type.as_str(), entity.entity_id).into())
}
