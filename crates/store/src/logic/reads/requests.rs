//! What agents asked for.

use async_trait::async_trait;
use uplift_model::Time;
use uplift_model::entity::{EntityKey, EntityType};
use uplift_model::request::{Answer, AskingRecord, ImprovementRequest};
use uplift_model::task::Task;
use uplift_model::time::{MICROS_PER_DAY, MICROS_PER_HOUR};

use super::cursor::{Cursor, Parts};
use super::decode::Columns;
use super::{list, tasks};
use crate::error::{StoreError, StoreResult};
use crate::logic::fault::{Fault, corrupt};
use crate::page::{PageRequest, Paged};
use crate::reads::RequestReads;
use crate::rows::RequestFilter;
use crate::sql::{Connection, Row};
use crate::store::SqlStore;

const WHAT: &str = "a request";

/// What [`decode`] reads, up to a condition.
const HEAD: &str = "SELECT r.id, r.entity_type, r.entity_id, a.name, a.environment, r.about_type, r.about_id, b.name,
    r.improvement_type, r.description, r.rationale, r.evidence, r.checked, r.priority, r.confidence, r.opportunity_id,
    s.improvement_id, s.status, r.asked_by, r.at
    FROM improvement_requests AS r
    JOIN improvement_request_status AS s ON s.id = r.id
    JOIN entities AS a ON a.entity_type = r.entity_type AND a.entity_id = r.entity_id
    JOIN entities AS b ON b.entity_type = r.about_type AND b.entity_id = r.about_id
    WHERE TRUE";

/// Whether an answer is still to come.
const OPEN: &str = "s.status NOT IN ('completed', 'dismissed', 'deployed', 'rolled_back', 'rejected', 'cancelled')";

#[async_trait]
impl RequestReads for SqlStore {
    async fn requests(&self, filter: RequestFilter, page: PageRequest) -> StoreResult<Paged<ImprovementRequest>> {
        self.read("listing requests", move |connection| requests(connection, &filter, &page)).await
    }

    async fn request(&self, id: i64) -> StoreResult<ImprovementRequest> {
        self.read("reading a request", move |connection| {
            let found = list::first(connection, WHAT, &format!("{HEAD} AND r.id = ?1"), [id], decode)?;
            found.ok_or_else(|| StoreError::not_found("request", id).into())
        })
        .await
    }

    async fn asking_record(&self, asker: EntityKey, now: Time) -> StoreResult<AskingRecord> {
        self.read("reading what an agent asked for", move |connection| asking_record(connection, asker, now)).await
    }

    async fn named_tasks(&self, environment: String, task_ids: Vec<String>) -> StoreResult<Vec<Task>> {
        self.read("reading named tasks", move |connection| tasks::named(connection, &environment, &task_ids)).await
    }

    async fn document(&self, context: EntityKey) -> StoreResult<Option<String>> {
        if context.entity_type != EntityType::Context {
            return Ok(None);
        }
        self.read("reading a document", move |connection| {
            let sql = "SELECT content FROM context_documents WHERE entity_id = ?1";
            list::first(connection, "a document", sql, [context.entity_id], |row| {
                Columns::of(row, "a document").get()
            })
        })
        .await
    }

    async fn answers(&self, after: i64, limit: u32) -> StoreResult<Vec<Answer>> {
        self.read("reading answers to requests", move |connection| answers(connection, after, limit)).await
    }

    async fn last_decision(&self) -> StoreResult<i64> {
        self.read("reading the last decision", |connection| {
            let sql = "SELECT coalesce(max(id), 0) FROM improvement_history";
            let found = list::first(connection, "a decision", sql, [], |row| Columns::of(row, "a decision").get())?;
            Ok(found.unwrap_or_default())
        })
        .await
    }
}

fn decode(row: &Row<'_>) -> Result<ImprovementRequest, Fault> {
    let mut columns = Columns::of(row, WHAT);
    Ok(ImprovementRequest {
        id: columns.get()?,
        asker: columns.key()?,
        asker_name: columns.get()?,
        environment: columns.get()?,
        about: columns.key()?,
        about_name: columns.get()?,
        improvement_type: columns.parsed()?,
        description: columns.get()?,
        rationale: columns.get()?,
        evidence: columns.json()?,
        checked: columns.json()?,
        priority: columns.parsed()?,
        confidence: columns.get()?,
        opportunity_id: columns.get()?,
        improvement_id: columns.get()?,
        status: columns.parsed()?,
        asked_by: columns.get()?,
        at: columns.time()?,
    })
}

