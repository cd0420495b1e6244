//! What people say to improvements: yes, no, off, back.

use uplift_cycle::document::{self, Ending};
use uplift_model::event::EventKind;
use uplift_model::improvement::{Improvement, ImprovementStatus};
use uplift_model::process::{IMPROVEMENT_MONITORING_PROCESS, IMPROVEMENT_PROCESS};
use uplift_model::time::MICROS_PER_DAY;
use uplift_store::writes::{ImprovementChange, StepCommit, Write};

use super::{ControlError, checked_text, wrong};
use crate::engine::Engine;
use crate::processes::ending::{Case, call_off, reopened, without};
use crate::processes::watching::running;
use crate::processes::{outbox, subject};

impl Engine {
    /// Says yes to an improvement.
    ///
    /// # Errors
    /// When there is none, or it waits for nobody's word.
    pub async fn approve(&self, id: i64, by: String) -> Result<Improvement, ControlError> {
        use ImprovementStatus as S;
        let improvement = self.store().improvement(id).await?;
        let status = match improvement.status {
            S::AwaitingApproval | S::Proposed => Some(S::Queued),
            S::Queued => None,
            S::NeedsProposal => {
                return Err(wrong(&improvement, "approved", "nobody has proposed edits for it yet"));
            }
            _ => return Err(wrong(&improvement, "approved", "it has been decided already")),
        };
        let change =
            ImprovementChange { status, approved_by: Some(checked_text("by", &by)?), ..ImprovementChange::default() };
        self.change(&improvement, change, Vec::new()).await
    }

    /// Says no to an improvement that has not begun.
    ///
    /// # Errors
    /// When there is none, or its trial has begun.
    pub async fn reject(&self, id: i64, by: String, reason: String) -> Result<Improvement, ControlError> {
        use ImprovementStatus as S;
        let improvement = self.store().improvement(id).await?;
        match improvement.status {
            S::Proposed | S::AwaitingApproval | S::Queued | S::Validated => {
                self.drop_unstarted(&improvement, S::Rejected, &by, &reason).await
            }
            S::NeedsProposal => self.drop_unstarted(&improvement, S::Cancelled, &by, &reason).await,
            S::Testing => Err(wrong(&improvement, "rejected", "its trial runs: cancel it, or roll it back")),
            S::Deployed => Err(wrong(&improvement, "rejected", "it is in place: roll it back")),
            _ => Err(wrong(&improvement, "rejected", "it has ended already")),
        }
    }

    /// Calls an improvement off, before or during its trial.
    ///
    /// # Errors
    /// When there is none, or it was kept or has ended.
    pub async fn cancel(&self, id: i64, by: String, reason: String) -> Result<Improvement, ControlError> {
        use ImprovementStatus as S;
        let improvement = self.store().improvement(id).await?;
        match improvement.status {
            S::Testing => self.stop_trial(&improvement, &by, &reason, false).await,
            S::Proposed | S::AwaitingApproval | S::Queued | S::Validated | S::NeedsProposal => {
                self.drop_unstarted(&improvement, S::Cancelled, &by, &reason).await
            }
            S::Deployed => Err(wrong(&improvement, "cancelled", "it is in place: roll it back")),
            _ => Err(wrong(&improvement, "cancelled", "it has ended already")),
        }
    }

    /// Takes an improvement back: ends its trial, or takes it out of the configuration in place.
    ///
    /// # Errors
    /// When there is none, it is not in place, or what was kept after it cannot stand without it.
    pub async fn roll_back(&self, id: i64, by: String, reason: String) -> Result<Improvement, ControlError> {
        use ImprovementStatus as S;
        let improvement = self.store().improvement(id).await?;
        match improvement.status {
            S::Testing => self.stop_trial(&improvement, &by, &reason, true).await,
            S::Deployed if running(self, id).await?.is_some() => {
                self.stop_trial(&improvement, &by, &reason, true).await
            }
            S::Deployed => self.take_out(&improvement, &by, &reason).await,
            S::RolledBack => Err(wrong(&improvement, "rolled back", "it has been already")),
            _ => Err(wrong(&improvement, "rolled back", "it was never in place: cancel or reject it")),
        }
    }

