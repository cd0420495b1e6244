//! Opportunities become improvements.

use uplift_model::Opportunity;
use uplift_model::improvement::{ImprovementStatus, Proposal, ProposalSource};
use uplift_model::opportunity::OpportunitySource;
use uplift_model::process::Lease;
use uplift_model::trial::Comparison;
use uplift_store::rows::ClaimTerms;
use uplift_store::writes::NewImprovement;
use uplift_store::{StoreError, StoreResult, Write};

use super::{Report, commit};
use crate::engine::Engine;
use crate::proposing;

/// How long an opportunity rests that nothing could be proposed for because something failed.
const REST_US: i64 = 300_000_000;

/// Claims as many opportunities as a tick may and writes the best proposal for each.
pub(super) async fn claim(engine: &Engine, lease: &Lease, report: &mut Report) -> StoreResult<()> {
    let _alone = engine.claims().await;
    let policy = engine.policy();
    let usual = ClaimTerms { mode: policy.engine.mode, min_confidence: policy.engine.min_confidence_score };
    let room = policy.engine.improvement_batch_size;
    for opportunity in engine.store().wanted(engine.now(), usual, room).await? {
        match work_on(engine, lease, &opportunity).await {
            Ok(true) => report.claimed += 1,
            // Nobody could fill it, or it was closed or claimed by somebody in the meantime.
            Ok(false) | Err(StoreError::NotOpen { .. } | StoreError::VersionConflict { .. }) => {}
            Err(error @ (StoreError::Closed | StoreError::StaleLease { .. })) => return Err(error),
            Err(error) => {
                report.failed += 1;
                tracing::warn!(%error, opportunity = opportunity.id, "nothing could be proposed; it is tried again");
                let not_before = engine.now().plus_micros(REST_US);
                let reason = "nothing could be proposed".to_owned();
                let rest = Write::ReturnOpportunity { id: opportunity.id, not_before, reason };
                commit(engine, lease, vec![rest]).await?;
            }
        }
    }
    Ok(())
}

/// Writes the best proposal, or a place for one. True where the opportunity was claimed.
async fn work_on(engine: &Engine, lease: &Lease, opportunity: &Opportunity) -> StoreResult<bool> {
    let best = proposing::proposals(engine, opportunity).await?.into_iter().next();
    let found = best.is_some();
    let new = new_improvement(engine, opportunity, best);
    let mut writes = vec![Write::PutImprovement(Box::new(new))];
    if found {
        writes.push(Write::ClaimOpportunity { id: opportunity.id });
    }
    commit(engine, lease, writes).await?;
    Ok(found)
}

/// An improvement with the proposal, or one that waits for a proposal.
pub(crate) fn new_improvement(
    engine: &Engine,
    opportunity: &Opportunity,
    proposal: Option<Proposal>,
) -> NewImprovement {
    let entity = opportunity.finding.entity;
    let opportunity_id = Some(opportunity.id);
    match proposal {
        Some(proposal) => NewImprovement {
            entity,
            opportunity_id,
            proposal,
            status: ImprovementStatus::Proposed,
            process_due: Some(engine.now()),
        },
        None => NewImprovement {
            entity,
            opportunity_id,
            proposal: unfilled(opportunity),
            status: ImprovementStatus::NeedsProposal,
            process_due: None,
        },
    }
}

fn unfilled(opportunity: &Opportunity) -> Proposal {
    Proposal {
        improvement_type: opportunity.improvement_type,
        proposed_by: match opportunity.finding.source {
            OpportunitySource::Operator => ProposalSource::Operator,
            OpportunitySource::Agent => ProposalSource::Agent,
            _ => ProposalSource::Rule,
        },
        proposer: "none".to_owned(),
        edits: Vec::new(),
        processes: Vec::new(),
        rationale: "No rule could turn the evidence into a change; it waits for somebody to propose one.".to_owned(),
        expected_impact: opportunity.finding.impact.expected_gain.clone(),
        expected_gain: 0.0,
        confidence: opportunity.finding.confidence.clamp(0.0, 1.0),
        comparison: Comparison::Concurrent,
    }
}
