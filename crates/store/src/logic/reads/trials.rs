//! Trials and what they rest on.

use crate::sql::{Connection, Row};
use async_trait::async_trait;
use serde_json::Value;
use uplift_model::Time;
use uplift_model::entity::EntityKey;
use uplift_model::revision::RevisionId;
use uplift_model::trial::{AssignmentUnit, TrialRecord, UnitRecord};

use super::cursor::{Cursor, Parts};
use super::decode::Columns;
use super::{list, units};
use crate::error::{StoreError, StoreResult};
use crate::logic::fault::Fault;
use crate::page::{PageRequest, Paged};
use crate::reads::TrialReads;
use crate::rows::{TrialFilter, UnitBatch};
use crate::store::SqlStore;

/// What [`record`] reads.
pub(super) const COLUMNS: &str =
    "t.trial_id, t.improvement_id, t.entity_type, t.entity_id, t.base, t.candidate, t.trial,
    t.ended_at IS NULL, t.cursor, t.looked_us, t.verdict, t.ended_at, t.ending";

#[async_trait]
impl TrialReads for SqlStore {
    async fn trials(&self, filter: TrialFilter, page: PageRequest) -> StoreResult<Paged<TrialRecord>> {
        self.read("listing trials", move |connection| trials(connection, &filter, &page)).await
    }

    async fn trial(&self, id: i64) -> StoreResult<TrialRecord> {
        self.read("reading a trial", move |connection| trial(connection, id)).await
    }

    async fn trial_state(&self, id: i64) -> StoreResult<Option<Value>> {
        self.read("reading the state of a trial", move |connection| {
            let sql = "SELECT state FROM trials WHERE trial_id = ?1";
            let found =
                list::first(connection, "a trial", sql, [id], |row| Columns::of(row, "a trial").json_option())?;
            found.ok_or_else(|| StoreError::not_found("trial", id).into())
        })
        .await
    }

    async fn changed_units(&self, trial: i64, cursor: i64, limit: u32) -> StoreResult<UnitBatch> {
        self.read("reading changed units", move |connection| units::changed(connection, trial, cursor, limit)).await
    }

    async fn past_units(
        &self,
        entity: EntityKey,
        unit: AssignmentUnit,
        since: Time,
        until: Time,
        limit: u32,
    ) -> StoreResult<Vec<UnitRecord>> {
        self.read("reading past units", move |connection| units::past(connection, entity, unit, since..until, limit))
            .await
    }

    async fn looks(&self, trial: i64) -> StoreResult<Vec<(i64, Value)>> {
        self.read("listing looks", move |connection| {
            let sql = "SELECT at, summary FROM trial_looks WHERE trial_id = ?1 ORDER BY at";
            list::all(connection, "a look", sql, [trial], |row| {
                let mut columns = Columns::of(row, "a look");
                Ok((columns.get()?, columns.json()?))
            })
        })
        .await
    }
}

fn head() -> String {
    format!("SELECT {COLUMNS} FROM trials AS t WHERE TRUE")
}

fn decode(row: &Row<'_>) -> Result<TrialRecord, Fault> {
    record(&mut Columns::of(row, "a trial"))
}

/// The columns of [`COLUMNS`] as a trial.
pub(super) fn record(columns: &mut Columns<'_>) -> Result<TrialRecord, Fault> {
    Ok(TrialRecord {
        id: columns.get()?,
        improvement_id: columns.get()?,
        entity: columns.key()?,
        base: RevisionId::from_stored(columns.get::<String>()?),
        candidate: RevisionId::from_stored(columns.get::<String>()?),
        trial: columns.json()?,
        running: columns.get()?,
        cursor: columns.get()?,
        looked_us: columns.get()?,
        verdict: columns.json_option()?,
        ended_at: columns.time_option()?,
        ending: columns.get()?,
    })
}

fn trial(connection: &Connection, id: i64) -> Result<TrialRecord, Fault> {
    let found = list::first(connection, "a trial", &format!("{} AND t.trial_id = ?1", head()), [id], decode)?;
    found.ok_or_else(|| StoreError::not_found("trial", id).into())
}

fn trials(connection: &Connection, filter: &TrialFilter, page: &PageRequest) -> Result<Paged<TrialRecord>, Fault> {
    let mut conditions = list::Conditions::default();
    if let Some(entity) = filter.entity {
        let key = [entity.entity_type.as_str().to_owned().into(), entity.entity_id.into()];
        conditions.with("t.entity_type = ? AND t.entity_id = ?", key);
    }
    conditions.given("t.improvement_id = ?", filter.improvement_id);
    if filter.running {
        conditions.when("t.ended_at IS NULL");
    }
    if let Some(cursor) = &page.cursor {
        let mut parts = Parts::of("tr", cursor)?;
        conditions.with("t.trial_id < ?", [parts.number()?.into()]);
        parts.end()?;
    }
    // The running ones are few and have an index.
    let only_running = filter.running && filter.entity.is_none() && filter.improvement_id.is_none();
    let head = if only_running {
        format!("SELECT {COLUMNS} FROM trials AS t INDEXED BY trials_running WHERE TRUE")
    } else {
        head()
    };
    let (sql, parameters) = conditions.query(&head, "ORDER BY t.trial_id DESC", page.clamped());
    let items = list::all(connection, "a trial", &sql, parameters, decode)?;
    Ok(list::page(items, page, |last| Cursor::of("tr").number(last.id).finish()))
}
