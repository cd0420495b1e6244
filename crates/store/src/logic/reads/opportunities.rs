//! Opportunities.

use crate::sql::Value;
use crate::sql::{Connection, Row};
use async_trait::async_trait;
use serde::Deserialize;
use uplift_model::Time;
use uplift_model::entity::EntityKey;
use uplift_model::opportunity::{Finding, Impact, ImpactLevel, Opportunity, OpportunityKind};

use super::cursor::{Cursor, Parts};
use super::decode::Columns;
use super::list;
use crate::error::{StoreError, StoreResult};
use crate::logic::fault::Fault;
use crate::page::{PageRequest, Paged};
use crate::reads::OpportunityReads;
use crate::rows::{ClaimTerms, OpportunityFilter};
use crate::store::SqlStore;

/// What [`decode`] reads, up to a WHERE.
pub(super) const SELECT: &str = "SELECT o.id, o.entity_type, o.entity_id, o.kind, o.fingerprint, o.source,
    o.description, o.confidence, o.potential_impact, o.impact, o.evidence, o.last_seen_at, n.name, n.environment,
    o.status, o.confirmed, o.improvement_type, o.created_at, o.updated_at, o.resolution, o.occurrences,
    o.marked_hour
    FROM optimization_opportunities AS o
    LEFT JOIN entities AS n ON n.entity_type = o.entity_type AND n.entity_id = o.entity_id";

/// Open ones first, then by impact: small numbers come first.
const OPEN: &str = "CASE WHEN o.status IN ('pending', 'in_progress') THEN 0 ELSE 1 END";
const IMPACT: &str = "CASE o.potential_impact WHEN 'high' THEN 0 WHEN 'medium' THEN 1 ELSE 2 END";
/// What was put first by hand, or by the planning agent, is worked on first.
const PLANNED: &str = "o.planned DESC";
/// Among those of one impact, the greatest first.
const THEN: &str = "o.confidence DESC, o.occurrences DESC, o.id DESC";
/// The same, as the index `optimization_opportunities_listed` has it.
const LISTED: &str = "-o.confidence, -o.occurrences, -o.id";

#[async_trait]
impl OpportunityReads for SqlStore {
    async fn opportunities(&self, filter: OpportunityFilter, page: PageRequest) -> StoreResult<Paged<Opportunity>> {
        self.read("listing opportunities", move |connection| opportunities(connection, &filter, &page)).await
    }

    async fn opportunity(&self, id: i64) -> StoreResult<Opportunity> {
        self.read("reading an opportunity", move |connection| {
            let sql = format!("{SELECT} WHERE o.id = ?1");
            let found = list::first(connection, "an opportunity", &sql, [id], decode)?;
            Ok(found.map(|(opportunity, _)| opportunity).ok_or_else(|| StoreError::not_found("opportunity", id))?)
        })
        .await
    }

    async fn claimable(&self, now: Time, limit: u32) -> StoreResult<Vec<Opportunity>> {
        self.read("listing what can be claimed", move |connection| claimable(connection, now, limit)).await
    }

    async fn wanted(&self, now: Time, usual: ClaimTerms, limit: u32) -> StoreResult<Vec<Opportunity>> {
        self.read("listing what is to be claimed", move |connection| wanted(connection, now, usual, limit)).await
    }

    async fn completed(
        &self,
        entity: EntityKey,
        kind: OpportunityKind,
        fingerprint: String,
    ) -> StoreResult<Option<Opportunity>> {
        self.read("reading a completed opportunity", move |connection| {
            let sql = format!(
                "{SELECT} WHERE o.entity_type = ?1 AND o.entity_id = ?2 AND o.kind = ?3 AND o.fingerprint = ?4
                    AND o.status = 'completed' ORDER BY o.updated_at DESC, o.id DESC LIMIT 1"
            );
            let key = (entity.entity_type.as_str(), entity.entity_id, kind.as_str(), fingerprint);
            let found = list::first(connection, "an opportunity", &sql, key, decode)?;
            Ok(found.map(|(opportunity, _)| opportunity))
        })
        .await
    }
}

/// An impact as stored: a rule in the database leaves it empty.
#[derive(Default, Deserialize)]
#[serde(default)]
struct StoredImpact {
    tasks_affected: f64,
    expected_gain: String,
}

/// An opportunity, and the hour whose change marked it.
pub(super) fn decode(row: &Row<'_>) -> Result<(Opportunity, Option<i64>), Fault> {
    let mut columns = Columns::of(row, "an opportunity");
    let id = columns.get()?;
    let entity = columns.key()?;
    let (kind, fingerprint, source) = (columns.parsed()?, columns.get()?, columns.parsed()?);
    let (description, confidence) = (columns.get()?, columns.get()?);
    let level = columns.parsed()?;
    let impact: StoredImpact = columns.json()?;
    let finding = Finding {
        entity,
        kind,
        fingerprint,
        source,
        description,
        confidence,
        impact: Impact { level, tasks_affected: impact.tasks_affected, expected_gain: impact.expected_gain },
        evidence: columns.json()?,
        last_seen_at: columns.time()?,
    };
    // Rollups that plain SQL wrote can mark an entity that was never declared.
    let name: Option<String> = columns.get()?;
    let environment: Option<String> = columns.get()?;
    let mut opportunity = Opportunity {
        id,
        finding,
        entity_name: name.unwrap_or_else(|| entity.to_string()),
        environment: environment.unwrap_or_default(),
        status: columns.parsed()?,
        confirmed: columns.get()?,
        improvement_type: columns.parsed()?,
        created_at: columns.time()?,
        updated_at: columns.time()?,
        resolution: columns.get()?,
    };
    // A rule in the database counts without writing evidence.
    opportunity.finding.evidence.count = columns.get()?;
    Ok((opportunity, columns.get()?))
}

