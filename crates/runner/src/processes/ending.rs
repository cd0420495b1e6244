//! What follows when a trial ends: keep, roll back, return without an answer, call off, restart.

use uplift_cycle::document::{self, Ending};
use uplift_model::Time;
use uplift_model::edit;
use uplift_model::entity::Entity;
use uplift_model::event::EventKind;
use uplift_model::history::HistoryEntry;
use uplift_model::improvement::{Improvement, ImprovementStatus};
use uplift_model::merge::merge;
use uplift_model::opportunity::OpportunityStatus;
use uplift_model::process::{Lease, ProcessInstance};
use uplift_model::revision::{Revision, RevisionId};
use uplift_model::time::MICROS_PER_DAY;
use uplift_model::trial::{ShareStage, Trial, TrialKind, TrialRecord};
use uplift_model::verdict::{Decision, Next, Verdict};
use uplift_store::writes::{ImprovementChange, NewTrial, StepCommit, Write};
use uplift_store::{StoreError, StoreResult};

use super::deploy::{self, PROPAGATION_US};
use super::watching::{Changed, DONE, HOLD_BACK, first_look};
use super::{Report, outbox, step};
use crate::engine::Engine;

/// How long a trial that has to begin anew waits while everything is paused, before it is looked at again.
const PAUSED_AGAIN_US: i64 = 60_000_000;

/// A running trial with everything around it.
#[derive(Clone, Copy)]
pub(crate) struct Case<'a> {
    pub(crate) engine: &'a Engine,
    /// None where a person acts, whoever holds the lease.
    pub(crate) lease: Option<&'a Lease>,
    /// The monitoring process; none where a person acts: it then ends by itself.
    pub(crate) instance: Option<&'a ProcessInstance>,
    pub(crate) improvement: &'a Improvement,
    pub(crate) entity: &'a Entity,
    pub(crate) record: &'a TrialRecord,
}

impl Case<'_> {
    /// The entry of the history.
    fn entry(&self, verdict: Option<&Verdict>, ending: Ending) -> HistoryEntry {
        document::entry(&document::Input {
            now: self.engine.now(),
            improvement: self.improvement,
            entity_name: &self.entity.name,
            trial: Some(self.record),
            verdict,
            checks: &self.improvement.checks,
            ending,
        })
    }

    fn end(&self, ending: impl Into<String>, verdict: Option<&Verdict>) -> Write {
        Write::EndTrial { id: self.record.id, ending: ending.into(), verdict: verdict.cloned().map(Box::new) }
    }

    fn moved(&self, status: ImprovementStatus) -> Write {
        Write::ChangeImprovement {
            id: self.improvement.id,
            expected_version: self.improvement.version,
            change: Box::new(ImprovementChange { status: Some(status), ..ImprovementChange::default() }),
        }
    }

    fn stepped(&self, to: &str, wake_at: Option<Time>, note: &str) -> Option<Write> {
        self.instance.map(|instance| step(instance, to, wake_at, Some(note.to_owned())))
    }

    async fn point(&self, revision: &RevisionId) -> StoreResult<Write> {
        let revision = Box::new(load_revision(self.engine, revision).await?);
        Ok(Write::PointRevision { entity: self.record.entity, revision })
    }

    /// Makes the entity run what is in place without the change: the trial's base, unless somebody changed more since.
    async fn taken_out(&self) -> StoreResult<Write> {
        let revision = Box::new(without(self.engine, self.entity, self.improvement).await?);
        Ok(Write::PointRevision { entity: self.record.entity, revision })
    }

    fn told(&self, kind: EventKind, text: &str) -> Vec<(String, serde_json::Value)> {
        vec![outbox::event(kind, self.improvement.id, self.record.entity, self.engine.now(), text)]
    }

    async fn commit(&self, writes: Vec<Write>, outbox: Vec<(String, serde_json::Value)>) -> StoreResult<()> {
        let commit = StepCommit {
            at: self.engine.now(),
            lease: self.lease.cloned(),
            expected_versions: vec![(self.entity.key, self.entity.version)],
            writes,
            outbox,
        };
        self.engine.step(commit).await.map(drop)
    }

    /// What becomes of the opportunity: given back until then.
    fn returned(&self, rest_us: i64, reason: &str) -> Option<Write> {
        let id = self.improvement.opportunity_id?;
        let not_before = self.engine.now().plus_micros(rest_us);
        Some(Write::ReturnOpportunity { id, not_before, reason: reason.to_owned() })
    }

    fn cooldown_us(&self) -> i64 {
        i64::try_from(self.engine.policy().engine.cooldown_period.as_micros()).unwrap_or(i64::MAX)
    }
}

