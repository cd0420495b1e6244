//! Durable processes and the outbox.

use crate::sql::Row;
use async_trait::async_trait;
use uplift_model::Time;
use uplift_model::process::ProcessInstance;

use super::decode::Columns;
use super::list;
use crate::error::StoreResult;
use crate::logic::fault::Fault;
use crate::reads::ProcessReads;
use crate::rows::{LeaseRow, NodeRow, OutboxRow, ProcessRow};
use crate::store::SqlStore;

/// What [`instance`] reads.
const INSTANCE: &str = "SELECT id, name, subject, state, wake_at, attempts, last_error";

#[async_trait]
impl ProcessReads for SqlStore {
    async fn due_processes(&self, now: Time, limit: u32) -> StoreResult<Vec<ProcessInstance>> {
        self.read("listing due processes", move |connection| {
            let sql = format!("{INSTANCE} FROM process_instances WHERE wake_at <= ?1 ORDER BY wake_at, id LIMIT ?2");
            list::all(connection, "a process", &sql, (now.micros(), limit), |row| {
                instance(&mut Columns::of(row, "a process"))
            })
        })
        .await
    }

    async fn next_due(&self) -> StoreResult<Option<Time>> {
        self.read("reading when a process is due", |connection| {
            let sql = "SELECT min(wake_at) FROM process_instances WHERE wake_at IS NOT NULL";
            let found =
                list::first(connection, "a process", sql, [], |row| Columns::of(row, "a process").time_option())?;
            Ok(found.flatten())
        })
        .await
    }

    async fn processes_of(&self, subject: String) -> StoreResult<Vec<ProcessRow>> {
        self.read("reading the processes of a subject", move |connection| {
            let sql = format!(
                "{INSTANCE}, created_at, ended_at FROM process_instances WHERE subject = ?1 ORDER BY id DESC"
            );
            let mut rows = list::all(connection, "a process", &sql, [subject], |row| {
                let mut columns = Columns::of(row, "a process");
                Ok(ProcessRow {
                    instance: instance(&mut columns)?,
                    created_at: columns.time()?,
                    ended_at: columns.time_option()?,
                    steps: Vec::new(),
                })
            })?;
            let sql = "SELECT at, from_state, to_state, note FROM process_steps WHERE instance_id = ?1 ORDER BY seq";
            for row in &mut rows {
                row.steps = list::all(connection, "a step of a process", sql, [row.instance.id], step)?;
            }
            Ok(rows)
        })
        .await
    }

    async fn process_registry(&self) -> StoreResult<Vec<(String, String, i64)>> {
        self.read("listing the processes", |connection| {
            let sql = "SELECT r.name, r.description,
                    (SELECT count(*) FROM process_instances AS p WHERE p.name = r.name AND p.ended_at IS NULL)
                FROM process_registry AS r ORDER BY r.name";
            list::all(connection, "a registered process", sql, [], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)))
        })
        .await
    }

    async fn nodes(&self) -> StoreResult<Vec<NodeRow>> {
        self.read("listing the nodes", |connection| {
            let sql = "SELECT node, url, version, started_at, seen_at FROM nodes ORDER BY node";
            list::all(connection, "a node", sql, [], |row| {
                let mut columns = Columns::of(row, "a node");
                Ok(NodeRow {
                    node: columns.get()?,
                    url: columns.get()?,
                    version: columns.get()?,
                    started_at: columns.time()?,
                    seen_at: columns.time()?,
                })
            })
        })
        .await
    }

    async fn leases(&self) -> StoreResult<Vec<LeaseRow>> {
        self.read("listing the leases", |connection| {
            let sql = "SELECT name, holder, epoch, expires_at FROM leases ORDER BY name";
            list::all(connection, "a lease", sql, [], |row| {
                let mut columns = Columns::of(row, "a lease");
                Ok(LeaseRow {
                    name: columns.get()?,
                    holder: columns.get()?,
                    epoch: columns.get()?,
                    expires_at: columns.time()?,
                })
            })
        })
        .await
    }

    async fn outbox(&self, limit: u32) -> StoreResult<Vec<OutboxRow>> {
        self.read("reading the outbox", move |connection| {
            let sql = "SELECT id, kind, payload, created_at, attempts FROM outbox WHERE done_at IS NULL
                ORDER BY id LIMIT ?1";
            list::all(connection, "an action", sql, [limit], |row| {
                let mut columns = Columns::of(row, "an action");
                Ok(OutboxRow {
                    id: columns.get()?,
                    kind: columns.get()?,
                    payload: columns.json()?,
                    created_at: columns.time()?,
                    attempts: columns.get()?,
                })
            })
        })
        .await
    }
}

/// The columns of [`INSTANCE`].
fn instance(columns: &mut Columns<'_>) -> Result<ProcessInstance, Fault> {
    Ok(ProcessInstance {
        id: columns.get()?,
        name: columns.get()?,
        subject: columns.get()?,
        state: columns.get()?,
        wake_at: columns.time_option()?,
        attempts: columns.get()?,
        last_error: columns.get()?,
    })
}

fn step(row: &Row<'_>) -> Result<(Time, String, String, Option<String>), Fault> {
    let mut columns = Columns::of(row, "a step of a process");
    Ok((columns.time()?, columns.get()?, columns.get()?, columns.get()?))
}
