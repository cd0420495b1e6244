//! Improvements and what came of them.

use crate::sql::OptionalExtension;
use crate::sql::params;
use uplift_model::history::{HistoryEntry, MetricValues};
use uplift_model::improvement::{ImprovementStatus, Proposal};
use uplift_model::process::IMPROVEMENT_PROCESS;
use uplift_model::revision::RevisionId;
use uplift_model::trial::Comparison;

use super::{Step, json, readable};
use crate::error::StoreError;
use crate::logic::fault::{Fault, corrupt};
use crate::writes::{ImprovementChange, NewImprovement};

/// The state in which an improvement's process begins.
const FIRST_STATE: &str = "validate";

impl Step<'_> {
    pub(super) fn put_improvement(&mut self, new: &NewImprovement) -> Result<(), Fault> {
        self.require_entity(new.entity)?;
        if let Some(id) = new.opportunity_id {
            self.require("opportunity", "SELECT 1 FROM optimization_opportunities WHERE id = ?1", id)?;
        }
        if !matches!(new.status, ImprovementStatus::Proposed | ImprovementStatus::NeedsProposal) {
            let reason = format!("an improvement begins as proposed or needs_proposal, not as {}", new.status);
            return Err(StoreError::invalid(reason).into());
        }
        check_proposal(&new.proposal, new.status)?;
        let proposal = &new.proposal;
        let id = self
            .connection
            .prepare_cached(
                "INSERT INTO improvements (entity_type, entity_id, opportunity_id, improvement_type, proposed_by,
                    proposer, edits, processes, rationale, expected_impact, expected_gain, confidence, comparison,
                    status, created_at, updated_at)
                 VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?15)",
            )?
            .insert(params![
                new.entity.entity_type.as_str(),
                new.entity.entity_id,
                new.opportunity_id,
                proposal.improvement_type.as_str(),
                proposal.proposed_by.as_str(),
                proposal.proposer,
                readable(&proposal.edits, "the edits")?,
                readable(&proposal.processes, "the processes")?,
                proposal.rationale,
                proposal.expected_impact,
                proposal.expected_gain,
                proposal.confidence,
                comparison(proposal.comparison),
                new.status.as_str(),
                self.at.micros(),
            ])?;
        self.receipt.improvements.push(id);
        self.improvement_news(id)?;
        match new.process_due {
            Some(due) => self.start_process(IMPROVEMENT_PROCESS, &format!("improvement/{id}"), FIRST_STATE, due),
            None => Ok(()),
        }
    }

    pub(super) fn change_improvement(
        &mut self,
        id: i64,
        expected_version: i64,
        change: &ImprovementChange,
    ) -> Result<(), Fault> {
        let (status, version) = self.standing(id)?;
        if version != expected_version {
            let what = format!("improvement {id}");
            return Err(StoreError::moved_on(what, format!("version {expected_version}")).into());
        }
        let next = change.status.unwrap_or(status);
        if next != status && !status.next().contains(&next) {
            return Err(StoreError::invalid(format!("improvement {id} is {status}: it cannot become {next}")).into());
        }
        self.check_complete(id, status, next, change)?;
        if matches!(next, ImprovementStatus::Validated | ImprovementStatus::Testing) {
            self.check_unoccupied(id)?;
        }
        for revision in change.base.iter().chain(&change.candidate) {
            self.require_revision(revision)?;
        }
        if let Some(proposal) = &change.proposal {
            self.replace_proposal(id, proposal)?;
        }
        let checks = change.checks.as_ref().map(|checks| json(checks, "checks")).transpose()?;
        let preflight =
            change.preflight.as_ref().map(|preflight| readable(preflight, "the preflight")).transpose()?;
        self.connection
            .prepare_cached(
                "UPDATE improvements SET status = ?2, base = coalesce(?3, base), candidate = coalesce(?4, candidate),
                    checks = coalesce(?5, checks), preflight = coalesce(?6, preflight),
                    approved_by = coalesce(?7, approved_by), updated_at = ?8, version = version + 1
                 WHERE id = ?1",
            )?
            .defer((
                id,
                next.as_str(),
                change.base.as_ref().map(RevisionId::as_str),
                change.candidate.as_ref().map(RevisionId::as_str),
                checks,
                preflight,
                &change.approved_by,
                self.at.micros(),
            ))?;
        if next == status { Ok(()) } else { self.improvement_news(id) }
    }

    /// How far an improvement has come, and its version.
    fn standing(&self, id: i64) -> Result<(ImprovementStatus, i64), Fault> {
        let found: Option<(String, i64)> = self
            .connection
            .prepare_cached("SELECT status, version FROM improvements WHERE id = ?1")?
            .query_row([id], |row| Ok((row.get(0)?, row.get(1)?)))
            .optional()?;
        let (status, version) = found.ok_or_else(|| StoreError::not_found("improvement", id))?;
        Ok((status.parse().map_err(|error| corrupt("improvement", error))?, version))
    }

    /// Whether a trial of it runs.
    fn is_tried_now(&self, id: i64) -> Result<bool, Fault> {
        let running = "SELECT 1 FROM trials WHERE improvement_id = ?1 AND ended_at IS NULL";
        Ok(self.connection.prepare_cached(running)?.exists([id])?)
    }

    /// Refuses a change of what somebody may have said yes to, or of what runs already.
    fn check_complete(
        &self,
        id: i64,
        status: ImprovementStatus,
        next: ImprovementStatus,
        change: &ImprovementChange,
    ) -> Result<(), Fault> {
        use ImprovementStatus as S;
        let refuse = |what: &str| {
            Err(StoreError::invalid(format!("improvement {id} is {status}: {what} can no longer change")).into())
        };
        let waits = matches!(status, S::NeedsProposal | S::Proposed);
        let runs = !waits && !matches!(status, S::AwaitingApproval | S::Queued | S::Validated);
        let moved = change.base.is_some() || change.candidate.is_some();
        // Between two trials of one improvement nothing runs: the next one may rest on another revision.
        let between = status == S::Testing && change.proposal.is_none() && !self.is_tried_now(id)?;
        if runs && !between && (moved || change.proposal.is_some()) {
            return refuse("what is tried");
        }
        let Some(proposal) = &change.proposal else {
            // Nothing to try: it has to be filled first.
            let empty = "SELECT 1 FROM improvements WHERE id = ?1 AND edits = '[]'";
            let filled = next != S::Proposed
                || status != S::NeedsProposal
                || !self.connection.prepare_cached(empty)?.exists([id])?;
            return if filled { Ok(()) } else { Err(StoreError::invalid("a proposal has at least one edit").into()) };
        };
        check_proposal(proposal, next)?;
        if !waits {
            let stored = "SELECT 1 FROM improvements WHERE id = ?1 AND edits = ?2 AND processes = ?3";
            let same = (id, json(&proposal.edits, "edits")?, json(&proposal.processes, "processes")?);
            if !self.connection.prepare_cached(stored)?.exists(same)? {
                return refuse("its edits");
            }
        }
        Ok(())
    }

    /// Refuses a second improvement that is ready or on trial. The partial unique index would, too, without a name.
    fn check_unoccupied(&self, id: i64) -> Result<(), Fault> {
        let found = self
            .connection
            .prepare_cached(
                "SELECT o.entity_type, o.entity_id, o.id FROM improvements AS i
                 JOIN improvements AS o ON o.entity_type = i.entity_type AND o.entity_id = i.entity_id
                 WHERE i.id = ?1 AND o.id <> ?1 AND o.status IN ('validated', 'testing')",
            )?
            .query_row([id], |row| Ok((row.get::<String>(0)?, row.get(1)?, row.get::<i64>(2)?)))
            .optional()?;
        let Some((entity_type, entity_id, other)) = found else { return Ok(()) };
        let entity_type = entity_type.parse().map_err(|error| corrupt("improvement", error))?;
        let entity = uplift_model::EntityKey::new(entity_type, entity_id);
        Err(StoreError::Occupied { entity, by: format!("improvement {other}") }.into())
    }

    fn replace_proposal(&self, id: i64, proposal: &Proposal) -> Result<(), Fault> {
        self.connection
            .prepare_cached(
                "UPDATE improvements SET improvement_type = ?2, proposed_by = ?3, proposer = ?4, edits = ?5,
                    processes = ?6, rationale = ?7, expected_impact = ?8, expected_gain = ?9, confidence = ?10,
                    comparison = ?11
                 WHERE id = ?1",
            )?
            .defer((
                id,
                proposal.improvement_type.as_str(),
                proposal.proposed_by.as_str(),
                &proposal.proposer,
                readable(&proposal.edits, "the edits")?,
                readable(&proposal.processes, "the processes")?,
                &proposal.rationale,
                &proposal.expected_impact,
                proposal.expected_gain,
                proposal.confidence,
                comparison(proposal.comparison),
            ))?;
        Ok(())
    }

    pub(super) fn record_history(&self, entry: &HistoryEntry) -> Result<(), Fault> {
        self.standing(entry.improvement_id)?;
        if let Some(revision) = &entry.rollback_revision {
            self.require_revision(revision)?;
        }
        let effectiveness = entry.effectiveness;
        if let Some(interval) = effectiveness
            && !(interval.estimate.is_finite() && interval.low.is_finite() && interval.high.is_finite())
        {
            return Err(StoreError::invalid("the effectiveness is not a finite number").into());
        }
        let metrics = |values: &Option<MetricValues>| {
            values.as_ref().map(|values| readable(values, "the measured values")).transpose()
        };
        self.connection
            .prepare_cached(
                "INSERT INTO improvement_history (improvement_id, entity_type, entity_id, improvement_type, outcome,
                    reason, started_at, decided_at, metrics_before, metrics_after, effectiveness, effectiveness_low,
                    effectiveness_high, rollback_revision, report, verdict)
                 VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?16)",
            )?
            .defer((
                entry.improvement_id,
                entry.entity.entity_type.as_str(),
                entry.entity.entity_id,
                entry.improvement_type.as_str(),
                entry.outcome.as_str(),
                &entry.reason,
                entry.started_at.map(uplift_model::Time::micros),
                entry.decided_at.micros(),
                metrics(&entry.metrics_before)?,
                metrics(&entry.metrics_after)?,
                effectiveness.map(|interval| interval.estimate.clamp(-1.0, 1.0)),
                effectiveness.map(|interval| interval.low),
                effectiveness.map(|interval| interval.high),
                entry.rollback_revision.as_ref().map(RevisionId::as_str),
                &entry.report,
                entry.verdict.as_ref().map(|verdict| readable(verdict, "the verdict")).transpose()?,
            ))?;
        self.verdict_news(entry.improvement_id, entry.entity, entry.outcome.as_str())
    }
}

/// Checks what the types leave open.
fn check_proposal(proposal: &Proposal, status: ImprovementStatus) -> Result<(), Fault> {
    let unit = 0.0..=1.0;
    let reason = if !unit.contains(&proposal.confidence) {
        format!("the confidence of a proposal is from 0 to 1, not {}", proposal.confidence)
    } else if !unit.contains(&proposal.expected_gain) {
        format!("the expected gain of a proposal is from 0 to 1, not {}", proposal.expected_gain)
    } else if proposal.edits.is_empty() && status != ImprovementStatus::NeedsProposal {
        "a proposal has at least one edit".to_owned()
    } else if !proposal.edits.is_empty() && status == ImprovementStatus::NeedsProposal {
        "what has edits is proposed, and does not need a proposal".to_owned()
    } else {
        return Ok(());
    };
    Err(StoreError::invalid(reason).into())
}

const fn comparison(comparison: Comparison) -> &'static str {
    match comparison {
        Comparison::Concurrent => "concurrent",
        Comparison::BeforeAfter => "before_after",
    }
}
