//! Whom to tell, and messages on their way.

use uplift_model::Time;
use uplift_model::notification::{MAX_TARGETS, Message, NewTarget};

use super::{Step, json};
use crate::error::StoreError;
use crate::logic::fault::Fault;
use crate::writes::attention::{Attempt, NotificationWrite};

/// Why a delivery is dead from the start.
const TOO_MANY: &str = "too many deliveries wait for this target already";

impl Step<'_> {
    pub(super) fn notifications(&mut self, write: &NotificationWrite) -> Result<(), Fault> {
        match write {
            NotificationWrite::PutTarget { target, by } => self.put_target(target, by),
            NotificationWrite::RemoveTarget { id } => self.remove_target(*id),
            NotificationWrite::Deliver { message, targets, max_waiting } => {
                self.deliver(message, targets, *max_waiting)
            }
            NotificationWrite::MoveCursor { from, to } => self.move_cursor(*from, *to),
            NotificationWrite::Claim { ids, until } => self.claim_deliveries(ids, *until),
            NotificationWrite::Finish { id, attempt } => self.finish_delivery(*id, attempt),
            NotificationWrite::Revive { id } => self.revive(*id),
            NotificationWrite::Prune { before, rows } => self.prune_notifications(*before, *rows),
        }
    }

    fn put_target(&mut self, target: &NewTarget, by: &str) -> Result<(), Fault> {
        target.check().map_err(StoreError::invalid)?;
        let sql = "SELECT count(*), count(CASE WHEN name = ?1 THEN 1 END) FROM notification_targets";
        let (all, named): (i64, i64) =
            self.connection.prepare_cached(sql)?.query_row([&target.name], |row| Ok((row.get(0)?, row.get(1)?)))?;
        if named > 0 {
            let reason = format!("there is a target named `{}`: take another name, or remove it first", target.name);
            return Err(StoreError::invalid(reason).into());
        }
        if all >= MAX_TARGETS as i64 {
            let reason = format!("there are {MAX_TARGETS} targets already: remove one first");
            return Err(StoreError::invalid(reason).into());
        }
        let id: i64 = self
            .connection
            .prepare_cached(
                "INSERT INTO notification_targets (name, url, format, kinds, secret, created_at, created_by)
                 VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7) RETURNING id",
            )?
            .query_row(
                (
                    &target.name,
                    &target.url,
                    target.format.as_str(),
                    json(&target.kinds, "kinds of notifications")?,
                    &target.secret,
                    self.at.micros(),
                    by,
                ),
                |row| row.get(0),
            )?;
        self.receipt.recorded.push(id);
        Ok(())
    }

    fn remove_target(&mut self, id: i64) -> Result<(), Fault> {
        self.require("notification target", "SELECT 1 FROM notification_targets WHERE id = ?1", id)?;
        self.connection.prepare_cached("DELETE FROM notification_targets WHERE id = ?1")?.defer([id])?;
        Ok(())
    }

    /// A target is told the same news once, however often it is put on its way.
    fn deliver(&mut self, message: &Message, targets: &[i64], max_waiting: u32) -> Result<(), Fault> {
        let text = json(message, "a message")?;
        for target in targets {
            self.connection
                .prepare_cached(
                    "INSERT INTO notification_deliveries (target_id, message_id, message, created_at, state, due_at,
                        last_error)
                     SELECT t.id, CAST(?2 AS text), CAST(?3 AS text), CAST(?4 AS bigint),
                        CASE WHEN w.waiting < ?5 THEN 'pending' ELSE 'dead' END,
                        CASE WHEN w.waiting < ?5 THEN CAST(?4 AS bigint) END,
                        CASE WHEN w.waiting < ?5 THEN NULL ELSE CAST(?6 AS text) END
                     FROM notification_targets AS t
                     JOIN (SELECT count(*) AS waiting FROM notification_deliveries
                        WHERE target_id = ?1 AND state = 'pending') AS w ON TRUE
                     WHERE t.id = ?1
                     ON CONFLICT (target_id, message_id) DO NOTHING",
                )?
                .defer((*target, &message.id, &text, self.at.micros(), i64::from(max_waiting), TOO_MANY))?;
        }
        Ok(())
    }

    fn move_cursor(&mut self, from: i64, to: i64) -> Result<(), Fault> {
        let moved = self
            .connection
            .prepare_cached("UPDATE notification_cursor SET seq = ?2 WHERE seq = ?1")?
            .execute((from, to))?;
        if moved == 0 {
            return Err(StoreError::moved_on("what was told", format!("news {from}")).into());
        }
        Ok(())
    }

    fn claim_deliveries(&mut self, ids: &[i64], until: Time) -> Result<(), Fault> {
        for id in ids {
            let claimed = self
                .connection
                .prepare_cached(
                    "UPDATE notification_deliveries SET attempts = attempts + 1, due_at = ?3, last_attempt_at = ?2
                     WHERE id = ?1 AND state = 'pending' AND due_at <= ?2",
                )?
                .execute((*id, self.at.micros(), until.micros()))?;
            if claimed > 0 {
                self.receipt.recorded.push(*id);
            }
        }
        Ok(())
    }

    fn finish_delivery(&mut self, id: i64, attempt: &Attempt) -> Result<(), Fault> {
        let now = self.at.micros();
        let (state, status, error, due, delivered) = match attempt {
            Attempt::Delivered { status } => ("delivered", Some(*status), None, None, Some(now)),
            Attempt::Again { status, error, due } => ("pending", *status, Some(error), Some(due.micros()), None),
            Attempt::Dead { status, error } => ("dead", *status, Some(error), None, None),
        };
        self.connection
            .prepare_cached(
                "UPDATE notification_deliveries SET state = ?2, last_status = ?3, last_error = ?4, due_at = ?5,
                    delivered_at = ?6
                 WHERE id = ?1 AND state = 'pending'",
            )?
            .defer((id, state, status.map(i64::from), error, due, delivered))?;
        Ok(())
    }

    fn revive(&mut self, id: i64) -> Result<(), Fault> {
        self.require("delivery", "SELECT 1 FROM notification_deliveries WHERE id = ?1", id)?;
        let revived = self
            .connection
            .prepare_cached(
                "UPDATE notification_deliveries SET state = 'pending', attempts = 0, due_at = ?2
                 WHERE id = ?1 AND state = 'dead'",
            )?
            .execute((id, self.at.micros()))?;
        if revived == 0 {
            return Err(StoreError::moved_on(format!("delivery {id}"), "one that was given up").into());
        }
        Ok(())
    }

    fn prune_notifications(&mut self, before: Time, rows: u32) -> Result<(), Fault> {
        self.connection
            .prepare_cached(
                "DELETE FROM notification_deliveries WHERE id IN (
                    SELECT id FROM notification_deliveries WHERE state <> 'pending' AND created_at < ?1
                    ORDER BY created_at LIMIT ?2)",
            )?
            .defer((before.micros(), i64::from(rows)))?;
        self.connection
            .prepare_cached(
                "DELETE FROM news WHERE seq IN (
                    SELECT n.seq FROM news AS n
                    WHERE n.seq <= (SELECT seq FROM notification_cursor) AND n.at < ?1
                    ORDER BY n.seq LIMIT ?2)",
            )?
            .defer((before.micros(), i64::from(rows)))?;
        Ok(())
    }
}