/// A revision that is on record.
pub(crate) async fn load_revision(engine: &Engine, id: &RevisionId) -> StoreResult<Revision> {
    let configuration = engine.store().revision(id.clone()).await?;
    Revision::seal(configuration).map_err(|error| StoreError::Corrupt {
        place: format!("revision {id}"),
        what: "a configuration",
        reason: error.to_string(),
    })
}

/// What becomes of the opportunity of a kept change that a person took back: the problem is open again, after a rest.
pub(crate) fn reopened(engine: &Engine, improvement: &Improvement, reason: &str) -> Option<Write> {
    let rest_us = (engine.policy().engine.inconclusive_rest_days * MICROS_PER_DAY as f64) as i64;
    let not_before = engine.now().plus_micros(rest_us);
    let id = improvement.opportunity_id?;
    Some(Write::ReopenOpportunity { id, not_before, reason: format!("its fix was taken back: {reason}") })
}

/// What an entity would run without a change that was kept: what is in place, with the change taken out and everything
/// else left as it is.
///
/// # Errors
/// When what came later touches the same places, or a revision is not on record.
pub(crate) async fn without(engine: &Engine, entity: &Entity, improvement: &Improvement) -> StoreResult<Revision> {
    let (Some(base), Some(candidate), Some(in_place)) = (&improvement.base, &improvement.candidate, &entity.revision)
    else {
        return Err(StoreError::Invalid { reason: "the revision before the change is not on record".to_owned() });
    };
    let before = load_revision(engine, base).await?;
    if candidate.as_str() == in_place {
        return Ok(before);
    }
    let kept = load_revision(engine, candidate).await?;
    let now = load_revision(engine, &RevisionId::from_stored(in_place.clone())).await?;
    let merged = merge(kept.configuration(), now.configuration(), before.configuration()).map_err(|conflicts| {
        let places: Vec<String> = conflicts.into_iter().map(|conflict| conflict.path).collect();
        StoreError::Invalid {
            reason: format!(
                "what came after improvement {} changed the same places ({}): set the configuration you want",
                improvement.id,
                places.join(", ")
            ),
        }
    })?;
    Revision::seal(merged).map_err(|error| StoreError::Invalid { reason: error.to_string() })
}

/// Acts on a verdict that ends a trial. `saved` is what the look came to; it goes into the same commit.
pub(super) async fn decided(
    case: &Case<'_>,
    verdict: Verdict,
    saved: Vec<Write>,
    report: &mut Report,
) -> StoreResult<()> {
    match (case.record.trial.kind, verdict.next) {
        (TrialKind::Trial, Next::Keep) => {
            report.kept += u64::from(verdict.decision == Decision::Keep);
            report.inconclusive += u64::from(verdict.decision != Decision::Keep);
            keep(case, &verdict, saved).await
        }
        (TrialKind::Trial, _) => {
            let harm = verdict.decision == Decision::Rollback;
            report.rolled_back += u64::from(harm);
            report.inconclusive += u64::from(!harm);
            take_back(case, &verdict, saved, harm).await
        }
        (TrialKind::HoldBack, _) if verdict.decision == Decision::Rollback => {
            report.rolled_back += 1;
            take_back_kept(case, &verdict, saved).await
        }
        // The watch is over, or its comparison is broken: the change was shown to help before, and stays.
        (TrialKind::HoldBack, _) => {
            let mut writes = saved;
            writes.push(case.end(&verdict.text, Some(&verdict)));
            writes.extend(case.stepped(DONE, None, "the watch after the keep is over"));
            case.commit(writes, Vec::new()).await
        }
    }
}

