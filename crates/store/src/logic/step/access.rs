//! Tokens, and the audit log.

use uplift_model::Time;
use uplift_model::access::{AuditEntry, NewToken};

use super::{Step, json};
use crate::error::StoreError;
use crate::logic::fault::Fault;
use crate::writes::access::AccessWrite;

impl Step<'_> {
    pub(super) fn access(&mut self, write: &AccessWrite) -> Result<(), Fault> {
        match write {
            AccessWrite::PutToken(token) => self.put_token(token),
            AccessWrite::RevokeToken { id, by } => self.revoke_token(*id, by),
            AccessWrite::NoteUse { uses } => self.note_use(uses),
            AccessWrite::BeginAudit(entry) => self.begin_audit(entry),
            AccessWrite::EndAudit { id, status } => self.end_audit(*id, *status),
            AccessWrite::PruneAudit { before, rows } => self.prune_audit(*before, *rows),
        }
    }

    fn put_token(&mut self, token: &NewToken) -> Result<(), Fault> {
        token.check(self.at).map_err(|error| StoreError::invalid(error.to_string()))?;
        let taken = "SELECT 1 FROM api_tokens WHERE name = ?1 AND revoked_at IS NULL";
        if self.connection.prepare_cached(taken)?.exists([&token.name])? {
            let reason = format!("a token named `{}` is in force: take another name, or revoke it first", token.name);
            return Err(StoreError::invalid(reason).into());
        }
        let id: i64 = self
            .connection
            .prepare_cached(
                "INSERT INTO api_tokens (name, role, hash, entities, created_at, created_by, expires_at)
                 VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7) RETURNING id",
            )?
            .query_row(
                (
                    &token.name,
                    token.role.as_str(),
                    &token.hash,
                    json(&token.entities, "whom a token stands for")?,
                    self.at.micros(),
                    &token.created_by,
                    token.expires_at.map(Time::micros),
                ),
                |row| row.get(0),
            )?;
        self.receipt.recorded.push(id);
        // Whoever follows the configuration reads the tokens, too.
        self.configuration_changed()
    }

    fn revoke_token(&mut self, id: i64, by: &str) -> Result<(), Fault> {
        self.require("token", "SELECT 1 FROM api_tokens WHERE id = ?1", id)?;
        self.connection
            .prepare_cached(
                "UPDATE api_tokens SET revoked_at = ?2, revoked_by = ?3 WHERE id = ?1 AND revoked_at IS NULL",
            )?
            .defer((id, self.at.micros(), by))?;
        self.configuration_changed()
    }

    fn note_use(&self, uses: &[(i64, Time)]) -> Result<(), Fault> {
        for (id, at) in uses {
            self.connection
                .prepare_cached(
                    "UPDATE api_tokens SET last_used_at = ?2
                     WHERE id = ?1 AND (last_used_at IS NULL OR last_used_at < ?2)",
                )?
                .defer((*id, at.micros()))?;
        }
        Ok(())
    }

    fn begin_audit(&mut self, entry: &AuditEntry) -> Result<(), Fault> {
        let id: i64 = self
            .connection
            .prepare_cached(
                "INSERT INTO audit_log (at, actor, role, token_id, peer, action, subject, detail)
                 VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8) RETURNING id",
            )?
            .query_row(
                (
                    entry.at.micros(),
                    &entry.actor,
                    entry.role.as_str(),
                    entry.token_id,
                    &entry.peer,
                    &entry.action,
                    &entry.subject,
                    &entry.detail,
                ),
                |row| row.get(0),
            )?;
        self.receipt.recorded.push(id);
        Ok(())
    }

    fn end_audit(&self, id: i64, status: u16) -> Result<(), Fault> {
        self.connection
            .prepare_cached("UPDATE audit_log SET status = ?2, ended_at = ?3 WHERE id = ?1 AND status IS NULL")?
            .defer((id, i64::from(status), self.at.micros()))?;
        Ok(())
    }

    fn prune_audit(&self, before: Time, rows: u32) -> Result<(), Fault> {
        self.connection
            .prepare_cached(
                "DELETE FROM audit_log WHERE id IN (SELECT id FROM audit_log WHERE at < ?1 ORDER BY at LIMIT ?2)",
            )?
            .defer((before.micros(), i64::from(rows)))?;
        Ok(())
    }
}
