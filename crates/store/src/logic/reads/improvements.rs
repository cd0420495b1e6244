//! Improvements and what came of them.

use crate::sql::{Connection, Row};
use async_trait::async_trait;
use uplift_model::Time;
use uplift_model::entity::EntityKey;
use uplift_model::history::TrackRecord;
use uplift_model::improvement::{Improvement, Proposal};
use uplift_model::revision::RevisionId;

use super::cursor::{Cursor, Parts};
use super::decode::Columns;
use super::list;
use crate::error::{StoreError, StoreResult};
use crate::logic::fault::{Fault, corrupt};
use crate::page::{PageRequest, Paged};
use crate::reads::ImprovementReads;
use crate::rows::{AnalyticsRow, EffectRow, EntityStatusRow, HistoryRow, ImprovementFilter};
use crate::store::SqlStore;

#[async_trait]
impl ImprovementReads for SqlStore {
    async fn active_improvements(&self, page: PageRequest) -> StoreResult<Paged<Improvement>> {
        self.read("listing active improvements", move |connection| active(connection, &page)).await
    }

    async fn improvements(&self, filter: ImprovementFilter, page: PageRequest) -> StoreResult<Paged<Improvement>> {
        self.read("listing improvements", move |connection| improvements(connection, &filter, &page)).await
    }

    async fn improvement(&self, id: i64) -> StoreResult<Improvement> {
        self.read("reading an improvement", move |connection| {
            let sql = format!("{HEAD} AND i.id = ?1");
            let found = list::first(connection, "an improvement", &sql, [id], decode)?;
            found.ok_or_else(|| StoreError::not_found("improvement", id).into())
        })
        .await
    }

    async fn improvements_of(&self, ids: Vec<i64>) -> StoreResult<Vec<Improvement>> {
        self.read("reading improvements", move |connection| named(connection, &ids)).await
    }

    async fn history_of(&self, improvement_id: i64) -> StoreResult<Vec<HistoryRow>> {
        self.read("reading what became of an improvement", move |connection| {
            let sql = format!("{DECIDED} AND h.improvement_id = ?1 ORDER BY h.id");
            list::all(connection, "a decided improvement", &sql, [improvement_id], |row| Ok(decided(row)?.1))
        })
        .await
    }

    async fn track_records(&self) -> StoreResult<Vec<TrackRecord>> {
        self.read("reading track records", track_records).await
    }

    async fn last_change(&self, entity: EntityKey) -> StoreResult<Option<Time>> {
        self.read("reading the last change of an entity", move |connection| {
            let sql = "SELECT max(ended_at) FROM trials WHERE entity_type = ?1 AND entity_id = ?2
                AND trial ->> 'kind' = 'trial'";
            let key = (entity.entity_type.as_str(), entity.entity_id);
            let found =
                list::first(connection, "a trial", sql, key, |row| Columns::of(row, "a trial").time_option())?;
            Ok(found.flatten())
        })
        .await
    }

    async fn history(&self, entity: Option<EntityKey>, page: PageRequest) -> StoreResult<Paged<HistoryRow>> {
        self.read("listing decided improvements", move |connection| history(connection, entity, &page)).await
    }