async fn keep(case: &Case<'_>, verdict: &Verdict, saved: Vec<Write>) -> StoreResult<()> {
    let ending = match verdict.decision {
        Decision::Keep => Ending::Kept,
        _ => Ending::Inconclusive { kept: true },
    };
    let mut writes = saved;
    writes.extend([
        case.end(&verdict.text, Some(verdict)),
        case.point(&case.record.candidate).await?,
        case.moved(ImprovementStatus::Deployed),
        Write::RecordHistory(Box::new(case.entry(Some(verdict), ending))),
    ]);
    if let Some(id) = case.improvement.opportunity_id
        && case.engine.store().opportunity(id).await?.status.is_open()
    {
        let reason = format!("solved by improvement {}", case.improvement.id);
        writes.push(Write::CloseOpportunity { id, status: OpportunityStatus::Completed, reason });
    }
    match deploy::hold_back(&case.record.trial, case.improvement.id, case.engine.now()) {
        Some(watch) => {
            let wake_at = first_look(&watch);
            writes.push(Write::StartTrial(Box::new(NewTrial {
                improvement_id: case.improvement.id,
                entity: case.record.entity,
                base: case.record.base.clone(),
                candidate: case.record.candidate.clone(),
                trial: watch,
            })));
            writes.extend(case.stepped(HOLD_BACK, Some(wake_at), &verdict.text));
        }
        None => writes.extend(case.stepped(DONE, None, &verdict.text)),
    }
    case.commit(writes, case.told(EventKind::ImprovementDeployed, &verdict.text)).await
}

async fn take_back(case: &Case<'_>, verdict: &Verdict, saved: Vec<Write>, harm: bool) -> StoreResult<()> {
    let (ending, kind) = if harm {
        (Ending::RolledBack, EventKind::ImprovementRolledBack)
    } else {
        (Ending::Inconclusive { kept: false }, EventKind::ImprovementInconclusive)
    };
    let rest_us = if harm {
        case.cooldown_us()
    } else {
        (case.engine.policy().engine.inconclusive_rest_days * MICROS_PER_DAY as f64) as i64
    };
    let mut writes = saved;
    // The pointer never moved: ending the trial is the rollback.
    writes.extend([
        case.end(&verdict.text, Some(verdict)),
        case.moved(ImprovementStatus::RolledBack),
        Write::RecordHistory(Box::new(case.entry(Some(verdict), ending))),
    ]);
    writes.extend(case.returned(rest_us, &verdict.text));
    writes.extend(case.stepped(DONE, None, &verdict.text));
    case.commit(writes, case.told(kind, &verdict.text)).await
}

async fn take_back_kept(case: &Case<'_>, verdict: &Verdict, saved: Vec<Write>) -> StoreResult<()> {
    let mut writes = saved;
    writes.extend([
        case.end(&verdict.text, Some(verdict)),
        case.taken_out().await?,
        case.moved(ImprovementStatus::RolledBack),
        Write::RecordHistory(Box::new(case.entry(Some(verdict), Ending::RolledBackAfterKeep))),
    ]);
    if let Some(id) = case.improvement.opportunity_id {
        let not_before = case.engine.now().plus_micros(case.cooldown_us());
        writes.push(Write::ReopenOpportunity { id, not_before, reason: verdict.text.clone() });
    }
    writes.extend(case.stepped(DONE, None, &verdict.text));
    case.commit(writes, case.told(EventKind::ImprovementRolledBack, &verdict.text)).await
}

/// Calls a running trial off. Where it is the watch after a keep and `back` is set, the old revision returns.
pub(crate) async fn call_off(case: &Case<'_>, by: &str, reason: &str, back: bool) -> StoreResult<()> {
    let ending = Ending::Cancelled { by: by.to_owned(), reason: reason.to_owned() };
    let verdict = case.record.verdict.as_ref();
    let text = format!("called off by {by}: {reason}");
    let mut writes = vec![case.end(&text, verdict)];
    match case.record.trial.kind {
        TrialKind::Trial => {
            writes.push(case.moved(if back { ImprovementStatus::RolledBack } else { ImprovementStatus::Cancelled }));
        }
        TrialKind::HoldBack if back => {
            writes.push(case.taken_out().await?);
            writes.push(case.moved(ImprovementStatus::RolledBack));
        }
        TrialKind::HoldBack => {}
    }
    writes.push(Write::RecordHistory(Box::new(case.entry(verdict, ending))));
    let rest_us = (case.engine.policy().engine.inconclusive_rest_days * MICROS_PER_DAY as f64) as i64;
    writes.extend(match case.record.trial.kind {
        TrialKind::Trial => case.returned(rest_us, &text),
        TrialKind::HoldBack => reopened(case.engine, case.improvement, reason),
    });
    writes.extend(case.stepped(DONE, None, &text));
    let kind = if back { EventKind::ImprovementRolledBack } else { EventKind::ImprovementInconclusive };
    case.commit(writes, case.told(kind, &text)).await
}

