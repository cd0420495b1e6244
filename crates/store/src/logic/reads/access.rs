//! Tokens, and the audit log.

use async_trait::async_trait;
use uplift_model::access::{AuditEntry, AuditRecord, Token};

use super::cursor::{Cursor, Parts};
use super::decode::Columns;
use super::list;
use crate::error::StoreResult;
use crate::logic::fault::{Fault, corrupt};
use crate::page::{PageRequest, Paged};
use crate::reads::AccessReads;
use crate::rows::AuditFilter;
use crate::sql::{Connection, Row};
use crate::store::SqlStore;

const TOKENS: &str =
    "SELECT id, name, role, hash, entities, created_at, created_by, expires_at, revoked_at, revoked_by,
    last_used_at FROM api_tokens";

#[async_trait]
impl AccessReads for SqlStore {
    async fn tokens_in_force(&self) -> StoreResult<Vec<Token>> {
        self.read("reading tokens", |connection| {
            let sql = format!("{TOKENS} WHERE revoked_at IS NULL ORDER BY id");
            list::all(connection, "a token", &sql, [], token)
        })
        .await
    }

    async fn tokens(&self, page: PageRequest) -> StoreResult<Paged<Token>> {
        self.read("listing tokens", move |connection| {
            let mut conditions = list::Conditions::default();
            if let Some(cursor) = &page.cursor {
                let mut parts = Parts::of("k", cursor)?;
                conditions.with("id < ?", [parts.number()?.into()]);
                parts.end()?;
            }
            let head = format!("{TOKENS} WHERE TRUE");
            let (sql, parameters) = conditions.query(&head, "ORDER BY id DESC", page.clamped());
            let items = list::all(connection, "a token", &sql, parameters, token)?;
            Ok(list::page(items, &page, |last| Cursor::of("k").number(last.id).finish()))
        })
        .await
    }

    async fn audit_log(&self, filter: AuditFilter, page: PageRequest) -> StoreResult<Paged<AuditRecord>> {
        self.read("reading the audit log", move |connection| audit_log(connection, filter, &page)).await
    }
}

fn token(row: &Row<'_>) -> Result<Token, Fault> {
    let mut columns = Columns::of(row, "a token");
    Ok(Token {
        id: columns.get()?,
        name: columns.get()?,
        role: columns.parsed()?,
        hash: columns.get()?,
        entities: columns.json()?,
        created_at: columns.time()?,
        created_by: columns.get()?,
        expires_at: columns.time_option()?,
        revoked_at: columns.time_option()?,
        revoked_by: columns.get()?,
        last_used_at: columns.time_option()?,
    })
}

fn audit_log(connection: &Connection, filter: AuditFilter, page: &PageRequest) -> Result<Paged<AuditRecord>, Fault> {
    let mut conditions = list::Conditions::default();
    if let Some(cursor) = &page.cursor {
        let mut parts = Parts::of("u", cursor)?;
        conditions.with("id < ?", [parts.number()?.into()]);
        parts.end()?;
    }
    conditions.given("actor = ?", filter.actor);
    let head = "SELECT id, at, actor, role, token_id, peer, action, subject, detail, status, ended_at FROM audit_log
        WHERE TRUE";
    let (sql, parameters) = conditions.query(head, "ORDER BY id DESC", page.clamped());
    let items = list::all(connection, "an entry of the audit log", &sql, parameters, |row| {
        const WHAT: &str = "an entry of the audit log";
        let mut columns = Columns::of(row, WHAT);
        let id = columns.get()?;
        let entry = AuditEntry {
            at: columns.time()?,
            actor: columns.get()?,
            role: columns.parsed()?,
            token_id: columns.get()?,
            peer: columns.get()?,
            action: columns.get()?,
            subject: columns.get()?,
            detail: columns.get()?,
        };
        let status: Option<i64> = columns.get()?;
        let status = status.map(u16::try_from).transpose().map_err(|error| corrupt(WHAT, error))?;
        Ok(AuditRecord { id, entry, status, ended_at: columns.time_option()? })
    })?;
    Ok(list::page(items, page, |last| Cursor::of("u").number(last.id).finish()))
}
