//! What a step of the loop decided, written whole or not at all.

use rusqlite::{Connection, OptionalExtension};
use uplift_model::Time;
use uplift_model::alert::AlertFinding;
use uplift_model::entity::{EntityKey, EntityName, EntityType, check_name};
use uplift_model::opportunity::{Finding, OpportunityStatus};
use uplift_model::policy::{DetectionPolicy, ImprovementConfig};
use uplift_model::relationship::{Relationship, RelationshipSource, check_relationship};
use uplift_model::review::Review;
use uplift_model::revision::Revision;
use uplift_model::rollup::LN_SCALE;

use super::dictionary::Dictionary;
use super::fault::{Fault, corrupt};
use super::intake::{move_clock, reject_inbox};
use super::ties::relationships;
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
        connection
            .prepare_cached("INSERT INTO outbox (kind, payload, created_at) VALUES (?1, ?2, ?3)")?
            .execute((kind, payload.to_string(), commit.at.micros()))?;
    }
    Ok(step.receipt)
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
        Some(_) => Err(StoreError::VersionConflict { what: entity.to_string(), expected }.into()),
        None => Err(StoreError::not_found(entity.entity_type.as_str(), entity.entity_id).into()),
    }
}

fn json(value: &impl serde::Serialize, what: &'static str) -> Result<String, Fault> {
    serde_json::to_string(value).map_err(|error| corrupt(what, error))
}

struct Step<'c> {
    connection: &'c Connection,
    dictionary: &'c mut Dictionary,
    at: Time,
    receipt: StepReceipt,
}

