//! What a step of the loop decided, written whole or not at all.

mod access;
mod alerts;
mod entities;
mod improvements;
mod notifications;
mod opportunities;
mod processes;
mod records;
mod requests;
mod trials;

use crate::sql::{Connection, OptionalExtension};
use serde::Serialize;
use serde::de::DeserializeOwned;
use uplift_model::Time;
use uplift_model::entity::EntityKey;
use uplift_model::policy::DetectionPolicy;
use uplift_model::revision::RevisionId;
use uplift_model::rollup::LN_SCALE;
use uplift_model::time::MICROS_PER_DAY;

use self::processes::ProcessStep;
use self::trials::Look;
use super::dictionary::Dictionary;
use super::fault::{Fault, corrupt};
use super::intake::{move_clock, reject_inbox};
use super::prune;
use crate::error::StoreError;
use crate::writes::{StepCommit, StepReceipt, Write};

/// Writes a commit.
pub(super) fn commit(
    connection: &Connection,
    dictionary: &mut Dictionary,
    commit: &StepCommit,
) -> Result<StepReceipt, Fault> {
    check_lease(connection, commit)?;
    for (entity, expected) in &commit.expected_versions {
        check_version(connection, *entity, *expected)?;
    }
    let mut step = Step { connection, dictionary, at: commit.at, receipt: StepReceipt::default() };
    for write in &commit.writes {
        step.write(write)?;
    }
    for (kind, payload) in &commit.outbox {
        connection.prepare_cached("INSERT INTO outbox (kind, payload, created_at) VALUES (?1, ?2, ?3)")?.defer((
            kind,
            payload.to_string(),
            commit.at.micros(),
        ))?;
    }
    let mut receipt = step.receipt;
    receipt.reconfigured.sort_unstable();
    receipt.reconfigured.dedup();
    Ok(receipt)
}

fn check_lease(connection: &Connection, commit: &StepCommit) -> Result<(), Fault> {
    let Some(lease) = &commit.lease else { return Ok(()) };
    let held = connection
        .prepare_cached("SELECT 1 FROM leases WHERE name = ?1 AND holder = ?2 AND epoch = ?3")?
        .exists((&lease.name, &lease.holder, lease.epoch))?;
    if held { Ok(()) } else { Err(StoreError::StaleLease { name: lease.name.clone(), epoch: lease.epoch }.into()) }
}

fn check_version(connection: &Connection, entity: EntityKey, expected: i64) -> Result<(), Fault> {
    let version: Option<i64> = connection
        .prepare_cached("SELECT version FROM entities WHERE entity_type = ?1 AND entity_id = ?2")?
        .query_row((entity.entity_type.as_str(), entity.entity_id), |row| row.get(0))
        .optional()?;
    match version {
        Some(version) if version == expected => Ok(()),
        Some(_) => Err(StoreError::moved_on(entity.to_string(), format!("version {expected}")).into()),
        None => Err(StoreError::not_found(entity.entity_type.as_str(), entity.entity_id).into()),
    }
}

/// Between the parts of a key that is compared as one text.
const LINE: char = '\n';

fn json(value: &impl Serialize, what: &'static str) -> Result<String, Fault> {
    serde_json::to_string(value).map_err(|error| corrupt(what, error))
}

/// As [`json`], for values with numbers in them: JSON has no infinity, and what cannot be read back is better refused
/// now than found then.
fn readable<T: Serialize + DeserializeOwned>(value: &T, what: &'static str) -> Result<String, Fault> {
    let text = json(value, what)?;
    match serde_json::from_str::<T>(&text) {
        Ok(_) => Ok(text),
        Err(error) => {
            let reason = format!("{what} could not be read back ({error}): every number in it has to be finite");
            Err(StoreError::invalid(reason).into())
        }
    }
}

/// A commit under way.
struct Step<'c> {
    connection: &'c Connection,
    dictionary: &'c mut Dictionary,
    at: Time,
    receipt: StepReceipt,
}

