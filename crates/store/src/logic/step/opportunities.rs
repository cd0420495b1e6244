//! Findings and the opportunities they become.

use crate::sql::OptionalExtension;
use uplift_model::Time;
use uplift_model::entity::EntityKey;
use uplift_model::improvement::ImprovementType;
use uplift_model::opportunity::{Finding, OpportunityKind, OpportunityStatus};

use super::{LINE, Step, json};
use crate::error::StoreError;
use crate::logic::fault::{Fault, corrupt};
use crate::writes::ASKED_TYPE;

/// The type of improvement that a finding asks for: the one that whoever asked has named, else that of its kind.
fn improvement_type(finding: &Finding) -> ImprovementType {
    let asked = (finding.kind == OpportunityKind::Request).then(|| finding.evidence.labels.get(ASKED_TYPE));
    let asked = asked.flatten().and_then(|name| name.parse().ok());
    asked.unwrap_or_else(|| finding.kind.usual_improvement())
}

impl Step<'_> {
    pub(super) fn put_finding(&mut self, finding: &Finding, quiet_since: Option<Time>) -> Result<(), Fault> {
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
        if let Some(id) = self.withdrawn(finding)? {
            self.receipt.opened.push(id);
            self.update_opportunity(id, finding)?;
            return self.opportunity_news(id);
        }
        if let Some(since) = quiet_since {
            let dismissed = self
                .connection
                .prepare_cached(
                    "SELECT 1 FROM optimization_opportunities WHERE entity_type = ?1 AND entity_id = ?2 AND kind = ?3
                     AND fingerprint = ?4 AND status = 'dismissed' AND withdrawn = 0 AND updated_at >= ?5",
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
                improvement_type(finding).as_str(),
                self.at.micros(),
                finding.last_seen_at.micros(),
            ))?;
        self.receipt.opened.push(id);
        self.update_opportunity(id, finding)?;
        self.opportunity_news(id)
    }

    /// Opens the latest opportunity of this key again if it was withdrawn, not dismissed by a person.
    pub(super) fn withdrawn(&self, finding: &Finding) -> Result<Option<i64>, Fault> {
        Ok(self
            .connection
            .prepare_cached(
                "UPDATE optimization_opportunities SET status = 'pending', resolution = NULL, withdrawn = 0
                 WHERE id = (SELECT max(id) FROM optimization_opportunities WHERE entity_type = ?1 AND entity_id = ?2
                    AND kind = ?3 AND fingerprint = ?4)
                 AND status = 'dismissed' AND withdrawn = 1
                 RETURNING id",
            )?
            .query_row(
                (
                    finding.entity.entity_type.as_str(),
                    finding.entity.entity_id,
                    finding.kind.as_str(),
                    &finding.fingerprint,
                ),
                |row| row.get(0),
            )
            .optional()?)
    }

    pub(super) fn withdraw_unfound(
        &mut self,
        entity: EntityKey,
        kinds: &[OpportunityKind],
        found: &[(OpportunityKind, String)],
    ) -> Result<(), Fault> {
        let kinds: Vec<&str> = kinds.iter().map(|kind| kind.as_str()).collect();
        let found: Vec<String> =
            found.iter().map(|(kind, fingerprint)| format!("{kind}{LINE}{fingerprint}")).collect();
        let unfound = format!(
            "entity_type = ?1 AND entity_id = ?2 AND status = 'pending' AND source IN ('monitor', 'pattern', 'review')
             AND kind IN ({}) AND kind || '{LINE}' || fingerprint NOT IN ({})",
            self.connection.elements("?4"),
            self.connection.elements("?5"),
        );
        let (kinds, found) = (json(&kinds, "kinds")?, json(&found, "findings")?);
        let key = (entity.entity_type.as_str(), entity.entity_id);
        for sql in [
            format!(
                "INSERT INTO news (at, kind, word, subject_id, entity_type, entity_id)
                 SELECT CAST(?3 AS bigint), 'opportunity', 'dismissed', id, entity_type, entity_id
                 FROM optimization_opportunities WHERE {unfound} ORDER BY id"
            ),
            format!(
                "UPDATE optimization_opportunities
                 SET status = 'dismissed', resolution = 'withdrawn: no longer found', withdrawn = 1, updated_at = ?3
                 WHERE {unfound}"
            ),
        ] {
            self.connection.prepare_cached(&sql)?.defer((key.0, key.1, self.at.micros(), &kinds, &found))?;
        }
        Ok(())
    }

    pub(super) fn update_opportunity(&mut self, id: i64, finding: &Finding) -> Result<(), Fault> {
        let confidence = if finding.confidence.is_finite() { finding.confidence.clamp(0.0, 1.0) } else { 0.0 };
        self.connection
            .prepare_cached(
                "UPDATE optimization_opportunities SET confirmed = 1, description = ?2, confidence = ?3,
                    potential_impact = ?4, impact = ?5, occurrences = ?6, evidence = ?7,
                    last_seen_at = CASE WHEN last_seen_at < ?8 THEN ?8 ELSE last_seen_at END,
                    updated_at = ?9
                 WHERE id = ?1 AND (confirmed = 0 OR description <> ?2 OR confidence <> ?3 OR evidence <> ?7)",
            )?
            .defer((
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

    /// How far an opportunity has come.
    fn status_of(&self, id: i64) -> Result<OpportunityStatus, Fault> {
        let status: Option<String> = self
            .connection
            .prepare_cached("SELECT status FROM optimization_opportunities WHERE id = ?1")?
            .query_row([id], |row| row.get(0))
            .optional()?;
        let Some(status) = status else { return Err(StoreError::not_found("opportunity", id).into()) };
        status.parse().map_err(|error| corrupt("opportunity", error))
    }

    /// Checks that an opportunity is open.
    pub(super) fn require_open(&self, id: i64) -> Result<(), Fault> {
        let status = self.status_of(id)?;
        if status.is_open() { Ok(()) } else { Err(StoreError::NotOpen { id, status }.into()) }
    }

    pub(super) fn confirm(&mut self, id: i64, finding: &Finding) -> Result<(), Fault> {
        self.require_open(id)?;
        self.update_opportunity(id, finding)?;
        self.opportunity_news(id)
    }

    /// Closes an opportunity as withdrawn: Uplift's own word, which a later finding may take back.
    pub(super) fn withdraw(&mut self, id: i64, reason: &str) -> Result<(), Fault> {
        self.close(id, OpportunityStatus::Dismissed, &format!("withdrawn: {reason}"))?;
        self.connection
            .prepare_cached("UPDATE optimization_opportunities SET withdrawn = 1 WHERE id = ?1")?
            .defer([id])?;
        Ok(())
    }

    pub(super) fn close(&mut self, id: i64, status: OpportunityStatus, reason: &str) -> Result<(), Fault> {
        self.require_open(id)?;
        self.connection
            .prepare_cached(
                "UPDATE optimization_opportunities SET status = ?2, resolution = ?3, updated_at = ?4 WHERE id = ?1",
            )?
            .defer((id, status.as_str(), reason, self.at.micros()))?;
        self.opportunity_news(id)
    }

    pub(super) fn claim(&self, id: i64) -> Result<(), Fault> {
        let status = self.status_of(id)?;
        if status != OpportunityStatus::Pending {
            return Err(StoreError::NotOpen { id, status }.into());
        }
        self.connection
            .prepare_cached(
                "UPDATE optimization_opportunities SET status = 'in_progress', resolution = NULL, updated_at = ?2
                 WHERE id = ?1",
            )?
            .execute((id, self.at.micros()))?;
        self.opportunity_news(id)
    }

    pub(super) fn give_back(&self, id: i64, not_before: Time, reason: &str) -> Result<(), Fault> {
        if self.status_of(id)?.is_open() { self.make_pending(id, not_before, reason) } else { Ok(()) }
    }

    /// Only what was solved comes back this way: what a person dismissed stays dismissed.
    pub(super) fn reopen(&mut self, id: i64, not_before: Time, reason: &str) -> Result<(), Fault> {
        if self.status_of(id)? != OpportunityStatus::Completed {
            return Ok(());
        }
        let another = self
            .connection
            .prepare_cached(
                "SELECT 1 FROM optimization_opportunities AS c
                 JOIN optimization_opportunities AS o ON o.entity_type = c.entity_type AND o.entity_id = c.entity_id
                    AND o.kind = c.kind AND o.fingerprint = c.fingerprint
                 WHERE c.id = ?1 AND o.status IN ('pending', 'in_progress')",
            )?
            .exists([id])?;
        if another {
            return Ok(());
        }
        self.receipt.opened.push(id);
        self.make_pending(id, not_before, reason)
    }

    fn make_pending(&self, id: i64, not_before: Time, reason: &str) -> Result<(), Fault> {
        self.connection
            .prepare_cached(
                "UPDATE optimization_opportunities SET status = 'pending', not_before = ?2, resolution = ?3,
                    updated_at = ?4
                 WHERE id = ?1",
            )?
            .defer((id, not_before.micros(), reason, self.at.micros()))?;
        self.opportunity_news(id)
    }
}