    /// Changes an improvement and wakes its process.
    async fn change(
        &self,
        improvement: &Improvement,
        change: ImprovementChange,
        also: Vec<Write>,
    ) -> Result<Improvement, ControlError> {
        let mut writes = vec![Write::ChangeImprovement {
            id: improvement.id,
            expected_version: improvement.version,
            change: Box::new(change),
        }];
        writes.extend(also);
        for name in [IMPROVEMENT_PROCESS, IMPROVEMENT_MONITORING_PROCESS] {
            let subject = Some(subject(improvement.id));
            writes.push(Write::WakeProcess { name: name.to_owned(), subject, at: self.now() });
        }
        self.commit(writes).await?;
        Ok(self.store().improvement(improvement.id).await?)
    }

    async fn drop_unstarted(
        &self,
        improvement: &Improvement,
        status: ImprovementStatus,
        by: &str,
        reason: &str,
    ) -> Result<Improvement, ControlError> {
        let (by, reason) = (checked_text("by", by)?, checked_text("reason", reason)?);
        let entity = self.entity_of(improvement.entity).await?;
        let ending = match status {
            ImprovementStatus::Rejected => Ending::Rejected { reason: format!("{by}: {reason}") },
            _ => Ending::Cancelled { by: by.clone(), reason: reason.clone() },
        };
        let entry = document::entry(&document::Input {
            now: self.now(),
            improvement,
            entity_name: &entity.name,
            trial: None,
            verdict: None,
            checks: &improvement.checks,
            ending,
        });
        let mut also = vec![Write::RecordHistory(Box::new(entry))];
        if let Some(id) = improvement.opportunity_id {
            let rest_us = (self.policy().engine.inconclusive_rest_days * MICROS_PER_DAY as f64) as i64;
            let not_before = self.now().plus_micros(rest_us);
            also.push(Write::ReturnOpportunity { id, not_before, reason: format!("{status} by {by}: {reason}") });
        }
        self.change(improvement, ImprovementChange { status: Some(status), ..ImprovementChange::default() }, also)
            .await
    }

    pub(super) async fn stop_trial(
        &self,
        improvement: &Improvement,
        by: &str,
        reason: &str,
        back: bool,
    ) -> Result<Improvement, ControlError> {
        let (by, reason) = (checked_text("by", by)?, checked_text("reason", reason)?);
        let Some(record) = running(self, improvement.id).await? else {
            return Err(wrong(improvement, "stopped", "no trial of it runs"));
        };
        let entity = self.entity_of(improvement.entity).await?;
        let case = Case { engine: self, lease: None, instance: None, improvement, entity: &entity, record: &record };
        call_off(&case, &by, &reason, back).await?;
        let wake = Write::WakeProcess {
            name: IMPROVEMENT_MONITORING_PROCESS.to_owned(),
            subject: Some(subject(improvement.id)),
            at: self.now(),
        };
        self.commit(vec![wake]).await?;
        Ok(self.store().improvement(improvement.id).await?)
    }

    /// Takes a kept change out of the configuration in place: what was kept after it is applied again without it.
    async fn take_out(&self, improvement: &Improvement, by: &str, reason: &str) -> Result<Improvement, ControlError> {
        let (by, reason) = (checked_text("by", by)?, checked_text("reason", reason)?);
        let entity = self.entity_of(improvement.entity).await?;
        let without = without(self, &entity, improvement).await?;
        let entry = document::entry(&document::Input {
            now: self.now(),
            improvement,
            entity_name: &entity.name,
            trial: None,
            verdict: None,
            checks: &improvement.checks,
            ending: Ending::Cancelled { by: by.clone(), reason: reason.clone() },
        });
        let change =
            ImprovementChange { status: Some(ImprovementStatus::RolledBack), ..ImprovementChange::default() };
        let mut writes = vec![
            Write::ChangeImprovement {
                id: improvement.id,
                expected_version: improvement.version,
                change: Box::new(change),
            },
            Write::PointRevision { entity: improvement.entity, revision: Box::new(without) },
            Write::RecordHistory(Box::new(entry)),
        ];
        writes.extend(reopened(self, improvement, &reason));
        let text = format!("taken out by {by}: {reason}");
        let told =
            outbox::event(EventKind::ImprovementRolledBack, improvement.id, improvement.entity, self.now(), text);
        self.step(StepCommit {
            at: self.now(),
            lease: None,
            // Somebody may change the entity while this is worked out.
            expected_versions: vec![(entity.key, entity.version)],
            writes,
            outbox: vec![told],
        })
        .await?;
        Ok(self.store().improvement(improvement.id).await?)
    }
}
