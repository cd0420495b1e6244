//! Events as they were sent, put together again from the narrow rows.

use crate::sql::Value;
use crate::sql::ValueRef;
use crate::sql::{Connection, Row};
use async_trait::async_trait;
use uplift_model::event::{Clock, EventKind, Outcome, Source};

use super::cursor::{Cursor, Parts};
use super::decode::Columns;
use super::{list, place};
use crate::error::{StoreError, StoreResult};
use crate::logic::fault::{Fault, corrupt};
use crate::page::{PageRequest, Paged};
use crate::reads::EventReads;
use crate::rows::{EventFilter, EventRecord, InboxRow};
use crate::store::SqlStore;

/// Shown as the name of whom a span is about that waits for the agent above it; its entity has the number 0.
const UNSETTLED: &str = "not settled";

const COLUMNS: &str = "SELECT e.trace_no, k.trace_no IS NULL AND e.task IS NULL, t.trace_key, e.id, e.ts, e.clock, e.kind,
    t.environment, e.entity_type, e.entity_id, n.name, 
    coalesce(e.task, CASE WHEN coalesce(k.pseudo, 0) <> 1 AND e.parent IS NULL THEN t.trace_key END),
    k.parent_task_id, coalesce(k.session_id, t.session_id),
    coalesce(e.span_id, CASE WHEN e.parent IS NOT NULL THEN e.id END), tool.name, e.outcome, e.duration_ms, e.tokens_in, e.tokens_out,
    e.tokens_cached, e.cost_usd, error_type.name, g.fingerprint, b.content, a.attributes, e.exposures, e.source";

/// What is said of an event of a trace whose raw events are gone.
const PRUNED: &str = "; raw events of its trace were deleted because of their age (see [retention])";

// CROSS and LEFT joins keep the order of the tables: each row of the first is one row of the result.
const JOINS: &str = "CROSS JOIN traces AS t ON t.trace_no = e.trace_no
    LEFT JOIN task_rows AS k ON k.trace_no = e.trace_no AND k.task = coalesce(e.task, '')
    LEFT JOIN entities AS n
        ON n.entity_type =
            CASE e.entity_type WHEN 0 THEN 'agent' WHEN 1 THEN 'tool' WHEN 2 THEN 'context' ELSE 'process' END
        AND n.entity_id = e.entity_id
    LEFT JOIN names AS tool ON tool.name_no = e.tool
    LEFT JOIN names AS error_type ON error_type.name_no = e.error_type
    LEFT JOIN error_groups AS g ON g.error_no = e.error_no
    LEFT JOIN bodies AS b ON b.body_no = e.body_no
    LEFT JOIN attribute_sets AS a ON a.attributes_no = e.attributes_no
    WHERE TRUE";

#[async_trait]
impl EventReads for SqlStore {
    async fn events(&self, filter: EventFilter, page: PageRequest) -> StoreResult<Paged<EventRecord>> {
        self.read("listing events", move |connection| events(connection, &filter, &page)).await
    }

    async fn event(&self, trace_key: String, id: String) -> StoreResult<EventRecord> {
        self.read("reading an event", move |connection| event(connection, &trace_key, &id)).await
    }

    async fn inbox(&self, limit: u32) -> StoreResult<Vec<InboxRow>> {
        self.read("reading the inbox", move |connection| {
            let sql = "SELECT seq, event FROM event_inbox ORDER BY seq LIMIT ?1";
            list::all(connection, "an inbox row", sql, [limit], |row| {
                let mut columns = Columns::of(row, "an inbox row");
                // Whatever another program left there: what is no text is refused by name, not by failing here.
                let seq = columns.get()?;
                let bytes = match row.get_ref(1)? {
                    ValueRef::Text(bytes) | ValueRef::Blob(bytes) => bytes,
                    _ => b"",
                };
                Ok(InboxRow { seq, event: String::from_utf8_lossy(bytes).into_owned() })
            })
        })
        .await
    }
}

/// An event with the number of its trace, which cursors carry.
struct Numbered {
    trace_no: i64,
    /// Its task is folded elsewhere, or not at all.
    away: bool,
    record: EventRecord,
}