impl Step<'_> {
    fn write(&mut self, write: &Write) -> Result<(), Fault> {
        match write {
            Write::Access(write) => self.access(write),
            Write::Requests(write) => self.requests(write),
            Write::DeclareEntity { name, config } => self.declare(name, config),
            Write::DeclareRunning { name, config, revision } => self.declare_running(name, config, revision),
            Write::SetEntityState { entity, state } => self.change_entity(*entity, "state", state.as_str()),
            Write::SetEntityConfig { entity, config } => self.set_config(*entity, config),
            Write::PutRelationship(relationship) => self.put_relationship(relationship),
            Write::PointRevision { entity, revision } => self.point_revision(*entity, revision),
            Write::PutFinding { finding, quiet_since } => self.put_finding(finding, *quiet_since),
            Write::ConfirmOpportunity { id, finding } => self.confirm(*id, finding),
            Write::PutRevision(revision) => self.put_revision(revision),
            Write::NoteDefaults { entity, revision } => self.note_defaults(*entity, revision),
            Write::WithdrawOpportunity { id, reason } => self.withdraw(*id, reason),
            Write::WithdrawUnfound { entity, kinds, found } => self.withdraw_unfound(*entity, kinds, found),
            Write::CloseOpportunity { id, status, reason } => self.close(*id, *status, reason),
            Write::ClaimOpportunity { id } => self.claim(*id),
            Write::ReturnOpportunity { id, not_before, reason } => self.give_back(*id, *not_before, reason),
            Write::ReopenOpportunity { id, not_before, reason } => self.reopen(*id, *not_before, reason),
            Write::RecordReview(review) => self.record_review(review),
            Write::Alerts(write) => self.alerts(write),
            Write::Notifications(write) => self.notifications(write),
            Write::Health(write) => self.health(write),
            Write::SetDetection(policy) => self.set_detection(policy),
            Write::SetSetting { name, value } => self.set_setting(name, &value.to_string()),
            Write::RejectInbox { seq, reason } => reject_inbox(self.connection, *seq, reason, self.at.micros()),
            Write::PutImprovement(new) => self.put_improvement(new),
            Write::ChangeImprovement { id, expected_version, change } => {
                self.change_improvement(*id, *expected_version, change)
            }
            Write::StartTrial(new) => self.start_trial(new),
            Write::AddStage { id, stage } => self.add_stage(*id, *stage),
            Write::SaveLook { id, expected_cursor, cursor, looked_us, state, verdict, summary, forget_before_us } => {
                self.save_look(&Look {
                    id: *id,
                    expected_cursor: *expected_cursor,
                    cursor: *cursor,
                    looked_us: *looked_us,
                    state,
                    verdict: verdict.as_deref(),
                    summary: summary.as_ref(),
                    forget_before_us: *forget_before_us,
                })
            }
            Write::EndTrial { id, ending, verdict } => self.end_trial(*id, ending, verdict.as_deref()),
            Write::RecordHistory(entry) => self.record_history(entry),
            Write::ClaimLease { name, holder, ttl_us } => self.claim_lease(name, holder, *ttl_us),
            Write::ClaimLeases { names, holder, ttl_us } => self.claim_leases(names, holder, *ttl_us),
            Write::NoteNode(node) => self.note_node(node),
            Write::ReleaseLease(lease) => self.release_lease(lease),
            Write::StartProcess { name, subject, state, wake_at } => {
                self.start_process(name, subject, state, *wake_at)
            }
            Write::StepProcess { id, from, to, wake_at, note } => {
                self.step_process(&ProcessStep { id: *id, from, to, wake_at: *wake_at, note: note.as_deref() })
            }
            Write::FailProcess { id, error, wake_at } => self.fail_process(*id, error, *wake_at),
            Write::WakeProcess { name, subject, at } => self.wake_process(name, subject.as_deref(), *at),
            Write::FinishOutbox { id } => self.finish_outbox(*id),
            Write::FailOutbox { id } => self.fail_outbox(*id),
            Write::Prune(prune) => {
                let pruned = prune::step(self.connection, self.dictionary, prune, self.at)?;
                self.receipt.pruned = Some(pruned);
                Ok(())
            }
            Write::Tick => move_clock(self.connection, self.dictionary, self.at.micros()),
        }
    }

    /// Checks that there is something of this number; `sql` looks for it.
    fn require(&self, what: &'static str, sql: &str, id: i64) -> Result<(), Fault> {
        let found = self.connection.prepare_cached(sql)?.exists([id])?;
        if found { Ok(()) } else { Err(StoreError::not_found(what, id).into()) }
    }

    fn require_entity(&self, entity: EntityKey) -> Result<(), Fault> {
        let sql = "SELECT 1 FROM entities WHERE entity_type = ?1 AND entity_id = ?2";
        let key = (entity.entity_type.as_str(), entity.entity_id);
        let found = self.connection.prepare_cached(sql)?.exists(key)?;
        if found { Ok(()) } else { Err(StoreError::not_found(key.0, key.1).into()) }
    }

    fn require_revision(&self, id: &RevisionId) -> Result<(), Fault> {
        let sql = "SELECT 1 FROM revisions WHERE revision_id = ?1";
        let found = self.connection.prepare_cached(sql)?.exists([id.as_str()])?;
        if found { Ok(()) } else { Err(StoreError::not_found("revision", id).into()) }
    }

    fn set_detection(&mut self, policy: &DetectionPolicy) -> Result<(), Fault> {
        let ratio = 1.0 + policy.degradation_threshold;
        self.connection
            .prepare_cached(
                "UPDATE detection_settings SET error_threshold = ?1, degradation_ratio = ?2, degradation_ln = ?3,
                    baseline_minimum = ?4, quiet_us = ?5",
            )?
            .defer((
                policy.error_threshold,
                ratio,
                (ratio.ln() * LN_SCALE).round() as i64,
                policy.baseline_minimum,
                i64::from(policy.dismissed_quiet_days) * MICROS_PER_DAY,
            ))?;
        Ok(())
    }

    fn set_setting(&mut self, name: &str, value: &str) -> Result<(), Fault> {
        self.connection
            .prepare_cached(
                "INSERT INTO settings (name, value, updated_at) VALUES (?1, ?2, ?3)
                 ON CONFLICT (name) DO UPDATE SET value = excluded.value, updated_at = excluded.updated_at",
            )?
            .defer((name, value, self.at.micros()))?;
        self.configuration_changed()
    }
}
