//! Durable processes, the leases under which they are stepped, and the outbox.

use crate::sql::OptionalExtension;
use uplift_model::Time;
use uplift_model::process::Lease;
use uplift_model::time::MICROS_PER_DAY;

use super::Step;
use crate::error::StoreError;
use crate::logic::fault::Fault;
use crate::rows::NodeRow;

/// A step of a process.
pub(super) struct ProcessStep<'w> {
    pub(super) id: i64,
    pub(super) from: &'w str,
    pub(super) to: &'w str,
    pub(super) wake_at: Option<Time>,
    pub(super) note: Option<&'w str>,
}

impl Step<'_> {
    pub(super) fn claim_lease(&mut self, name: &str, holder: &str, ttl_us: i64) -> Result<(), Fault> {
        let lease = self.try_lease(name, holder, ttl_us)?;
        let lease = lease.map_err(|epoch| StoreError::StaleLease { name: name.to_owned(), epoch })?;
        self.receipt.lease = Some(lease);
        Ok(())
    }

    pub(super) fn claim_leases(&mut self, names: &[String], holder: &str, ttl_us: i64) -> Result<(), Fault> {
        for name in names {
            self.receipt.leases.extend(self.try_lease(name, holder, ttl_us)?.ok());
        }
        Ok(())
    }

    /// Claims a lease; its epoch where somebody else holds it.
    fn try_lease(&self, name: &str, holder: &str, ttl_us: i64) -> Result<Result<Lease, i64>, Fault> {
        if holder.is_empty() || ttl_us <= 0 {
            return Err(StoreError::invalid("a lease has a holder and lasts for a while").into());
        }
        let found: Option<(String, i64, i64)> = self
            .connection
            .prepare_cached("SELECT holder, epoch, expires_at FROM leases WHERE name = ?1")?
            .query_row([name], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)))
            .optional()?;
        let now = self.at.micros();
        let epoch = match found {
            None => 1,
            // Whoever held it may still be at work and not know: a new epoch shuts it out, even from itself.
            Some((_, epoch, expires_at)) if expires_at <= now => epoch + 1,
            Some((current, epoch, _)) if current == holder => epoch,
            Some((_, epoch, _)) => return Ok(Err(epoch)),
        };
        self.connection
            .prepare_cached(
                "INSERT INTO leases (name, holder, epoch, expires_at) VALUES (?1, ?2, ?3, ?4)
                 ON CONFLICT (name) DO UPDATE SET holder = excluded.holder, epoch = excluded.epoch,
                    expires_at = excluded.expires_at",
            )?
            .defer((name, holder, epoch, now.saturating_add(ttl_us)))?;
        Ok(Ok(Lease { name: name.to_owned(), holder: holder.to_owned(), epoch }))
    }

    pub(super) fn note_node(&self, node: &NodeRow) -> Result<(), Fault> {
        self.connection
            .prepare_cached(
                "INSERT INTO nodes (node, url, version, started_at, seen_at) VALUES (?1, ?2, ?3, ?4, ?5)
                 ON CONFLICT (node) DO UPDATE SET url = excluded.url, seen_at = excluded.seen_at",
            )?
            .defer((&node.node, &node.url, &node.version, node.started_at.micros(), node.seen_at.micros()))?;
        self.connection
            .prepare_cached("DELETE FROM nodes WHERE seen_at < ?1")?
            .defer([node.seen_at.micros().saturating_sub(MICROS_PER_DAY)])?;
        Ok(())
    }

    /// The row stays, without a holder: the epoch goes on counting from it.
    pub(super) fn release_lease(&self, lease: &Lease) -> Result<(), Fault> {
        self.connection
            .prepare_cached(
                "UPDATE leases SET holder = '', expires_at = 0 WHERE name = ?1 AND holder = ?2 AND epoch = ?3",
            )?
            .defer((&lease.name, &lease.holder, lease.epoch))?;
        Ok(())
    }

    pub(super) fn start_process(&self, name: &str, subject: &str, state: &str, due: Time) -> Result<(), Fault> {
        if !self.connection.prepare_cached("SELECT 1 FROM process_registry WHERE name = ?1")?.exists([name])? {
            return Err(StoreError::not_found("process", name).into());
        }
        self.connection
            .prepare_cached(
                "INSERT INTO process_instances (name, subject, state, wake_at, created_at) VALUES (?1, ?2, ?3, ?4, ?5)
                 ON CONFLICT (name, subject) WHERE ended_at IS NULL DO NOTHING",
            )?
            .execute((name, subject, state, due.micros(), self.at.micros()))?;
        Ok(())
    }

    pub(super) fn step_process(&self, step: &ProcessStep<'_>) -> Result<(), Fault> {
        let wake_at = step.wake_at.map(Time::micros);
        let ended_at = if step.wake_at.is_none() { Some(self.at.micros()) } else { None };
        let changed = self
            .connection
            .prepare_cached(
                "UPDATE process_instances SET state = ?3, wake_at = ?4, ended_at = ?5, attempts = 0, last_error = NULL
                 WHERE id = ?1 AND state = ?2 AND ended_at IS NULL",
            )?
            .execute((step.id, step.from, step.to, wake_at, ended_at))?;
        if changed == 0 {
            self.require_process(step.id)?;
            let expected = format!("a running one in state {}", step.from);
            return Err(StoreError::moved_on(format!("process {}", step.id), expected).into());
        }
        if step.from == step.to && ended_at.is_none() {
            return Ok(());
        }
        self.connection
            .prepare_cached(
                "INSERT INTO process_steps (instance_id, seq, from_state, to_state, note, at)
                 SELECT CAST(?1 AS bigint), coalesce(max(seq), 0) + 1, CAST(?2 AS text), CAST(?3 AS text), CAST(?4 AS text),
                    CAST(?5 AS bigint) FROM process_steps WHERE instance_id = ?1",
            )?
            .execute((step.id, step.from, step.to, step.note, self.at.micros()))?;
        Ok(())
    }

    /// Does nothing where the instance has ended meanwhile: there is nothing to try again.
    pub(super) fn fail_process(&self, id: i64, error: &str, wake_at: Time) -> Result<(), Fault> {
        let changed = self
            .connection
            .prepare_cached(
                "UPDATE process_instances SET attempts = attempts + 1, last_error = ?2, wake_at = ?3
                 WHERE id = ?1 AND ended_at IS NULL",
            )?
            .execute((id, error, wake_at.micros()))?;
        if changed == 0 { self.require_process(id) } else { Ok(()) }
    }

    pub(super) fn wake_process(&self, name: &str, subject: Option<&str>, at: Time) -> Result<(), Fault> {
        let head = "UPDATE process_instances SET wake_at = ?2 WHERE name = ?1 AND ended_at IS NULL AND wake_at > ?2";
        match subject {
            Some(subject) => self.connection.prepare_cached(&format!("{head} AND subject = ?3"))?.execute((
                name,
                at.micros(),
                subject,
            ))?,
            None => self.connection.prepare_cached(head)?.execute((name, at.micros()))?,
        };
        Ok(())
    }

    fn require_process(&self, id: i64) -> Result<(), Fault> {
        self.require("process", "SELECT 1 FROM process_instances WHERE id = ?1", id)
    }

    pub(super) fn finish_outbox(&self, id: i64) -> Result<(), Fault> {
        self.connection
            .prepare_cached("UPDATE outbox SET done_at = coalesce(done_at, ?2) WHERE id = ?1")?
            .defer((id, self.at.micros()))?;
        self.require_action(id)
    }

    pub(super) fn fail_outbox(&self, id: i64) -> Result<(), Fault> {
        self.connection.prepare_cached("UPDATE outbox SET attempts = attempts + 1 WHERE id = ?1")?.defer([id])?;
        self.require_action(id)
    }

    fn require_action(&self, id: i64) -> Result<(), Fault> {
        self.require("action", "SELECT 1 FROM outbox WHERE id = ?1", id)
    }
}