fn decode(row: &Row<'_>) -> Result<Numbered, Fault> {
    let mut columns = Columns::of(row, "an event");
    let (trace_no, away) = (columns.get()?, columns.get()?);
    let (trace_key, id, ts) = (columns.get()?, columns.get()?, columns.time()?);
    let clock = columns.code(clock_from_code, "a clock")?;
    let event_type = columns.code(EventKind::from_code, "an event type")?;
    let environment = columns.get()?;
    let entity = columns.coded_key()?;
    let name: Option<String> = columns.get()?;
    // A span that waits for the agent above it is nobody's yet.
    let nobody = || if entity.entity_id == 0 { UNSETTLED.to_owned() } else { entity.to_string() };
    let record = EventRecord {
        trace_key,
        id,
        ts,
        clock,
        event_type,
        environment,
        entity,
        entity_name: name.unwrap_or_else(nobody),
        task_id: columns.get()?,
        parent_task_id: columns.get()?,
        session_id: columns.get()?,
        span_id: columns.get()?,
        tool: columns.get()?,
        outcome: columns.outcome()?,
        duration_ms: columns.get()?,
        tokens_in: columns.get()?,
        tokens_out: columns.get()?,
        tokens_cached: columns.get()?,
        cost_usd: columns.get()?,
        error_type: columns.get()?,
        fingerprint: columns.get()?,
        content: columns.get()?,
        attributes: columns.json_option()?,
        exposures: columns.json_option()?.unwrap_or_default(),
        source: columns.code(Source::from_code, "a source")?,
    };
    Ok(Numbered { trace_no, away, record })
}

fn clock_from_code(code: i64) -> Option<Clock> {
    [Clock::Own, Clock::Inherited, Clock::Received].into_iter().find(|clock| clock.code() == code)
}

/// Adds what an event's task says where that task is at home in another trace.
fn complete(connection: &Connection, mut event: Numbered) -> Result<Numbered, Fault> {
    if !event.away {
        return Ok(event);
    }
    let record = &mut event.record;
    if let Some((trace_no, task)) = place::home(connection, &record.environment, &record.trace_key)? {
        let sql = "SELECT parent_task_id, session_id FROM task_rows WHERE trace_no = ?1 AND task = ?2";
        let found = list::first(connection, "a task", sql, (trace_no, task), |row| Ok((row.get(0)?, row.get(1)?)))?;
        (record.parent_task_id, record.session_id) = found.unwrap_or_default();
    }
    Ok(event)
}

/// The ways through the events; each has an order of its own, which its cursors follow.
enum Way {
    /// Of some traces and tasks, in time order.
    Places(String),
    /// Of an error group, entity by entity, the latest first.
    Group(i64),
    /// All, the latest trace first.
    All,
}

impl Way {
    /// The way for a filter; none where nothing can pass it.
    fn of(connection: &Connection, filter: &EventFilter) -> Result<Option<Self>, Fault> {
        if let Some(task) = &filter.task_id {
            let places = place::of(connection, task)?;
            let places: Vec<_> = places.iter().map(|place| (place.trace_no, &place.task)).collect();
            let json = serde_json::to_string(&places).map_err(|error| corrupt("a task link", error))?;
            return Ok((!places.is_empty()).then_some(Self::Places(json)));
        }
        if let Some(fingerprint) = &filter.fingerprint {
            let sql = "SELECT error_no FROM error_groups WHERE fingerprint = ?1";
            let group = list::first(connection, "an error group", sql, [fingerprint], |row| Ok(row.get(0)?))?;
            return Ok(group.map(Self::Group));
        }
        Ok(Some(Self::All))
    }

    /// Where the way begins, with the parameters of its own.
    fn start(&self, connection: &Connection) -> (String, list::Conditions) {
        match self {
            Self::Places(places) => (
                format!(
                    "FROM {} CROSS JOIN event_rows AS e ON e.trace_no = CAST(place.value ->> 0 AS bigint)
                        AND (place.value ->> 1 IS NULL OR e.task = place.value ->> 1)",
                    connection.each("?", "place"),
                ),
                list::Conditions::after([Value::Text(places.clone())]),
            ),
            Self::Group(error_no) => {
                let mut conditions = list::Conditions::default();
                conditions.with("e.error_no = ?", [Value::Integer(*error_no)]);
                ("FROM event_rows AS e INDEXED BY event_rows_errors".to_owned(), conditions)
            }
            Self::All => ("FROM event_rows AS e".to_owned(), list::Conditions::default()),
        }
    }