fn requests(
    connection: &Connection,
    filter: &RequestFilter,
    page: &PageRequest,
) -> Result<Paged<ImprovementRequest>, Fault> {
    let mut conditions = list::Conditions::default();
    if let Some(asker) = filter.asker {
        let key = [asker.entity_type.as_str().to_owned().into(), asker.entity_id.into()];
        conditions.with("r.entity_type = ? AND r.entity_id = ?", key);
    }
    conditions.given("r.opportunity_id = ?", filter.opportunity_id);
    if filter.open {
        conditions.when(OPEN);
    }
    if let Some(cursor) = &page.cursor {
        let mut parts = Parts::of("q", cursor)?;
        conditions.with("r.id < ?", [parts.number()?.into()]);
        parts.end()?;
    }
    let (sql, parameters) = conditions.query(HEAD, "ORDER BY r.id DESC", page.clamped());
    let items = list::all(connection, WHAT, &sql, parameters, decode)?;
    Ok(list::page(items, page, |last| Cursor::of("q").number(last.id).finish()))
}

fn asking_record(connection: &Connection, asker: EntityKey, now: Time) -> Result<AskingRecord, Fault> {
    const RECORD: &str = "a record of requests";
    let key = (asker.entity_type.as_str(), asker.entity_id);
    let count = |value: i64| u64::try_from(value).map_err(|error| corrupt(RECORD, error));
    // The last word on each improvement: what was kept and taken back later was not kept. What was decided before it
    // was asked for is nobody's merit.
    let decided = "SELECT count(DISTINCT CASE WHEN h.outcome = 'kept' THEN h.improvement_id END),
            count(DISTINCT CASE WHEN h.outcome = 'rolled_back' THEN h.improvement_id END)
        FROM improvement_requests AS r
        JOIN improvements AS i ON i.opportunity_id = r.opportunity_id
        JOIN improvement_history AS h ON h.improvement_id = i.id
        WHERE r.entity_type = ?1 AND r.entity_id = ?2 AND (r.improvement_id IS NULL OR r.improvement_id = i.id)
            AND h.outcome IN ('kept', 'rolled_back') AND h.decided_at >= r.at
            AND NOT EXISTS (SELECT 1 FROM improvement_history AS later
                WHERE later.improvement_id = h.improvement_id AND later.id > h.id
                AND later.outcome IN ('kept', 'rolled_back'))";
    let decided = list::first(connection, RECORD, decided, key, |row| {
        let mut columns = Columns::of(row, RECORD);
        Ok((columns.get::<i64>()?, columns.get::<i64>()?))
    })?;
    let (kept, rolled_back) = decided.unwrap_or_default();
    let open = format!(
        "SELECT count(*) FROM improvement_requests AS r
         JOIN improvement_request_status AS s ON s.id = r.id
         WHERE r.entity_type = ?1 AND r.entity_id = ?2 AND {OPEN}"
    );
    let open = list::first(connection, RECORD, &open, key, |row| Columns::of(row, RECORD).get::<i64>())?;
    let since = |span_us: i64| {
        let sql = "SELECT count(*), min(at) FROM improvement_requests
            WHERE entity_type = ?1 AND entity_id = ?2 AND at > ?3";
        let parameters = (key.0, key.1, now.plus_micros(-span_us).micros());
        let found = list::first(connection, RECORD, sql, parameters, |row| {
            let mut columns = Columns::of(row, RECORD);
            Ok((columns.get::<i64>()?, columns.time_option()?))
        })?;
        Ok::<_, Fault>(found.unwrap_or_default())
    };
    let ((in_hour, first_in_hour), (in_day, first_in_day)) = (since(MICROS_PER_HOUR)?, since(MICROS_PER_DAY)?);
    Ok(AskingRecord {
        kept: count(kept)?,
        rolled_back: count(rolled_back)?,
        open: count(open.unwrap_or_default())?,
        in_hour: count(in_hour)?,
        first_in_hour,
        in_day: count(in_day)?,
        first_in_day,
    })
}

fn answers(connection: &Connection, after: i64, limit: u32) -> Result<Vec<Answer>, Fault> {
    const ANSWER: &str = "an answer to a request";
    let sql = "SELECT h.id, r.id, r.entity_type, r.entity_id, a.name, a.environment, h.improvement_id, h.outcome,
            h.effectiveness, h.decided_at
        FROM improvement_history AS h
        JOIN improvements AS i ON i.id = h.improvement_id
        JOIN improvement_requests AS r ON r.opportunity_id = i.opportunity_id
        JOIN entities AS a ON a.entity_type = r.entity_type AND a.entity_id = r.entity_id
        WHERE h.id > ?1 AND h.decided_at >= r.at AND (r.improvement_id IS NULL OR r.improvement_id = i.id)
        ORDER BY h.id, r.id LIMIT ?2";
    list::all(connection, ANSWER, sql, (after, limit), |row| {
        let mut columns = Columns::of(row, ANSWER);
        Ok(Answer {
            decision: columns.get()?,
            request_id: columns.get()?,
            asker: columns.key()?,
            asker_name: columns.get()?,
            environment: columns.get()?,
            improvement_id: columns.get()?,
            outcome: columns.parsed()?,
            effectiveness: columns.get()?,
            at: columns.time()?,
        })
    })
}