impl Step<'_> {
    fn write(&mut self, write: &Write) -> Result<(), Fault> {
        match write {
            Write::DeclareEntity { name, config } => self.declare(name, config),
            Write::SetEntityState { entity, state } => self.change_entity(*entity, "state", state.as_str()),
            Write::SetEntityConfig { entity, config } => self.set_config(*entity, config),
            Write::PutRelationship(relationship) => self.put_relationship(relationship),
            Write::PointRevision { entity, revision } => self.point_revision(*entity, revision),
            Write::PutFinding { finding, quiet_since } => self.put_finding(finding, *quiet_since),
            Write::ConfirmOpportunity { id, finding } => self.confirm(*id, finding),
            Write::WithdrawOpportunity { id, reason } => {
                self.close(*id, OpportunityStatus::Dismissed, &format!("withdrawn: {reason}"))
            }
            Write::CloseOpportunity { id, status, reason } => self.close(*id, *status, reason),
            Write::RecordReview(review) => self.record_review(review),
            Write::RaiseAlert(alert) => self.raise(alert),
            Write::ResolveAlertsExcept(alerts) => self.resolve_except(alerts),
            Write::SetDetection(policy) => self.set_detection(policy),
            Write::SetSetting { name, value } => self.set_setting(name, &value.to_string()),
            Write::PruneEvents { received_before, limit } => self.prune(*received_before, *limit),
            Write::RejectInbox { seq, reason } => reject_inbox(self.connection, *seq, reason, self.at.micros()),
            Write::Tick => move_clock(self.connection, self.dictionary, self.at.micros()),
        }
    }

    fn declare(&mut self, name: &EntityName, config: &ImprovementConfig) -> Result<(), Fault> {
        check_name(&name.name).map_err(|error| StoreError::Invalid { reason: error.to_string() })?;
        config.check().map_err(|error| StoreError::Invalid { reason: error.to_string() })?;
        let known = match self.dictionary.entity(self.connection, name)? {
            Some(known) => known,
            None => self.dictionary.add_entity(self.connection, name, config, self.at)?,
        };
        self.receipt.entities.push(known.key);
        Ok(())
    }

    /// Changes one column of an entity; `column` is one of ours, never from outside.
    fn change_entity(&mut self, entity: EntityKey, column: &'static str, value: &str) -> Result<(), Fault> {
        let sql = format!(
            "UPDATE entities SET {column} = ?3, version = version + 1 WHERE entity_type = ?1 AND entity_id = ?2"
        );
        let changed =
            self.connection.prepare_cached(&sql)?.execute((entity.entity_type.as_str(), entity.entity_id, value))?;
        if changed == 0 {
            return Err(StoreError::not_found(entity.entity_type.as_str(), entity.entity_id).into());
        }
        self.dictionary.forget_entities();
        self.configuration_changed()
    }

    fn configuration_changed(&self) -> Result<(), Fault> {
        self.connection.prepare_cached("UPDATE config_seq SET seq = seq + 1")?.execute([])?;
        Ok(())
    }

    fn set_config(&mut self, entity: EntityKey, config: &ImprovementConfig) -> Result<(), Fault> {
        config.check().map_err(|error| StoreError::Invalid { reason: error.to_string() })?;
        self.change_entity(entity, "improvement_config", &json(config, "improvement_config")?)?;
        if let Some(schedule) = config.review {
            self.connection
                .prepare_cached(
                    "INSERT INTO rolling_review_counters (entity_type, entity_id, review_type, task_threshold,
                        period_hours) VALUES (?1, ?2, ?3, ?4, ?5)
                     ON CONFLICT DO UPDATE SET review_type = excluded.review_type,
                        task_threshold = excluded.task_threshold, period_hours = excluded.period_hours",
                )?
                .execute((
                    entity.entity_type.as_str(),
                    entity.entity_id,
                    schedule.kind.as_str(),
                    schedule.task_threshold,
                    schedule.period_hours,
                ))?;
        }
        Ok(())
    }

    fn put_relationship(&mut self, tie: &Relationship) -> Result<(), Fault> {
        let existing = relationships(self.connection, None)?;
        check_relationship(&existing, tie).map_err(|error| StoreError::Invalid { reason: error.to_string() })?;
        for end in [tie.from, tie.to] {
            if Dictionary::entity_by_key(self.connection, end)?.is_none() {
                return Err(StoreError::not_found(end.entity_type.as_str(), end.entity_id).into());
            }
        }
        let source = match tie.source {
            RelationshipSource::Declared => "declared",
            RelationshipSource::Learnt => "learnt",
        };
        self.connection
            .prepare_cached(
                "INSERT INTO entity_relationships (from_type, from_id, kind, to_type, to_id, strength, source)
                 VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)
                 ON CONFLICT DO UPDATE SET strength = excluded.strength, source = excluded.source
                 WHERE excluded.source = 'declared' OR source = 'learnt'",
            )?
            .execute((
                tie.from.entity_type.as_str(),
                tie.from.entity_id,
                tie.kind.as_str(),
                tie.to.entity_type.as_str(),
                tie.to.entity_id,
                tie.strength,
                source,
            ))?;
        Ok(())
    }

    fn point_revision(&mut self, entity: EntityKey, revision: &Revision) -> Result<(), Fault> {
        let id = revision.id().as_str();
        self.connection
            .prepare_cached(
                "INSERT INTO revisions (revision_id, configuration, created_at) VALUES (?1, ?2, ?3)
                 ON CONFLICT DO NOTHING",
            )?
            .execute((id, json(revision.configuration(), "configuration")?, self.at.micros()))?;
        self.change_entity(entity, "revision_id", id)?;
        self.connection
            .prepare_cached(
                "INSERT INTO entity_revisions (entity_type, entity_id, seq, revision_id, since)
                 SELECT ?1, ?2, coalesce(max(seq), 0) + 1, ?3, ?4 FROM entity_revisions
                 WHERE entity_type = ?1 AND entity_id = ?2",
            )?
            .execute((entity.entity_type.as_str(), entity.entity_id, id, self.at.micros()))?;
        if entity.entity_type == EntityType::Agent { self.spread(entity, revision) } else { Ok(()) }
    }

    /// Spreads an agent's tools and contexts out for queries.
    fn spread(&self, entity: EntityKey, revision: &Revision) -> Result<(), Fault> {
        let configuration = revision.configuration();
        for table in ["agent_tools", "agent_contexts"] {
            self.connection
                .prepare_cached(&format!("DELETE FROM {table} WHERE entity_id = ?1"))?
                .execute([entity.entity_id])?;
        }
        for tool in &configuration.tools {
            self.connection
                .prepare_cached(
                    "INSERT INTO agent_tools (entity_id, tool, required) VALUES (?1, ?2, ?3) ON CONFLICT DO NOTHING",
                )?
                .execute((entity.entity_id, &tool.name, tool.required))?;
        }
        for context in &configuration.contexts {
            self.connection
                .prepare_cached(
                    "INSERT INTO agent_contexts (entity_id, context) VALUES (?1, ?2) ON CONFLICT DO NOTHING",
                )?
                .execute((entity.entity_id, context))?;
        }
        Ok(())
    }

    fn put_finding(&mut self, finding: &Finding, quiet_since: Option<Time>) -> Result<(), Fault> {
        let key = (
            finding.entity.entity_type.as_str(),
            finding.entity.entity_id,
            finding.kind.as_str(),
            &finding.fingerprint,
        );
        let open: Option<i64> = self
            .connection
            .prepare_cached(
                "SELECT id FROM optimization_opportunities WHERE entity_type = ?1 AND entity_id = ?2 AND kind = ?3
                 AND fingerprint = ?4 AND status IN ('pending', 'in_progress')",
            )?
            .query_row(key, |row| row.get(0))
            .optional()?;
        if let Some(id) = open {
            return self.update_opportunity(id, finding);
        }
        if let Some(since) = quiet_since {
            let dismissed = self
                .connection
                .prepare_cached(
                    "SELECT 1 FROM optimization_opportunities WHERE entity_type = ?1 AND entity_id = ?2 AND kind = ?3
                     AND fingerprint = ?4 AND status = 'dismissed' AND updated_at >= ?5",
                )?
                .exists((key.0, key.1, key.2, key.3, since.micros()))?;
            if dismissed {
                return Ok(());
            }
        }
        let id = self
            .connection
            .prepare_cached(
                "INSERT INTO optimization_opportunities (entity_type, entity_id, kind, fingerprint, source,
                    improvement_type, created_at, updated_at, last_seen_at)
                 VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?7, ?8)",
            )?
            .insert((
                key.0,
                key.1,
                key.2,
                key.3,
                finding.source.as_str(),
                finding.kind.usual_improvement().as_str(),
                self.at.micros(),
                finding.last_seen_at.micros(),
            ))?;
        self.receipt.opened.push(id);
        self.update_opportunity(id, finding)
    }

    fn update_opportunity(&mut self, id: i64, finding: &Finding) -> Result<(), Fault> {
        let confidence = if finding.confidence.is_finite() { finding.confidence.clamp(0.0, 1.0) } else { 0.0 };
        self.connection
            .prepare_cached(
                "UPDATE optimization_opportunities SET confirmed = 1, description = ?2, confidence = ?3,
                    potential_impact = ?4, impact = ?5, occurrences = ?6, evidence = ?7,
                    last_seen_at = max(last_seen_at, ?8), updated_at = ?9
                 WHERE id = ?1",
            )?
            .execute((
                id,
                &finding.description,
                confidence,
                finding.impact.level.as_str(),
                json(&finding.impact, "impact")?,
                finding.evidence.count,
                json(&finding.evidence, "evidence")?,
                finding.last_seen_at.micros(),
                self.at.micros(),
            ))?;
        Ok(())
    }

    /// The status of an opportunity, which has to be open.
    fn require_open(&self, id: i64) -> Result<(), Fault> {
        let status: Option<String> = self
            .connection
            .prepare_cached("SELECT status FROM optimization_opportunities WHERE id = ?1")?
            .query_row([id], |row| row.get(0))
            .optional()?;
        let Some(status) = status else { return Err(StoreError::not_found("opportunity", id).into()) };
        let status: OpportunityStatus = status.parse().map_err(|error| corrupt("opportunity", error))?;
        if status.is_open() { Ok(()) } else { Err(StoreError::NotOpen { id, status }.into()) }
    }

    fn confirm(&mut self, id: i64, finding: &Finding) -> Result<(), Fault> {
        self.require_open(id)?;
        self.update_opportunity(id, finding)
    }

    fn close(&mut self, id: i64, status: OpportunityStatus, reason: &str) -> Result<(), Fault> {
        self.require_open(id)?;
        self.connection
            .prepare_cached(
                "UPDATE optimization_opportunities SET status = ?2, resolution = ?3, updated_at = ?4 WHERE id = ?1",
            )?
            .execute((id, status.as_str(), reason, self.at.micros()))?;
        Ok(())
    }

    fn record_review(&mut self, review: &Review) -> Result<(), Fault> {
        let entity = (review.entity.entity_type.as_str(), review.entity.entity_id);
        self.connection
            .prepare_cached(
                "INSERT INTO reviews (entity_type, entity_id, reviewed_at, reason, tasks, findings, summary)
                 VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)",
            )?
            .execute((
                entity.0,
                entity.1,
                review.reviewed_at.micros(),
                review.reason.as_str(),
                review.tasks,
                review.findings,
                &review.summary,
            ))?;
        // What came in since the review was worked out stays counted.
        self.connection
            .prepare_cached(
                "UPDATE rolling_review_counters SET tasks_since_review = max(0, tasks_since_review - ?3), due = NULL,
                    period_start_at = ?4, last_review_at = ?4
                 WHERE entity_type = ?1 AND entity_id = ?2",
            )?
            .execute((entity.0, entity.1, review.tasks, review.reviewed_at.micros()))?;
        Ok(())
    }

    fn raise(&mut self, alert: &AlertFinding) -> Result<(), Fault> {
        let entity_type = alert.entity.map(|entity| entity.entity_type.as_str());
        let entity_id = alert.entity.map(|entity| entity.entity_id);
        self.connection
            .prepare_cached(
                "INSERT INTO improvement_alerts (kind, entity_type, entity_id, fingerprint, message, value, threshold,
                    at)
                 VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)
                 ON CONFLICT (kind, coalesce(entity_type, ''), coalesce(entity_id, 0), fingerprint)
                    WHERE resolved_at IS NULL
                 DO UPDATE SET message = excluded.message, value = excluded.value, threshold = excluded.threshold",
            )?
            .execute((
                alert.kind.as_str(),
                entity_type,
                entity_id,
                &alert.fingerprint,
                &alert.message,
                alert.value,
                alert.threshold,
                alert.at.micros(),
            ))?;
        Ok(())
    }

    fn resolve_except(&mut self, alerts: &[AlertFinding]) -> Result<(), Fault> {
        let key = |kind: &str, entity_type: &str, entity_id: i64, fingerprint: &str| {
            format!("{kind}\n{entity_type}\n{entity_id}\n{fingerprint}")
        };
        let kept: Vec<String> = alerts
            .iter()
            .map(|alert| {
                let entity_type = alert.entity.map_or("", |entity| entity.entity_type.as_str());
                let entity_id = alert.entity.map_or(0, |entity| entity.entity_id);
                key(alert.kind.as_str(), entity_type, entity_id, &alert.fingerprint)
            })
            .collect();
        self.connection
            .prepare_cached(
                "UPDATE improvement_alerts SET resolved_at = ?1
                 WHERE resolved_at IS NULL
                 AND kind || char(10) || coalesce(entity_type, '') || char(10) || coalesce(entity_id, 0) || char(10)
                    || fingerprint NOT IN (SELECT value FROM json_each(?2))",
            )?
            .execute((self.at.micros(), json(&kept, "alerts")?))?;
        Ok(())
    }

    fn set_detection(&mut self, policy: &DetectionPolicy) -> Result<(), Fault> {
        let ratio = 1.0 + policy.degradation_threshold;
        self.connection
            .prepare_cached(
                "UPDATE detection_settings SET error_threshold = ?1, degradation_ratio = ?2, degradation_ln = ?3,
                    baseline_minimum = ?4",
            )?
            .execute((
                policy.error_threshold,
                ratio,
                (ratio.ln() * LN_SCALE).round() as i64,
                policy.baseline_minimum,
            ))?;
        Ok(())
    }

    fn prune(&mut self, received_before: Time, limit: u32) -> Result<(), Fault> {
        let mut old = self
            .connection
            .prepare_cached("SELECT trace_no FROM traces WHERE received_at < ?1 ORDER BY received_at LIMIT ?2")?;
        let traces: Vec<i64> =
            old.query_map((received_before.micros(), limit), |row| row.get(0))?.collect::<rusqlite::Result<_>>()?;
        for trace_no in &traces {
            for sql in [
                "DELETE FROM bodies WHERE body_no IN (SELECT body_no FROM event_rows WHERE trace_no = ?1)",
                "DELETE FROM event_rows WHERE trace_no = ?1",
                "UPDATE traces SET received_at = NULL WHERE trace_no = ?1",
            ] {
                self.connection.prepare_cached(sql)?.execute([trace_no])?;
            }
        }
        self.receipt.pruned += traces.len() as u64;
        Ok(())
    }

    fn set_setting(&mut self, name: &str, value: &str) -> Result<(), Fault> {
        self.connection
            .prepare_cached(
                "INSERT INTO settings (name, value, updated_at) VALUES (?1, ?2, ?3)
                 ON CONFLICT DO UPDATE SET value = excluded.value, updated_at = excluded.updated_at",
            )?
            .execute((name, value, self.at.micros()))?;
        self.configuration_changed()
    }
}