    async fn effects_of(&self, entity: EntityKey) -> StoreResult<Vec<EffectRow>> {
        self.read("reading what improvements did", move |connection| {
            let sql = "SELECT outcome, effectiveness, effectiveness_low, effectiveness_high
                FROM improvement_history WHERE entity_type = ?1 AND entity_id = ?2";
            list::all(connection, "an effect", sql, (entity.entity_type.as_str(), entity.entity_id), |row| {
                let mut columns = Columns::of(row, "an effect");
                let outcome = columns.get()?;
                let (estimate, low): (Option<f64>, Option<f64>) = (columns.get()?, columns.get()?);
                let effectiveness = estimate.zip(low).zip(columns.get()?);
                Ok(EffectRow {
                    outcome,
                    effectiveness: effectiveness.map(|((estimate, low), high)| (estimate, low, high)),
                })
            })
        })
        .await
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

/// What [`decode`] reads, up to a condition.
const HEAD: &str = "SELECT i.id, i.entity_type, i.entity_id, i.opportunity_id, i.improvement_type, i.proposed_by,
    i.proposer, i.edits, i.processes, i.rationale, i.expected_impact, i.expected_gain, i.confidence, i.comparison, i.base,
    i.candidate, i.status, i.checks, i.preflight, i.approved_by, i.created_at, i.updated_at, i.version
    FROM improvements AS i WHERE TRUE";

fn decode(row: &Row<'_>) -> Result<Improvement, Fault> {
    let mut columns = Columns::of(row, "an improvement");
    Ok(Improvement {
        id: columns.get()?,
        entity: columns.key()?,
        opportunity_id: columns.get()?,
        proposal: Proposal {
            improvement_type: columns.parsed()?,
            proposed_by: columns.parsed()?,
            proposer: columns.get()?,
            edits: columns.json()?,
            processes: columns.json()?,
            rationale: columns.get()?,
            expected_impact: columns.get()?,
            expected_gain: columns.get()?,
            confidence: columns.get()?,
            comparison: columns.named()?,
        },
        base: columns.get::<Option<String>>()?.map(RevisionId::from_stored),
        candidate: columns.get::<Option<String>>()?.map(RevisionId::from_stored),
        status: columns.parsed()?,
        checks: columns.json()?,
        preflight: columns.json_option()?,
        approved_by: columns.get()?,
        created_at: columns.time()?,
        updated_at: columns.time()?,
        version: columns.get()?,
    })
}

fn active(connection: &Connection, page: &PageRequest) -> Result<Paged<Improvement>, Fault> {
    let mut conditions = list::Conditions::default();
    // As the partial index has it: from that it is read in order.
    conditions.when("i.status IN ('validated', 'testing', 'awaiting_approval', 'queued')");
    if let Some(cursor) = &page.cursor {
        let mut parts = Parts::of("i", cursor)?;
        conditions.with("i.id > ?", [parts.number()?.into()]);
        parts.end()?;
    }
    let (sql, parameters) = conditions.query(HEAD, "ORDER BY i.id", page.clamped());
    let items = list::all(connection, "an improvement", &sql, parameters, decode)?;
    Ok(list::page(items, page, |last| Cursor::of("i").number(last.id).finish()))
}

fn named(connection: &Connection, ids: &[i64]) -> Result<Vec<Improvement>, Fault> {
    let ids = serde_json::to_string(ids).map_err(|error| corrupt("numbers of improvements", error))?;
    let listed = connection.either(
        "SELECT value FROM json_each(?1)",
        "SELECT CAST(value AS bigint) FROM json_array_elements_text(CAST(?1 AS json)) AS listed (value)",
    );
    list::all(connection, "an improvement", &format!("{HEAD} AND i.id IN ({listed})"), [ids], decode)
}

fn improvements(
    connection: &Connection,
    filter: &ImprovementFilter,
    page: &PageRequest,
) -> Result<Paged<Improvement>, Fault> {
    let mut conditions = list::Conditions::default();
    if let Some(entity) = filter.entity {
        let key = [entity.entity_type.as_str().to_owned().into(), entity.entity_id.into()];
        conditions.with("i.entity_type = ? AND i.entity_id = ?", key);
    }
    conditions.among("i.status", filter.status.iter().map(|status| status.as_str()).collect());
    conditions.given("i.opportunity_id = ?", filter.opportunity_id);
    if let Some(cursor) = &page.cursor {
        let mut parts = Parts::of("il", cursor)?;
        conditions.with("i.id < ?", [parts.number()?.into()]);
        parts.end()?;
    }
    let (sql, parameters) = conditions.query(HEAD, "ORDER BY i.id DESC", page.clamped());
    let items = list::all(connection, "an improvement", &sql, parameters, decode)?;
    Ok(list::page(items, page, |last| Cursor::of("il").number(last.id).finish()))
}

/// What [`decided`] reads, up to a condition.
const DECIDED: &str =
    "SELECT h.id, h.improvement_id, h.entity_type, h.entity_id, n.name, h.improvement_type, h.outcome,
    h.reason, h.started_at, h.decided_at, h.metrics_before, h.metrics_after, h.effectiveness, h.effectiveness_low,
    h.effectiveness_high, h.rollback_revision, h.report, h.verdict
    FROM improvement_history AS h
    LEFT JOIN entities AS n ON n.entity_type = h.entity_type AND n.entity_id = h.entity_id
    WHERE TRUE";

fn history(
    connection: &Connection,
    entity: Option<EntityKey>,
    page: &PageRequest,
) -> Result<Paged<HistoryRow>, Fault> {
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
    let (sql, parameters) = conditions.query(DECIDED, tail, page.clamped());
    let items = list::all(connection, "a decided improvement", &sql, parameters, decided)?;
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
        rollback_revision: columns.get::<Option<String>>()?.map(RevisionId::from_stored),
        report: columns.get()?,
        verdict: columns.json_option()?,
    };
    Ok((id, item))
}

fn track_records(connection: &Connection) -> Result<Vec<TrackRecord>, Fault> {
    // The last word on each improvement: what was kept and taken back later was not kept.
    let sql = "SELECT o.kind, i.proposer, count(CASE WHEN h.outcome = 'kept' THEN 1 END),
            count(CASE WHEN h.outcome = 'rolled_back' THEN 1 END),
            count(CASE WHEN h.outcome = 'inconclusive' THEN 1 END), avg(CASE WHEN h.outcome = 'kept' THEN h.effectiveness END)
        FROM improvement_history AS h
        CROSS JOIN improvements AS i ON i.id = h.improvement_id
        LEFT JOIN optimization_opportunities AS o ON o.id = i.opportunity_id
        WHERE h.outcome IN ('kept', 'rolled_back', 'inconclusive')
            AND NOT EXISTS (SELECT 1 FROM improvement_history AS later
                WHERE later.improvement_id = h.improvement_id AND later.id > h.id
                AND later.outcome IN ('kept', 'rolled_back'))
        GROUP BY o.kind, i.proposer ORDER BY o.kind NULLS FIRST, i.proposer";
    list::all(connection, "a track record", sql, [], |row| {
        let mut columns = Columns::of(row, "a track record");
        Ok(TrackRecord {
            kind: columns.parsed_option()?,
            proposer: columns.get()?,
            kept: columns.get()?,
            rolled_back: columns.get()?,
            inconclusive: columns.get()?,
            mean_effectiveness: columns.get()?,
        })
    })
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