/// What may be worked on at `?1`: pending and confirmed, its entity active and free.
const CLAIMABLE: &str = "o.status = 'pending' AND o.confirmed = 1 AND o.not_before <= ?1 AND n.state = 'active'
    AND NOT EXISTS (SELECT 1 FROM improvements AS i
        WHERE i.entity_type = o.entity_type AND i.entity_id = o.entity_id
        AND i.status IN ('proposed', 'validated', 'testing', 'awaiting_approval', 'queued'))
    AND NOT EXISTS (SELECT 1 FROM improvements AS i
        WHERE i.opportunity_id = o.id AND i.status = 'needs_proposal')";

fn claimable(connection: &Connection, now: Time, limit: u32) -> Result<Vec<Opportunity>, Fault> {
    let sql = format!("{SELECT} WHERE {CLAIMABLE} ORDER BY {PLANNED}, {IMPACT}, {THEN} LIMIT ?2");
    list::all(connection, "an opportunity", &sql, (now.micros(), limit), |row| Ok(decode(row)?.0))
}

/// Ranks numbers alone first: the texts are read of those that are answered.
fn wanted(connection: &Connection, now: Time, usual: ClaimTerms, limit: u32) -> Result<Vec<Opportunity>, Fault> {
    let settings = connection.either(
        "coalesce(json_extract(n.improvement_config, '$.auto_improve_enabled'), 1)
                AND coalesce(json_extract(n.improvement_config, '$.mode'), ?2) <> 'observe'
                AND o.confidence >= coalesce(json_extract(n.improvement_config, '$.min_confidence_threshold'), ?3)",
        "coalesce(n.improvement_config ->> 'auto_improve_enabled', 'true') = 'true'
                AND coalesce(n.improvement_config ->> 'mode', ?2) <> 'observe'
                AND o.confidence >= coalesce(
                    CAST(n.improvement_config ->> 'min_confidence_threshold' AS double precision), ?3)",
    );
    let sql = format!(
        "WITH ranked AS (
            SELECT o.id, row_number() OVER (PARTITION BY o.entity_type, o.entity_id ORDER BY {PLANNED}, {IMPACT}, {THEN}) AS place
            FROM optimization_opportunities AS o
            JOIN entities AS n ON n.entity_type = o.entity_type AND n.entity_id = o.entity_id
            WHERE {CLAIMABLE}
                AND {settings}
        )
        {SELECT} WHERE o.id IN (SELECT id FROM ranked WHERE place = 1) ORDER BY {PLANNED}, {IMPACT}, {THEN} LIMIT ?4"
    );
    let terms = (now.micros(), usual.mode.as_str(), usual.min_confidence, limit);
    list::all(connection, "an opportunity", &sql, terms, |row| Ok(decode(row)?.0))
}

fn opportunities(
    connection: &Connection,
    filter: &OpportunityFilter,
    page: &PageRequest,
) -> Result<Paged<Opportunity>, Fault> {
    let mut conditions = list::Conditions::default();
    if let Some(entity) = filter.entity {
        let key = [entity.entity_type.as_str().to_owned().into(), entity.entity_id.into()];
        conditions.with("o.entity_type = ? AND o.entity_id = ?", key);
    }
    conditions.among("o.status", filter.status.iter().map(|status| status.as_str()).collect());
    conditions.given("o.kind = ?", filter.kind.map(|kind| kind.as_str().to_owned()));
    conditions.given("o.source = ?", filter.source.map(|source| source.as_str().to_owned()));
    conditions.given("o.potential_impact = ?", filter.impact.map(|impact| impact.as_str().to_owned()));
    conditions.given("n.environment = ?", filter.environment.clone());
    let head = format!("{SELECT} WHERE TRUE");
    let tail = format!("ORDER BY {OPEN}, {IMPACT}, {LISTED}");
    if let Some(cursor) = &page.cursor {
        let mut parts = Parts::of("o", cursor)?;
        let key: [Value; 5] = [
            parts.number()?.into(),
            parts.number()?.into(),
            (-parts.real()?).into(),
            parts.number()?.wrapping_neg().into(),
            parts.number()?.wrapping_neg().into(),
        ];
        parts.end()?;
        conditions.with(format!("({OPEN}, {IMPACT}, {LISTED}) > (?, ?, ?, ?, ?)"), key);
    }
    let (sql, parameters) = conditions.query(&head, &tail, page.clamped());
    let items = list::all(connection, "an opportunity", &sql, parameters, decode)?;
    let paged = list::page(items, page, |(last, _)| {
        Cursor::of("o")
            .number(i64::from(!last.status.is_open()))
            .number(match last.finding.impact.level {
                ImpactLevel::High => 0,
                ImpactLevel::Medium => 1,
                ImpactLevel::Low => 2,
            })
            .real(last.finding.confidence)
            .number(last.finding.evidence.count)
            .number(last.id)
            .finish()
    });
    Ok(Paged { items: paged.items.into_iter().map(|(opportunity, _)| opportunity).collect(), next: paged.next })
}