/// What happens when the world around a trial changed: a retired entity ends it; another revision in place restarts it
/// on that revision, or ends it where the edits no longer apply.
pub(super) async fn circumstances_changed(case: &Case<'_>, changed: Changed) -> StoreResult<()> {
    if case.record.trial.kind == TrialKind::HoldBack {
        let text = "the watch after the keep ended, because the entity no longer runs what was kept";
        let mut writes = vec![case.end(text, case.record.verdict.as_ref())];
        writes.extend(case.stepped(DONE, None, text));
        return case.commit(writes, Vec::new()).await;
    }
    if changed == Changed::Revision && case.engine.is_paused() {
        // Nothing starts now, not even anew; until then resolvers serve what is in place to everybody.
        let again = case.engine.now().plus_micros(PAUSED_AGAIN_US);
        let state = case.instance.map(|instance| instance.state.as_str()).unwrap_or_default();
        let waits = case.instance.map(|instance| step(instance, state, Some(again), None));
        return case.commit(waits.into_iter().collect(), Vec::new()).await;
    }
    let reason = match changed {
        Changed::Retired(state) => format!("the entity is {} now", state.as_str()),
        Changed::Revision => match restarted(case).await? {
            Ok(()) => return Ok(()),
            Err(reason) => reason,
        },
    };
    call_off(case, "uplift", &reason, false).await
}

/// Restarts a trial on the revision that is in place now; why not, where the edits do not apply to it.
async fn restarted(case: &Case<'_>) -> StoreResult<Result<(), String>> {
    let Some(in_place) = &case.entity.revision else {
        return Ok(Err("the entity has no revision any more".to_owned()));
    };
    let base = load_revision(case.engine, &RevisionId::from_stored(in_place.clone())).await?;
    let candidate = match edit::apply(&base, &case.improvement.proposal.edits) {
        Ok(candidate) => candidate,
        Err(error) => {
            return Ok(Err(format!("the revision in place was changed, and the edits do not apply to it: {error}")));
        }
    };
    let trial = anew(case);
    let wake_at = first_look(&trial);
    let text = "the revision in place was changed: the trial begins anew on it";
    let change = ImprovementChange {
        base: Some(base.id().clone()),
        candidate: Some(candidate.id().clone()),
        ..ImprovementChange::default()
    };
    let mut writes = vec![
        case.end(text, case.record.verdict.as_ref()),
        Write::PutRevision(Box::new(candidate.clone())),
        Write::ChangeImprovement {
            id: case.improvement.id,
            expected_version: case.improvement.version,
            change: Box::new(change),
        },
        Write::StartTrial(Box::new(NewTrial {
            improvement_id: case.improvement.id,
            entity: case.record.entity,
            base: base.id().clone(),
            candidate: candidate.id().clone(),
            trial,
        })),
    ];
    if let Some(instance) = case.instance {
        writes.push(step(instance, &instance.state, Some(wake_at), Some(text.to_owned())));
    }
    case.commit(writes, case.told(EventKind::ImprovementStarted, text)).await.map(Ok)
}

/// The same trial from the beginning, with a key of its own: units are assigned anew.
fn anew(case: &Case<'_>) -> Trial {
    let trial = &case.record.trial;
    let started_us = case.engine.now().plus_micros(PROPAGATION_US).micros();
    let share = trial.stages.first().map_or(trial.policy.ramp_first_share, |stage| stage.share);
    Trial {
        key: format!("improvement/{}/{started_us}", case.improvement.id),
        started_us,
        stages: vec![ShareStage { from_us: started_us, share }],
        ..trial.clone()
    }
}