    const fn order(&self) -> &'static str {
        match self {
            Self::Places(_) => "ORDER BY e.ts, e.id, e.trace_no",
            Self::Group(_) => "ORDER BY e.entity_id DESC, e.ts DESC, e.trace_no DESC, e.id DESC",
            Self::All => "ORDER BY e.trace_no DESC, e.id DESC",
        }
    }

    const fn mark(&self) -> &'static str {
        match self {
            Self::Places(_) => "et",
            Self::Group(_) => "eg",
            Self::All => "e",
        }
    }

    fn cursor(&self, last: &Numbered) -> String {
        let cursor = Cursor::of(self.mark()).number(last.trace_no).text(&last.record.id);
        match self {
            Self::Places(_) => cursor.number(last.record.ts.micros()),
            Self::Group(_) => cursor.number(last.record.ts.micros()).number(last.record.entity.entity_id),
            Self::All => cursor,
        }
        .finish()
    }

    fn go_on(&self, conditions: &mut list::Conditions, cursor: &str) -> Result<(), Fault> {
        let mut parts = Parts::of(self.mark(), cursor)?;
        let (trace_no, id): (Value, Value) = (parts.number()?.into(), parts.text()?.into());
        match self {
            Self::Places(_) => {
                let ts = parts.number()?.into();
                conditions.with("(e.ts, e.id, e.trace_no) > (?, ?, ?)", [ts, id, trace_no]);
            }
            Self::Group(_) => {
                let (ts, entity) = (parts.number()?.into(), parts.number()?.into());
                conditions.with("(e.entity_id, e.ts, e.trace_no, e.id) < (?, ?, ?, ?)", [entity, ts, trace_no, id]);
            }
            Self::All => conditions.with("(e.trace_no, e.id) < (?, ?)", [trace_no, id]),
        }
        parts.end()
    }
}

fn events(connection: &Connection, filter: &EventFilter, page: &PageRequest) -> Result<Paged<EventRecord>, Fault> {
    let nothing = || Ok(Paged { items: Vec::new(), next: None });
    let Some(way) = Way::of(connection, filter)? else { return nothing() };
    let (from, mut conditions) = way.start(connection);
    if let Some(tool) = &filter.tool {
        let sql = "SELECT name_no FROM names WHERE name = ?1";
        let Some(tool) = list::first(connection, "a name", sql, [tool], |row| Ok(row.get::<i64>(0)?))? else {
            return nothing();
        };
        conditions.with("e.tool = ?", [tool.into()]);
    }
    if let (Way::Places(_), Some(fingerprint)) = (&way, &filter.fingerprint) {
        conditions.with("g.fingerprint = ?", [fingerprint.clone().into()]);
    }
    if let Some(entity) = filter.entity {
        let key = [entity.entity_type.code().into(), entity.entity_id.into()];
        conditions.with("e.entity_type = ? AND e.entity_id = ?", key);
    }
    conditions.given("e.kind = ?", filter.kind.map(EventKind::code));
    conditions.given("e.outcome = ?", filter.outcome.map(Outcome::code));
    conditions.given("e.ts >= ?", filter.since.map(uplift_model::Time::micros));
    conditions.given("e.ts < ?", filter.until.map(uplift_model::Time::micros));
    if let Some(cursor) = &page.cursor {
        way.go_on(&mut conditions, cursor)?;
    }
    let head = format!("{COLUMNS} {from} {JOINS}");
    let (sql, parameters) = conditions.query(&head, way.order(), page.clamped());
    let decode = |row: &Row<'_>| complete(connection, decode(row)?);
    let items = list::all(connection, "an event", &sql, parameters, decode)?;
    let paged = list::page(items, page, |last| way.cursor(last));
    Ok(Paged { items: paged.items.into_iter().map(|event| event.record).collect(), next: paged.next })
}

fn event(connection: &Connection, trace_key: &str, id: &str) -> Result<EventRecord, Fault> {
    let sql = format!("{COLUMNS} FROM event_rows AS e {JOINS} AND e.trace_no = ?1 AND e.id = ?2");
    let places = place::of(connection, trace_key)?;
    let mut found = Vec::new();
    // The trace of that name stands before the task of that name in another trace.
    for linked in [false, true] {
        if !found.is_empty() {
            break;
        }
        for place in places.iter().filter(|place| place.task.is_some() == linked) {
            let event = list::first(connection, "an event", &sql, (place.trace_no, id), decode)?;
            let event = event.filter(|event| !linked || event.record.task_id == place.task);
            found.extend(event.map(|event| complete(connection, event)).transpose()?);
        }
    }
    let environment = |event: &Numbered| event.record.environment.clone();
    let event = place::chosen("event", id, found, environment)?;
    if let Some(event) = event {
        return Ok(event.record);
    }
    let sql = "SELECT 1 FROM pruned_traces WHERE trace_no = ?1";
    for place in &places {
        if list::first(connection, "a trace", sql, [place.trace_no], |_| Ok(()))?.is_some() {
            let name = format!("{trace_key}/{id}").chars().take(200).collect();
            return Err(StoreError::NotFound { what: "event", name, hint: PRUNED.to_owned() }.into());
        }
    }
    Err(StoreError::not_found("event", format!("{trace_key}/{id}")).into())
}
